"""What editing looks at and writes to, in memory, and the centre's HTTP door on top of it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from time import monotonic, sleep
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI
from msgspec import structs, to_builtins

from collector.adapters.http import HttpServer
from collector.dirty import DirtyDay
from collector.doors.editing import editing_door
from collector.doors.export import export_door
from collector.editing.editor import Editor
from collector.editing.intake import Intake
from collector.editing.measured import Measured
from collector.editing.proposal import Office
from collector.entries import Entry, EntryKind
from collector.fleet.index import Fleet
from collector.intervals import Intervals
from collector.known import Names
from collector.settle.cells import Cells, Width
from collector.settlement.service import Report
from collector.store import Column
from metering.reading import Reading
from tests.fakes.centre import example_fleet
from tests.fakes.clock import FakeClock
from tests.fakes.store import FakeReadingStore


class ColumnStore(FakeReadingStore):
    """The fake store, asked column by column."""

    def columns(
        self, meters: Sequence[str], quantities: Sequence[str], start_ms: int, end_ms: int
    ) -> list[Column]:
        found: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for one in self.readings(meters, quantities, start_ms, end_ms):
            for name, value in one.values.items():
                found.setdefault((one.meter, name), []).append((one.at_ms, value))
        return [_column(*key, points) for key, points in sorted(found.items())]

    def nearest(
        self, meter: str, quantity: str, at_ms: int, *, later: bool, most: int
    ) -> Column | None:
        span = (at_ms, 1 << 60) if later else (-(1 << 60), at_ms)
        found = self.columns([meter], [quantity], *span)
        if not found:
            return None
        points = list(zip(found[0].at_ms.tolist(), found[0].values.tolist(), strict=True))
        return _column(meter, quantity, points[:most] if later else points[-most:])


def _column(meter: str, quantity: str, points: Sequence[tuple[int, float]]) -> Column:
    return Column(
        meter=meter,
        quantity=quantity,
        at_ms=np.array([at_ms for at_ms, _ in points], np.int64),
        values=np.array([value for _, value in points], np.float64),
    )


class FakeEntryBook:
    """Entries in a list."""

    def __init__(self) -> None:
        self.kept: list[Entry] = []

    def add_entries(self, entries: Sequence[Entry]) -> list[Entry]:
        first = len(self.kept) + 1
        added = [structs.replace(one, number=first + n) for n, one in enumerate(entries)]
        self.kept += added
        return added

    def entries(
        self,
        *,
        meters: Sequence[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        in_force: bool = False,
        limit: int | None = None,
    ) -> list[Entry]:
        undone = {one.undoes for one in self.kept if in_force}
        found = [
            one
            for one in self.kept
            if (meters is None or one.meter in meters)
            and (end_ms is None or one.start_ms < end_ms)
            and (start_ms is None or one.end_ms is None or one.end_ms > start_ms)
            and not (in_force and (one.kind is EntryKind.UNDO or one.number in undone))
        ]
        return found[:limit]

    def entry(self, number: int) -> Entry | None:
        return self.kept[number - 1] if 1 <= number <= len(self.kept) else None


class FakeDirtyBook:
    """Marks in a dict."""

    def __init__(self) -> None:
        self.marks: dict[tuple[str, int], int] = {}

    def mark_dirty(self, days: Collection[tuple[str, int]]) -> None:
        for day in days:
            self.marks[day] = self.marks.get(day, 0) + 1

    def dirty(self, limit: int, meters: Sequence[str] | None = None) -> list[DirtyDay]:
        return [
            DirtyDay(meter=meter, day_ms=day_ms, number=number)
            for (meter, day_ms), number in sorted(self.marks.items())
            if meters is None or meter in meters
        ][:limit]

    def count_dirty(self) -> int:
        return len(self.marks)

    def clear_dirty(self, days: Sequence[DirtyDay]) -> None:
        for one in days:
            if self.marks.get((one.meter, one.day_ms)) == one.number:
                del self.marks[one.meter, one.day_ms]


class FakeIntervalStore:
    """Intervals in a list; each put in once."""

    def __init__(self) -> None:
        self.kept: list[Intervals] = []

    def intervals(
        self,
        meters: Sequence[str],
        width: Width,
        start_ms: int,
        end_ms: int,
        quantities: Sequence[str] | None = None,
    ) -> list[Intervals]:
        found = []
        for one in sorted(self.kept, key=lambda one: (one.meter, one.quantity)):
            wanted = quantities is None or one.quantity in quantities
            if one.meter in meters and one.width == width and wanted:
                start = one.cells.start_ms
                within = (start >= start_ms) & (start < end_ms)
                if within.any():
                    found.append(_some(one, within))
        return found


def _some(one: Intervals, within: Any) -> Intervals:
    columns = {name: getattr(one.cells, name)[within] for name in Cells.__struct_fields__}
    return structs.replace(one, cells=Cells(**columns), version=one.version[within])


def settled(
    meter: str,
    quantity: str,
    width: Width,
    *cells: tuple[int, int | None],
    rules: int = 0,
) -> Intervals:
    """Intervals of (start_ms, millionths or None), measured or missing."""
    known = np.array([value is not None for _, value in cells])
    zeros = np.zeros(len(cells))
    return Intervals(
        meter=meter,
        quantity=quantity,
        width=width,
        cells=Cells(
            start_ms=np.array([start for start, _ in cells], np.int64),
            value=np.array([value or 0 for _, value in cells], np.int64),
            known=known,
            measured=np.where(known, 1.0, 0.0),
            estimated=zeros,
            edited=zeros,
            missing=np.where(known, 0.0, 1.0),
            rules=np.full(len(cells), rules, np.int64),
        ),
        version=np.ones(len(cells), np.int64),
    )


class EditingRoom:
    """Editor, intake and doors on fakes."""

    def __init__(self, now_ms: int, fleet: Fleet | None = None) -> None:
        self.fleet = fleet or example_fleet()
        self.clock = FakeClock(now_ms)
        self.store = ColumnStore()
        self.book = FakeEntryBook()
        self.dirty = FakeDirtyBook()
        self.intervals = FakeIntervalStore()
        self.settled_meters: list[list[str]] = []
        self.settles_as = "done"
        self.settle: Callable[[list[str]], None] = lambda _meters: None
        self.editor = Editor(
            Office(fleet=self.fleet, store=self.store, intervals=self.intervals, book=self.book)
        )
        measured = Measured(self.store, self.book)
        self.intake = Intake(self.fleet, self.store, self.dirty, measured)

    def read(self, meter: str, at_ms: int, **values: float) -> None:
        """The meter said so."""
        taken = self.intake.take(
            [Reading(meter=meter, at_ms=at_ms, values=values)], now_ms=self.clock.now_ms()
        )
        assert not taken.refused

    def api(self) -> FastAPI:
        api = FastAPI()
        names = Names(self.fleet, self.store, self.intervals)
        api.include_router(
            editing_door(self.editor, self.book, self.intake, names, self.clock, lambda act: act())
        )
        api.include_router(export_door(self.fleet, self.store, self.intervals, names))

        @api.post("/settle")
        def settle(ask: dict[str, list[str]]) -> dict[str, Any]:
            self.settled_meters.append(ask["meters"])
            self.settle(ask["meters"])
            report = to_builtins(Report(meters=len(ask["meters"])))
            return {"number": 1, "state": self.settles_as, "report": report, "error": ""}

        @api.get("/jobs")
        def jobs() -> list[dict[str, Any]]:
            return [{"name": "settlement", "next_ms": self.clock.now_ms() + 16 * 60_000}]

        @api.get("/healthz")
        def healthz() -> dict[str, str]:
            return {"status": "alive"}

        return api


@contextmanager
def serving(room: EditingRoom) -> Iterator[str]:
    """The room behind a real server on loopback; gives its address."""
    server = HttpServer(room.api(), "127.0.0.1", 0)
    server.start()
    try:
        with closing(httpx.Client(base_url=server.url, trust_env=False)) as client:
            give_up = monotonic() + 10
            while monotonic() < give_up:
                try:
                    client.get("/healthz").raise_for_status()
                    break
                except httpx.TransportError:
                    sleep(0.01)
        yield server.url
    finally:
        server.stop()
