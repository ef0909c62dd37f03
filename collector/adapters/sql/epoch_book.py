"""SqlEpochBook: the breaks between register epochs in SQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter

from collector.adapters.sql.engine import Database, put
from collector.adapters.sql.schema import register_breaks
from collector.settle.breaks import Break
from collector.settle.series import Ending

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
