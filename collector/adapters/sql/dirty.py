"""SqlDirtyBook: marks of (meter, day) in SQL: what is to be settled, what was settled.

The marks of one transaction share a number, drawn from a row that the transaction holds until it
ends: numbers grow in the order in which marks become visible.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from sqlalchemy.engine import Connection  # noqa: TID251 - this is the adapter

from collector.adapters.sql.engine import Database, put
from collector.adapters.sql.schema import counters, dirty_days, settled_days
from collector.dirty import DirtyDay

_METERS_AT_ONCE = 500


class Marks:
    """A table of marks, and the counter that numbers them."""

    def __init__(self, table: sa.Table, counter: str) -> None:
        self.table = table
        self.next = (
            sa.update(counters)
            .where(counters.c.name == counter)
            .values(value=counters.c.value + 1)
            .returning(counters.c.value)
        )
        self.clear = sa.delete(table).where(
            table.c.meter == sa.bindparam("of_meter"),
            table.c.day_ms == sa.bindparam("of_day_ms"),
            table.c.number == sa.bindparam("of_number"),
        )
        self.ordered = sa.select(table).order_by(table.c.meter, table.c.day_ms)


TO_SETTLE = Marks(dirty_days, "dirty")
SETTLED = Marks(settled_days, "settled")


def mark(connection: Connection, days: Iterable[tuple[str, int]], marks: Marks = TO_SETTLE) -> None:
    """Mark within the caller's transaction."""
    pairs = sorted(set(days))  # in the order of clearing: two transactions never wait crosswise
    if not pairs:
        return
    number = connection.execute(marks.next).scalar_one()
    put(
        connection,
        marks.table,
        *({"meter": meter, "day_ms": day_ms, "number": number} for meter, day_ms in pairs),
    )


class SqlDirtyBook:
    """A `DirtyBook` in the small state."""

    def __init__(self, database: Database, marks: Marks = TO_SETTLE) -> None:
        self._database = database
        self._marks = marks

    def mark_dirty(self, days: Collection[tuple[str, int]]) -> None:
        with self._database.writing("mark days") as connection:
            mark(connection, days, self._marks)

    def dirty(self, limit: int, meters: Sequence[str] | None = None) -> list[DirtyDay]:
        found: list[DirtyDay] = []
        with self._database.reading("list marked days") as connection:
            for query in _queries(self._marks, meters):
                if len(found) >= limit:
                    break
                found += self._some(connection, query, limit - len(found))
        return found

    def count_dirty(self) -> int:
        query = sa.select(sa.func.count()).select_from(self._marks.table)
        with self._database.reading("count marked days") as connection:
            return int(connection.execute(query).scalar_one())

    def oldest_dirty_ms(self) -> int | None:
        query = sa.select(sa.func.min(self._marks.table.c.day_ms))
        with self._database.reading("find the oldest marked day") as connection:
            oldest = connection.execute(query).scalar_one()
        return None if oldest is None else int(oldest)

    def clear_dirty(self, days: Sequence[DirtyDay]) -> None:
        if not days:
            return
        rows = [{"of_meter": d.meter, "of_day_ms": d.day_ms, "of_number": d.number} for d in days]
        with self._database.writing("clear marked days") as connection:
            connection.execute(self._marks.clear, rows)

    def forget_before(self, day_ms: int) -> int:
        old = sa.delete(self._marks.table).where(self._marks.table.c.day_ms < day_ms)
        with self._database.writing("forget old marks") as connection:
            return int(connection.execute(old).rowcount)

    def _some(self, connection: Connection, query: sa.Select[Any], limit: int) -> list[DirtyDay]:
        """At least `limit` if there are as many, to the end of the last one's meter."""
        days = _days(connection, query.limit(limit))
        if len(days) == limit:
            last, table = days[-1], self._marks.table
            rest = query.where(table.c.meter == last.meter, table.c.day_ms > last.day_ms)
            days += _days(connection, rest)
        return days


def _queries(marks: Marks, meters: Sequence[str] | None) -> Iterator[sa.Select[Any]]:
    """One for all, or one for each some of the meters, in their order."""
    if meters is None:
        yield marks.ordered
        return
    wanted = sorted(set(meters))
    for start in range(0, len(wanted), _METERS_AT_ONCE):
        some = wanted[start : start + _METERS_AT_ONCE]
        yield marks.ordered.where(marks.table.c.meter.in_(some))


def _days(connection: Connection, query: sa.Select[Any]) -> list[DirtyDay]:
    return [
        DirtyDay(meter=meter, day_ms=day_ms, number=number)
        for meter, day_ms, number in connection.execute(query)
    ]
