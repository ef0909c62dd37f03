"""Timekeeper: the machine's clocks + what vouches for them -> a time, and how sure it is.

A box without a battery starts in 1970 and learns the time minutes later. Until something vouches
for its clock, readings wait unsealed; then they are re-stamped from the monotonic clock, which ran
all along. Design section 5, rule 8.
"""

from collections.abc import Callable

from msgspec import Struct

from metering.batch import ClockState
from metering.clock import Clock

_SET_MS = 1_000  # a clock that gains or loses more than this between two looks was set


class Stamp(Struct, frozen=True, kw_only=True):
    """An instant by both clocks, and who vouched for the wall clock then."""

    at_ms: int
    monotonic_ms: int
    clock: ClockState


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

    def stamp(self) -> Stamp:
        # Who vouches is asked first: a clock set right after that is re-stamped in vain, at worst.
        clock = self.state
        monotonic_ms = self._clock.monotonic_ms()
        at_ms = self._clock.now_ms()
        if clock is ClockState.COMMIT and self._commit_offset_ms is not None:
            at_ms = monotonic_ms + self._commit_offset_ms
        return Stamp(at_ms=at_ms, monotonic_ms=monotonic_ms, clock=clock)

    def now_ms(self) -> int:
        return self.stamp().at_ms

    def monotonic_ms(self) -> int:
        return self._clock.monotonic_ms()

    def real_s(self, wall_ms: int) -> float:
        return self._clock.real_s(wall_ms)

    def restamp(self, monotonic_ms: int) -> int:
        """The time, as known now, of an instant of this boot's monotonic clock."""
        return self.now_ms() - (self.monotonic_ms() - monotonic_ms)

    def was_set_since(self, before: Stamp) -> bool:
        """Whether the wall clock was set since, or the machine slept."""
        now = self.stamp()
        passed_ms = self.real_s(now.at_ms - before.at_ms) * 1000
        return abs(passed_ms - (now.monotonic_ms - before.monotonic_ms)) > _SET_MS


class Stamps:
    """A `Clock` for one bus that remembers by which clocks it told each instant.

    The wall clock may be set between a meter's answer and the moment its reading is kept. What a
    reading was stamped by is therefore asked when it is stamped, never afterwards.
    """

    def __init__(self, time: Timekeeper) -> None:
        self._time = time
        self._told: dict[int, Stamp] = {}

    def now_ms(self) -> int:
        stamp = self._time.stamp()
        self._told[stamp.at_ms] = stamp
        return stamp.at_ms

    def monotonic_ms(self) -> int:
        return self._time.monotonic_ms()

    def real_s(self, wall_ms: int) -> float:
        return self._time.real_s(wall_ms)

    def take(self, at_ms: int) -> Stamp:
        """The stamp told as `at_ms`; what was told before is forgotten."""
        told, self._told = self._told, {}
        return told[at_ms]
