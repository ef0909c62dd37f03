"""SqliteSpool: a spool in one SQLite file, durable at each commit, alive on a full disk.

WAL with synchronous=FULL: a transaction is on the disk when it returns. In WAL mode a full disk
refuses even DELETE, so a reserve file stands beside the database; at ENOSPC it is freed, the oldest
batches are dropped, and the reserve is restored.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import structlog

from gateways.spool import Dropped, SpoolCorrupt, SpoolFull, Unsealed
from metering.batch import BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import EpochBook
from metering.reading import Reading

log = structlog.get_logger()

_RESERVE_BYTES = 4 << 20
_ROOM_BATCHES = 32  # dropped at once when the disk is full
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epoch (
  number INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE, next INTEGER NOT NULL DEFAULT 1,
  committed TEXT NOT NULL DEFAULT '[]', dropped TEXT NOT NULL DEFAULT '[]',
  forked INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS batch (
  epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, sealed_at_ms INTEGER NOT NULL,
  digest TEXT NOT NULL, content_type TEXT NOT NULL, payload BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS batch_key ON batch (epoch, sequence);
CREATE TABLE IF NOT EXISTS unsealed (
  number INTEGER PRIMARY KEY, boot TEXT NOT NULL, monotonic_ms INTEGER NOT NULL,
  reading BLOB NOT NULL);
"""


class SqliteSpool:
    """One thread at a time may use it; the agent gives it a thread of its own."""

    def __init__(self, folder: Path) -> None:
        """Open or make the spool in `folder`; a damaged file is set aside and salvaged."""
        self._folder = folder
        self._path = folder / "spool.sqlite"
        self._reserve = folder / "reserve"
        folder.mkdir(parents=True, exist_ok=True)
        self._numbers: dict[str, int] = {}
        try:
            self._connection = self._open()
        except SpoolCorrupt:
            self.renew()

    def _open(self) -> sqlite3.Connection:
        with _translated("open the spool"):
            connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=5
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_autocheckpoint=256")
            connection.execute("PRAGMA journal_size_limit=1048576")
            connection.executescript(_SCHEMA)
            rows = connection.execute("SELECT epoch, number FROM epoch").fetchall()
            self._numbers = dict(rows)
        self._restore_reserve()
        return connection

    # ---- reading

    def books(self) -> list[EpochBook]:
        with _translated("list the spool"):
            epochs = self._connection.execute(
                "SELECT number, epoch, next, committed, dropped, forked FROM epoch ORDER BY number"
            ).fetchall()
            keys = self._connection.execute(
                "SELECT epoch, sequence FROM batch INDEXED BY batch_key ORDER BY epoch, sequence"
            )
            held: dict[int, list[tuple[int, int]]] = {}
            for number, sequence in keys:
                _extend(held.setdefault(number, []), sequence)
        books = []
        for number, epoch, following, committed, dropped, forked in epochs:
            sequences = Ranges(held.get(number, ()))
            books.append(
                EpochBook(
                    epoch=epoch,
                    next=max(following, sequences.highest + 1),
                    held=sequences,
                    committed=_ranges(committed),
                    dropped=_ranges(dropped),
                    forked=bool(forked),
                )
            )
        return books

    def generation(self, store: str) -> int:
        return int(self._meta(f"generation {store}", "0"))

    def load(self, key: BatchKey) -> Sealed | None:
        with _translated(f"load batch {key.sequence}"):
            row = self._connection.execute(
                "SELECT digest, content_type, payload FROM batch WHERE epoch=? AND sequence=?",
                (self._numbers.get(key.epoch, -1), key.sequence),
            ).fetchone()
        if row is None:
            return None
        return Sealed(key=key, digest=row[0], content_type=row[1], payload=row[2])

    def unsealed(self, limit: int) -> list[Unsealed]:
        with _translated("list unsealed readings"):
            rows = self._connection.execute(
                "SELECT number, boot, monotonic_ms, reading FROM unsealed ORDER BY number LIMIT ?",
                (limit,),
            ).fetchall()
        return [
            Unsealed(
                number=number,
                boot=boot,
                monotonic_ms=monotonic_ms,
                reading=msgspec.msgpack.decode(reading, type=Reading),
            )
            for number, boot, monotonic_ms, reading in rows
        ]

    def size(self) -> int:
        with _translated("measure the spool"):
            pages, free, page_size = (
                self._connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * page_size)

    def corrupt_files(self) -> int:
        return len(list(self._folder.glob("corrupt-*.sqlite")))

    # ---- writing

    def mint(self, epoch: str) -> None:
        def write() -> None:
            cursor = self._connection.execute("INSERT INTO epoch (epoch) VALUES (?)", (epoch,))
            self._numbers[epoch] = int(cursor.lastrowid or 0)

        self._write(f"open epoch {epoch}", write)

    def append(
        self, sealed: Sealed, *, sealed_at_ms: int, unsealed: tuple[int, ...] = ()
    ) -> Dropped:
        def write() -> None:
            self._connection.execute(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
                (
                    self._numbers[sealed.key.epoch],
                    sealed.key.sequence,
                    sealed_at_ms,
                    sealed.digest,
                    sealed.content_type,
                    sealed.payload,
                ),
            )
            self._connection.executemany(
                "DELETE FROM unsealed WHERE number=?", [(number,) for number in unsealed]
            )

        return self._write(f"keep batch {sealed.key.sequence}", write)

    def mark(self, store: str, generation: int, books: tuple[EpochBook, ...]) -> None:
        def write() -> None:
            known = {book.epoch for book in books}
            self._keep_meta(f"generation {store}", str(generation))
            self._connection.executemany(
                "UPDATE epoch SET committed=?, forked=? WHERE epoch=?",
                [(_json(book.committed), int(book.forked), book.epoch) for book in books],
            )
            for epoch in self._numbers.keys() - known:
                self._connection.execute("DELETE FROM epoch WHERE epoch=?", (epoch,))
            self._numbers = {e: n for e, n in self._numbers.items() if e in known}

        self._write("keep a commit", write)

    def keep_unsealed(self, boot: str, taken: tuple[tuple[int, Reading], ...]) -> None:
        def write() -> None:
            self._connection.executemany(
                "INSERT INTO unsealed (boot, monotonic_ms, reading) VALUES (?, ?, ?)",
                [
                    (boot, monotonic_ms, msgspec.msgpack.encode(reading))
                    for monotonic_ms, reading in taken
                ],
            )

        self._write("keep unsealed readings", write)

    def prune(self, *, committed_before_ms: int, size_limit: int) -> Dropped:
        dropped: dict[str, Ranges] = {}
        while True:
            over = self.size() > size_limit
            doomed = self._oldest_committed(None if over else committed_before_ms)
            if not doomed and over:
                doomed = self._oldest()
            if not doomed:
                return dropped
            self._write("prune the spool", partial(self._drop, doomed, dropped))

    def _write(self, what: str, write: Callable[[], None]) -> Dropped:
        """One transaction; on a full disk, drop the oldest batches and try once more.

        Raises:
            SpoolFull: even then nothing fits.
            SpoolCorrupt: the file is damaged.
        """
        dropped: dict[str, Ranges] = {}
        try:
            self._transact(what, write)
        except SpoolFull:
            self._make_room(dropped)
            self._transact(what, write)
            self._restore_reserve()
        return dropped

    def _transact(self, what: str, write: Callable[[], None]) -> None:
        with _translated(what):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                write()
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _make_room(self, dropped: dict[str, Ranges]) -> None:
        log.warning("spool.disk_full", folder=str(self._folder))
        self._reserve.unlink(missing_ok=True)
        doomed = self._oldest_committed(None) or self._oldest()
        self._transact("make room", partial(self._drop, doomed, dropped))
        with _translated("give the log's room back"):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _restore_reserve(self) -> None:
        """A reserve that does not fit now is tried again after the next dropping."""
        if self._reserve.exists():
            return
        try:
            with self._reserve.open("wb") as reserve:
                os.posix_fallocate(reserve.fileno(), 0, _RESERVE_BYTES)
        except OSError:
            self._reserve.unlink(missing_ok=True)

    def _oldest_committed(self, before_ms: int | None) -> list[tuple[str, int]]:
        doomed: list[tuple[str, int]] = []
        rows = self._connection.execute(
            "SELECT epoch, number, committed FROM epoch ORDER BY number"
        )
        for epoch, number, committed in rows.fetchall():
            for first, last in json.loads(committed):
                doomed += [
                    (epoch, sequence)
                    for (sequence,) in self._connection.execute(
                        "SELECT sequence FROM batch WHERE epoch=? AND sequence BETWEEN ? AND ?"
                        " AND (? IS NULL OR sealed_at_ms < ?) ORDER BY sequence LIMIT ?",
                        (number, first, last, before_ms, before_ms, _ROOM_BATCHES - len(doomed)),
                    )
                ]
                if len(doomed) >= _ROOM_BATCHES:
                    return doomed
        return doomed

    def _oldest(self) -> list[tuple[str, int]]:
        return self._connection.execute(
            "SELECT e.epoch, b.sequence FROM batch b JOIN epoch e ON e.number = b.epoch"
            " ORDER BY b.epoch, b.sequence LIMIT ?",
            (_ROOM_BATCHES,),
        ).fetchall()

    def _drop(self, doomed: list[tuple[str, int]], dropped: dict[str, Ranges]) -> None:
        by_epoch: dict[str, list[tuple[int, int]]] = {}
        for epoch, sequence in doomed:
            by_epoch.setdefault(epoch, []).append((sequence, sequence))
        for epoch, spans in by_epoch.items():
            gone = Ranges(spans)
            number = self._numbers[epoch]
            committed, before, following = self._connection.execute(
                "SELECT committed, dropped, next FROM epoch WHERE number=?", (number,)
            ).fetchone()
            lost = _ranges(before) | (gone - _ranges(committed))
            self._connection.execute(
                "UPDATE epoch SET dropped=?, next=? WHERE number=?",
                (_json(lost), max(following, gone.highest + 1), number),
            )
            self._connection.executemany(
                "DELETE FROM batch WHERE epoch=? AND sequence=?",
                [(number, sequence) for sequence in gone.ascending()],
            )
            dropped[epoch] = dropped.get(epoch, Ranges()) | gone

    # ---- meta

    def _meta(self, name: str, default: str) -> str:
        with _translated(f"read {name}"):
            row = self._connection.execute(
                "SELECT value FROM meta WHERE name=?", (name,)
            ).fetchone()
        return default if row is None else str(row[0])

    def _keep_meta(self, name: str, value: str) -> None:
        self._connection.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value=excluded.value",
            (name, value),
        )

    # ---- damage

    def renew(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()
        aside = self._set_aside()
        self._connection = self._open()
        saved = self._salvage(aside)
        log.error("spool.corrupt", set_aside=aside.name, salvaged=saved)

    def _set_aside(self) -> Path:
        number = self.corrupt_files() + 1
        aside = self._folder / f"corrupt-{number}.sqlite"
        self._path.replace(aside)
        for suffix in ("-wal", "-shm"):
            remains = self._path.with_name(self._path.name + suffix)
            if remains.exists():
                remains.replace(aside.with_name(aside.name + suffix))
        return aside

    def _salvage(self, aside: Path) -> int:
        """Copy every batch of the damaged file that still reads; returns how many did."""
        saved = 0
        damaged = sqlite3.connect(f"file:{aside}?mode=ro", uri=True)
        try:
            epochs = damaged.execute("SELECT number, epoch, next, committed FROM epoch").fetchall()
            for number, epoch, following, committed in epochs:
                self.mint(epoch)
                self._write("salvage", partial(self._adopt, epoch, following, committed))
                for row in _readable(damaged, number):
                    saved += self._adopt_batch(epoch, row)
        except sqlite3.DatabaseError as error:
            log.warning("spool.salvage_ended", salvaged=saved, error=str(error))
        finally:
            damaged.close()
        return saved

    def _adopt(self, epoch: str, following: int, committed: str) -> None:
        self._connection.execute(
            "UPDATE epoch SET next=?, committed=? WHERE epoch=?", (following, committed, epoch)
        )

    def _adopt_batch(self, epoch: str, row: tuple[int, int, str, str, bytes]) -> int:
        sequence, sealed_at_ms, digest, content_type, payload = row
        sealed = Sealed(
            key=BatchKey(epoch, sequence), digest=digest, payload=payload, content_type=content_type
        )
        self.append(sealed, sealed_at_ms=sealed_at_ms)
        return 1

    def close(self) -> None:
        self._connection.close()


def _readable(
    damaged: sqlite3.Connection, number: int
) -> Iterator[tuple[int, int, str, str, bytes]]:
    yield from damaged.execute(
        "SELECT sequence, sealed_at_ms, digest, content_type, payload FROM batch WHERE epoch=?",
        (number,),
    )


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if _is_full(error):
            raise SpoolFull(f"could not {what}: {error}") from error
        raise SpoolCorrupt(f"could not {what}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise SpoolCorrupt(f"could not {what}: {error}") from error


def _is_full(error: sqlite3.OperationalError) -> bool:
    """A full disk shows as SQLITE_FULL, or as an I/O error when even the log cannot grow."""
    return error.sqlite_errorcode in {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_TRUNCATE,
    }


def _extend(spans: list[tuple[int, int]], sequence: int) -> None:
    if spans and spans[-1][1] == sequence - 1:
        spans[-1] = (spans[-1][0], sequence)
    else:
        spans.append((sequence, sequence))


def _ranges(text: str) -> Ranges:
    return Ranges((first, last) for first, last in json.loads(text))


def _json(ranges: Ranges) -> str:
    return json.dumps(ranges.spans)
