"""Matter: an alert, and its levels after an observation -> the alert's next steps. Pure.

A matter is one subject under one rule, or under the rules of one group, which are its levels: the
alert speaks for the worst that holds, so that two colours of one thing are never two alerts.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct, structs

from collector.alerting.alert import Alert, AlertState, Level, Transition
from collector.alerting.lifecycle.table import Event, step
from collector.alerting.observation import Observation
from collector.alerting.rule import Rule
from collector.alerting.subject import Place, Subject


class Moment(Struct, frozen=True, kw_only=True):
    """What a step needs to know besides its alert.

    Attributes:
        rules: by id.
        place: where the subject stands.
        number: gives the next alert its number.
        flaps: how often the matter has fired within the window before an instant.
        replayed: whether this is about a record.
    """

    rules: Mapping[str, Rule]
    place: Callable[[Subject, int], Place]
    number: Callable[[], int]
    flaps: Callable[[int], int]
    now_ms: int
    replayed: bool


def matter_of(rule: Rule) -> str:
    return rule.group or rule.id


def level_of(alert: Alert | None, rule: str) -> Level | None:
    for level in alert.levels if alert else ():
        if level.rule == rule:
            return level
    return None


def with_level(alert: Alert | None, rule: str, level: Level | None) -> tuple[Level, ...]:
    """The alert's levels with this one's put in, replaced or taken out."""
    others = tuple(one for one in (alert.levels if alert else ()) if one.rule != rule)
    return others if level is None else (*others, level)


def advance(
    alert: Alert | None, levels: tuple[Level, ...], seen: Observation, moment: Moment
) -> tuple[Alert | None, list[Transition]]:
    """The alert with these levels, and the steps it took to there.

    Args:
        alert: the open one, None if there is none.
        levels: what holds after `seen`, the observation that moved one of them.

    Returns:
        The alert that is open now, None if none is; without a step it may still have changed.
    """
    steps: list[Transition] = []
    if alert is not None and alert.fired_ms is not None and not _any_held(levels):
        steps.append(_cleared(alert, (), seen, moment))
        alert = None
    if alert is None:
        if levels:
            steps.append(_begun(levels, seen, moment))
            alert = steps[-1].alert
        return alert, steps
    if not levels:
        steps.append(_cleared(alert, levels, seen, moment))
        return None, steps
    event = _event(alert, levels, moment)
    changed = _speaking_for(alert, levels, seen, moment)
    if event is None:
        return changed, steps
    if event is Event.HELD:
        changed = _fired(changed, levels, seen, moment)
    moved = _move(alert, changed, event, seen.at_ms, moment)
    return moved.alert, [*steps, moved]


def ended(alert: Alert, event: Event, now_ms: int) -> Transition:
    """It ends for another reason than a reading: with the last one that was judged for it."""
    state, reason = step(alert.state, event)
    seen_ms = max((level.seen_ms for level in alert.levels), default=alert.at_ms)
    after = structs.replace(
        alert, state=state, resolved_ms=seen_ms, moved_ms=now_ms, ack_until_ms=None, levels=()
    )
    return Transition(alert=after, before=alert.state, reason=reason)


def said(alert: Alert, event: Event, now_ms: int) -> Transition:
    """A person, or the end of what a person promised, moves it; nothing was read."""
    state, reason = step(alert.state, event)
    return Transition(alert=_moved(alert, alert, state, now_ms), before=alert.state, reason=reason)


def top_of(levels: tuple[Level, ...], rules: Mapping[str, Rule]) -> Level:
    """The level that the alert speaks for: of those that held, else of all, the worst."""
    return max(levels, key=lambda level: (level.held, rules[level.rule].severity.rank))


def _any_held(levels: tuple[Level, ...]) -> bool:
    return any(level.held for level in levels)


def _event(alert: Alert, levels: tuple[Level, ...], moment: Moment) -> Event | None:
    if alert.fired_ms is None:
        return Event.HELD if _any_held(levels) else None
    rank = moment.rules[top_of(levels, moment.rules).rule].severity.rank
    if rank == alert.severity.rank:
        return None
    return Event.WORSE if rank > alert.severity.rank else Event.MILDER


def _begun(levels: tuple[Level, ...], seen: Observation, moment: Moment) -> Transition:
    top = top_of(levels, moment.rules)
    rule = moment.rules[top.rule]
    blank = Alert(
        number=moment.number(),
        rule=rule.id,
        rule_version=rule.version,
        title=rule.title,
        severity=rule.severity,
        subject=seen.subject,
        place=moment.place(seen.subject, seen.at_ms),
        state=AlertState.PENDING,
        since_ms=top.since_ms,
        at_ms=seen.at_ms,
        moved_ms=moment.now_ms,
        replayed=moment.replayed,
        group=matter_of(rule),
    )
    alert = _speaking_for(blank, levels, seen, moment)
    event = Event.HELD if _any_held(levels) else Event.MET
    if event is Event.HELD:
        alert = _fired(alert, levels, seen, moment)
    state, reason = step(None, event)
    return Transition(alert=structs.replace(alert, state=state), before=None, reason=reason)


def _speaking_for(
    alert: Alert, levels: tuple[Level, ...], seen: Observation, moment: Moment
) -> Alert:
    """The alert with the words and numbers of its worst level."""
    top = top_of(levels, moment.rules)
    rule = moment.rules[top.rule]
    since_ms = alert.since_ms
    if alert.fired_ms is None or top.since_ms < since_ms:
        since_ms = min(level.since_ms for level in levels)
    return structs.replace(
        alert,
        rule=rule.id,
        rule_version=rule.version,
        title=rule.title,
        severity=rule.severity,
        since_ms=since_ms,
        value=seen.value if seen.rule == top.rule else top.value,
        limit=top.limit,
        unit=top.unit,
        worst=top.worst,
        energy_so_far=top.energy,
        energy_unit=top.energy_unit,
        levels=levels,
    )


def _fired(alert: Alert, levels: tuple[Level, ...], seen: Observation, moment: Moment) -> Alert:
    since_ms = min(level.since_ms for level in levels if level.held)
    return structs.replace(
        alert, since_ms=since_ms, fired_ms=seen.at_ms, flaps=moment.flaps(seen.at_ms)
    )


def _cleared(
    alert: Alert, levels: tuple[Level, ...], seen: Observation, moment: Moment
) -> Transition:
    level = level_of(alert, seen.rule)
    since_clear = seen.at_ms if level is None or level.clear_ms is None else level.clear_ms
    after = structs.replace(
        alert,
        levels=levels,
        resolved_ms=since_clear,
        value=seen.value,
        limit=seen.limit,
        ack_until_ms=None,
    )
    return _move(alert, after, Event.CLEAR, seen.at_ms, moment)


def _move(alert: Alert, after: Alert, event: Event, at_ms: int, moment: Moment) -> Transition:
    state, reason = step(alert.state, event)
    moved = structs.replace(_moved(alert, after, state, moment.now_ms), at_ms=at_ms)
    return Transition(alert=moved, before=alert.state, reason=reason)


def _moved(before: Alert, after: Alert, state: AlertState, now_ms: int) -> Alert:
    """An acknowledgement that is over names nobody any more."""
    if before.state is AlertState.ACKNOWLEDGED and state is AlertState.FIRING:
        after = structs.replace(after, author="", note="", ack_until_ms=None)
    return structs.replace(after, state=state, moved_ms=now_ms)
