"""An `AlertLog` in memory, held to the same contract as the real one; and words for tests."""

from collections.abc import Collection, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from msgspec import structs

from collector.alerting.alert import Alert, AlertState, Reason, Transition
from collector.alerting.lifecycle import AlertBook
from collector.alerting.log import Judged
from collector.alerting.observation import Observation, Verdict
from collector.alerting.place import Places
from collector.alerting.rule import Above, Rule
from collector.alerting.severity import Severity
from collector.alerting.subject import Place, Subject, SubjectKind
from collector.fleet.check import load_fleet
from collector.fleet.index import Fleet
from metering.errors import TransientError

CONFIG = Path(__file__).parents[2] / "config"


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

    def fired_of(self, subject: Subject, since_ms: int) -> list[Alert]:
        self._answer()
        found = [
            alert
            for alert in self._alerts.values()
            if alert.subject == subject
            and alert.fired_ms is not None
            and (alert.resolved_ms is None or alert.resolved_ms >= since_ms)
        ]
        return sorted(found, key=lambda alert: (alert.since_ms, alert.number))

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


class Life:
    """A life cycle on a log in memory, as a script moves it; `restart` goes on from the log.

    Times are minutes after `START_MS`; the clock shows the time of the reading unless told
    otherwise.
    """

    def __init__(self, *rules: Rule, fleet: Fleet | None = None) -> None:
        self.rules = rules
        self.log = FakeAlertLog()
        self.places = Places(fleet or load_fleet(CONFIG))
        self.restart()

    def restart(self, *rules: Rule) -> None:
        """Begin again from what is kept, with other rules if there are any."""
        self.rules = rules or self.rules
        self.book = AlertBook(
            self.rules,
            self.places,
            alerts=self.log.open_alerts(),
            fired=self.log.fired_since(0),
            last_alert=self.log.last_alert(),
        )

    def see(
        self,
        minute: float,
        value: float | None = None,
        verdict: Verdict | None = None,
        *,
        now: float | None = None,
        **changed: Any,
    ) -> list[str]:
        """One observation of `threshold`, by its value, or of a verdict; returns the reasons."""
        seen = look(minute, value, verdict, **changed)
        return self.keep(self.book.observe([seen], at(minute if now is None else now)))

    def tick(self, now: float) -> list[str]:
        return self.keep(self.book.tick(at(now)))

    def acknowledge(self, number: int, until: float | None, now: float) -> list[str]:
        until_ms = None if until is None else at(until)
        return self.keep(self.book.acknowledge(number, "王工", "已派人", until_ms, at(now)))

    def keep(self, steps: list[Transition]) -> list[str]:
        self.log.keep(steps, self.book.take_touched())
        return [str(one.reason) for one in steps]

    @property
    def steps(self) -> list[Transition]:
        return self.log.steps_after(0, 100_000)

    @property
    def reasons(self) -> list[str]:
        return [str(one.reason) for one in self.steps]

    @property
    def open(self) -> Alert:
        """The one open alert."""
        (alert,) = self.log.open_alerts()
        return alert


def at(minute: float) -> int:
    return START_MS + round(minute * MINUTE_MS)


def look(
    minute: float, value: float | None = None, verdict: Verdict | None = None, **changed: Any
) -> Observation:
    """What the evaluator says of a value, for a threshold of 500 that resolves at 400."""
    if verdict is None:
        number = value or 0.0
        verdict = (
            Verdict.MET if number > 500 else Verdict.CLEAR if number <= 400 else Verdict.BETWEEN
        )
    if value is None:
        value = {Verdict.MET: 600.0, Verdict.BETWEEN: 450.0}.get(verdict, 100.0)
    plain = Observation(
        rule="hot",
        subject=METER,
        at_ms=at(minute),
        verdict=verdict,
        value=value,
        limit=400.0 if verdict is Verdict.CLEAR else 500.0,
        unit="kW",
        every_ms=MINUTE_MS,
    )
    return structs.replace(plain, **changed)


def always_open(*_: object) -> bool:
    """Hours of a rule that has none."""
    return True
