"""Needs: alerts and what was told of them -> what is to be told, to whom, from when on."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from collector.alerting.alert import Alert, AlertState
from collector.alerting.dispatch.escalation import overdue, stages
from collector.alerting.dispatch.facts import Facts
from collector.alerting.dispatch.intake import ring
from collector.alerting.dispatch.memory import Told, Tracked
from collector.alerting.dispatch.muting import Muting
from collector.alerting.dispatch.need import Need
from collector.alerting.dispatch.routing import Target
from collector.alerting.dispatch.sitting import Sitting
from collector.alerting.notify.content import Cause


class _Case(Struct, frozen=True, kw_only=True):
    """One alert under review."""

    alert: Alert
    facts: Facts
    tracked: Tracked
    now_ms: int


def needs_of(sitting: Sitting, muting: Muting, numbers: Iterable[int]) -> list[Need]:
    """What is to be told of some alerts now, or as their groups ask for it.

    When anything else will be due is noted, and what hides an alert is noted with it.
    """
    found: list[Need] = []
    for number in numbers:
        tracked = sitting.memory.alerts.get(number)
        if tracked is None:
            continue
        alert = tracked.gone or sitting.live.get(number)
        if alert is not None:
            facts = sitting.office.facts.of(alert)
            case = _Case(alert=alert, facts=facts, tracked=tracked, now_ms=sitting.now_ms)
            found += _of_one(sitting, case, muting)
    return found


def _of_one(sitting: Sitting, case: _Case, muting: Muting) -> Iterator[Need]:
    tracked, firing = case.tracked, case.alert.state is AlertState.FIRING
    hidden = muting.hidden(case.facts)
    if hidden.until_ms is not None:
        tracked.hushed = True
        sitting.wake(hidden.until_ms)
        return
    if tracked.hushed:
        tracked.hushed = False
        if firing:
            ring(tracked, Cause.SILENCE_ENDED, case.now_ms)
    if tracked.gone is not None:
        yield from _resolved(sitting, case)
        return
    if hidden.inhibited:
        tracked.covered = hidden.covered
        return
    if tracked.covered:
        tracked.covered = False
        if firing:
            ring(tracked, Cause.UNCOVERED, case.now_ms)
    yield from _standing(sitting, case)


def _resolved(sitting: Sitting, case: _Case) -> Iterator[Need]:
    """Only to whom was told of it; of a flapping one when it has lasted."""
    flapping = sitting.settings.flapping
    alert, gone_ms = case.alert, case.tracked.gone_ms
    lasting = alert.flaps >= flapping.fires
    for receiver, told in _known(sitting, case.tracked):
        route = sitting.office.routing.route(told.route)
        due_ms = gone_ms + (flapping.calm_ms if lasting else route.wait_ms[alert.severity])
        if lasting and due_ms > case.now_ms:
            sitting.wake(due_ms)
            continue
        yield Need(
            alert=alert,
            receiver=receiver,
            chain=told.chain,
            route=route,
            cause=Cause.RESOLVED,
            due_ms=due_ms,
        )


def _standing(sitting: Sitting, case: _Case) -> Iterator[Need]:
    tracked = case.tracked
    if case.alert.state is AlertState.ACKNOWLEDGED:
        tracked.clock_ms = None
    else:
        # Whoever acknowledged the one before has not acknowledged what fires again.
        if tracked.clock_ms is None and _is_known(tracked):
            tracked.clock_ms = case.now_ms
        for target, chain in case.facts.targets:
            if target.receiver not in tracked.told:
                yield _new(case, target, chain)
        yield from stages(sitting, case.facts, tracked)
    for receiver, told in _known(sitting, tracked):
        need = _again(sitting, case, receiver, told)
        if need is not None:
            yield need
    yield from overdue(sitting, case.facts, tracked)


def _is_known(tracked: Tracked) -> bool:
    """Whether somebody who was told first knows it as it is."""
    return any(not told.escalated and told.again is None for told in tracked.told.values())


def _new(case: _Case, target: Target, chain: str) -> Need:
    return Need(
        alert=case.alert,
        receiver=target.receiver,
        chain=chain,
        route=target.route,
        cause=Cause.NEW,
        due_ms=case.tracked.seen_ms + target.route.wait_ms[case.alert.severity],
    )


def _again(sitting: Sitting, case: _Case, receiver: str, told: Told) -> Need | None:
    """What is to be said once more to somebody who knows."""
    alert, route = case.alert, sitting.office.routing.route(told.route)
    wait_ms = route.wait_ms[alert.severity]
    firing = alert.state is AlertState.FIRING
    if alert.severity.rank > told.severity.rank:
        cause, due_ms = Cause.WORSE, min(alert.moved_ms, case.now_ms) + wait_ms
    elif firing and told.again is not None:
        cause, due_ms = told.again, told.again_ms + wait_ms
    elif firing and not told.escalated and told.chain not in sitting.stuck:
        cause, due_ms = Cause.REPEAT, told.at_ms + route.repeat_ms[alert.severity]
        if due_ms > case.now_ms:  # it joins nothing that goes out before
            sitting.wake(due_ms)
            return None
    else:
        return None
    return Need(
        alert=alert,
        receiver=receiver,
        chain=told.chain,
        route=route,
        cause=cause,
        due_ms=due_ms,
    )


def _known(sitting: Sitting, tracked: Tracked) -> Iterator[tuple[str, Told]]:
    """Those told whom the configuration still has."""
    receivers = sitting.settings.receivers
    return ((name, told) for name, told in tracked.told.items() if name in receivers)
