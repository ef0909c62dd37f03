"""Budget: rules on budgets, what an institution used by day -> observations, one a budget and rule.

The subject is the budget itself (`e001/01/2026`), not its institution: one institution has budgets
of several energies, and of a year, a quarter and a month at once, and each has alerts of its own.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from collector.alerting.budgets.budget import Budget
from collector.alerting.budgets.progress import Classify, Days, Progress, progress
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Budget as Condition
from collector.alerting.rule import Rule, Scope
from collector.alerting.subject import Subject, SubjectKind
from collector.fleet.codes import local_day, midnight_ms
from collector.fleet.index import Direction, Fleet
from collector.intervals import Intervals
from collector.settle.cells import DAY_MS
from collector.settle.series import PER_UNIT
from collector.tree.derive import main_counters, within
from collector.tree.family import ITEM, Family, Span
from collector.tree.signed_sum import signed_sum

_MISSING = 0.02  # of a day: what is missing is not in the sum; engineering default
_LEAST_DAYS = 14  # settled, before a pace is judged; of a short period a quarter of it


def subject_of(budget: Budget) -> Subject:
    return Subject(SubjectKind.BUDGET, "/".join(budget.key))


def concerns(rule: Rule, budget: Budget, fleet: Fleet) -> bool:
    """Whether a rule looks at a budget: a scope of buildings, gateways or meters has none."""
    institution = fleet.institutions.get(budget.institution)
    if institution is None or not isinstance(rule.condition, Condition):
        return False
    scope = rule.scope
    return (
        _in(scope.districts, institution.district)
        and _in(scope.sectors, institution.sector)
        and institution.sector not in scope.exempt
        and _in(scope.institutions, institution.id)
        and (scope.energies is None or budget.energy.startswith(scope.energies))
        and not _is_narrower(scope)
    )


def _is_narrower(scope: Scope) -> bool:
    return any(one is not None for one in (scope.buildings, scope.gateways, scope.meters))


def _in(wanted: frozenset[str] | None, name: str) -> bool:
    return wanted is None or name in wanted


def meters_of(budget: Budget, trees: Sequence[tuple[Span, Family]]) -> set[str]:
    """Every meter that adds to what a budget's institution used, or takes off from it."""
    return {m for _, family in trees for side in _parts(budget, family) for m in side}


def used_by_day(
    budget: Budget, trees: Sequence[tuple[Span, Family]], settled: Sequence[Intervals]
) -> dict[date, float]:
    """What was used by day, each kilowatt-hour once; without days of which something is missing.

    Args:
        budget: whose institution, and whose energy.
        trees: who was in force when.
        settled: days of `meters_of`.
    """
    found: dict[date, float] = {}
    for span, family in trees:
        added, less = _parts(budget, family)
        by_meter = main_counters(family, within(settled, span))
        parts = [(meter, 1.0) for meter in added] + [(meter, -1.0) for meter in less]
        if not any(meter in by_meter for meter, _ in parts):
            continue
        cells = signed_sum([(by_meter[m].cells if m in by_meter else None, s) for m, s in parts])
        for place in ((cells.missing <= _MISSING) & cells.known).nonzero()[0].tolist():
            found[local_day(int(cells.start_ms[place]))] = int(cells.value[place]) / PER_UNIT
    return found


def _parts(budget: Budget, family: Family) -> tuple[list[str], list[str]]:
    def belongs(entry: object) -> bool:
        return getattr(entry, "institution", None) == budget.institution

    if len(budget.energy) <= ITEM:
        added, less = family.parts(belongs, budget.energy, Direction.IMPORT)
        return added, less
    mine = {
        meter: entry
        for meter, entry in family.entries.items()
        if belongs(entry)
        and entry.energy.startswith(budget.energy)
        and entry.direction is Direction.IMPORT
    }
    return sorted(meter for meter, entry in mine.items() if entry.parent not in mine), []


def look(
    rules: Sequence[Rule],
    budget: Budget,
    used: Days,
    days: Sequence[int],
    classify: Classify,
) -> Iterator[Observation]:
    """What rules see of a budget at the end of each of some days.

    Args:
        rules: those that concern it.
        used: by day: the period's, and the year's before.
        days: their starts, in order; others than those of the period are left aside.
        classify: the class of a day.
    """
    last_year = {day: value for day, value in used.items() if day < budget.first}
    for day_ms in days:
        today = local_day(day_ms + DAY_MS)
        if not budget.first < today <= budget.last + timedelta(days=1):
            continue
        stands = progress(budget, used, today, classify, last_year)
        for rule in rules:
            seen = _observation(rule, budget, stands, midnight_ms(today))
            if seen is not None:
                yield seen


def _observation(rule: Rule, budget: Budget, stands: Progress, at_ms: int) -> Observation | None:
    condition = rule.condition
    assert isinstance(condition, Condition)
    value, whole = _measured(condition.measure, budget, stands)
    if value is None or whole is None:
        return None
    met = value > condition.limit
    return Observation(
        rule=rule.id,
        subject=subject_of(budget),
        at_ms=at_ms,
        verdict=Verdict.MET if met else Verdict.CLEAR,
        value=value,
        limit=condition.limit,
        unit="1",
        energy_so_far=(value - condition.limit) * whole if met else None,
        energy_unit=budget.unit if met else "",
        every_ms=DAY_MS,
    )


def _measured(name: str, budget: Budget, stands: Progress) -> tuple[float | None, float | None]:
    """The measure, and what 1 of it is in the budget's unit."""
    if name == "progress":
        enough = stands.settled >= min(_LEAST_DAYS, len(budget.days()) // 4)
        return (stands.progress if enough else None), stands.prorated
    if name == "forecast":
        return stands.forecast_share, budget.amount
    return (stands.used_share if stands.settled else None), budget.amount
