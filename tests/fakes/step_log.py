"""The part of an `AlertLog` that the notifier reads: in memory, and in a small state's file."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import structs

from collector.alerting.alert import Alert, AlertState, Transition
from metering.errors import TransientError


class FakeStepLog:
    """Keeps steps in a list; `away` makes every call raise."""

    def __init__(self) -> None:
        self.away: TransientError | None = None
        self._steps: list[Transition] = []
        self._alerts: dict[int, Alert] = {}

    def keep(self, steps: Sequence[Transition]) -> list[Transition]:
        self._answer()
        kept = []
        for step in steps:
            numbered = structs.replace(step, number=len(self._steps) + 1)
            self._steps.append(numbered)
            self._alerts[step.alert.number] = step.alert
            kept.append(numbered)
        return kept

    def open_alerts(self) -> list[Alert]:
        self._answer()
        return [one for one in self._alerts.values() if one.state is not AlertState.RESOLVED]

    def alerts(self, *, states=None, since_ms=None, limit=1000) -> list[Alert]:
        self._answer()
        found = [
            one
            for one in self._alerts.values()
            if (states is None or one.state in states)
            and (since_ms is None or one.moved_ms >= since_ms)
        ]
        return sorted(found, key=lambda one: -one.moved_ms)[:limit]

    def steps_after(self, number: int, limit: int) -> list[Transition]:
        self._answer()
        return self._steps[number : number + limit]

    def _answer(self) -> None:
        if self.away:
            raise self.away


class FileStepLog:
    """The same over the tables of a small state on disk, for processes that are killed."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def keep(self, steps: Sequence[Transition]) -> None:
        with sqlite3.connect(self._file, timeout=10) as connection:
            for step in steps:
                alert, body = step.alert, msgspec.json.encode(step.alert)
                connection.execute(
                    "INSERT OR REPLACE INTO standing_alert VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        alert.number,
                        alert.rule,
                        alert.subject.kind,
                        alert.subject.id,
                        alert.state,
                        alert.moved_ms,
                        alert.fired_ms,
                        body,
                    ),
                )
                connection.execute(
                    "INSERT INTO alert_step (alert, before, reason, moved_ms, body)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (alert.number, step.before, step.reason, alert.moved_ms, body),
                )
        connection.close()

    def open_alerts(self) -> list[Alert]:
        return [
            msgspec.json.decode(body, type=Alert)
            for (body,) in self._rows("SELECT body FROM standing_alert WHERE state != 'resolved'")
        ]

    def alerts(self, *, states=None, since_ms=None, limit=1000) -> list[Alert]:
        rows = self._rows("SELECT body FROM standing_alert ORDER BY moved_ms DESC LIMIT ?", limit)
        found = [msgspec.json.decode(body, type=Alert) for (body,) in rows]
        return [
            one
            for one in found
            if (states is None or one.state in states)
            and (since_ms is None or one.moved_ms >= since_ms)
        ]

    def steps_after(self, number: int, limit: int) -> list[Transition]:
        rows = self._rows(
            "SELECT number, before, reason, body FROM alert_step WHERE number > ?"
            " ORDER BY number LIMIT ?",
            number,
            limit,
        )
        return [
            Transition(
                number=row[0],
                before=AlertState(row[1]) if row[1] else None,
                reason=row[2],
                alert=msgspec.json.decode(row[3], type=Alert),
            )
            for row in rows
        ]

    def _rows(self, query: str, *values) -> list[tuple]:
        connection = sqlite3.connect(self._file, timeout=10)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()
