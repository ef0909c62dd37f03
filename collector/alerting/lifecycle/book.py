"""Book: observations, time, people's words -> steps of alerts. Pure; one at a time may use it.

Two tracks for each matter: what is live wakes people; what came too late, or is older than what was
judged before, is judged beside, in order of its own time, and is only recorded. Where the record
still holds when it reaches the present it goes on live, with the true beginning.
"""

from collections.abc import Iterable, Mapping
from itertools import count

from msgspec import structs

from collector.alerting.alert import Alert, AlertState, Level, Transition
from collector.alerting.lifecycle.damping import (
    FLAP_WINDOW_MS,
    follows_clock,
    gap_ms_of,
    keep_of,
    late_ms_of,
)
from collector.alerting.lifecycle.level import follow, is_met
from collector.alerting.lifecycle.matter import (
    Moment,
    advance,
    ended,
    level_of,
    matter_of,
    said,
    with_level,
)
from collector.alerting.lifecycle.standing import Matter, Standing, track_of
from collector.alerting.lifecycle.table import Event, StepIllegal
from collector.alerting.observation import Observation, Verdict
from collector.alerting.place import Places
from collector.alerting.rule import Rule
from collector.alerting.subject import Place, Subject

REPLAY_QUIET_MS = 3_600_000  # by the clock: after that nothing more of a backlog is expected
_RETIRE_EVERY_MS = 60_000


class AlertBook:
    """What is open, and what judges it."""

    def __init__(
        self,
        rules: Iterable[Rule],
        places: Places,
        *,
        alerts: Iterable[Alert] = (),
        fired: Iterable[Alert] = (),
        last_alert: int = 0,
    ) -> None:
        """Go on from what was kept.

        Args:
            rules: whatever may be observed.
            places: says where a subject stands and whom a rule concerns.
            alerts: the open ones.
            fired: those that fired within the flap window, open or not.
            last_alert: the highest number there is.
        """
        self._rules: Mapping[str, Rule] = {rule.id: rule for rule in rules}
        self._places = places
        self._numbers = count(last_alert + 1)
        self._standing = Standing(self._rules, alerts)
        self._heard_ms: dict[int, int] = {}  # when something was last heard for a record
        self._retired_ms: int | None = None
        self._fired: dict[Matter, list[int]] = {}
        for alert in fired:
            if alert.fired_ms is not None and not alert.replayed:
                self._fired.setdefault(track_of(alert)[0], []).append(alert.fired_ms)

    # ---- what is open

    @property
    def watching(self) -> Mapping[str, frozenset[str]]:
        """Rules that are open by their subject's id: clear readings are news to them."""
        return self._standing.watching

    @property
    def open_alerts(self) -> tuple[Alert, ...]:
        """By number."""
        return self._standing.alerts

    @property
    def firing(self) -> tuple[Alert, ...]:
        """What people should know of: firing or acknowledged, records left aside."""
        states = (AlertState.FIRING, AlertState.ACKNOWLEDGED)
        return tuple(a for a in self.open_alerts if a.state in states and not a.replayed)

    def numbered(self, number: int) -> Alert:
        """Raise AlertUnknown if there is no open alert of that number."""
        return self._standing.numbered(number)

    def put_back(self, alert: Alert) -> None:
        """What was done to it could not be kept, and did not happen."""
        self._standing.put(alert)

    def take_touched(self) -> list[Alert]:
        """Alerts that took no step since the last call and remember something new."""
        return self._standing.take_touched()

    # ---- observations

    def observe(self, observations: Iterable[Observation], now_ms: int) -> list[Transition]:
        """The steps that observations cause, one after another, in the order in which they come.

        Those of one rule and subject come in order of time, but for what is late.
        """
        steps: list[Transition] = []
        for seen in observations:
            rule = self._rules.get(seen.rule)
            if rule is not None and seen.verdict is not Verdict.UNKNOWN:
                steps += self._judge(rule, seen, now_ms)
        return steps

    def _judge(self, rule: Rule, seen: Observation, now_ms: int) -> list[Transition]:
        matter = (matter_of(rule), seen.subject)
        level = level_of(self._standing.of(matter, replayed=False), rule.id)
        late_ms = late_ms_of(rule)
        is_late = late_ms is not None and seen.at_ms < now_ms - late_ms
        is_older = seen.late or (level is not None and seen.at_ms < level.seen_ms)
        if (is_older and not follows_clock(rule)) or (is_late and level is None):
            return self._record(matter, rule, seen, now_ms)
        return self._live(matter, rule, seen, now_ms, may_hold=not is_late)

    def _live(
        self, matter: Matter, rule: Rule, seen: Observation, now_ms: int, *, may_hold: bool
    ) -> list[Transition]:
        alert = self._standing.of(matter, replayed=False)
        level, others = level_of(alert, rule.id), with_level(alert, rule.id, None)
        steps: list[Transition] = []
        record = self._standing.of(matter, replayed=True)
        recorded = level_of(record, rule.id)
        if level is None and record and recorded and _follows(recorded, seen, rule):
            if not is_met(recorded, seen):
                return self._record(matter, rule, seen, now_ms)
            level, others = recorded, others or with_level(record, rule.id, None)
            steps.append(self._end(record, Event.REPLAY_OVER, now_ms))
        keep_ms = keep_of(rule, alert.flaps if alert else 0, replayed=False)
        after = follow(level, seen, rule, keep_ms, may_hold=may_hold)
        levels = others if after is None else (*others, after)
        return steps + self._advance(alert, levels, seen, self._moment(matter, now_ms))

    def _record(
        self, matter: Matter, rule: Rule, seen: Observation, now_ms: int
    ) -> list[Transition]:
        live = self._standing.of(matter, replayed=False)
        if live is not None and seen.at_ms >= live.since_ms:
            return []  # that time is spoken for
        record = self._standing.of(matter, replayed=True)
        level = level_of(record, rule.id)
        if level is not None and seen.at_ms < level.seen_ms:
            return []
        after = follow(level, seen, rule, keep_of(rule, 0, replayed=True))
        moment = self._moment(matter, now_ms, replayed=True)
        steps = self._advance(record, with_level(record, rule.id, after), seen, moment)
        record = self._standing.of(matter, replayed=True)
        if record is not None:
            self._heard_ms[record.number] = now_ms
            if live is not None and after is not None and after.clear_ms is None:
                steps += self._join(live, record, after, seen, now_ms)
        return steps

    def _join(
        self, live: Alert, record: Alert, recorded: Level, seen: Observation, now_ms: int
    ) -> list[Transition]:
        """A record reaches the beginning of a live alert: that is where it truly began."""
        level = level_of(live, recorded.rule)
        near_ms = 2 * seen.every_ms or gap_ms_of(self._rules[recorded.rule], 0)
        if level is None or level.since_ms - seen.at_ms > near_ms:
            return []
        energy = level.energy
        if energy is not None and recorded.energy is not None:
            energy += recorded.energy
        joined = structs.replace(level, since_ms=recorded.since_ms, energy=energy)
        since_ms = min(live.since_ms, recorded.since_ms)
        levels = with_level(live, recorded.rule, joined)
        self._standing.touch(structs.replace(live, since_ms=since_ms, levels=levels))
        return [self._end(record, Event.REPLAY_OVER, now_ms)]

    def _advance(
        self, alert: Alert | None, levels: tuple[Level, ...], seen: Observation, moment: Moment
    ) -> list[Transition]:
        if levels == (alert.levels if alert else ()):
            return []
        after, steps = advance(alert, levels, seen, moment)
        for one in steps:
            if one.alert.state is AlertState.RESOLVED and one.before is not None:
                self._forget(one.alert)
            else:
                self._standing.put(one.alert)
            if _has_fired(one) and not moment.replayed:
                self._fired.setdefault(track_of(one.alert)[0], []).append(seen.at_ms)
        if after is not None and not steps:
            self._standing.touch(after)
        return steps

    def _moment(self, matter: Matter, now_ms: int, *, replayed: bool = False) -> Moment:
        return Moment(
            rules=self._rules,
            place=self._place,
            number=self._numbers.__next__,
            flaps=lambda at_ms: 0 if replayed else self._flaps(matter, at_ms),
            now_ms=now_ms,
            replayed=replayed,
        )

    def _place(self, subject: Subject, at_ms: int) -> Place:
        return self._places.place(subject, at_ms) or Place()

    def _flaps(self, matter: Matter, at_ms: int) -> int:
        """How often it fired within the window before; older firings are forgotten."""
        times = [one for one in self._fired.get(matter, ()) if one > at_ms - FLAP_WINDOW_MS]
        if times:
            self._fired[matter] = times
        else:
            self._fired.pop(matter, None)
        return len(times)

    # ---- time and people

    def tick(self, now_ms: int) -> list[Transition]:
        """What the clock alone ends: acknowledgements, records, rules that are no longer there."""
        steps: list[Transition] = []
        if self._retired_ms is None or not 0 <= now_ms - self._retired_ms < _RETIRE_EVERY_MS:
            self._retired_ms = now_ms
            steps += self._retire(now_ms)
        for alert in self.open_alerts:
            if alert.ack_until_ms is not None and alert.ack_until_ms <= now_ms:
                steps.append(self._say(said(alert, Event.ACK_OVER, now_ms)))
            elif alert.replayed:
                heard_ms = self._heard_ms.setdefault(alert.number, now_ms)
                if now_ms - heard_ms > REPLAY_QUIET_MS:
                    steps.append(self._end(alert, Event.REPLAY_OVER, now_ms))
        return steps

    def acknowledge(
        self, number: int, author: str, note: str, until_ms: int | None, now_ms: int
    ) -> list[Transition]:
        """Somebody takes it on, until then at most.

        Raises:
            AlertUnknown: there is no open alert of that number.
            StepIllegal: it does not fire, or the time is past.
        """
        if until_ms is not None and until_ms <= now_ms:
            raise StepIllegal("确认的期限已过")
        alert = structs.replace(
            self._standing.numbered(number), author=author, note=note, ack_until_ms=until_ms
        )
        return [self._say(said(alert, Event.ACKNOWLEDGE, now_ms))]

    def resolve(self, number: int, author: str, note: str, now_ms: int) -> list[Transition]:
        """Somebody says that it is over. Where readings still meet it, another alert begins.

        Raises:
            AlertUnknown: there is no open alert of that number.
            StepIllegal: it does not fire.
        """
        alert = structs.replace(self._standing.numbered(number), author=author, note=note)
        return [self._end(alert, Event.RESOLVE, now_ms)]

    def _say(self, one: Transition) -> Transition:
        self._standing.put(one.alert)
        return one

    def _end(self, alert: Alert, event: Event, now_ms: int) -> Transition:
        ending = ended(alert, event, now_ms)
        self._forget(alert)
        return ending

    def _forget(self, alert: Alert) -> None:
        self._standing.drop(alert)
        self._heard_ms.pop(alert.number, None)

    def _retire(self, now_ms: int) -> list[Transition]:
        """Rules that are no longer there, or no longer concern the subject."""
        return [
            self._end(alert, Event.GONE, now_ms)
            for alert in self.open_alerts
            if not any(self._concerns(level.rule, alert, now_ms) for level in alert.levels)
        ]

    def _concerns(self, rule: str, alert: Alert, now_ms: int) -> bool:
        """Of a record: at its own time."""
        known = self._rules.get(rule)
        at_ms = alert.at_ms if alert.replayed else now_ms
        return known is not None and self._places.concerns(known, alert.subject, at_ms)


def _has_fired(one: Transition) -> bool:
    return one.before in {None, AlertState.PENDING} and one.alert.state is AlertState.FIRING


def _follows(recorded: Level, seen: Observation, rule: Rule) -> bool:
    return 0 <= seen.at_ms - recorded.seen_ms <= gap_ms_of(rule, seen.every_ms)
