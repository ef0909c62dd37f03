"""Clock: real time -> the time that readings live in.

Two times run in every process. *Wall time* stamps readings and decides plausibility; it can be
replayed from any start at any speed, so that a year of load passes in minutes and every rate stays
real. *Monotonic time* drives timers (re-sends, back-off, timeouts) and always runs at speed one.
"""

import time
from typing import Protocol

from msgspec import Struct


class Clock(Protocol):
    """Where "now" comes from; handed in, never imported."""

    def now_ms(self) -> int:
        """Wall time: epoch milliseconds, UTC."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since an arbitrary instant; never steps, never scaled."""
        ...

    def real_s(self, wall_ms: int) -> float:
        """How many real seconds `wall_ms` of wall time take."""
        ...


class SystemClock:
    """The machine's own clock at speed one."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def real_s(self, wall_ms: int) -> float:
        return wall_ms / 1000


class ClockStep(Struct, frozen=True, kw_only=True):
    """Somebody sets a clock: from `at_ms` on it shows `by_ms` more, or less.

    `at_ms` is in the replayed time as it runs without any step, so that a clock which is set back
    does not come to the same step again.
    """

    at_ms: int
    by_ms: int


class Replay(Struct, frozen=True, kw_only=True):
    """A replayed wall time that several processes share.

    `start_ms` is the wall time (epoch ms) at the real instant `anchor_ms` (epoch ms);
    `speed` is wall seconds per real second; `steps` add up, in any order.
    """

    start_ms: int
    anchor_ms: int
    speed: float = 1.0
    steps: tuple[ClockStep, ...] = ()


class ReplayClock:
    """Wall time by a `Replay`; every process with the same `Replay` sees the same time.

    Only wall time has steps: monotonic time runs through them.
    """

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        # The real clock is read once: a step of it must not tear the replayed time.
        self._origin_ns = _monotonic_of(replay.anchor_ms)

    def now_ms(self) -> int:
        elapsed_ns = time.monotonic_ns() - self._origin_ns
        at_ms = self._replay.start_ms + int(elapsed_ns * self._replay.speed) // 1_000_000
        if not self._replay.steps:
            return at_ms
        return at_ms + sum(step.by_ms for step in self._replay.steps if step.at_ms <= at_ms)

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def real_s(self, wall_ms: int) -> float:
        return wall_ms / 1000 / self._replay.speed


def _monotonic_of(anchor_ms: int) -> int:
    """The monotonic time, in ns, of a real instant.

    Of several readings of both clocks the tightest counts: at 50,000 times the speed, two
    milliseconds of preemption in between would be two minutes.
    """
    samples = []
    for _ in range(9):
        before_ns = time.monotonic_ns()
        wall_ns = time.time_ns()
        after_ns = time.monotonic_ns()
        samples.append((after_ns - before_ns, (before_ns + after_ns) // 2 - wall_ns))
    _, offset_ns = min(samples)
    return anchor_ms * 1_000_000 + offset_ns
