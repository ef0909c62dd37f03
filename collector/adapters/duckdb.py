"""DuckDB store: the port `ReadingStore` in one file of this machine.

**Shape.** One table a month (UTC month of `at_ms`) named `reading_YYYYMM`, one row a reading, a
DOUBLE column per quantity, so that retention is DROP and a value costs about three bytes. A column
appears in a month's table when its quantity first does: 62 columns of which 20 are used cost twice
the processor time of 20 (0.24 against 0.11 CPU-s per million values, measured by bench_store).
Meters and tags are small numbers here, explained by the tables `meter` and `tag`. A month's table
has no key: identity is checked on the way in.

**Checking is free for live data.** The store remembers each meter's newest instant; only what is
not newer is looked up, and only in the time it covers.

**Threads.** One writes, under a lock; each read has a cursor of its own (DuckDB's snapshots keep
them apart) and a catalog that is replaced, never changed, after the commit.

**Durable.** DuckDB syncs its log before `commit` returns. A commit that fails (disk full) leaves
nothing behind.
"""

# ruff: noqa: S608  every name in a statement is of our own tables, every number is an int; what
# comes from outside is a bound parameter or an array

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb  # noqa: TID251  this is the one adapter that speaks DuckDB
import numpy as np
from msgspec import Struct, convert, field, structs
from numpy.typing import NDArray

from collector.adapters.catalog import NEVER, Catalog, Part
from collector.adapters.columns import (
    Columns,
    Ints,
    columns_of,
    has_repeats,
    months_of,
    spans_of,
)
from collector.store import (
    Count,
    Refusal,
    Rejection,
    Row,
    StoreAway,
    StoreFull,
    StoreIdentity,
    StoreRefused,
    Tags,
    Unfit,
    Window,
    WriteOutcome,
    fold,
    overlay,
    screen,
    storable,
)
from metering.reading import Reading

_SCHEMA = 1
_TAGS = Tags.__struct_fields__
_REJECTION = Rejection.__struct_fields__

_CREATE = f"""
create table if not exists nenghao_schema (version integer);
create table if not exists store_identity (id varchar, generation integer);
create table if not exists meter (number integer, name varchar);
create table if not exists tag (
    number integer, meter_number integer, {", ".join(f"{name} varchar" for name in _TAGS)}
);
create table if not exists rejection (
    meter varchar, at_ms bigint, quantity varchar, value double, raw varchar, reason varchar,
    level varchar, gateway varchar
);
"""
_MONTH = "(meter integer, at_ms bigint, tag integer, fault varchar)"


class _Met(Struct, kw_only=True):
    """What a call's rows met: counts and losers, gathered on the way."""

    stored: int = 0
    same: int = 0
    conflicts: list[Rejection] = field(default_factory=list)


class DuckDbReadingStore:
    """A `ReadingStore` in the file at `path`, which this process then holds alone.

    Args:
        path: the file; made if there is none.
        threads: of the database. One is the cheapest for writing (0.24 against 0.29 CPU-s per
            million values); reads run on the thread that asks anyway.
        memory: the most it may keep in memory, as DuckDB writes it.

    Raises:
        StoreRefused: another process has it, it is no such file, or a later version made it.
    """

    def __init__(self, path: Path, *, threads: int = 1, memory: str = "1GB") -> None:
        self._path = path
        self._writing = threading.Lock()
        self._cursors = threading.Lock()
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": memory,
            "checkpoint_threshold": "64MB",  # 16 MB, the default, costs a fifth more
            "autoinstall_known_extensions": False,  # nothing is fetched, ever
            "autoload_known_extensions": False,
        }
        with _opening(path), ExitStack() as undo:
            self._root = duckdb.connect(str(path), config=config)
            undo.callback(self._root.close)  # a file that is refused is let go of
            self._writer = undo.enter_context(self._root.cursor())
            self._catalog = self._load()
            undo.pop_all()

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
            met = self._store(saying, columns, draft)
            self._keep_beside([*rejections, *met.conflicts])
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
        with self._writing, _translated("close the store"):
            self._writer.close()
            self._root.close()

    def _store(self, rows: list[Row], columns: Columns, draft: Catalog) -> _Met:
        met = _Met()
        if not rows:
            return met
        tags, meters = self._number(rows, draft)
        if has_repeats(meters, columns.at_ms):
            folded = fold(rows)
            rows, met.same, met.conflicts = folded.rows, folded.same, folded.conflicts
            columns = columns_of(rows)
            tags, meters = self._number(rows, draft)
        months = months_of(columns.at_ms)
        whole = Part(month=0, rows=rows, meters=meters, tags=tags, columns=columns)
        for month in np.unique(months).tolist():
            part = structs.replace(whole.pick(months == month), month=month)
            self._store_part(part, draft, met)
        valued = columns.valued()
        np.maximum.at(draft.newest, meters, columns.at_ms)
        np.maximum.at(draft.newest_valued, meters[valued], columns.at_ms[valued])
        return met

    def _store_part(self, part: Part, draft: Catalog, met: _Met) -> None:
        self._add_columns(part, draft)
        late = part.columns.at_ms <= draft.newest[part.meters]
        known = self._find(part, np.flatnonzero(late)) if late.any() else np.empty(0, np.int64)
        fresh = np.ones(len(part.rows), np.bool_)
        fresh[known] = False
        if len(known):
            self._lay_over(part.pick(~fresh), met)
        if fresh.any():
            new = part.pick(fresh)
            self._append(new)
            met.stored += new.columns.count_values()

    def _number(self, rows: list[Row], draft: Catalog) -> tuple[Ints, Ints]:
        """Return the rows' tag and meter numbers; new ones are written down first."""
        known = draft.tags
        for tags in {row.tags for row in rows} - known.keys():
            self._add_tags(tags, draft)
        if len(draft.meters) > len(draft.newest):
            draft.grow()
        numbers = np.array([known[row.tags] for row in rows], np.int64)
        return numbers[:, 0], numbers[:, 1]

    def _add_tags(self, tags: Tags, draft: Catalog) -> None:
        meter = draft.meters.get(tags.meter)
        if meter is None:
            meter = draft.meters[tags.meter] = len(draft.meters)
            self._writer.execute("insert into meter values (?, ?)", [meter, tags.meter])
        number = len(draft.tags)
        draft.tags[tags] = (number, meter)
        places = ", ".join("?" for _ in range(len(_TAGS) + 2))
        values = [number, meter, *structs.astuple(tags)]
        self._writer.execute(f"insert into tag values ({places})", values)

    def _add_columns(self, part: Part, draft: Catalog) -> None:
        """Make the month's table and the columns that it lacks."""
        table = f"reading_{part.month}"
        if part.month not in draft.months:
            self._writer.execute(f"create table {table} {_MONTH}")
            draft.months[part.month] = ()
        there = draft.months[part.month]
        new = tuple(name for name in part.columns.names if name not in there)
        for name in new:
            self._writer.execute(f"alter table {table} add column {name} double")
        draft.months[part.month] = there + new

    def _append(self, part: Part) -> None:
        with self._incoming(part) as names:
            columns = ", ".join(names)
            self._writer.execute(
                f"insert into reading_{part.month} ({columns}) select {columns} from incoming"
            )

    def _find(self, part: Part, late: Ints) -> Ints:
        """Return which of the rows at the places `late` have a key that is stored already."""
        at_ms = part.columns.at_ms[late]
        arrays = {"place": late, "meter": part.meters[late], "at_ms": at_ms}
        found: list[tuple[int]] = []
        with self._registered(arrays):
            for lowest, highest in spans_of(at_ms):
                self._writer.execute(
                    f"select place from incoming semi join (select meter, at_ms"
                    f" from reading_{part.month} where at_ms between ? and ?) using (meter, at_ms)",
                    [lowest, highest],
                )
                found += self._writer.fetchall()
        return np.sort(np.array([place for (place,) in found], np.int64))

    def _lay_over(self, part: Part, met: _Met) -> None:
        """Add what known readings lack, note what contradicts them."""
        additions: list[tuple[int, Row]] = []
        for index, values, fault in self._stored(part):
            meeting = overlay(values, fault, part.rows[index])
            met.same += meeting.same
            met.conflicts.extend(meeting.conflicts)
            if meeting.addition:
                additions.append((index, meeting.addition))
        if additions:
            places = np.array([index for index, _ in additions], np.int64)
            rows = [row for _, row in additions]
            columns = columns_of(rows)
            meters, tags = part.meters[places], part.tags[places]
            self._update(
                Part(month=part.month, rows=rows, meters=meters, tags=tags, columns=columns)
            )
            met.stored += columns.count_values()

    def _stored(self, part: Part) -> Iterator[tuple[int, dict[str, float], str | None]]:
        """Yield (place, values, fault) as stored under the rows' keys."""
        names = part.columns.names
        at_ms = part.columns.at_ms
        wanted = ", ".join(f"stored.{name}" for name in ("fault", *names))
        arrays = {"place": np.arange(len(at_ms)), "meter": part.meters, "at_ms": at_ms}
        with self._registered(arrays):
            for lowest, highest in spans_of(at_ms):
                self._writer.execute(
                    f"select place, {wanted} from incoming join reading_{part.month} as stored"
                    " on incoming.meter = stored.meter and incoming.at_ms = stored.at_ms"
                    " where stored.at_ms between ? and ?",
                    [lowest, highest],
                )
                for place, fault, *values in self._writer.fetchall():
                    yield place, _present(names, values), fault

    def _update(self, part: Part) -> None:
        with self._incoming(part) as names:
            late = [name for name in names if name not in ("meter", "at_ms", "tag")]
            changes = ", ".join(f"{q} = coalesce(stored.{q}, incoming.{q})" for q in late)
            for lowest, highest in spans_of(part.columns.at_ms):
                self._writer.execute(
                    f"update reading_{part.month} as stored set {changes} from incoming"
                    " where stored.meter = incoming.meter and stored.at_ms = incoming.at_ms"
                    " and stored.at_ms between ? and ?",
                    [lowest, highest],
                )

    def _keep_beside(self, rejections: Sequence[Rejection]) -> None:
        if not rejections:
            return
        distinct = list(dict.fromkeys(map(storable, rejections)))
        arrays: dict[str, NDArray[Any]] = {
            name: np.array([getattr(rejection, name) for rejection in distinct], object)
            for name in _REJECTION
        }
        arrays["at_ms"] = arrays["at_ms"].astype(np.int64)
        arrays["value"] = np.ma.masked_invalid(arrays["value"].astype(np.float64))
        arrays["level"] = np.array([rejection.level.value for rejection in distinct], object)
        same = " and ".join(f"one.{q} is not distinct from kept.{q}" for q in _REJECTION)
        with self._registered(arrays):
            self._writer.execute(
                f"insert into rejection select {', '.join(_REJECTION)} from incoming as one"
                " where not exists (select 1 from rejection as kept where kept.at_ms between"
                f" ? and ? and {same})",
                [int(arrays["at_ms"].min()), int(arrays["at_ms"].max())],
            )

    @contextmanager
    def _incoming(self, part: Part) -> Iterator[list[str]]:
        """Offer the part's rows to SQL as `incoming`; yields the names of its columns."""
        columns = part.columns
        arrays: dict[str, NDArray[Any]] = {
            "meter": part.meters,
            "at_ms": columns.at_ms,
            "tag": part.tags,
        }
        if columns.faults is not None:
            arrays["fault"] = columns.faults
        arrays.update(zip(columns.names, columns.nullable(), strict=True))
        with self._registered(arrays):
            yield list(arrays)

    @contextmanager
    def _registered(self, arrays: Mapping[str, NDArray[Any]]) -> Iterator[None]:
        self._writer.register("incoming", arrays)
        try:
            yield
        finally:
            self._writer.unregister("incoming")

    @contextmanager
    def _transaction(self, asked: str) -> Iterator[Catalog]:
        """Yield a draft of the catalog, which becomes the catalog when all of it is durable."""
        with self._writing, _translated(asked):
            draft = self._catalog.draft()
            self._writer.begin()
            try:
                yield draft
                self._writer.commit()
                self._catalog = draft
            finally:
                if self._catalog is not draft:
                    _roll_back(self._writer)

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
        with self._cursor("read the latest readings") as cursor:
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
        with self._cursor("read readings") as cursor:
            for month in catalog.months_in(start_ms, end_ms):
                found += self._select(cursor, catalog, month, quantities, condition)
        return sorted(found, key=_by_key)

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
        with self._cursor(f"read windows of {quantity}") as cursor:
            cursor.execute(
                "select at_ms // $width * $width as start_ms, count(*), min(value), max(value),"
                " avg(value), arg_min(value, at_ms), arg_max(value, at_ms)"
                f" from ({' union all '.join(parts)}) group by start_ms order by start_ms",
                {"width": width_ms},
            )
            return [_window(row) for row in cursor.fetchall()]

    def rejections(self, start_ms: int, end_ms: int) -> list[Rejection]:
        with self._cursor("read rejections") as cursor:
            cursor.execute(
                f"select {', '.join(_REJECTION)} from rejection where at_ms >= ? and at_ms < ?"
                " order by at_ms, meter, quantity, reason, raw",
                [start_ms, end_ms],
            )
            return [_rejection(row) for row in cursor.fetchall()]

    def count(self) -> Count:
        readings = values = 0
        with self._cursor("count the readings") as cursor:
            for month, names in self._catalog.months.items():
                counts = ", ".join(["count(*)", *(f"count({name})" for name in names)])
                cursor.execute(f"select {counts} from reading_{month}")
                for rows, *present in cursor.fetchall():
                    readings += rows
                    values += sum(present)
        return Count(readings=readings, values=values)

    def identify(self) -> StoreIdentity | None:
        with self._cursor("read the store's identity") as cursor:
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
            values = _present(names, stored)
            if values or fault:
                yield Reading(meter=meter, at_ms=at_ms, values=values, fault=fault)

    @contextmanager
    def _cursor(self, asked: str) -> Iterator[duckdb.DuckDBPyConnection]:
        with _translated(asked):
            with self._cursors:
                cursor = self._root.cursor()
            try:
                yield cursor
            finally:
                cursor.close()

    # -- opening ---------------------------------------------------------------------------------

    def _load(self) -> Catalog:
        self._writer.execute(_CREATE)
        versions = self._writer.execute("select version from nenghao_schema").fetchall()
        if not versions:
            self._writer.execute("insert into nenghao_schema values (?)", [_SCHEMA])
        elif versions != [(_SCHEMA,)]:
            raise StoreRefused(f"{self._path} has schema {versions}, this program knows {_SCHEMA}")
        catalog = Catalog()
        for number, name in self._writer.execute("select number, name from meter").fetchall():
            catalog.meters[name] = number
        for number, meter, *tags in self._writer.execute("select * from tag").fetchall():
            catalog.tags[Tags(**dict(zip(_TAGS, tags, strict=True)))] = (number, meter)
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


def _present(names: Sequence[str], values: Sequence[float | None]) -> dict[str, float]:
    return {name: v for name, v in zip(names, values, strict=True) if v is not None}


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
    kept = dict(zip(_REJECTION, row, strict=True))
    return convert(kept, Rejection)


def _roll_back(writer: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.TransactionException):  # a commit that failed has rolled back already
        writer.rollback()


@contextmanager
def _translated(asked: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        message = f"cannot {asked}: {error}"
        if _is_full(error):
            raise StoreFull(message) from error
        # What a row could do wrong was checked before; the rest is the machine's or our own fault,
        # and no reason to let go of a reading.
        raise StoreAway(message) from error


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        if _is_full(error):
            raise StoreFull(f"cannot open {path}: {error}") from error
        if "Could not set lock" in str(error):
            raise StoreRefused(
                f"{path} is already open by another process; one process at a time: {error}"
            ) from error
        raise StoreRefused(f"cannot open {path}: {error}") from error


def _is_full(error: duckdb.Error) -> bool:
    return "No space left" in str(error) or "File too large" in str(error)
