"""Warning: what was settled is judged once, in order, also after downtime, crashes, corrections."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from collector.adapters.sql import SqlSmallState
from collector.alerting.alert import AlertState, Reason
from collector.alerting.budgets.budget import Budget, period_days
from collector.alerting.evaluate.budget import subject_of
from collector.alerting.lifecycle import AlertBook
from collector.alerting.place import Places
from collector.alerting.rule import Budget as BudgetCondition
from collector.alerting.rule import Quality, Rule
from collector.alerting.service import Alerting
from collector.alerting.severity import Severity
from collector.fleet.codes import local_day
from collector.settle.cells import DAY_MS, HOUR_MS
from collector.store import StoreAway
from collector.verification import EVERYBODY
from collector.warning import Done, EarlyWarning, Parts, told
from tests.fakes.clock import FakeClock
from tests.fakes.figures import Town, consumed, day
from tests.fakes.settling import meter

HIGH = consumed("day", rule="high", limit=1000, in_a_row=2)


class Watcher:
    """The `Progress` of a run; it is told to stop before the so manyth look."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.looks = 0
        self.stop_at = stop_at

    @property
    def stopping(self) -> bool:
        self.looks += 1
        return self.stop_at is not None and self.looks >= self.stop_at

    def step(self, done: int, total: int, what: str = "") -> None:
        """Nothing to tell."""


class Office:
    """A town, its alerts in SQL, and the job; `restart` goes on from what is kept."""

    def __init__(self, state: SqlSmallState, town: Town, *rules: Rule, budgets: tuple = ()) -> None:
        self.state, self.town, self.all, self.budgets = state, town, rules, budgets
        self.clock = FakeClock(day("2026-06-01"))
        self.restart()

    def restart(self) -> None:
        log = self.state.alert_log
        book = AlertBook(
            self.all,
            Places(self.town.fleet, {subject_of(one).id for one in self.budgets}),
            alerts=log.open_alerts(),
            fired=log.fired_since(0),
            last_alert=log.last_alert(),
        )

        def at_once(_what: str, act) -> bool:
            act()
            return True

        self.alerting = Alerting(
            book, log, self.clock, patiently=at_once, count=lambda _state: None
        )
        self.warning = EarlyWarning(
            Parts(
                rules=self.town.rules(*self.all, budgets=self.budgets),
                matters={rule.id: rule.group or rule.id for rule in self.all},
                settled=self.state.settled_book,
                alerting=self.alerting,
                alert_log=log,
                clock=self.clock,
            )
        )

    def to(self, at_ms: int) -> None:
        self.clock.pass_ms(at_ms - self.clock.now_ms())

    def settle(self, first: str, *values: float | None, name: str = "m1") -> None:
        """Days in a row, as settlement leaves them."""
        self.town.put_days(first, values, name)
        days = [day(first) + place * DAY_MS for place in range(len(values))]
        self.state.settled_book.mark_dirty([(name, at) for at in days])

    def run(self, at: str, progress: Watcher | None = None) -> Done:
        """At 01:00 of a day."""
        self.to(day(at) + HOUR_MS)
        return self.warning.judge(progress or Watcher())

    @property
    def alerts(self) -> list[tuple[str, str, str]]:
        """State, the last day before it began, whether it is only a record."""
        found = sorted(self.state.alert_log.alerts(), key=lambda alert: alert.number)
        return [
            (
                str(alert.state),
                str(local_day(alert.since_ms) - timedelta(days=1)),
                "record" if alert.replayed else "live",
            )
            for alert in found
            if alert.fired_ms is not None
        ]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqlSmallState]:
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as opened:
        yield opened


def test_a_day_is_looked_at_once_it_is_over_and_its_last_readings_have_come(state):
    office = Office(state, Town(), HIGH)
    office.settle("2026-06-01", 1100, 1100)

    office.to(day("2026-06-03") + 29 * 60_000)
    early = office.warning.judge(Watcher())
    office.to(day("2026-06-03") + 30 * 60_000)
    done = office.warning.judge(Watcher())

    assert (early.days, done.days) == (1, 1)
    assert office.alerts == [("firing", "2026-06-02", "live")]
    assert state.settled_book.count_dirty() == 0


def test_what_is_settled_day_by_day_fires_goes_on_and_resolves(state):
    office = Office(state, Town(), HIGH)
    for place, value in enumerate((900, 1100, 1100, 1100, 900), start=1):
        office.settle(f"2026-06-0{place}", value)
        office.run(f"2026-06-0{place + 1}")
        office.restart()

    assert office.alerts == [("resolved", "2026-06-03", "live")]
    (alert,) = state.alert_log.alerts(states=[AlertState.RESOLVED])
    assert [str(one.reason) for one in state.alert_log.steps(alert.number)] == ["held", "cleared"]
    assert (alert.worst, alert.energy_so_far, alert.energy_unit) == (1100, 300, "kWh")


def test_nothing_new_is_nothing_to_do(state):
    office = Office(state, Town(), HIGH)

    assert told(office.run("2026-06-02")) == "没有新结算的数据"


def test_days_that_were_missed_are_judged_in_order_and_only_what_still_holds_fires(state):
    office = Office(state, Town(), HIGH)
    office.settle("2026-06-01", 1100, 1100, 1100, 900, 900, 1100, 1100)

    office.run("2026-06-08")

    assert office.alerts == [
        ("resolved", "2026-06-02", "record"),
        ("firing", "2026-06-07", "live"),
    ]


def test_a_late_correction_of_the_row_resolves(state):
    office = Office(state, Town(), HIGH)
    office.settle("2026-06-01", 1100, 1100)
    office.run("2026-06-03")

    office.settle("2026-06-01", 900)
    office.clock.pass_ms(HOUR_MS)
    office.warning.judge(Watcher())

    assert office.alerts == [("resolved", "2026-06-02", "live")]


def test_a_correction_that_makes_a_day_unknown_leaves_the_alert_as_it_was(state):
    office = Office(state, Town(), HIGH)
    office.settle("2026-06-01", 1100, 1100)
    office.run("2026-06-03")

    office.settle("2026-06-02", None)
    office.clock.pass_ms(HOUR_MS)
    office.warning.judge(Watcher())

    assert office.alerts == [("firing", "2026-06-02", "live")]


def test_settling_again_what_is_over_makes_no_second_alert(state):
    office = Office(state, Town(), HIGH)
    office.settle("2026-06-01", 1100, 1100, 900)
    office.run("2026-06-04")
    before = office.alerts

    office.settle("2026-06-01", 1101, 1101, 901)
    office.run("2026-06-10")

    assert before == [("resolved", "2026-06-02", "live")]
    assert office.alerts == before


def test_what_a_person_resolved_stays_resolved_for_the_days_that_were_known_then(state):
    office = Office(state, Town(), HIGH)
    office.settle("2026-06-01", 1100, 1100)
    office.run("2026-06-03")
    office.alerting.resolve(1, "王工", "已核实")

    office.settle("2026-06-02", 1105)
    office.clock.pass_ms(HOUR_MS)
    office.warning.judge(Watcher())
    same_day = office.alerts
    office.settle("2026-06-03", 1100)
    office.run("2026-06-04")

    assert same_day == [("resolved", "2026-06-02", "live")]
    assert office.alerts[1:] == [("firing", "2026-06-03", "live")]


def test_a_run_that_is_stopped_or_dies_is_done_again(state):
    town = Town(*(meter(f"m{n:03}") for n in range(150)))
    office = Office(state, town, consumed("day", rule="high", limit=1000))
    for name in town.fleet.meters:
        office.settle("2026-06-01", 1100, name=name)

    stopped = office.run("2026-06-02", Watcher(stop_at=2))
    office.town.store.away = StoreAway("no")
    with pytest.raises(StoreAway):
        office.run("2026-06-02")
    office.town.store.away = None
    office.restart()
    done = office.run("2026-06-02")

    assert (stopped.stopped, stopped.meters) == (True, 100)
    assert done.meters == 50
    assert len(office.alerts) == 150


def test_a_day_that_is_settled_again_while_it_is_looked_at_keeps_its_mark(state):
    office = Office(state, Town(), HIGH)
    office.settle("2026-06-01", 1100)

    class Settles(Watcher):
        def step(self, *_: object) -> None:
            state.settled_book.mark_dirty([("m1", day("2026-06-01"))])

    office.run("2026-06-02", Settles())

    assert state.settled_book.count_dirty() == 1


def test_what_is_older_than_it_looks_back_is_left_alone(state):
    office = Office(state, Town(), HIGH)
    office.settle("2026-01-01", 1100, 1100)

    office.run("2026-06-02")

    assert office.alerts == []
    assert state.settled_book.count_dirty() == 0


def test_quarters_of_today_are_looked_at_before_the_day_is_over(state):
    office = Office(state, Town(), consumed("demand_kw", rule="demand", limit=250))
    office.town.put_quarters("2026-06-01", [50, 80])
    state.settled_book.mark_dirty([("m1", day("2026-06-01"))])

    office.run("2026-06-01")
    office.town.put_quarters("2026-06-01", [50, 80, 60, 60])
    office.run("2026-06-01")
    first = office.alerts
    office.run("2026-06-02")

    assert [alert[0] for alert in first] == ["resolved"]
    assert office.alerts == first
    assert state.settled_book.count_dirty() == 0


def test_a_month_is_looked_at_when_it_is_over_and_again_when_a_day_of_it_changes(state):
    office = Office(state, Town(), consumed("month", rule="month", limit=31_000))
    office.settle("2026-05-01", *[1000.0] * 31)

    office.run("2026-06-01")
    before = office.alerts
    office.settle("2026-05-20", 2000.0)
    office.run("2026-06-02")
    raised = office.alerts
    office.settle("2026-05-20", 900.0)
    office.run("2026-06-02")

    assert before == []
    assert raised == [("firing", "2026-05-31", "live")]
    assert [alert[0] for alert in office.alerts] == ["resolved"]


def test_a_day_that_was_verified_is_looked_at_by_the_rules_on_its_figures(state):
    rule = Rule(
        id="q",
        title="数据完整率不足",
        severity=Severity.BLUE,
        condition=Quality(of="meter", figure="completeness_share", limit=0.9, falls=True),
    )
    office = Office(state, Town(), rule)
    office.town.put_figure("2026-06-01", [0.4], "completeness_share")
    state.settled_book.mark_dirty([(EVERYBODY, day("2026-06-01"))])
    office.run("2026-06-02")
    fired = office.alerts
    office.town.put_figure("2026-06-01", [0.95], "completeness_share")
    state.settled_book.mark_dirty([(EVERYBODY, day("2026-06-01"))])

    office.run("2026-06-02")

    assert fired == [("firing", "2026-06-01", "live")]
    assert [alert[0] for alert in office.alerts] == ["resolved"]


def test_a_budget_is_reckoned_anew_when_a_day_of_it_is_settled_and_ends_with_its_period(state):
    first, last = period_days("2026-06")
    budget = Budget(
        institution="e001",
        energy="01",
        period="2026-06",
        first=first,
        last=last,
        amount=3000,
        unit="kWh",
        source="test",
    )
    rule = Rule(
        id="budget-used",
        title="用能预算已用八成",
        severity=Severity.BLUE,
        condition=BudgetCondition(measure="used", limit=0.8),
    )
    office = Office(state, Town(), rule, budgets=(budget,))
    office.settle("2026-06-01", *[100.0] * 25)

    office.run("2026-06-26")
    (alert,) = state.alert_log.open_alerts()
    office.to(day("2026-08-15"))
    office.alerting.tick()

    assert (alert.subject.id, alert.place.institution, alert.place.energy) == (
        *("e001/01/2026-06", "e001"),
        "01",
    )
    assert local_day(alert.since_ms) == local_day(day("2026-06-26"))
    (last_step,) = state.alert_log.last_steps(1)
    assert last_step.reason is Reason.RULE_GONE


def test_a_day_that_hangs_on_a_corrected_one_is_looked_at_again(state):
    office = Office(state, Town(), HIGH)
    office.settle("2026-06-01", 900, 1100, *[900] * 6)
    office.run("2026-06-09")

    office.settle("2026-06-01", 1100)
    office.run("2026-06-09")

    assert office.alerts == [("resolved", "2026-06-02", "record")]


def test_weeks_that_were_corrected_move_yesterdays_baseline(state):
    office = Office(state, Town(), consumed("day", rule="usual", times=2))
    office.settle("2026-05-01", *[100.0] * 28, 250.0)
    office.run("2026-05-30")
    before = office.alerts

    office.settle("2026-05-01", *[200.0] * 20)
    office.clock.pass_ms(HOUR_MS)
    office.warning.judge(Watcher())

    assert before == [("firing", "2026-05-29", "live")]
    assert office.alerts == [("resolved", "2026-05-29", "live")]
