"""Settled: the interval store, meters or others, days -> what rules on settled figures see of them.

Both who judges what was settled and who plays a rule back over years come here: the same figures,
the same observations. Nothing is written.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date

from msgspec import Struct, structs

from collector.alerting.budgets.budget import Budget
from collector.alerting.evaluate import budget as of_budget
from collector.alerting.evaluate import consumption, quality
from collector.alerting.evaluate.measures import MONTHLY, OF_HOURS, OF_QUARTERS
from collector.alerting.evaluate.past import (
    Past,
    by_day,
    by_hour,
    by_quarter,
    entry_within,
    together,
)
from collector.alerting.hours import Hours
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Budget as BudgetCondition
from collector.alerting.rule import Consumed, Quality, Rule
from collector.alerting.subject import Subject, SubjectKind
from collector.fleet.codes import midnight_ms
from collector.fleet.index import Fleet, MeterEntry
from collector.intervals import Intervals, IntervalStore
from collector.intervals import Subject as FigureSubject
from collector.settle.cells import DAY_MS, Cells, Width, month_start_ms, next_month_ms
from collector.settle.counters import counter_of, unit_of
from collector.settle.day_class import DayClass
from collector.tree.family import Family, families, family_at

AT_ONCE = 100  # meters whose past is in memory together


class Looked(Struct, frozen=True, kw_only=True):
    """Days of one meter that rules are to be told of.

    Attributes:
        days: starts of days in Shanghai that are over; at least one.
        months: starts of months that are over.
        quarters: starts of days whose quarters count, over or not.
    """

    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    quarters: frozenset[int] = frozenset()


class SettledRules:
    """Rules on settled figures over one fleet. One thread at a time."""

    def __init__(
        self,
        rules: Iterable[Rule],
        intervals: IntervalStore,
        fleet: Fleet,
        hours: Hours,
        budgets: Sequence[Budget] = (),
    ) -> None:
        every = tuple(rules)
        consumed = [
            (rule, rule.condition) for rule in every if isinstance(rule.condition, Consumed)
        ]
        self.monthly = tuple(r for r, c in consumed if c.measure in MONTHLY)
        self.quarterly = tuple(r for r, c in consumed if c.measure in OF_QUARTERS)
        self.daily = tuple(
            r for r, c in consumed if c.measure not in MONTHLY and c.measure not in OF_QUARTERS
        )
        self.quality = tuple(r for r in every if isinstance(r.condition, Quality))
        self.budget = tuple(r for r in every if isinstance(r.condition, BudgetCondition))
        self.budgets = tuple(budgets) if self.budget else ()
        self._ranks = {rule.id: rule.severity.rank for rule in every}
        self._intervals = intervals
        self._fleet = fleet
        self._hours = hours
        self._budget_meters: dict[tuple[str, str, str], set[str]] = {}
        self._of_institution: dict[str, dict[str, tuple[MeterEntry, ...]]] = {}
        for meter, entries in fleet.meters.items() if self.budgets else ():
            for institution in {entry.institution for entry in entries}:
                self._of_institution.setdefault(institution, {})[meter] = entries

    def __bool__(self) -> bool:
        return bool(self.monthly or self.quarterly or self.daily or self.quality or self.budget)

    def _ordered(self, seen: Iterable[Observation]) -> list[Observation]:
        """In order of time; of one instant the worst that is met first, the mildest that is not.

        So an alert begins with its worst colour, and ends without another one in between.
        """

        def place(one: Observation) -> tuple[int, bool, int]:
            met, rank = one.verdict is Verdict.MET, self._ranks[one.rule]
            return one.at_ms, not met, -rank if met else rank

        return sorted(seen, key=place)

    # ---- meters

    def meters(self, at_ms: int) -> dict[str, MeterEntry]:
        """Whom a rule on consumption concerns at an instant."""
        found = {}
        for meter in self._fleet.meters:
            entry = self._fleet.entry(meter, at_ms)
            if entry is not None and self._of(entry, (*self.daily, *self.monthly, *self.quarterly)):
                found[meter] = entry
        return found

    def consumption(self, looked: Mapping[str, Looked]) -> list[Observation]:
        """What rules see of some meters, together, in order of time."""
        found: list[Observation] = []
        for rules, wanted in (
            (self.daily, {meter: one.days for meter, one in looked.items()}),
            (self.monthly, {meter: one.months for meter, one in looked.items()}),
            (self.quarterly, {meter: one.quarters for meter, one in looked.items()}),
        ):
            for past, mine in self.pasts(rules, {m: days for m, days in wanted.items() if days}):
                found += self.look(mine, past, wanted[past.entry.meter])
        return self._ordered(found)

    def look(self, rules: Iterable[Rule], past: Past, wanted: Collection[int]) -> list[Observation]:
        """What rules see of a meter's past on some days, or of some months (their starts)."""
        return self._ordered(consumption.look(rules, past, self._hours, wanted))

    def pasts(
        self, rules: Sequence[Rule], wanted: Mapping[str, Collection[int]]
    ) -> Iterator[tuple[Past, list[Rule]]]:
        """Each meter's past as far as its rules look back, and those rules.

        Args:
            rules: of `daily`, `monthly` or `quarterly`.
            wanted: starts of days, or of months, by meter; none empty.
        """
        concerned: dict[str, tuple[MeterEntry, list[Rule]]] = {}
        for meter, starts in wanted.items():
            entry = entry_within(self._fleet, meter, min(starts), max(starts) + DAY_MS)
            mine = [] if entry is None else self._of(entry, rules)
            if entry is not None and mine:
                concerned[meter] = (entry, mine)
        if not concerned:
            return
        is_monthly = rules[0] in self.monthly
        every = [start for meter in concerned for start in wanted[meter]]
        end_ms = max(next_month_ms(at) if is_monthly else at + DAY_MS for at in every)
        needed = [rule for _, mine in concerned.values() for rule in mine]
        back = consumption.reach_days({rule.id: rule for rule in needed}.values())
        first_ms = min(every) - back * DAY_MS
        if is_monthly:
            first_ms = month_start_ms(first_ms)
        entries = {meter: entry for meter, (entry, _) in concerned.items()}
        measures = {r.condition.measure for r in needed if isinstance(r.condition, Consumed)}
        for past in self._load(entries, (first_ms, end_ms), measures):
            yield past, concerned[past.entry.meter][1]

    def _of(self, entry: MeterEntry, rules: Iterable[Rule]) -> list[Rule]:
        return [rule for rule in rules if consumption.concerns(rule, entry)]

    def _load(
        self, entries: Mapping[str, MeterEntry], span: tuple[int, int], measures: Collection[str]
    ) -> Iterator[Past]:
        first_ms, end_ms = span
        count = (end_ms - first_ms) // DAY_MS
        family = family_at(self._fleet, end_ms - 1) if "tree_deviation" in measures else None
        meters = sorted(entries)
        for some in (meters[n : n + AT_ONCE] for n in range(0, len(meters), AT_ONCE)):
            below = {m: family.children.get(m, ()) if family else () for m in some}
            wanted = sorted({*some, *(part for parts in below.values() for part in parts)})
            days = self._cells(wanted, Width.DAY, span, entries, family)
            hours = self._maybe(some, Width.HOUR, span, entries, bool(OF_HOURS & set(measures)))
            quarters = self._maybe(
                some, Width.QUARTER, span, entries, bool(OF_QUARTERS & set(measures))
            )
            for meter in some:
                parts = [by_day(_of_meter(days, part), first_ms, count) for part in below[meter]]
                yield Past(
                    entry=entries[meter],
                    unit=_unit(entries[meter], days.get(meter)),
                    first_ms=first_ms,
                    kinds=tuple(
                        self._hours.kind(at, entries[meter].sector)
                        for at in range(first_ms, end_ms, DAY_MS)
                    ),
                    days=by_day(_of_meter(days, meter), first_ms, count),
                    hours=by_hour(_of_meter(hours, meter), first_ms, count),
                    quarters=by_quarter(
                        _of_meter(quarters, meter), first_ms, count if quarters is not None else 0
                    ),
                    below=together(parts, count),
                )

    def _maybe(
        self,
        meters: Sequence[str],
        width: Width,
        span: tuple[int, int],
        entries: Mapping[str, MeterEntry],
        is_wanted: bool,  # noqa: FBT001 - whether anybody asks
    ) -> dict[str, Intervals]:
        return self._cells(meters, width, span, entries, None) if is_wanted else {}

    def _cells(
        self,
        meters: Sequence[str],
        width: Width,
        span: tuple[int, int],
        entries: Mapping[str, MeterEntry],
        family: Family | None,
    ) -> dict[str, Intervals]:
        """Of each meter the counter that counts for its energy code."""
        seen: dict[str, dict[str, Intervals]] = {}
        for rows in self._intervals.intervals(meters, width, *span):
            seen.setdefault(rows.meter, {})[rows.quantity] = rows
        found = {}
        for meter, by_quantity in seen.items():
            entry = entries.get(meter) or (family.entries.get(meter) if family else None)
            if entry is not None and (name := counter_of(entry, by_quantity)) in by_quantity:
                found[meter] = by_quantity[name]
        return found

    # ---- data quality

    def quality_of(self, days: Collection[int]) -> list[Observation]:
        """What rules see of the figures of some days (their starts), in order of time."""
        found: list[Observation] = []
        if not days:
            return found
        for kind in sorted(
            {r.condition.of for r in self.quality if isinstance(r.condition, Quality)}
        ):
            rules = [
                (r, r.condition)
                for r in self.quality
                if isinstance(r.condition, Quality) and r.condition.of == kind
            ]
            first_ms = quality.first_day([rule for rule, _ in rules], days)
            courses: dict[tuple[str, str], dict[int, float]] = {}
            for one in self._intervals.figures(FigureSubject(kind), first_ms, max(days) + 1):
                courses.setdefault((one.id, one.name), {})[one.day_ms] = one.value
            for rule, condition in rules:
                for name, sector in quality.subjects_of(rule, self._fleet, days).items():
                    course = courses.get((name, condition.figure))
                    if course:
                        subject = Subject(SubjectKind(kind), name)
                        found += quality.look(rule, subject, sector, course, self._hours, days)
        return self._ordered(found)

    # ---- budgets

    def budget_meters(self, budget: Budget) -> set[str]:
        """Whose days a budget is made of."""
        if budget.key not in self._budget_meters:
            found = of_budget.meters_of(budget, self._trees(budget))
            self._budget_meters[budget.key] = found
        return self._budget_meters[budget.key]

    def budget_of(self, budget: Budget, days: Collection[int]) -> list[Observation]:
        """What rules see of a budget at the end of some days (their starts), in order."""
        rules = [rule for rule in self.budget if of_budget.concerns(rule, budget, self._fleet)]
        if not rules or not days:
            return []
        trees = self._trees(budget)
        span = (trees[0][0][0], trees[-1][0][1])
        meters = sorted(of_budget.meters_of(budget, trees))
        settled = self._intervals.intervals(meters, Width.DAY, *span) if meters else []
        used = of_budget.used_by_day(budget, trees, settled)
        return self._ordered(of_budget.look(rules, budget, used, sorted(days), self._classify))

    def _trees(self, budget: Budget) -> list[tuple[tuple[int, int], Family]]:
        """Who is in force through its period and the same of the year before."""
        first = midnight_ms(date(budget.first.year - 1, budget.first.month, 1))
        mine = self._of_institution.get(budget.institution, {})
        fleet = structs.replace(self._fleet, meters=mine)
        return families(fleet, first, midnight_ms(budget.last) + DAY_MS)

    def _classify(self, day: date) -> DayClass:
        return self._hours.kind(midnight_ms(day) + DAY_MS // 2, None).day_class


def _of_meter(found: Mapping[str, Intervals], meter: str) -> Cells | None:
    rows = found.get(meter)
    return None if rows is None else rows.cells


def _unit(entry: MeterEntry, rows: Intervals | None) -> str:
    return unit_of(counter_of(entry, ()) if rows is None else rows.quantity)
