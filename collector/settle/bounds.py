"""Bounds: a counter and the readings around -> how much it can have gained in a time.

The fleet's rated power says it (二次验证: twice of it is the end of what is believed). Where the
fleet does not, the counter's own habit does: several times the third highest rate of the days
around, so that one or two wrong steps do not make themselves believed. A counter that hardly moves
has no habit, and everything is believed.
"""

from math import inf

import numpy as np
from msgspec import Struct

from collector.settle.register import Register
from collector.settle.series import Ints, Mask
from collector.settle.steps import Steps

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
AROUND_MS = 7 * DAY_MS
_HABIT = 5.0  # times the third highest rate around; engineering default
_HABIT_STEPS = 24  # rises needed to know a habit
_RANK = 3
_FEW_LEAPS = 0.03  # of all rises


class Bound(Struct, frozen=True, kw_only=True):
    """The most that a counter can have gained.

    Attributes:
        per_ms: in a millisecond, in millionths of its unit; infinite: not known.
        slack: what rounding may add.
        usual: in a millisecond at a busy time: half the rated power, or the habit itself.
    """

    per_ms: float
    slack: int
    usual: float = inf

    def allows(self, gain: float, span_ms: int) -> bool:
        """Whether `gain` millionths in `span_ms` can be; a loss cannot."""
        return 0 <= gain <= self.per_ms * span_ms + self.slack

    @property
    def known(self) -> bool:
        return self.per_ms != inf


def bound_of(at_ms: Ints, value: Ints, steps: Steps, register: Register, span: slice) -> Bound:
    """What holds for the readings `span`: from the fleet, or from a week to both sides."""
    if register.rated_per_hour is not None:
        rated = register.rated_per_hour / HOUR_MS
        return Bound(per_ms=2 * rated, slack=2 * steps.resolution, usual=rated / 2)
    first = int(np.searchsorted(at_ms, at_ms[span.start] - AROUND_MS))
    last = int(np.searchsorted(at_ms, at_ms[span.stop - 1] + AROUND_MS, side="right"))
    there = slice(first, max(first, last - 1))
    usual = ~(steps.fall[there] | steps.partner[there])
    every = np.diff(value[first:last]) / np.diff(at_ms[first:last])
    leaps = usual & steps.leap[there]
    if leaps.sum() <= _FEW_LEAPS * (usual & (every > 0)).sum():
        usual &= ~leaps  # where leaps are many they are how this counter runs
    rates = every[usual & (every > 0)]
    if len(rates) < _HABIT_STEPS:
        return Bound(per_ms=inf, slack=2 * steps.resolution)
    third = float(np.partition(rates, -_RANK)[-_RANK])
    return Bound(per_ms=_HABIT * third, slack=2 * steps.resolution, usual=third)


def pieces_of(odd: Mask) -> list[tuple[int, int]]:
    """Readings between odd steps: inclusive places (first, last) of each unbroken piece."""
    cuts = np.flatnonzero(odd)
    firsts = np.concatenate(([0], cuts + 1))
    lasts = np.concatenate((cuts, [len(odd)]))
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
