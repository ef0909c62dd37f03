"""Gauge: what a gauge said -> windows of lowest, mean, highest; demand; completeness."""

import numpy as np
from msgspec import Struct

from collector.settle.cells import (
    DAY_MS,
    SHANGHAI_MS,
    Cells,
)
from collector.settle.series import PER_UNIT, Floats, Ints

_QUARTERS_AN_HOUR = 4
_STEPS = 2  # for how many usual steps a reading speaks when none follows


class Windows(Struct, frozen=True, kw_only=True):
    """What one gauge did in n windows of one width, in order of time, in the gauge's unit.

    Attributes:
        count: readings with a value; windows without any have no row.
        mean: weighted by time between readings, not by their number.
    """

    start_ms: Ints
    count: Ints
    lowest: Floats
    mean: Floats
    highest: Floats


class Demand(Struct, frozen=True, kw_only=True):
    """15-minute demand (需量): the mean power of quarters that were measured throughout.

    Attributes:
        start_ms, kw: n quarters.
        day_ms, highest_kw, highest_at_ms: m days that have one, and the first highest of each.
    """

    start_ms: Ints
    kw: Floats
    day_ms: Ints
    highest_kw: Floats
    highest_at_ms: Ints


def gauge_windows(
    at_ms: Ints, values: Floats, width_ms: int, start_ms: int, end_ms: int
) -> Windows:
    """Windows that start in `[start_ms, end_ms)`.

    A reading weighs until the next one, at most to its window's end and at most for twice the usual
    step of its day (the median): a meter that fell silent does not go on saying its last word.

    Args:
        at_ms: n instants, strictly increasing; those outside are left aside.
        values: n finite numbers.
        width_ms: a quarter, an hour or a day.
        start_ms: the start of a day in Shanghai.
        end_ms: the end of a day in Shanghai.
    """
    first, beyond = np.searchsorted(at_ms, (start_ms, end_ms))
    at, value = at_ms[first:beyond], values[first:beyond]
    starts = at - (at - start_ms) % width_ms
    weight = _speaks_for_ms(at, starts + width_ms)
    begins = np.flatnonzero(np.diff(starts, prepend=start_ms - 1))
    if begins.size == 0:
        return Windows(start_ms=at, count=at, lowest=value, mean=value, highest=value)
    lowest, highest = np.minimum.reduceat(value, begins), np.maximum.reduceat(value, begins)
    mean = np.add.reduceat(value * weight, begins) / np.add.reduceat(weight, begins)
    return Windows(
        start_ms=starts[begins],
        count=np.diff(begins, append=at.size),
        lowest=lowest,
        mean=np.clip(mean, lowest, highest),  # rounding stays inside
        highest=highest,
    )


def demand(quarters: Cells) -> Demand:
    """The demand of an active energy in kWh; a quarter that was laid out by rule has none."""
    wholly = quarters.measured >= 1
    start_ms = quarters.start_ms[wholly]
    kw = quarters.value[wholly].astype(np.float64) * (_QUARTERS_AN_HOUR / PER_UNIT)
    days = start_ms - (start_ms + SHANGHAI_MS) % DAY_MS
    # By day, then from the highest down, then by time: the first of each day is its peak.
    order = np.lexsort((start_ms, -kw, days))
    day_ms, peaks = np.unique(days[order], return_index=True)
    peak = order[peaks]
    return Demand(
        start_ms=start_ms,
        kw=kw,
        day_ms=day_ms,
        highest_kw=kw[peak],
        highest_at_ms=start_ms[peak],
    )


def completeness(at_ms: Ints, start_ms: int, end_ms: int, every_ms: int) -> float:
    """The share of the cycles in `[start_ms, end_ms)` that have a reading, each counted once."""
    expected = -(-(end_ms - start_ms) // every_ms)
    inside = at_ms[(at_ms >= start_ms) & (at_ms < end_ms)]
    return np.unique((inside - start_ms) // every_ms).size / expected


def _speaks_for_ms(at_ms: Ints, window_ends_ms: Ints) -> Ints:
    """How long each reading counts; at least 1 ms."""
    speaks = window_ends_ms - at_ms
    speaks[:-1] = np.minimum(speaks[:-1], np.diff(at_ms))
    days = (at_ms + SHANGHAI_MS) // DAY_MS
    for day in np.unique(days):
        first, beyond = np.searchsorted(days, (day, day + 1))
        steps = np.diff(at_ms[first:beyond])
        if steps.size:
            usual = int(np.median(steps))
            np.minimum(speaks[first:beyond], _STEPS * max(usual, 1), out=speaks[first:beyond])
    return speaks
