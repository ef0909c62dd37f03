"""`nenghao simulate`: a serial bus by a process of its own, and a clock that steps."""

import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import yaml

from gateways.library.folder import load_models
from gateways.simulator.document import read_document
from gateways.simulator.serve import serving
from nenghao.commands.simulate import make_simulation
from tests.gateways.simulator.master import connect

MODELS = load_models(Path(__file__).parents[3] / "config" / "meters")
URL = "serial:///dev/ttyS7?baudrate=9600&parity=E"
HOUR_MS = 3_600_000


def content(**more):
    meters = [{"id": "m1", "unit": 1, "model": "schneider_iem3155"}]
    cut = {"buses": [{"url": URL, "meters": meters}], "models": MODELS}
    return {"cuts": [cut], "ports": {URL: "pty"}, "log": "served.jsonl", **more}


def served(folder):
    return [json.loads(line) for line in (folder / "served.jsonl").read_text().splitlines()]


async def read_counter(master):
    master.ask(1, 0x0C83, 4, function=3)
    ((unit, pdu),) = await master.answers()
    assert (unit, pdu[:2]) == (1, b"\x03\x08")


@contextmanager
def simulating(file, ready):
    command = [sys.executable, "-m", "nenghao", "simulate", str(file), "--ready", str(ready)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(10) == 0


def test_a_serial_bus_is_served_on_a_pseudo_terminal_that_the_ready_file_names(tmp_path):
    file, ready = tmp_path / "simulate.yaml", tmp_path / "ready.json"
    file.write_text(yaml.safe_dump(content()), encoding="utf-8")

    async def read():
        async with asyncio.timeout(30):
            while not ready.exists():  # noqa: ASYNC110 - another process is awaited
                await asyncio.sleep(0.02)
        urls = json.loads(ready.read_text())
        master = await connect(urls[URL])
        await read_counter(master)
        master.close()
        return urls[URL]

    with simulating(file, ready):
        url = asyncio.run(read())

    assert url.startswith("serial:///dev/pts/")
    assert url.endswith("?baudrate=9600&parity=E")
    assert [line["meter"] for line in served(tmp_path)] == ["m1"]


def test_the_log_steps_with_the_clock_and_the_counter_does_not(tmp_path):
    start = datetime(2026, 7, 14, 4, tzinfo=UTC)
    clock = {
        "start": start.isoformat(),
        "anchor": datetime.now(UTC).isoformat(),
        "speed": 3600,  # an hour a second, so the step comes after one
        "steps": [{"at": (start + timedelta(hours=1)).isoformat(), "by_s": -10 * 24 * 3600}],
    }
    document = read_document(content(clock=clock))

    async def read():
        async with serving(make_simulation(document, tmp_path), document.ports) as urls:
            master = await connect(urls[URL])
            for _ in range(30):
                await read_counter(master)
                await asyncio.sleep(0.05)
            master.close()

    asyncio.run(read())

    stamps = [line["at"] for line in served(tmp_path)]
    counters = [line["values"]["energy_import_kwh"] for line in served(tmp_path)]
    back = [later - earlier for earlier, later in pairwise(stamps) if later < earlier]
    assert [step // (24 * HOUR_MS) for step in back] == [-10]
    assert counters == sorted(counters)
    assert counters[-1] > counters[0]
