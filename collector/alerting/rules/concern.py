"""Concern: a rule and the fleet -> whom the rule can ever speak of.

A meter that lacks the quantity, the rated value or the energy that a rule needs is not concerned,
though it lies in its scope.
"""

from collections.abc import Iterable

from msgspec import Struct

from collector.alerting.names import DERIVED, MEASURES, SIGNS, can_have
from collector.alerting.rule import (
    Above,
    Below,
    Budget,
    Condition,
    Consumed,
    Outside,
    Quality,
    Rate,
    Rule,
    Scope,
    Silent,
    System,
)
from collector.alerting.subject import SubjectKind
from collector.fleet.index import Fleet, MeterEntry


class Concern(Struct, frozen=True, kw_only=True):
    """Whom a rule can speak of.

    Attributes:
        kind: what its alerts are about.
        subjects: their ids, in order; empty for the centre, whose parts no fleet names.
        meters: how many meters stand behind them.
        institutions: which have any of them.
    """

    kind: SubjectKind
    subjects: tuple[str, ...]
    meters: int
    institutions: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return self.kind is not SubjectKind.SYSTEM and not self.subjects


def concern(rule: Rule, fleet: Fleet, budgeted: Iterable[str] | None = None) -> Concern:
    """Whom a rule concerns.

    Args:
        rule: the rule.
        fleet: each meter's entry without an end counts.
        budgeted: the institutions that have a budget; None: nobody asked, all of them.
    """
    kind = subject_kind(rule.condition)
    if kind is SubjectKind.SYSTEM:
        return Concern(kind=kind, subjects=(), meters=0, institutions=())
    entries = [entry for entry in in_scope(rule.scope, fleet) if can_meet(rule.condition, entry)]
    if isinstance(rule.condition, Consumed) and MEASURES[rule.condition.measure].mains:
        parents = {entry.parent for entry in standing(fleet)}
        entries = [entry for entry in entries if entry.meter in parents]
    if isinstance(rule.condition, Budget) and budgeted is not None:
        owners = frozenset(budgeted)
        entries = [entry for entry in entries if entry.institution in owners]
    return Concern(
        kind=kind,
        subjects=tuple(sorted({_subject(kind, entry) for entry in entries})),
        meters=len(entries),
        institutions=tuple(sorted({entry.institution for entry in entries})),
    )


def subject_kind(condition: Condition) -> SubjectKind:
    """What the alerts of a condition are about."""
    match condition:
        case Silent(of=of) | Quality(of=of):
            return SubjectKind(of)
        case Budget():
            return SubjectKind.INSTITUTION
        case System(sign=sign):
            return SubjectKind(SIGNS[sign].of)
        case Above() | Below() | Outside() | Rate() | Consumed():
            return SubjectKind.METER


def standing(fleet: Fleet) -> list[MeterEntry]:
    """Each meter's newest entry, unless that one has an end."""
    newest = (entries[-1] for _, entries in sorted(fleet.meters.items()))
    return [entry for entry in newest if entry.valid_to_ms is None]


def in_scope(scope: Scope, fleet: Fleet) -> list[MeterEntry]:
    """The entries of `standing` that lie in a scope."""
    return [entry for entry in standing(fleet) if scope.holds(entry)]


def can_meet(condition: Condition, entry: MeterEntry) -> bool:
    """Whether a meter can ever have what a condition looks at."""
    match condition:
        case Above(quantity=quantity) | Below(quantity=quantity):
            return _has(quantity, entry) and (
                not condition.share_of_rated or quantity in entry.rated
            )
        case Outside(quantity=quantity) | Rate(quantity=quantity):
            return _has(quantity, entry)
        case Consumed(measure=measure):
            classes = MEASURES[measure].classes
            return classes is None or entry.energy.startswith(classes)
        case Silent() | Quality() | Budget() | System():
            return True


def _has(quantity: str, entry: MeterEntry) -> bool:
    read = entry.quantities
    if quantity in DERIVED and DERIVED[quantity].rated:
        read = read & entry.rated.keys()
    return can_have(quantity, read)


def _subject(kind: SubjectKind, entry: MeterEntry) -> str:
    return str(getattr(entry, kind.value))
