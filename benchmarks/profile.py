"""Profile: a running process -> where its time goes, by part of the software, from py-spy."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.figure import Profile

_RATE = 1000  # samples a second: a gateway is busy in one of sixty
_LEAST = 0.01  # parts below that share are summed up
_OURS = ("gateways", "collector", "metering", "link", "nenghao", "documents")
_LIBRARIES = (
    "pymodbus",
    "paho",
    "sqlalchemy",
    "influxdb_client",
    "urllib3",
    "prometheus_client",
    "httpx",
    "uvicorn",
    "structlog",
    "numpy",
    "duckdb",
)
_STANDARD = ("asyncio", "selectors", "threading", "concurrent", "sqlite3", "http", "socket", "json")


def profile(process: str, pid: int, seconds: float, folder: Path) -> Profile | None:
    """Look at a process for a while; None where py-spy is missing or may not look."""
    program = Path(sys.executable).with_name("py-spy")
    found = str(program) if program.exists() else shutil.which("py-spy")
    if found is None:
        return None
    file = folder / f"{process}.folded"
    command = [found, "record", "--pid", str(pid), "--duration", str(round(seconds))]
    # Only what holds the interpreter: a thread that waits looks busy to py-spy in many containers.
    # Nothing is stopped for a look: a torn stack now and then is no harm, a halted process is.
    command += [
        "--nonblocking",
        "--gil",
        "--rate",
        str(_RATE),
        "--format",
        "raw",
        "--output",
        str(file),
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or not file.exists():
        return None
    return folded(process, file.read_text(encoding="utf-8"))


def folded(process: str, text: str) -> Profile:
    """Each sample counts for the innermost frame that has a name here."""
    counts: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        counts[_part(stack.split(";"))] += int(count)
    total = sum(counts.values()) or 1
    large = {part: n for part, n in counts.items() if n / total >= _LEAST}
    rest = total - sum(large.values())
    ordered = sorted(large.items(), key=lambda item: -item[1])
    shares = [(part, n / total) for part, n in ordered]
    return Profile(process=process, shares=(*shares, ("…", rest / total)))


def _part(frames: list[str]) -> str:
    for frame in reversed(frames):
        part = _name(frame)
        if part is not None:
            return part
    return "Python"


def _name(frame: str) -> str | None:
    """`read (gateways/adapters/modbus.py:101)` is `gateways/adapters/modbus`."""
    path = frame.rpartition("(")[2].rpartition(":")[0].removesuffix(".py")
    parts = path.split("/")
    for place, part in enumerate(parts):
        if part in _OURS and "site-packages" not in parts:
            return "/".join(parts[place:])
        if part in _LIBRARIES:
            return part
    for part in parts:
        if part in _STANDARD:
            return part
    return None
