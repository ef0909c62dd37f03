"""Silence: a day that is over -> meters of which rows are lacking up to it, marked.

Readings mark their days; a meter that says nothing marks none, and its days would have no rows at
all. Settled, what is not known of them is written as missing.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from collector.dirty import DirtyBook
from collector.fleet.index import Fleet
from collector.intervals import IntervalStore
from collector.settle.cells import DAY_MS, HOUR_MS, Width, day_start_ms
from collector.store import ReadingStore

_AT_ONCE = 500  # meters
_HOURS = DAY_MS // HOUR_MS
_MOST_DAYS = 31  # looked back at: of a meter whose silence nobody noted, before an upgrade or so


def mark_silent(
    fleet: Fleet, store: ReadingStore, intervals: IntervalStore, dirty: DirtyBook, day_ms: int
) -> list[str]:
    """Mark a day in Shanghai for the meters in force that it is not settled to its end for.

    With it the days before it that are lacking too, back to the meter's last reading, at most a
    month. Who never said anything is left out: where a series begins, its rows begin.

    Args:
        day_ms: the start of a day that is over.

    Returns:
        The meters that were marked.
    """
    in_force = [meter for meter in sorted(fleet.meters) if fleet.entry(meter, day_ms) is not None]
    lacking = [meter for meter, _ in _lacking(intervals, in_force, (day_ms, day_ms + DAY_MS))]
    last_ms = {one.meter: one.at_ms for one in store.latest(lacking)} if lacking else {}
    silent = sorted(last_ms)
    first_ms = day_ms - (_MOST_DAYS - 1) * DAY_MS
    marks = [
        (meter, day)
        for meter, day in _lacking(intervals, silent, (first_ms, day_ms + DAY_MS))
        if min(day_start_ms(last_ms[meter]), day_ms) <= day and fleet.entry(meter, day) is not None
    ]
    if marks:
        dirty.mark_dirty(marks)
    return silent


def _lacking(
    intervals: IntervalStore, meters: Sequence[str], span: tuple[int, int]
) -> Iterator[tuple[str, int]]:
    """(meter, day) where no counter has all hours of the day."""
    days = np.arange(*span, DAY_MS)
    for first in range(0, len(meters), _AT_ONCE):
        some = meters[first : first + _AT_ONCE]
        whole: dict[str, np.ndarray] = {}
        for one in intervals.intervals(some, Width.HOUR, *span):
            hours = np.bincount((one.cells.start_ms - span[0]) // DAY_MS, minlength=len(days))
            whole[one.meter] = whole.get(one.meter, False) | (hours == _HOURS)
        for meter in some:
            found = whole.get(meter, np.zeros(len(days), np.bool_))
            yield from ((meter, day) for day in days[~found].tolist())
