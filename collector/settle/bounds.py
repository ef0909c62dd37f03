"""Bounds: a counter and the readings around -> how much it can have gained in a time.

The fleet's rated power says it (二次验证: twice of it is the end of what is believed). Where the
fleet does not, the counter's own habit does: several times the third highest rate of the days
around, so that one or two wrong steps do not make themselves believed. A counter that hardly moves
has no habit, and everything is believed.
"""

from math import inf

import numpy as np
from msgspec import Struct, structs

from collector.settle.register import Register
from collector.settle.series import Floats, Ints, Mask
from collector.settle.steps import Steps

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
AROUND_MS = 7 * DAY_MS
_HABIT = 5.0  # times the third highest rate around; engineering default
_HABIT_STEPS = 24  # rises needed to know a habit
_RANK = 3
_FEW_LEAPS = 0.03  # of all rises
_OFTEN = 5  # leaps in the fortnight


class Bound(Struct, frozen=True, kw_only=True):
    """The most that a counter can have gained.

    Attributes:
        per_ms: in a millisecond, in millionths of its unit; infinite: not known.
        slack: what rounding may add.
        usual: in a millisecond at a busy time: half the rated power, or the habit itself.
        habit: in a millisecond at a busy time, as read; infinite: not known.
        day: on a busy day, as read; infinite: not known.
        rated: `per_ms` is the fleet's word, in the counter's unit; else a habit's, as read.
    """

    per_ms: float
    slack: int
    usual: float = inf
    habit: float = inf
    day: float = inf
    rated: bool = False

    def allows(self, gain: float, span_ms: int) -> bool:
        """Whether `gain` millionths in `span_ms` can be; a loss cannot."""
        return 0 <= gain <= self.per_ms * span_ms + self.slack

    def allows_standing(self, gain: float, span_ms: int) -> bool:
        """The same where the counter stood still meanwhile: as much as it usually gains."""
        return self.allows(gain, span_ms) and self._in_days(gain, span_ms)

    def _in_days(self, gain: float, span_ms: int) -> bool:
        return gain <= _HABIT * self.day * (span_ms / DAY_MS + 1) + self.slack

    @property
    def known(self) -> bool:
        return self.per_ms != inf

    def beside(self, other: "Bound") -> "Bound":
        """What holds between two stretches: the habit of either, if neither is rated."""
        if self.rated or self.per_ms == other.per_ms or not other.known:
            return self
        if not self.known:
            return other
        return structs.replace(
            self,
            per_ms=max(self.per_ms, other.per_ms),
            usual=max(self.usual, other.usual),
            day=max(self.day, other.day),
        )

    def told(self, power: int) -> "Bound":
        """What holds for energy, where the readings are too high by a power of ten.

        There the habit counts even if the fleet's rating is known: told in another unit, a rating
        would let a counter leap a thousand times farther than it ever does.
        """
        if not power:
            return self
        factor = 10.0**-power
        most = self.per_ms if self.rated else inf
        return structs.replace(
            self,
            per_ms=min(most, _HABIT * self.habit * factor),
            usual=min(self.usual if self.rated else inf, self.habit * factor),
            day=self.day * factor,
        )


def bound_of(
    at_ms: Ints,
    value: Ints,
    steps: Steps,
    register: Register,
    span: slice,
    gauge: tuple[Ints, int] | None = None,
) -> Bound:
    """What holds for the readings `span`: from the fleet, or from a week to both sides.

    Args:
        gauge: for each reading by which power of ten it is too high against any other, and in
            which of these units the bound is wanted; None: all are in the same one.
    """
    slack = 2 * steps.resolution
    habit, day = _habit(at_ms, value, steps, span, gauge)
    if register.rated_per_hour is not None:
        rated = register.rated_per_hour / HOUR_MS
        return Bound(
            per_ms=2 * rated, slack=slack, usual=rated / 2, habit=habit, day=day, rated=True
        )
    return Bound(per_ms=_HABIT * habit, slack=slack, usual=habit, habit=habit, day=day)


def _habit(
    at_ms: Ints, value: Ints, steps: Steps, span: slice, gauge: tuple[Ints, int] | None
) -> tuple[float, float]:
    """In a busy millisecond, and on a busy day; infinite: not known."""
    first = int(np.searchsorted(at_ms, at_ms[span.start] - AROUND_MS))
    last = int(np.searchsorted(at_ms, at_ms[span.stop - 1] + AROUND_MS, side="right"))
    there = slice(first, max(first, last - 1))
    rise = np.diff(value[first:last])
    calm = ~(steps.fall[there] | steps.partner[there]) & (rise > 0)
    leap = steps.leap[there]
    at_ms = at_ms[first:last]
    if gauge is None:
        return _usual(at_ms, rise, calm, leap)
    # Rather from readings in the same unit; from the others, told in this one, if these are few.
    power = gauge[0][there] - gauge[1]
    own = _usual(at_ms, rise, calm & (power == 0), leap)
    return own if own[0] < inf else _usual(at_ms, rise / 10.0**power, calm, leap)


def _usual(at_ms: Ints, rise: Ints | Floats, calm: Mask, leap: Mask) -> tuple[float, float]:
    leaps = calm & leap
    many = leaps.sum() > max(_OFTEN, _FEW_LEAPS * calm.sum())
    steady = calm & ~leap
    if steady.sum() + (leaps.sum() if many else 0) < _HABIT_STEPS:
        return inf, inf
    every = rise / np.diff(at_ms)
    rates = every[steady]
    usual = float(np.partition(rates, -_RANK)[-_RANK]) if len(rates) >= _RANK else 0.0
    if many:
        # Then leaps are how this counter runs; a few of them may be wrong all the same.
        usual = max(usual, float(np.median(every[leaps])))
    days = (at_ms[1:] - at_ms[0]) // DAY_MS
    gains = np.bincount(days, np.where(calm, np.minimum(rise, usual * np.diff(at_ms)), 0.0))
    ranked = np.sort(gains)[::-1]
    return usual, float(ranked[_RANK - 1] if ranked[_RANK - 1 :].any() else ranked[0])


def pieces_of(odd: Mask) -> list[tuple[int, int]]:
    """Readings between odd steps: inclusive places (first, last) of each unbroken piece."""
    cuts = np.flatnonzero(odd)
    firsts = np.concatenate(([0], cuts + 1))
    lasts = np.concatenate((cuts, [len(odd)]))
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
