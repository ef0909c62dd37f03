"""Backlog: what a gateway's replay brought to light -> one digest, when it is quiet again."""

from collector.alerting.alert import AlertState, Transition
from collector.alerting.dispatch.memory import Backlog, Memory
from collector.alerting.dispatch.routing import short
from collector.alerting.dispatch.sitting import Sitting
from collector.alerting.notice import NoticeKind
from collector.alerting.notify.content import Cause, Content, Line
from collector.alerting.severity import Severity
from collector.settle.cells import DAY_MS, day_start_ms


def note(memory: Memory, step: Transition, sitting: Sitting) -> None:
    """Remember a step of a replayed alert; those that never fired are none of anybody's."""
    alert = step.alert
    if alert.fired_ms is None:
        return
    backlog = memory.backlogs.setdefault(alert.place.gateway or "", Backlog())
    if alert.number in backlog.alerts:
        backlog.alerts[alert.number] = alert
    elif step.before in (None, AlertState.PENDING):
        if len(backlog.alerts) < sitting.settings.replay.listed:
            backlog.alerts[alert.number] = alert
        else:
            backlog.more += 1
    backlog.last_ms = sitting.now_ms


def tell_backlogs(sitting: Sitting) -> None:
    """One notice a gateway, receiver and day at most, when nothing has come for a while."""
    for gateway in sorted(sitting.memory.backlogs):
        backlog = sitting.memory.backlogs[gateway]
        at_ms = _due_ms(sitting, backlog)
        if not backlog.alerts:
            if at_ms <= sitting.now_ms:  # the day of the last digest is over
                del sitting.memory.backlogs[gateway]
            continue
        if at_ms > sitting.now_ms:
            sitting.wake(at_ms)
            continue
        _tell(sitting, gateway, backlog)


def _due_ms(sitting: Sitting, backlog: Backlog) -> int:
    at_ms = backlog.last_ms + sitting.settings.replay.quiet_ms
    if backlog.told_day_ms is None or backlog.told_day_ms > sitting.now_ms:
        return at_ms
    return max(at_ms, backlog.told_day_ms + DAY_MS)


def _tell(sitting: Sitting, gateway: str, backlog: Backlog) -> None:
    concerned: dict[str, list[Line]] = {}
    for _, alert in sorted(backlog.alerts.items()):
        for target in sitting.office.routing.targets(alert):
            line = Line(alert=alert, cause=Cause.NEW)
            concerned.setdefault(target.receiver, []).append(line)
    rests = [
        rest for name in concerned if (rest := sitting.rest_of(name, Severity.BLUE)) is not None
    ]
    if rests:  # a record wakes nobody; told together, it is told once a day
        sitting.wake(max(rests))
        return
    day_ms = day_start_ms(sitting.now_ms)
    for receiver, lines in sorted(concerned.items()):
        lines.sort(key=lambda line: (-line.alert.severity.rank, line.alert.since_ms))
        chain = f"replay/{receiver}/{short(gateway)}"
        sitting.say(
            f"{chain}/{day_ms}/{max(backlog.alerts)}",
            chain,
            Content(
                kind=NoticeKind.REPLAY,
                receiver=receiver,
                title=sitting.title(receiver),
                now_ms=sitting.now_ms,
                lines=tuple(lines),
                gateway=gateway,
                unlisted=backlog.more,
            ),
            [line.alert for line in lines],
        )
    sitting.memory.backlogs[gateway] = Backlog(last_ms=backlog.last_ms, told_day_ms=day_ms)
