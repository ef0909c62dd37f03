"""Settling: what somebody wants settled -> a run in the background, one at a time; and the job.

People ask through the API, the job comes every quarter of an hour: they take turns, because a
settlement is one thread's alone. What a run leaves undone stays marked.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from threading import Event, Lock
from typing import TypeVar

import structlog
from msgspec import Struct, structs

from collector.fleet.index import Fleet
from collector.jobs.job import Step
from collector.known import demand
from collector.settle.counters import settled_counters
from collector.settlement.service import Progress, Report, Settlement
from collector.store import ReadingStore
from metering.clock import Clock
from metering.errors import NenghaoError
from metering.quantity import QUANTITIES

log = structlog.get_logger()

_REMEMBERED = 100  # runs

T = TypeVar("T")


class Order(Struct, frozen=True, kw_only=True):
    """What is to be settled: without a time what is marked, else whole days, marked or not.

    Attributes:
        meters: ids, virtual ones as well (their parts are settled); None: every meter.
        start_ms, end_ms: a half-open span; a side that is left out reaches to the first reading,
            or to now.
        all: everything that was ever read.
    """

    meters: tuple[str, ...] | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    all: bool = False

    @property
    def is_of_marks(self) -> bool:
        return not self.all and self.start_ms is None and self.end_ms is None


class RunState(StrEnum):
    """How a run stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"  # the collector ended; what is left stays marked


class SettleRun(Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        at: meter-days done of those due, as far as is known; the meter that it is at.
        began_ms, ended_ms: wall time; None before it did.
        report: once it is done or stopped.
        error: why it failed; else empty.
    """

    number: int
    order: Order
    state: RunState = RunState.WAITING
    at: Step = Step(0, 0, "")
    began_ms: int | None = None
    ended_ms: int | None = None
    report: Report | None = None
    error: str = ""


class Settling:
    """Runs settlements, never two at once. Threads share it."""

    def __init__(
        self, settlement: Settlement, store: ReadingStore, fleet: Fleet, clock: Clock
    ) -> None:
        self._settlement = settlement
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._stopping = Event()
        self._alone = Lock()
        self._book = Lock()
        self._runs: OrderedDict[int, SettleRun] = OrderedDict()
        self._number = 0
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="settling")

    def begin(self, order: Order) -> SettleRun:
        """Put it in the queue; it begins when those before it have ended.

        Raises:
            NameUnknown: nothing was begun.
        """
        order = structs.replace(order, meters=_meters(order.meters, self._fleet))
        with self._book:
            self._number += 1
            run = SettleRun(number=self._number, order=order)
            self._runs[run.number] = run
            while len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)
        self._pool.submit(self._work, run)
        return run

    def run(self, number: int) -> SettleRun | None:
        """A run as it stands; None if there is none, or it is long ago."""
        with self._book:
            return self._runs.get(number)

    def take_turn(self, act: Callable[[Settlement], T]) -> T:
        """Let the caller's thread settle, or do what no settlement may run beside."""
        with self._alone:
            return act(self._settlement)

    def finish(self) -> None:
        """Wait until everything that was begun has ended; nothing begins after it."""
        self._pool.shutdown(wait=True)

    def stop(self) -> None:
        """Stop between two groups of what runs, and wait for that; twice is fine."""
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    # ---- the background's thread

    def _work(self, run: SettleRun) -> None:
        watch = _Watch(self._stopping, lambda at: self._note(run.number, at=at))
        with self._alone:
            self._note(run.number, state=RunState.RUNNING, began_ms=self._clock.now_ms())
            try:
                report = self._settle(run.order, watch)
            except NenghaoError as error:
                log.error("settle.failed", run=run.number, error=str(error))
                self._end(run.number, RunState.FAILED, error=str(error))
            except Exception as error:  # a mistake of ours must be told to whoever waits for it
                log.exception("settle.broke", run=run.number)
                said = f"{type(error).__name__}: {error}"
                self._end(run.number, RunState.FAILED, error=said)
            else:
                state = RunState.STOPPED if watch.was_stopped else RunState.DONE
                self._end(run.number, state, report=report)

    def _settle(self, order: Order, watch: Progress) -> Report:
        if order.is_of_marks:
            return self._settlement.settle_dirty(watch, meters=order.meters)
        start_ms = order.start_ms
        if start_ms is None:
            start_ms = first_reading_ms(self._store, self._fleet, order.meters)
        end_ms = self._clock.now_ms() if order.end_ms is None else order.end_ms
        if start_ms is None or start_ms >= end_ms:
            return Report()
        return self._settlement.settle(order.meters, start_ms, end_ms, watch)

    def _end(self, number: int, state: RunState, **news: object) -> None:
        self._note(number, state=state, ended_ms=self._clock.now_ms(), **news)

    def _note(self, number: int, **news: object) -> None:
        with self._book:
            if number in self._runs:
                self._runs[number] = structs.replace(self._runs[number], **news)


class _Watch:
    """The `Progress` of a run."""

    def __init__(self, stopping: Event, tell: Callable[[Step], None]) -> None:
        self._stopping = stopping
        self._tell = tell
        self.was_stopped = False

    @property
    def stopping(self) -> bool:
        if self._stopping.is_set():
            self.was_stopped = True
        return self.was_stopped

    def step(self, done: int, total: int, what: str) -> None:
        self._tell(Step(done, total, what))


def settlement_job(settling: Settling) -> Callable[[int, Progress], str]:
    """The work of the job `settlement`: whatever is marked, whichever period it is for."""

    def work(_period_ms: int, progress: Progress) -> str:
        return told(settling.take_turn(lambda settlement: settlement.settle_dirty(progress)))

    return work


def told(report: Report) -> str:
    """A report as one line for people."""
    if not report.days and not report.unknown:
        return "没有待结算的数据"
    said = (
        f"结算 {report.meters} 块表、{report.days} 个表日：写入 {report.written} 行"
        f"（其中更新 {report.raised} 行），用时 {report.seconds:.1f} s"
    )
    if report.left:
        said += f"；尚余 {report.left} 个表日待结算"
    if report.unknown:
        said += f"；配置中没有的表：{', '.join(report.unknown)}"
    return said


def first_reading_ms(store: ReadingStore, fleet: Fleet, meters: Sequence[str] | None) -> int | None:
    """The oldest reading that anybody has of these meters; None for none."""
    chosen = sorted(fleet.meters) if meters is None else list(meters)
    oldest: int | None = None
    for reading in store.latest(chosen):
        entry = fleet.meters[reading.meter][-1]
        for name in {*settled_counters(entry, reading.values), *reading.values} & QUANTITIES.keys():
            first = store.nearest(reading.meter, name, 0, later=True, most=1)
            if first is not None and (oldest is None or int(first.at_ms[0]) < oldest):
                oldest = int(first.at_ms[0])
    return oldest


def _meters(asked: Sequence[str] | None, fleet: Fleet) -> tuple[str, ...] | None:
    """Real meters, each once; of a virtual one its parts."""
    if asked is None:
        return None
    demand("表", asked, {*fleet.meters, *fleet.virtual_meters})
    found: dict[str, None] = {}
    for meter in asked:
        virtual = fleet.virtual_meters.get(meter)
        found |= dict.fromkeys([meter] if virtual is None else [part for part, _ in virtual.parts])
    return tuple(found)
