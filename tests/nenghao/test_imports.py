"""What a command imports: what is not needed costs neither start nor memory."""

import subprocess
import sys

import pytest

from tests.nenghao.process import ROOT

CENTRE = {"collector", "duckdb", "fastapi", "httpx", "influxdb_client", "numpy", "sqlalchemy"}


def imported(code: str) -> set[str]:
    """The top-level names that are there after `code`, in a process of its own."""
    names = "print(*{name.partition('.')[0] for name in sys.modules})"
    said = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{names}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    return set(said.split())


def test_what_speaks_to_a_bus_needs_nothing_of_the_centre():
    asked = """
from contextlib import redirect_stdout, suppress
from io import StringIO
from nenghao.__main__ import app
for command in ("models", "schema", "read", "probe"):
    with suppress(SystemExit), redirect_stdout(StringIO()):
        app(["meter", command, "--help"])
"""

    there = imported(asked)

    assert "gateways" in there
    assert not there & CENTRE


@pytest.mark.parametrize(
    ("store", "own", "other"),
    [
        (
            "DuckDbSettings(kind='duckdb', path=Path('readings.duckdb'))",
            "duckdb",
            "influxdb_client",
        ),
        (
            "InfluxSettings(kind='influxdb', url='http://127.0.0.1:1', org='o', bucket='b')",
            "influxdb_client",
            "duckdb",
        ),
    ],
)
def test_a_collector_needs_the_client_of_its_own_store_only(store, own, other, tmp_path):
    asked = f"""
from pathlib import Path
from collector import app
from collector.settings import DuckDbSettings, InfluxSettings
from collector.workshop import open_stores
readings, _ = open_stores({store}, Path({str(tmp_path)!r}))
readings.close()
"""

    there = imported(asked)

    assert own in there
    assert other not in there
