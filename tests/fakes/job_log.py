"""A `JobLog` in memory, held to the same contract as the real one."""

from msgspec import structs

from collector.job_log import JobRun, Outcome
from metering.errors import TransientError


class FakeJobLog:
    """Keeps runs in a dict; `away` makes every call that writes raise."""

    def __init__(self) -> None:
        self.away: TransientError | None = None
        self._runs: dict[int, JobRun] = {}
        self._number = 0

    def begin(self, job: str, period_ms: int, began_ms: int) -> JobRun:
        self._answer()
        self._number += 1
        run = JobRun(
            number=self._number,
            job=job,
            period_ms=period_ms,
            began_ms=began_ms,
            outcome=Outcome.RUNNING,
        )
        self._runs[run.number] = run
        return run

    def finish(self, run: JobRun, outcome: Outcome, ended_ms: int, said: str) -> None:
        self._answer()
        self._runs[run.number] = structs.replace(
            self._runs[run.number], outcome=outcome, ended_ms=ended_ms, said=said
        )

    def last_done(self, job: str, until_ms: int | None = None) -> JobRun | None:
        done = [
            run
            for run in self._runs.values()
            if run.job == job
            and run.outcome is Outcome.DONE
            and (until_ms is None or run.period_ms <= until_ms)
        ]
        return max(done, key=lambda run: (run.period_ms, run.number), default=None)

    def runs(self, job: str | None, limit: int) -> list[JobRun]:
        newest = sorted(self._runs.values(), key=lambda run: -run.number)
        return [run for run in newest if job is None or run.job == job][:limit]

    def bury(self, now_ms: int) -> list[JobRun]:
        self._answer()
        died = [
            structs.replace(run, outcome=Outcome.DIED, ended_ms=now_ms)
            for run in self._runs.values()
            if run.outcome is Outcome.RUNNING
        ]
        self._runs |= {run.number: run for run in died}
        return died

    def forget_runs_before(self, began_ms: int) -> int:
        self._answer()
        newest = {run.job: run.number for run in self._runs.values() if run.outcome is Outcome.DONE}
        old = [
            run.number
            for run in self._runs.values()
            if run.began_ms < began_ms
            and run.outcome is not Outcome.RUNNING
            and newest.get(run.job) != run.number
        ]
        for number in old:
            del self._runs[number]
        return len(old)

    def _answer(self) -> None:
        if self.away:
            raise self.away
