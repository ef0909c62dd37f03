"""SqlSilenceBook: silences, in SQL."""

import json
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from msgspec import structs

from collector.adapters.sql.engine import Database
from collector.adapters.sql.schema import silences as table
from collector.alerting.notice import Silence


class SqlSilenceBook:
    """The `SilenceBook` in the small state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_silence(self, silence: Silence) -> Silence:
        values = structs.asdict(silence)
        del values["number"]
        values["matcher"] = json.dumps(silence.matcher, ensure_ascii=False)
        with self._database.writing("keep a silence") as connection:
            kept = connection.execute(sa.insert(table).returning(table.c.number), values)
            return structs.replace(silence, number=kept.scalar_one())

    def silences(self, *, at_ms: int | None = None, limit: int = 100) -> list[Silence]:
        query = sa.select(table).order_by(table.c.number.desc()).limit(limit)
        if at_ms is not None:
            query = query.where(
                table.c.start_ms <= at_ms,
                table.c.end_ms > at_ms,
                sa.or_(table.c.ended_ms.is_(None), table.c.ended_ms > at_ms),
            )
        with self._database.reading("list silences") as connection:
            return [_silence(row) for row in connection.execute(query)]

    def expire_silence(self, number: int, at_ms: int) -> Silence | None:
        """End a silence, unless it has an end by hand already; None if there is none."""
        end = (
            sa.update(table)
            .where(table.c.number == number, table.c.ended_ms.is_(None))
            .values(ended_ms=at_ms)
        )
        query = sa.select(table).where(table.c.number == number)
        with self._database.writing("expire a silence") as connection:
            connection.execute(end)
            row = connection.execute(query).one_or_none()
        return None if row is None else _silence(row)


def _silence(row: Any) -> Silence:
    return Silence(**{**row._asdict(), "matcher": json.loads(row.matcher)})
