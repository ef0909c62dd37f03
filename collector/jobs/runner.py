"""Runner: at each trigger, what is due by the log -> run, one after another, and logged.

The trigger only says when to look. What is due is decided by the schedules, the handed-in clock,
which may be a replay, and the log: so nothing is lost that was missed, and nothing is done twice.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Generic, Protocol, TypeVar

import structlog
from msgspec import Struct

from collector.job_log import JobLog, JobRun, Outcome
from collector.jobs.job import CatchUp, Job, Progress, Step
from collector.jobs.periods import Due, due, latest_end, next_due_ms
from collector.metrics import Metrics
from collector.patience import Patience
from collector.settle.cells import SHANGHAI_MS
from metering.clock import Clock
from metering.errors import NenghaoError, PermanentError

log = structlog.get_logger()

_FIRST_PAUSE_MS = 60_000  # of wall time: a replay has no time to lose
_LONGEST_PAUSE_MS = 3_600_000
_TRIES = 5  # of one period, where each counts; then the next one has its turn
_FIRST_RUNS = 1000  # among which the first one is looked for while none is done
_SCHEDULER = "jobs"  # under this name the runner's own trouble is told

T = TypeVar("T")


class JobUnknown(PermanentError):
    """There is no job of that name."""


class Trigger(Protocol):
    """Says when to look: every few seconds, on one thread that is never entered twice."""

    def start(self, look: Callable[[], None]) -> None: ...

    def soon(self) -> None:
        """Look now, unless a look is under way."""
        ...

    def stop(self) -> None:
        """Wait for the look that is under way; there is none after it."""
        ...


class Parts(Struct, frozen=True, kw_only=True):
    """What the runner works with; `app` wires it."""

    log: JobLog
    clock: Clock
    patience: Patience
    metrics: Metrics
    trigger: Trigger
    stopping: threading.Event


class RunningView(Struct, frozen=True, kw_only=True):
    """A run that is under way."""

    period_ms: int
    began_ms: int
    at: Step


class JobView(Struct, frozen=True, kw_only=True):
    """A job as it stands.

    Attributes:
        last: its newest run, None before the first.
        took_s: how long that took, in real seconds; None where that is not known.
        next_ms: when the next period is due; not later than now where it is overdue.
        failing: the last error, empty if the last run went well.
    """

    name: str
    title: str
    last: JobRun | None
    took_s: float | None
    next_ms: int
    running: RunningView | None
    failing: str


class _Trouble(Struct, frozen=True, kw_only=True):
    """A job that failed.

    Attributes:
        times: in a row, for this period.
        again_ms: monotonic; not before then.
    """

    period_ms: int
    times: int
    again_ms: int
    message: str


class _Ending(Exception):
    """The collector ends before the log has answered; what runs is buried at the next start."""


class _Answer(Struct, Generic[T], frozen=True):
    value: T


class JobRunner:
    """Runs jobs, never two at once. `look` is the trigger's thread's; the rest is anybody's."""

    def __init__(self, jobs: Sequence[Job], parts: Parts) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._parts = parts
        self._asked: set[str] = set()
        self._troubles: dict[str, _Trouble] = {}
        self._given_up: dict[str, int] = {}  # job -> the period that was tried often enough
        self._running: tuple[JobRun, Progress] | None = None

    def start(self) -> None:
        """Look from now on; what the process before this one left in the middle is run again."""
        with suppress(_Ending):
            died = self._logged(lambda: self._parts.log.bury(self._parts.clock.now_ms()))
            for run in died:
                log.warning("job.died", job=run.job, period=_local(run.period_ms))
            self._parts.trigger.start(self.look)

    def stop(self) -> None:
        """Tell the running job to stop, and wait until it has."""
        self._parts.stopping.set()
        self._parts.trigger.stop()

    def rouse(self) -> None:
        """Look soon, whatever the trigger's clock says."""
        self._parts.trigger.soon()

    def ask(self, name: str) -> None:
        """Run a job now: what is due, or else the latest period once more.

        Raises:
            JobUnknown: there is none of that name.
        """
        if name not in self._jobs:
            raise JobUnknown(f"there is no job {name!r}; there are {', '.join(self._jobs)}")
        self._asked.add(name)
        self._parts.trigger.soon()

    @property
    def failing(self) -> dict[str, str]:
        """Jobs whose last run failed, and why."""
        return {name: trouble.message for name, trouble in dict(self._troubles).items()}

    def views(self) -> list[JobView]:
        return [self._view(job) for job in self._jobs.values()]

    # ---- the trigger's thread

    def look(self) -> None:
        """Run what is due, in turn, until nothing is."""
        try:
            while self._round():
                pass
        except _Ending:
            return
        except Exception as error:  # the trigger's thread must not die in silence
            log.exception("jobs.broke")
            self._troubles[_SCHEDULER] = _Trouble(
                period_ms=0, times=1, again_ms=0, message=_told(error)
            )
        else:
            self._troubles.pop(_SCHEDULER, None)

    def _round(self) -> bool:
        """One turn for every job, so that none that is always due starves another."""
        turns = [self._take_turn(job) for job in self._jobs.values()]
        return any(turns)

    def _take_turn(self, job: Job) -> bool:
        """One period of one job; False if it has nothing to do now."""
        if self._parts.stopping.is_set():
            return False
        found = self._due(job)
        if found is None or not found.periods:
            return False
        self._run(job, found)
        return True

    def _due(self, job: Job) -> Due | None:
        """What is due of a job that has its turn; None if it has not."""
        asked = job.name in self._asked
        trouble = self._troubles.get(job.name)
        if not asked and trouble and self._parts.clock.monotonic_ms() < trouble.again_ms:
            return None
        now_ms = self._parts.clock.now_ms()
        found = self._missed(job, self._logged(lambda: self._done_ms(job, now_ms)), now_ms)
        if asked:
            self._asked.discard(job.name)
            if not found.periods:
                return Due(periods=(latest_end(job.schedule, now_ms),))
        return found

    def _done_ms(self, job: Job, now_ms: int) -> int | None:
        """Up to when a job's periods are done; None if it was never begun."""
        last = self._parts.log.last_done(job.name, until_ms=now_ms)
        if last is not None:
            return last.period_ms
        tried = [run.period_ms for run in self._parts.log.runs(job.name, _FIRST_RUNS)]
        return min(tried) - 1 if tried else None

    def _missed(self, job: Job, done_ms: int | None, now_ms: int) -> Due:
        given_up_ms = self._given_up.get(job.name)
        if given_up_ms is not None:
            done_ms = max(done_ms or 0, given_up_ms)
        if job.catch_up is CatchUp.EACH:
            return due(job.schedule, done_ms, now_ms, job.most)
        return Due(periods=due(job.schedule, done_ms, now_ms, 1).periods)

    def _run(self, job: Job, found: Due) -> None:
        period_ms = found.periods[0]
        began_ms = self._parts.clock.now_ms()
        run = self._logged(lambda: self._parts.log.begin(job.name, period_ms, began_ms))
        if found.left_out:
            log.error("job.left_out", job=job.name, periods=found.left_out)
        progress = Progress(job.name, self._parts.clock, self._parts.stopping)
        self._running = (run, progress)
        try:
            outcome, said = self._work(job, period_ms, progress)
        finally:
            self._running = None
        self._note(job, period_ms, outcome, said)
        ended_ms = self._parts.clock.now_ms()
        told = said + _left_out(found.left_out)
        self._logged(lambda: self._parts.log.finish(run, outcome, ended_ms, told))
        self._parts.metrics.ran(job.name, outcome)

    def _work(self, job: Job, period_ms: int, progress: Progress) -> tuple[Outcome, str]:
        period = _local(period_ms)
        try:
            said = job.work(period_ms, progress)
        except NenghaoError as error:
            log.error("job.failed", job=job.name, period=period, error=str(error))
            return Outcome.FAILED, str(error)
        except Exception as error:  # a job's mistake must not end the collector; it is told
            log.exception("job.broke", job=job.name, period=period)
            return Outcome.FAILED, _told(error)
        if progress.was_stopped:
            return Outcome.DIED, f"停止服务时中断，启动后重做；{said}"
        log.info("job.done", job=job.name, period=period, said=said)
        return Outcome.DONE, said

    def _note(self, job: Job, period_ms: int, outcome: Outcome, said: str) -> None:
        """Remember a failure, and when to try again."""
        trouble = self._troubles.get(job.name)
        if outcome is Outcome.DONE:
            if self._troubles.pop(job.name, None):
                log.warning("job.recovered", job=job.name)
        elif outcome is Outcome.FAILED:
            same = trouble is not None and (
                trouble.period_ms == period_ms or job.catch_up is CatchUp.LATEST
            )
            times = trouble.times + 1 if same and trouble else 1
            self._troubles[job.name] = _Trouble(
                period_ms=period_ms, times=times, again_ms=self._again_ms(times), message=said
            )
            if job.catch_up is CatchUp.EACH and times >= _TRIES:
                self._given_up[job.name] = period_ms
                log.error("job.given_up", job=job.name, period=_local(period_ms), tries=times)

    def _again_ms(self, times: int) -> int:
        wall_ms = min(_FIRST_PAUSE_MS * 2 ** (times - 1), _LONGEST_PAUSE_MS)
        clock = self._parts.clock
        return clock.monotonic_ms() + round(clock.real_s(wall_ms) * 1000)

    def _logged(self, act: Callable[[], T]) -> T:
        """Ask the log until it answers, or until the collector ends."""
        outcome = self._parts.patience.until_done("job log", lambda: _Answer(act()))
        if outcome.value is None:
            raise _Ending
        return outcome.value.value

    # ---- what it looks like

    def _view(self, job: Job) -> JobView:
        parts, now_ms = self._parts, self._parts.clock.now_ms()
        last = next(iter(parts.log.runs(job.name, 1)), None)
        trouble = self._troubles.get(job.name)
        return JobView(
            name=job.name,
            title=job.title,
            last=last,
            took_s=_took_s(last, parts.clock),
            next_ms=next_due_ms(job.schedule, self._done_ms(job, now_ms), now_ms),
            running=self._running_view(job),
            failing=trouble.message if trouble else "",
        )

    def _running_view(self, job: Job) -> RunningView | None:
        running = self._running
        if running is None or running[0].job != job.name:
            return None
        run, progress = running
        return RunningView(period_ms=run.period_ms, began_ms=run.began_ms, at=progress.at)


def _took_s(run: JobRun | None, clock: Clock) -> float | None:
    """When a run died is not known, only when that was found out."""
    if run is None or run.ended_ms is None or run.outcome is Outcome.DIED:
        return None
    return round(clock.real_s(run.ended_ms - run.began_ms), 3)


def _left_out(periods: int) -> str:
    return f"；另有 {periods} 个更早的周期太旧，未补做" if periods else ""


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _local(at_ms: int) -> str:
    """In Shanghai's time, for the log."""
    at = datetime.fromtimestamp(at_ms / 1000, tz=UTC) + timedelta(milliseconds=SHANGHAI_MS)
    return f"{at:%Y-%m-%dT%H:%M}+08:00"
