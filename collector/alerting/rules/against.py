"""Against: rules and the fleet -> names that the fleet does not know, rules that find nobody."""

from collections.abc import Callable, Collection, Iterable, Iterator

from collector.alerting.names import DERIVED
from collector.alerting.rule import Above, Below, Outside, Rate, Rule
from collector.alerting.rules.compile import compile_rule
from collector.alerting.rules.concern import concern, in_scope
from collector.alerting.rules.document import RulesDocument, RuleSpec
from collector.fleet.index import Fleet, MeterEntry
from documents.finding import KeyPath, Problem
from documents.nearest import suggestion

_NAMED = ("meters", "gateways", "buildings", "institutions")


def against(
    document: RulesDocument, fleet: Fleet, budgeted: Collection[str] | None
) -> Iterator[Problem]:
    """What is wrong with rules that are right in themselves.

    A rule that finds nobody is a warning, since rules are written before meters are installed; one
    that names its meters and cannot look at any of them is a mistake.

    Args:
        document: without mistakes of its own.
        fleet: against which it is held.
        budgeted: as in `concern`.
    """
    known = _known(fleet)
    for r, spec in enumerate(document.rules):
        path: KeyPath = ("rules", r)
        unknown = list(_unknown(spec, known, path))
        yield from unknown
        if not unknown:
            yield from _nobody(spec, fleet, budgeted, path)


def _known(fleet: Fleet) -> dict[str, Collection[str]]:
    return {
        "districts": fleet.stores.keys(),
        "institutions": fleet.institutions.keys(),
        "buildings": fleet.buildings.keys(),
        "gateways": fleet.gateways.keys(),
        "meters": fleet.meters.keys(),
    }


def _unknown(spec: RuleSpec, known: dict[str, Collection[str]], path: KeyPath) -> Iterator[Problem]:
    for kind, names in known.items():
        wanted: tuple[str, ...] = getattr(spec.scope, kind) or ()
        for place, name in enumerate(wanted):
            if name not in names:
                meant = suggestion(name, names)
                why = f"the fleet has no {kind.removesuffix('s')} '{name}'"
                message = "; ".join(part for part in (why, meant) if part)
                yield Problem((*path, "scope", kind, place), message)


def _nobody(
    spec: RuleSpec, fleet: Fleet, budgeted: Collection[str] | None, path: KeyPath
) -> Iterator[Problem]:
    rule = compile_rule(spec)[0]
    if not concern(rule, fleet, budgeted).is_empty:
        return
    key, _ = spec.condition()
    inside = in_scope(rule.scope, fleet)
    if not inside:
        yield from _nothing_in_scope(spec, fleet, path)
        return
    named = any(getattr(spec.scope, kind) for kind in _NAMED)
    yield Problem((*path, key), _lack(rule, inside), warning=not named)


def _nothing_in_scope(spec: RuleSpec, fleet: Fleet, path: KeyPath) -> Iterator[Problem]:
    codes = sorted({entries[-1].energy for entries in fleet.meters.values()})
    unmeasured = [
        (place, prefix)
        for place, prefix in enumerate(spec.scope.energies or ())
        if not any(code.startswith(prefix) for code in codes)
    ]
    if not unmeasured:
        yield Problem((*path, "scope"), "no meter of the fleet lies in this scope", warning=True)
    for place, prefix in unmeasured:
        why = f"no meter of the fleet has an energy code that begins with '{prefix}'"
        yield Problem((*path, "scope", "energies", place), why, warning=True)


def _lack(rule: Rule, inside: Iterable[MeterEntry]) -> str:
    """What the meters in scope would need."""
    condition = rule.condition
    if not isinstance(condition, Above | Below | Outside | Rate):
        return "no meter in scope has this figure"
    quantity = condition.quantity
    if quantity not in DERIVED and not any(quantity in entry.quantities for entry in inside):
        return f"no meter in scope reads '{quantity}'"
    rated: Callable[[str], str] = "no meter in scope has a rated value for '{}'".format
    needs_rated = quantity in DERIVED and DERIVED[quantity].rated
    if needs_rated or getattr(condition, "share_of_rated", False):
        return rated(quantity)
    return f"no meter in scope reads what '{quantity}' is made of"
