"""An `AlertLog` in memory, held to the same contract as the real one; and words for tests."""

from collections.abc import Collection, Sequence
from threading import Lock
from typing import Any

from msgspec import structs

from collector.alerting.alert import Alert, AlertState, Reason, Transition
from collector.alerting.log import Judged
from collector.alerting.rule import Above, Rule
from collector.alerting.severity import Severity
from collector.alerting.subject import Place, Subject, SubjectKind
from metering.errors import TransientError


class FakeAlertLog:
    """Keeps alerts and steps in memory; `away` makes every call raise."""

    def __init__(self) -> None:
        self.away: TransientError | None = None
        self.how_far: list[Judged] = []
        self._lock = Lock()
        self._number = 0
        self._alerts: dict[int, Alert] = {}
        self._steps: list[Transition] = []

    def keep(self, steps: Sequence[Transition], standing: Sequence[Alert] = ()) -> list[Transition]:
        with self._lock:
            self._answer()
            numbered = [
                structs.replace(one, number=self._number + n) for n, one in enumerate(steps, 1)
            ]
            self._number += len(steps)
            self._steps += numbered
            self._alerts |= {one.alert.number: one.alert for one in steps}
            self._alerts |= {alert.number: alert for alert in standing}
            return numbered

    def open_alerts(self) -> list[Alert]:
        self._answer()
        found = [a for a in self._alerts.values() if a.state is not AlertState.RESOLVED]
        return sorted(found, key=lambda alert: alert.number)

    def alerts(
        self,
        *,
        states: Collection[AlertState] | None = None,
        since_ms: int | None = None,
        limit: int = 1000,
    ) -> list[Alert]:
        self._answer()
        found = [
            alert
            for alert in self._alerts.values()
            if (states is None or alert.state in states)
            and (since_ms is None or alert.moved_ms >= since_ms)
        ]
        return sorted(found, key=lambda alert: (-alert.moved_ms, -alert.number))[:limit]

    def alert(self, number: int) -> Alert | None:
        self._answer()
        return self._alerts.get(number)

    def steps(self, alert: int) -> list[Transition]:
        self._answer()
        return [one for one in self._steps if one.alert.number == alert]

    def steps_after(self, number: int, limit: int) -> list[Transition]:
        self._answer()
        return [one for one in self._steps if one.number > number][:limit]

    def last_steps(self, limit: int) -> list[Transition]:
        self._answer()
        return self._steps[::-1][:limit]

    def last_alert(self) -> int:
        self._answer()
        return max(self._alerts, default=0)

    def fired_since(self, since_ms: int) -> list[Alert]:
        self._answer()
        found = [
            alert
            for alert in self._alerts.values()
            if alert.fired_ms is not None and alert.fired_ms >= since_ms and not alert.replayed
        ]
        return sorted(found, key=lambda alert: (alert.fired_ms or 0, alert.number))

    def judged(self) -> list[Judged]:
        self._answer()
        return list(self.how_far)

    def forget_before(self, moved_ms: int) -> int:
        self._answer()
        old = {
            number
            for number, alert in self._alerts.items()
            if alert.state is AlertState.RESOLVED
            and alert.fired_ms is None
            and alert.moved_ms < moved_ms
        }
        self._alerts = {n: alert for n, alert in self._alerts.items() if n not in old}
        self._steps = [one for one in self._steps if one.alert.number not in old]
        return len(old)

    def _answer(self) -> None:
        if self.away is not None:
            raise self.away


METER = Subject(SubjectKind.METER, "e001-main")
START_MS = 1_780_272_000_000  # 2026-06-01T08:00:00+08:00
MINUTE_MS = 60_000


def threshold(rule: str = "hot", **changed: Any) -> Rule:
    """500 kW, until it is at or below 400."""
    plain = Rule(
        id=rule,
        title="功率过高",
        severity=Severity.YELLOW,
        condition=Above(quantity="active_power_kw", limit=500.0, resolves=400.0),
        version="1",
    )
    return structs.replace(plain, **changed)


def firing(number: int = 1, **changed: Any) -> Alert:
    """An alert that fires since `START_MS`."""
    plain = Alert(
        number=number,
        rule="hot",
        rule_version="1",
        title="功率过高",
        severity=Severity.YELLOW,
        subject=METER,
        place=Place(district="120101", institution="e001", meter="e001-main"),
        state=AlertState.FIRING,
        since_ms=START_MS,
        at_ms=START_MS,
        fired_ms=START_MS,
        moved_ms=START_MS + 1_000,
        value=600.0,
        limit=500.0,
        unit="kW",
        worst=600.0,
        group="hot",
    )
    return structs.replace(plain, **changed)


def fired(alert: Alert) -> Transition:
    return Transition(alert=alert, before=None, reason=Reason.HELD)


def cleared(alert: Alert, at_ms: int) -> Transition:
    """The end of an alert that fires."""
    after = structs.replace(
        alert,
        state=AlertState.RESOLVED,
        at_ms=at_ms,
        resolved_ms=at_ms,
        moved_ms=at_ms + 1_000,
        value=100.0,
    )
    return Transition(alert=after, before=alert.state, reason=Reason.CLEARED)
