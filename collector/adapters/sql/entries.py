"""SqlEntryBook: what people say about meters and their data, in SQL.

A row also holds the span it concerns, so that looking for a span is one comparison, and an UNDO is
found where the entry is that it takes back.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from msgspec import structs
from sqlalchemy.engine import Connection  # noqa: TID251 - this is the adapter

from collector.adapters.sql.dirty import mark
from collector.adapters.sql.engine import Database
from collector.adapters.sql.schema import entries as table
from collector.dirty import days_of
from collector.entries import Entry, EntryKind, Span, check_undo, span_of, taken_back

_METERS_AT_ONCE = 500

_KEEP = sa.insert(table).returning(table.c.number, sort_by_parameter_order=True)
_UNDOS = sa.select(table.c.number, table.c.undoes).where(table.c.kind == EntryKind.UNDO)
_FIELDS = tuple(name for name in Entry.__struct_fields__ if name != "number")


class SqlEntryBook:
    """The `EntryBook` in the small state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_entries(self, entries: Sequence[Entry]) -> list[Entry]:
        if not entries:
            return []
        with self._database.writing("keep entries") as connection:
            spans = [_span(connection, entry) for entry in entries]
            rows = [_values(*pair) for pair in zip(entries, spans, strict=True)]
            numbers = connection.execute(_KEEP, rows).scalars().all()
            mark(connection, _days(entries, spans))
        return [
            structs.replace(entry, number=number)
            for entry, number in zip(entries, numbers, strict=True)
        ]

    def entries(
        self,
        *,
        meters: Sequence[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        in_force: bool = False,
        limit: int | None = None,
    ) -> list[Entry]:
        some = _chosen(start_ms, end_ms)
        with self._database.reading("list entries") as connection:
            gone = taken_back(_undos(connection, meters)) if in_force else None
            found: list[Entry] = []
            for query in _of(meters, some):
                found += _newest(connection, query, gone, limit)
        found.sort(key=lambda entry: entry.number)
        return found if limit is None else found[-limit:]

    def entry(self, number: int) -> Entry | None:
        with self._database.reading("look up an entry") as connection:
            row = connection.execute(sa.select(table).where(table.c.number == number)).one_or_none()
        return None if row is None else _entry(row)


def _span(connection: Connection, entry: Entry) -> Span:
    if entry.kind is not EntryKind.UNDO:
        return span_of(entry)
    query = sa.select(table).where(table.c.number == entry.undoes)
    row = connection.execute(query).one_or_none()
    check_undo(entry, None if row is None else _entry(row))
    assert row is not None
    return Span(row.since_ms, row.until_ms)


def _days(entries: Sequence[Entry], spans: Sequence[Span]) -> Iterator[tuple[str, int]]:
    for entry, span in zip(entries, spans, strict=True):
        for day_ms in days_of(span, entry.made_ms):
            yield entry.meter, day_ms


def _chosen(start_ms: int | None, end_ms: int | None) -> sa.Select[Any]:
    query = sa.select(table)
    if end_ms is not None:
        query = query.where(table.c.since_ms < end_ms)
    if start_ms is not None:
        query = query.where(sa.or_(table.c.until_ms.is_(None), table.c.until_ms > start_ms))
    return query


def _of(meters: Sequence[str] | None, query: sa.Select[Any]) -> Iterator[sa.Select[Any]]:
    if meters is None:
        yield query
        return
    wanted = sorted(set(meters))
    for start in range(0, len(wanted), _METERS_AT_ONCE):
        yield query.where(table.c.meter.in_(wanted[start : start + _METERS_AT_ONCE]))


def _undos(connection: Connection, meters: Sequence[str] | None) -> list[tuple[int, int]]:
    """An UNDO is of the same meter as what it takes back."""
    return [
        (number, undoes)
        for query in _of(meters, _UNDOS)
        for number, undoes in connection.execute(query)
    ]


def _newest(
    connection: Connection, query: sa.Select[Any], gone: set[int] | None, limit: int | None
) -> list[Entry]:
    """The newest first; with `gone` neither these nor any UNDO."""
    query = query.limit(limit) if gone is None else query.where(table.c.kind != EntryKind.UNDO)
    found: list[Entry] = []
    for row in connection.execute(query.order_by(table.c.number.desc())):
        if limit is not None and len(found) == limit:
            break
        if gone is None or row.number not in gone:
            found.append(_entry(row))
    return found


def _values(entry: Entry, span: Span) -> dict[str, Any]:
    values = {name: getattr(entry, name) for name in _FIELDS}
    return values | {"since_ms": span.start_ms, "until_ms": span.end_ms}


def _entry(row: Any) -> Entry:
    said = {name: getattr(row, name) for name in _FIELDS if name != "kind"}
    return Entry(number=row.number, kind=EntryKind(row.kind), **said)
