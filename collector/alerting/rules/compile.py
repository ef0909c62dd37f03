"""Compile: a checked rule of a file -> one `Rule` for each of its levels."""

from collections.abc import Collection
from hashlib import sha256
from typing import TypeVar

import msgspec

from collector.alerting.rule import Rule, Scope, When
from collector.alerting.rules.document import RuleSpec, ScopeSpec, WhenSpec
from collector.alerting.rules.words import minute_of
from collector.alerting.severity import Severity

_DIGITS = 12  # of the version

T = TypeVar("T")


def compile_rule(spec: RuleSpec) -> tuple[Rule, ...]:
    """Rules of one matter, the mildest first; they share `group`."""
    return tuple(_rule(spec, colour) for colour in spec.colours)


def rule_id(spec: RuleSpec, colour: Severity) -> str:
    """The rule's own id for its only level; of several, each has its colour behind it."""
    return spec.id if len(spec.levels) == 1 else f"{spec.id}-{colour.value}"


def ids_of(spec: RuleSpec) -> tuple[str, ...]:
    """Every id that a rule takes: its own, and those of its levels."""
    return tuple(dict.fromkeys((spec.id, *(rule_id(spec, colour) for colour in spec.colours))))


def _rule(spec: RuleSpec, colour: Severity) -> Rule:
    level = spec.level(colour)
    _, condition = spec.condition()
    rule = Rule(
        id=rule_id(spec, colour),
        title=level.title or spec.title,
        severity=colour,
        condition=condition.compiled(level),
        scope=_scope(spec.scope),
        when=_when(spec.when),
        for_ms=spec.hold_of(colour),
        keep_ms=spec.keep if level.keep is None else level.keep,
        advice=(level.advice or spec.advice).strip(),
        source=(level.source or spec.source).strip(),
        page=spec.page if level.page is None else level.page,
        group=spec.id,
    )
    return msgspec.structs.replace(rule, version=_digest(rule))


def _digest(rule: Rule) -> str:
    """Of everything that the rule says; in order, since each process orders a set its own way."""
    return sha256(msgspec.json.encode(rule, order="deterministic")).hexdigest()[:_DIGITS]


def _scope(spec: ScopeSpec) -> Scope:
    return Scope(
        districts=_set(spec.districts),
        sectors=_set(spec.sectors),
        exempt=frozenset(spec.exempt or ()),
        institutions=_set(spec.institutions),
        buildings=_set(spec.buildings),
        gateways=_set(spec.gateways),
        meters=_set(spec.meters),
        energies=spec.energies,
        mains_only=spec.mains_only,
        phases=spec.phases,
    )


def _set(wanted: Collection[T] | None) -> frozenset[T] | None:
    return None if wanted is None else frozenset(wanted)


def _when(spec: WhenSpec) -> When:
    return When(
        days=_set(spec.days),
        from_min=minute_of(spec.start),
        to_min=minute_of(spec.end),
        heating=spec.heating,
        term=spec.term,
    )
