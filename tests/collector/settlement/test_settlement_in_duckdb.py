"""Settlement on the real database and the real books: the same as on the fakes, in any order."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from msgspec import structs

from collector.adapters.duckdb import DuckDbReadingStore
from collector.adapters.duckdb_intervals import DuckDbIntervalStore
from collector.adapters.sql import SqlSmallState
from collector.settle.cells import DAY_MS, Width
from collector.settlement.service import Settlement
from tests.fakes.settling import START_MS, Settling, hourly, meter

WIDTHS = (Width.QUARTER, Width.HOUR, Width.DAY, Width.MONTH)
NOW_MS = START_MS + 40 * DAY_MS
ENTRIES = (meter("m1"), meter("m2"))


@contextmanager
def real(folder: Path) -> Iterator[Settling]:
    with (
        closing(DuckDbReadingStore(folder / "readings.duckdb")) as store,
        closing(SqlSmallState(f"sqlite:///{folder / 'state.sqlite'}")) as state,
    ):
        town = Settling(
            *ENTRIES, now_ms=NOW_MS, store=store, intervals=DuckDbIntervalStore(store.file)
        )
        town.dirty, town.entries, town.epochs = state.dirty_book, state.entry_book, state.epoch_book
        town.parts = structs.replace(
            town.parts, dirty=town.dirty, entries=town.entries, epochs=town.epochs
        )
        town.settlement = Settlement(town.parts)
        yield town


def readings() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """One meter with a gap of days and one that begins anew, and gauges of both."""
    at_ms, values = hourly(40 * 24)
    gap = np.ones(len(at_ms), np.bool_)
    gap[30 * 24 + 2 : 32 * 24 + 5] = False
    reset = values.copy()
    reset[700:] -= reset[700]
    return {"m1": (at_ms[gap], values[gap]), "m2": (at_ms, reset)}


def put_all(town: Settling, lots: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    told = readings()
    orders = {name: random.permutation(len(at_ms)) for name, (at_ms, _) in told.items()}
    for lot in range(lots):
        for name, (at_ms, values) in told.items():
            part = np.array_split(orders[name], lots)[lot]
            town.put(name, at_ms[part], values[part])
            town.put(name, at_ms[part], values[part] / 100, "active_power_kw")
        town.settlement.settle_dirty()


def gauges(town: Settling) -> list[tuple[object, ...]]:
    return [
        (one.meter, one.width, *(getattr(one, name).tolist() for name in ("start_ms", "mean")))
        for width in (Width.QUARTER, Width.HOUR, Width.DAY)
        for one in town.intervals.gauges(["m1", "m2"], width, 0, NOW_MS)
    ]


def test_what_comes_in_lots_and_out_of_order_ends_as_on_the_fakes_at_once(tmp_path: Path) -> None:
    fake = Settling(*ENTRIES, now_ms=NOW_MS)
    put_all(fake, lots=1, seed=1)

    with real(tmp_path) as town:
        put_all(town, lots=4, seed=2)

        for name in ("m1", "m2"):
            for width in WIDTHS:
                assert town.table(name, width) == fake.table(name, width), (name, width)
        assert gauges(town) == gauges(fake)
        assert town.dirty.count_dirty() == 0


def test_after_a_restart_settling_again_writes_nothing(tmp_path: Path) -> None:
    with real(tmp_path) as town:
        put_all(town, lots=2, seed=3)

    with real(tmp_path) as again:
        writes: list[object] = []
        again.intervals.write_meters_gauges = writes.append
        report = again.settlement.settle(None, START_MS, NOW_MS)

    assert (report.days, report.written, writes) == (80, 0, [])


def test_groups_of_one_stretch_give_what_one_large_group_gives(tmp_path: Path) -> None:
    fake = Settling(*ENTRIES, now_ms=NOW_MS)
    put_all(fake, lots=1, seed=1)

    with real(tmp_path) as town:
        town.settlement = Settlement(structs.replace(town.parts, most_readings=1))
        put_all(town, lots=1, seed=1)

        for name in ("m1", "m2"):
            assert town.table(name, Width.QUARTER) == fake.table(name, Width.QUARTER)
