"""Load: an instant -> a rate (kW, m³/h) and how much has been taken and given until then.

Totals are integrals, known in closed form for every instant: a simulation can run at any speed, be
asked at any time, and start again without a counter falling.
"""

from array import array
from collections.abc import Sequence
from itertools import accumulate
from math import cos, pi, sin
from typing import Protocol

from gateways.simulator.chance import between
from gateways.simulator.shape import HOURS, Consumer, levels

HOUR_MS = 3_600_000
LOCAL_MS = 8 * HOUR_MS  # Asia/Shanghai, no summer time


Surge = tuple[int, int, float]  # from_ms, to_ms, how much more per hour


class Load(Protocol):
    """What flows through a meter; positive is taken from the grid."""

    def rate(self, at_ms: int) -> float:
        """Per hour."""
        ...

    def rate_until(self, at_ms: int) -> float:
        """The rate just before, which differs where it jumps."""
        ...

    def taken(self, at_ms: int) -> float:
        """The integral of the positive rate since the beginning."""
        ...

    def given(self, at_ms: int) -> float:
        """The integral of the negative rate since the beginning."""
        ...

    def gives(self) -> bool:
        """Whether the rate is ever negative."""
        ...

    def is_silent(self, at_ms: int) -> bool:
        """Whether the meter says nothing at that time."""
        ...


class CurveLoad:
    """A consumer's curve: linear between hours, with a ripple that is nought over each hour."""

    def __init__(self, consumer: Consumer, since_ms: int, *, ripples: bool = True) -> None:
        """Take over a consumer; `since_ms` is the beginning of a local day."""
        self._consumer = consumer
        self._since_ms = since_ms
        self._day = (since_ms + LOCAL_MS) // (HOURS * HOUR_MS)
        self._ripples = round(between(consumer.seed, 1, 3, 8))
        self._height = between(consumer.seed, 2, 0.01, 0.05) if ripples else 0.0
        # The rate at the beginning of each hour since, and what was taken until then.
        self._levels = array("d")
        self._totals = array("d")

    def rate(self, at_ms: int) -> float:
        hour, share = self._hour(at_ms)
        here, there = self._levels[hour], self._levels[hour + 1]
        ripple = self._height * min(here, there)
        return here + (there - here) * share + ripple * sin(2 * pi * self._ripples * share)

    def rate_until(self, at_ms: int) -> float:
        return self.rate(at_ms)

    def taken(self, at_ms: int) -> float:
        hour, share = self._hour(at_ms)
        here, there = self._levels[hour], self._levels[hour + 1]
        wave = 2 * pi * self._ripples
        ripple = self._height * min(here, there) * (1 - cos(wave * share)) / wave
        return self._totals[hour] + here * share + (there - here) * share * share / 2 + ripple

    def given(self, at_ms: int) -> float:  # noqa: ARG002 - a consumer never gives
        return 0.0

    def gives(self) -> bool:
        return False

    def is_silent(self, at_ms: int) -> bool:  # noqa: ARG002 - a curve always answers
        return False

    def _hour(self, at_ms: int) -> tuple[int, float]:
        """Which hour since the beginning, and how much of it has passed."""
        hour, rest_ms = divmod(max(0, at_ms - self._since_ms), HOUR_MS)
        while hour + 1 >= len(self._levels):
            self._add_day()
        return hour, rest_ms / HOUR_MS

    def _add_day(self) -> None:
        for here in levels(self._consumer, self._day):
            mean = (self._levels[-1] + here) / 2 if self._levels else 0.0
            self._totals.append(self._totals[-1] + mean if self._totals else 0.0)
            self._levels.append(here)
        self._day += 1


class SurgedLoad:
    """A consumer that now and then takes more."""

    def __init__(self, usual: Load, surges: Sequence[Surge]) -> None:
        self._usual = usual
        self._surges = tuple(surges)

    def rate(self, at_ms: int) -> float:
        extra = sum(extra for begin, end, extra in self._surges if begin <= at_ms < end)
        return self._usual.rate(at_ms) + extra

    def rate_until(self, at_ms: int) -> float:
        extra = sum(extra for begin, end, extra in self._surges if begin < at_ms <= end)
        return self._usual.rate_until(at_ms) + extra

    def taken(self, at_ms: int) -> float:
        extra = sum(
            extra * (min(at_ms, end) - begin) for begin, end, extra in self._surges if begin < at_ms
        )
        return self._usual.taken(at_ms) + extra / HOUR_MS

    def given(self, at_ms: int) -> float:
        return self._usual.given(at_ms)

    def gives(self) -> bool:
        return self._usual.gives()

    def is_silent(self, at_ms: int) -> bool:
        return self._usual.is_silent(at_ms)


class TurnedLoad:
    """A generator: what it makes is given."""

    def __init__(self, made: Load) -> None:
        self._made = made

    def rate(self, at_ms: int) -> float:
        return -self._made.rate(at_ms)

    def rate_until(self, at_ms: int) -> float:
        return -self._made.rate_until(at_ms)

    def taken(self, at_ms: int) -> float:
        return self._made.given(at_ms)

    def given(self, at_ms: int) -> float:
        return self._made.taken(at_ms)

    def gives(self) -> bool:
        return True

    def is_silent(self, at_ms: int) -> bool:
        return self._made.is_silent(at_ms)


class SumLoad:
    """A main: what is behind it, and losses in proportion.

    Where something behind it gives, the sum changes its sign within hours. The loads behind must
    then be linear within each local hour, so that the part below nought is known exactly.
    """

    def __init__(self, behind: Sequence[Load], losses: float, since_ms: int) -> None:
        self._behind = tuple(behind)
        self._factor = 1 + losses
        self._givers = tuple(load for load in behind if load.gives())
        self._since_ms = since_ms
        self._hours = [0.0]  # given until each full hour since then

    def rate(self, at_ms: int) -> float:
        return self._factor * sum(load.rate(at_ms) for load in self._behind)

    def rate_until(self, at_ms: int) -> float:
        return self._factor * sum(load.rate_until(at_ms) for load in self._behind)

    def taken(self, at_ms: int) -> float:
        # What was not given must have been taken: import - export is the sum behind, exactly.
        net = sum(load.taken(at_ms) - load.given(at_ms) for load in self._behind)
        return self._factor * net + self.given(at_ms)

    def given(self, at_ms: int) -> float:
        if not self._givers:
            return 0.0
        at_ms = max(at_ms, self._since_ms)
        hour = (at_ms - self._since_ms) // HOUR_MS
        while len(self._hours) <= hour:
            end_ms = self._since_ms + len(self._hours) * HOUR_MS
            self._hours.append(self._hours[-1] + self._below(end_ms - HOUR_MS, end_ms))
        return self._hours[hour] + self._below(self._since_ms + hour * HOUR_MS, at_ms)

    def gives(self) -> bool:
        return bool(self._givers)

    def is_silent(self, at_ms: int) -> bool:  # noqa: ARG002 - a main answers whoever is silent
        return False

    def _below(self, from_ms: int, to_ms: int) -> float:
        """What is given in a part of an hour, in which the rate is linear."""
        if all(g.rate(from_ms) >= 0 and g.rate_until(to_ms) >= 0 for g in self._givers):
            return 0.0
        first, last = self.rate(from_ms), self.rate_until(to_ms)
        hours = (to_ms - from_ms) / HOUR_MS
        if first >= 0 and last >= 0:
            return 0.0
        if first <= 0 and last <= 0:
            return -(first + last) / 2 * hours
        below = min(first, last)
        return below * below / (abs(first) + abs(last)) / 2 * hours


class ReplayedLoad:
    """A measured series: what was taken in each hour from `first_ms` on; none = silent."""

    def __init__(self, first_ms: int, hours: Sequence[float | None]) -> None:
        self._first_ms = first_ms
        self._hours = tuple(hours)
        self._totals = (0.0, *accumulate(hour or 0.0 for hour in self._hours))

    def rate(self, at_ms: int) -> float:
        return self._hour_at(at_ms) or 0.0

    def rate_until(self, at_ms: int) -> float:
        return self._hour_at(at_ms - 1) or 0.0

    def taken(self, at_ms: int) -> float:
        index, rest_ms = divmod(at_ms - self._first_ms, HOUR_MS)
        if index < 0:
            return 0.0
        if index >= len(self._hours):
            return self._totals[-1]
        return self._totals[index] + (self._hours[index] or 0.0) * rest_ms / HOUR_MS

    def given(self, at_ms: int) -> float:  # noqa: ARG002 - the series are consumption
        return 0.0

    def gives(self) -> bool:
        return False

    def is_silent(self, at_ms: int) -> bool:
        return self._hour_at(at_ms) is None

    def _hour_at(self, at_ms: int) -> float | None:
        index = (at_ms - self._first_ms) // HOUR_MS
        return self._hours[index] if 0 <= index < len(self._hours) else None
