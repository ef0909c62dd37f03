"""An `AlertLog` in memory, held to the same contract as the real one; and words for tests."""

from collections.abc import Collection, Sequence
from threading import Lock

from msgspec import structs

from collector.alerting.alert import Alert, AlertState, Transition
from collector.alerting.log import Judged
from metering.errors import TransientError


class FakeAlertLog:
    """Keeps alerts and steps in memory; `away` makes every call raise."""

    def __init__(self) -> None:
        self.away: TransientError | None = None
        self.how_far: list[Judged] = []
        self._lock = Lock()
        self._alerts: dict[int, Alert] = {}
        self._steps: list[Transition] = []

    def keep(self, steps: Sequence[Transition], standing: Sequence[Alert] = ()) -> list[Transition]:
        with self._lock:
            self._answer()
            first = self._steps[-1].number + 1 if self._steps else 1
            numbered = [structs.replace(one, number=first + n) for n, one in enumerate(steps)]
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
