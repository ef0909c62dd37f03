"""Settlement wired on fakes, with a fleet of plain meters; readings are put in as arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import structs

from collector.fleet.index import Direction, Fleet, MeterEntry, Sector
from collector.intervals import Intervals, IntervalStore
from collector.marks import DirtyMarks
from collector.settle.cells import DAY_MS, Width, day_start_ms
from collector.settle.day_class import Calendar
from collector.settlement.service import Parts, Settlement
from collector.store import ReadingStore, Row
from collector.validate import tags_of
from tests.fakes.clock import FakeClock
from tests.fakes.dirty import FakeDirtyBook
from tests.fakes.entries import FakeEntryBook
from tests.fakes.epoch_book import FakeEpochBook
from tests.fakes.intervals import FakeIntervalStore
from tests.fakes.store import FakeReadingStore

ENERGY = "energy_import_kwh"
HOUR_MS = 3_600_000
START_MS = 1_767_196_800_000  # 2026-01-01 in Shanghai
FOREVER_MS = START_MS + 4_000 * DAY_MS


def meter(name: str, **changes: Any) -> MeterEntry:
    entry = MeterEntry(
        meter=name,
        gateway="gw-1",
        district="120101",
        institution="e001",
        sector=Sector.HOSPITAL,
        building="e001-b1",
        circuit="总进线",
        energy="01000",
        parent=None,
        model="eastron_sdm630_v2",
        direction=Direction.IMPORT,
        limits={},
        rated={},
        cycle_s=3600,
        valid_from_ms=0,
        valid_to_ms=None,
    )
    return structs.replace(entry, **changes)


def fleet_of(*entries: MeterEntry) -> Fleet:
    meters: dict[str, tuple[MeterEntry, ...]] = {}
    for entry in entries:
        meters[entry.meter] = (*meters.get(entry.meter, ()), entry)
    return Fleet(
        stores={"120101": "heping-1"},
        institutions={},
        buildings={},
        gateways={},
        meters=meters,
        virtual_meters={},
    )


class Settling:
    """A settlement and everything around it."""

    def __init__(
        self,
        *entries: MeterEntry,
        now_ms: int = FOREVER_MS,
        store: ReadingStore | None = None,
        intervals: IntervalStore | None = None,
    ) -> None:
        self.fleet = fleet_of(*(entries or (meter("m1"),)))
        self.clock = FakeClock(now_ms)
        self.store = store or FakeReadingStore()
        self.intervals = intervals or FakeIntervalStore()
        self.dirty = FakeDirtyBook()
        self.marks = DirtyMarks()
        self.entries = FakeEntryBook(self.dirty)
        self.epochs = FakeEpochBook()
        self.parts = Parts(
            store=self.store,
            intervals=self.intervals,
            dirty=self.dirty,
            marks=self.marks,
            entries=self.entries,
            epochs=self.epochs,
            fleet=self.fleet,
            clock=self.clock,
            classify=Calendar(years=frozenset(), days={}).classify,
        )
        self.settlement = Settlement(self.parts)

    def put(
        self,
        name: str,
        at_ms: Sequence[int] | np.ndarray,
        values: Sequence[float] | np.ndarray,
        quantity: str = ENERGY,
    ) -> None:
        """Store readings and mark their days, as the pipeline does."""
        tags = tags_of(self.fleet.meters[name][-1])
        rows = [
            Row(meter=name, at_ms=int(at), values={quantity: float(value)}, tags=tags)
            for at, value in zip(at_ms, values, strict=True)
        ]
        self.store.write(rows)
        self.dirty.mark_dirty({(name, day_start_ms(row.at_ms)) for row in rows})

    def rows(self, name: str, width: Width, quantity: str = ENERGY) -> Intervals:
        (found,) = self.intervals.intervals([name], width, 0, FOREVER_MS * 2, [quantity])
        return found

    def table(self, name: str, width: Width) -> list[tuple[Any, ...]]:
        """(start, value or None, shares, rules): what is there, without versions."""
        cells = self.rows(name, width).cells
        shares = zip(cells.measured, cells.estimated, cells.edited, cells.missing, strict=True)
        return [
            (int(at), int(value) if known else None, tuple(map(float, share)), int(rules))
            for at, value, known, share, rules in zip(
                cells.start_ms, cells.value, cells.known, shares, cells.rules, strict=True
            )
        ]


def hourly(hours: int, seed: int = 1, start: float = 1000.0) -> tuple[np.ndarray, np.ndarray]:
    """A building of about 100 kWh an hour, on the hour."""
    clock = np.arange(hours)
    noise = 1 + 0.1 * np.random.default_rng(seed).standard_normal(hours).clip(-3, 3)
    load = 100 * (1 + 0.6 * np.sin(2 * np.pi * (clock - 8) / 24)) * noise
    value = np.round(start + np.concatenate(([0], np.cumsum(load[:-1]))), 2)
    return START_MS + clock * HOUR_MS, value
