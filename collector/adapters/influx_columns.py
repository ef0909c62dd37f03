"""InfluxDB columns: a question -> arrays, holding one chunk of the answer as objects at a time."""

# ruff: noqa: S608  what comes from outside is quoted by `influxql`; the rest is our own

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from collector.adapters.columns import Floats, Ints
from collector.adapters.influx_bucket import InfluxBucket
from collector.adapters.influxql import Series, any_of, within
from collector.adapters.line_protocol import READING
from collector.store import LAST_AT_MS, Column
from metering.quantity import QUANTITIES

_METERS_AT_ONCE = 100  # a statement's length, and the server's work for one answer

Pieces = list[tuple[Ints, Floats]]


def read_columns(
    bucket: InfluxBucket,
    meters: Sequence[str],
    quantities: Sequence[str],
    span: tuple[int, int],
) -> list[Column]:
    """Return what `ReadingStore.columns` does."""
    start_ms, end_ms = span
    known = sorted(QUANTITIES.keys() & set(quantities))
    fields = ", ".join(f'"{name}"' for name in known)
    if not fields or end_ms <= start_ms:
        return []
    pieces: defaultdict[tuple[str, str], Pieces] = defaultdict(list)
    for some in _portions(sorted(set(meters))):
        asked = (
            f'select {fields} from "{READING}" where {any_of(some)}'
            f' and {within(start_ms, end_ms)} group by "meter"'
        )
        for series in bucket.stream(asked):
            for name, at_ms, values in _columns_in(series):
                pieces[series.tags["meter"], name].append((at_ms, values))
    return [_joined(meter, name, pieces[meter, name]) for meter, name in sorted(pieces)]


def read_nearest(
    bucket: InfluxBucket, meter: str, quantity: str, at_ms: int, *, later: bool, most: int
) -> Column | None:
    """Return what `ReadingStore.nearest` does."""
    if quantity not in QUANTITIES:
        return None
    when = within(at_ms, LAST_AT_MS + 1) if later else within(0, at_ms)
    # Twice as many: an instant may stand in two series, when the tags changed there.
    found = bucket.ask(
        f'select "{quantity}" from "{READING}" where {any_of([meter])} and {when}'
        f" order by time {'asc' if later else 'desc'} limit {2 * most}"
    )
    pieces = [(at, values) for one in found for _, at, values in _columns_in(one)]
    if not pieces:
        return None
    column = _joined(meter, quantity, pieces)
    chosen = slice(0, most) if later else slice(max(0, len(column.at_ms) - most), None)
    return Column(
        meter=meter, quantity=quantity, at_ms=column.at_ms[chosen], values=column.values[chosen]
    )


def _portions(meters: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(meters), _METERS_AT_ONCE):
        yield meters[start : start + _METERS_AT_ONCE]


def _columns_in(series: Series) -> Iterator[tuple[str, Ints, Floats]]:
    # What is absent is null in the answer, and numpy makes NaN of it; an instant fits a double.
    cells = np.array(series.values, np.float64)
    at_ms = cells[:, 0].astype(np.int64)
    for place, name in enumerate(series.columns[1:], start=1):
        there = ~np.isnan(cells[:, place])
        if there.any():
            yield name, at_ms[there], cells[there, place]


def _joined(meter: str, quantity: str, pieces: Pieces) -> Column:
    """Put them in order; of one instant in two series the one that came last, as `readings`."""
    instants, values = zip(*pieces, strict=True)
    at_ms = np.concatenate(instants)
    order = np.argsort(at_ms, kind="stable")
    at_ms = at_ms[order]
    last = np.append(np.diff(at_ms) != 0, True)
    return Column(
        meter=meter,
        quantity=quantity,
        at_ms=at_ms[last],
        values=np.concatenate(values)[order][last],
    )
