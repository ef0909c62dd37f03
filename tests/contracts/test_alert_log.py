"""What every `AlertLog` does: the fake, and SQL on a file; also while threads keep steps."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from msgspec import structs

from collector.adapters.sql import SqlSmallState
from collector.alerting.alert import Alert, AlertState, Level, Reason, Transition
from collector.alerting.log import AlertLog
from collector.alerting.subject import Subject, SubjectKind
from tests.fakes.alerting import METER, START_MS, FakeAlertLog, cleared, fired, firing


@pytest.fixture(params=["fake", "sql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AlertLog]:
    if request.param == "fake":
        yield FakeAlertLog()
        return
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        yield state.alert_log


def dropped(number: int, moved_ms: int) -> Transition:
    """A pending alert that never fired."""
    alert = firing(number, state=AlertState.RESOLVED, fired_ms=None, moved_ms=moved_ms)
    return Transition(alert=alert, before=AlertState.PENDING, reason=Reason.DROPPED)


def numbers(alerts: list[Alert]) -> list[int]:
    return [alert.number for alert in alerts]


def test_a_new_log_is_empty_and_answers_every_question(log: AlertLog) -> None:
    assert log.keep([]) == []
    assert log.open_alerts() == log.alerts() == log.fired_since(0) == []
    assert log.alert(1) is None
    assert log.steps(1) == log.steps_after(0, 9) == log.last_steps(9) == []
    assert log.judged() == []
    assert (log.last_alert(), log.forget_before(START_MS)) == (0, 0)


def test_what_is_kept_comes_back_whole(log: AlertLog) -> None:
    level = Level(rule="hot", since_ms=1, seen_ms=2, held=True, value=0.1, limit=0.2, worst=0.3)
    alert = firing(
        7,
        levels=(level,),
        energy_so_far=0.1,
        energy_unit="m³",
        author="王工",
        note="已派人",
        ack_until_ms=START_MS + 1,
        replayed=True,
    )

    (kept,) = log.keep([fired(alert)])

    assert kept == structs.replace(fired(alert), number=1)
    assert log.steps(7) == [kept]
    assert log.alert(7) == alert


def test_an_alert_stands_as_after_its_last_step(log: AlertLog) -> None:
    alert = firing()
    ended = cleared(alert, START_MS + 60_000)

    kept = log.keep([fired(alert), ended])

    assert [one.number for one in kept] == [1, 2]
    assert log.alert(1) == ended.alert
    assert log.open_alerts() == []
    assert log.steps(1) == kept


def test_what_stands_without_a_step_is_remembered(log: AlertLog) -> None:
    log.keep([fired(firing())])
    worse = firing(worst=900.0)

    assert log.keep([], [worse]) == []

    assert log.open_alerts() == [worse]
    assert [one.alert.worst for one in log.steps(1)] == [600.0]


def test_open_alerts_come_by_number_whatever_their_state(log: AlertLog) -> None:
    log.keep([fired(firing(3)), fired(firing(1, state=AlertState.PENDING))])
    log.keep([fired(firing(2, state=AlertState.ACKNOWLEDGED)), cleared(firing(4), START_MS)])

    assert numbers(log.open_alerts()) == [1, 2, 3]
    assert log.last_alert() == 4


def test_alerts_come_newest_first_by_state_and_time(log: AlertLog) -> None:
    log.keep([fired(firing(1, moved_ms=30)), fired(firing(2, moved_ms=10))])
    log.keep([fired(firing(3, moved_ms=10, state=AlertState.PENDING))])

    assert numbers(log.alerts()) == [1, 3, 2]
    assert numbers(log.alerts(limit=2)) == [1, 3]
    assert numbers(log.alerts(states={AlertState.FIRING})) == [1, 2]
    assert numbers(log.alerts(since_ms=11)) == [1]
    assert log.alerts(states=()) == []


def test_steps_come_after_a_number_in_order_and_as_many_as_asked_for(log: AlertLog) -> None:
    log.keep([fired(firing(number)) for number in (1, 2)])
    log.keep([fired(firing(3))])

    assert [one.alert.number for one in log.steps_after(1, 9)] == [2, 3]
    assert [one.alert.number for one in log.steps_after(0, 1)] == [1]
    assert log.steps_after(3, 9) == []
    assert [one.alert.number for one in log.last_steps(2)] == [3, 2]


def test_what_fired_is_found_by_the_time_of_its_reading(log: AlertLog) -> None:
    pending = firing(3, state=AlertState.PENDING, fired_ms=None)
    log.keep([fired(firing(1, fired_ms=200)), fired(firing(2, fired_ms=100)), fired(pending)])
    log.keep([fired(firing(4, fired_ms=300, replayed=True)), fired(firing(5, fired_ms=99))])

    assert numbers(log.fired_since(100)) == [2, 1]


def test_what_a_subject_had_is_found_by_how_long_it_lasted(log: AlertLog) -> None:
    other = Subject(SubjectKind.METER, "e001-light")
    log.keep(
        [fired(firing(1)), cleared(firing(1), 100), fired(firing(2, replayed=True, since_ms=9))]
    )
    log.keep([fired(firing(3, subject=other)), dropped(4, moved_ms=1), cleared(firing(5), 99)])

    assert numbers(log.fired_of(METER, 100)) == [2, 1]


def test_only_what_ended_and_never_fired_is_forgotten(log: AlertLog) -> None:
    log.keep([dropped(1, moved_ms=10), dropped(2, moved_ms=20), cleared(firing(3), 5)])
    log.keep([fired(firing(4, state=AlertState.PENDING, fired_ms=None, moved_ms=1))])

    assert log.forget_before(20) == 1

    assert numbers(log.alerts()) == [3, 2, 4]
    assert [one.alert.number for one in log.steps_after(0, 9)] == [2, 3, 4]


def test_a_number_is_never_given_twice(log: AlertLog) -> None:
    (first,) = log.keep([dropped(1, moved_ms=10)])
    log.forget_before(11)

    (second,) = log.keep([fired(firing(2))])

    assert (first.number, second.number) == (1, 2)


def test_steps_of_two_subjects_of_one_id_stand_apart(log: AlertLog) -> None:
    building = Subject(SubjectKind.BUILDING, "e001-main")
    log.keep([fired(firing(1)), fired(firing(2, subject=building))])

    assert [alert.subject.kind for alert in log.open_alerts()] == ["meter", "building"]


def test_whoever_reads_by_number_misses_no_step_while_others_keep(log: AlertLog) -> None:
    def keep(first: int) -> None:
        for number in range(first, first + 40):
            log.keep([fired(firing(number)), cleared(firing(number), START_MS)])

    threads = [Thread(target=keep, args=(first,)) for first in (1, 101, 201)]
    for thread in threads:
        thread.start()
    seen: list[int] = []
    while any(thread.is_alive() for thread in threads) or log.steps_after(
        seen[-1] if seen else 0, 1
    ):
        seen += [one.number for one in log.steps_after(seen[-1] if seen else 0, 7)]
    for thread in threads:
        thread.join()

    assert seen == list(range(1, 241))
