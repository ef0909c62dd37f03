"""Flush: needs, by chain -> notices that go out now; what was said is noted."""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from collector.alerting.alert import Alert, AlertState
from collector.alerting.dispatch.mass import family_of_chain
from collector.alerting.dispatch.memory import Chain, Told, Tracked
from collector.alerting.dispatch.need import Need
from collector.alerting.dispatch.routing import labels
from collector.alerting.dispatch.sitting import Sitting
from collector.alerting.notice import NoticeKind
from collector.alerting.notify.content import Cause, Content, Line
from collector.alerting.severity import Severity


class _Ready(Struct, frozen=True, kw_only=True):
    """What goes out now, as one."""

    chain: str
    receiver: str
    needs: tuple[Need, ...]


def flush(sitting: Sitting, needs: Iterable[Need], inhibited: Collection[int]) -> set[int]:
    """Plan what is due; what is due later is looked at again then.

    Args:
        inhibited: alerts that are hidden, which stand in no notice.

    Returns:
        The alerts that were told of.
    """
    by_chain: dict[str, list[Need]] = {}
    for need in needs:
        by_chain.setdefault(need.chain, []).append(need)
    ready: list[_Ready] = []
    for chain, its in by_chain.items():
        if _goes_now(sitting, chain, its):
            ready.append(_Ready(chain=chain, receiver=its[0].receiver, needs=tuple(its)))
    for one in _bundled(sitting, ready):
        _tell(sitting, one, inhibited)
    return {need.alert.number for one in ready for need in one.needs}


def _goes_now(sitting: Sitting, chain: str, needs: Sequence[Need]) -> bool:
    known = sitting.memory.chains.get(chain)
    at_ms = min(need.due_ms for need in needs)
    if known is not None and known.free_ms > at_ms and not _gets_worse(known, needs):
        at_ms = known.free_ms
    if at_ms > sitting.now_ms:
        sitting.wake(at_ms)
        return False
    rest_ms = _rest(sitting, needs)
    if rest_ms is not None:
        known = sitting.memory.chains.setdefault(chain, Chain(born_ms=sitting.now_ms))
        known.held = True
        sitting.wake(rest_ms)
        return False
    return True


def _gets_worse(chain: Chain, needs: Sequence[Need]) -> bool:
    fresh = (need.alert.severity.rank for need in needs if need.cause is not Cause.RESOLVED)
    return max(fresh, default=-1) > chain.rank


def _rest(sitting: Sitting, needs: Sequence[Need]) -> int | None:
    """When the receiver may be told; None: now, for the worst of it wakes people."""
    if any(need.alert.rule in sitting.office.paging for need in needs):
        return None
    return sitting.rest_of(needs[0].receiver, _worst(needs))


def _worst(needs: Iterable[Need]) -> Severity:
    return max((need.alert.severity for need in needs), key=lambda severity: severity.rank)


def _bundled(sitting: Sitting, ready: Sequence[_Ready]) -> list[_Ready]:
    """What quiet hours held is told as one."""
    held: dict[str, list[_Ready]] = {}
    bundled: list[_Ready] = []
    for one in ready:
        chain = sitting.memory.chains.get(one.chain)
        if chain is not None and chain.held:
            chain.held = False
            held.setdefault(one.receiver, []).append(one)
        else:
            bundled.append(one)
    for receiver, its in held.items():
        if len(its) == 1:
            bundled += its
            continue
        needs = tuple(need for one in its for need in one.needs)
        bundled.append(_Ready(chain=f"morning/{receiver}", receiver=receiver, needs=needs))
    return bundled


def _tell(sitting: Sitting, ready: _Ready, inhibited: Collection[int]) -> None:
    now_ms, worst = sitting.now_ms, _worst(ready.needs)
    chain = sitting.memory.chains.setdefault(ready.chain, Chain(born_ms=now_ms))
    needs = _once_each(ready.needs)
    told = {need.alert.number for need in needs}
    standing = [
        alert
        for alert in _standing(sitting, ready)
        if alert.number not in told and alert.number not in inhibited
    ]
    family = family_of_chain(ready.chain)
    content = Content(
        kind=_kind(needs, family),
        receiver=ready.receiver,
        title=sitting.title(ready.receiver),
        now_ms=now_ms,
        labels=labels(needs[0].route, needs[0].alert) if ready.chain.startswith("route/") else (),
        lines=tuple(Line(alert=need.alert, cause=need.cause) for need in needs),
        standing=tuple(standing),
        family=family,
    )
    chain.count += 1
    chain.rank = max(worst.rank, *(alert.severity.rank for alert in standing), -1)
    chain.free_ms = now_ms + _interval_ms(sitting, ready, worst)
    key = f"{ready.chain}/{chain.born_ms}/{chain.count}"
    sitting.say(key, ready.chain, content, [need.alert for need in needs])
    for need in ready.needs:
        _note(sitting, need, ready.chain)
    for alert in standing:
        sitting.memory.alerts[alert.number].told[ready.receiver].at_ms = now_ms


def _once_each(needs: Iterable[Need]) -> list[Need]:
    """The worst first, what is over last; an alert that two limits name stands there once."""
    ordered = sorted(
        needs,
        key=lambda need: (
            need.cause is Cause.RESOLVED,
            -need.alert.severity.rank,
            need.alert.since_ms,
            need.alert.number,
        ),
    )
    return list({need.alert.number: need for need in reversed(ordered)}.values())[::-1]


def _kind(needs: Sequence[Need], family: str) -> NoticeKind:
    causes = {need.cause for need in needs}
    if family:
        return NoticeKind.MASS
    if causes == {Cause.REPEAT}:
        return NoticeKind.REPEAT
    if causes & {Cause.ESCALATION, Cause.OVERDUE}:
        return NoticeKind.ESCALATION
    return NoticeKind.ALERTS


def _standing(sitting: Sitting, ready: _Ready) -> list[Alert]:
    """What this receiver was told in this chain, and what still fires unanswered."""
    found = []
    for number, tracked in sitting.memory.alerts.items():
        alert = sitting.live.get(number)
        told = tracked.told.get(ready.receiver)
        if alert is None or told is None or told.chain != ready.chain or tracked.hushed:
            continue
        if alert.state is AlertState.FIRING:
            found.append(alert)
    return sorted(found, key=lambda alert: (-alert.severity.rank, alert.since_ms, alert.number))


def _interval_ms(sitting: Sitting, ready: _Ready, worst: Severity) -> int:
    if family_of_chain(ready.chain):
        return sitting.settings.mass.interval_ms
    if ready.chain.startswith("overdue/"):
        return 0
    return min(need.route.interval_ms[worst] for need in ready.needs)


def _note(sitting: Sitting, need: Need, chain: str) -> None:
    """What this receiver knows from now on."""
    tracked = sitting.memory.alerts.get(need.alert.number)
    if tracked is None:
        return
    if need.cause is Cause.RESOLVED:
        _note_end(sitting, need, tracked)
        return
    if need.limit:
        tracked.overdue.append(need.limit)
        chain = tracked.told[need.receiver].chain if need.receiver in tracked.told else chain
    before = tracked.told.get(need.receiver)
    escalated = need.escalated if before is None else before.escalated
    tracked.told[need.receiver] = Told(
        chain=chain,
        route=need.route.name,
        at_ms=sitting.now_ms,
        severity=need.alert.severity,
        escalated=escalated,
    )
    if not escalated and tracked.clock_ms is None and need.alert.state is AlertState.FIRING:
        tracked.clock_ms = sitting.now_ms


def _note_end(sitting: Sitting, need: Need, tracked: Tracked) -> None:
    tracked.told.pop(need.receiver, None)
    if not tracked.told:
        del sitting.memory.alerts[need.alert.number]


def forget_chains(sitting: Sitting, needs: Iterable[Need]) -> None:
    """A chain of which nothing is left begins anew next time."""
    chains = sitting.memory.chains
    old = {name for name, chain in chains.items() if chain.free_ms <= sitting.now_ms}
    if not old:
        return
    old.difference_update(need.chain for need in needs)
    for tracked in sitting.memory.alerts.values():
        old.difference_update(told.chain for told in tracked.told.values())
    for name in old:
        del chains[name]
