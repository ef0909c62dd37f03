"""Standstill: stretches in which a counter does not move -> frozen, a long zero run, or nothing.

A counter that stands still may have nothing to count: a school at night, a boiler in summer. It was
**frozen** if it then made up for it in one step, or if it stood still in hours in which it usually
moves (`week`). What a frozen counter made up for is spread over the time that it stood; what it did
not make up for nobody knows, and nothing is invented.
"""

import numpy as np
from msgspec import structs

from collector.settle.bounds import DAY_MS, HOUR_MS
from collector.settle.rule import Rule, bit
from collector.settle.series import Course, Dropped, Floats, Ints, Mask, Series
from collector.settle.steps import highest_around
from collector.settle.week import Week, reach_ms, totals_of, week_of

_STEPS = 3  # equal steps in a row before anything is a standstill
_LONG_MS = 3 * HOUR_MS
_MOST_MS = 13 * DAY_MS  # longer, it may as well be a season; and what is around it lies too far off

# A step that makes up for the time before it.
_CATCH_UP = 1.8  # times the highest rate around, or what it would gain otherwise
_FAR_ABOVE = 3.6
_LEAST_MEAN, _MOST_MEAN = 0.15, 4.5  # of the usual rate, over the whole time
_LEAST_MADE_UP, _MOST_MADE_UP = 0.4, 2.5  # of what was expected meanwhile
_KNOWN_MOVES, _KNOWN_RESTS, _KNOWN_STOPS = 0.5, 0.3, 3  # else nobody can expect anything of it
_SOME_REST, _SOME_STOPS = 0.1, 5  # above that, to stand still and then run fast is normal

# A stretch in hours in which the counter otherwise moves.
_MOVED = 12  # hours to both sides in which it moved
_TOLD = 0.5  # of its hours have others to be compared with
_MOVES = 0.7
_WORTH = 0.3  # of the usual rate, that must have been expected
_RESTS = 0.25  # share of time; a counter that rests more may rest longer
_STOPS = 1
_AGAIN, _AGAIN_SHARE = 3, 0.45  # what broke once may break again; oftener is how this counter runs
_LONGER = 1.5  # than it ever stands anyway
_SURE_MS = 6 * HOUR_MS  # a shorter one must be the only one, and quite against its habit
_SURE_MOVES, _SURE_RESTS = 0.9, 0.05

# A counter that rests a part of every day, and once far longer.
_ZERO_RUN_MS = 12 * HOUR_MS
_TIMES_LONGER = 8.0
_OFTEN_RESTS, _OFTEN_STOPS, _OFTEN_ODD = 0.6, 2, 1
_OFTEN_MOVES, _OFTEN_WORTH = 0.3, 0.2


def doubtful_standstills(at_ms: Ints, value: Ints) -> list[tuple[int, int]]:
    """Stretches that have to be compared with the week around them: (first, last) reading."""
    runs = _runs(np.diff(value) == 0)
    if not len(runs):
        return []
    rate = np.maximum(np.diff(value), 0) / np.diff(at_ms)
    there = runs[_catching_up(runs, rate) | (_spans(runs, at_ms) >= _LONG_MS)]
    last = np.minimum(there[:, 1] + 2, len(at_ms) - 1)
    return list(zip(there[:, 0].tolist(), last.tolist(), strict=True))


def flag_standstills(course: Course, series: Series) -> Course:
    """Mark frozen stretches and long zero runs; lay what was made up for over the standstill.

    Args:
        series: what the course was made of: names the value of a reading that no longer counts.
    """
    if not (course.energy == 0).any():
        return course
    flags = np.zeros(len(course.energy), np.int64)
    merged: list[tuple[int, int]] = []
    # In a coarser unit a counter seems to stand still: it is compared with itself in that unit.
    unit = (course.rules & bit(Rule.UNIT)) != 0
    for counts in (course.known & ~unit, course.known & unit):
        if counts.any():
            merged += _flag(course, counts, flags)
    if not flags.any():
        return course
    return _merged(structs.replace(course, rules=course.rules | flags), sorted(merged), series)


def _flag(course: Course, counts: Mask, flags: Ints) -> list[tuple[int, int]]:
    """Add the rules of each leg to `flags`; returns stretches that the step after made up for."""
    runs = _runs((course.energy == 0) & counts & (np.diff(course.at_ms) > 0))
    if not len(runs):
        return []
    rate = np.where(counts, course.energy / np.maximum(np.diff(course.at_ms), 1), 0.0)
    spans, catches = _spans(runs, course.at_ms), _catching_up(runs, rate)
    judged = ((spans >= _LONG_MS) | (catches & _above_least(runs, rate))) & (spans <= _MOST_MS)
    if not judged.any():
        return []
    totals = totals_of(course, counts)
    merged: list[tuple[int, int]] = []
    for place in np.flatnonzero(judged).tolist():
        first, last = runs[place].tolist()
        start_ms, end_ms = int(course.at_ms[first]), int(course.at_ms[last + 1])
        week = week_of(totals, start_ms, end_ms)
        if _made_up(course, rate, (first, last), week, catching=bool(catches[place])):
            flags[first : last + 2] |= bit(Rule.FROZEN)
            merged.append((first, last))
        elif (rule := _stood(end_ms - start_ms, week)) is not None:
            flags[first : last + 1] |= bit(rule)
    return merged


def _runs(still: Mask) -> Ints:
    """Stretches of at least `_STEPS` still legs: (first, last) leg of each."""
    edges = np.diff(np.concatenate(([0], still.astype(np.int8), [0])))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    enough = lasts - firsts + 1 >= _STEPS
    return np.stack((firsts[enough], lasts[enough]), axis=1)


def _spans(runs: Ints, at_ms: Ints) -> Ints:
    return np.asarray(at_ms[runs[:, 1] + 1] - at_ms[runs[:, 0]])


def _catching_up(runs: Ints, rate: Floats) -> Mask:
    """Whether the step after each stretch is above all around it."""
    after = np.minimum(runs[:, 1] + 1, len(rate) - 1)
    there = runs[:, 1] + 1 < len(rate)
    around = highest_around(rate)[after]
    return np.asarray(there & (rate[after] > _CATCH_UP * around))


def _above_least(runs: Ints, rate: Floats) -> Mask:
    """Whether the step after each stretch is above the slowest of all steps.

    Else it cannot be above the usual one. A coarse register stands still before nearly every step,
    and all of them are alike.
    """
    after = np.minimum(runs[:, 1] + 1, len(rate) - 1)
    return np.asarray(rate[after] >= _CATCH_UP * rate[rate > 0].min(initial=np.inf))


# ---- what the step after it made up for


def _made_up(
    course: Course, rate: Floats, run: tuple[int, int], week: Week, *, catching: bool
) -> bool:
    """Whether the step after a stretch holds what was consumed meanwhile.

    Args:
        catching: it is above all steps around it.
    """
    first, last = run
    after = last + 1
    if after >= len(rate) or not rate[after]:
        return False
    gained = float(course.energy[after])
    own = week.resumed * float(course.at_ms[after + 1] - course.at_ms[after])
    mean = gained / float(course.at_ms[after + 1] - course.at_ms[first])
    plausible = _LEAST_MEAN * week.usual <= mean <= _MOST_MEAN * week.usual
    as_expected = _as_expected(gained - own, week)
    if gained < _CATCH_UP * own or not (plausible or as_expected):
        return False
    before, later = _sides(course, rate, run)
    if min((before > 0).sum(), (later > 0).sum()) < _STEPS:
        return False  # it does not know how this counter moves before, or after
    others = np.concatenate((before, later))
    usual = float(np.median(others[others > 0]))
    if as_expected and rate[after] >= _CATCH_UP * usual:
        return True
    seldom = week.idle <= _SOME_REST and week.stops <= _SOME_STOPS
    above_all = bool(rate[after] >= _CATCH_UP * others.max()) or (catching and seldom)
    far = bool(rate[after] >= _FAR_ABOVE * usual) and gained >= _FAR_ABOVE * own
    return plausible and above_all and far


def _as_expected(surplus: float, week: Week) -> bool:
    known = week.moves >= _KNOWN_MOVES and week.idle <= _KNOWN_RESTS and week.stops <= _KNOWN_STOPS
    return known and _LEAST_MADE_UP * week.expected <= surplus <= _MOST_MADE_UP * week.expected


def _sides(course: Course, rate: Floats, run: tuple[int, int]) -> tuple[Floats, Floats]:
    """The rates of the steps around a stretch, without the one after it."""
    first, last = run
    start_ms, end_ms = int(course.at_ms[first]), int(course.at_ms[last + 1])
    reach = reach_ms(end_ms - start_ms)
    begin = int(np.searchsorted(course.at_ms, start_ms - reach))
    end = int(np.searchsorted(course.at_ms, end_ms + reach, side="right")) - 1
    return rate[begin:first], rate[last + 2 : max(end, last + 2)]


# ---- what nothing made up for


def _stood(span_ms: int, week: Week) -> Rule | None:
    """The rule of a stretch after which the counter went on as if nothing had been."""
    if span_ms < _LONG_MS or min(week.moving) < _MOVED or week.told < _TOLD:
        return None
    if _against_habit(span_ms, week):
        return Rule.FROZEN
    return Rule.ZERO_RUN if _far_longer(span_ms, week) else None


def _against_habit(span_ms: int, week: Week) -> bool:
    worth = week.expected >= _WORTH * week.usual * span_ms
    if span_ms < _SURE_MS:
        alone = week.stops == 0 and week.odd == 0
        return worth and alone and week.moves >= _SURE_MOVES and week.idle <= _SURE_RESTS
    again = week.stops <= _STOPS and week.stops + week.odd <= _AGAIN
    seldom = again and week.odd_share <= _AGAIN_SHARE and week.idle <= _RESTS
    return worth and seldom and week.moves >= _MOVES and span_ms > _LONGER * week.longest_ms


def _far_longer(span_ms: int, week: Week) -> bool:
    return (
        span_ms >= _ZERO_RUN_MS
        and span_ms > _TIMES_LONGER * week.longest_ms
        and week.idle <= _OFTEN_RESTS
        and week.moves >= _OFTEN_MOVES
        and week.expected >= _OFTEN_WORTH * week.usual * span_ms
        and week.stops <= _OFTEN_STOPS
        and week.odd <= _OFTEN_ODD
    )


def _merged(course: Course, runs: list[tuple[int, int]], series: Series) -> Course:
    """Each stretch and the step after it become one leg; the readings in between do not count."""
    if not runs:
        return course
    keep = np.ones(len(course.at_ms), np.bool_)
    legs = np.ones(len(course.energy), np.bool_)
    energy, rules = course.energy.copy(), course.rules.copy()
    dropped = list(course.dropped)
    for first, last in runs:
        after = last + 1
        keep[first + 1 : after + 1] = False
        legs[first + 1 : after + 1] = False
        energy[first] = energy[after]
        rules[first] |= rules[after]
        gone = course.at_ms[first + 1 : after + 1]
        values = series.value[np.searchsorted(series.at_ms, gone)]
        dropped += [
            Dropped(at_ms=at, value=value, rule=Rule.FROZEN)
            for at, value in zip(gone.tolist(), values.tolist(), strict=True)
        ]
    return structs.replace(
        course,
        at_ms=course.at_ms[keep],
        energy=energy[legs],
        known=course.known[legs],
        rules=rules[legs],
        dropped=tuple(sorted(dropped, key=lambda one: one.at_ms)),
    )
