"""InfluxDB intervals: the port `IntervalStore`, in the same bucket as the readings.

The same key again is the same point again: InfluxDB overwrites, field by field. A field that is not
written stays, so an interval that is no longer known is deleted first where a value stands.

A meter whose tags changed has a series of each; of one interval in two series the newest version
counts.
"""

# ruff: noqa: S608  what comes from outside is quoted by `influxql`; the rest is our own

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from collector.adapters.columns import Floats, Ints, month_of_ms
from collector.adapters.influx_bucket import InfluxBucket
from collector.adapters.influxql import Series, any_of, within
from collector.adapters.interval_lines import (
    GAUGE,
    GAUGE_FIELDS,
    INTERVAL,
    INTERVAL_FIELDS,
    QUALITY,
    SHARES,
    Key,
    figures_in,
    gauge_of,
    intervals_of,
    key_of,
    line_of_figure,
    lines_of_gauge,
    lines_of_intervals,
    matrix_of_floats,
    matrix_of_intervals,
)
from collector.adapters.line_protocol import is_untaggable, why_untaggable
from collector.intervals import Figure, GaugeWindows, Intervals, Subject
from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Width
from collector.store import StoreRefused, Tags

_LINES_AT_ONCE = 5_000
_METERS_AT_ONCE = 100
_STEP_MS = {Width.QUARTER: QUARTER_MS, Width.HOUR: HOUR_MS, Width.DAY: DAY_MS}  # months differ


class InfluxIntervalStore:
    """An `IntervalStore` in the bucket of a reading store; closing that one closes this."""

    def __init__(self, bucket: InfluxBucket) -> None:
        self._bucket = bucket

    # -- writing ---------------------------------------------------------------------------------

    def write_intervals(self, tags: Tags, intervals: Sequence[Intervals]) -> None:
        self.write_meters([(tags, intervals)])

    def write_meters(self, written: Sequence[tuple[Tags, Sequence[Intervals]]]) -> None:
        for tags, intervals in written:
            _demand_sound(tags, intervals)
        for _, intervals in written:
            for one in intervals:
                self._forget_values(one)
        self._send(
            line
            for tags, intervals in written
            for one in intervals
            for line in lines_of_intervals(tags, one)
        )

    def write_gauges(self, tags: Tags, windows: Sequence[GaugeWindows]) -> None:
        self.write_meters_gauges([(tags, windows)])

    def write_meters_gauges(self, written: Sequence[tuple[Tags, Sequence[GaugeWindows]]]) -> None:
        for tags, windows in written:
            _demand_sound(tags, windows)
        self._send(
            line
            for tags, windows in written
            for one in windows
            for line in lines_of_gauge(tags, one)
        )

    def write_figures(self, figures: Sequence[Figure]) -> None:
        for one in figures:
            if is_untaggable(one.id) or is_untaggable(one.name):
                raise StoreRefused(f"a figure's names cannot be tags: {one}")
        self._send(map(line_of_figure, figures))

    def drop_quarters(self, before_ms: int) -> int:
        until_ms = month_of_ms(before_ms)
        for measurement in (INTERVAL, GAUGE):
            self._bucket.ask(
                f'delete from "{measurement}" where {any_of([Width.QUARTER.value], "width")}'
                f" and {within(0, until_ms)}"
            )
        return until_ms

    def _send(self, lines: Iterable[bytes]) -> None:
        rest = iter(lines)
        while some := list(islice(rest, _LINES_AT_ONCE)):
            bad = self._bucket.send(some, "ms")
            if bad:
                place, said = next(iter(bad.items()))
                raise StoreRefused(f"the server does not take {some[place].decode()}: {said}")

    def _forget_values(self, intervals: Intervals) -> None:
        """Delete stored intervals that have a value and are not known any more."""
        unknown = intervals.cells.start_ms[~intervals.cells.known]
        if not len(unknown):
            return
        first_ms, last_ms = int(unknown.min()), int(unknown.max())
        whose = _whose([intervals.meter], intervals.width, [intervals.quantity])
        valued = self._bucket.stream(
            f'select "value_millionths" from "{INTERVAL}" where {whose}'
            f" and {within(first_ms, last_ms + 1)}"
        )
        starts = [int(row[0] or 0) for one in valued for row in one.values]
        stale = np.intersect1d(np.array(starts, np.int64), unknown)
        for start_ms, end_ms in _stretches(stale, _STEP_MS.get(intervals.width, 0)):
            self._bucket.ask(
                f'delete from "{INTERVAL}" where {whose} and {within(start_ms, end_ms + 1)}'
            )

    # -- reading ---------------------------------------------------------------------------------

    def intervals(
        self,
        meters: Sequence[str],
        width: Width,
        start_ms: int,
        end_ms: int,
        quantities: Sequence[str] | None = None,
    ) -> list[Intervals]:
        wholes: defaultdict[Key, list[Ints]] = defaultdict(list)
        shares: defaultdict[Key, list[Floats]] = defaultdict(list)
        for whose in _portions(meters, width, quantities):
            for series in self._ask(INTERVAL, INTERVAL_FIELDS, whose, (start_ms, end_ms)):
                wholes[key_of(series)].append(matrix_of_intervals(series))
                shares[key_of(series)].append(matrix_of_floats(series, SHARES))
        return [
            intervals_of(key, width, np.hstack(wholes[key]), np.hstack(shares[key]))
            for key in sorted(wholes)
        ]

    def gauges(
        self,
        meters: Sequence[str],
        width: Width,
        start_ms: int,
        end_ms: int,
        quantities: Sequence[str] | None = None,
    ) -> list[GaugeWindows]:
        found: defaultdict[Key, list[Floats]] = defaultdict(list)
        for whose in _portions(meters, width, quantities):
            for series in self._ask(GAUGE, GAUGE_FIELDS, whose, (start_ms, end_ms)):
                found[key_of(series)].append(matrix_of_floats(series, ("time", *GAUGE_FIELDS)))
        return [gauge_of(key, width, np.hstack(found[key])) for key in sorted(found)]

    def figures(
        self, subject: Subject, start_ms: int, end_ms: int, ids: Sequence[str] | None = None
    ) -> list[Figure]:
        if end_ms <= start_ms or (ids is not None and not ids):
            return []
        whose = any_of([subject.value], "subject")
        if ids is not None:
            whose += f" and {any_of(ids, 'id')}"
        series = self._bucket.stream(
            f'select "value" from "{QUALITY}" where {whose} and {within(start_ms, end_ms)}'
            ' group by "id", "name"'
        )
        found = [figure for one in series for figure in figures_in(one, subject)]
        return sorted(found, key=lambda one: (one.id, one.day_ms, one.name))

    def _ask(
        self, measurement: str, names: Sequence[str], whose: str, span: tuple[int, int]
    ) -> Iterator[Series]:
        start_ms, end_ms = span
        if end_ms <= start_ms:
            return iter(())
        fields = ", ".join(f'"{name}"' for name in names)
        return self._bucket.stream(
            f'select {fields} from "{measurement}" where {whose} and {within(start_ms, end_ms)}'
            ' group by "meter", "quantity"'
        )


def _portions(
    meters: Sequence[str], width: Width, quantities: Sequence[str] | None
) -> Iterator[str]:
    """Yield conditions for a portion of the meters each: statements stay short."""
    if quantities is not None and not quantities:
        return
    distinct = sorted(set(meters))
    for start in range(0, len(distinct), _METERS_AT_ONCE):
        yield _whose(distinct[start : start + _METERS_AT_ONCE], width, quantities)


def _whose(meters: Sequence[str], width: Width, quantities: Sequence[str] | None) -> str:
    whose = f"{any_of(meters)} and {any_of([width.value], 'width')}"
    return whose if quantities is None else f"{whose} and {any_of(quantities, 'quantity')}"


def _stretches(start_ms: Ints, step_ms: int) -> Iterator[tuple[int, int]]:
    """Cover starts, in order, by stretches without a hole: the first and the last of each."""
    if not len(start_ms):
        return
    cuts = np.flatnonzero(np.diff(start_ms) != step_ms)
    firsts = np.concatenate(([0], cuts + 1))
    lasts = np.concatenate((cuts, [len(start_ms) - 1]))
    yield from zip(start_ms[firsts].tolist(), start_ms[lasts].tolist(), strict=True)


def _demand_sound(tags: Tags, written: Sequence[Intervals] | Sequence[GaugeWindows]) -> None:
    why = why_untaggable(tags)
    if why:
        raise StoreRefused(why)
    for one in written:
        if one.meter != tags.meter:
            raise StoreRefused(f"intervals of {one.meter} came with the tags of {tags.meter}")
