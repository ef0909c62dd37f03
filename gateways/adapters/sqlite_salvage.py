"""Salvage: a damaged spool file -> every row of it that still reads.

A damaged page costs the rows on it and no others: rows are asked for one by one.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from gateways.adapters.at_rest import AtRest
from metering.delivery.ranges import Ranges
from metering.reading import Reading
from metering.wire import digest_of

_FARTHEST = 1 << 22  # numbers tried in a table whose ends make no sense
_MISSES = 100_000  # numbers tried in vain where nobody knows the last
_T = TypeVar("_T")


class MetaRow(NamedTuple):
    name: str
    value: str


class EpochRow(NamedTuple):
    """`next` is one past whatever is known to have been sealed, read or not."""

    number: int
    epoch: str
    next: int
    committed: str
    dropped: str
    released: str
    forked: int


class BatchRow(NamedTuple):
    epoch: int
    sequence: int
    sealed_at_ms: int
    digest: str
    content_type: str
    payload: bytes


class UnsealedRow(NamedTuple):
    boot: str
    monotonic_ms: int
    reading: bytes


class _Number(NamedTuple):
    value: int | None


class Remains:
    """A damaged file, open for reading, and what its small tables say."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.meta = tuple(_rows(connection, "SELECT name, value FROM meta", MetaRow))
        columns = ", ".join(EpochRow._fields)
        epochs = _rows(connection, f"SELECT {columns} FROM epoch", EpochRow)  # noqa: S608 - ours
        self.epochs = tuple(self._completed(row) for row in epochs if _is_sound(row))

    def _completed(self, row: EpochRow) -> EpochRow:
        """The index may know of batches whose own pages are gone."""
        query = f"SELECT MAX(sequence) FROM batch INDEXED BY batch_key WHERE epoch={row.number}"  # noqa: S608
        last = [_ranges(text).highest for text in (row.committed, row.dropped, row.released)]
        last.append(_number(self.connection, query, unreadable=0))
        return row._replace(next=max(row.next, *(sequence + 1 for sequence in last)))


@contextmanager
def remains_of(path: Path) -> Iterator[Remains]:
    """Open a file that was set aside, its log beside it; it is not written."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        # Without this SQLite reads nothing of a file that is shorter than its header says.
        connection.execute("PRAGMA writable_schema=ON")
        yield Remains(connection)
    finally:
        connection.close()


def batches_in(remains: Remains, epochs: frozenset[int]) -> Iterator[BatchRow]:
    """Each batch of the numbered epochs whose bytes are as they were sealed."""
    if not epochs:
        return
    rest = AtRest()
    for row in _one_by_one(remains.connection, "batch", "rowid", BatchRow):
        sealed = rest.unpacked(row.content_type, row.payload)
        if row.epoch in epochs and sealed is not None and digest_of(sealed[1]) == row.digest:
            yield row


def unsealed_in(remains: Remains) -> Iterator[UnsealedRow]:
    for row in _one_by_one(remains.connection, "unsealed", "number", UnsealedRow):
        with suppress(msgspec.MsgspecError):
            msgspec.msgpack.decode(row.reading, type=Reading)
            yield row


def _one_by_one(
    connection: sqlite3.Connection, table: str, key: str, shape: type[_T]
) -> Iterator[_T]:
    columns = ", ".join(shape._fields)  # type: ignore[attr-defined]  # a NamedTuple
    lowest = max(1, _number(connection, f"SELECT MIN({key}) FROM {table}", unreadable=1))  # noqa: S608
    highest = _number(connection, f"SELECT MAX({key}) FROM {table}", unreadable=-1)  # noqa: S608
    numbers = count(lowest) if highest < 0 else range(max(lowest, highest - _FARTHEST), highest + 1)
    misses = 0
    for number in numbers:
        query = f"SELECT {columns} FROM {table} WHERE {key}={number}"  # noqa: S608
        found = list(_rows(connection, query, shape))
        yield from found
        misses = 0 if found else misses + 1
        if highest < 0 and misses > _MISSES:
            return


def _number(connection: sqlite3.Connection, query: str, *, unreadable: int) -> int:
    """What the query finds; 0 in an empty table."""
    return next((found.value or 0 for found in _rows(connection, query, _Number)), unreadable)


def _rows(connection: sqlite3.Connection, query: str, shape: type[_T]) -> Iterator[_T]:
    """Rows of the right types, up to the first damage."""
    with suppress(sqlite3.DatabaseError):
        for row in connection.execute(query):
            with suppress(msgspec.ValidationError):
                yield msgspec.convert(row, shape)


def _is_sound(row: EpochRow) -> bool:
    try:
        for text in (row.committed, row.dropped, row.released):
            _ranges(text)
    except (ValueError, TypeError):
        return False
    return True


def _ranges(text: str) -> Ranges:
    return Ranges((first, last) for first, last in json.loads(text))
