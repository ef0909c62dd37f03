"""Shape: a long gap and the days before it -> how the gap's energy went in time (like-day).

The register tells how much went through a gap; only its course inside is guessed: each day of the
gap goes like the up to four nearest earlier days of its class, of the 28 days before the gap. Only
from the past, and only from days that were measured throughout: the guess depends neither on the
window being settled nor on other guesses.
"""

from collections.abc import Callable

import numpy as np

from collector.settle.cells import DAY_MS, Cells, day_start_ms
from collector.settle.day_class import DayClass
from collector.settle.lay import LINEAR_MS, Shape, Span
from collector.settle.rule import Rule, mask
from collector.settle.series import Course, Floats, Ints

HISTORY_DAYS = 28
LIKE_DAYS = 4

Classify = Callable[[int], DayClass]  # the start of a day in Shanghai, epoch ms -> its class

# A day of which this is said is no example for another.
_NO_EXAMPLE = mask(Rule.OUT_OF_SERVICE, Rule.FROZEN, Rule.ZERO_RUN)
# Holidays are rare: without one in the last 28 days they go like a rest day.
_LIKE = {
    DayClass.WORKDAY: (DayClass.WORKDAY,),
    DayClass.REST_DAY: (DayClass.REST_DAY,),
    DayClass.HOLIDAY: (DayClass.HOLIDAY, DayClass.REST_DAY),
}


def long_legs(course: Course, start_ms: int, end_ms: int) -> tuple[Span, ...]:
    """The legs with known energy, longer than two hours, that overlap `[start_ms, end_ms)`."""
    begin, end = course.at_ms[:-1], course.at_ms[1:]
    wanted = course.known & (end - begin > LINEAR_MS) & (begin < end_ms) & (end > start_ms)
    return tuple(zip(begin[wanted].tolist(), end[wanted].tolist(), strict=True))


def shape(history: Cells, leg: Span, classify: Classify, width_ms: int) -> Shape | None:
    """The like-day shape of one leg.

    Args:
        history: cells of the 28 days before the leg, quarters or hours; others are left aside. For
            a meter that answers once an hour only hours are measured: ask with quarters, and where
            the answer is None with hours.
        leg: its start and end.
        classify: tells a day's class.
        width_ms: how long the history's cells are.

    Returns:
        None if a day of the gap has no like day, or the like days consumed nothing.
    """
    start_ms, end_ms = leg
    examples = _examples(history, day_start_ms(start_ms), classify, width_ms)
    starts = np.arange(start_ms - start_ms % width_ms, end_ms, width_ms, dtype=np.int64)
    first_day_ms = day_start_ms(start_ms)
    profiles = []
    for day_ms in range(first_day_ms, end_ms, DAY_MS):
        profile = _profile(examples, classify(day_ms))
        if profile is None:
            return None
        profiles.append(profile)
    energy = np.concatenate(profiles)[(starts - first_day_ms) // width_ms]
    return _through(np.clip(np.append(starts, end_ms), start_ms, end_ms), energy / width_ms)


def _through(edges_ms: Ints, per_ms: Floats) -> Shape | None:
    through = np.concatenate(([0.0], np.cumsum(per_ms * np.diff(edges_ms))))
    if through[-1] <= 0:
        return None
    return Shape(at_ms=edges_ms, share=through / through[-1])


def _examples(
    history: Cells, day_ms: int, classify: Classify, width_ms: int
) -> dict[DayClass, list[Floats]]:
    """The days before `day_ms` that may be an example, by class, the latest first."""
    count = DAY_MS // width_ms
    examples: dict[DayClass, list[Floats]] = {}
    for start_ms in range(day_ms - DAY_MS, day_ms - (HISTORY_DAYS + 1) * DAY_MS, -DAY_MS):
        first, beyond = np.searchsorted(history.start_ms, (start_ms, start_ms + DAY_MS))
        day = slice(int(first), int(beyond))
        fit = (history.measured[day] >= 1) & ((history.rules[day] & _NO_EXAMPLE) == 0)
        if fit.size == count and fit.all():
            values = history.value[day].astype(np.float64)
            examples.setdefault(classify(start_ms), []).append(values)
    return examples


def _profile(examples: dict[DayClass, list[Floats]], wanted: DayClass) -> Floats | None:
    for like in _LIKE[wanted]:
        if like in examples:
            profile: Floats = np.mean(examples[like][:LIKE_DAYS], axis=0)
            return profile
    return None
