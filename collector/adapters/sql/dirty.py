"""SqlDirtyBook: marks of (meter, day) in SQL.

The marks of one transaction share a number, drawn from a row that the transaction holds until it
ends: numbers grow in the order in which marks become visible.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from sqlalchemy.engine import Connection  # noqa: TID251 - this is the adapter

from collector.adapters.sql.engine import Database, put
from collector.adapters.sql.schema import counters, dirty_days
from collector.dirty import DirtyDay

_METERS_AT_ONCE = 500

_NEXT = (
    sa.update(counters)
    .where(counters.c.name == "dirty")
    .values(value=counters.c.value + 1)
    .returning(counters.c.value)
)
_CLEAR = sa.delete(dirty_days).where(
    dirty_days.c.meter == sa.bindparam("of_meter"),
    dirty_days.c.day_ms == sa.bindparam("of_day_ms"),
    dirty_days.c.number == sa.bindparam("of_number"),
)
_ORDERED = sa.select(dirty_days).order_by(dirty_days.c.meter, dirty_days.c.day_ms)


def mark(connection: Connection, days: Iterable[tuple[str, int]]) -> None:
    """Mark within the caller's transaction."""
    pairs = sorted(set(days))  # in the order of clearing: two transactions never wait crosswise
    if not pairs:
        return
    number = connection.execute(_NEXT).scalar_one()
    put(
        connection,
        dirty_days,
        *({"meter": meter, "day_ms": day_ms, "number": number} for meter, day_ms in pairs),
    )


class SqlDirtyBook:
    """The `DirtyBook` in the small state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark_dirty(self, days: Collection[tuple[str, int]]) -> None:
        with self._database.writing("mark days") as connection:
            mark(connection, days)

    def dirty(self, limit: int, meters: Sequence[str] | None = None) -> list[DirtyDay]:
        found: list[DirtyDay] = []
        with self._database.reading("list marked days") as connection:
            for query in _queries(meters):
                if len(found) >= limit:
                    break
                found += _some(connection, query, limit - len(found))
        return found

    def count_dirty(self) -> int:
        query = sa.select(sa.func.count()).select_from(dirty_days)
        with self._database.reading("count marked days") as connection:
            return int(connection.execute(query).scalar_one())

    def oldest_dirty_ms(self) -> int | None:
        query = sa.select(sa.func.min(dirty_days.c.day_ms))
        with self._database.reading("find the oldest marked day") as connection:
            oldest = connection.execute(query).scalar_one()
        return None if oldest is None else int(oldest)

    def clear_dirty(self, days: Sequence[DirtyDay]) -> None:
        if not days:
            return
        rows = [{"of_meter": d.meter, "of_day_ms": d.day_ms, "of_number": d.number} for d in days]
        with self._database.writing("clear marked days") as connection:
            connection.execute(_CLEAR, rows)


def _queries(meters: Sequence[str] | None) -> Iterator[sa.Select[Any]]:
    """One for all, or one for each some of the meters, in their order."""
    if meters is None:
        yield _ORDERED
        return
    wanted = sorted(set(meters))
    for start in range(0, len(wanted), _METERS_AT_ONCE):
        yield _ORDERED.where(dirty_days.c.meter.in_(wanted[start : start + _METERS_AT_ONCE]))


def _some(connection: Connection, query: sa.Select[Any], limit: int) -> list[DirtyDay]:
    """At least `limit` if there are as many, to the end of the last one's meter."""
    days = _days(connection, query.limit(limit))
    if len(days) == limit:
        last = days[-1]
        days += _days(
            connection,
            query.where(dirty_days.c.meter == last.meter, dirty_days.c.day_ms > last.day_ms),
        )
    return days


def _days(connection: Connection, query: sa.Select[Any]) -> list[DirtyDay]:
    return [
        DirtyDay(meter=meter, day_ms=day_ms, number=number)
        for meter, day_ms, number in connection.execute(query)
    ]
