"""Look: a meter's readings -> observations of the rules on readings, whenever they were read.

It remembers nothing but the course of gauges that a rate watches: whether something holds already
is the life cycle's to know.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from collector.alerting.evaluate.derived import INPUTS
from collector.alerting.evaluate.plan import Check, Plan, plan_of
from collector.alerting.lifecycle.damping import OF_READINGS
from collector.alerting.lifecycle.matter import matter_of
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Rule, When
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
        return plan if plan.checks else None

    def quantities(self, meter: str) -> frozenset[str]:
        """Of which readings the rules want to know, whenever they were read."""
        plans = [plan_of(self.rules, entry) for entry in self._fleet.meters.get(meter, ())]
        named = {check.quantity for plan in plans for check in plan.checks}
        made = any(check.derive for plan in plans for check in plan.checks)
        return frozenset(named & QUANTITIES.keys()) | (INPUTS if made else frozenset())

    def matter(self, rule: str) -> str:
        """What a rule is a level of."""
        return self._matters[rule]

    def observe(
        self, plan: Plan, values: Values, at_ms: int, watching: Watching, *, late: bool = False
    ) -> Iterator[Observation]:
        """What a reading says of each rule: what is met, and what else the watching ones see."""
        meter = plan.entry.meter
        if not plan.rates and meter not in watching and _is_quiet(plan, values):
            return
        for check in plan.checks:
            value = values.get(check.quantity)
            if value is None and check.derive is not None:
                value = check.derive(values)
            if value is None:
                continue
            if check.within_ms:
                value = self._moved_by(meter, check, at_ms, value)
            verdict, limit = check.judge(value)
            if verdict is not Verdict.MET and check.rule.id not in watching.get(meter, _NONE):
                continue
            if check.always or self._open_at(check.rule.when, at_ms, plan.entry.sector):
                yield Observation(
                    rule=check.rule.id,
                    subject=plan.subject,
                    at_ms=at_ms,
                    verdict=verdict,
                    value=value,
                    limit=limit,
                    unit=check.unit,
                    energy_unit=check.energy_unit,
                    every_ms=plan.entry.cycle_s * 1000,
                    late=late,
                )

    def _moved_by(self, meter: str, check: Check, at_ms: int, value: float) -> float:
        """By how much it moved at most within the rule's time, up or down."""
        course = self._courses.setdefault((meter, check.rule.id), deque())
        while course and course[0][0] < at_ms - check.within_ms:
            course.popleft()
        moves = [value - before for _, before in course]
        course.append((at_ms, value))
        return max(moves, key=abs, default=0.0)


def _is_quiet(plan: Plan, values: Values) -> bool:
    for band in plan.bands:
        value = values.get(band.quantity)
        if value is None:
            if band.derive is None:
                continue
            value = band.derive(values)
            if value is None:
                continue
        if not band.low <= value <= band.high:
            return False
    return True
