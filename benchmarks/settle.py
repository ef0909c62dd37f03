"""Settle: a month of readings in DuckDB -> intervals; then one late hour of one meter.

The store is filled as live readings fill it: minute by minute, all meters in turn. They go straight
into the month's table, through the adapter's own connection; that is preparation and not counted.
What is counted is the service as the collector runs it: marks, entries and breaks in SQLite,
intervals in the readings' database, everything durable.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from msgspec import Struct, structs

from benchmarks.figure import Figure, Result
from benchmarks.process import peak_mb
from benchmarks.scale import Scale
from collector.adapters.duckdb import DuckDbReadingStore
from collector.adapters.duckdb_intervals import DuckDbIntervalStore
from collector.adapters.sql import SqlSmallState
from collector.fleet.index import Direction, Fleet, MeterEntry, Sector
from collector.marks import DirtyMarks
from collector.settle.cells import DAY_MS, HOUR_MS
from collector.settle.day_class import Calendar
from collector.settlement.gauges import GAUGES
from collector.settlement.service import Parts, Settlement
from collector.store import Row
from collector.validate import tags_of

_HELD = "held.npz"
_COUNTER = "energy_import_kwh"
_USUAL_GAUGES = 18  # of the twenty quantities of a three-phase meter
_FIRST_MS = 1_782_835_200_000  # 2026-07-01 in Shanghai
_MONTH_DAYS = 31
_MINUTE_MS = 60_000
_QUARTER_MS = 900_000
_GROWTH_DAYS = 7
_LATE_HOURS = 7
_IN_A_TREE = 11  # a main and ten below it, one building
_BUILDINGS = 5  # of an institution
_AIM_S = 60.0
_AIM_MS = 100.0
_AIM_MB = 500.0
_DATABASE_MEMORY = "256MB"  # as the collector's settings have it


class Load(Struct, frozen=True, kw_only=True):
    """What is in the store.

    Attributes:
        gauges: so many beside the counter.
        held_back: of the last instants so many come when the rest is settled.
        trees: meters stand in buildings, ten of them below a main each; else each is alone.
    """

    meters: int
    days: int
    every_ms: int
    gauges: int = 0
    held_back: int = 0
    trees: bool = False

    @property
    def readings(self) -> int:
        return self.meters * self.days * DAY_MS // self.every_ms


class Cost(Struct, frozen=True, kw_only=True):
    """What settling it took.

    Attributes:
        base_mb: of the process with the store open, before anything was settled.
        late_ms: of a late hour of one meter, each time.
        again_s: settling all of it once more, which changes nothing.
    """

    wall_s: float
    cpu_s: float
    base_mb: float
    peak_mb: float
    written: int
    again_s: float = 0.0
    late_ms: tuple[float, ...] = ()


def measure(scale: Scale) -> Result:
    month = Load(meters=scale.settle_meters, days=_MONTH_DAYS, every_ms=_MINUTE_MS)
    live = Load(
        meters=scale.settle_meters,
        days=2,
        every_ms=_MINUTE_MS,
        gauges=_USUAL_GAUGES,
        held_back=_QUARTER_MS // _MINUTE_MS,
    )
    growth = [
        Load(meters=meters, days=_GROWTH_DAYS, every_ms=_QUARTER_MS)
        for meters in scale.settle_growth
    ]
    costs = [_alone(settle_load, load) for load in growth]
    smallest = costs[0].cpu_s / growth[0].meters
    return Result(
        figures=(
            *_of_month(month, _alone(settle_load, month)),
            *_of_live(live, _alone(settle_live, live)),
            *(_of_growth(*one, smallest) for one in zip(growth, costs, strict=True)),
        )
    )


def _alone(work: Callable[[Load], Cost], load: Load) -> Cost:
    """In a fresh process: its memory is then its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(work, load).result()


def settle_load(load: Load) -> Cost:
    """Fill a store, settle all of it, settle it again, then late hours one by one."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        _in_another_process(load, folder)
        with _town(folder, load) as town:
            _mark(town, load)
            base_mb = _peak_mb()
            wall, cpu = time.monotonic(), time.process_time()
            report = town.settlement.settle_dirty()
            wall_s, cpu_s = time.monotonic() - wall, time.process_time() - cpu
            peak = _peak_mb()
            _mark(town, load)
            wall = time.monotonic()
            again = town.settlement.settle_dirty()
            again_s = time.monotonic() - wall
            assert again.written == 0, again
            late = tuple(_late_hour(town, load, day) for day in range(_LATE_HOURS))
    return Cost(
        wall_s=wall_s,
        cpu_s=cpu_s,
        base_mb=base_mb,
        peak_mb=peak,
        written=report.written,
        again_s=again_s,
        late_ms=late,
    )


def settle_live(load: Load) -> Cost:
    """The settlement job at the end of a day: a quarter of an hour has come for every meter."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        _in_another_process(load, folder)
        with _town(folder, load) as town:
            _mark(town, load)
            town.settlement.settle_dirty()
            base_mb = _peak_mb()
            held = np.load(folder / _HELD)
            _insert(town.store, _ids(load), _Day(*held.values()), gauges=load.gauges)
            today_ms = _FIRST_MS + (load.days - 1) * DAY_MS
            town.state.dirty_book.mark_dirty([(meter, today_ms) for meter in _ids(load)])
            wall, cpu = time.monotonic(), time.process_time()
            report = town.settlement.settle_dirty()
            return Cost(
                wall_s=time.monotonic() - wall,
                cpu_s=time.process_time() - cpu,
                base_mb=base_mb,
                peak_mb=_peak_mb(),
                written=report.written,
            )


def _in_another_process(load: Load, folder: Path) -> None:
    """Filling leaves its memory behind."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=fill, args=(load, folder))
    process.start()
    process.join()
    assert process.exitcode == 0, process.exitcode


def fill(load: Load, folder: Path) -> None:
    """Put all readings into the months' tables, in order of time.

    Of the first meter one hour a day is left out: it comes late.
    """
    fleet, ids = _fleet(load), _ids(load)
    chance = np.random.default_rng(1)
    standing = np.full(load.meters, 1000.0)
    with closing(DuckDbReadingStore(folder / "readings.duckdb")) as store:
        for day in range(load.days):
            rows = _day(load, day, standing, chance)
            if not day:
                # The adapter makes meters, tags and both months' tables (UTC's) as it always does.
                ends = (rows.step == 0) | (rows.step == rows.step[-1])
                store.write(list(_rows(fleet, ids, rows.pick(ends), gauges=load.gauges)))
                rows = rows.pick(~ends)
            if day == load.days - 1 and load.held_back:
                is_held = rows.step >= rows.step[-1] + 1 - load.held_back
                np.savez(folder / _HELD, **structs.asdict(rows.pick(is_held)))
                rows = rows.pick(~is_held)
            is_late = (rows.hour == day) & (rows.place == 0) & (day < _LATE_HOURS)
            _insert(store, ids, rows.pick(~is_late), gauges=load.gauges)


class _Day(Struct, frozen=True):
    """Readings of a day: the number of the instant and of the meter, and what was read."""

    step: np.ndarray
    place: np.ndarray
    hour: np.ndarray
    at_ms: np.ndarray
    energy: np.ndarray
    power: np.ndarray

    def pick(self, chosen: np.ndarray) -> "_Day":
        return _Day(*(getattr(self, name)[chosen] for name in self.__struct_fields__))


def _day(load: Load, day: int, standing: np.ndarray, chance: np.random.Generator) -> _Day:
    """A day of every meter, instant by instant; `standing` goes on."""
    count = DAY_MS // load.every_ms
    since_ms = np.arange(count) * load.every_ms
    hours = since_ms / HOUR_MS
    shape = 40 * (1 + 0.6 * np.sin(2 * np.pi * (hours - 8) / 24))
    power = shape[:, None] * chance.uniform(0.8, 1.2, (count, load.meters))
    energy = standing + np.cumsum(power * load.every_ms / HOUR_MS, axis=0)
    standing[:] = energy[-1]
    turn_ms = np.arange(load.meters) % 50 * 100  # meters on a bus answer in turn
    at_ms = (_FIRST_MS + day * DAY_MS + since_ms)[:, None] + turn_ms
    return _Day(
        step=np.repeat(np.arange(count), load.meters),
        place=np.tile(np.arange(load.meters), count),
        hour=np.repeat(since_ms // HOUR_MS, load.meters),
        at_ms=at_ms.ravel(),
        energy=np.round(energy, 2).ravel(),
        power=np.round(power, 3).ravel(),
    )


def _rows(fleet: Fleet, ids: list[str], day: _Day, *, gauges: int) -> Iterator[Row]:
    for place, at_ms, energy, power in zip(
        day.place.tolist(), day.at_ms.tolist(), day.energy.tolist(), day.power.tolist(), strict=True
    ):
        values = {_COUNTER: energy} | dict.fromkeys(GAUGES[:gauges], power)
        meter = ids[place]
        yield Row(meter=meter, at_ms=at_ms, values=values, tags=tags_of(fleet.meters[meter][-1]))


def _insert(store: DuckDbReadingStore, ids: list[str], day: _Day, *, gauges: int) -> None:
    months = day.at_ms.astype("datetime64[ms]").astype("datetime64[M]")
    with store.file.cursor("fill the store") as cursor:
        found = cursor.execute(
            "select name, meter_number, tag.number from tag join meter on meter_number"
            " = meter.number"
        ).fetchall()
        numbers = {name: (meter, tag) for name, meter, tag in found}
        meters, tags = np.array([numbers[meter] for meter in ids]).T
        for month in np.unique(months):
            some = day.pick(months == month)
            arrays = {
                "meter": meters[some.place],
                "at_ms": some.at_ms,
                "tag": tags[some.place],
                _COUNTER: some.energy,
            } | dict.fromkeys(GAUGES[:gauges], some.power)
            names = ", ".join(arrays)
            table = f"reading_{str(month).replace('-', '')}"
            cursor.register("incoming", arrays)
            cursor.execute(f"insert into {table} ({names}) select {names} from incoming")  # noqa: S608
            cursor.unregister("incoming")


# -- settling --------------------------------------------------------------------------------------


class _Town(Struct, frozen=True):
    settlement: Settlement
    store: DuckDbReadingStore
    state: SqlSmallState
    fleet: Fleet


@contextmanager
def _town(folder: Path, load: Load) -> Iterator[_Town]:
    fleet = _fleet(load)
    with (
        closing(DuckDbReadingStore(folder / "readings.duckdb", memory=_DATABASE_MEMORY)) as store,
        closing(SqlSmallState(f"sqlite:///{folder / 'state.sqlite'}")) as state,
    ):
        parts = Parts(
            store=store,
            intervals=DuckDbIntervalStore(store.file),
            dirty=state.dirty_book,
            marks=DirtyMarks(),
            entries=state.entry_book,
            epochs=state.epoch_book,
            fleet=fleet,
            clock=_Then(now_ms=_FIRST_MS + load.days * DAY_MS),
            classify=Calendar(years=frozenset(), days={}).classify,
        )
        yield _Town(Settlement(parts), store, state, fleet)


class _Then:
    """A clock that stands."""

    def __init__(self, *, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return 0

    def real_s(self, wall_ms: int) -> float:
        return wall_ms / 1000


def _mark(town: _Town, load: Load) -> None:
    days = range(_FIRST_MS, _FIRST_MS + load.days * DAY_MS, DAY_MS)
    town.state.dirty_book.mark_dirty([(meter, day) for meter in _ids(load) for day in days])


def _late_hour(town: _Town, load: Load, day: int) -> float:
    """What was left out of one hour of the first meter comes: milliseconds until it is settled."""
    meter = _ids(load)[0]
    start_ms = _FIRST_MS + day * DAY_MS + day * HOUR_MS
    before = town.store.nearest(meter, _COUNTER, start_ms, later=False, most=1)
    after = town.store.nearest(meter, _COUNTER, start_ms, later=True, most=1)
    assert after is not None
    low_ms, low = (start_ms - 1, float(after.values[0]))
    if before is not None:
        low_ms, low = int(before.at_ms[0]), float(before.values[0])
    rise = (float(after.values[0]) - low) / (int(after.at_ms[0]) - low_ms)
    tags = tags_of(town.fleet.meters[meter][-1])
    rows = [
        Row(
            meter=meter,
            at_ms=at_ms,
            values={_COUNTER: round(low + rise * (at_ms - low_ms), 2)},
            tags=tags,
        )
        for at_ms in range(start_ms, start_ms + HOUR_MS, load.every_ms)
        if at_ms > low_ms and at_ms < int(after.at_ms[0])
    ]
    town.store.write(rows)
    town.state.dirty_book.mark_dirty([(meter, _FIRST_MS + day * DAY_MS)])
    began = time.perf_counter()
    report = town.settlement.settle_dirty()
    took_ms = (time.perf_counter() - began) * 1000
    assert report.days, report
    return took_ms


def _fleet(load: Load) -> Fleet:
    return Fleet(
        stores={"120101": "bench-1"},
        institutions={},
        buildings={},
        gateways={},
        meters={meter: (_entry(load, place),) for place, meter in enumerate(_ids(load))},
        virtual_meters={},
    )


def _entry(load: Load, place: int) -> MeterEntry:
    tree = place // _IN_A_TREE if load.trees else 0
    main = min((tree + 1) * _IN_A_TREE, load.meters) - 1
    return MeterEntry(
        meter=_id(place),
        gateway=f"gw-{place // 50}",
        district="120101",
        institution=f"e{1 + tree // _BUILDINGS:03}",
        sector=Sector.HOSPITAL,
        building=f"e{1 + tree // _BUILDINGS:03}-b{1 + tree % _BUILDINGS}",
        circuit="支路",
        energy="01A10",
        parent=_id(main) if load.trees and place != main else None,
        model="bench",
        direction=Direction.IMPORT,
        limits={},
        rated={"active_power_kw": 100.0},
        cycle_s=load.every_ms // 1000,
        valid_from_ms=0,
        valid_to_ms=None,
    )


def _id(place: int) -> str:
    return f"m{place:05}"


def _ids(load: Load) -> list[str]:
    return [_id(place) for place in range(load.meters)]


def _peak_mb() -> float:
    return peak_mb(multiprocessing.current_process().pid or 0)


# -- figures ---------------------------------------------------------------------------------------


def _of_month(load: Load, cost: Cost) -> Iterator[Figure]:
    section = "settle, month"
    what = f"{load.meters:,} 块表一个月，每分钟一次 meters, a month of minutes"
    yield Figure(
        section=section,
        what=what,
        value=cost.wall_s,
        unit="s",
        digits=1,
        aim=_AIM_S,
        note=f"{load.readings / 1e6:.1f} M readings, {cost.cpu_s:.1f} CPU-s,"
        f" {cost.written / 1e6:.1f} M rows written",
    )
    yield Figure(
        section=section,
        what="读数 readings",
        value=load.readings / cost.wall_s,
        unit="rows/s",
        digits=0,
    )
    yield Figure(
        section=section,
        what="结算占用内存 memory above the open store",
        value=cost.peak_mb - cost.base_mb,
        unit="MB",
        digits=0,
        aim=_AIM_MB,
        note=f"{cost.peak_mb:.0f} MB in all, of which the database may take {_DATABASE_MEMORY}",
    )
    yield Figure(
        section=section,
        what="再结算一次 the same again",
        value=cost.again_s,
        unit="s",
        digits=1,
        note="writes nothing",
    )
    late = sorted(cost.late_ms)
    yield Figure(
        section=section,
        what="补到一块表一小时的数据 a late hour of one meter",
        value=late[len(late) // 2],
        unit="ms",
        digits=0,
        aim=_AIM_MS,
        note=f"median of {len(late)}, the slowest {late[-1]:.0f} ms",
    )


def _of_live(load: Load, cost: Cost) -> Iterator[Figure]:
    yield Figure(
        section="settle, job",
        what=f"每刻钟一次，{load.meters:,} 块表 the quarter-hourly job",
        value=cost.wall_s,
        unit="s",
        digits=1,
        note=f"at the day's end; a counter and {load.gauges} gauges a minute;"
        f" {cost.cpu_s / 900:.1%} of a core, {cost.peak_mb:.0f} MB",
    )


def _of_growth(load: Load, cost: Cost, smallest: float) -> Figure:
    ratio = cost.cpu_s / load.meters / smallest
    return Figure(
        section="settle, growth",
        what=f"{load.meters:,} 块表 meters",
        value=cost.cpu_s / load.meters * 1000,
        unit="CPU-ms/meter",
        digits=2,
        note=f"{load.days} days every 15 min: {cost.wall_s:.1f} s, {cost.peak_mb:.0f} MB;"
        f" {ratio:.2f} of the smallest's",
    )
