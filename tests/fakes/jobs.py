"""A `Trigger` that looks when it is told to, and a runner on fakes."""

from collections.abc import Callable, Sequence
from threading import Event

from collector.job_log import JobLog
from collector.jobs.job import Job
from collector.jobs.runner import JobRunner, Parts
from collector.metrics import Metrics
from collector.patience import Patience
from metering.clock import Clock
from tests.fakes.clock import FakeClock
from tests.fakes.job_log import FakeJobLog


class FakeTrigger:
    """`fire` looks; `asked` counts who wanted it soon."""

    def __init__(self) -> None:
        self.asked = 0
        self.stopped = False
        self._look: Callable[[], None] | None = None

    def start(self, look: Callable[[], None]) -> None:
        self._look = look

    def soon(self) -> None:
        self.asked += 1

    def stop(self) -> None:
        self.stopped = True

    def fire(self) -> None:
        assert self._look is not None, "not started"
        self._look()


def job_parts(
    log: JobLog | None = None, clock: Clock | None = None, trigger: FakeTrigger | None = None
) -> Parts:
    stopping = Event()
    clock = clock or FakeClock()
    return Parts(
        log=log or FakeJobLog(),
        clock=clock,
        patience=Patience(stopping, clock, jitter=lambda: 0.5),
        metrics=Metrics(),
        trigger=trigger or FakeTrigger(),
        stopping=stopping,
    )


def job_runner(jobs: Sequence[Job] = ()) -> JobRunner:
    return JobRunner(jobs, job_parts())
