"""Jobs with APScheduler's thread, an SQLite log and real processes that are killed."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec import structs

from collector.adapters.apscheduler import ApschedulerTrigger
from collector.adapters.sql import SqlSmallState
from collector.job_log import JobLog, Outcome
from collector.jobs.job import CatchUp, Job, Progress
from collector.jobs.periods import Every
from collector.jobs.runner import JobRunner
from metering.clock import Clock, Replay, ReplayClock
from tests.fakes.clock import FakeClock
from tests.fakes.job_log import FakeJobLog
from tests.fakes.jobs import job_parts

DAY_MS = 86_400_000
MIDNIGHT = 1_763_740_800_000  # 2025-11-22 in Shanghai
DAILY = Every(width_ms=DAY_MS)
SOON_S = 20.0


@contextmanager
def running(
    jobs: list[Job], log: JobLog | None = None, clock: Clock | None = None, every_s: float = 0.01
) -> Iterator[JobRunner]:
    parts = job_parts(log, clock or FakeClock(MIDNIGHT + 1))
    runner = JobRunner(jobs, structs.replace(parts, trigger=ApschedulerTrigger(every_s)))
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


def job(name: str, work, **changed: object) -> Job:
    return Job(**{"name": name, "title": "", "schedule": DAILY, "work": work} | changed)


def test_two_jobs_never_overlap_and_run_on_one_thread() -> None:
    alone, threads, overlaps, over = threading.Lock(), set(), [], threading.Event()
    runs = {"one": 0, "two": 0}

    def work(name: str):
        def inside(_period_ms: int, _progress: Progress) -> str:
            overlaps.append(not alone.acquire(blocking=False))
            threads.add(threading.get_ident())
            over.wait(0.02)  # as long as the trigger's interval and more
            alone.release()
            runs[name] += 1
            if min(runs.values()) >= 5:
                over.set()
            return ""

        return inside

    with running([job("one", work("one")), job("two", work("two"))]) as runner:
        while not over.is_set():
            runner.ask("one")
            runner.ask("two")
            over.wait(0.005)

    assert not any(overlaps)
    assert len(threads) == 1


def test_stopping_waits_for_the_running_job_to_notice() -> None:
    entered, noticed = threading.Event(), threading.Event()

    def work(_period_ms: int, progress: Progress) -> str:
        entered.set()
        while not progress.stopping:
            noticed.wait(0.005)
        noticed.set()
        return ""

    log = FakeJobLog()
    with running([job("long", work)], log):
        assert entered.wait(SOON_S)

    assert noticed.is_set()
    assert [run.outcome for run in log.runs(None, 9)] == [Outcome.DIED]


def test_a_job_that_is_asked_for_does_not_wait_for_the_interval() -> None:
    ran = threading.Semaphore(0)

    def work(_period_ms: int, _progress: Progress) -> str:
        ran.release()
        return ""

    with running([job("settle", work)], every_s=3600) as runner:
        assert ran.acquire(timeout=SOON_S)
        give_up = 2000
        runner.ask("settle")
        while not ran.acquire(timeout=0.01) and give_up:
            runner.rouse()
            give_up -= 1

        assert give_up


def test_a_replay_runs_every_day_of_a_month_in_a_second() -> None:
    real_ms = ReplayClock(Replay(start_ms=0, anchor_ms=0)).now_ms()
    clock = ReplayClock(Replay(start_ms=MIDNIGHT + 1, anchor_ms=real_ms, speed=30 * DAY_MS / 1000))
    days: list[int] = []
    enough = threading.Event()

    def verify(period_ms: int, _progress: Progress) -> str:
        days.append((period_ms - MIDNIGHT) // DAY_MS)
        if len(days) > 30:
            enough.set()
        return ""

    settle = job("settle", lambda *_: "", schedule=Every(width_ms=900_000))
    with running([settle, job("verify", verify, catch_up=CatchUp.EACH)], clock=clock):
        assert enough.wait(SOON_S)

    assert days == list(range(days[0], days[0] + len(days)))


def test_starting_twice_or_stopping_what_never_started_is_harmless() -> None:
    trigger = ApschedulerTrigger(1)

    trigger.soon()
    trigger.stop()


# -- kill -9 -----------------------------------------------------------------------------------

_WORKER = """
import sys
from nenghao.logs import set_up_logs
from tests.collector.jobs.test_jobs_for_real import killable
set_up_logs("error")
killable(sys.argv[1], sys.argv[2], int(sys.argv[3]))
"""


def killable(url: str, done: str, hang_at: int) -> None:
    """Runs a daily job from day 0 to day 3; in the middle of day `hang_at` it waits for death."""
    over = threading.Event()

    def work(period_ms: int, progress: Progress) -> str:
        day = (period_ms - MIDNIGHT) // DAY_MS
        progress.step(0, 1)
        if day == hang_at:
            print("in the middle", flush=True)
            over.wait()
        with Path(done).open("a") as file:
            file.write(f"{day}\n")
        if day == 3:
            over.set()
        return "做完"

    with closing(SqlSmallState(url)) as state:
        first = state.job_log.last_done("verify") is None
        clock = FakeClock(MIDNIGHT + 1)
        jobs = [job("verify", work, catch_up=CatchUp.EACH)]
        with running(jobs, state.job_log, clock):
            while first and state.job_log.last_done("verify") is None:
                over.wait(0.005)
            clock.pass_ms(3 * DAY_MS)
            over.wait(SOON_S)


@pytest.mark.parametrize("hang_at", [1, 3])
def test_killed_in_the_middle_of_a_job_it_is_run_again_and_each_day_is_done_once(
    tmp_path: Path, hang_at: int
) -> None:
    root = Path(__file__).parents[3]
    url, done = f"sqlite:///{tmp_path}/state.sqlite", tmp_path / "done"

    with subprocess.Popen(
        [sys.executable, "-c", _WORKER, url, str(done), str(hang_at)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n"
        process.kill()

    killable(url, str(done), hang_at=99)

    assert done.read_text().split() == ["0", "1", "2", "3"]
    with closing(SqlSmallState(url)) as state:
        runs = [
            ((run.period_ms - MIDNIGHT) // DAY_MS, run.outcome)
            for run in reversed(state.job_log.runs("verify", 99))
        ]
    again = [(day, Outcome.DONE) for day in range(4)]
    again.insert(hang_at, (hang_at, Outcome.DIED))
    assert runs == again
