"""Job log: which periods a job has done; the port to where that is kept.

A period is claimed before the work and ended after it: one that was begun and never ended died with
its process and is done again.
"""

from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class Outcome(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DIED = "died"  # the process ended in the middle of it


class JobRun(Struct, frozen=True, kw_only=True):
    """One run of a job for one period.

    Attributes:
        number: given by the log.
        period_ms: the end of the period it is for, epoch ms; what was due then.
        began_ms, ended_ms: when it worked; `ended_ms` None while it runs.
        outcome: how it ended.
        said: a line for people: what was done, or the error.
    """

    number: int = 0
    job: str
    period_ms: int
    began_ms: int
    ended_ms: int | None = None
    outcome: Outcome
    said: str = ""


class JobLog(Protocol):
    """Where runs stay; may raise `TransientError`. Threads may share it."""

    def begin(self, job: str, period_ms: int, began_ms: int) -> JobRun: ...

    def finish(self, run: JobRun, outcome: Outcome, ended_ms: int, said: str) -> None: ...

    def last_done(self, job: str, until_ms: int | None = None) -> JobRun | None:
        """The run of the latest period, up to `until_ms`, that is done."""
        ...

    def runs(self, job: str | None, limit: int) -> list[JobRun]:
        """The newest first."""
        ...

    def bury(self, now_ms: int) -> list[JobRun]:
        """Mark runs that still claim to run as died: called once, before anything runs."""
        ...

    def forget_runs_before(self, began_ms: int) -> int:
        """Drop runs that began before then, but of each job the newest done; returns how many."""
        ...
