"""Cycles: a meter's entry and when it answered -> cycles of the day that were due, and answered.

Counters are read once a minute at most, so a faster cycle counts as a minute: it is asked whether
the meter was heard, not how often. What a meter says while it is out of service is neither.
"""

from collections.abc import Sequence

import numpy as np

from collector.fleet.index import MeterEntry
from collector.settle.cells import DAY_MS
from collector.settle.series import Ints

_LEAST_S = 60


def cycles(
    entry: MeterEntry, at_ms: Ints, day_ms: int, outages: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """Cycles of a day in Shanghai that should have brought a reading, and those that did.

    Only whole cycles of the time in which the entry holds; one that an outage touches is not due.

    Args:
        at_ms: of readings with values, any order.
        outages: half-open spans.
    """
    every_ms = max(_LEAST_S, entry.cycle_s) * 1000
    start_ms = max(day_ms, entry.valid_from_ms)
    end_ms = day_ms + DAY_MS
    if entry.valid_to_ms is not None:
        end_ms = min(end_ms, entry.valid_to_ms)
    starts = start_ms + np.arange(max(0, (end_ms - start_ms) // every_ms)) * every_ms
    due = np.ones(len(starts), np.bool_)
    for out_ms, back_ms in outages:
        due &= (starts + every_ms <= out_ms) | (starts >= back_ms)
    places = (at_ms - start_ms) // every_ms
    heard = np.zeros(len(starts), np.bool_)
    heard[places[(places >= 0) & (places < len(starts))]] = True
    return int(due.sum()), int((due & heard).sum())
