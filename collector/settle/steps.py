"""Steps: readings of a counter -> which steps between neighbours need a second look.

Cheap and local: what a step is called depends on the readings around it alone, so that every window
that holds them says the same. Nothing is decided here.
"""

import numpy as np
from msgspec import Struct

from collector.settle.series import Floats, Ints, Mask

_HOUR_MS = 3_600_000
_AROUND = 24  # steps to each side that a step is compared with
_FAR_ABOVE = 10.0  # times the highest rate around
_ABOVE_BEFORE = 4.0
_RISES = 512  # of the smallest rises, to tell the resolution from
_FEW_STEPS = 4  # times the register's resolution: below that nothing is a jump
_FALLS = 4  # of a stretch that sinks
_PARTNERS_WITHIN = 400  # readings that one glitch may last


class Steps(Struct, frozen=True, kw_only=True):
    """n - 1 steps between n readings.

    Attributes:
        fall: the counter went back.
        partner: the rise that goes with a fall, if the fall is a spike's end or a glitch's start.
        leap: a rise beyond twice the rated power, or far above everything around; of many in a row
            the first.
        sinking: falls, and steps that stand still between them, of a stretch that falls many times
            and never rises: a counter that runs backwards.
        resolution: the step of the register's last digit, in millionths of the unit, as far as the
            rises show it; 1 if there is none.
    """

    fall: Mask
    partner: Mask
    leap: Mask
    sinking: Mask
    resolution: int

    @property
    def odd(self) -> Mask:
        """Steps that cut the readings into pieces."""
        return np.asarray((self.fall & ~self.sinking) | self.partner | self.leap | self._edges)

    @property
    def _edges(self) -> Mask:
        """The steps to and from a sinking stretch: its readings are a piece of their own."""
        edges = np.zeros_like(self.sinking)
        change = np.flatnonzero(np.diff(self.sinking.astype(np.int8)))
        edges[np.where(self.sinking[change], change + 1, change)] = True
        return edges


def steps_of(at_ms: Ints, value: Ints, rated_per_hour: int | None) -> Steps:
    """Look at each step between neighbours.

    Args:
        at_ms: n instants, strictly increasing.
        value: n readings in millionths of the unit.
        rated_per_hour: what the counter gains in an hour at rated load; None: not known.
    """
    rise = np.diff(value)
    resolution = resolution_of(rise)
    fall = rise < 0
    sinking = _sinking(rise)
    lone = np.flatnonzero(fall & ~sinking)
    partner, between = _partners(value, lone)
    rate = np.maximum(rise, 0) / np.diff(at_ms)
    # A spike, its way up and the way back of a glitch are no measure for the steps beside them.
    calm = np.where(partner | between, 0.0, rate)
    if rated_per_hour is not None:
        allowed = 2 * rated_per_hour / _HOUR_MS * np.diff(at_ms) + 2 * resolution
        leap = rise > allowed
        if leap.any():
            leap &= _first_of_many(rate, calm) & ~_up_there(rate, partner, fall)
    else:
        beside = highest_around(calm)
        if between.any():  # within a run of its own height nothing is a leap
            beside = np.where(between, highest_around(rate), beside)
        leap = (rate > _FAR_ABOVE * beside) & (rise > _FEW_STEPS * resolution)
    return Steps(fall=fall, partner=partner, leap=leap, sinking=sinking, resolution=resolution)


def resolution_of(rise: Ints) -> int:
    """The greatest common divisor of the smaller rises: the larger may be anything."""
    positive = rise[rise > 0]
    if not len(positive):
        return 1
    few = min(_RISES, (len(positive) + 1) // 2)
    return int(np.gcd.reduce(np.partition(positive, few - 1)[:few]))


def _sinking(rise: Ints) -> Mask:
    """Stretches between two rises in which the counter falls at least `_FALLS` times."""
    edges = np.flatnonzero(rise > 0)
    starts = np.concatenate(([0], edges + 1))
    falls = np.concatenate(([0], np.cumsum(rise < 0)))
    ends = np.concatenate((edges, [len(rise)]))
    found = np.zeros(len(rise), np.bool_)
    many = falls[ends] - falls[starts] >= _FALLS
    for start, end in zip(starts[many].tolist(), ends[many].tolist(), strict=True):
        found[start:end] = True
    return found


def _first_of_many(rate: Floats, calm: Floats) -> Mask:
    """Far above the steps before it; a counter read in another unit leaps at every step."""
    padded = np.concatenate((np.zeros(_AROUND), calm))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _AROUND)[: len(rate)]
    return np.asarray(rate > _ABOVE_BEFORE * windows.max(axis=1))


def _up_there(rate: Floats, partner: Mask, fall: Mask) -> Mask:
    """Steps soon after the way up of a spike or of a run in another unit, before its way down."""
    place = np.arange(len(rate))
    up = np.maximum.accumulate(np.where(partner, place, -1))
    down = np.maximum.accumulate(np.where(fall, place, -1))
    near = (up > down) & (up < place) & (place - up <= _AROUND)
    return np.asarray(near & (rate <= _ABOVE_BEFORE * rate[np.maximum(up, 0)]))


def highest_around(rate: Floats) -> Floats:
    """The highest of the steps to both sides of each, itself left out; 0 where there is none.

    Two running maxima of fixed width (van Herk): linear in the number of steps.
    """
    count = len(rate)
    if not count:
        return rate
    blocks = -(-count // _AROUND)
    padded = np.zeros((blocks + 2) * _AROUND)
    padded[_AROUND : _AROUND + count] = rate
    grid = padded.reshape(-1, _AROUND)
    forward = np.maximum.accumulate(grid, axis=1).ravel()
    backward = np.maximum.accumulate(grid[:, ::-1], axis=1)[:, ::-1].ravel()
    here = np.arange(_AROUND, _AROUND + count)
    # The window [here - AROUND, here - 1], and [here + 1, here + AROUND].
    left = np.maximum(backward[here - _AROUND], forward[here - 1])
    last = np.minimum(here + _AROUND, len(padded) - 1)
    right = np.maximum(backward[np.minimum(here + 1, len(padded) - 1)], forward[last])
    return np.asarray(np.maximum(left, right))


def _partners(value: Ints, falls: Ints) -> tuple[Mask, Mask]:
    """For each fall the rise before it that it undoes, and the rise after it that undoes it.

    And the steps between such a rise and the fall after it, if they are few.
    """
    partner = np.zeros(len(value) - 1, np.bool_)
    between = np.zeros(len(value) - 1, np.bool_)
    for step in falls.tolist():
        low, high = value[step + 1], value[step]
        before = value[max(0, step + 1 - _PARTNERS_WITHIN) : step + 1]
        under = np.flatnonzero(before <= low)
        if len(under):
            rise = step - (len(before) - 1 - int(under[-1]))
            partner[rise] = True
            between[max(rise + 1, step - _AROUND) : step] = step - rise <= _AROUND
        after = value[step + 1 : step + 1 + _PARTNERS_WITHIN]
        over = np.flatnonzero(after >= high)
        if len(over):
            partner[step + int(over[0])] = True
    return partner, between


def stands_still(value: Ints) -> Ints:
    """For each of n readings the place of the first one of its run of equal values."""
    new = np.concatenate(([True], np.diff(value) != 0))
    return np.maximum.accumulate(np.where(new, np.arange(len(value)), 0))
