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
_SLOT_MS = DAY_MS // 48  # of each the first reading is looked at
_SCATTER = 0.07  # of the cycle, around a day's own line: more, and there is no schedule
_APART = 0.5  # days between two days' readings, on average
_DAYS = 3  # shifts in a row
_LEAST_MS, _MOST_MS = 1_000, 600_000  # a shift a day
_MOST_CYCLES = 3  # a day; polling that lags by so much never kept to the clock
_CLEAR = 4.0  # times what scatter alone makes of a shift
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
        n days; by how many ms a day each but the first is later than the one before; whether that
        is more than jitter and less than another schedule.
    """
    none = np.zeros(1, np.int64), np.empty(0), np.empty(0, np.bool_)
    if len(at_ms) < _DAYS * 2:
        return none
    usual = float(np.median(np.diff(at_ms)))
    cycle = int(_CYCLES_MS[np.argmin(np.abs(_CYCLES_MS - usual))])
    if abs(usual - cycle) > _NEAR * cycle:
        return none
    some = _first_of_slots(at_ms)
    days, first = np.unique((some + SHANGHAI_MS) // DAY_MS, return_index=True)
    middle, phase, scatter, count = _lines(some, _unwrapped(some, cycle), first)
    apart = np.diff(middle)
    shift = np.diff(phase) / np.maximum(apart, _APART)
    sound = scatter <= _SCATTER * cycle
    noise = np.sqrt(scatter[1:] ** 2 / count[1:] + scatter[:-1] ** 2 / count[:-1])
    size = np.abs(shift)
    moves = sound[1:] & sound[:-1] & (np.diff(days) <= 1) & (apart >= _APART)
    moves &= (size >= _LEAST_MS) & (size >= _CLEAR * noise)
    moves &= size <= min(_MOST_MS, _MOST_CYCLES * cycle)
    return days, shift, moves


def _first_of_slots(at_ms: Ints) -> Ints:
    """Readings, chosen by the clock: any window that holds them chooses the same."""
    first, last = int(at_ms[0]) // _SLOT_MS, int(at_ms[-1]) // _SLOT_MS
    starts = np.arange(first, last + 1) * _SLOT_MS
    return at_ms[np.unique(np.searchsorted(at_ms, starts))]


def _unwrapped(at_ms: Ints, cycle: int) -> Floats:
    """The time within the cycle, in ms, followed from reading to reading past the cycle's ends.

    Within a day a slow clock may go through a whole short cycle.
    """
    steps = np.diff(at_ms) % cycle
    steps = np.where(steps > cycle // 2, steps - cycle, steps)
    return np.concatenate(([0.0], np.cumsum(steps, dtype=np.float64)))


def _lines(at_ms: Ints, phase: Floats, first: Ints) -> tuple[Floats, Floats, Floats, Ints]:
    """By day, from `first` on: mean time in days, mean phase, scatter around its line, readings."""
    count = np.diff(np.append(first, len(at_ms)))
    time = (at_ms - at_ms[0]) / DAY_MS
    middle = np.add.reduceat(time, first) / count
    mean = np.add.reduceat(phase, first) / count
    off_time, off_phase = time - np.repeat(middle, count), phase - np.repeat(mean, count)
    along = np.add.reduceat(off_time**2, first)
    both = np.add.reduceat(off_time * off_phase, first)
    rest = np.add.reduceat(off_phase**2, first) - both**2 / np.maximum(along, 1e-12)
    return middle, mean, np.sqrt(np.maximum(rest, 0.0) / count), count


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
