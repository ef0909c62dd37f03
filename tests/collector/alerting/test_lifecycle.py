"""The life cycle as scripts on a clock that is told: one matter, from its beginning to its end."""

import pytest
from msgspec import structs

from collector.alerting.alert import AlertState, Reason
from collector.alerting.lifecycle import AlertUnknown, StepIllegal
from collector.alerting.lifecycle.table import TABLE, Event, step
from collector.alerting.observation import Verdict
from collector.alerting.rule import Silent, System
from collector.alerting.severity import Severity
from collector.alerting.subject import Subject, SubjectKind
from tests.fakes.alerting import METER, START_MS, Life, at, look, threshold

TEN_MIN = 600_000
HOUR = 60


# -- the table ---------------------------------------------------------------------------------


def test_the_table_says_what_may_happen_and_nothing_else_does() -> None:
    for state in (None, *AlertState):
        for event in Event:
            if (state, event) in TABLE:
                assert step(state, event) == TABLE[state, event]
            else:
                with pytest.raises(StepIllegal):
                    step(state, event)


def test_nothing_follows_a_resolved_alert() -> None:
    assert not [event for state, event in TABLE if state is AlertState.RESOLVED]


def test_an_act_that_cannot_be_is_told_in_chinese() -> None:
    with pytest.raises(StepIllegal, match="报警待定，不能确认"):
        step(AlertState.PENDING, Event.ACKNOWLEDGE)


# -- without a duration ------------------------------------------------------------------------


def test_it_fires_at_once_and_resolves() -> None:
    life = Life(threshold())

    assert life.see(1, 600.0) == ["held"]
    assert life.see(2, 700.0) == life.see(3, 450.0) == []
    assert life.see(4, 300.0) == ["cleared"]

    fired, ended = life.steps
    assert (fired.before, fired.alert.state) == (None, "firing")
    assert (fired.alert.since_ms, fired.alert.fired_ms, fired.alert.value) == (at(1), at(1), 600.0)
    assert (fired.alert.limit, fired.alert.unit, fired.alert.rule_version) == (500.0, "kW", "1")
    assert (ended.before, ended.alert.state) == ("firing", "resolved")
    assert (ended.alert.since_ms, ended.alert.resolved_ms) == (at(1), at(4))
    assert (ended.alert.value, ended.alert.limit, ended.alert.worst) == (300.0, 400.0, 700.0)


def test_an_alert_says_where_its_meter_stands() -> None:
    life = Life(threshold())
    life.see(1, 600.0)

    place = life.open.place

    assert (place.district, place.institution, place.meter) == ("120101", "e001", "e001-main")
    assert (place.sector, place.gateway) == ("hospital", "gw-e001")


def test_between_the_bounds_it_is_as_it_was() -> None:
    life = Life(threshold())

    assert life.see(1, 450.0) == []
    life.see(2, 600.0)
    assert life.see(3, 450.0) == []
    assert life.open.state is AlertState.FIRING


def test_unknown_changes_nothing() -> None:
    life = Life(threshold())
    assert life.see(1, None, Verdict.UNKNOWN) == []
    life.see(2, 600.0)

    assert life.see(3, None, Verdict.UNKNOWN) == []
    assert life.open.state is AlertState.FIRING


def test_a_rule_that_nobody_knows_is_not_judged() -> None:
    assert Life(threshold()).see(1, 600.0, rule="other") == []


def test_the_next_time_is_another_alert() -> None:
    life = Life(threshold())
    for minute, value in enumerate([600.0, 100.0, 600.0], 1):
        life.see(minute, value)

    assert [(one.alert.number, one.reason) for one in life.steps] == [
        (1, "held"),
        (1, "cleared"),
        (2, "held"),
    ]


def test_two_subjects_stand_apart() -> None:
    life = Life(threshold())
    other = Subject(SubjectKind.METER, "e001-light")
    life.see(10, 600.0)

    assert life.see(5, 600.0, subject=other) == ["held"]
    assert life.see(11, 100.0) == ["cleared"]
    assert life.open.subject == other


# -- with a duration, by the time of readings -----------------------------------------------------


def test_it_is_pending_until_it_has_held_for_long_enough() -> None:
    life = Life(threshold(for_ms=TEN_MIN))

    assert life.see(1, 600.0) == ["began"]
    assert life.see(6, 800.0) == life.see(10.9, 600.0) == []
    assert life.see(11, 601.0) == ["held"]

    assert (life.open.since_ms, life.open.fired_ms, life.open.worst) == (at(1), at(11), 800.0)


def test_what_ends_before_that_is_dropped() -> None:
    life = Life(threshold(for_ms=TEN_MIN))
    life.see(1, 600.0)

    assert life.see(5, 399.0) == ["dropped"]
    assert life.see(6, 600.0) == ["began"]
    assert life.see(11, 600.0) == []


def test_the_clock_alone_fires_nothing() -> None:
    """A reading of an hour ago says nothing of now."""
    life = Life(threshold(for_ms=TEN_MIN))
    life.see(1, 600.0)

    assert life.tick(HOUR) == life.tick(10 * HOUR) == []
    assert life.open.state is AlertState.PENDING


def test_a_gap_says_nothing_of_the_time_in_it() -> None:
    life = Life(threshold(for_ms=TEN_MIN))
    life.see(0, 600.0)

    assert life.see(60, 600.0) == []
    assert life.see(65, 600.0) == []
    assert life.see(70, 600.0) == ["held"]
    assert life.open.since_ms == at(60)


def test_a_meter_that_is_read_once_an_hour_has_no_gaps() -> None:
    life = Life(threshold(for_ms=90 * 60_000))
    hourly = {"every_ms": 3_600_000}

    assert life.see(0, 600.0, **hourly) == ["began"]
    assert life.see(60, 600.0, **hourly) == []
    assert life.see(120, 600.0, **hourly) == ["held"]


def test_it_must_be_clear_for_as_long_as_the_rule_says() -> None:
    life = Life(threshold(keep_ms=TEN_MIN))
    life.see(0, 600.0)

    assert life.see(1, 100.0) == life.see(5, 100.0) == []
    assert life.see(6, 600.0) == life.see(7, 100.0) == life.see(16, 100.0) == []
    assert life.see(17, 100.0) == ["cleared"]

    ended = life.steps[-1].alert
    assert (ended.resolved_ms, ended.at_ms) == (at(7), at(17))


def test_after_a_gap_it_must_be_clear_for_as_long_again() -> None:
    life = Life(threshold(keep_ms=TEN_MIN))
    life.see(0, 600.0)
    life.see(1, 100.0)

    assert life.see(60, 100.0) == []
    assert life.see(70, 100.0) == ["cleared"]


def test_in_the_band_after_clear_readings_it_stays_clear() -> None:
    life = Life(threshold(keep_ms=TEN_MIN))
    life.see(0, 600.0)
    life.see(1, 100.0)

    life.see(6, 450.0)

    assert life.see(11, 450.0) == ["cleared"]


# -- how much it comes to ------------------------------------------------------------------------


def test_the_excess_is_added_up_in_kilowatt_hours() -> None:
    life = Life(threshold())
    for minute, value in ((0, 600.0), (10, 700.0), (15, 500.5)):
        life.see(minute, value, energy_unit="kWh")

    assert life.open.energy_unit == "kWh"
    assert life.open.energy_so_far == pytest.approx(150 / 6 + 100.25 / 12)


def test_in_a_gap_nothing_is_added_up() -> None:
    life = Life(threshold())
    for minute in (0, 10, 60, 70):
        life.see(minute, 560.0, energy_unit="kWh")

    assert life.open.energy_so_far == pytest.approx(20.0)


def test_what_the_evaluator_says_it_comes_to_is_taken() -> None:
    life = Life(threshold())
    life.see(0, 600.0, energy_so_far=12.0, energy_unit="m³")
    life.see(1, 600.0, energy_so_far=13.5, energy_unit="m³")

    assert (life.open.energy_so_far, life.open.energy_unit) == (13.5, "m³")


# -- levels of one matter ------------------------------------------------------------------------

YELLOW = threshold("hot", group="heat")
RED = threshold("hotter", group="heat", severity=Severity.RED)


def test_two_levels_are_one_alert_of_the_worse_colour() -> None:
    life = Life(YELLOW, RED)

    assert life.see(1, 600.0) == ["held"]
    assert life.see(2, 900.0, rule="hotter") == ["worse"]
    assert (life.open.severity, life.open.rule, life.open.since_ms) == ("red", "hotter", at(1))
    assert life.see(3, 300.0, rule="hotter") == ["milder"]
    assert (life.open.severity, life.open.rule, life.open.number) == ("yellow", "hot", 1)
    assert life.see(4, 300.0) == ["cleared"]


def test_both_at_once_are_one_alert_and_two_steps() -> None:
    life = Life(YELLOW, RED)
    both = [look(1, 900.0), look(1, 900.0, rule="hotter")]

    assert life.keep(life.book.observe(both, at(1))) == ["held", "worse"]
    assert life.open.severity is Severity.RED


def test_the_milder_level_is_news_only_where_the_worse_is_over() -> None:
    life = Life(YELLOW, RED)

    assert life.see(1, 900.0, rule="hotter") == ["held"]
    assert life.see(1, 900.0) == []
    assert life.see(2, 100.0) == []
    assert life.see(3, 100.0, rule="hotter") == ["cleared"]


def test_an_acknowledged_alert_that_gets_worse_fires_again() -> None:
    life = Life(YELLOW, RED)
    life.see(1, 600.0)
    life.acknowledge(1, None, now=2)

    assert life.see(3, 900.0, rule="hotter") == ["worse"]

    assert (life.open.state, life.open.author, life.open.note) == ("firing", "", "")


def test_an_acknowledged_alert_that_gets_milder_stays_acknowledged() -> None:
    life = Life(YELLOW, RED)
    life.see(1, 600.0)
    life.see(1, 900.0, rule="hotter")
    life.acknowledge(1, None, now=2)

    assert life.see(3, 300.0, rule="hotter") == ["milder"]
    assert (life.open.state, life.open.author) == ("acknowledged", "王工")


def test_a_worse_level_that_is_pending_is_not_told_yet() -> None:
    life = Life(YELLOW, structs.replace(RED, for_ms=TEN_MIN))
    life.see(1, 900.0)

    assert life.see(1, 900.0, rule="hotter") == []
    assert life.open.severity is Severity.YELLOW
    assert life.see(11, 900.0, rule="hotter") == ["worse"]


def test_of_a_milder_level_that_clears_first_what_is_pending_goes_on_as_another_alert() -> None:
    life = Life(YELLOW, structs.replace(RED, for_ms=TEN_MIN))
    life.see(1, 900.0)
    life.see(5, 900.0, rule="hotter")

    assert life.see(6, 100.0) == ["cleared", "began"]
    assert (life.open.number, life.open.severity, life.open.since_ms) == (2, "red", at(5))


# -- people ------------------------------------------------------------------------------------


def test_an_acknowledgement_has_owner_note_and_end() -> None:
    life = Life(threshold())
    life.see(1, 600.0)

    assert life.acknowledge(1, until=60, now=2) == ["acknowledged"]
    assert (life.open.state, life.open.author, life.open.note) == ("acknowledged", "王工", "已派人")
    assert life.tick(59.9) == []
    assert life.tick(60) == ["ack_expired"]
    assert (life.open.state, life.open.author, life.open.ack_until_ms) == ("firing", "", None)


def test_another_person_may_take_it_over() -> None:
    life = Life(threshold())
    life.see(1, 600.0)
    life.acknowledge(1, until=60, now=2)

    assert life.acknowledge(1, until=None, now=3) == ["acknowledged"]
    assert life.tick(1000) == []


def test_an_acknowledged_alert_resolves_by_its_readings() -> None:
    life = Life(threshold())
    life.see(1, 600.0)
    life.acknowledge(1, until=60, now=2)

    assert life.see(3, 100.0) == ["cleared"]
    assert life.tick(60) == []


def test_a_person_may_say_that_it_is_over() -> None:
    life = Life(threshold())
    life.see(1, 600.0)

    life.keep(life.book.resolve(1, "李工", "表计已拆", at(2)))

    ended = life.steps[-1]
    assert (ended.reason, ended.alert.author, ended.alert.note) == ("by_hand", "李工", "表计已拆")
    assert (ended.alert.resolved_ms, ended.alert.moved_ms) == (at(1), at(2))


def test_where_readings_still_meet_it_another_alert_begins() -> None:
    life = Life(threshold())
    life.see(1, 600.0)
    life.keep(life.book.resolve(1, "李工", "", at(2)))

    assert life.see(3, 600.0) == ["held"]
    assert life.open.number == 2


def test_what_is_not_open_can_be_neither_acknowledged_nor_resolved() -> None:
    life = Life(threshold(for_ms=TEN_MIN))
    life.see(1, 600.0)

    with pytest.raises(StepIllegal, match="报警待定，不能确认"):
        life.acknowledge(1, until=None, now=2)
    with pytest.raises(StepIllegal, match="报警待定，不能解除"):
        life.book.resolve(1, "李工", "", at(2))
    with pytest.raises(AlertUnknown, match="没有编号为 7"):
        life.acknowledge(7, until=None, now=2)
    with pytest.raises(StepIllegal, match="期限已过"):
        life.acknowledge(1, until=2, now=2)


# -- flapping ------------------------------------------------------------------------------------


def test_what_comes_and_goes_is_one_alert_from_the_third_time_on() -> None:
    life = Life(threshold())
    for minute in range(60):
        life.see(minute, 600.0 if minute % 2 == 0 else 100.0)

    assert life.reasons == ["held", "cleared", "held", "cleared", "held"]
    assert life.open.flaps == 2


def test_the_more_often_it_fired_the_longer_it_must_be_clear() -> None:
    life = Life(threshold())
    lasted: list[int] = []
    minute = 0
    for _ in range(5):
        life.see(minute, 600.0)
        began = minute = minute + 1
        while not life.see(minute, 100.0):
            minute += 1
        lasted.append(minute - began)
        minute += 1

    assert lasted == [0, 0, 10, 20, 40]


def test_a_restart_remembers_how_often_it_fired() -> None:
    life = Life(threshold())
    for minute in range(4):
        life.see(minute, 600.0 if minute % 2 == 0 else 100.0)
    life.restart()

    life.see(5, 600.0)

    assert life.open.flaps == 2
    assert life.see(6, 100.0) == []


def test_after_a_day_it_is_forgotten_how_often_it_fired() -> None:
    life = Life(threshold())
    for minute in range(4):
        life.see(minute, 600.0 if minute % 2 == 0 else 100.0)

    life.see(25 * HOUR, 600.0)

    assert life.open.flaps == 0
    assert life.see(25 * HOUR + 1, 100.0) == ["cleared"]


# -- restarts ------------------------------------------------------------------------------------

KEPT = threshold(for_ms=TEN_MIN, keep_ms=TEN_MIN)


@pytest.mark.parametrize(
    ("state", "restart"),
    [
        ("inactive", -1),
        ("pending", 3),
        ("firing", 15),
        ("acknowledged", 21),
        ("clear, not for long enough", 33),
        ("clear in the band", 36),
        ("resolved", 50),
    ],
)
def test_a_restart_in_any_state_changes_nothing(state: str, restart: int) -> None:
    whole, torn = Life(KEPT), Life(KEPT)
    for life in (whole, torn):
        for minute in range(60):
            if life is torn and minute == restart + 1:
                life.restart()
            high = minute < 30
            life.see(minute, 600.0 if high else 450.0 if minute > 34 else 100.0, energy_unit="kWh")
            if minute == 20:
                life.acknowledge(1, until=300, now=20)
            life.tick(minute)

    assert whole.reasons == ["began", "held", "acknowledged", "cleared"], state
    assert torn.steps == whole.steps
    assert torn.log.alert(1) == whole.log.alert(1)


# -- rules and subjects that go ------------------------------------------------------------------


def test_an_alert_of_a_rule_that_is_gone_ends() -> None:
    life = Life(threshold())
    life.see(1, 600.0)
    life.restart(threshold("other"))

    assert life.tick(2) == ["rule_gone"]
    assert life.log.open_alerts() == []


def test_an_alert_of_a_meter_that_the_rule_no_longer_concerns_ends() -> None:
    life = Life(threshold())
    life.see(1, 600.0)
    scope = structs.replace(threshold().scope, meters=frozenset({"e001-light"}))
    life.restart(threshold(scope=scope))

    assert life.tick(2) == ["rule_gone"]


def test_where_one_level_is_gone_the_other_goes_on() -> None:
    life = Life(YELLOW, RED)
    life.see(1, 600.0)
    life.see(1, 900.0, rule="hotter")
    life.restart(YELLOW)

    assert life.tick(2) == []
    assert life.see(3, 600.0) == ["milder"]


def test_a_rule_that_changed_goes_on_under_its_new_version() -> None:
    life = Life(threshold())
    life.see(1, 600.0)
    life.restart(threshold(version="2"))

    assert life.tick(2) == life.see(3, 600.0) == []
    assert life.open.rule_version == "2"


# -- the clock -----------------------------------------------------------------------------------

SIGN = threshold("away", condition=System(sign="store_away_s", limit=60.0), for_ms=TEN_MIN)
QUIET = threshold("quiet", condition=Silent(of="meter", cycles=3, at_least_ms=180_000))


def test_a_clock_that_is_set_back_neither_loses_nor_repeats_an_alert() -> None:
    life = Life(threshold())
    life.see(100, 600.0, now=100)
    life.tick(100)

    assert life.tick(40) == []  # the machine's clock is an hour behind now
    assert life.see(101, 600.0, now=41) == []
    assert life.see(102, 100.0, now=42) == ["cleared"]


def test_what_is_about_now_has_lasted_as_long_after_the_clock_was_set_back() -> None:
    life = Life(SIGN)
    life.see(100, 90.0, Verdict.MET, rule="away")
    life.see(106, 90.0, Verdict.MET, rule="away")

    assert life.see(47, 90.0, Verdict.MET, rule="away") == []
    assert life.see(50, 90.0, Verdict.MET, rule="away") == []
    assert life.see(51.5, 90.0, Verdict.MET, rule="away") == ["held"]


def test_a_silence_is_never_late() -> None:
    """It rests on the last reading, however long ago that was."""
    life = Life(QUIET)

    assert life.see(0, 10_000.0, Verdict.MET, rule="quiet", now=5 * HOUR) == ["held"]
    assert (life.open.since_ms, life.open.replayed) == (START_MS, False)
    assert life.see(1, None, Verdict.CLEAR, rule="quiet", now=5 * HOUR + 1) == ["cleared"]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_given_by_the_table(reason: Reason) -> None:
    assert reason in {given for _, given in TABLE.values()}


def test_the_subject_of_these_tests_is_in_the_fleet() -> None:
    assert Life(threshold()).places.place(METER, START_MS) is not None
