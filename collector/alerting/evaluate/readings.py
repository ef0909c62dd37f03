"""Readings: rows -> observations of the rules on readings. HOT PATH.

It has no memory but how far each meter was judged, and the course of gauges that a rate watches:
whether something holds already is the life cycle's to know. What came too late to wake anybody is
only noted here, and judged from the store once the backlog is in, in order of time: gateways send
a backlog newest first.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from collector.alerting.evaluate.plan import Check, Plan, plan_of
from collector.alerting.lifecycle.damping import LATE_MS, OF_READINGS
from collector.alerting.log import Judged
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Rule, When
from collector.fleet.index import Fleet, Sector
from collector.store import Row

OpenAt = Callable[[When, int, Sector | None], bool]
Watching = Mapping[str, frozenset[str]]

_NONE: frozenset[str] = frozenset()


class Readings:
    """The rules on readings of one fleet. One thread looks."""

    def __init__(
        self, rules: Iterable[Rule], fleet: Fleet, open_at: OpenAt, judged: Iterable[Judged] = ()
    ) -> None:
        """Go on from how far was judged.

        Args:
            rules: all of them; others than those on readings are left aside.
            fleet: who is where.
            open_at: whether a rule with hours of its own looks at an instant.
            judged: as it was kept.
        """
        self._rules = tuple(rule for rule in rules if isinstance(rule.condition, OF_READINGS))
        self._fleet = fleet
        self._open_at = open_at
        self._plans: dict[str, Plan] = {}
        self._newest: dict[str, int] = {}
        self._late: dict[str, dict[str, tuple[int, int]]] = {}
        self._meters: dict[str, dict[str, None]] = {}  # in order, by gateway
        self._courses: dict[tuple[str, str], deque[tuple[int, float]]] = {}
        for one in judged:
            for meter, newest_ms in one.newest.items():
                self._newest[meter] = max(newest_ms, self._newest.get(meter, 0))
            self._late[one.gateway] = dict(one.late)
            self._meters[one.gateway] = dict.fromkeys(one.newest)

    def look(self, rows: Iterable[Row], watching: Watching, now_ms: int) -> Iterator[Observation]:
        """Look at rows in order of time, one by one as what is seen is taken.

        Clear readings are left out where no rule watches the meter: `watching` must tell what the
        observations given so far have led to.
        """
        newest, live_ms = self._newest, now_ms - LATE_MS
        for row in rows:
            values, meter, at_ms = row.values, row.meter, row.at_ms
            plan = self._plan(meter, at_ms)
            if plan is None or not values:
                continue
            if at_ms < live_ms or at_ms < newest.get(meter, 0):
                self._note_late(plan, at_ms)
                continue
            newest[meter] = at_ms
            if meter in watching or plan.rates or not _is_quiet(plan, values):
                yield from self._observe(plan, values, at_ms, watching)

    def _plan(self, meter: str, at_ms: int) -> Plan | None:
        """What to look at; None if there is nothing."""
        plan = self._plans.get(meter)
        if plan is None or not plan.entry.valid_from_ms <= at_ms < plan.to_ms:
            entry = self._fleet.entry(meter, at_ms) if self._rules else None
            if entry is None:
                return None
            plan = self._plans[meter] = plan_of(self._rules, entry)
            if plan.checks:
                self._meters.setdefault(entry.gateway, {})[meter] = None
        return plan if plan.checks else None

    def _observe(
        self, plan: Plan, values: Mapping[str, float], at_ms: int, watching: Watching
    ) -> Iterator[Observation]:
        for check in plan.checks:
            value = values.get(check.quantity)
            if value is None and check.derive is not None:
                value = check.derive(values)
            if value is None:
                continue
            if check.within_ms:
                value = self._moved_by(plan, check, at_ms, value)
            verdict, limit = check.judge(value)
            if verdict is not Verdict.MET and check.rule.id not in watching.get(
                plan.entry.meter, _NONE
            ):
                continue
            if not check.always and not self._open_at(check.rule.when, at_ms, plan.entry.sector):
                continue
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
            )

    def _moved_by(self, plan: Plan, check: Check, at_ms: int, value: float) -> float:
        """By how much it moved at most within the rule's time, up or down."""
        course = self._courses.setdefault((plan.entry.meter, check.rule.id), deque())
        while course and course[0][0] < at_ms - check.within_ms:
            course.popleft()
        moves = [value - before for _, before in course]
        course.append((at_ms, value))
        return max(moves, key=abs, default=0.0)

    # ---- how far

    def judged(self, gateways: Iterable[str]) -> list[Judged]:
        """How far these gateways' meters are judged now, for the record of their group."""
        return [
            Judged(
                gateway=gateway,
                newest={
                    meter: self._newest[meter]
                    for meter in self._meters[gateway]
                    if meter in self._newest
                },
                late=dict(self._late.get(gateway, {})),
            )
            for gateway in gateways
            if gateway in self._meters
        ]

    def _note_late(self, plan: Plan, at_ms: int) -> None:
        meter = plan.entry.meter
        late = self._late.setdefault(plan.entry.gateway, {})
        first, last = late.get(meter, (at_ms, at_ms))
        late[meter] = (min(first, at_ms), max(last, at_ms))


def _is_quiet(plan: Plan, values: Mapping[str, float]) -> bool:
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
