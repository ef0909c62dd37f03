"""Look: a meter's readings -> observations of the rules on readings, whenever they were read.

It remembers nothing but the course of gauges that a rate watches: whether something holds already
is the life cycle's to know.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import structs

from collector.alerting.evaluate.derived import INPUTS
from collector.alerting.evaluate.plan import Check, Plan, plan_of
from collector.alerting.lifecycle.damping import OF_READINGS
from collector.alerting.lifecycle.matter import matter_of
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Rate, Rule, When
from collector.fleet.index import Fleet, Sector
from metering.quantity import QUANTITIES

OpenAt = Callable[[When, int, Sector | None], bool]
Watching = Mapping[str, frozenset[str]]
Values = Mapping[str, float]

_NONE: frozenset[str] = frozenset()


class Looker:
    """The rules on readings of one fleet."""

    def __init__(self, rules: Iterable[Rule], fleet: Fleet, open_at: OpenAt) -> None:
        """Begin without a course.

        Args:
            rules: all of them; others than those on readings are left aside.
            fleet: who is where.
            open_at: whether a rule with hours of its own looks at an instant.
        """
        self.rules = tuple(rule for rule in rules if isinstance(rule.condition, OF_READINGS))
        self._matters = {rule.id: matter_of(rule) for rule in self.rules}
        self._fleet = fleet
        self._open_at = open_at
        self._plans: dict[str, Plan] = {}
        self._courses: dict[tuple[str, str], deque[tuple[int, float]]] = {}

    def plan(self, meter: str, at_ms: int) -> Plan | None:
        """What to look at in a reading; None if there is nothing."""
        plan = self._plans.get(meter)
        if plan is None or not plan.entry.valid_from_ms <= at_ms < plan.to_ms:
            entry = self._fleet.entry(meter, at_ms) if self.rules else None
            if entry is None:
                return None
            plan = self._plans[meter] = plan_of(self.rules, entry)
        return plan if plan.bands else None

    def quantities(self, meter: str) -> frozenset[str]:
        """Of which readings the rules want to know, whenever they were read."""
        plans = [plan_of(self.rules, entry) for entry in self._fleet.meters.get(meter, ())]
        bands = [band for plan in plans for band in plan.bands]
        named = {band.quantity for band in bands if band.quantity in QUANTITIES}
        return frozenset(named) | (INPUTS if any(band.derive for band in bands) else frozenset())

    def matter(self, rule: str) -> str:
        """What a rule is a level of."""
        return self._matters[rule]

    def observe(
        self, plan: Plan, values: Values, at_ms: int, watching: Watching, *, late: bool = False
    ) -> Iterator[Observation]:
        """What a reading says of each rule: what is met, and what else the watching ones see."""
        meter = plan.entry.meter
        for band in plan.bands:
            value = values.get(band.quantity)
            if value is None:
                if band.derive is None:
                    continue
                value = band.derive(values)
                if value is None:
                    continue
            if band.low <= value <= band.high and (
                meter not in watching or band.rules.isdisjoint(watching[meter])
            ):
                continue
            for check in band.checks:
                seen = self._check(plan, check, value, at_ms, watching.get(meter, _NONE))
                if seen is not None:
                    yield structs.replace(seen, late=True) if late else seen

    def _check(
        self, plan: Plan, check: Check, value: float, at_ms: int, watching: frozenset[str]
    ) -> Observation | None:
        if check.within_ms:
            value = self._moved_by(plan.entry.meter, check, at_ms, value)
        verdict, limit = check.judge(value)
        if verdict is not Verdict.MET and check.rule.id not in watching:
            return None
        if not check.always and not self._open_at(check.rule.when, at_ms, plan.entry.sector):
            return None
        return Observation(
            rule=check.rule.id,
            subject=plan.subject,
            at_ms=at_ms,
            verdict=verdict,
            value=value,
            limit=limit,
            unit=check.unit,
            energy_unit=check.energy_unit,
            every_ms=plan.entry.cycle_s * 1000,
        )

    def warm(self, meter: str, at_ms: int, values: Values) -> None:
        """A reading that was judged before: rates go on from it."""
        plan = self.plan(meter, at_ms)
        for band in plan.bands if plan else ():
            value = values.get(band.quantity)
            for check in band.checks:
                if check.within_ms and value is not None:
                    self._moved_by(meter, check, at_ms, value)

    @property
    def within_ms(self) -> int:
        """How far back a rate looks, at most; 0 where there is none."""
        rates = [rule.condition for rule in self.rules if isinstance(rule.condition, Rate)]
        return max((rate.within_ms for rate in rates), default=0)

    def _moved_by(self, meter: str, check: Check, at_ms: int, value: float) -> float:
        """By how much it moved at most within the rule's time, up or down."""
        course = self._courses.setdefault((meter, check.rule.id), deque())
        while course and course[0][0] < at_ms - check.within_ms:
            course.popleft()
        moves = [value - before for _, before in course]
        course.append((at_ms, value))
        return max(moves, key=abs, default=0.0)
