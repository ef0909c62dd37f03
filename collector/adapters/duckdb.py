"""DuckDB store: the port `ReadingStore` in one file of this machine.

**Shape.** One table a month (UTC month of `at_ms`) named `reading_YYYYMM`, one row a reading, a
DOUBLE column per quantity, so that retention is DROP and a value costs about three bytes. A column
appears in a month's table when its quantity first does: the database's own share of a write is 0.24
CPU-s per million values with 62 columns of which 20 are used, and 0.11 with those 20 alone.
Meters and tags are small numbers here, explained by the tables `meter` and `tag`. A month's table
has no key: identity is checked on the way in.

**Checking is free for live data.** The store remembers each meter's newest instant; only what is
not newer is looked up, and only in the time it covers.

**Threads.** One writes, under a lock; each read has a cursor of its own (DuckDB's snapshots keep
them apart) and a catalog that is replaced, never changed, after the commit.

**Durable.** DuckDB syncs its log before `commit` returns. When a write fails (disk full), it may
still have been stored and only the checkpoint after it failed: the file is then opened again before
the next write, which finds what is there (`collector.adapters.duckdb_file`).
"""

# ruff: noqa: S608  every name in a statement is of our own tables, every number is an int; what
# comes from outside is a bound parameter or an array

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb  # noqa: TID251  this is the one adapter that speaks DuckDB
import numpy as np
from msgspec import convert

from collector.adapters.catalog import NEVER, Catalog
from collector.adapters.columns import (
    columns_of,
    months_of,
    spans_of,
)
from collector.adapters.duckdb_columns import Side, read_columns, read_nearest
from collector.adapters.duckdb_file import DuckDbFile, opening, roll_back
from collector.adapters.tables import CREATE, REJECTION, TAGS, Tables, present
from collector.overlay import Unfit, screen
from collector.store import (
    Column,
    Count,
    Refusal,
    Rejection,
    Row,
    StoreIdentity,
    StoreRefused,
    Tags,
    Window,
    WriteOutcome,
)
from metering.reading import Reading

_SCHEMA = 1


class DuckDbReadingStore:
    """A `ReadingStore` in the file at `path`, which this process then holds alone.

    Args:
        path: the file; made if there is none.
        threads: of the database. One is the cheapest for writing (0.24 against 0.29 CPU-s per
            million values); reads run on the thread that asks anyway.
        memory: the most it may keep in memory, as DuckDB writes it. It fills whatever it is given
            with what it has read before; settling a month of 1,000 meters is not faster with more.
        log: how long its log may grow before it goes into the tables. DuckDB's own 16 MB cost a
            fifth more per value; replaying 54 MB after a kill took a quarter of a second.

    Raises:
        StoreRefused: another process has it, it is no such file, or a later version made it.
    """

    def __init__(
        self, path: Path, *, threads: int = 1, memory: str = "256MB", log: str = "64MB"
    ) -> None:
        self.file = DuckDbFile(
            path,
            {
                "threads": threads,
                "memory_limit": memory,
                "checkpoint_threshold": log,
                "autoinstall_known_extensions": False,  # nothing is fetched, ever
                "autoload_known_extensions": False,
            },
        )
        self._writing = threading.Lock()
        self._catalog = Catalog()
        try:
            with opening(path), self.file.held("open the store"):
                self._adopt()
        except BaseException:
            self.file.close()  # a file that is refused is let go of
            raise

    # -- writing ---------------------------------------------------------------------------------

    def write(
        self,
        rows: Sequence[Row],
        rejections: Sequence[Rejection] = (),
        *,
        overlapping: bool = False,
    ) -> WriteOutcome:
        """See `ReadingStore`; this store always looks, so `overlapping` changes nothing."""
        del overlapping
        saying = [row for row in rows if row.values or row.fault]
        refused: list[Refusal] = []
        try:
            columns = columns_of(saying)
        except Unfit:
            saying, refused = screen(saying)
            columns = columns_of(saying)
        with self._transaction(f"write {len(rows)} rows") as draft:
            met = self._tables.store(saying, columns, draft)
            self._tables.keep_beside([*rejections, *met.conflicts])
        return WriteOutcome(
            stored_values=met.stored,
            duplicate_values=met.same,
            conflicts=tuple(met.conflicts),
            refused=tuple(refused),
        )

    def declare(self, identity: StoreIdentity) -> None:
        with self._transaction("declare the store's identity"):
            self._writer.execute("delete from store_identity")
            values = [identity.id, identity.generation]
            self._writer.execute("insert into store_identity values (?, ?)", values)

    def drop_before(self, at_ms: int) -> int:
        """Forget the months (UTC) that ended before; return how many tables went.

        Rejections before `at_ms` go with them.
        """
        (bound,) = months_of(np.array([at_ms], np.int64)).tolist()
        with self._transaction("drop old months") as draft:
            old = draft.forget_before(bound)
            for month in old:
                self._writer.execute(f"drop table reading_{month}")
            self._writer.execute("delete from rejection where at_ms < ?", [at_ms])
        return len(old)

    def close(self) -> None:
        with self._writing:
            self.file.close()

    @contextmanager
    def _transaction(self, asked: str) -> Iterator[Catalog]:
        """Yield a draft of the catalog, which becomes the catalog when all of it is durable."""
        with self._writing, self.file.held(asked):
            if self._opened != self.file.opened:
                self._adopt()
            draft = self._catalog.draft()
            self._writer.begin()
            try:
                yield draft
                self._writer.commit()
                self._catalog = draft
            except duckdb.Error:
                self.file.fail()
                raise
            finally:
                if self._catalog is not draft:
                    roll_back(self._writer)

    # -- reading ---------------------------------------------------------------------------------

    def latest(self, meters: Sequence[str] | None = None) -> list[Reading]:
        catalog = self._catalog
        chosen = catalog.meters if meters is None else set(meters) & catalog.meters.keys()
        numbers = np.array([catalog.meters[meter] for meter in chosen], np.int64)
        at_ms = catalog.newest_valued[numbers]
        spoke = at_ms != NEVER
        numbers, at_ms = numbers[spoke], at_ms[spoke]
        months = months_of(at_ms)
        found: list[Reading] = []
        with self.file.cursor("read the latest readings") as cursor:
            for month in np.unique(months).tolist():
                arrays = {"meter": numbers[months == month], "at_ms": at_ms[months == month]}
                cursor.register("wanted", arrays)
                for lowest, highest in spans_of(arrays["at_ms"]):
                    condition = (
                        f"at_ms between {lowest} and {highest}"
                        " and (meter, at_ms) in (select (meter, at_ms) from wanted)"
                    )
                    found += self._select(cursor, catalog, month, None, condition)
        return sorted(found, key=_by_key)

    def readings(
        self, meters: Sequence[str], quantities: Sequence[str] | None, start_ms: int, end_ms: int
    ) -> list[Reading]:
        catalog = self._catalog
        numbers = sorted({catalog.meters[meter] for meter in meters if meter in catalog.meters})
        if not numbers:
            return []
        condition = (
            f"meter in ({', '.join(map(str, numbers))})"
            f" and at_ms >= {int(start_ms)} and at_ms < {int(end_ms)}"
        )
        found: list[Reading] = []
        with self.file.cursor("read readings") as cursor:
            for month in catalog.months_in(start_ms, end_ms):
                found += self._select(cursor, catalog, month, quantities, condition)
        return sorted(found, key=_by_key)

    def columns(
        self, meters: Sequence[str], quantities: Sequence[str], start_ms: int, end_ms: int
    ) -> list[Column]:
        catalog = self._catalog
        with self.file.cursor("read columns") as cursor:
            return read_columns(cursor, catalog, meters, quantities, (start_ms, end_ms))

    def nearest(
        self, meter: str, quantity: str, at_ms: int, *, later: bool, most: int
    ) -> Column | None:
        catalog = self._catalog
        with self.file.cursor(f"read the nearest {quantity}") as cursor:
            return read_nearest(cursor, catalog, meter, quantity, Side(at_ms, later, most))

    def windows(
        self, meter: str, quantity: str, start_ms: int, end_ms: int, width_ms: int
    ) -> list[Window]:
        catalog = self._catalog
        number = catalog.meters.get(meter)
        months = catalog.months_in(start_ms, end_ms)
        parts = [
            f"select at_ms, {quantity} as value from reading_{month} where meter = {number}"
            f" and at_ms >= {int(start_ms)} and at_ms < {int(end_ms)} and {quantity} is not null"
            for month in months
            if quantity in catalog.months[month]
        ]
        if number is None or not parts:
            return []
        with self.file.cursor(f"read windows of {quantity}") as cursor:
            cursor.execute(
                "select at_ms // $width * $width as start_ms, count(*), min(value), max(value),"
                " avg(value), arg_min(value, at_ms), arg_max(value, at_ms)"
                f" from ({' union all '.join(parts)}) group by start_ms order by start_ms",
                {"width": width_ms},
            )
            return [_window(row) for row in cursor.fetchall()]

    def rejections(self, start_ms: int, end_ms: int) -> list[Rejection]:
        with self.file.cursor("read rejections") as cursor:
            cursor.execute(
                f"select {', '.join(REJECTION)} from rejection where at_ms >= ? and at_ms < ?"
                " order by at_ms, meter, quantity, reason, raw",
                [start_ms, end_ms],
            )
            return [_rejection(row) for row in cursor.fetchall()]

    def count(self) -> Count:
        readings = values = 0
        with self.file.cursor("count the readings") as cursor:
            for month, names in self._catalog.months.items():
                counts = ", ".join(["count(*)", *(f"count({name})" for name in names)])
                cursor.execute(f"select {counts} from reading_{month}")
                for rows, *present in cursor.fetchall():
                    readings += rows
                    values += sum(present)
        return Count(readings=readings, values=values)

    def identify(self) -> StoreIdentity | None:
        with self.file.cursor("read the store's identity") as cursor:
            row = cursor.execute("select id, generation from store_identity").fetchone()
        return None if row is None else StoreIdentity(id=row[0], generation=row[1])

    def _select(
        self,
        cursor: duckdb.DuckDBPyConnection,
        catalog: Catalog,
        month: int,
        quantities: Sequence[str] | None,
        condition: str,
    ) -> Iterator[Reading]:
        there = catalog.months[month]
        names = there if quantities is None else [q for q in there if q in quantities]
        wanted = ", ".join(["name", "at_ms", "fault", *names])
        cursor.execute(
            f"select {wanted} from reading_{month} join meter on meter.number = meter"
            f" where {condition}"
        )
        for meter, at_ms, fault, *stored in cursor.fetchall():
            values = present(names, stored)
            if values or fault:
                yield Reading(meter=meter, at_ms=at_ms, values=values, fault=fault)

    # -- opening ---------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Begin anew with a file that was opened; what is in it is read from it."""
        self._writer = self.file.new_cursor()
        self._tables = Tables(self._writer)
        self._catalog = self._load()
        self._opened = self.file.opened

    def _load(self) -> Catalog:
        self._writer.execute(CREATE)
        versions = self._writer.execute("select version from nenghao_schema").fetchall()
        if not versions:
            self._writer.execute("insert into nenghao_schema values (?)", [_SCHEMA])
        elif versions != [(_SCHEMA,)]:
            raise StoreRefused(
                f"{self.file.path} has schema {versions}, this program knows {_SCHEMA}"
            )
        catalog = Catalog()
        for number, name in self._writer.execute("select number, name from meter").fetchall():
            catalog.meters[name] = number
        for number, meter, *tags in self._writer.execute("select * from tag").fetchall():
            catalog.tags[Tags(**dict(zip(TAGS, tags, strict=True)))] = (number, meter)
        columns = self._writer.execute(
            "select table_name, list(column_name order by column_index) from duckdb_columns()"
            " where table_name like 'reading_%' group by table_name"
        ).fetchall()
        for table, names in columns:
            catalog.months[int(table.removeprefix("reading_"))] = tuple(names[4:])
        catalog.grow()
        self._find_newest(catalog)
        return catalog

    def _find_newest(self, catalog: Catalog) -> None:
        """Look from the newest month backwards until each meter is found."""
        for month in sorted(catalog.months, reverse=True):
            if (catalog.newest_valued != NEVER).all():
                return
            some = ", ".join((*catalog.months[month], "null"))
            # Most readings have no fault: only the others' columns are looked at.
            self._writer.execute(
                "select meter, max(at_ms), max(valued_ms) from ("
                f"select meter, at_ms, at_ms as valued_ms from reading_{month} where fault is null"
                " union all select meter, at_ms,"
                f" case when coalesce({some}) is null then {NEVER} else at_ms end"
                f" from reading_{month} where fault is not null) group by meter"
            )
            for meter, newest, valued in self._writer.fetchall():
                catalog.newest[meter] = max(catalog.newest[meter], newest)
                catalog.newest_valued[meter] = max(catalog.newest_valued[meter], valued)


def _by_key(reading: Reading) -> tuple[str, int]:
    return reading.meter, reading.at_ms


def _window(row: Sequence[float]) -> Window:
    start_ms, count, lowest, highest, mean, first, last = row
    return Window(
        start_ms=int(start_ms),
        count=int(count),
        lowest=lowest,
        highest=highest,
        mean=mean,
        first=first,
        last=last,
    )


def _rejection(row: Sequence[Any]) -> Rejection:  # a row as the database's client types it
    kept = dict(zip(REJECTION, row, strict=True))
    return convert(kept, Rejection)
