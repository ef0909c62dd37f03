"""SqlEpochBook: the breaks between register epochs, and days in doubt, in SQL."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter

from collector.adapters.sql.engine import Database, insert, put
from collector.adapters.sql.schema import register_breaks, register_doubts
from collector.settle.breaks import Break
from collector.settle.series import Ending

_METERS_AT_ONCE = 500
_NO_LONGER = sa.delete(register_doubts).where(
    register_doubts.c.meter == sa.bindparam("of_meter"),
    register_doubts.c.quantity == sa.bindparam("of_quantity"),
    register_doubts.c.day_ms >= sa.bindparam("of_start"),
    register_doubts.c.day_ms < sa.bindparam("of_end"),
)
_COLUMNS = ("left_ms", "at_ms", "ending", "closed", "opened", "multiplier")


class SqlEpochBook:
    """The `EpochBook` in the small state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def breaks(self, meter: str, quantity: str, start_ms: int, end_ms: int) -> list[Break]:
        query = (
            sa.select(register_breaks)
            .where(_of(meter, quantity), _within(start_ms, end_ms))
            .order_by(register_breaks.c.at_ms)
        )
        with self._database.reading("list register epochs") as connection:
            return [_break(row) for row in connection.execute(query)]

    def last_break(self, meter: str, quantity: str, before_ms: int) -> Break | None:
        query = (
            sa.select(register_breaks)
            .where(_of(meter, quantity), register_breaks.c.at_ms < before_ms)
            .order_by(register_breaks.c.at_ms.desc())
            .limit(1)
        )
        with self._database.reading("find a register epoch") as connection:
            row = connection.execute(query).first()
        return None if row is None else _break(row)

    def replace_breaks(
        self, meter: str, quantity: str, span_ms: tuple[int, int], breaks: Sequence[Break]
    ) -> None:
        gone = sa.delete(register_breaks).where(_of(meter, quantity), _within(*span_ms))
        rows = [
            {"meter": meter, "quantity": quantity}
            | {name: getattr(one, name) for name in _COLUMNS}
            | {"ending": one.ending.value}
            for one in breaks
        ]
        with self._database.writing("keep register epochs") as connection:
            connection.execute(gone)
            put(connection, register_breaks, *rows)

    def doubts(
        self, meters: Sequence[str], start_ms: int, end_ms: int
    ) -> dict[str, frozenset[int]]:
        found: dict[str, set[int]] = {}
        with self._database.reading("list days in doubt") as connection:
            for first in range(0, len(meters), _METERS_AT_ONCE):
                some = register_doubts.c.meter.in_(meters[first : first + _METERS_AT_ONCE])
                query = sa.select(register_doubts.c.meter, register_doubts.c.day_ms).where(
                    some, _days_between(start_ms, end_ms)
                )
                for meter, day_ms in connection.execute(query):
                    found.setdefault(meter, set()).add(day_ms)
        return {meter: frozenset(days) for meter, days in found.items()}

    def replace_doubts(
        self, found: Sequence[tuple[str, str, tuple[int, int], Collection[int]]]
    ) -> None:
        if not found:
            return
        gone = [
            {"of_meter": meter, "of_quantity": quantity, "of_start": span[0], "of_end": span[1]}
            for meter, quantity, span, _ in found
        ]
        rows = [
            {"meter": meter, "quantity": quantity, "day_ms": day_ms}
            for meter, quantity, _, days in found
            for day_ms in sorted(days)
        ]
        with self._database.writing("keep days in doubt") as connection:
            connection.execute(_NO_LONGER, gone)
            insert(connection, register_doubts, rows)


def _days_between(start_ms: int, end_ms: int) -> Any:
    return sa.and_(register_doubts.c.day_ms >= start_ms, register_doubts.c.day_ms < end_ms)


def _of(meter: str, quantity: str) -> Any:
    return sa.and_(register_breaks.c.meter == meter, register_breaks.c.quantity == quantity)


def _within(start_ms: int, end_ms: int) -> Any:
    return sa.and_(register_breaks.c.at_ms >= start_ms, register_breaks.c.at_ms < end_ms)


def _break(row: Any) -> Break:
    return Break(
        left_ms=row.left_ms,
        at_ms=row.at_ms,
        ending=Ending(row.ending),
        closed=row.closed,
        opened=row.opened,
        multiplier=row.multiplier,
    )
