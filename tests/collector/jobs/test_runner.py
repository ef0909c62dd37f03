"""Jobs on a fake clock: what was missed, what failed, what died; and never two at once."""

import itertools
import threading
from collections.abc import Callable

import pytest
import structlog
from msgspec import Struct

from collector.job_log import Outcome
from collector.jobs.job import CatchUp, Job, Progress, Step
from collector.jobs.periods import Every
from collector.jobs.runner import JobRunner, JobUnknown
from metering.errors import PermanentError, TransientError
from tests.fakes.clock import FakeClock
from tests.fakes.job_log import FakeJobLog
from tests.fakes.jobs import FakeTrigger, job_parts

DAY_MS = 86_400_000
MIDNIGHT = 1_763_740_800_000  # 2025-11-22 in Shanghai
QUARTER = Every(width_ms=900_000, delay_ms=60_000)
DAILY = Every(width_ms=DAY_MS, delay_ms=20 * 60_000)

Work = Callable[[int, Progress], str]


class Bench(Struct):
    """A runner whose jobs write down what they did; a restart keeps clock and log."""

    jobs: list[Job]
    clock: FakeClock
    log: FakeJobLog
    did: list[tuple[str, int]] = []
    trigger: FakeTrigger | None = None
    runner: JobRunner | None = None

    def restart(self) -> None:
        self.trigger = FakeTrigger()
        self.runner = JobRunner(self.jobs, job_parts(self.log, self.clock, self.trigger))
        self.runner.start()

    def at(self, day: int, hour: float) -> None:
        """Look at that time since `MIDNIGHT`."""
        self.clock.pass_ms(MIDNIGHT + day * DAY_MS + round(hour * 3_600_000) - self.clock.now_ms())
        self.trigger.fire()

    def days(self, name: str) -> list[int]:
        """What a daily job did, as days since `MIDNIGHT`; then it is forgotten."""
        done = [(period_ms - MIDNIGHT) // DAY_MS for job, period_ms in self.did if job == name]
        self.did.clear()
        return done

    def outcomes(self, job: str) -> list[Outcome]:
        return [run.outcome for run in reversed(self.log.runs(job, 999))]

    def add(self, name: str, work: Work | None = None, **changed: object) -> None:
        def note(period_ms: int, progress: Progress) -> str:
            said = work(period_ms, progress) if work else "做完"
            self.did.append((name, period_ms))
            return said

        self.jobs.append(
            Job(**{"name": name, "title": "任务", "schedule": DAILY, "work": note} | changed)
        )
        self.restart()


@pytest.fixture
def bench() -> Bench:
    return Bench([], FakeClock(MIDNIGHT + 12 * 3_600_000), FakeJobLog())


def fails(*errors: Exception | None) -> Work:
    """Raises these in turn, then works."""
    turns = iter(errors)

    def work(_period_ms: int, _progress: Progress) -> str:
        if error := next(turns, None):
            raise error
        return "做完"

    return work


# -- what is due -------------------------------------------------------------------------------


def test_a_job_runs_when_it_is_due_and_once(bench: Bench) -> None:
    bench.add("verify")
    bench.at(0, 12)
    assert bench.days("verify") == [0]

    bench.at(0, 13)
    bench.at(1, 0.3)
    assert bench.days("verify") == []
    bench.at(1, 0.34)
    bench.at(1, 0.35)
    assert bench.days("verify") == [1]


def test_each_missed_day_is_caught_up_once_and_in_order(bench: Bench) -> None:
    bench.add("verify", catch_up=CatchUp.EACH)
    bench.at(0, 12)
    bench.days("verify")

    bench.restart()
    bench.at(4, 12)

    assert bench.days("verify") == [1, 2, 3, 4]
    bench.at(4, 13)
    assert bench.days("verify") == []


def test_one_run_of_the_latest_covers_what_was_missed(bench: Bench) -> None:
    bench.add("settle", schedule=QUARTER)
    bench.at(0, 12)
    bench.did.clear()

    bench.at(4, 12.1)

    assert bench.did == [("settle", MIDNIGHT + 4 * DAY_MS + 12 * 3_600_000)]


def test_what_is_too_old_to_be_caught_up_is_told_and_not_skipped_in_silence(bench: Bench) -> None:
    bench.add("verify", catch_up=CatchUp.EACH, most=2)
    bench.at(0, 12)
    bench.days("verify")

    with structlog.testing.capture_logs() as logs:
        bench.at(9, 12)

    assert bench.days("verify") == [8, 9]
    last, first = bench.log.runs("verify", 2)
    assert first.said == "做完；另有 7 个更早的周期太旧，未补做"
    assert last.said == "做完"
    told = [one for one in logs if one["event"] == "job.left_out"]
    assert [(one["job"], one["periods"]) for one in told] == [("verify", 7)]


def test_jobs_take_turns_in_their_order(bench: Bench) -> None:
    bench.add("settle")
    bench.add("verify", catch_up=CatchUp.EACH)
    bench.at(0, 12)
    bench.did.clear()

    bench.at(2, 12)

    assert [name for name, _ in bench.did] == ["settle", "verify", "verify"]


def test_a_job_that_is_always_due_starves_no_other(bench: Bench) -> None:
    """A replay may run so fast that settling takes longer than a quarter of an hour of it."""

    def slow(_period_ms: int, _progress: Progress) -> str:
        bench.clock.pass_ms(1_000_000)
        if bench.clock.now_ms() > MIDNIGHT + 3 * DAY_MS:
            bench.runner.stop()
        return ""

    bench.add("settle", slow, schedule=QUARTER)
    bench.add("verify", catch_up=CatchUp.EACH)

    bench.trigger.fire()

    assert [day for name, day in bench.did if name == "verify"] == [
        MIDNIGHT,
        MIDNIGHT + DAY_MS,
        MIDNIGHT + 2 * DAY_MS,
    ]


def test_a_clock_that_was_far_ahead_once_stops_no_job(bench: Bench) -> None:
    bench.add("verify", catch_up=CatchUp.EACH)
    bench.at(0, 12)
    bench.at(20_000, 12)
    bench.days("verify")

    bench.at(1, 12)

    assert bench.days("verify") == [1]


def test_a_replay_at_any_speed_looks_by_its_own_time(bench: Bench) -> None:
    bench.clock.speed = 50_000.0
    bench.add("verify", fails(TransientError("满")), catch_up=CatchUp.EACH)
    bench.at(0, 12)
    assert bench.outcomes("verify") == [Outcome.FAILED]

    bench.at(1, 12)  # 1.7 real seconds later

    assert bench.days("verify") == [0, 1]


# -- what fails --------------------------------------------------------------------------------


def test_a_failed_job_is_shown_and_tried_again_after_growing_pauses(bench: Bench) -> None:
    bench.add("settle", fails(*[TransientError("数据库不应答")] * 3))
    tries = []
    for minute in range(20):
        bench.at(0, 12 + minute / 60)
        if bench.outcomes("settle") and len(bench.outcomes("settle")) > len(tries):
            tries.append(minute)
            shown = bench.runner.failing
            assert shown == ({} if len(tries) == 4 else {"settle": "数据库不应答"})

    assert tries == [0, 1, 3, 7]
    assert bench.outcomes("settle") == [Outcome.FAILED] * 3 + [Outcome.DONE]
    assert bench.log.runs("settle", 2)[1].said == "数据库不应答"


def test_a_mistake_in_a_job_is_logged_with_its_traceback_and_ends_nothing(bench: Bench) -> None:
    bench.add("settle", fails(ZeroDivisionError("division by zero")))
    bench.add("verify")

    with structlog.testing.capture_logs() as logs:
        bench.at(0, 12)

    assert bench.outcomes("settle") == [Outcome.FAILED]
    assert bench.runner.failing == {"settle": "ZeroDivisionError: division by zero"}
    assert [one["exc_info"] for one in logs if one["event"] == "job.broke"] == [True]
    assert bench.outcomes("verify") == [Outcome.DONE]
    bench.at(0, 12.1)
    assert bench.outcomes("settle") == [Outcome.FAILED, Outcome.DONE]
    assert bench.runner.failing == {}


def test_a_day_that_fails_again_and_again_makes_way_for_the_next(bench: Bench) -> None:
    def work(period_ms: int, _progress: Progress) -> str:
        if period_ms == MIDNIGHT + DAY_MS:
            raise PermanentError("第二天无法校核")
        return ""

    bench.add("verify", work, catch_up=CatchUp.EACH)
    bench.at(0, 12)
    for minute in range(0, 60, 1):
        bench.at(2, 12 + minute / 60)

    assert bench.days("verify") == [0, 2]
    assert bench.outcomes("verify") == [Outcome.DONE] + [Outcome.FAILED] * 5 + [Outcome.DONE]
    assert bench.runner.failing == {}


def test_a_job_that_keeps_failing_is_still_tried_once_an_hour(bench: Bench) -> None:
    bench.add("settle", fails(*[TransientError("满")] * 999), schedule=QUARTER)
    for minute in range(24 * 60):
        bench.at(0, 12 + minute / 60)

    assert 27 <= len(bench.outcomes("settle")) <= 30


def test_a_log_that_is_away_is_waited_for_and_the_work_is_done_once(bench: Bench) -> None:
    def work(_period_ms: int, _progress: Progress) -> str:
        bench.log.away = TransientError("the disk is full")
        return "做完"

    bench.add("settle", work)
    waits = []
    parts = bench.runner._parts

    def wait(timeout: float) -> bool:
        waits.append(timeout)
        assert parts.patience.down == {"job log": "the disk is full"}
        if len(waits) == 3:
            bench.log.away = None
        return False

    parts.stopping.wait = wait

    bench.at(0, 12)

    assert len(waits) == 3
    assert bench.outcomes("settle") == [Outcome.DONE]
    assert len(bench.did) == 1


# -- what died ---------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here, as kill -9 would end it."""


def test_a_run_that_died_with_its_process_is_run_again(bench: Bench) -> None:
    deaths = iter([Killed()])

    def work(_period_ms: int, _progress: Progress) -> str:
        for death in deaths:
            raise death
        return "做完"

    bench.add("verify", work, catch_up=CatchUp.EACH)
    with pytest.raises(Killed):
        bench.at(0, 12)
    assert bench.outcomes("verify") == [Outcome.RUNNING]

    with structlog.testing.capture_logs() as logs:
        bench.restart()
    assert [one["event"] for one in logs] == ["job.died"]
    assert bench.outcomes("verify") == [Outcome.DIED]
    bench.at(0, 12)

    assert bench.days("verify") == [0]
    assert bench.outcomes("verify") == [Outcome.DIED, Outcome.DONE]


def test_a_work_that_is_told_to_stop_is_not_done_and_runs_again(bench: Bench) -> None:
    stops = iter([True])

    def work(_period_ms: int, progress: Progress) -> str:
        if next(stops, False):
            bench.runner.stop()
        return "2 of 9" if progress.stopping else "9 of 9"

    bench.add("settle", work)
    bench.add("verify")
    bench.at(0, 12)
    assert bench.outcomes("settle") == [Outcome.DIED]
    assert bench.log.runs("settle", 1)[0].said == "停止服务时中断，启动后重做；2 of 9"
    assert bench.outcomes("verify") == []
    assert bench.trigger.stopped

    bench.restart()
    bench.at(0, 12)

    assert bench.outcomes("settle") == [Outcome.DIED, Outcome.DONE]


def test_work_that_ended_before_it_heard_of_the_stop_is_done(bench: Bench) -> None:
    def work(_period_ms: int, progress: Progress) -> str:
        assert not progress.stopping
        bench.runner.stop()
        return "做完"

    bench.add("settle", work)
    bench.at(0, 12)

    assert bench.outcomes("settle") == [Outcome.DONE]


def test_a_collector_that_ends_while_the_log_is_away_runs_nothing(bench: Bench) -> None:
    bench.add("settle")
    bench.log.away = TransientError("the disk is full")
    bench.runner._parts.stopping.wait = lambda _timeout: True

    bench.at(0, 12)

    assert bench.did == []
    assert bench.runner.failing == {}


# -- asked for ---------------------------------------------------------------------------------


def test_a_job_that_is_asked_for_runs_once_even_if_it_is_done(bench: Bench) -> None:
    bench.add("verify")
    bench.at(0, 12)
    assert bench.days("verify") == [0]

    bench.runner.ask("verify")
    assert bench.trigger.asked == 1
    bench.at(0, 12)
    bench.at(0, 12)

    assert bench.days("verify") == [0]


def test_a_failing_job_that_is_asked_for_does_not_wait(bench: Bench) -> None:
    bench.add("settle", fails(TransientError("满")))
    bench.at(0, 12)

    bench.runner.ask("settle")
    bench.at(0, 12)

    assert bench.outcomes("settle") == [Outcome.FAILED, Outcome.DONE]


def test_a_job_that_there_is_not_is_refused(bench: Bench) -> None:
    bench.add("settle")

    with pytest.raises(JobUnknown, match="there is no job 'setle'; there are settle"):
        bench.runner.ask("setle")


# -- what it looks like ------------------------------------------------------------------------


def test_a_job_is_shown_with_last_next_and_how_long_it_took(bench: Bench) -> None:
    def work(_period_ms: int, _progress: Progress) -> str:
        bench.clock.pass_ms(90_000)
        return "校核 3 家"

    bench.clock.speed = 60.0
    bench.add("verify", work)
    (new,) = bench.runner.views()
    assert (new.last, new.took_s, new.running, new.failing) == (None, None, None, "")
    assert new.next_ms == MIDNIGHT + 20 * 60_000  # overdue

    bench.at(0, 12)

    (view,) = bench.runner.views()
    assert (view.name, view.title, view.took_s) == ("verify", "任务", 1.5)
    assert view.last == bench.log.runs("verify", 1)[0]
    assert view.last.said == "校核 3 家"
    assert view.next_ms == MIDNIGHT + DAY_MS + 20 * 60_000


def test_a_running_job_shows_how_far_it_is_and_says_so_every_ten_seconds(bench: Bench) -> None:
    def work(period_ms: int, progress: Progress) -> str:
        for meter in range(1, 41):
            bench.clock.pass_ms(1000)
            progress.step(meter, 40, "结算表计")
            (view,) = bench.runner.views()
            assert view.running.at == Step(meter, 40, "结算表计")
            assert view.running.period_ms == period_ms
        return ""

    bench.add("settle", work)
    with structlog.testing.capture_logs() as logs:
        bench.at(0, 12)

    assert [one["done"] for one in logs if one["event"] == "job.progress"] == [10, 20, 30, 40]
    assert bench.runner.views()[0].running is None


def test_runs_are_counted_by_job_and_outcome(bench: Bench) -> None:
    bench.add("settle", fails(TransientError("满")))
    bench.at(0, 12)
    bench.at(0, 13)

    counts = bench.runner._parts.metrics.counts()
    assert (counts["job_runs/settle/failed"], counts["job_runs/settle/done"]) == (1.0, 1.0)


def test_a_mistake_of_the_runner_itself_is_shown_until_it_is_gone(bench: Bench) -> None:
    bench.add("settle")
    good, bench.log.last_done = bench.log.last_done, None
    bench.at(0, 12)
    assert bench.runner.failing == {"jobs": "TypeError: 'NoneType' object is not callable"}

    bench.log.last_done = good
    bench.at(0, 12)

    assert bench.runner.failing == {}
    assert bench.outcomes("settle") == [Outcome.DONE]


def test_two_looks_at_once_are_the_triggers_to_prevent_and_views_are_anybodys(
    bench: Bench,
) -> None:
    """Views are asked for from other threads while a job runs."""
    entered, leave = threading.Event(), threading.Event()

    def work(_period_ms: int, _progress: Progress) -> str:
        entered.set()
        assert leave.wait(10)
        return ""

    bench.add("settle", work)
    looking = threading.Thread(target=bench.trigger.fire)
    looking.start()
    assert entered.wait(10)

    views = [bench.runner.views()[0] for _ in itertools.repeat(None, 3)]
    leave.set()
    looking.join()

    assert all(view.running and view.last.outcome is Outcome.RUNNING for view in views)
    assert all(view.took_s is None for view in views)
