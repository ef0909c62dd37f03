"""Phase: when a meter answers within its cycle -> days on which its clock drifts.

Meters are read at walls of the clock: at each full minute, quarter, hour. Whose clock runs fast or
slow answers a little later, or earlier, every day. One shift is a changed bus or a clock that was
set; the same shift day after day is drift. What it measured counts; only its time is in doubt.
"""

import numpy as np
from msgspec import structs

from collector.settle.cells import DAY_MS, SHANGHAI_MS
from collector.settle.rule import Rule, bit
from collector.settle.series import Course, Floats, Ints, Mask

_CYCLES_MS = np.array([60, 300, 600, 900, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200]) * 1000
_NEAR = 0.02  # of the cycle, so far the usual step may be from it
_A_DAY = 48  # readings looked at
_TIGHT = 0.9  # length of a day's mean direction; 1: always the same instant of the cycle
_DAYS = 3  # shifts in a row
_LEAST_MS, _MOST_MS = 1_000, 600_000  # a shift a day
_ALIKE = 2.5  # the largest of them against the smallest


def flag_drift(course: Course) -> Course:
    """Mark the legs of days on which the time within the cycle moves steadily."""
    days, drifting = drifting_days(course.at_ms)
    if not drifting.any():
        return course
    day_of = (course.at_ms[:-1] + SHANGHAI_MS) // DAY_MS
    flag = np.where(np.isin(day_of, days[drifting]), bit(Rule.DRIFT), 0)
    return structs.replace(course, rules=course.rules | flag)


def doubtful_days(at_ms: Ints) -> Ints:
    """Days in Shanghai that are shifted against the one before: a week around tells."""
    days, _, moves = _shifts(at_ms)
    return days[1:][moves]


def drifting_days(at_ms: Ints) -> tuple[Ints, Mask]:
    """Days in Shanghai (counted since the epoch) that have readings, and which of them drift."""
    days, shift, moves = _shifts(at_ms)
    return days, _steady(shift, moves)


def _shifts(at_ms: Ints) -> tuple[Ints, Floats, Mask]:
    """How the time within the cycle moves from day to day.

    Returns:
        n days; by how many ms each but the first is later than the one before; whether that is more
        than jitter and less than another schedule.
    """
    none = np.zeros(1, np.int64), np.empty(0), np.empty(0, np.bool_)
    if len(at_ms) < _DAYS * 2:
        return none
    usual = float(np.median(np.diff(at_ms)))
    cycle = int(_CYCLES_MS[np.argmin(np.abs(_CYCLES_MS - usual))])
    if abs(usual - cycle) > _NEAR * cycle:
        return none
    thin = at_ms[:: max(1, round(DAY_MS / usual / _A_DAY))]
    days, first = np.unique((thin + SHANGHAI_MS) // DAY_MS, return_index=True)
    turn = 2j * np.pi * (thin % cycle) / cycle
    mean = np.add.reduceat(np.exp(turn), first) / np.diff(np.append(first, len(thin)))
    shift = np.angle(mean[1:] / mean[:-1]) / (2 * np.pi) * cycle
    sound = (np.abs(mean) >= _TIGHT) & (np.append(0, np.diff(days)) <= 1)
    moves = sound[1:] & sound[:-1] & (np.abs(shift) >= _LEAST_MS) & (np.abs(shift) <= _MOST_MS)
    return days, shift, moves


def _steady(shift: Floats, moves: Mask) -> Mask:
    """Days between which at least `_DAYS` shifts in a row go the same way by about as much."""
    found = np.zeros(len(shift) + 1, np.bool_)
    size = np.abs(shift)
    for start in range(len(shift) - _DAYS + 1):
        there = slice(start, start + _DAYS)
        same = abs(int(np.sign(shift[there]).sum())) == _DAYS
        if moves[there].all() and same and size[there].max() <= _ALIKE * size[there].min():
            found[start : start + _DAYS + 1] = True
    return found
