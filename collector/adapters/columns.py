"""Columns: rows -> one array per quantity, fast, for a store that keeps columns.

Everything here works on whole arrays: a Python step per value would cost more than the database.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.overlay import Unfit
from collector.store import (
    LAST_AT_MS,
    Row,
)
from metering.quantity import QUANTITIES

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SPAN_GAP_MS = 600_000  # nearer instants are read in one scan
_MOST_SPANS = 8  # a scan costs about a millisecond even when it finds nothing


class Columns(NamedTuple):
    """n rows by column.

    Attributes:
        at_ms: n instants.
        faults: n words or None; None instead of the list if there is none at all.
        names: the quantities that occur, q of them.
        values: q by n; NaN where a row does not have the quantity.
        sparse: whether there is any NaN.
    """

    at_ms: Ints
    faults: NDArray[np.object_] | None
    names: tuple[str, ...]
    values: Floats
    sparse: bool

    def pick(self, chosen: Mask) -> "Columns":
        """Return the chosen rows, without the quantities that none of them has."""
        faults = None if self.faults is None else self.faults[chosen]
        values, names = self.values[:, chosen], self.names
        if self.sparse:
            there = np.asarray(~np.isnan(values).all(axis=1))
            values = values[there]
            names = tuple(name for name, has in zip(names, there.tolist(), strict=True) if has)
        return Columns(self.at_ms[chosen], faults, names, values, self.sparse)

    def count_values(self) -> int:
        """Return how many values the rows have together."""
        missing = int(np.isnan(self.values).sum()) if self.sparse else 0
        return self.values.size - missing

    def valued(self) -> Mask:
        """Return which rows have a value at all."""
        if self.sparse or not self.names:
            return np.asarray(~np.isnan(self.values).all(axis=0))
        return np.ones(len(self.at_ms), np.bool_)


def columns_of(rows: Sequence[Row]) -> Columns:
    """Turn rows into columns.

    Raises:
        Unfit: a row is one that `why_refused` refuses.
    """
    if any(row.meter != row.tags.meter for row in rows):
        raise Unfit
    try:
        at_ms = np.fromiter([row.at_ms for row in rows], np.int64, len(rows))
        values, names, sparse = _matrix(rows)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unfit from error
    if len(rows) and not 0 <= at_ms.min() <= at_ms.max() <= LAST_AT_MS:
        raise Unfit
    faults = [row.fault for row in rows]
    return Columns(at_ms, np.array(faults, object) if any(faults) else None, names, values, sparse)


def _matrix(rows: Sequence[Row]) -> tuple[Floats, tuple[str, ...], bool]:
    """Rows that name the same quantities in the same order are converted in one go."""
    groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[tuple(row.values)].append(index)
    if len(groups) == 1:
        names = next(iter(groups))
        return np.ascontiguousarray(_block(rows, names).T), names, False
    names = tuple(dict.fromkeys(chain.from_iterable(groups)))
    place = {name: position for position, name in enumerate(names)}
    matrix = np.full((len(names), len(rows)), np.nan)
    for keys, members in groups.items():
        block = _block([rows[index] for index in members], keys)
        matrix[np.ix_([place[key] for key in keys], members)] = block.T
    return matrix, names, True


def _block(rows: Sequence[Row], names: tuple[str, ...]) -> Floats:
    if not QUANTITIES.keys() >= set(names):
        raise Unfit
    numbers = chain.from_iterable([row.values.values() for row in rows])
    block = np.fromiter(numbers, np.float64, len(rows) * len(names))
    if not np.isfinite(block).all():
        raise Unfit
    return block.reshape(len(rows), len(names))


def months_of(at_ms: Ints) -> Ints:
    """Return the UTC month of each instant as the number YYYYMM."""
    months = at_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return np.asarray((1970 + months // 12) * 100 + months % 12 + 1)


def month_of_ms(at_ms: int) -> int:
    """Return the start of the UTC month that an instant lies in."""
    month = np.datetime64(at_ms, "ms").astype("datetime64[M]")
    return int(month.astype("datetime64[ms]").astype(np.int64))


def spans_of(at_ms: Ints) -> list[tuple[int, int]]:
    """Cover instants by few inclusive ranges, cut at the widest gaps.

    Live readings and a backlog often come together: one range over both would make the store read
    all that lies between.
    """
    instants = np.unique(at_ms)
    gaps = np.diff(instants)
    cuts = np.argsort(gaps)[::-1][: _MOST_SPANS - 1]
    cuts = np.sort(cuts[gaps[cuts] > _SPAN_GAP_MS])
    starts = instants[np.concatenate(([0], cuts + 1))]
    ends = instants[np.concatenate((cuts, [len(instants) - 1]))]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def has_repeats(meters: Iterable[int], at_ms: Ints) -> bool:
    """Return whether a key (meter, at_ms) occurs twice; a meter is a small number here."""
    keys = (np.asarray(meters, np.int64) << 42) | at_ms
    return len(np.unique(keys)) < len(keys)
