"""Job: something to be done once for each period, with a name that the log knows it by."""

from collections.abc import Callable
from enum import StrEnum
from threading import Event

import structlog
from msgspec import Struct

from collector.jobs.periods import Schedule
from metering.clock import Clock

log = structlog.get_logger()

_SAY_EVERY_MS = 10_000


class CatchUp(StrEnum):
    """What becomes of periods that were missed."""

    EACH = "each"  # one run for each, in order
    LATEST = "latest"  # the run of the latest covers all before it


class Step(Struct, frozen=True):
    """How far a run is: `done` of `total`, and what it is at."""

    done: int
    total: int
    what: str


class Progress:
    """What a running job tells of itself, and is told."""

    def __init__(self, job: str, clock: Clock, stopping: Event) -> None:
        self.at = Step(0, 0, "")
        self.was_stopped = False  # the work was told to stop: what it returns is not all
        self._job = job
        self._clock = clock
        self._stopping = stopping
        self._said_ms = clock.monotonic_ms()

    def step(self, done: int, total: int, what: str = "") -> None:
        """Say how far it is: as often as you like, the log hears of it every 10 s."""
        self.at = Step(done, total, what)
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._said_ms >= _SAY_EVERY_MS:
            self._said_ms = now_ms
            log.info("job.progress", job=self._job, done=done, total=total, what=what)

    @property
    def stopping(self) -> bool:
        """The collector is to end: keep what is done and return; the period is run again.

        Ask between two pieces of work of a second or so.
        """
        if self._stopping.is_set():
            self.was_stopped = True
        return self.was_stopped


class Job(Struct, frozen=True, kw_only=True):
    """A job.

    Attributes:
        name: in the log, in settings and commands; never changed.
        title: Chinese, for people.
        work: does it for the period that ends at the given epoch ms, idempotently, and returns a
            line in Chinese of what it did. A `NenghaoError` says why it could not.
        most: at most so many missed periods are caught up.
    """

    name: str
    title: str
    schedule: Schedule
    work: Callable[[int, Progress], str]
    catch_up: CatchUp = CatchUp.LATEST
    most: int = 31
