"""Playback: orders to play rules back over what is stored -> runs in the background, one at a time.

Reads only: it takes turns with nobody, and what it finds is forgotten with the process.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from threading import Event, Lock

import numpy as np
import structlog
from msgspec import Struct, structs

from collector.alerting.backtest import Backtest
from collector.alerting.backtest import Parts as BacktestParts
from collector.alerting.hours import Hours
from collector.alerting.played import Order, Played
from collector.alerting.rule import Rule
from collector.alerting.settled import SettledRules
from collector.fleet.index import Fleet
from collector.store import Level, ReadingStore, Row
from collector.suspect import Suspects
from collector.validate import tags_of
from metering.clock import Clock
from metering.errors import NenghaoError

log = structlog.get_logger()

_REMEMBERED = 20  # runs
_COUNTED = frozenset({"energy_import_kwh", "energy_export_kwh"})  # tell a power that stands still

Settled = Callable[[tuple[Rule, ...]], SettledRules]


class PlayState(StrEnum):
    """How a run stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"  # the collector ended


class PlayRun(Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        done, total, what: steps, and the meter that it is at.
        played: once it is done, or stopped in the middle.
        error: why it failed; else empty.
    """

    number: int
    state: PlayState = PlayState.WAITING
    done: int = 0
    total: int = 0
    what: str = ""
    played: Played | None = None
    error: str = ""


class Playback:
    """Runs back-tests, never two at once. Threads share it."""

    def __init__(
        self, store: ReadingStore, fleet: Fleet, hours: Hours, settled: Settled, clock: Clock
    ) -> None:
        self._store = store
        self._clock = clock
        self._parts = BacktestParts(fleet=fleet, hours=hours, settled=settled, rows=self._rows)
        self._fleet = fleet
        self._stopping = Event()
        self._book = Lock()
        self._number = 0
        self._runs: OrderedDict[int, PlayRun] = OrderedDict()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="playback")

    def begin(self, order: Order) -> PlayRun:
        """Put it in the queue."""
        with self._book:
            self._number += 1
            run = PlayRun(number=self._number)
            self._runs[run.number] = run
            while len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)
        self._pool.submit(self._work, run.number, order)
        return run

    def run(self, number: int) -> PlayRun | None:
        """A run as it stands; None if there is none, or it is long ago."""
        with self._book:
            return self._runs.get(number)

    def stop(self) -> None:
        """Stop between two meters of what runs, and wait for that; twice is fine."""
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    # ---- the background's thread

    def _work(self, number: int, order: Order) -> None:
        self._note(number, state=PlayState.RUNNING)
        try:
            played = Backtest(order, self._parts).play(_Watch(self, number))
        except NenghaoError as error:
            log.error("playback.failed", run=number, error=str(error))
            self._note(number, state=PlayState.FAILED, error=str(error))
        except Exception as error:  # a mistake of ours must be told to whoever waits for it
            log.exception("playback.broke", run=number)
            said = f"{type(error).__name__}: {error}"
            self._note(number, state=PlayState.FAILED, error=said)
        else:
            state = PlayState.STOPPED if played.stopped else PlayState.DONE
            self._note(number, state=state, played=played)

    def _note(self, number: int, **news: object) -> None:
        with self._book:
            if number in self._runs:
                self._runs[number] = structs.replace(self._runs[number], **news)

    def _rows(self) -> "BelievedRows":
        return BelievedRows(self._store, self._fleet, self._clock.now_ms())


class _Watch:
    """The `Progress` of a run."""

    def __init__(self, playback: Playback, number: int) -> None:
        self._playback = playback
        self._number = number

    @property
    def stopping(self) -> bool:
        return self._playback._stopping.is_set()  # noqa: SLF001 - two halves of one thing

    def step(self, done: int, total: int, what: str = "") -> None:
        self._playback._note(self._number, done=done, total=total, what=what)  # noqa: SLF001


class BelievedRows:
    """Readings of the store as live alerts would have seen them; the `Rows` of a back-test."""

    def __init__(self, store: ReadingStore, fleet: Fleet, now_ms: int) -> None:
        self._store = store
        self._fleet = fleet
        self._now_ms = now_ms
        self._suspects = Suspects(fleet)

    def __call__(
        self, meter: str, names: Collection[str], start_ms: int, end_ms: int
    ) -> Iterator[Row]:
        wanted = sorted({*names, *_COUNTED})
        rows = list(self._read(meter, wanted, start_ms, end_ms))
        beside = [
            one
            for one in self._store.rejections(start_ms, end_ms)
            if one.meter == meter and one.level is Level.SUSPECT
        ]
        yield from self._suspects.look(rows, now_ms=self._now_ms, beside=beside).rows

    def _read(
        self, meter: str, names: Collection[str], start_ms: int, end_ms: int
    ) -> Iterator[Row]:
        columns = self._store.columns([meter], list(names), start_ms, end_ms)
        if not columns:
            return
        times = np.unique(np.concatenate([one.at_ms for one in columns])).tolist()
        values: dict[int, dict[str, float]] = {at_ms: {} for at_ms in times}
        for one in columns:
            for at_ms, value in zip(one.at_ms.tolist(), one.values.tolist(), strict=True):
                values[at_ms][one.quantity] = value
        for at_ms in times:
            entry = self._fleet.entry(meter, at_ms)
            if entry is not None:
                yield Row(meter=meter, at_ms=at_ms, values=values[at_ms], tags=tags_of(entry))
