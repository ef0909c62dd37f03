"""Process: a pid -> the processor time it took and the most memory it ever had, from /proc.

Processor time is what is compared: on a shared machine the wall clock says more about the
neighbours.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Usage(Struct, frozen=True, kw_only=True):
    """What a process used between two looks.

    Attributes:
        cpu_s: user and system seconds.
        peak_mb: VmHWM, since the process began.
    """

    cpu_s: float
    peak_mb: float
    wall_s: float

    def per_million(self, values: float) -> float:
        return self.cpu_s / values * 1e6

    @property
    def share(self) -> float:
        """Of one core, in per cent."""
        return self.cpu_s / self.wall_s * 100


def cpu_s(pid: int) -> float:
    """User and system seconds so far; of a zombie too."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def peak_mb(pid: int) -> float:
    """The most memory it ever had."""
    return _status_mb(pid, "VmHWM:")


def rss_mb(pid: int) -> float:
    """The memory it has now."""
    return _status_mb(pid, "VmRSS:")


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


class Watch:
    """Counts from its making until each look."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._began_s = time.monotonic()
        self._cpu_s = {name: cpu_s(pid) for name, pid in self._pids.items()}

    def look(self) -> dict[str, Usage]:
        wall_s = time.monotonic() - self._began_s
        return {
            name: Usage(cpu_s=cpu_s(pid) - self._cpu_s[name], peak_mb=peak_mb(pid), wall_s=wall_s)
            for name, pid in self._pids.items()
        }


def cpu_s_at_end(pid: int, within_s: float = 60.0) -> float:
    """Wait until a child has ended and say what it took in all; it stays to be reaped."""
    until = time.monotonic() + within_s
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > until:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            raise TimeoutError(f"process {pid} did not end within {within_s:.0f} s:\n{status}")
        time.sleep(0.05)
    return cpu_s(pid)
