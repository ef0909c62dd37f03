"""Signs: the state of the centre and of its gateways -> observations of the rules on the system."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from collector.alerting.evaluate.heard import GatewayWord, Heard
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Rule, System
from collector.alerting.subject import Subject, SubjectKind
from collector.fleet.index import Fleet
from metering.clock import Clock
from metering.wire import Range

Watching = Mapping[str, frozenset[str]]

_NONE: frozenset[str] = frozenset()
_LOOK_AGAIN_MS = 30_000


class Centre(Protocol):
    """What is asked of the centre itself; cheap, from any thread.

    Durations are in real seconds, 0 where all is well, and only there.
    """

    def store_away_s(self) -> float:
        """The database, or the small state, does not answer."""
        ...

    def broker_away_s(self) -> float: ...

    def delivery_failing_s(self) -> float:
        """The oldest message that was due and that no channel takes waits so long."""
        ...

    def jobs_failing(self) -> int: ...


class Sign(Struct, frozen=True, kw_only=True):
    """One figure of one subject, now.

    Attributes:
        at_least: it is this much or more: below a limit it says nothing.
    """

    sign: str
    subject: Subject
    value: float
    unit: str
    at_least: bool = False


class Signs:
    """Reads all signs there are. One thread looks."""

    def __init__(self, fleet: Fleet, clock: Clock, centre: Centre) -> None:
        self._clock = clock
        self._centre = centre
        self._cycles_s = {
            gateway.id: min((fleet.meters[m][-1].cycle_s for m in gateway.meters), default=60)
            for gateway in fleet.gateways.values()
        }

    def now(self, heard: Heard) -> Iterator[Sign]:
        yield from self._of_centre(heard)
        for gateway, cycle_s in self._cycles_s.items():
            yield from self._of_gateway(gateway, cycle_s, heard)

    def _of_centre(self, heard: Heard) -> Iterator[Sign]:
        centre = self._centre
        last_ms = heard.gateways.any_ms()
        silent_ms = self._clock.monotonic_ms() - (heard.began_ms if last_ms is None else last_ms)
        for sign, part, away_s in (
            ("store_away_s", "store", centre.store_away_s()),
            ("broker_away_s", "broker", centre.broker_away_s()),
            ("delivery_failing_s", "delivery", centre.delivery_failing_s()),
        ):
            yield _of_system(sign, part, away_s, at_least=away_s > 0)
        yield _of_system("jobs_failing", "jobs", centre.jobs_failing(), unit="个")
        yield _of_system("dead_man_s", "pipeline", silent_ms / 1000, at_least=last_ms is None)

    def _of_gateway(self, gateway: str, cycle_s: int, heard: Heard) -> Iterator[Sign]:
        subject = Subject(SubjectKind.GATEWAY, gateway)
        unheard_ms = heard.gateways.silent_ms(gateway, self._clock.monotonic_ms())
        cycles = unheard_ms / 1000 / self._clock.real_s(cycle_s * 1000)
        yield Sign(
            sign="gateway_offline",
            subject=subject,
            value=cycles,
            unit="周期",
            at_least=not heard.gateways.is_heard(gateway),
        )
        word = heard.words.get(gateway)
        if word is None:
            return
        if word.offset_ms is not None:
            offset_s = abs(word.offset_ms) / 1000
            yield Sign(sign="clock_offset_s", subject=subject, value=offset_s, unit="s")
        share = spool_share(word)
        if share is not None:
            yield Sign(sign="spool_share", subject=subject, value=share, unit="1")


def _of_system(
    sign: str, part: str, value: float, *, unit: str = "s", at_least: bool = False
) -> Sign:
    subject = Subject(SubjectKind.SYSTEM, part)
    return Sign(sign=sign, subject=subject, value=value, unit=unit, at_least=at_least)


def spool_share(word: GatewayWord) -> float | None:
    """What waits for a commit, as a share of what the spool may hold; None if it does not say.

    A spool that is full of what was committed long ago is as it should be.
    """
    spool = word.state.spool
    if not spool.limit:
        return None
    held = sum(
        epoch.next - epoch.oldest - _count(epoch.dropped) - _count(epoch.released)
        for epoch in word.state.epochs
    )
    return spool.size / spool.limit * min(1.0, spool.backlog / held) if held > 0 else 0.0


def _count(ranges: Iterable[Range]) -> int:
    return sum(one.last - one.first + 1 for one in ranges)


class SignRules:
    """The rules on signs. One thread looks."""

    def __init__(self, rules: Iterable[Rule], fleet: Fleet) -> None:
        self._concerned: dict[str, frozenset[str]] = {}
        self._by_sign: dict[str, list[tuple[Rule, float]]] = {}
        self._told: dict[tuple[str, Subject], tuple[Verdict, int]] = {}
        for rule in rules:
            if isinstance(rule.condition, System):
                of_it = self._by_sign.setdefault(rule.condition.sign, [])
                of_it.append((rule, rule.condition.limit))
                self._concerned[rule.id] = frozenset(
                    gateway.id
                    for gateway in fleet.gateways.values()
                    if any(rule.scope.holds(fleet.meters[meter][-1]) for meter in gateway.meters)
                )

    def look(self, signs: Iterable[Sign], watching: Watching, now_ms: int) -> Iterator[Observation]:
        """What has changed, and every half a minute what has not."""
        for sign in signs:
            for rule, limit in self._by_sign.get(sign.sign, ()):
                if not self._concerns(rule, sign.subject):
                    continue
                verdict = Verdict.MET if sign.value > limit else Verdict.CLEAR
                is_open = rule.id in watching.get(sign.subject.id, _NONE)
                if verdict is Verdict.CLEAR and (sign.at_least or not is_open):
                    continue
                if self._is_told(rule, sign.subject, verdict, now_ms, is_open=is_open):
                    continue
                yield Observation(
                    rule=rule.id,
                    subject=sign.subject,
                    at_ms=now_ms,
                    verdict=verdict,
                    value=sign.value,
                    limit=limit,
                    unit=sign.unit,
                )

    def _concerns(self, rule: Rule, subject: Subject) -> bool:
        of_gateway = subject.kind is SubjectKind.GATEWAY
        return not of_gateway or subject.id in self._concerned[rule.id]

    def _is_told(
        self, rule: Rule, subject: Subject, verdict: Verdict, now_ms: int, *, is_open: bool
    ) -> bool:
        before, told_ms = self._told.get((rule.id, subject), (None, 0))
        again_ms = min(_LOOK_AGAIN_MS, (rule.for_ms or _LOOK_AGAIN_MS) // 2)
        if before is verdict and is_open and 0 <= now_ms - told_ms < again_ms:
            return True
        self._told[rule.id, subject] = (verdict, now_ms)
        return False
