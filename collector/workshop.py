"""Workshop: settings -> what the centre works with, the link aside: stores, books, services, doors.

Wires, as `app` does. The running collector works in one, and so does a command that finds no
collector running (`alone`): whatever holds the folder's lock serves the same API.
"""

import os
from contextlib import ExitStack
from pathlib import Path

from fastapi import APIRouter

from collector.adapters.calendar import WarningCalendar, load_calendar, load_hours
from collector.adapters.folder_lock import FolderLock
from collector.adapters.sql import SqlSmallState
from collector.alerting.budgets.folder import load_budgets
from collector.alerting.rule import Rule
from collector.alerting.settled import SettledRules
from collector.arrivals import Arrivals
from collector.doors.backtest import backtest_door
from collector.doors.editing import Turn, editing_door
from collector.doors.export import export_door
from collector.doors.quality import quality_door
from collector.doors.settling import settling_door
from collector.editing.editor import Editor
from collector.editing.intake import Intake
from collector.editing.measured import Measured
from collector.editing.proposal import Office
from collector.fleet.check import load_fleet
from collector.fleet.codes import local_day
from collector.fleet.index import Fleet
from collector.intervals import IntervalStore
from collector.jobs.settling import Settling
from collector.known import Names
from collector.marks import DirtyMarks
from collector.metrics import Metrics
from collector.playback import Playback
from collector.quality.thresholds import load_thresholds
from collector.settings import CollectorSettings, DuckDbSettings, InfluxSettings
from collector.settlement.service import Parts, Settlement
from collector.settlement.silence import mark_silent
from collector.store import ReadingStore, StoreIdentity
from collector.verification import Parts as VerificationParts
from collector.verification import Verification
from documents.settings import clock_of
from metering.clock import SystemClock
from metering.errors import PermanentError


class StoreForeign(PermanentError):
    """The database belongs to another district or installation."""


class StoresDiffer(PermanentError):
    """One collector serves one store; the fleet names several."""


class Workshop:
    """A centre's parts without its link, wired; the folder is this process's alone.

    Raises:
        AlreadyRunning: another process works in the folder.
        PermanentError: settings, fleet, store or a secret cannot be used.
        TransientError: the small state does not answer. The store is first asked by `claim`.
    """

    def __init__(self, settings: CollectorSettings, folder: Path) -> None:
        """Open everything.

        Args:
            folder: what relative paths in the settings are relative to.
        """
        with ExitStack() as undo:
            data = folder / settings.folder
            self.lock = FolderLock(data)
            undo.callback(self.lock.close)
            self.clock = clock_of(settings.clock)
            self.fleet = load_fleet(folder / settings.config, day=local_day(SystemClock().now_ms()))
            self.store, self.intervals = open_stores(settings.store, folder)
            undo.callback(self.store.close)
            self.state = SqlSmallState(settings.state_url or f"sqlite:///{data / 'state.sqlite'}")
            undo.callback(self.state.close)
            self.hours = load_hours(folder / settings.config)
            self.marks = DirtyMarks()
            self.arrivals = Arrivals()
            self.metrics = Metrics()
            self.verification = self._verification(folder / settings.config)
            self.settling = Settling(
                self._settlement(folder / settings.config), self.store, self.fleet, self.clock
            )
            undo.callback(self.settling.stop)
            self.playback = self._playback(folder / settings.config)
            undo.callback(self.playback.stop)
            self._undo = undo.pop_all()

    def _settlement(self, config: Path) -> Settlement:
        return Settlement(
            Parts(
                store=self.store,
                intervals=self.intervals,
                dirty=self.state.dirty_book,
                marks=self.marks,
                entries=self.state.entry_book,
                epochs=self.state.epoch_book,
                fleet=self.fleet,
                clock=self.clock,
                classify=WarningCalendar(load_calendar(config)).classify,
                settled=self.state.settled_book,
            )
        )

    def _verification(self, config: Path) -> Verification:
        return Verification(
            VerificationParts(
                store=self.store,
                intervals=self.intervals,
                entries=self.state.entry_book,
                epochs=self.state.epoch_book,
                findings=self.state.finding_book,
                fleet=self.fleet,
                arrivals=self.arrivals,
                clock=self.clock,
                thresholds=load_thresholds(config),
                classify=load_calendar(config).classify,
                settled=self.state.settled_book,
            )
        )

    def mark_silent(self, day_ms: int) -> list[str]:
        """Mark a day that is over for the meters that it is not settled for; return them."""
        return mark_silent(self.fleet, self.store, self.intervals, self.state.dirty_book, day_ms)

    def _playback(self, config: Path) -> Playback:
        def settled(rules: tuple[Rule, ...]) -> SettledRules:
            budgets = load_budgets(config, self.fleet)
            return SettledRules(rules, self.intervals, self.fleet, self.hours, budgets)

        return Playback(self.store, self.fleet, self.hours, settled, self.clock)

    def claim(self) -> StoreIdentity:
        """The store says who it is; a new one takes the fleet's id, another's is refused."""
        return claim(self.store, self.state.generation(), self.fleet)

    def doors(self, turn: Turn) -> tuple[APIRouter, ...]:
        """Routes of the services.

        Args:
            turn: whoever writes readings takes turns with others who do.
        """
        book = self.state.entry_book
        names = Names(self.fleet, self.store, self.intervals)
        office = Office(fleet=self.fleet, store=self.store, intervals=self.intervals, book=book)
        intake = Intake(self.fleet, self.store, self.state.dirty_book, Measured(self.store, book))
        return (
            editing_door(Editor(office), book, intake, names, self.clock, turn),
            export_door(self.fleet, self.store, self.intervals, names),
            settling_door(self.settling, self.state.dirty_book),
            backtest_door(self.playback, self.fleet),
            quality_door(
                self.verification,
                self.state.finding_book,
                self.intervals,
                self.fleet,
                self.clock,
                names,
            ),
        )

    def close(self) -> None:
        """Let go of everything, the lock last; twice is fine."""
        self._undo.close()


def claim(store: ReadingStore, generation: int, fleet: Fleet) -> StoreIdentity:
    """The store says who it is; a new one takes the fleet's id, another's is refused.

    Args:
        generation: the small state's; the store's own counts if it is higher.
    """
    wanted = store_id_of(fleet)
    known = store.identify()
    if known is not None and known.id != wanted:
        raise StoreForeign(
            f"the database is the store {known.id!r}, the fleet's is {wanted!r}: "
            "check the path or the bucket"
        )
    identity = StoreIdentity(
        id=wanted, generation=max(known.generation if known else 1, generation)
    )
    if known != identity:
        store.declare(identity)
    return identity


def store_id_of(fleet: Fleet) -> str:
    """The one store that the fleet names."""
    ids = set(fleet.stores.values())
    if len(ids) != 1:
        raise StoresDiffer(f"the fleet names the stores {sorted(ids)}; one collector serves one")
    return ids.pop()


def open_stores(
    store: DuckDbSettings | InfluxSettings, folder: Path
) -> tuple[ReadingStore, IntervalStore]:
    """Both in one database. Only its own client is imported: each takes a third of a second."""
    if isinstance(store, DuckDbSettings):
        return _open_duckdb(store, folder)
    return _open_influx(store, folder)


def _open_duckdb(store: DuckDbSettings, folder: Path) -> tuple[ReadingStore, IntervalStore]:
    from collector.adapters.duckdb import DuckDbReadingStore  # noqa: PLC0415 - see `open_stores`
    from collector.adapters.duckdb_intervals import DuckDbIntervalStore  # noqa: PLC0415

    path = folder / store.path
    path.parent.mkdir(parents=True, exist_ok=True)
    embedded = DuckDbReadingStore(path, threads=store.threads, memory=store.memory_limit)
    return embedded, DuckDbIntervalStore(embedded.file)


def _open_influx(store: InfluxSettings, folder: Path) -> tuple[ReadingStore, IntervalStore]:
    from collector.adapters.influx import InfluxReadingStore  # noqa: PLC0415 - see `open_stores`
    from collector.adapters.influx_intervals import InfluxIntervalStore  # noqa: PLC0415

    served = InfluxReadingStore(
        url=store.url,
        token=store.password(environ=os.environ, folder=folder) or "",
        org=store.org,
        bucket=store.bucket,
        timeout_s=store.timeout_s,
        gzip=store.gzip,
    )
    return served, InfluxIntervalStore(served.bucket)
