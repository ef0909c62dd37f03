"""Escalation: an alert that nobody takes on, or that stays unsolved -> who is told next."""

from collections.abc import Iterator

from collector.alerting.alert import Alert
from collector.alerting.dispatch.calendar import deadline_ms
from collector.alerting.dispatch.memory import Tracked
from collector.alerting.dispatch.need import Need
from collector.alerting.dispatch.sitting import Sitting, short
from collector.alerting.notify.content import Cause


def stages(sitting: Sitting, alert: Alert, tracked: Tracked) -> Iterator[Need]:
    """The next ones up, counted from when the first were told.

    Whoever was told since then, by whichever way, is not told by a stage as well.
    """
    first = next((told for _, told in sorted(tracked.told.items()) if not told.escalated), None)
    if first is None or tracked.clock_ms is None:
        return
    route = sitting.office.routing.route(first.route)
    for stage in sitting.settings.escalations.get(route.escalation, ()):
        after_ms = stage.after_ms.get(alert.severity)
        if after_ms is None:
            continue
        due_ms = tracked.clock_ms + after_ms
        for person in sitting.office.routing.people(stage.to, alert):
            told = tracked.told.get(person)
            if told is None or told.at_ms < tracked.clock_ms:
                yield Need(
                    alert=alert,
                    receiver=person,
                    chain=f"up/{person}/{short(first.chain)}",
                    route=route,
                    cause=Cause.ESCALATION,
                    due_ms=due_ms,
                    from_ms=due_ms - route.interval_ms[alert.severity],
                    escalated=True,
                )


def overdue(sitting: Sitting, alert: Alert, tracked: Tracked) -> Iterator[Need]:
    """What is unsolved for too many working days, acknowledged or not; told once to each."""
    for limit in sitting.settings.overdue:
        if not limit.match.holds(alert):
            continue
        due_ms = deadline_ms(alert.since_ms, limit.working_days, sitting.office.classify)
        for person in sitting.office.routing.people(limit.to, alert):
            if f"{limit.name}/{person}" in tracked.overdue:
                continue
            yield Need(
                alert=alert,
                receiver=person,
                chain=f"overdue/{limit.name}/{person}",
                route=sitting.settings.route,
                cause=Cause.OVERDUE,
                due_ms=due_ms,
                from_ms=due_ms,
                escalated=True,
                limit=f"{limit.name}/{person}",
            )
