"""Standstill: stretches in which a counter does not move -> frozen, a long zero run, or nothing.

A counter that stands still may have nothing to count: a school at night, a boiler in summer. It was
**frozen** if it then made up for it in one step, or if it stood still although it otherwise hardly
ever does. What a frozen counter made up for is spread over the time that it stood; what it did not
make up for nobody knows, and nothing is invented.
"""

import numpy as np
from msgspec import structs

from collector.settle.bounds import AROUND_MS, DAY_MS, HOUR_MS
from collector.settle.cells import SHANGHAI_MS
from collector.settle.rule import Rule, bit
from collector.settle.series import Course, Dropped, Floats, Ints, Mask, Series
from collector.settle.steps import highest_around

_STEPS = 3  # equal steps in a row before anything is a standstill
_CATCH_UP = 1.8  # times the highest rate around
_USUAL = 1.3
_MEAN_AT_LEAST, _MEAN_AT_MOST = 0.15, 4.0  # of the usual rate, of what was made up for
_SELDOM = 0.04  # share of standing time, outside of this stretch, of a counter that always moves
_CANNOT_TELL = 0.3  # above that, a counter that stands still and then runs fast is normal
_LONG_MS = 3 * HOUR_MS
_ZERO_RUN_MS = 12 * HOUR_MS
_MOST_MS = 10 * DAY_MS  # longer, it may as well be a season
_TIMES_LONGER = 3.0
_AGAIN = 2  # other long standstills in the fortnight
_RUNS_SELDOM = 0.15
_WORTH = 0.05  # of the usual rate, that must have been expected
_MOST_REACH = 0.4
_DAYS = 2  # to compare with, at least
_BUSY = 0.9  # nine in ten steps are slower
_HARDLY = 0.02  # of a busy rate: as good as standing still
_THURSDAY, _SATURDAY = 3, 5  # 1970 began on a Thursday; Monday is 0


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
    # In a coarser unit a counter seems to stand still.
    same_unit = (course.rules & bit(Rule.UNIT)) == 0
    still = (course.energy == 0) & course.known & (np.diff(course.at_ms) > 0) & same_unit
    runs = _runs(still)
    if not len(runs):
        return course
    span_ms = np.maximum(np.diff(course.at_ms), 1)
    rate = course.energy / span_ms
    made_up = _catching_up(runs, rate)
    long = _spans(runs, course.at_ms) >= _LONG_MS
    flags = np.zeros(len(rate), np.int64)
    merged: list[tuple[int, int]] = []
    for (first, last), catches in zip(
        runs[made_up | long].tolist(), made_up[made_up | long].tolist(), strict=True
    ):
        rule, whole = _judge(course, rate, still, (first, last), catches=catches)
        if rule is not None:
            flags[first : last + 1 + whole] |= bit(rule)
        if whole:
            merged.append((first, last))
    if not flags.any():
        return course
    return _merged(structs.replace(course, rules=course.rules | flags), merged, series)


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


def _judge(
    course: Course, rate: Floats, still: Mask, run: tuple[int, int], *, catches: bool
) -> tuple[Rule | None, bool]:
    """The rule of a stretch, and whether the step after it belongs to it."""
    first, last = run
    begin = int(np.searchsorted(course.at_ms, course.at_ms[first] - AROUND_MS))
    end = int(np.searchsorted(course.at_ms, course.at_ms[last + 1] + AROUND_MS, side="right")) - 1
    sides = np.arange(begin, first), np.arange(last + 2, max(end, last + 2))
    if min(int((rate[side] > 0).sum()) for side in sides) < _STEPS:
        return None, False  # it does not know how this counter moves before, or after
    others = np.concatenate(sides)
    usual = float(np.median(rate[others][rate[others] > 0]))
    busy = float(np.quantile(rate[others], _BUSY))
    standing, longest = _standing(course, still | (rate <= _HARDLY * busy), others)
    if catches and _made_up(course, rate, run, usual=usual, standing=standing):
        return Rule.FROZEN, True
    span_ms = int(course.at_ms[last + 1] - course.at_ms[first])
    if standing > _RUNS_SELDOM or not _LONG_MS <= span_ms <= _MOST_MS:
        return None, False
    sure = standing <= _SELDOM or span_ms >= DAY_MS
    if sure and _expected(course, run, others) >= _WORTH * usual * span_ms:
        return Rule.FROZEN, False
    if span_ms >= _ZERO_RUN_MS and span_ms > _TIMES_LONGER * longest:
        return Rule.ZERO_RUN, False
    return None, False


def _expected(course: Course, run: tuple[int, int], others: Ints) -> float:
    """What the counter gained in the same hours of other days of the week around; 0: not known.

    Working days are compared with working days, weekends with weekends. What three in
    five of them reached: it may have stood still more than once.
    """
    first, last = run
    start_ms, end_ms = int(course.at_ms[first]), int(course.at_ms[last + 1])
    reach = int(course.at_ms[others[0]]), int(course.at_ms[others[-1] + 1])
    total = np.concatenate(([0], np.cumsum(course.energy)))
    gains = []
    for days in (*range(-7, 0), *range(1, 8)):
        since_ms, until_ms = start_ms + days * DAY_MS, end_ms + days * DAY_MS
        apart = until_ms <= start_ms or since_ms >= end_ms
        alike = _alike(start_ms, since_ms) and _alike(end_ms, until_ms)
        if apart and alike and reach[0] <= since_ms and until_ms <= reach[1]:
            gain = np.diff(np.interp([since_ms, until_ms], course.at_ms, total))
            gains.append(float(gain[0]))
    return float(np.quantile(gains, _MOST_REACH)) if len(gains) >= _DAYS else 0.0


def _alike(one_ms: int, other_ms: int) -> bool:
    return _is_weekend(one_ms) == _is_weekend(other_ms)


def _is_weekend(at_ms: int) -> bool:
    return ((at_ms + SHANGHAI_MS) // DAY_MS + _THURSDAY) % 7 >= _SATURDAY


def _standing(course: Course, still: Mask, others: Ints) -> tuple[float, int]:
    """How the counter stands still otherwise: the share of time, and the longest stretch in ms.

    Up to two other long standstills are left aside: what broke once may break again in a week.
    More of them are how this counter runs.
    """
    spans = np.diff(course.at_ms)
    there = np.zeros(len(still), np.bool_)
    there[others] = still[others]
    edges = np.diff(np.concatenate(([0], there.astype(np.int8), [0])))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    lengths = course.at_ms[ends] - course.at_ms[firsts]
    long = lengths >= _LONG_MS
    aside = long if long.sum() <= _AGAIN else np.zeros_like(long)
    rest = lengths[~aside]
    whole = max(1, int(spans[others].sum()) - int(lengths[aside].sum()))
    return float(rest.sum() / whole), int(lengths.max()) if len(lengths) else 0


def _made_up(
    course: Course, rate: Floats, run: tuple[int, int], *, usual: float, standing: float
) -> bool:
    first, last = run
    after = last + 1
    whole_ms = int(course.at_ms[after + 1] - course.at_ms[first])
    mean = float(course.energy[after]) / whole_ms
    seldom = standing <= _SELDOM
    times = _USUAL if seldom else 2 * _CATCH_UP
    return (
        bool(course.known[after])
        and standing <= _CANNOT_TELL
        and rate[after] >= times * usual
        and _MEAN_AT_LEAST * usual <= mean <= _MEAN_AT_MOST * usual
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
