"""Intake: steps of alerts -> what the dispatcher knows of them."""

from collections.abc import Iterable, Sequence

from collector.alerting.alert import Alert, AlertState, Reason, Transition
from collector.alerting.dispatch.backlog import note
from collector.alerting.dispatch.memory import Shadow, Tracked
from collector.alerting.dispatch.sitting import Sitting
from collector.alerting.notify.content import Cause
from collector.alerting.notify.match import group_of
from collector.alerting.subject import Subject

_OPEN = (AlertState.FIRING, AlertState.ACKNOWLEDGED)


def live_of(alerts: Iterable[Alert]) -> dict[int, Alert]:
    """What may have to be told, by number."""
    return {alert.number: alert for alert in alerts if alert.state in _OPEN and not alert.replayed}


def take_in(sitting: Sitting, steps: Sequence[Transition]) -> None:
    """Take in steps, in order, and whatever is live; what is neither that nor over is forgotten."""
    memory = sitting.memory
    for step in steps:
        _take(sitting, step)
    ended = {_key(one): number for number, one in memory.alerts.items() if one.gone is not None}
    for number, alert in sitting.live.items():
        if number not in memory.alerts:
            memory.alerts[number] = _tracked(sitting, alert, ended)
    known = memory.alerts.items()
    for number in [n for n, one in known if one.gone is None and n not in sitting.live]:
        del memory.alerts[number]


def _take(sitting: Sitting, step: Transition) -> None:
    tracked = sitting.memory.alerts.get(step.alert.number)
    if step.alert.replayed and tracked is None:
        note(sitting.memory, step, sitting)
    elif step.alert.state is AlertState.RESOLVED:
        _resolved(sitting, step)
    elif step.reason is Reason.ACK_EXPIRED and tracked is not None:
        ring(tracked, Cause.ACK_EXPIRED, sitting.now_ms)


def ring(tracked: Tracked, cause: Cause, now_ms: int) -> None:
    """Whoever was told first is told again, and the clock of escalation starts anew."""
    for told in tracked.told.values():
        if not told.escalated:
            told.again, told.again_ms = cause, now_ms
    tracked.clock_ms = None


def _resolved(sitting: Sitting, step: Transition) -> None:
    alert, memory = step.alert, sitting.memory
    linger_ms = sitting.office.facts.of(alert).linger_ms if step.before in _OPEN else 0
    if linger_ms:
        memory.shadows.append(Shadow(alert=alert, until_ms=sitting.now_ms + linger_ms))
    tracked = memory.alerts.get(alert.number)
    if tracked is None:
        return
    if tracked.told:
        tracked.gone, tracked.gone_ms = alert, min(alert.moved_ms, sitting.now_ms)
    else:
        del memory.alerts[alert.number]  # nobody was told of it, so nobody is told of its end


def _tracked(sitting: Sitting, alert: Alert, ended: dict[tuple[str, Subject], int]) -> Tracked:
    """An alert that fires again before its end was told goes on where it was."""
    fresh = Tracked(
        group=group_of(alert), subject=alert.subject, seen_ms=min(alert.moved_ms, sitting.now_ms)
    )
    number = ended.pop(_key(fresh), None)
    if number is None:
        return fresh
    before = sitting.memory.alerts.pop(number)
    fresh.told, fresh.overdue, fresh.clock_ms = before.told, before.overdue, before.clock_ms
    return fresh


def _key(tracked: Tracked) -> tuple[str, Subject]:
    return tracked.group, tracked.subject
