"""Watching: a workshop -> its rules, what evaluates them, and the one life cycle. Wires.

The running collector has one, and so has whoever changes alerts while no collector runs.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from collector.alerting.budgets.budget import Budget
from collector.alerting.evaluate.budget import subject_of
from collector.alerting.evaluate.heard import Heard
from collector.alerting.evaluate.look import Looker, OpenAt
from collector.alerting.evaluate.readings import Readings
from collector.alerting.evaluate.signs import Centre, SignRules, Signs
from collector.alerting.evaluate.silence import Silence
from collector.alerting.lifecycle import AlertBook
from collector.alerting.lifecycle.damping import FLAP_WINDOW_MS
from collector.alerting.log import AlertLog
from collector.alerting.place import Places
from collector.alerting.rule import Above, Rule, Scope
from collector.alerting.rules.folder import load_rules
from collector.alerting.service import Alerting, Watch, Watched
from collector.alerting.severity import Severity
from collector.fleet.index import Fleet
from collector.metrics import Metrics
from collector.patience import Patience
from collector.pipeline import Pipeline
from collector.settings import RuleSettings
from link.mqtt import Link
from metering.clock import Clock
from metering.errors import PermanentError

_STORES = frozenset({"store", "record"})  # what the pipeline waits for
_BUSY_MS = 5_000  # a group under way for longer: the database is away, and nothing is heard


class RulesInvalid(PermanentError):
    """Rules that cannot be used."""


class Office(Struct, frozen=True, kw_only=True):
    """What watching needs of the centre.

    Attributes:
        budgets: those in force.
    """

    fleet: Fleet
    budgets: tuple[Budget, ...] = ()
    alert_log: AlertLog
    clock: Clock
    metrics: Metrics
    patience: Patience


class Watching(Struct, frozen=True, kw_only=True):
    """The parts that see and judge."""

    rules: tuple[Rule, ...]
    alerting: Alerting
    readings: Readings
    heard: Heard
    looker: Callable[[], Looker]


def make_watching(
    rules: tuple[Rule, ...], open_at: OpenAt, office: Office, newest: Mapping[str, int]
) -> Watching:
    """Go on from what the alert log holds.

    Args:
        rules: all that are in force.
        open_at: whether a rule with hours of its own looks at an instant.
        office: the centre's parts.
        newest: time of each meter's newest reading in the store.

    Raises:
        TransientError: the small state does not answer.
    """
    clock, alert_log, patience = office.clock, office.alert_log, office.patience
    book = AlertBook(
        rules,
        Places(office.fleet, {subject_of(budget).id for budget in office.budgets}),
        alerts=alert_log.open_alerts(),
        fired=alert_log.fired_since(clock.now_ms() - FLAP_WINDOW_MS),
        last_alert=alert_log.last_alert(),
    )
    return Watching(
        rules=rules,
        alerting=Alerting(
            book,
            alert_log,
            clock,
            patiently=lambda what, act: patience.until_done(what, act).done,
            count=office.metrics.alerted,
        ),
        readings=Readings(rules, office.fleet, open_at, alert_log.judged()),
        heard=Heard(clock.monotonic_ms(), newest),
        looker=lambda: Looker(rules, office.fleet, open_at),
    )


def make_watch(
    watching: Watching, office: Office, centre: Centre, is_deaf: Callable[[], bool]
) -> Watch:
    return Watch(
        Watched(
            alerting=watching.alerting,
            heard=watching.heard,
            silence=Silence(watching.rules, office.fleet, office.clock),
            signs=Signs(office.fleet, office.clock, centre),
            sign_rules=SignRules(watching.rules, office.fleet),
            clock=office.clock,
            is_deaf=is_deaf,
        )
    )


class CentreSigns:
    """The `Centre` of a running collector."""

    def __init__(
        self,
        *,
        link: Link,
        pipeline: Pipeline,
        patience: Patience,
        clock: Clock,
        failing: Callable[[], Mapping[str, str]],
        delivery_failing_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._link = link
        self._pipeline = pipeline
        self._patience = patience
        self._clock = clock
        self._failing = failing
        self._delivery_failing_s = delivery_failing_s
        self._down_ms: int | None = None

    def store_away_s(self) -> float:
        return self._patience.away_s(*_STORES)

    def broker_away_s(self) -> float:
        """Since it was first asked while the link was down."""
        now_ms = self._clock.monotonic_ms()
        if self._link.is_up:
            self._down_ms = None
        elif self._down_ms is None:
            self._down_ms = now_ms
        return 0.0 if self._down_ms is None else (now_ms - self._down_ms + 1) / 1000

    def delivery_failing_s(self) -> float:
        return self._delivery_failing_s()

    def jobs_failing(self) -> int:
        return len(self._failing())

    def is_deaf(self) -> bool:
        """What is not heard now may be our own fault."""
        busy_ms = self._pipeline.busy_ms
        waits = busy_ms is not None and self._clock.monotonic_ms() - busy_ms > _BUSY_MS
        return waits or not self._link.is_up


def all_rules(plain: Iterable[RuleSettings], config: Path, fleet: Fleet) -> tuple[Rule, ...]:
    """Those of `config/rules` and the plain thresholds of the collector's own file.

    Raises:
        DocumentInvalid: with every mistake in the files of `config/rules`.
        RulesInvalid: two have one id.
    """
    rules = (*load_rules(config, fleet), *map(rule_of, plain))
    twice = _twice(rule.id for rule in rules)
    if twice:
        raise RulesInvalid(f"规则编号重复：{'、'.join(sorted(twice))}")
    return rules


def rule_of(settings: RuleSettings) -> Rule:
    """A plain threshold."""
    meters = None if settings.meters is None else frozenset(settings.meters)
    return Rule(
        id=settings.id,
        title=f"{settings.quantity} 超过 {settings.fires_above:g}",
        severity=Severity.YELLOW,
        condition=Above(
            quantity=settings.quantity,
            limit=settings.fires_above,
            resolves=settings.resolves_below,
        ),
        scope=Scope(meters=meters),
        source="collector.yaml",
        version=hashlib.sha256(msgspec.json.encode(settings.model_dump())).hexdigest()[:12],
    )


def _twice(names: Iterable[str]) -> set[str]:
    return {name for name, times in Counter(names).items() if times > 1}
