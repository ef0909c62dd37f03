"""What only the DuckDB interval store promises: it shares a file with the readings' hot path."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb  # noqa: TID251  the file is looked at from outside
import numpy as np
import pytest

from collector.adapters.duckdb import DuckDbReadingStore
from collector.adapters.duckdb_intervals import DuckDbIntervalStore
from collector.adapters.interval_tables import Series
from collector.intervals import Figure, GaugeWindows, Intervals, Subject
from collector.settle.cells import Cells, Width
from collector.store import Row, StoreAway, Tags

JUNE_MS = 1_780_272_000_000  # 2026-06-01T00:00:00Z
QUARTER_MS = 900_000
DAY_MS = 86_400_000
EVER = (0, 2**41)


def tags(meter: str = "m") -> Tags:
    return Tags(
        district="120101",
        sector="hospital",
        institution="e001",
        building="e001-b1",
        circuit="总进线",
        meter=meter,
        energy="01000",
        gateway="gw",
    )


def row(minute: int, value: float = 1.0, meter: str = "m") -> Row:
    at_ms = JUNE_MS + minute * 60_000
    return Row(meter=meter, at_ms=at_ms, values={"volume_m3": value}, tags=tags(meter))


def intervals(
    count: int,
    value: int = 1,
    *,
    meter: str = "m",
    start_ms: int = JUNE_MS,
    width: Width = Width.QUARTER,
) -> Intervals:
    nothing = np.zeros(count)
    cells = Cells(
        start_ms=start_ms + QUARTER_MS * np.arange(count, dtype=np.int64),
        value=np.full(count, value, np.int64),
        known=np.ones(count, np.bool_),
        measured=np.ones(count),
        estimated=nothing,
        edited=nothing,
        missing=nothing,
        rules=np.zeros(count, np.int64),
    )
    return Intervals(
        meter=meter,
        quantity="volume_m3",
        width=width,
        cells=cells,
        version=np.full(count, value, np.int64),
    )


def gauge(start_ms: int, width: Width) -> GaugeWindows:
    one = np.ones(1)
    start, count = np.array([start_ms], np.int64), np.array([15], np.int64)
    return GaugeWindows(
        meter="m",
        quantity="flow_m3_h",
        width=width,
        start_ms=start,
        count=count,
        lowest=one,
        mean=one,
        highest=one,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "readings.duckdb"


@contextmanager
def opened(path: Path) -> Iterator[tuple[DuckDbReadingStore, DuckDbIntervalStore]]:
    with closing(DuckDbReadingStore(path)) as readings:
        yield readings, DuckDbIntervalStore(readings.file)


def total(store: DuckDbIntervalStore, width: Width = Width.QUARTER) -> list[int]:
    return [int(one.cells.value.sum()) for one in store.intervals(["m", "n"], width, *EVER)]


# -- one file ----------------------------------------------------------------------------------


def test_everything_is_there_and_still_replaced_after_opening_again(path: Path) -> None:
    kept = Figure(subject=Subject.METER, id="m", day_ms=JUNE_MS, name="x_share", value=0.5)
    with opened(path) as (_, store):
        store.write_intervals(tags(), [intervals(96)])
        store.write_gauges(tags(), [gauge(JUNE_MS, Width.HOUR)])
        store.write_figures([kept])

    with opened(path) as (readings, store):
        store.write_intervals(tags(), [intervals(2, 10)])
        store.write_intervals(tags("n"), [intervals(1, 7, meter="n")])
        readings.write([row(0)])

        assert total(store) == [94 + 20, 7]
        assert len(store.gauges(["m"], Width.HOUR, *EVER)) == 1
        assert store.figures(Subject.METER, *EVER) == [kept]
        assert readings.count().readings == 1


def test_the_tables_can_be_asked_as_the_data_contract_says(path: Path) -> None:
    with opened(path) as (_, store):
        store.write_intervals(tags(), [intervals(96, 250_000)])

    with duckdb.connect(str(path)) as outside:
        found = outside.execute(
            "select s.building, sum(i.value) / 1e6 as m3"
            " from interval_15m_202606 i join series s on s.number = i.series"
            " where s.quantity = 'volume_m3' group by s.building"
        ).fetchall()
    assert found == [("e001-b1", 24.0)]


def test_quarters_of_old_months_are_forgotten_and_hours_stay(path: Path) -> None:
    may_ms, july_ms = JUNE_MS - DAY_MS, JUNE_MS + 35 * DAY_MS
    with opened(path) as (_, store):
        for start_ms in (may_ms, JUNE_MS, july_ms):
            for width in (Width.QUARTER, Width.HOUR, Width.DAY):
                store.write_intervals(tags(), [intervals(1, start_ms=start_ms, width=width)])
                store.write_gauges(tags(), [gauge(start_ms, width)])

        store.drop_quarters(JUNE_MS + DAY_MS)
        late = intervals(1, 5, start_ms=may_ms)
        store.write_intervals(tags(), [late])

        assert total(store) == [5 + 2]
        assert total(store, Width.HOUR) == total(store, Width.DAY) == [3]
        assert [len(one.mean) for one in store.gauges(["m"], Width.QUARTER, *EVER)] == [2]
        assert [len(one.mean) for one in store.gauges(["m"], Width.HOUR, *EVER)] == [3]


# -- beside the hot path -----------------------------------------------------------------------


def test_readings_and_intervals_are_written_beside_each_other(path: Path) -> None:
    with opened(path) as (readings, store):
        failed: list[Exception] = []

        def write_readings() -> None:
            try:
                for call in range(100):  # a new month, so new tables, every ten calls
                    readings.write([row(call * 4_400 + place) for place in range(50)])
            except StoreAway as error:
                failed.append(error)

        thread = threading.Thread(target=write_readings)
        thread.start()
        for day in range(200):
            store.write_intervals(tags(), [intervals(96, start_ms=JUNE_MS + day * DAY_MS)])
            store.write_intervals(tags("n"), [intervals(96, day, meter="n")])
        thread.join()

        assert failed == []
        assert readings.count().readings == 5_000
        assert total(store) == [200 * 96, 199 * 96]
        assert readings.file.opened == 1


def test_reads_in_other_threads_see_whole_writes(path: Path) -> None:
    torn: list[object] = []
    done = threading.Event()

    def read(store: DuckDbIntervalStore) -> None:
        while not done.is_set():
            (one,) = store.intervals(["m"], Width.QUARTER, *EVER)
            if len(one.version) != 96 or len(set(one.version.tolist())) != 1:
                torn.append(one)

    with opened(path) as (_, store):
        start_ms = JUNE_MS - DAY_MS // 2  # a write touches two months' tables
        store.write_intervals(tags(), [intervals(96, start_ms=start_ms)])
        threads = [threading.Thread(target=read, args=(store,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for version in range(2, 100):
            store.write_intervals(tags(), [intervals(96, version, start_ms=start_ms)])
        done.set()
        for thread in threads:
            thread.join()

    assert torn == []


def test_a_long_write_needs_little_memory(path: Path) -> None:
    with closing(DuckDbReadingStore(path, memory="60MB", log="4MB")) as readings:
        store = DuckDbIntervalStore(readings.file, most_rows=20_000)

        store.write_meters(
            [(tags(f"m{number}"), [intervals(2_976, meter=f"m{number}")]) for number in range(150)]
        )

        (last,) = store.intervals(["m149"], Width.QUARTER, *EVER)
        assert len(last.cells.value) == 2_976
        assert len(store.intervals(["m0", "m77"], Width.QUARTER, *EVER)) == 2


# -- when something fails ----------------------------------------------------------------------


def test_after_a_failure_of_one_store_both_go_on(path: Path) -> None:
    with opened(path) as (readings, store):
        readings.write([row(0)])
        store.write_intervals(tags(), [intervals(4)])

        with pytest.raises(StoreAway, match="cannot spoil it"):
            store._commit("spoil it", lambda cursor, _: cursor.execute("select * from nowhere"))

        assert readings.write([row(0), row(1)]).stored_values == 1
        assert readings.file.opened == 2
        store.write_intervals(tags(), [intervals(2, 10)])
        assert total(store) == [22]
        assert readings.count().readings == 2


def test_a_write_that_failed_half_way_leaves_nothing_and_the_next_one_is_whole(path: Path) -> None:
    with opened(path) as (_, store):
        store.write_intervals(tags(), [intervals(4)])
        bad = intervals(4, 10, start_ms=JUNE_MS - 2 * QUARTER_MS)
        bad = Intervals(
            meter="m",
            quantity="volume_m3",
            width=Width.QUARTER,
            cells=bad.cells,
            version=np.full(4, 2**40),  # more than its column holds
        )

        with pytest.raises(StoreAway):
            store.write_intervals(tags(), [bad])

        assert total(store) == [4]
        store.write_intervals(tags(), [intervals(4, 10, start_ms=JUNE_MS - 2 * QUARTER_MS)])
        assert total(store) == [42]


def test_what_a_broken_off_write_remembered_is_forgotten(path: Path) -> None:
    def work(_: object, series: Series) -> None:
        series.add(7, "volume_m3", tags("n"))
        raise LookupError

    with opened(path) as (_, store):
        with pytest.raises(LookupError):
            store._commit("break off", work)

        store.write_intervals(tags("n"), [intervals(2, meter="n")])

        assert total(store) == [2]


def test_a_conflict_with_another_writer_is_tried_again(path: Path) -> None:
    with opened(path) as (readings, store), readings.file.cursor("write beside") as other:
        other.begin()
        other.execute("create table beside (x integer)")
        tries: list[int] = []

        def work(cursor: duckdb.DuckDBPyConnection, _: object) -> None:
            tries.append(1)
            if len(tries) == 2:
                other.rollback()
            cursor.execute("create table beside (y integer)")

        store._commit("meet another", work)

        assert len(tries) == 2
        assert readings.file.opened == 1


def test_nobody_loses_the_file_while_it_is_opened_again(path: Path) -> None:
    with opened(path) as (readings, _):
        readings.write([row(0)])
        writer = threading.Thread(target=readings.write, args=([row(1)],))
        with readings.file.cursor("look around") as cursor:
            readings.file.fail()
            writer.start()
            writer.join(0.3)  # time enough to do it wrong

            assert writer.is_alive()
            assert cursor.execute("select count(*) from reading_202606").fetchall() == [(1,)]
            assert readings.file.opened == 1
        writer.join()

        assert readings.file.opened == 2
        assert readings.count().readings == 2


def test_a_closed_file_is_away_and_stays_closed(path: Path) -> None:
    with opened(path) as (readings, store):
        store.write_intervals(tags(), [intervals(1)])
        readings.file.fail()
        readings.close()

        with pytest.raises(StoreAway):
            store.write_intervals(tags(), [intervals(1)])
        with pytest.raises(StoreAway):
            store.intervals(["m"], Width.QUARTER, *EVER)

    with opened(path) as (_, store):  # nobody holds it
        assert total(store) == [1]
