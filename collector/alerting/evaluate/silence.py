"""Silence: what was heard, and the clock that never steps -> observations of the rules on silence.

A silence is met by the absence of readings, so it rests on the last one: that is its time. It ends
with the first newer one. Of a centre that cannot hear nothing is said.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from collector.alerting.evaluate.heard import Ear, Heard
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Rule, Silent
from collector.alerting.subject import Subject, SubjectKind
from collector.fleet.index import Fleet
from metering.clock import Clock

Watching = Mapping[str, frozenset[str]]

_NONE: frozenset[str] = frozenset()


class _Watched(Struct, frozen=True, kw_only=True):
    """One rule on one subject.

    Attributes:
        limit_ms, limit_real_ms: the same in wall time and in real time.
    """

    rule: Rule
    subject: Subject
    limit_ms: int
    limit_real_ms: float


class Silence:
    """The rules on silence of one fleet. One thread looks."""

    def __init__(self, rules: Iterable[Rule], fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self._told: dict[tuple[str, Subject], tuple[Verdict, int]] = {}
        self._watched = tuple(_watched(rules, fleet, clock))

    def look(self, heard: Heard, watching: Watching) -> Iterator[Observation]:
        """What has become silent, and what of that is heard again, since the last look."""
        mono_ms, now_ms = self._clock.monotonic_ms(), self._clock.now_ms()
        for one in self._watched:
            name = one.subject.id
            ear = heard.meters if one.subject.kind is SubjectKind.METER else heard.gateways
            is_silent = ear.silent_ms(name, mono_ms) > one.limit_real_ms
            is_open = one.rule.id in watching.get(name, _NONE)
            if is_silent or (is_open and ear.is_heard(name)):
                seen = self._seen(one, ear, now_ms, is_silent=is_silent)
                if seen is not None and not self._is_told(seen, is_open=is_open):
                    yield seen

    def _seen(self, one: _Watched, ear: Ear, now_ms: int, *, is_silent: bool) -> Observation | None:
        """None of a meter that is not to be read now."""
        name = one.subject.id
        if one.subject.kind is SubjectKind.METER:
            entry = self._fleet.entry(name, now_ms)
            if entry is None or not one.rule.scope.holds(entry):
                return None
        at_ms = ear.last.get(name, now_ms - one.limit_ms)
        return Observation(
            rule=one.rule.id,
            subject=one.subject,
            at_ms=at_ms,
            verdict=Verdict.MET if is_silent else Verdict.CLEAR,
            value=max(0, now_ms - at_ms) / 1000,
            limit=one.limit_ms / 1000,
            unit="s",
        )

    def _is_told(self, seen: Observation, *, is_open: bool) -> bool:
        """The same as last time; where a person ended an alert it is said once more."""
        key = (seen.rule, seen.subject)
        verdict, at_ms = self._told.get(key, (None, 0))
        if verdict is seen.verdict and is_open and (seen.at_ms == at_ms):
            return True
        self._told[key] = (seen.verdict, seen.at_ms)
        return False


def _watched(rules: Iterable[Rule], fleet: Fleet, clock: Clock) -> Iterator[_Watched]:
    for rule in rules:
        condition = rule.condition
        if not isinstance(condition, Silent):
            continue
        subjects = _meters(rule, fleet) if condition.of == "meter" else _gateways(rule, fleet)
        for subject, cycle_s in subjects:
            limit_ms = max(round(condition.cycles * cycle_s * 1000), condition.at_least_ms)
            limit_ms += rule.for_ms  # no reading comes that could count it
            yield _Watched(
                rule=rule,
                subject=subject,
                limit_ms=limit_ms,
                limit_real_ms=clock.real_s(limit_ms) * 1000,
            )


def _meters(rule: Rule, fleet: Fleet) -> Iterator[tuple[Subject, int]]:
    """With the cycle of the latest entry."""
    for meter, entries in fleet.meters.items():
        if any(rule.scope.holds(entry) for entry in entries):
            yield Subject(SubjectKind.METER, meter), entries[-1].cycle_s


def _gateways(rule: Rule, fleet: Fleet) -> Iterator[tuple[Subject, int]]:
    """A gateway's cycle is the shortest of its meters'."""
    for gateway in fleet.gateways.values():
        entries = [fleet.meters[meter][-1] for meter in gateway.meters]
        cycles = [entry.cycle_s for entry in entries if rule.scope.holds(entry)]
        if cycles:
            yield Subject(SubjectKind.GATEWAY, gateway.id), min(cycles)
