"""`nenghao` as a process of its own, as an installer starts it."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import typer
from click.testing import CliRunner

from metering.errors import NenghaoError
from nenghao.__main__ import app

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        """The one JSON document on standard output."""
        (line,) = self.out.splitlines()
        return json.loads(line)


async def nenghao(*words, columns=200):
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nenghao",
        *map(str, words),
        cwd=ROOT,
        env={**os.environ, "COLUMNS": str(columns), "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return Run(process.returncode, out.decode(), err.decode())


def typed(*words):
    """The same within this process: for what is refused before anything is opened."""
    result = CliRunner().invoke(typer.main.get_command(app), [str(word) for word in words])
    told = f"{result.exception}\n" if isinstance(result.exception, NenghaoError) else ""
    return Run(result.exit_code, result.stdout, result.stderr + told)


def run(*words, **more):
    return asyncio.run(nenghao(*words, **more))
