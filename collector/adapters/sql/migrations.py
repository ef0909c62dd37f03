"""Migrations: a small state of an older version is brought up to date.

A migration makes what its own version brought; when a later version changes one of those tables,
the migration keeps the table as it was then.
"""

from collections.abc import Callable

import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from sqlalchemy.engine import Connection  # noqa: TID251 - this is the adapter

from collector.adapters.sql.alerting import keep
from collector.adapters.sql.carry import drop_old, old_steps
from collector.adapters.sql.engine import insert, put
from collector.adapters.sql.schema import (
    SCHEMA_VERSION,
    alert_steps,
    attempts,
    counters,
    dirty_days,
    entries,
    facts,
    findings,
    job_runs,
    memories,
    meta,
    notice_alerts,
    notices,
    register_breaks,
    register_doubts,
    settled_days,
    silences,
    standing_alerts,
)
from metering.errors import PermanentError


class StateTooNew(PermanentError):
    """A later version of this software wrote the small state."""


def _to_2(connection: Connection) -> None:
    """Entries, marks, runs, findings and breaks are new; what version 1 holds stays as it is."""
    brought = (counters, dirty_days, entries, job_runs, findings, register_breaks)
    meta.create_all(connection, tables=brought)


def _to_3(connection: Connection) -> None:
    """Days in doubt are new; those settled before are remembered when they are settled again."""
    meta.create_all(connection, tables=[register_doubts])


def _to_4(connection: Connection) -> None:
    """Alerts have subjects and steps; those of the one kind of rule before are carried over."""
    brought = (standing_alerts, alert_steps, notices, notice_alerts, attempts, silences, memories)
    meta.create_all(connection, tables=[*brought, settled_days])
    insert(connection, counters, [{"name": "alert_step", "value": 0}])
    keep(connection, old_steps(connection))
    drop_old(connection)


_COUNTERS = ("alert_step", "dirty", "settled")

# From version N to N + 1: a function that changes the tables of an existing file.
_MIGRATIONS: dict[int, Callable[[Connection], None]] = {1: _to_2, 2: _to_3, 3: _to_4}


def migrate(connection: Connection) -> None:
    """Make the tables, or bring them up to date; raises StateTooNew and then changes nothing."""
    version = SCHEMA_VERSION
    if sa.inspect(connection).has_table(facts.name):
        version = int(fact(connection, "schema", str(SCHEMA_VERSION)))
    if version > SCHEMA_VERSION:
        raise StateTooNew(
            f"the small state has schema {version}, this version knows {SCHEMA_VERSION}: "
            "run the version that wrote it, or a later one"
        )
    for step in range(version, SCHEMA_VERSION):
        _MIGRATIONS[step](connection)
    meta.create_all(connection)
    insert(connection, counters, [{"name": name, "value": 0} for name in _COUNTERS])
    put(connection, facts, {"name": "schema", "value": str(SCHEMA_VERSION)})


def fact(connection: Connection, name: str, default: str) -> str:
    query = sa.select(facts.c.value).where(facts.c.name == name)
    value = connection.execute(query).scalar_one_or_none()
    return default if value is None else str(value)
