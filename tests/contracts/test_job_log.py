"""What every `JobLog` does: the fake, and SQL on a file."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from collector.adapters.sql import SqlSmallState
from collector.job_log import JobLog, JobRun, Outcome
from tests.fakes.job_log import FakeJobLog


@pytest.fixture(params=["fake", "sql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobLog]:
    if request.param == "fake":
        yield FakeJobLog()
        return
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        yield state.job_log


def done(log: JobLog, job: str, period_ms: int, began_ms: int = 100) -> JobRun:
    run = log.begin(job, period_ms, began_ms)
    log.finish(run, Outcome.DONE, began_ms + 5, "结算 3 天")
    return structs.replace(run, outcome=Outcome.DONE, ended_ms=began_ms + 5, said="结算 3 天")


def test_a_new_log_is_empty(log: JobLog) -> None:
    assert log.runs(None, 9) == []
    assert log.last_done("settle") is None
    assert log.bury(1) == []
    assert log.forget_runs_before(1) == 0


def test_a_run_is_claimed_before_the_work_and_ended_after_it(log: JobLog) -> None:
    run = log.begin("settle", 900_000, 960_000)

    assert run == JobRun(
        number=1, job="settle", period_ms=900_000, began_ms=960_000, outcome=Outcome.RUNNING
    )
    assert log.runs("settle", 9) == [run]
    log.finish(run, Outcome.FAILED, 960_001, "数据库不应答")
    assert log.runs("settle", 9) == [
        structs.replace(run, outcome=Outcome.FAILED, ended_ms=960_001, said="数据库不应答")
    ]


def test_the_last_done_is_that_of_the_latest_period(log: JobLog) -> None:
    latest = done(log, "settle", 30)
    done(log, "settle", 20)
    failed = log.begin("settle", 40, 100)
    log.finish(failed, Outcome.FAILED, 101, "")
    log.begin("settle", 50, 100)
    done(log, "verify", 60)

    assert log.last_done("settle") == latest


def test_of_two_runs_of_one_period_the_newer_is_the_last(log: JobLog) -> None:
    done(log, "settle", 30)
    again = done(log, "settle", 30, began_ms=200)

    assert log.last_done("settle") == again


def test_periods_after_a_bound_are_left_out(log: JobLog) -> None:
    early = done(log, "settle", 30)
    done(log, "settle", 9_999_999_999_999)

    assert log.last_done("settle", until_ms=30) == early
    assert log.last_done("settle", until_ms=29) is None


def test_runs_come_newest_first(log: JobLog) -> None:
    first, other, second = (
        done(log, "settle", 1),
        done(log, "verify", 2),
        done(log, "settle", 3),
    )

    assert log.runs(None, 9) == [second, other, first]
    assert log.runs(None, 2) == [second, other]
    assert log.runs("settle", 9) == [second, first]
    assert log.runs("nobody", 9) == []


def test_what_still_claims_to_run_is_marked_as_died_once(log: JobLog) -> None:
    finished = done(log, "settle", 1)
    dead = [log.begin("settle", 2, 100), log.begin("verify", 3, 101)]

    buried = log.bury(500)

    assert buried == [structs.replace(run, outcome=Outcome.DIED, ended_ms=500) for run in dead]
    assert log.runs(None, 9) == [*buried[::-1], finished]
    assert log.bury(501) == []


def test_old_runs_are_forgotten_but_not_the_newest_done_of_a_job(log: JobLog) -> None:
    done(log, "settle", 1, began_ms=10)
    settled = done(log, "settle", 2, began_ms=20)
    failed = log.begin("settle", 3, 30)
    log.finish(failed, Outcome.FAILED, 31, "")
    monthly = done(log, "monthly", 1, began_ms=5)
    running = log.begin("verify", 1, 1)
    young = log.begin("settle", 4, 40)

    assert log.forget_runs_before(40) == 2

    assert log.runs(None, 9) == [young, running, monthly, settled]
    assert log.forget_runs_before(40) == 0


def test_numbers_are_not_given_twice_to_runs_that_both_stay(log: JobLog) -> None:
    kept = done(log, "settle", 1, began_ms=50)
    done(log, "verify", 1, began_ms=60)
    log.forget_runs_before(55)

    assert log.begin("settle", 2, 70).number > kept.number


def test_runs_survive_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.sqlite"
    with closing(SqlSmallState(url)) as state:
        kept = done(state.job_log, "settle", 1)

    with closing(SqlSmallState(url)) as again:
        assert again.job_log.last_done("settle") == kept
