"""DuckDB columns: a question over month tables -> arrays, never a Python object per value."""

# ruff: noqa: S608  every name in a statement is of our own tables, every number is an int

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from collector.adapters.catalog import Catalog
from collector.adapters.columns import Floats, Ints
from collector.store import Column

_FIRST_SPAN_MS = 3_600_000
_GROWS_BY = 8  # a span without enough costs a millisecond; a whole month of many meters a hundred


class Side(NamedTuple):
    """Which side of an instant is looked at, and for how many."""

    at_ms: int
    later: bool
    most: int

    def spans(self, first_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
        """Cover one side of the instant within `[first_ms, end_ms)`, outward, ever wider."""
        width_ms = _FIRST_SPAN_MS
        edge = max(self.at_ms, first_ms) if self.later else min(self.at_ms, end_ms)
        while edge < end_ms if self.later else edge > first_ms:
            if self.later:
                yield edge, min(edge + width_ms, end_ms)
                edge += width_ms
            else:
                yield max(edge - width_ms, first_ms), edge
                edge -= width_ms
            width_ms *= _GROWS_BY


class Connection(Protocol):
    """What is asked of a database's connection."""

    def execute(self, query: str) -> object: ...
    def fetchnumpy(self) -> Mapping[str, NDArray[Any]]: ...


def read_columns(
    connection: Connection,
    catalog: Catalog,
    meters: Sequence[str],
    quantities: Sequence[str],
    span: tuple[int, int],
) -> list[Column]:
    """Return what `ReadingStore.columns` does: one scan of each month's table for all meters."""
    meter_of = {catalog.meters[meter]: meter for meter in meters if meter in catalog.meters}
    if not meter_of:
        return []
    start_ms, end_ms = span
    where = (
        f"meter in ({', '.join(map(str, sorted(meter_of)))})"
        f" and at_ms >= {int(start_ms)} and at_ms < {int(end_ms)}"
    )
    parts: defaultdict[tuple[str, str], list[tuple[Ints, Floats]]] = defaultdict(list)
    for month in catalog.months_in(start_ms, end_ms):
        names = [name for name in catalog.months[month] if name in quantities]
        if not names:
            continue
        connection.execute(
            f"select meter, at_ms, {', '.join(names)} from reading_{month}"
            f" where {where} order by meter, at_ms"
        )
        found = connection.fetchnumpy()
        for number, run in runs_of(found["meter"].astype(np.int64)):
            for name in names:
                at_ms, values = _valued(found["at_ms"][run], found[name][run])
                if len(at_ms):
                    parts[meter_of[number], name].append((at_ms, values))
    columns: list[Column] = []
    for meter, name in sorted(parts):
        at_ms, values = joined(parts[meter, name])
        columns.append(Column(meter=meter, quantity=name, at_ms=at_ms, values=values))
    return columns


def read_nearest(
    connection: Connection, catalog: Catalog, meter: str, quantity: str, side: Side
) -> Column | None:
    """Return what `ReadingStore.nearest` does, looking outward in spans that grow."""
    number = catalog.meters.get(meter)
    months = {month for month, names in catalog.months.items() if quantity in names}
    if number is None or not months:
        return None
    pieces: list[tuple[Ints, Floats]] = []
    lacking = side.most
    for start_ms, end_ms in side.spans(_start_of(min(months)), int(catalog.newest[number]) + 1):
        within = months.intersection(catalog.months_in(start_ms, end_ms))
        for month in sorted(within, reverse=not side.later):
            if lacking <= 0:
                break
            connection.execute(
                f"select at_ms, {quantity} from reading_{month} where meter = {number}"
                f" and at_ms >= {start_ms} and at_ms < {end_ms} and {quantity} is not null"
                f" order by at_ms {'asc' if side.later else 'desc'} limit {lacking}"
            )
            found = connection.fetchnumpy()
            pieces.append(_valued(found["at_ms"], found[quantity]))
            lacking -= len(pieces[-1][0])
        if lacking <= 0:
            break
    if lacking == side.most:
        return None
    at_ms, values = joined(pieces)
    if not side.later:
        at_ms, values = at_ms[::-1], values[::-1]
    return Column(meter=meter, quantity=quantity, at_ms=at_ms, values=values)


def runs_of(keys: Ints) -> Iterator[tuple[int, slice]]:
    """Yield each run of one key, in order, and where it lies."""
    if not len(keys):
        return
    edges = np.flatnonzero(np.diff(keys)) + 1
    starts = [0, *edges.tolist()]
    ends = [*edges.tolist(), len(keys)]
    for start, end in zip(starts, ends, strict=True):
        yield int(keys[start]), slice(start, end)


def joined(pieces: Sequence[tuple[Ints, Floats]]) -> tuple[Ints, Floats]:
    """Lay pieces behind one another; at least one."""
    if len(pieces) == 1:
        return pieces[0]
    instants, values = zip(*pieces, strict=True)
    return np.concatenate(instants), np.concatenate(values)


def _valued(at_ms: NDArray[Any], values: NDArray[Any]) -> tuple[Ints, Floats]:
    """Leave out what is NULL (DuckDB gives masked arrays) or no number.

    Where nothing is, as usual, these are views: instants are then held once for all quantities.
    """
    instants = np.ma.getdata(at_ms).astype(np.int64, copy=False)
    plain = np.ma.getdata(values).astype(np.float64, copy=False)
    lacks = np.isnan(plain)
    if np.ma.is_masked(values):
        lacks |= np.ma.getmaskarray(values)
    return (instants[~lacks], plain[~lacks]) if lacks.any() else (instants, plain)


def _start_of(month: int) -> int:
    first = datetime(month // 100, month % 100, 1, tzinfo=UTC)
    return int(first.timestamp()) * 1000
