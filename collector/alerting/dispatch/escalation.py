"""Escalation: an alert that nobody takes on, or that stays unsolved -> who is told next."""

from collections.abc import Iterator

from collector.alerting.dispatch.facts import Facts
from collector.alerting.dispatch.memory import Tracked
from collector.alerting.dispatch.need import Need
from collector.alerting.dispatch.routing import short
from collector.alerting.dispatch.sitting import Sitting
from collector.alerting.notify.content import Cause


def stages(sitting: Sitting, facts: Facts, tracked: Tracked) -> Iterator[Need]:
    """The next ones up, counted from when the first were told.

    Whoever was told since then, by whichever way, is not told by a stage as well. What is due
    within the group's interval goes up with what is due now.
    """
    firsts = [name for name, told in tracked.told.items() if not told.escalated]
    if not firsts or tracked.clock_ms is None:
        return
    first = tracked.told[min(firsts)]
    route = sitting.office.routing.route(first.route)
    severity = facts.alert.severity
    for stage in sitting.settings.escalations.get(route.escalation, ()):
        after_ms = stage.after_ms.get(severity)
        if after_ms is None:
            continue
        due_ms = tracked.clock_ms + after_ms
        for person in facts.people(stage.to):
            told = tracked.told.get(person)
            if told is not None and told.at_ms >= tracked.clock_ms:
                continue
            if due_ms - route.interval_ms[severity] > sitting.now_ms:
                sitting.wake(due_ms)
                continue
            yield Need(
                alert=facts.alert,
                receiver=person,
                chain=f"up/{person}/{short(first.chain)}",
                route=route,
                cause=Cause.ESCALATION,
                due_ms=due_ms,
                escalated=True,
            )


def overdue(sitting: Sitting, facts: Facts, tracked: Tracked) -> Iterator[Need]:
    """What is unsolved for too many working days, acknowledged or not; told once to each."""
    for name, due_ms, people in facts.limits:
        for person in people:
            if f"{name}/{person}" in tracked.overdue:
                continue
            if due_ms > sitting.now_ms:
                sitting.wake(due_ms)
                continue
            yield Need(
                alert=facts.alert,
                receiver=person,
                chain=f"overdue/{name}/{person}",
                route=sitting.settings.route,
                cause=Cause.OVERDUE,
                due_ms=due_ms,
                escalated=True,
                limit=f"{name}/{person}",
            )
