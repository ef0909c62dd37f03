"""The spool on real faults: kill -9, a full disk, a damaged file, a lost power line.

What needs root, a small filesystem or strace is never skipped in CI.
"""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from gateways.adapters.sqlite import SqliteSpool
from gateways.spool.port import SpoolBusy, SpoolCorrupt, SpoolFull, SpoolTaken
from metering.batch import BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import Sender
from metering.reading import Reading
from metering.wire import digest_of
from tests.servers.influx import required_program

ROOT = Path(__file__).parents[2]
PAGE = 512
EVER = 1 << 60
APPENDER = """
import os, sys
from pathlib import Path
from gateways.adapters.sqlite import SqliteSpool
from metering.batch import BatchKey, Sealed
from metering.wire import digest_of

spool = SqliteSpool(Path(sys.argv[1]))
if not spool.books():
    spool.mint("E1")
first = spool.books()[0].next
os.write(1, b"BEGIN\\n")
for sequence in range(first, first + int(sys.argv[2])):
    payload = sequence.to_bytes(4, "big") * 500
    spool.append(
        Sealed(
            key=BatchKey("E1", sequence),
            digest=digest_of(payload),
            payload=payload,
            content_type="application/json",
        ),
        sealed_at_ms=sequence,
    )
    os.write(1, b"%d\\n" % sequence)
if sys.argv[3:] == ["die"]:
    os.kill(os.getpid(), 9)
"""


def span(first: int, last: int) -> Ranges:
    return Ranges.span(first, last)


def batch(sequence: int, epoch: str = "E1", size: int = 2_000) -> Sealed:
    name = f"{epoch} {sequence} "
    noise = random.Random(name).randbytes(size)  # nothing that a spool could make smaller
    payload = (f"{name}{name}".encode() + noise)[:size]
    return Sealed(
        key=BatchKey(epoch, sequence),
        digest=digest_of(payload),
        payload=payload,
        content_type="application/json",
    )


def fill(spool: SqliteSpool, sequences: range) -> Ranges:
    """Append; returns what was dropped to make room."""
    dropped = Ranges()
    for n in sequences:
        dropped |= spool.append(batch(n), sealed_at_ms=n).get("E1", Ranges())
    return dropped


def mark(spool: SqliteSpool, committed: Ranges) -> None:
    books = spool.books()
    books[0].committed = committed
    spool.mark("heping-1", 1, tuple(books))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


# ---- kill -9


def appender(folder: Path, count: int, *end: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(folder), str(count), *end],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


@pytest.mark.server
def test_nothing_that_append_returned_for_is_lost_to_kill_9(folder):
    kept = 0
    for milliseconds in (5, 40, 90, 150, 220, 300):
        process = appender(folder, 1_000_000)
        assert process.stdout is not None
        assert process.stdout.readline() == b"BEGIN\n"
        time.sleep(milliseconds / 1000)  # anywhere in the middle of an append
        process.kill()
        said = [n for n in process.stdout.read().split() if n.isdigit()]
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL

        with closing(SqliteSpool(folder)) as spool:
            (book,) = spool.books()
            kept = max(kept, *map(int, said), 0)
            assert book.held in {span(1, kept), span(1, kept + 1)}
            kept = book.held.highest
            assert spool.load(BatchKey("E1", kept)) is not None
            assert spool.corrupt_files() == 0
    assert kept > 6


# ---- a lost power line: what is not synced is not there


@pytest.mark.server
def test_the_log_is_synced_before_append_returns(folder, tmp_path):
    strace = required_program("strace", "strace")
    trace = tmp_path / "trace"

    subprocess.run(
        [
            *(strace, "-f", "-y", "-e", "trace=pwrite64,write,fsync,fdatasync", "-o", str(trace)),
            *(sys.executable, "-c", APPENDER, str(folder), "5"),
        ],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )

    calls = [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines()]
    marks = [n for n, call in enumerate(calls) if re.match(r'write\(1<.*"(BEGIN|\d+)\\n"', call)]
    assert len(marks) == 6
    for before, after in pairwise(marks):
        during = calls[before + 1 : after]
        written = [n for n, call in enumerate(during) if re.match(r"pwrite64\(.*-wal>", call)]
        synced = [n for n, call in enumerate(during) if re.match(r"f(data)?sync\(.*-wal>", call)]
        assert written, "nothing was written to the log"
        assert synced[-1] > written[-1]


# ---- a full disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 14 MiB."""
    mount, unmount = required_program("mount", "mount"), required_program("umount", "mount")
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=14m", "tmpfs", str(place)],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        message = f"a tmpfs cannot be mounted (root is needed; package mount): {made.stderr}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    try:
        yield place
    finally:
        subprocess.run([unmount, "--lazy", str(place)], check=True)  # a failed test holds files


def free_bytes(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


@contextmanager
def another_program_filling(disk: Path) -> Iterator[None]:
    """Take every free byte, as a log gone wild does."""
    script = """
import sys
with open(sys.argv[1], "wb", buffering=0) as hog:
    size = 1 << 20
    while size:
        try:
            hog.write(b"x" * size)
        except OSError:
            size //= 2
"""
    hog = disk / "hog"
    subprocess.run([sys.executable, "-c", script, str(hog)], check=True)
    yield
    hog.unlink()


def reserve_of(folder: Path) -> int:
    return (folder / "reserve").stat().st_size


@pytest.mark.server
def test_a_spool_that_fills_its_disk_goes_on_by_dropping_its_oldest(disk):
    with closing(SqliteSpool(disk / "spool")) as spool:
        spool.mint("E1")

        dropped = fill(spool, range(1, 6_001))

        (book,) = spool.books()
        assert book.dropped == dropped
        assert dropped == span(1, dropped.highest)
        assert book.held == span(dropped.highest + 1, 6_000)
        assert len(book.held) > 3_000  # of about 4,000 that fit
        assert reserve_of(disk / "spool") >= 2 << 20


@pytest.mark.server
def test_on_a_full_disk_committed_batches_are_dropped_before_uncommitted_ones(disk):
    with closing(SqliteSpool(disk / "spool")) as spool:
        spool.mint("E1")
        fill(spool, range(1, 3_001))
        mark(spool, span(1_001, 2_000))

        dropped = fill(spool, range(3_001, 5_001))
        assert dropped == span(1_001, dropped.highest)
        assert 1_001 < dropped.highest <= 2_000
        assert spool.books()[0].dropped == Ranges()

        dropped |= fill(spool, range(5_001, 9_001))
        assert dropped == span(1, dropped.highest)
        assert dropped.highest > 2_000
        assert spool.books()[0].dropped == dropped - span(1_001, 2_000)


@pytest.mark.server
def test_while_another_program_fills_the_disk_the_newest_batches_are_kept(disk):
    with closing(SqliteSpool(disk / "spool")) as spool:
        spool.mint("E1")
        fill(spool, range(1, 501))
        with another_program_filling(disk):
            dropped = fill(spool, range(501, 2_001))

            (book,) = spool.books()
            assert book.held == span(dropped.highest + 1, 2_000)
            assert book.dropped == dropped
            assert len(book.held) >= 400  # its own room is not given away
            assert reserve_of(disk / "spool") >= 2 << 20
        spool.prune(committed_before_ms=0, size_limit=EVER)

        assert reserve_of(disk / "spool") == 4 << 20


@pytest.mark.server
def test_a_young_spool_on_a_disk_that_others_filled_holds_more_than_a_handful(disk):
    with closing(SqliteSpool(disk / "spool")) as spool, another_program_filling(disk):
        spool.mint("E1")

        fill(spool, range(1, 1_001))

        assert spool.books()[0].held.highest == 1_000
        assert len(spool.books()[0].held) > 200


@pytest.mark.server
def test_a_spool_opens_on_a_full_disk(disk):
    with closing(SqliteSpool(disk / "spool")) as spool:
        spool.mint("E1")
        fill(spool, range(1, 201))
    with another_program_filling(disk):
        assert free_bytes(disk) == 0

        with closing(SqliteSpool(disk / "spool")) as spool:
            spool.mint("E2")
            fill(spool, range(201, 301))

            assert spool.books()[0].held.highest == 300
            assert spool.corrupt_files() == 0


@pytest.mark.server
def test_room_that_another_write_had_to_make_is_told_by_the_next_append(disk):
    with closing(SqliteSpool(disk / "spool")) as spool:
        spool.mint("E1")
        fill(spool, range(1, 501))
        reading = Reading(meter="m", at_ms=0, values={f"v{n}": 1.5 for n in range(100)})
        with another_program_filling(disk):
            for n in range(2_000):
                spool.keep_unsealed("boot", ((n, reading),))

            dropped = spool.append(batch(501), sealed_at_ms=0)["E1"]

            assert dropped.lowest == 1
            assert dropped == spool.books()[0].dropped
            assert len(spool.unsealed(10_000)) == 2_000


@pytest.mark.server
def test_a_damaged_file_that_was_set_aside_goes_before_any_batch(disk):
    folder = disk / "spool"
    folder.mkdir()
    (folder / "spool.sqlite").write_bytes(b"garbage" * 300_000)
    with closing(SqliteSpool(folder)) as spool:
        spool.mint("E1")
        with another_program_filling(disk):
            assert fill(spool, range(1, 201)) == Ranges()

        assert (folder / "corrupt-1.sqlite").stat().st_size == 0
        assert spool.corrupt_files() == 1


@pytest.mark.server
def test_when_nothing_can_be_dropped_the_full_disk_is_said_and_passes(disk):
    with closing(SqliteSpool(disk / "spool")) as spool:
        spool.mint("E1")
        fill(spool, range(1, 3))
        with another_program_filling(disk):
            (disk / "spool" / "reserve").unlink()
            with another_program_filling_again(disk), pytest.raises(SpoolFull):
                fill(spool, range(3, 2_000))
        held = spool.books()[0].held
        following = held.highest + 1

        fill(spool, range(following, following + 10))

        assert spool.books()[0].held.highest == following + 9
        assert spool.corrupt_files() == 0


@contextmanager
def another_program_filling_again(disk: Path) -> Iterator[None]:
    """A second file, which takes what the reserve gave, faster than the spool can."""
    hog = disk / "hog-2"
    hog.write_bytes(b"x" * free_bytes(disk))
    yield
    hog.unlink()


# ---- a damaged file


def filled(folder: Path, count: int = 200, *, committed: Ranges | None = None) -> None:
    with closing(SqliteSpool(folder)) as spool:
        spool.mint("E1")
        fill(spool, range(1, count + 1))
        spool.keep_unsealed("boot", ((7, Reading(meter="m", at_ms=3, fault="timeout")),))
        mark(spool, committed or Ranges())


def page_with(folder: Path, text: bytes) -> int:
    """Offset of the database page that holds some bytes."""
    return (folder / "spool.sqlite").read_bytes().index(text) // PAGE * PAGE


def overwrite(folder: Path, offset: int, other: bytes) -> None:
    with (folder / "spool.sqlite").open("r+b") as file:
        file.seek(offset)
        file.write(other)


def test_garbage_is_set_aside_and_a_new_file_opened(folder):
    folder.mkdir()
    garbage = os.urandom(50_000)
    (folder / "spool.sqlite").write_bytes(garbage)

    with closing(SqliteSpool(folder)) as spool:
        assert spool.books() == []
        assert spool.corrupt_files() == 1
        assert (folder / "corrupt-1.sqlite").read_bytes() == garbage
        spool.mint("E1")
        fill(spool, range(1, 4))
    with closing(SqliteSpool(folder)) as spool:
        assert spool.books()[0].held == span(1, 3)
        assert spool.corrupt_files() == 1


@pytest.mark.parametrize("name", ["spool.sqlite", "reserve", "spool.sqlite-wal"])
def test_an_empty_file_is_a_new_one(folder, name):
    folder.mkdir()
    (folder / name).touch()

    with closing(SqliteSpool(folder)) as spool:
        assert spool.books() == []
        assert spool.corrupt_files() == 0


@pytest.mark.parametrize(("count", "left"), [(200, 0.3), (1_000, 0.6), (1_000, 0.95)])
def test_a_truncated_file_gives_what_it_still_has_and_the_rest_is_reported(folder, count, left):
    filled(folder, count)
    file = folder / "spool.sqlite"
    os.truncate(file, int(file.stat().st_size * left) // PAGE * PAGE)

    with closing(SqliteSpool(folder)) as spool:
        (book,) = spool.books()
        assert spool.corrupt_files() == 1
        assert count * left * 0.8 < len(book.held) < count
        assert book.held | book.dropped == span(1, count)
        assert book.next == count + 1
        assert all(spool.load(BatchKey("E1", n)) == batch(n) for n in book.held.ascending())


def test_a_damaged_page_costs_the_batches_on_it_and_no_others(folder):
    filled(folder)
    overwrite(folder, page_with(folder, b"E1 100 E1 100"), os.urandom(PAGE))

    with closing(SqliteSpool(folder)) as spool:
        assert spool.load(BatchKey("E1", 100)) is None
        assert spool.load(BatchKey("E1", 50)) == batch(50)
    with closing(SqliteSpool(folder)) as spool:
        (book,) = spool.books()
        assert book.dropped == span(100, 100)
        assert book.held == span(1, 99) | span(101, 200)
        assert [u.monotonic_ms for u in spool.unsealed(5)] == [7]


def test_the_last_batch_is_missed_though_no_commit_ever_named_it(folder):
    with closing(SqliteSpool(folder)) as spool:
        spool.mint("E1")
        fill(spool, range(1, 201))
    overwrite(folder, page_with(folder, b"E1 200 E1 200"), os.urandom(PAGE))
    (folder / "damaged").touch()

    with closing(SqliteSpool(folder)) as spool:
        (book,) = spool.books()
        assert (book.next, book.dropped) == (201, span(200, 200))


def test_a_batch_whose_bytes_changed_is_not_sent_and_reported_after_the_next_start(folder):
    filled(folder)
    place = (folder / "spool.sqlite").read_bytes().index(b"E1 100 E1 100")
    overwrite(folder, place + 50, b"?")

    with closing(SqliteSpool(folder)) as spool:
        assert spool.load(BatchKey("E1", 100)) is None
        assert spool.corrupt_files() == 0  # while it runs it goes on
    with closing(SqliteSpool(folder)) as spool:
        assert spool.corrupt_files() == 1
        assert spool.books()[0].dropped == span(100, 100)


def test_a_damaged_index_costs_no_batch(folder):
    filled(folder, 2_000)
    with closing(sqlite3.connect(folder / "spool.sqlite")) as connection:
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name='batch_key'"
        ).fetchone()[0]
    overwrite(folder, (root - 1) * PAGE, b"\xff" * PAGE)

    with closing(SqliteSpool(folder)) as spool:
        assert spool.corrupt_files() == 1
        assert spool.books()[0].held == span(1, 2_000)


def test_committed_batches_that_went_with_the_file_are_not_reported_as_dropped(folder):
    filled(folder, committed=span(90, 110))
    for n in (50, 100):
        overwrite(folder, page_with(folder, b"E1 %d E1 %d" % (n, n)), os.urandom(PAGE))
    (folder / "damaged").touch()

    with closing(SqliteSpool(folder)) as spool:
        (book,) = spool.books()
        assert book.dropped == span(50, 50)
        assert book.committed == span(90, 110)


def test_a_restarted_agent_reports_what_a_damaged_file_took(folder):
    filled(folder)
    overwrite(folder, page_with(folder, b"E1 100 E1 100"), os.urandom(PAGE))
    (folder / "damaged").touch()

    with closing(SqliteSpool(folder)) as spool:
        spool.mint("E2")
        sender = Sender(store="s", generation=0, books=spool.books(), jitter=lambda: 0.5)

        past, present = sender.held()
        assert (past.epoch, past.oldest, past.next) == ("E1", 1, 201)
        assert [(r.first, r.last) for r in past.dropped] == [(100, 100)]
        assert past.released == ()
        assert (present.epoch, present.next) == ("E2", 1)


def test_what_was_dropped_released_and_forked_before_survives_the_damage(folder):
    filled(folder, committed=span(1, 20))
    with closing(SqliteSpool(folder)) as spool:
        spool.prune(committed_before_ms=11, size_limit=EVER)
        spool.prune(committed_before_ms=0, size_limit=spool.size() - 20 * PAGE)
        books = spool.books()
        books[0].forked = True
        spool.mark("heping-1", 5, tuple(books))
        before = spool.books()
    (folder / "damaged").touch()

    with closing(SqliteSpool(folder)) as spool:
        assert spool.books() == before
        assert spool.books()[0].forked
        assert spool.generation("heping-1") == 5


def test_damage_found_while_running_sets_the_file_aside_at_the_next_start(folder):
    """Whoever met it may have died of it: the next start must not."""
    filled(folder)
    overwrite(folder, page_with(folder, b"E1 1 E1 1"), os.urandom(PAGE))
    with closing(SqliteSpool(folder)) as spool, pytest.raises(SpoolCorrupt):
        spool.prune(committed_before_ms=0, size_limit=0)

    with closing(SqliteSpool(folder)) as spool:
        assert spool.corrupt_files() == 1
        assert spool.books()[0].held == span(2, 200)
        spool.prune(committed_before_ms=0, size_limit=0)
        assert spool.books()[0].dropped == span(1, 200)


def test_a_renewal_cut_short_is_begun_again(folder, monkeypatch):
    filled(folder)
    (folder / "damaged").touch()
    adopt = SqliteSpool._adopt_batches

    def dies_at_the_second(spool, found):
        if found[0].sequence > 1:
            raise KeyboardInterrupt
        adopt(spool, found)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteSpool, "_adopt_batches", dies_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            SqliteSpool(folder)

    with closing(SqliteSpool(folder)) as spool:
        assert spool.books()[0].held == span(1, 200)
        assert spool.corrupt_files() == 1
        fill(spool, range(201, 202))
    with closing(SqliteSpool(folder)) as spool:
        assert spool.books()[0].held == span(1, 201)


def test_a_file_damaged_twice_is_counted_twice(folder):
    filled(folder)
    for _ in range(2):
        (folder / "damaged").touch()
        SqliteSpool(folder).close()

    with closing(SqliteSpool(folder)) as spool:
        assert spool.corrupt_files() == 2
        assert spool.books()[0].held == span(1, 200)


@pytest.mark.server
def test_the_damaged_file_takes_nothing_of_its_successor_with_it(folder):
    """Closed late, a connection to the damaged file deletes the log of the new one."""
    filled(folder)
    with closing(sqlite3.connect(folder / "spool.sqlite")) as connection:
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name='epoch'"
        ).fetchone()[0]
    overwrite(folder, (root - 1) * PAGE, b"\xff" * PAGE)

    process = appender(folder, 3, "die")
    assert process.stdout is not None
    assert [n for n in process.stdout.read().split() if n.isdigit()] == [b"1", b"2", b"3"]
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL

    with closing(SqliteSpool(folder)) as spool:
        assert spool.books()[0].held == span(1, 3)


def test_the_committed_log_of_a_killed_process_is_salvaged_too(folder):
    spool = SqliteSpool(folder)
    spool.mint("E1")
    fill(spool, range(1, 11))
    assert (folder / "spool.sqlite-wal").stat().st_size > 20_000
    for name in ("spool.sqlite", "spool.sqlite-wal"):  # as kill -9 leaves them
        (folder / f"copy-{name}").write_bytes((folder / name).read_bytes())
    spool.close()
    for name in ("spool.sqlite", "spool.sqlite-wal"):
        (folder / f"copy-{name}").replace(folder / name)
    (folder / "damaged").touch()

    with closing(SqliteSpool(folder)) as spool:
        assert spool.books()[0].held == span(1, 10)


# ---- a file that is sound, but cannot be used now


def test_a_locked_file_is_not_taken_for_a_damaged_one(folder, monkeypatch):
    filled(folder)
    connect = sqlite3.connect
    with closing(connect(folder / "spool.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(
            sqlite3, "connect", lambda *a, **k: connect(*a, **k | {"timeout": 0.01})
        )

        with pytest.raises(SpoolBusy, match="locked"):
            SqliteSpool(folder)
        other.execute("ROLLBACK")

    with closing(SqliteSpool(folder)) as spool:
        assert fill(spool, range(201, 202)) == Ranges()
        assert spool.corrupt_files() == 0
    assert not (folder / "damaged").exists()


def test_no_other_program_gets_into_the_file_while_a_gateway_has_it(folder):
    """Without shared memory beside the log, which flash pays for, nobody could do so safely."""
    with closing(SqliteSpool(folder)) as spool:
        spool.mint("E1")

        with (
            closing(sqlite3.connect(folder / "spool.sqlite", timeout=0.01)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("SELECT * FROM epoch").fetchall()
        assert not (folder / "spool.sqlite-shm").exists()


def test_a_file_that_cannot_be_opened_is_not_set_aside(folder):
    (folder / "spool.sqlite").mkdir(parents=True)

    with pytest.raises(SpoolBusy, match="unable to open"):
        SqliteSpool(folder)


def test_a_reading_that_no_longer_decodes_is_damage(folder):
    filled(folder)
    with closing(sqlite3.connect(folder / "spool.sqlite", isolation_level=None)) as connection:
        for reading in ("3", "x'c1'"):
            connection.execute(
                f"INSERT INTO unsealed (boot, monotonic_ms, reading) VALUES ('b', 2, {reading})"
            )

    with closing(SqliteSpool(folder)) as spool, pytest.raises(SpoolCorrupt):
        spool.unsealed(10)
    with closing(SqliteSpool(folder)) as spool:
        assert [u.monotonic_ms for u in spool.unsealed(10)] == [7]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE epoch SET committed='[[1,'",
        "UPDATE epoch SET committed='7'",
        "UPDATE epoch SET epoch=CAST(x'ff' AS TEXT)",
        "DROP TABLE batch",
    ],
)
def test_a_table_that_makes_no_sense_is_damage_and_the_spool_opens(folder, statement):
    filled(folder)
    with closing(sqlite3.connect(folder / "spool.sqlite", isolation_level=None)) as connection:
        connection.execute(statement)

    with closing(SqliteSpool(folder)) as spool:
        spool.mint("E2")
        spool.append(batch(1, "E2"), sealed_at_ms=1)
        assert spool.books()[-1].held == span(1, 1)


# ---- two gateways, one folder


@pytest.mark.server
def test_a_second_gateway_on_one_spool_is_refused_until_the_first_is_gone_by_kill_9_too(folder):
    process = appender(folder, 1_000_000)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == [b"BEGIN\n", b"1\n"]

    with pytest.raises(SpoolTaken, match=f"another gateway works in the spool folder {folder}"):
        SqliteSpool(folder)
    process.kill()
    process.stdout.close()
    process.wait()

    with closing(SqliteSpool(folder)) as spool:
        assert spool.books()[0].held.highest > 0


def test_a_spool_that_could_not_be_opened_does_not_keep_its_folder(folder):
    (folder / "spool.sqlite").mkdir(parents=True)
    with pytest.raises(SpoolBusy):
        SqliteSpool(folder)
    (folder / "spool.sqlite").rmdir()

    SqliteSpool(folder).close()


# ---- as it lies on the disk


def plain(sequence: int) -> Sealed:
    payload = b'{"sequence":%d,"readings":[' % sequence + b'{"voltage_l1_v":230.1},' * 100 + b"]}"
    return Sealed(
        key=BatchKey("E1", sequence),
        digest=digest_of(payload),
        payload=payload,
        content_type="application/json",
    )


def test_batches_lie_compressed_on_the_disk_and_come_back_as_they_were(folder):
    with closing(SqliteSpool(folder)) as spool:
        spool.mint("E1")
        for n in range(1, 101):
            spool.append(plain(n), sealed_at_ms=n)
        assert spool.size() < 40_000  # of 233 kB
    with closing(SqliteSpool(folder)) as spool:
        assert [spool.load(BatchKey("E1", n)) for n in (1, 100)] == [plain(1), plain(100)]


@pytest.mark.parametrize("kept", ["x'28b52ffd'", "x'00'", "zeroblob(3000)", "'text'"])
def test_a_batch_that_no_longer_decompresses_is_not_sent_and_reported(folder, kept):
    with closing(SqliteSpool(folder)) as spool:
        spool.mint("E1")
        for n in range(1, 4):
            spool.append(plain(n), sealed_at_ms=n)
    with closing(sqlite3.connect(folder / "spool.sqlite", isolation_level=None)) as connection:
        connection.execute(f"UPDATE batch SET payload={kept} WHERE sequence=2")

    with closing(SqliteSpool(folder)) as spool:
        assert spool.load(BatchKey("E1", 2)) is None
    with closing(SqliteSpool(folder)) as spool:
        assert spool.books()[0].dropped == span(2, 2)
        assert [spool.load(BatchKey("E1", n)) for n in (1, 3)] == [plain(1), plain(3)]


_BEFORE = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE epoch (
  number INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE, next INTEGER NOT NULL DEFAULT 1,
  committed TEXT NOT NULL DEFAULT '[]', dropped TEXT NOT NULL DEFAULT '[]',
  released TEXT NOT NULL DEFAULT '[]', forked INTEGER NOT NULL DEFAULT 0);
CREATE TABLE batch (
  epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, sealed_at_ms INTEGER NOT NULL,
  digest TEXT NOT NULL, content_type TEXT NOT NULL, payload BLOB NOT NULL);
CREATE UNIQUE INDEX batch_key ON batch (epoch, sequence);
CREATE TABLE unsealed (
  number INTEGER PRIMARY KEY, boot TEXT NOT NULL, monotonic_ms INTEGER NOT NULL,
  reading BLOB NOT NULL);
INSERT INTO meta VALUES ('generation heping-1', '3');
INSERT INTO epoch (number, epoch, committed) VALUES (1, 'E1', '[[1, 2]]');
"""


@pytest.mark.parametrize("ended", ["in order", "by kill -9"])
def test_a_spool_of_version_0_1_opens_and_goes_on(folder, ended):
    """Its pages are larger, its batches plain, its log had shared memory beside it."""
    folder.mkdir()
    script = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.executescript(sys.argv[2])
for n in range(1, 6):
    row = (1, n, n, sys.argv[2 + n], "application/json", os.read(0, int(sys.argv[8])))
    connection.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)", row)
if sys.argv[9] == "by kill -9":
    os.kill(os.getpid(), 9)
connection.close()
"""
    batches = [plain(n) for n in range(1, 6)]
    subprocess.run(
        [
            *(sys.executable, "-c", script, str(folder / "spool.sqlite"), _BEFORE),
            *(b.digest for b in batches),
            *(str(len(batches[0].payload)), ended),
        ],
        input=b"".join(b.payload for b in batches),
        check=False,
    )

    with closing(SqliteSpool(folder)) as spool:
        assert [spool.load(b.key) for b in batches] == batches
        assert spool.generation("heping-1") == 3
        spool.append(plain(6), sealed_at_ms=6)
        assert spool._sql.execute("PRAGMA page_size").fetchone() == (4096,)
    with closing(SqliteSpool(folder)) as spool:
        (book,) = spool.books()
        assert (book.held, book.committed) == (span(1, 6), span(1, 2))
        assert spool.load(BatchKey("E1", 6)) == plain(6)
        assert spool.corrupt_files() == 0


# ---- damaged, on a disk that is full at that moment


@pytest.mark.server
def test_a_renewal_on_a_full_disk_is_refused_and_succeeds_when_there_is_room(disk):
    with closing(SqliteSpool(disk / "spool")) as spool:
        spool.mint("E1")
        fill(spool, range(1, 501))
        with another_program_filling(disk):
            (disk / "spool" / "reserve").unlink()
            with another_program_filling_again(disk):
                for _ in range(2):
                    with pytest.raises(SpoolFull):
                        spool.renew()
        spool.renew()

        assert spool.books()[0].held == span(1, 500)
        assert spool.corrupt_files() == 1
        assert reserve_of(disk / "spool") >= 2 << 20


# ---- size


@pytest.mark.torture
def test_half_a_year_of_batches_opens_quickly(folder, capsys):
    SqliteSpool(folder).close()
    with closing(sqlite3.connect(folder / "spool.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO epoch (number, epoch, committed) VALUES (1, 'E1', '[[1, 260000]]')"
        )
        payload = os.urandom(2_000)
        connection.executemany(
            "INSERT INTO batch VALUES (1, ?, ?, ?, 'application/json', ?)",
            ((n, n, digest_of(payload), payload) for n in range(1, 260_001)),
        )
        connection.execute("COMMIT")

    begun = time.perf_counter()
    with closing(SqliteSpool(folder)) as spool:
        opened = time.perf_counter()
        (book,) = spool.books()
        listed = time.perf_counter()
        spool.prune(committed_before_ms=0, size_limit=EVER)
        pruned = time.perf_counter()

    with capsys.disabled():
        print(
            f"\n260,000 batches: open {opened - begun:.2f} s, books {listed - opened:.2f} s,"
            f" prune {pruned - listed:.3f} s"
        )
    assert book.held == span(1, 260_000)
    assert pruned - begun < 60
