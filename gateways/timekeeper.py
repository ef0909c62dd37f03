"""Timekeeper: the machine's clocks + what vouches for them -> a time, and how sure it is.

A box without a battery starts in 1970 and learns the time minutes later. Until something vouches
for its clock, readings wait unsealed; then they are re-stamped from the monotonic clock, which ran
all along. Design section 5, rule 8.
"""

from collections.abc import Callable

from metering.batch import ClockState
from metering.clock import Clock


class Timekeeper:
    """A `Clock` that knows whether to believe itself.

    It is vouched for by NTP (the kernel says so), by the operator (`trust_rtc`), or by a fresh
    commit's `now`; a commit serves only while nothing better does.
    """

    def __init__(self, clock: Clock, vouched: Callable[[], ClockState]) -> None:
        self._clock = clock
        self._vouched = vouched
        self._commit_offset_ms: int | None = None

    @property
    def state(self) -> ClockState:
        state = self._vouched()
        if state is ClockState.UNSYNCED and self._commit_offset_ms is not None:
            return ClockState.COMMIT
        return state

    def learn(self, commit_now_ms: int) -> None:
        """A commit came just now, not from the broker's memory: it tells the time."""
        self._commit_offset_ms = commit_now_ms - self._clock.monotonic_ms()

    def now_ms(self) -> int:
        if self.state is ClockState.COMMIT and self._commit_offset_ms is not None:
            return self._clock.monotonic_ms() + self._commit_offset_ms
        return self._clock.now_ms()

    def monotonic_ms(self) -> int:
        return self._clock.monotonic_ms()

    def real_s(self, wall_ms: int) -> float:
        return self._clock.real_s(wall_ms)

    def restamp(self, monotonic_ms: int) -> int:
        """The time, as known now, of an instant of this boot's monotonic clock."""
        return self.now_ms() - (self.monotonic_ms() - monotonic_ms)
