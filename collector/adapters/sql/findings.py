"""SqlFindingBook: each day's findings, in SQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from msgspec import structs

from collector.adapters.sql.engine import Database
from collector.adapters.sql.schema import findings as table
from collector.findings import Finding, FindingKind


class SqlFindingBook:
    """The `FindingBook` in the small state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace_findings(self, day_ms: int, findings: Sequence[Finding]) -> None:
        with self._database.writing("keep findings") as connection:
            connection.execute(sa.delete(table).where(table.c.day_ms == day_ms))
            if findings:
                rows = [structs.asdict(finding) | {"day_ms": day_ms} for finding in findings]
                connection.execute(sa.insert(table), rows)

    def findings(self, start_ms: int, end_ms: int, institution: str | None = None) -> list[Finding]:
        query = sa.select(table).where(table.c.day_ms >= start_ms, table.c.day_ms < end_ms)
        if institution is not None:
            query = query.where(table.c.institution == institution)
        order = (table.c.day_ms, table.c.institution, table.c.kind, table.c.meter, table.c.number)
        with self._database.reading("list findings") as connection:
            return [_finding(row) for row in connection.execute(query.order_by(*order))]


def _finding(row: Any) -> Finding:
    said = {name: getattr(row, name) for name in Finding.__struct_fields__ if name != "kind"}
    return Finding(kind=FindingKind(row.kind), **said)
