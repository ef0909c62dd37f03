"""SqlAlertLog: alerts as they stand, every step they took, and how far readings are judged.

Steps of one transaction get numbers in a row from a counter that the transaction holds until it
ends: numbers grow in the order in which steps become visible, also where transactions overlap.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from msgspec import structs
from sqlalchemy.engine import Connection  # noqa: TID251 - this is the adapter

from collector.adapters.sql.engine import Database, put
from collector.adapters.sql.schema import alert_steps, counters, memories, standing_alerts
from collector.alerting.alert import Alert, AlertState, Reason, Transition
from collector.alerting.log import Judged
from collector.alerting.subject import Subject

_COUNTER = "alert_step"
_JUDGED = "judged/"

_encode = msgspec.json.Encoder().encode
_decode_alert = msgspec.json.Decoder(Alert).decode
_decode_judged = msgspec.json.Decoder(Judged).decode

_NEXT = (
    sa.update(counters)
    .where(counters.c.name == _COUNTER)
    .values(value=counters.c.value + sa.bindparam("steps"))
    .returning(counters.c.value)
)
_KEEP_STEP = sa.insert(alert_steps)
_STANDING = sa.select(standing_alerts.c.body)


def keep(
    connection: Connection, steps: Sequence[Transition], standing: Sequence[Alert] = ()
) -> list[Transition]:
    """Keep within the caller's transaction; returns the steps with their numbers."""
    numbered: list[Transition] = []
    if steps:
        last = connection.execute(_NEXT, {"steps": len(steps)}).scalar_one()
        first = int(last) - len(steps) + 1
        numbered = [structs.replace(one, number=first + n) for n, one in enumerate(steps)]
        connection.execute(_KEEP_STEP, [_step_values(one) for one in numbered])
    after = {one.alert.number: one.alert for one in steps}
    after |= {alert.number: alert for alert in standing}
    put(connection, standing_alerts, *(_alert_values(alert) for alert in after.values()))
    return numbered


def keep_judged(connection: Connection, judged: Sequence[Judged]) -> None:
    """Within the caller's transaction."""
    put(
        connection,
        memories,
        *({"name": _JUDGED + one.gateway, "cursor": 0, "body": _encode(one)} for one in judged),
    )


class SqlAlertLog:
    """The `AlertLog` in the small state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, steps: Sequence[Transition], standing: Sequence[Alert] = ()) -> list[Transition]:
        if not steps and not standing:
            return []
        with self._database.writing("keep steps of alerts") as connection:
            return keep(connection, steps, standing)

    def open_alerts(self) -> list[Alert]:
        query = _STANDING.where(standing_alerts.c.state != AlertState.RESOLVED)
        return self._alerts("list open alerts", query.order_by(standing_alerts.c.number))

    def alerts(
        self,
        *,
        states: Collection[AlertState] | None = None,
        since_ms: int | None = None,
        limit: int = 1000,
    ) -> list[Alert]:
        query = _STANDING
        if states is not None:
            query = query.where(standing_alerts.c.state.in_(sorted(states)))
        if since_ms is not None:
            query = query.where(standing_alerts.c.moved_ms >= since_ms)
        newest = (standing_alerts.c.moved_ms.desc(), standing_alerts.c.number.desc())
        return self._alerts("list alerts", query.order_by(*newest).limit(limit))

    def alert(self, number: int) -> Alert | None:
        query = _STANDING.where(standing_alerts.c.number == number)
        return next(iter(self._alerts("look up an alert", query)), None)

    def steps(self, alert: int) -> list[Transition]:
        query = sa.select(alert_steps).where(alert_steps.c.alert == alert)
        return self._steps("list an alert's steps", query.order_by(alert_steps.c.number))

    def steps_after(self, number: int, limit: int) -> list[Transition]:
        query = sa.select(alert_steps).where(alert_steps.c.number > number)
        return self._steps("list steps", query.order_by(alert_steps.c.number).limit(limit))

    def last_steps(self, limit: int) -> list[Transition]:
        query = sa.select(alert_steps).order_by(alert_steps.c.number.desc()).limit(limit)
        return self._steps("list the newest steps", query)

    def last_alert(self) -> int:
        query = sa.select(sa.func.max(standing_alerts.c.number))
        with self._database.reading("count alerts") as connection:
            return int(connection.execute(query).scalar_one() or 0)

    def fired_since(self, since_ms: int) -> list[Alert]:
        query = _STANDING.where(standing_alerts.c.fired_ms >= since_ms)
        order = (standing_alerts.c.fired_ms, standing_alerts.c.number)
        found = self._alerts("list what fired", query.order_by(*order))
        return [alert for alert in found if not alert.replayed]

    def fired_of(self, subject: Subject, since_ms: int) -> list[Alert]:
        query = _STANDING.where(
            standing_alerts.c.subject_id == subject.id,
            standing_alerts.c.subject_kind == subject.kind,
            standing_alerts.c.fired_ms.is_not(None),
        )
        found = self._alerts("list what a subject had", query)
        lasted = [a for a in found if a.resolved_ms is None or a.resolved_ms >= since_ms]
        return sorted(lasted, key=lambda alert: (alert.since_ms, alert.number))

    def judged(self) -> list[Judged]:
        query = sa.select(memories.c.body).where(memories.c.name.startswith(_JUDGED))
        with self._database.reading("look up how far was judged") as connection:
            rows = connection.execute(query.order_by(memories.c.name))
            return [_decode_judged(body) for (body,) in rows]

    def forget_before(self, moved_ms: int) -> int:
        old = sa.select(standing_alerts.c.number).where(
            standing_alerts.c.state == AlertState.RESOLVED,
            standing_alerts.c.fired_ms.is_(None),
            standing_alerts.c.moved_ms < moved_ms,
        )
        with self._database.writing("forget what never fired") as connection:
            connection.execute(sa.delete(alert_steps).where(alert_steps.c.alert.in_(old)))
            gone = sa.delete(standing_alerts).where(standing_alerts.c.number.in_(old))
            return int(connection.execute(gone).rowcount)

    def _alerts(self, what: str, query: sa.Select[Any]) -> list[Alert]:
        with self._database.reading(what) as connection:
            return [_decode_alert(body) for (body,) in connection.execute(query)]

    def _steps(self, what: str, query: sa.Select[Any]) -> list[Transition]:
        with self._database.reading(what) as connection:
            return [_transition(row) for row in connection.execute(query)]


def _step_values(one: Transition) -> dict[str, Any]:
    return {
        "number": one.number,
        "alert": one.alert.number,
        "before": one.before,
        "reason": one.reason,
        "moved_ms": one.alert.moved_ms,
        "body": _encode(one.alert),
    }


def _alert_values(alert: Alert) -> dict[str, Any]:
    return {
        "number": alert.number,
        "rule": alert.rule,
        "subject_kind": alert.subject.kind,
        "subject_id": alert.subject.id,
        "state": alert.state,
        "moved_ms": alert.moved_ms,
        "fired_ms": alert.fired_ms,
        "body": _encode(alert),
    }


def _transition(row: Any) -> Transition:
    return Transition(
        number=row.number,
        alert=_decode_alert(row.body),
        before=None if row.before is None else AlertState(row.before),
        reason=Reason(row.reason),
    )
