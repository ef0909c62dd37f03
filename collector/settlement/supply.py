"""Supply: the stores -> what one group of stretches needs, read in few large steps.

What a whole group shares is read at once; what a single counter needs beyond that (readings far
around a doubt, the nearest ones beyond a gap) is read for it alone.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from collector.intervals import Intervals, IntervalStore
from collector.settle.cells import DAY_MS, Width
from collector.settle.said import Said, series_of
from collector.settle.series import Floats, Ints, Series
from collector.settlement.change import within
from collector.store import Column, ReadingStore
from metering.quantity import QUANTITIES, Kind

COUNTERS = tuple(name for name, one in QUANTITIES.items() if one.kind is Kind.COUNTER)
WIDENS_MS = DAY_MS  # a stretch, to either side, nearly always
_BEYOND = 3  # readings on the far side of a gap

Span = tuple[int, int]
Key = tuple[str, str]  # meter, quantity
T = TypeVar("T", Column, Intervals)


class Supply:
    """Readings of counters and settled intervals, for one group."""

    def __init__(
        self,
        store: ReadingStore,
        intervals: IntervalStore,
        meters: Sequence[str],
        span_ms: Span,
        *,
        near_ms: int,
        now_ms: int,
    ) -> None:
        self._store = store
        self._intervals = intervals
        self._now_ms = now_ms
        # A reading seldom comes at midnight sharp: nearly every stretch takes a day along on
        # either side, for the leg over its edge.
        self._span = (span_ms[0] - WIDENS_MS, span_ms[1] + WIDENS_MS)
        self._reach = (self._span[0] - near_ms, self._span[1] + near_ms)
        self._columns = _by_key(store.columns(meters, COUNTERS, *self._reach))
        self._stored = {
            width: _by_key(intervals.intervals(meters, width, *self._span))
            for width in (Width.QUARTER, Width.HOUR, Width.DAY)
        }

    def counters(self, meter: str) -> list[str]:
        """What was read of a meter in the group's time, by name."""
        return [name for name in COUNTERS if (meter, name) in self._columns]

    def series(self, key: Key, loaded: Span, core: Span, said: Said) -> Series:
        """A counter's readings in `loaded`, and a few beyond it where `core` would have no edge.

        Args:
            loaded: half-open; `core` lies within.
        """
        at_ms, values = self._readings(key, loaded)
        start_ms, end_ms = loaded
        if not (len(at_ms) and at_ms[0] < core[0]):
            before = self._beyond(key, start_ms, later=False)
            at_ms, values = np.append(before[0], at_ms), np.append(before[1], values)
        if not (len(at_ms) and at_ms[-1] >= core[1]) and end_ms < self._now_ms:
            after = self._beyond(key, end_ms, later=True)
            at_ms, values = np.append(at_ms, after[0]), np.append(values, after[1])
        if len(at_ms):
            start_ms, end_ms = min(start_ms, int(at_ms[0])), max(end_ms, int(at_ms[-1]) + 1)
        return series_of(at_ms, values, said, (start_ms, end_ms))

    def stored(self, key: Key, width: Width, span_ms: Span) -> Intervals | None:
        """Settled rows that start in a span, as far as there are any."""
        if self._span[0] <= span_ms[0] and span_ms[1] <= self._span[1]:
            found = self._stored[width].get(key)
            return None if found is None else within(found, span_ms)
        meter, quantity = key
        some = self._intervals.intervals([meter], width, *span_ms, [quantity])
        return some[0] if some else None

    def _readings(self, key: Key, span_ms: Span) -> tuple[Ints, Floats]:
        if self._reach[0] <= span_ms[0] and span_ms[1] <= self._reach[1]:
            column = self._columns.get(key)
        else:
            meter, quantity = key
            column = next(iter(self._store.columns([meter], [quantity], *span_ms)), None)
        if column is None:
            return _NONE
        there = slice(*np.searchsorted(column.at_ms, span_ms).tolist())
        return column.at_ms[there], column.values[there]

    def _beyond(self, key: Key, at_ms: int, *, later: bool) -> tuple[Ints, Floats]:
        meter, quantity = key
        column = self._store.nearest(meter, quantity, at_ms, later=later, most=_BEYOND)
        return _NONE if column is None else (column.at_ms, column.values)


_NONE = (np.empty(0, np.int64), np.empty(0, np.float64))


def _by_key(found: Iterable[T]) -> dict[Key, T]:
    return {(one.meter, one.quantity): one for one in found}
