"""Pace: days before and after a break -> how much a counter's pace must have changed there.

Only days tell, a building runs ten times faster by noon than by night; and they tell the more the
less they differ among themselves. A counter that stands for weeks and then runs for an afternoon
has no pace that anything could contradict.
"""

import numpy as np
from msgspec import Struct

from collector.settle.bounds import AROUND_MS, DAY_MS, HOUR_MS
from collector.settle.series import Floats, Ints, Mask

_PART_MS = 6 * HOUR_MS  # of a day: less says nothing
_STEADY = 0.4  # decades that days differ by, at least: holidays, weather
_PART = 1.0  # part of a day
_SPREADS = 2.5  # of the days' own differences: chance


class Pace(Struct, frozen=True):
    """Decimal logarithms of millionths a day.

    Attributes:
        level: of a usual day, as read.
        within: how far another day may well be from it.
    """

    level: float
    within: float


class Paces:
    """How a counter runs before and after a reading, odd steps left out.

    Args:
        odd: n - 1 steps between n readings that do not count.
        resolution: what a day without any consumption counts as.
    """

    def __init__(self, at_ms: Ints, value: Ints, odd: Mask, resolution: int) -> None:
        rise = np.maximum(np.diff(value), 0)
        self._at: Floats = at_ms.astype(np.float64)
        self._moved: Floats = np.concatenate(([0.0], np.cumsum(np.where(odd, 0, rise))))
        self._least = float(resolution)

    def after(self, first: int, last: int) -> Pace | None:
        """In the week after the reading `first`, up to `last`; None if nothing is known."""
        since, until = self._at[first], min(self._at[last], self._at[first] + AROUND_MS)
        if until - since < _PART_MS:
            return None
        return self._between(np.arange(since, until + 1, DAY_MS), since, until)

    def before(self, first: int, last: int) -> Pace | None:
        """In the week before the reading `last`, from `first` on."""
        until, since = self._at[last], max(self._at[first], self._at[last] - AROUND_MS)
        if until - since < _PART_MS:
            return None
        return self._between(np.arange(until, since - 1, -DAY_MS)[::-1], since, until)

    def _between(self, edges: Floats, since: float, until: float) -> Pace | None:
        if len(edges) > 1:
            gains = np.diff(np.interp(edges, self._at, self._moved))
            if not gains.any():
                return None
            levels = np.log10(np.maximum(gains, self._least))
            within = max(_STEADY, _SPREADS * float(levels.std())) if len(levels) > 1 else _PART
            return Pace(float(np.median(levels)), within)
        gain = float(np.diff(np.interp([since, until], self._at, self._moved))[0])
        if not gain:
            return None
        return Pace(float(np.log10(gain / (until - since) * DAY_MS)), _PART)


class Shift(Struct, frozen=True):
    """How a counter's pace, as read, changed at a break.

    Attributes:
        decades: faster; less than 0: slower.
        within: so much it may well be for no reason.
    """

    decades: float
    within: float

    def beyond(self, power: int) -> float:
        """How much more than usual, in units of what is usual, if readings rose by a power of ten.

        0: it is as it was.
        """
        return max(0.0, abs(self.decades - power) / self.within - 1.0)

    def shows(self, power: int) -> bool:
        """Whether it changed rather by that power of ten than not at all."""
        return abs(self.decades - power) < abs(self.decades)


def shift(before: Pace | None, after: Pace | None) -> Shift | None:
    if before is None or after is None:
        return None
    return Shift(after.level - before.level, max(before.within, after.within))
