"""Backtest: rules, what is stored of a span -> when each would have fired and resolved.

The same evaluators and the same life cycle as in the running centre, on a book of its own whose
clock is the time of what was read: nothing is late. Nothing is kept.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from math import isnan
from typing import Protocol

from msgspec import Struct

from collector.alerting.alert import Alert, Transition
from collector.alerting.evaluate import consumption
from collector.alerting.evaluate.look import Looker
from collector.alerting.evaluate.measures import MONTHLY
from collector.alerting.hours import Hours
from collector.alerting.lifecycle import AlertBook
from collector.alerting.lifecycle.damping import OF_READINGS
from collector.alerting.lifecycle.matter import matter_of
from collector.alerting.observation import Observation
from collector.alerting.place import Places
from collector.alerting.played import Drawn, Fired, Line, Order, Played
from collector.alerting.rule import Budget, Consumed, Quality, Rule
from collector.alerting.settled import AT_ONCE, Looked, SettledRules
from collector.alerting.subject import Subject, SubjectKind
from collector.fleet.index import Fleet
from collector.settle.cells import DAY_MS, day_start_ms, month_start_ms, next_month_ms
from collector.store import Row

TESTABLE = (*OF_READINGS, Consumed, Quality, Budget)
_CHUNK_MS = 4 * DAY_MS  # of one meter's readings at once
_MOST_LINES = 40
_FEW_METERS = 3  # of which charts are made whether anything fired or not

Names = Collection[str]


class Rows(Protocol):
    """Readings that may be believed, of one meter."""

    def __call__(self, meter: str, names: Names, start_ms: int, end_ms: int) -> Iterable[Row]:
        """In order of time, and so asked for."""
        ...


class Progress(Protocol):
    """Whoever watches."""

    @property
    def stopping(self) -> bool: ...

    def step(self, done: int, total: int, what: str = "") -> None: ...


class Parts(Struct, frozen=True, kw_only=True):
    """Where it is played.

    Attributes:
        settled: makes rules on settled figures of rules.
        rows: makes a new reader of readings, without memory of others.
    """

    fleet: Fleet
    hours: Hours
    settled: Callable[[tuple[Rule, ...]], SettledRules]
    rows: Callable[[], Rows]


class _Story(Struct, frozen=True):
    """An alert when it was worst, and after its last step."""

    worst: Alert
    latest: Alert


class Backtest:
    """One order, once."""

    def __init__(self, order: Order, parts: Parts) -> None:
        self._order = order
        self._parts = parts
        self._settled = parts.settled(order.rules)
        self._looker = Looker(order.rules, parts.fleet, parts.hours.open_at)
        self._places = Places(parts.fleet)
        self._book = AlertBook(order.rules, self._places)
        self._stories: dict[int, _Story] = {}
        self._matters = {rule.id: matter_of(rule) for rule in order.rules}
        self._few = len(self._meters()) <= _FEW_METERS
        self._seen: dict[str, set[Subject]] = {rule.id: set() for rule in order.rules}
        self._lines: dict[tuple[str, Subject], Line] = {}

    def play(self, progress: Progress) -> Played:
        meters = self._meters()
        steps = 2 * len(meters)
        done = 0
        days = self._days()
        self._judge(self._of_chosen(self._settled.quality_of(days) if days else []))
        for budget in self._settled.budgets:
            if self._is_of_chosen(budget.institution):
                self._judge(self._settled.budget_of(budget, days))
        for first in range(0, len(meters), AT_ONCE):
            some = meters[first : first + AT_ONCE]
            progress.step(done, steps, some[0])
            if progress.stopping:
                return self._played(stopped=True)
            self._consumed(some, days)
            done += len(some)
        rows = self._parts.rows()
        for meter in meters:
            progress.step(done, steps, meter)
            if progress.stopping:
                return self._played(stopped=True)
            self._read(meter, rows)
            done += 1
        return self._played()

    # ---- settled figures

    def _consumed(self, meters: Sequence[str], days: frozenset[int]) -> None:
        settled, order = self._settled, self._order
        months = frozenset(
            start
            for start in {month_start_ms(at) for at in days}
            if order.start_ms < next_month_ms(start) <= order.end_ms
        )
        looked = Looked(days=days, months=months, quarters=days)
        for rules, wanted in (
            (settled.daily, looked.days),
            (settled.monthly, looked.months),
            (settled.quarterly, looked.quarters),
        ):
            for past, mine in settled.pasts(rules, dict.fromkeys(meters, wanted)) if wanted else ():
                self._judge(settled.look(mine, past, wanted))
                for rule in mine:
                    found = consumption.judge(rule, past, self._parts.hours)
                    self._draw(rule, past.entry.meter, found, wanted, past.starts)

    def _draw(
        self,
        rule: Rule,
        meter: str,
        found: Sequence[consumption.Judged],
        wanted: frozenset[int],
        starts: Sequence[int],
    ) -> None:
        condition = rule.condition
        monthly = isinstance(condition, Consumed) and condition.measure in MONTHLY
        shown = [j for j in found if (j.start_ms if monthly else starts[j.day]) in wanted]
        if not shown:
            return
        subject = Subject(SubjectKind.METER, meter)
        self._lines[rule.id, subject] = Line(
            rule=rule.id,
            subject=subject,
            unit=shown[0].unit,
            at_ms=tuple(j.start_ms for j in shown),
            value=tuple(None if isnan(j.value) else j.value for j in shown),
            limit=tuple(None if isnan(j.limit) else j.limit for j in shown),
            falls=isinstance(condition, Consumed) and condition.falls,
        )

    # ---- readings

    def _read(self, meter: str, rows: Rows) -> None:
        names = self._looker.quantities(meter)
        if not names:
            return
        fired = set(self._stories)
        seen: set[str] = set()
        for row in self._of_span(meter, names, rows):
            plan = self._looker.plan(meter, row.at_ms)
            if plan is not None and row.values:
                seen.update(check.rule.id for band in plan.bands for check in band.checks)
                watching = self._book.watching
                self._judge(self._looker.observe(plan, row.values, row.at_ms, watching))
        subject = Subject(SubjectKind.METER, meter)
        for rule in seen:
            self._seen[rule].add(subject)
        levels = {
            self._matters[story.worst.rule] for n, story in self._stories.items() if n not in fired
        }
        if len(self._lines) < _MOST_LINES:
            drawn = {rule for rule in seen if self._matters[rule] in levels or self._few}
            if drawn:
                self._draw_readings(meter, drawn)

    def _draw_readings(self, meter: str, rules: Names) -> None:
        names = self._looker.quantities(meter)
        drawn = Drawn(self._order.start_ms, self._order.end_ms)
        for row in self._of_span(meter, names, self._parts.rows()):
            plan = self._looker.plan(meter, row.at_ms)
            if plan is None:
                continue
            for band in plan.bands:
                for check in band.checks:
                    if check.rule.id in rules:
                        drawn.take(check, band.derive, plan.subject, row)
        for line in drawn.lines():
            self._lines[line.rule, line.subject] = line

    def _of_span(self, meter: str, names: Names, rows: Rows) -> Iterator[Row]:
        order = self._order
        for start_ms in range(order.start_ms, order.end_ms, _CHUNK_MS):
            yield from rows(meter, names, start_ms, min(start_ms + _CHUNK_MS, order.end_ms))

    # ---- judging

    def _judge(self, seen: Iterable[Observation]) -> None:
        for one in seen:
            self._seen[one.rule].add(one.subject)
            for step in self._book.observe([one], one.at_ms):
                self._note(step)
        self._book.take_touched()

    def _note(self, step: Transition) -> None:
        alert = step.alert
        if alert.fired_ms is None:
            return
        story = self._stories.get(alert.number)
        worst = alert
        if story is not None and alert.severity.rank < story.worst.severity.rank:
            worst = story.worst
        self._stories[alert.number] = _Story(worst=worst, latest=alert)

    def _played(self, *, stopped: bool = False) -> Played:
        still = {alert.number: alert for alert in self._book.open_alerts}
        fired = [
            _fired(story, still.get(number, story.latest))
            for number, story in sorted(self._stories.items())
        ]
        fired.sort(key=lambda one: (one.fired_ms, one.subject.id, one.rule))
        rules = self._order.rules
        return Played(
            fired=tuple(fired),
            lines=tuple(self._shown(fired)),
            subjects={rule: len(subjects) for rule, subjects in self._seen.items()},
            not_played=tuple(r.id for r in rules if not isinstance(r.condition, TESTABLE)),
            stopped=stopped,
        )

    def _shown(self, fired: Iterable[Fired]) -> Iterator[Line]:
        """What fired first; the others where few were asked for, while there is room."""
        keys = dict.fromkeys((one.rule, one.subject) for one in fired)
        others = (key for key in self._lines if key not in keys and self._few)
        for key in [*keys, *others][:_MOST_LINES]:
            if key in self._lines:
                yield self._lines[key]

    # ---- what is asked for

    def _days(self) -> frozenset[int]:
        """Starts of the days whose end lies within."""
        order = self._order
        first_ms = day_start_ms(order.start_ms)
        return frozenset(
            at
            for at in range(first_ms, order.end_ms, DAY_MS)
            if order.start_ms < at + DAY_MS <= order.end_ms
        )

    def _meters(self) -> list[str]:
        return [
            meter
            for meter, entries in sorted(self._parts.fleet.meters.items())
            if self._is_chosen(meter, entries[-1].institution)
        ]

    def _is_chosen(self, meter: str, institution: str) -> bool:
        order = self._order
        if order.meters is None and order.institutions is None:
            return True
        return meter in (order.meters or ()) or institution in (order.institutions or ())

    def _is_of_chosen(self, institution: str) -> bool:
        """Figures of more than a meter are looked at unless only meters were asked for."""
        order = self._order
        if order.institutions is not None:
            return institution in order.institutions
        return order.meters is None

    def _of_chosen(self, seen: Iterable[Observation]) -> list[Observation]:
        found = []
        for one in seen:
            place = self._places.place(one.subject, one.at_ms - 1)
            if place is None:
                continue
            if one.subject.kind is SubjectKind.METER:
                chosen = self._is_chosen(one.subject.id, place.institution)
            else:
                chosen = self._is_of_chosen(place.institution)
            if chosen:
                found.append(one)
        return found


def _fired(story: _Story, latest: Alert) -> Fired:
    worst = latest if latest.rule == story.worst.rule else story.worst
    assert worst.fired_ms is not None
    return Fired(
        rule=worst.rule,
        title=worst.title,
        severity=worst.severity,
        subject=worst.subject,
        institution=worst.place.institution,
        since_ms=latest.since_ms,
        fired_ms=worst.fired_ms,
        resolved_ms=latest.resolved_ms,
        worst=worst.worst,
        limit=worst.levels[0].limit if worst.levels else story.worst.limit,
        unit=worst.unit,
        energy=worst.energy_so_far,
        energy_unit=worst.energy_unit,
    )
