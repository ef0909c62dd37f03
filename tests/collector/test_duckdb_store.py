"""What only the DuckDB store promises: one file, that survives what happens to a machine."""

import math
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent

import duckdb  # noqa: TID251  the file is looked at from outside
import numpy as np
import pytest

from collector.adapters.duckdb import DuckDbReadingStore
from collector.store import Count, Row, StoreFull, StoreIdentity, StoreRefused, Tags
from metering.quantity import QUANTITIES
from metering.reading import Reading

JUNE_MS = 1_780_272_000_000  # 2026-06-01T00:00:00Z
MINUTE_MS = 60_000
EVER = (0, 2**41)
TAGS = Tags(
    district="120101",
    sector="hospital",
    institution="e001",
    building="e001-b1",
    circuit="总进线",
    meter="m",
    energy="01000",
    gateway="gw",
)


def row(minute: int, fault: str | None = None, **values: float) -> Row:
    at_ms = JUNE_MS + minute * MINUTE_MS
    return Row(meter="m", at_ms=at_ms, values=values, fault=fault, tags=TAGS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "readings.duckdb"


@contextmanager
def opened(path: Path) -> Iterator[DuckDbReadingStore]:
    with closing(DuckDbReadingStore(path)) as store:
        yield store


def columns(path: Path, table: str) -> list[str]:
    with duckdb.connect(str(path)) as outside:
        found = outside.execute(f"describe {table}").fetchall()
    return [name for name, *_ in found]


def writer(path: Path, body: str) -> subprocess.Popen[str]:
    """Run code in another process; `store` and `row` are there."""
    start = f"""
    import sys
    sys.path.insert(0, "tests/collector")
    from test_duckdb_store import DuckDbReadingStore, Path, row
    store = DuckDbReadingStore(Path({str(path)!r}))
    """
    return subprocess.Popen(
        [sys.executable, "-c", dedent(start) + dedent(body)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# -- one file ----------------------------------------------------------------------------------


def test_everything_is_there_after_opening_again(path: Path) -> None:
    with opened(path) as store:
        store.write(
            [row(0, voltage_l1_v=230.0), row(5, fault="timeout"), row(-60_000, volume_m3=1)]
        )
        store.declare(StoreIdentity(id="heping-1", generation=3))

    with opened(path) as store:
        outcome = store.write([row(0, voltage_l1_v=230.0), row(5, fault="timeout")])

        assert outcome.duplicate_values == 1
        assert store.identify() == StoreIdentity(id="heping-1", generation=3)
        assert store.count() == Count(readings=3, values=2)
        assert [one.at_ms for one in store.latest()] == [JUNE_MS]


def test_the_latest_of_a_faulty_reading_is_known_after_opening_again(path: Path) -> None:
    with opened(path) as store:
        store.write([row(0, voltage_l1_v=1.0), row(1, fault="short", voltage_l1_v=2.0)])
        store.write([row(2, fault="timeout")])

    with opened(path) as store:
        assert store.latest() == [
            Reading(
                meter="m", at_ms=JUNE_MS + MINUTE_MS, values={"voltage_l1_v": 2.0}, fault="short"
            )
        ]


def test_a_month_has_a_table_with_the_columns_it_needed(path: Path) -> None:
    with opened(path) as store:
        store.write([row(0, voltage_l1_v=230.0), row(-1, volume_m3=1.0)])
        store.write([row(1, frequency_hz=50.0)])

    assert columns(path, "reading_202606")[4:] == ["voltage_l1_v", "frequency_hz"]
    assert columns(path, "reading_202605")[4:] == ["volume_m3"]


def test_a_quantity_that_is_new_to_the_table_finds_its_column(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as store:
        store.write([row(0, voltage_l1_v=230.0)])
    monkeypatch.setitem(QUANTITIES, "spin_hz", QUANTITIES["frequency_hz"])

    with opened(path) as store:
        store.write([row(0, spin_hz=1.0), row(1, spin_hz=2.0)])

        assert [one.values for one in store.readings(["m"], None, *EVER)] == [
            {"voltage_l1_v": 230.0, "spin_hz": 1.0},
            {"spin_hz": 2.0},
        ]


def test_an_absent_quantity_is_null_and_never_nan(path: Path) -> None:
    with opened(path) as store:
        store.write([row(0, voltage_l1_v=230.0), row(1, frequency_hz=50.0), row(2, fault="short")])
        store.write([row(0, frequency_hz=50.0), row(2, voltage_l1_v=1.0), row(3, volume_m3=1.0)])

    with duckdb.connect(str(path)) as outside:
        found = outside.execute(
            "select count(*) filter (isnan(voltage_l1_v) or isnan(frequency_hz)),"
            " count(*) filter (voltage_l1_v is null) from reading_202606"
        ).fetchall()
    assert found == [(0, 2)]


def test_the_instants_of_a_readings_quantities_are_held_in_memory_once(path: Path) -> None:
    with opened(path) as store:
        store.write([row(minute, voltage_l1_v=220.0, frequency_hz=50.0) for minute in range(3)])
        store.write([row(3, voltage_l1_v=230.0)])
        names = ["frequency_hz", "voltage_l1_v"]

        first, second = store.columns(["m"], names, JUNE_MS, JUNE_MS + 3 * MINUTE_MS)
        sparse, whole = store.columns(["m"], names, *EVER)

    assert np.shares_memory(first.at_ms, second.at_ms)
    assert sparse.at_ms.tolist() == [JUNE_MS, JUNE_MS + MINUTE_MS, JUNE_MS + 2 * MINUTE_MS]
    assert len(whole.at_ms) == 4


def test_readings_can_be_looked_up_by_their_tags(path: Path) -> None:
    with opened(path) as store:
        store.write([row(0, voltage_l1_v=230.0)])

    with duckdb.connect(str(path)) as outside:
        found = outside.execute(
            "select circuit, voltage_l1_v from reading_202606 join tag on tag = number"
            " where district = '120101'"
        ).fetchall()
    assert found == [("总进线", 230.0)]


def test_old_months_are_dropped_whole(path: Path) -> None:
    with opened(path) as store:
        store.write([row(minute, volume_m3=1.0) for minute in (-50_000, -1, 0, 50_000)])

        dropped = store.drop_before(JUNE_MS + MINUTE_MS)

        assert dropped == 2
        assert store.count() == Count(readings=2, values=2)
        assert store.drop_before(JUNE_MS) == 0
    with opened(path) as store:
        assert store.count() == Count(readings=2, values=2)


def test_a_meter_whose_months_were_dropped_goes_on(path: Path) -> None:
    with opened(path) as store:
        store.write([row(-1, volume_m3=1.0)])
        store.drop_before(JUNE_MS)

        assert store.latest() == []
        assert store.write([row(-1, volume_m3=1.0)]).stored_values == 1
        assert [one.at_ms for one in store.latest()] == [JUNE_MS - MINUTE_MS]


# -- what is no store of ours --------------------------------------------------------------------


def test_a_file_that_another_process_has_is_refused(path: Path) -> None:
    other = writer(path, "print('open', flush=True); sys.stdin.read()")
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"

        with pytest.raises(StoreRefused, match="already open by another process"):
            DuckDbReadingStore(path)
    finally:
        other.communicate()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)

    with pytest.raises(StoreRefused, match="cannot open"):
        DuckDbReadingStore(path)


def test_a_folder_that_is_missing_is_refused(path: Path) -> None:
    with pytest.raises(StoreRefused, match="cannot open"):
        DuckDbReadingStore(path / "none" / "readings.duckdb")


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    DuckDbReadingStore(path).close()
    with duckdb.connect(str(path)) as outside:
        outside.execute("update nenghao_schema set version = 99")

    with pytest.raises(StoreRefused, match="99"):
        DuckDbReadingStore(path)

    _, said = writer(path, "").communicate()  # refused as well, but not as "already open"
    assert "99" in said


# -- what happens to a machine -------------------------------------------------------------------


def test_what_was_written_survives_a_kill(path: Path) -> None:
    body = """
    import itertools
    for call in itertools.count():
        rows = [row(call * 100 + minute, voltage_l1_v=float(minute)) for minute in range(100)]
        late = [row(call * 100, frequency_hz=50.0)]
        store.write(rows)
        store.write(late)
        print(call, flush=True)
    """
    for _ in range(3):
        child = writer(path, body)
        assert child.stdout is not None
        last = [child.stdout.readline() for _ in range(12)][-1]
        child.send_signal(signal.SIGKILL)
        rest = child.communicate()[0].splitlines()
        done = 1 + max(int(line) for line in (last, *rest) if line.strip())

        with opened(path) as store:
            held = store.count()
            assert held.values >= done * 101
            assert (held.readings - done * 100) in (0, 100)
        path.unlink()


@pytest.mark.server
def test_a_write_is_synced_before_it_returns(path: Path, tmp_path: Path) -> None:
    body = """
    import os
    store.write([row(0, voltage_l1_v=1.0)])
    for minute in (1, 2, 3):
        os.write(1, b"before")
        store.write([row(minute, voltage_l1_v=1.0)])
        os.write(1, b"after")
    """
    log = tmp_path / "strace"
    child = [sys.executable, "-c", "import os; print(os.getpid())"]
    try:
        subprocess.run(["strace", "-V"], check=True, capture_output=True)
        subprocess.run(["strace", "-o", str(log), *child], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("strace is missing or may not trace: apt-get install strace")
    start = f"""
    import sys
    sys.path[:0] = ["tests/collector", "."]
    from test_duckdb_store import DuckDbReadingStore, Path, row
    store = DuckDbReadingStore(Path({str(path)!r}))
    """
    code = dedent(start) + dedent(body)
    calls = "trace=fsync,fdatasync,write,pwrite64"
    subprocess.run(
        ["strace", "-f", "-y", "-e", calls, "-o", str(log), sys.executable, "-c", code],
        check=True,
        capture_output=True,
    )

    writes = log.read_text().split('"before"')[1:]
    assert len(writes) == 3
    for write in writes:
        inside = write.split('"after"')[0]
        assert ".wal" in inside
        assert "sync(" in inside


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.server
@pytest.mark.parametrize("log", ["64MB", "1MB"], ids=["in the log", "in a checkpoint"])
def test_a_full_disk_holds_the_write_and_loses_nothing(small_disk: Path, log: str) -> None:
    path = small_disk / "readings.duckdb"
    quantities = list(QUANTITIES)[:40]
    calls = [
        [
            row(first + m, **{q: math.sin(m + p) for p, q in enumerate(quantities)})
            for m in range(200)
        ]
        for first in range(0, 60_000, 200)
    ]
    size = 200 * len(quantities)
    with closing(DuckDbReadingStore(path, log=log)) as store:
        done: list[int] = []
        held: list[int] = []
        for number, rows in enumerate(calls):
            try:
                store.write(rows)
                done.append(number)
            except StoreFull:  # and opening again may make a little room
                held.append(number)
            if len(held) == 5:
                break
        subprocess.run(["mount", "-o", "remount,size=80m", str(small_disk)], check=True)

        again = [store.write(calls[number]) for number in held]

        assert len(held) == 5
        assert done
        # A write may have been stored and its checkpoint failed: then it is all there already.
        assert {(one.stored_values, one.duplicate_values) for one in again} <= {
            (size, 0),
            (0, size),
        }
        assert store.count().values == size * len(done + held)
    with opened(path) as store:
        assert store.count().values == size * len(done + held)


def test_a_write_that_failed_leaves_the_next_one_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as store:
        with monkeypatch.context() as patch:
            patch.setattr(store._tables, "keep_beside", lambda _: Path("/none").stat())
            with pytest.raises(FileNotFoundError):
                store.write([row(0, voltage_l1_v=230.0)])

        assert store.count() == Count(readings=0, values=0)
        assert store.write([row(0, voltage_l1_v=230.0)]).stored_values == 1
        assert len(store.latest()) == 1


def test_reads_in_other_threads_see_whole_writes(path: Path) -> None:
    torn: list[object] = []
    done = threading.Event()

    def read(store: DuckDbReadingStore) -> None:
        while not done.is_set():
            counted = store.count()
            newest = store.latest()
            windows = store.windows("m", "voltage_l1_v", *EVER, 15 * MINUTE_MS)
            if counted.readings % 30 or any((one.at_ms // MINUTE_MS) % 30 != 29 for one in newest):
                torn.append((counted, newest))
            if sum(window.count for window in windows) % 30:
                torn.append(windows)

    with opened(path) as store:
        threads = [threading.Thread(target=read, args=(store,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for call in range(100):
            other = list(QUANTITIES)[
                1 + call // 2
            ]  # new columns and, every thirty calls, a new month
            rows = [row(call * 1500 + m, voltage_l1_v=1.0, **{other: 1.0}) for m in range(30)]
            store.write(rows)
        done.set()
        for thread in threads:
            thread.join()
        assert torn == []
        assert store.count().readings == 3000


def test_a_backlog_beside_live_readings_is_checked_as_well(path: Path) -> None:
    with opened(path) as store:
        old = [row(minute, voltage_l1_v=1.0) for minute in (-80_000, -40_000, -39_999, 0)]
        store.write(old)

        outcome = store.write([*old, *(row(m, voltage_l1_v=2.0) for m in (-80_001, -39_998, 1, 2))])

        assert (outcome.stored_values, outcome.duplicate_values) == (4, 4)
        assert store.count() == Count(readings=8, values=8)
