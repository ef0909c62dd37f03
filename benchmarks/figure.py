"""Figure: one measured number, beside what was aimed at."""

import os
import platform
from pathlib import Path

from msgspec import Struct


class Figure(Struct, frozen=True, kw_only=True):
    """One line of the table.

    Attributes:
        section: which measurement it comes from.
        what: in Chinese and English, short.
        aim: the most (or, with `at_least`, the least) that was aimed at; None where it only tells.
        note: what a reader must know to judge the number.
    """

    section: str
    what: str
    value: float
    unit: str
    digits: int = 2
    aim: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        if self.aim is None:
            return None
        return self.value >= self.aim if self.at_least else self.value <= self.aim

    @property
    def text(self) -> str:
        return f"{self.value:,.{self.digits}f}"

    @property
    def aim_text(self) -> str:
        if self.aim is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {self.aim:,g}"


class Profile(Struct, frozen=True, kw_only=True):
    """Where a process's time went: shares of its processor time by part, the largest first."""

    process: str
    shares: tuple[tuple[str, float], ...]


class Result(Struct, frozen=True, kw_only=True):
    """What one measurement gave."""

    figures: tuple[Figure, ...]
    profiles: tuple[Profile, ...] = ()


def machine() -> str:
    """Processor, cores, Python: without them no number means anything."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    model = names[0] if names else platform.machine()
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model}, {cores} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )
