"""Carry: what versions 1 to 3 of the small state knew of alerts -> the tables of version 4.

They had one kind of rule, a threshold that fires and resolves at once, and a row for each of both.
"""

from itertools import count

import msgspec
import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from sqlalchemy.engine import Connection  # noqa: TID251 - this is the adapter

from collector.alerting.alert import Alert, AlertState, Level, Reason, Transition
from collector.alerting.severity import Severity
from collector.alerting.subject import Place, Subject, SubjectKind

_old = sa.MetaData()
_columns = (
    ("at_ms", sa.BigInteger),
    ("value", sa.Float),
    ("bound", sa.Float),
    ("recorded_ms", sa.BigInteger),
)
_entries = sa.Table(
    "alert_entry",
    _old,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("rule", sa.String(64)),
    sa.Column("meter", sa.String(63)),
    sa.Column("state", sa.String(16)),
    *(sa.Column(name, kind) for name, kind in _columns),
)
_standing = sa.Table("alert", _old, sa.Column("rule", sa.String(64), primary_key=True))


def old_steps(connection: Connection) -> list[Transition]:
    """The steps that were recorded, in order, as those of alerts with numbers."""
    if not sa.inspect(connection).has_table(_entries.name):
        return []
    firing: dict[tuple[str, str], Alert] = {}
    numbers = count(1)
    steps: list[Transition] = []
    for row in connection.execute(sa.select(_entries).order_by(_entries.c.number)):
        key = (row.rule, row.meter)
        before = firing.pop(key, None)
        if row.state == AlertState.FIRING:
            alert = firing[key] = _fired(row, number=next(numbers))
            steps.append(Transition(alert=alert, before=None, reason=Reason.HELD))
        elif before is not None:
            alert = _cleared(before, row)
            steps.append(Transition(alert=alert, before=AlertState.FIRING, reason=Reason.CLEARED))
    return steps


def drop_old(connection: Connection) -> None:
    _old.drop_all(connection, tables=[_entries, _standing])


def _fired(row: sa.Row[tuple[object, ...]], *, number: int) -> Alert:
    level = Level(
        rule=row.rule,
        since_ms=row.at_ms,
        seen_ms=row.at_ms,
        held=True,
        value=row.value,
        limit=row.bound,
        worst=row.value,
    )
    return Alert(
        number=number,
        rule=row.rule,
        rule_version="",
        title=row.rule,
        severity=Severity.YELLOW,
        subject=Subject(SubjectKind.METER, row.meter),
        place=Place(meter=row.meter),
        state=AlertState.FIRING,
        since_ms=row.at_ms,
        at_ms=row.at_ms,
        fired_ms=row.at_ms,
        moved_ms=row.recorded_ms,
        value=row.value,
        limit=row.bound,
        worst=row.value,
        group=row.rule,
        levels=(level,),
    )


def _cleared(before: Alert, row: sa.Row[tuple[object, ...]]) -> Alert:
    return msgspec.structs.replace(
        before,
        state=AlertState.RESOLVED,
        at_ms=row.at_ms,
        resolved_ms=row.at_ms,
        moved_ms=row.recorded_ms,
        value=row.value,
        limit=row.bound,
        levels=(),
    )
