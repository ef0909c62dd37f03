"""SqliteSpool: a spool in one SQLite file, durable at each commit, alive on a full disk.

WAL with synchronous=FULL: a transaction is on the disk when it returns. In WAL mode a full disk
refuses even DELETE, so a reserve file stands beside the database; at ENOSPC it is freed, the oldest
batches are dropped, and the reserve is restored, smaller if the disk has less. The database keeps
the pages that dropping freed: nobody else's file takes them.

Flash wears out by what is written (docs/decisions/0012-flash.md): small pages, because each touched
page goes to the log and later to the file; batches compressed; no shared memory beside the log,
because its pages are written back as well. The price of the last: nobody else can look into the
file while it is open.

A damaged file is noticed by whoever reads it; a mark beside it makes the next start set it aside.
"""

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec
import structlog

from gateways.adapters.at_rest import AtRest
from gateways.adapters.folder_lock import FolderLock
from gateways.adapters.reserve import Reserve
from gateways.adapters.sqlite_errors import Meaning, meaning_of
from gateways.adapters.sqlite_salvage import (
    BatchRow,
    Remains,
    UnsealedRow,
    batches_in,
    remains_of,
    unsealed_in,
)
from gateways.spool.port import Dropped, SpoolBusy, SpoolCorrupt, SpoolFull, Unsealed
from metering.batch import BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import EpochBook
from metering.reading import Reading
from metering.wire import digest_of

log = structlog.get_logger()

_ROOM_ROUNDS = 4
_DROPPED_AT_ONCE = 32
_SALVAGED_AT_ONCE = 64
_PAGE_BYTES = 512  # of new files; older ones keep theirs
_LOG_BYTES = 1 << 20  # the log is moved into the file when it has grown to this
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epoch (
  number INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE, next INTEGER NOT NULL DEFAULT 1,
  committed TEXT NOT NULL DEFAULT '[]', dropped TEXT NOT NULL DEFAULT '[]',
  released TEXT NOT NULL DEFAULT '[]', forked INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS batch (
  epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, sealed_at_ms INTEGER NOT NULL,
  digest TEXT NOT NULL, content_type TEXT NOT NULL, payload BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS batch_key ON batch (epoch, sequence);
CREATE TABLE IF NOT EXISTS unsealed (
  number INTEGER PRIMARY KEY, boot TEXT NOT NULL, monotonic_ms INTEGER NOT NULL,
  reading BLOB NOT NULL);
"""


_BESIDE = ("-wal", "-shm")


class SqliteSpool:
    """One thread at a time may use it; the agent gives it a thread of its own."""

    def __init__(self, folder: Path) -> None:
        """Open or make the spool in `folder`; a damaged file is set aside and salvaged.

        Raises:
            SpoolFull: the disk is full and the reserve is gone.
            SpoolBusy: the file cannot be opened now, whatever is in it.
            SpoolTaken: another process has it.
        """
        self._folder = folder
        self._path = folder / "spool.sqlite"
        self._reserve = Reserve(folder / "reserve")
        self._damage = folder / "damaged"
        self._rest = AtRest()
        self._numbers: dict[str, int] = {}
        self._untold: dict[str, Ranges] = {}
        self._full = False
        self._together = False
        self._marked = False
        self._connection: sqlite3.Connection | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(folder)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        if self._damage.exists():
            self.renew()
            return
        try:
            self._open()
            self.books()
        except SpoolCorrupt:
            self.renew()

    @property
    def _sql(self) -> sqlite3.Connection:
        assert self._connection is not None, "the spool is closed"
        return self._connection

    def _open(self) -> None:
        try:
            self._connect()
        except SpoolFull:
            self._reserve.free()
            self._connect()
        self._reserve.restore()

    def _connect(self) -> None:
        try:
            with self._attempt("open the spool"):
                self._connection = sqlite3.connect(
                    self._path, isolation_level=None, check_same_thread=False, timeout=5
                )
                self._sql.execute(f"PRAGMA page_size={_PAGE_BYTES}")
                self._sql.execute("PRAGMA locking_mode=EXCLUSIVE")  # before WAL: no shared memory
                self._sql.execute("PRAGMA journal_mode=WAL")
                self._sql.execute("PRAGMA synchronous=FULL")
                page_bytes = self._sql.execute("PRAGMA page_size").fetchone()[0]
                self._sql.execute(f"PRAGMA wal_autocheckpoint={_LOG_BYTES // page_bytes}")
                self._sql.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
                self._sql.executescript(_SCHEMA)
            self._learn_numbers()
        except BaseException:
            # Left to the garbage collector it may delete the log of the file that follows.
            self._disconnect()
            raise

    def _learn_numbers(self) -> None:
        with self._attempt("list the epochs"):
            rows = self._sql.execute("SELECT epoch, number FROM epoch").fetchall()
        self._numbers = dict(rows)

    # ---- reading

    def books(self) -> list[EpochBook]:
        with self._attempt("list the spool"):
            epochs = self._sql.execute(
                "SELECT number, epoch, next, committed, dropped, released, forked FROM epoch"
                " ORDER BY number"
            ).fetchall()
            keys = self._sql.execute(
                "SELECT epoch, sequence FROM batch INDEXED BY batch_key ORDER BY epoch, sequence"
            )
            held: dict[int, list[tuple[int, int]]] = {}
            for number, sequence in keys:
                _extend(held.setdefault(number, []), sequence)
        books = []
        for number, epoch, following, committed, dropped, released, forked in epochs:
            sequences = Ranges(held.get(number, ()))
            after = max(following, sequences.highest + 1)
            # What is neither here nor was let go of is gone with a damaged file.
            vanished = Ranges.span(1, after - 1) - sequences - self._ranges(released)
            books.append(
                EpochBook(
                    epoch=epoch,
                    next=after,
                    held=sequences,
                    committed=self._ranges(committed),
                    dropped=self._ranges(dropped) | (vanished - self._ranges(committed)),
                    forked=bool(forked),
                )
            )
        return books

    def generation(self, store: str) -> int:
        kept = self._meta(f"generation {store}", "0")
        return int(kept) if kept.isdecimal() else 0

    def load(self, key: BatchKey) -> Sealed | None:
        row = None
        with suppress(SpoolCorrupt), self._attempt(f"load batch {key.sequence}"):
            row = self._sql.execute(
                "SELECT digest, content_type, payload FROM batch WHERE epoch=? AND sequence=?",
                (self._numbers.get(key.epoch, -1), key.sequence),
            ).fetchone()
        if row is None:
            return None
        digest, kept_type, kept = row
        sealed = self._rest.unpacked(kept_type, kept) if isinstance(kept, bytes) else None
        if sealed is None or digest_of(sealed[1]) != digest:
            self._note_damage(f"batch {key.sequence} of {key.epoch} is not as it was sealed")
            return None
        content_type, payload = sealed
        return Sealed(key=key, digest=digest, content_type=content_type, payload=payload)

    def unsealed(self, limit: int) -> list[Unsealed]:
        with self._attempt("list unsealed readings"):
            rows = self._sql.execute(
                "SELECT number, boot, monotonic_ms, reading FROM unsealed ORDER BY number LIMIT ?",
                (limit,),
            ).fetchall()
        try:
            return [
                Unsealed(
                    number=number,
                    boot=boot,
                    monotonic_ms=monotonic_ms,
                    reading=msgspec.msgpack.decode(reading, type=Reading),
                )
                for number, boot, monotonic_ms, reading in rows
            ]
        except (msgspec.MsgspecError, TypeError) as error:
            raise self._corrupt(f"could not read an unsealed reading: {error}") from error

    def size(self) -> int:
        with self._attempt("measure the spool"):
            pages, free, page_size = (
                self._sql.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * page_size)

    def corrupt_files(self) -> int:
        return len(list(self._folder.glob("corrupt-*.sqlite")))

    # ---- writing

    def mint(self, epoch: str) -> None:
        def write() -> None:
            # An epoch that nothing is left of is forgotten; a box that restarts often has many.
            self._sql.execute(
                "DELETE FROM epoch WHERE dropped='[]'"
                " AND NOT EXISTS (SELECT 1 FROM batch WHERE batch.epoch=epoch.number)"
            )
            self._sql.execute("INSERT INTO epoch (epoch) VALUES (?)", (epoch,))

        self._write(f"open epoch {epoch}", write)
        self._learn_numbers()

    def append(
        self, sealed: Sealed, *, sealed_at_ms: int, unsealed: tuple[int, ...] = ()
    ) -> Dropped:
        content_type, payload = self._rest.packed(sealed.content_type, sealed.payload)

        def write() -> None:
            self._sql.execute(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
                (
                    self._numbers[sealed.key.epoch],
                    sealed.key.sequence,
                    sealed_at_ms,
                    sealed.digest,
                    content_type,
                    payload,
                ),
            )
            self._sql.executemany(
                "DELETE FROM unsealed WHERE number=?", [(number,) for number in unsealed]
            )

        self._write(f"keep batch {sealed.key.sequence}", write)
        return self._tell()

    def mark(self, store: str, generation: int, books: tuple[EpochBook, ...]) -> None:
        def write() -> None:
            self._keep_meta(f"generation {store}", str(generation))
            for book in books:
                self._mark_epoch(book)
            known = {book.epoch for book in books}
            # An epoch younger than these books was minted while they were on their way here.
            youngest = max((self._numbers.get(epoch, 0) for epoch in known), default=0)
            for epoch, number in self._numbers.items():
                if epoch not in known and number < youngest:
                    self._sql.execute("DELETE FROM batch WHERE epoch=?", (number,))
                    self._sql.execute("DELETE FROM epoch WHERE number=?", (number,))

        self._write("keep a commit", write)
        self._marked = True
        if not self._together:
            self._learn_numbers()

    def _mark_epoch(self, book: EpochBook) -> None:
        """What is as it was is not written: an unchanged row costs its page all the same."""
        committed, forked = _json(book.committed), int(book.forked)
        self._sql.execute(
            "UPDATE epoch SET committed=?, forked=?, next=MAX(next, ?)"
            " WHERE epoch=? AND (committed<>? OR forked<>? OR next<?)",
            (committed, forked, book.next, book.epoch, committed, forked, book.next),
        )

    def at_once(self, write: Callable[[], None]) -> Dropped:
        def together() -> None:
            self._together, self._marked = True, False
            try:
                write()
            finally:
                self._together = False

        self._write("keep several at once", together)
        if self._marked:
            self._learn_numbers()  # not before: a mark that was taken back forgot nothing
        return self._tell()

    def keep_unsealed(self, boot: str, taken: tuple[tuple[int, Reading], ...]) -> None:
        def write() -> None:
            self._sql.executemany(
                "INSERT INTO unsealed (boot, monotonic_ms, reading) VALUES (?, ?, ?)",
                [
                    (boot, monotonic_ms, msgspec.msgpack.encode(reading))
                    for monotonic_ms, reading in taken
                ],
            )

        self._write("keep unsealed readings", write)

    def prune(self, *, committed_before_ms: int, size_limit: int) -> Dropped:
        while True:
            over = self.size() > size_limit
            with self._attempt("find what to prune"):
                doomed = list(
                    islice(self._committed(None if over else committed_before_ms), _DROPPED_AT_ONCE)
                )
                if not doomed and over:
                    doomed = list(islice(self._oldest(), _DROPPED_AT_ONCE))
            if not doomed:
                break
            self._write("prune the spool", partial(self._drop, doomed))
            self._note_dropped(doomed)
        self._reserve.restore()
        if self._full and self._reserve.is_whole:
            log.info("spool.disk_has_room", folder=str(self._folder))
            self._full = False
        return self._tell()

    def _tell(self) -> Dropped:
        """What was dropped since this was last told, by whatever method made the room."""
        if self._together:
            return {}
        told, self._untold = self._untold, {}
        return told

    def _write(self, what: str, write: Callable[[], None]) -> None:
        """One transaction; on a full disk, drop the oldest batches and try again.

        Raises:
            SpoolFull: even then nothing fits.
            SpoolCorrupt: the file is damaged.
            SpoolBusy: the file cannot be written now.
        """
        if self._together:
            with self._attempt(what):
                write()
            return
        try:
            self._transact(what, write)
        except SpoolFull:
            if not self._full:
                log.warning("spool.disk_full", folder=str(self._folder))
                self._full = True
            self._reserve.free()
            self._write_after_dropping(what, write)
            self._reserve.restore()

    def _write_after_dropping(self, what: str, write: Callable[[], None]) -> None:
        for _ in range(_ROOM_ROUNDS - 1):
            self._make_room()
            with suppress(SpoolFull):
                self._transact(what, write)
                return
        self._transact(what, write)

    def _transact(self, what: str, write: Callable[[], None]) -> None:
        with self._attempt(what):
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                write()
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise

    def _make_room(self) -> None:
        """Drop the oldest, and begin the log anew."""
        if self._empty_set_aside():
            return
        self._checkpoint()
        with self._attempt("find the oldest batches"):
            held = self._sql.execute("SELECT COUNT(*) FROM batch").fetchone()[0]
            some = max(1, min(_DROPPED_AT_ONCE, held // 2))
            doomed = list(islice(self._committed(None), some)) or list(islice(self._oldest(), some))
        self._transact("make room", partial(self._drop, doomed))
        self._note_dropped(doomed)
        self._checkpoint()

    def _empty_set_aside(self) -> bool:
        """Damaged files that were salvaged go before any batch; their names still count them."""
        if self._damage.exists():
            return False
        files = [file for file in self._folder.glob("corrupt-*") if file.stat().st_size]
        for file in files:
            os.truncate(file, 0)
        return bool(files)

    def _note_dropped(self, doomed: list[BatchKey]) -> None:
        for epoch, sequence in doomed:
            self._untold[epoch] = self._untold.get(epoch, Ranges()).add(sequence)

    def _checkpoint(self) -> None:
        """Move the log into the database and give its room back."""
        with suppress(SpoolFull), self._attempt("move the log into the database"):
            self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _committed(self, before_ms: int | None) -> Iterator[BatchKey]:
        """Committed batches, oldest first.

        Sealed one after the other, they age in order: the first that is too young ends its span.
        """
        rows = self._sql.execute("SELECT epoch, number, committed FROM epoch ORDER BY number")
        for epoch, number, committed in rows.fetchall():
            for first, last in self._ranges(committed).spans:
                batches = self._sql.execute(
                    "SELECT sequence, sealed_at_ms FROM batch"
                    " WHERE epoch=? AND sequence BETWEEN ? AND ? ORDER BY sequence",
                    (number, first, last),
                )
                for sequence, sealed_at_ms in batches:
                    if before_ms is not None and sealed_at_ms >= before_ms:
                        break
                    yield BatchKey(epoch, sequence)

    def _oldest(self) -> Iterator[BatchKey]:
        rows = self._sql.execute(
            "SELECT e.epoch, b.sequence FROM epoch e JOIN batch b ON b.epoch = e.number"
            " ORDER BY e.number, b.sequence"
        )
        yield from (BatchKey(epoch, sequence) for epoch, sequence in rows)

    def _drop(self, doomed: list[BatchKey]) -> None:
        by_epoch: dict[str, list[tuple[int, int]]] = {}
        for epoch, sequence in doomed:
            by_epoch.setdefault(epoch, []).append((sequence, sequence))
        for epoch, spans in by_epoch.items():
            gone = Ranges(spans)
            number = self._numbers[epoch]
            following, *known = self._sql.execute(
                "SELECT next, committed, dropped, released FROM epoch WHERE number=?", (number,)
            ).fetchone()
            committed, dropped, released = (self._ranges(text) for text in known)
            self._sql.execute(
                "UPDATE epoch SET dropped=?, released=?, next=? WHERE number=?",
                (
                    _json(dropped | (gone - committed)),
                    _json(released | (gone & committed)),
                    max(following, gone.highest + 1),
                    number,
                ),
            )
            self._sql.executemany(
                "DELETE FROM batch WHERE epoch=? AND sequence=?",
                [(number, sequence) for sequence in gone.ascending()],
            )

    # ---- meta

    def _meta(self, name: str, default: str) -> str:
        with self._attempt(f"read {name}"):
            row = self._sql.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return default if row is None else str(row[0])

    def _keep_meta(self, name: str, value: str) -> None:
        self._sql.execute(
            "INSERT INTO meta VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value=excluded.value WHERE value<>excluded.value",
            (name, value),
        )

    def _ranges(self, text: str) -> Ranges:
        try:
            return Ranges((first, last) for first, last in json.loads(text))
        except (ValueError, TypeError) as error:
            raise self._corrupt(f"could not read ranges: {error}") from error

    # ---- damage

    def renew(self) -> None:
        self._disconnect()
        try:
            aside, saved = self._renewed()
        except OSError as error:
            raise self._refusal(f"could not renew the spool: {error}", error) from error
        log.error("spool.corrupt", set_aside=aside.name, salvaged=saved)

    def _renewed(self) -> tuple[Path, int]:
        """What is half done when the disk refuses is begun again by whoever calls next."""
        self._reserve.free()  # a damaged file beside its successor needs the room
        aside = self._set_aside()
        self._open()
        saved = self._salvage(aside)
        self._damage.unlink(missing_ok=True)
        return aside, saved

    def _refusal(self, message: str, error: OSError) -> SpoolFull | SpoolBusy:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        return SpoolFull(message) if full else SpoolBusy(message)

    def _set_aside(self) -> Path:
        """Move the file away, or what a renewal that was cut short had made of it so far."""
        begun = self._damage.read_text(encoding="ascii") if self._damage.exists() else ""
        aside = self._folder / (begun or f"corrupt-{self.corrupt_files() + 1}.sqlite")
        if aside.exists():
            for suffix in ("", *_BESIDE):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            return aside
        with self._damage.open("w", encoding="ascii") as mark:
            mark.write(aside.name)
            mark.flush()
            os.fsync(mark.fileno())
        for suffix in (*_BESIDE, ""):  # the database last: it says that all are there
            remains = self._path.with_name(self._path.name + suffix)
            if remains.exists():
                remains.replace(aside.with_name(aside.name + suffix))
        aside.touch()
        return aside

    def _salvage(self, aside: Path) -> int:
        """Copy what of the damaged file still reads; returns how many batches did."""
        saved = 0
        with remains_of(aside) as damaged:
            self._write("salvage epochs", partial(self._adopt, damaged))
            self._learn_numbers()
            waiting = unsealed_in(damaged)
            while some := list(islice(waiting, _SALVAGED_AT_ONCE)):
                self._write("salvage readings", partial(self._adopt_unsealed, some))
            batches = batches_in(damaged, frozenset(self._numbers.values()))
            while found := list(islice(batches, _SALVAGED_AT_ONCE)):
                self._write("salvage batches", partial(self._adopt_batches, found))
                saved += len(found)
        self._untold = {}  # the books say it all, and whoever renews reads them
        return saved

    def _adopt(self, damaged: Remains) -> None:
        self._sql.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", damaged.meta)
        self._sql.executemany(
            "INSERT OR IGNORE INTO epoch VALUES (?, ?, ?, ?, ?, ?, ?)", damaged.epochs
        )

    def _adopt_batches(self, found: list[BatchRow]) -> None:
        self._sql.executemany("INSERT OR IGNORE INTO batch VALUES (?, ?, ?, ?, ?, ?)", found)

    def _adopt_unsealed(self, found: list[UnsealedRow]) -> None:
        self._sql.executemany(
            "INSERT INTO unsealed (boot, monotonic_ms, reading) VALUES (?, ?, ?)", found
        )

    def close(self) -> None:
        self._disconnect()
        self._lock.release()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _attempt(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # ours
        except sqlite3.DatabaseError as error:
            raise self._meaning(f"could not {what}: {error}", error) from error

    def _meaning(self, message: str, error: sqlite3.DatabaseError) -> Exception:
        match meaning_of(error, disk_free=self._reserve.disk_free()):
            case Meaning.FULL:
                return SpoolFull(message)
            case Meaning.PASSING:
                return SpoolBusy(message)
            case Meaning.DAMAGED:
                return self._corrupt(message)

    def _corrupt(self, message: str) -> SpoolCorrupt:
        self._note_damage(message)
        return SpoolCorrupt(message)

    def _note_damage(self, message: str) -> None:
        """Whatever becomes of this process, the next start sets the file aside."""
        if not self._damage.exists():
            log.error("spool.damaged", error=message)
        with suppress(OSError):
            self._damage.touch()


def _extend(spans: list[tuple[int, int]], sequence: int) -> None:
    if spans and spans[-1][1] == sequence - 1:
        spans[-1] = (spans[-1][0], sequence)
    else:
        spans.append((sequence, sequence))


def _json(ranges: Ranges) -> str:
    return json.dumps(ranges.spans)
