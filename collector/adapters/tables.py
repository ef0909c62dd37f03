"""Tables: rows -> the month tables of a column store, over a connection within a transaction.

Everything is done to whole sets of rows; the rule that the first value wins is `overlay`'s, and
only the rows that meet a stored key are looked at one by one.
"""

# ruff: noqa: S608  every name in a statement is of our own tables; what comes from outside is a
# bound parameter or an array

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from msgspec import Struct, field, structs
from numpy.typing import NDArray

from collector.adapters.catalog import Catalog
from collector.adapters.columns import (
    Columns,
    Ints,
    Mask,
    columns_of,
    has_repeats,
    months_of,
    spans_of,
)
from collector.overlay import fold, overlay, storable
from collector.store import (
    Rejection,
    Row,
    Tags,
)

TAGS = Tags.__struct_fields__
REJECTION = Rejection.__struct_fields__

CREATE = f"""
create table if not exists nenghao_schema (version integer);
create table if not exists store_identity (id varchar, generation integer);
create table if not exists meter (number integer, name varchar);
create table if not exists tag (
    number integer, meter_number integer, {", ".join(f"{name} varchar" for name in TAGS)}
);
create table if not exists rejection (
    meter varchar, at_ms bigint, quantity varchar, value double, raw varchar, reason varchar,
    level varchar, gateway varchar
);
"""
_MONTH = "(meter integer, at_ms bigint, tag integer, fault varchar)"


class Connection(Protocol):
    """What is asked of a database's connection."""

    def execute(self, query: str, parameters: object = None) -> object: ...
    def fetchall(self) -> list[tuple[Any, ...]]: ...
    def register(self, view_name: str, python_object: object) -> object: ...
    def unregister(self, view_name: str) -> object: ...


class Part(Struct, frozen=True, kw_only=True):
    """Rows of one month, on their way into its table; arrays of one length."""

    month: int
    rows: list[Row]
    meters: Ints
    tags: Ints
    columns: Columns

    def pick(self, chosen: Mask) -> "Part":
        if chosen.all():  # the usual case costs nothing
            return self
        return Part(
            month=self.month,
            rows=[self.rows[index] for index in np.flatnonzero(chosen)],
            meters=self.meters[chosen],
            tags=self.tags[chosen],
            columns=self.columns.pick(chosen),
        )


class Met(Struct, kw_only=True):
    """What a call's rows met: counts and losers, gathered on the way."""

    stored: int = 0
    same: int = 0
    conflicts: list[Rejection] = field(default_factory=list)


class Tables:
    """The month tables, for writing, and what is kept beside them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def store(self, rows: list[Row], columns: Columns, draft: Catalog) -> Met:
        met = Met()
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

    def _store_part(self, part: Part, draft: Catalog, met: Met) -> None:
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
            self._connection.execute("insert into meter values (?, ?)", [meter, tags.meter])
        number = len(draft.tags)
        draft.tags[tags] = (number, meter)
        places = ", ".join("?" for _ in range(len(TAGS) + 2))
        values = [number, meter, *structs.astuple(tags)]
        self._connection.execute(f"insert into tag values ({places})", values)

    def _add_columns(self, part: Part, draft: Catalog) -> None:
        """Make the month's table and the columns that it lacks."""
        table = f"reading_{part.month}"
        if part.month not in draft.months:
            self._connection.execute(f"create table {table} {_MONTH}")
            draft.months[part.month] = ()
        there = draft.months[part.month]
        new = tuple(name for name in part.columns.names if name not in there)
        for name in new:
            self._connection.execute(f"alter table {table} add column {name} double")
        draft.months[part.month] = there + new

    def _append(self, part: Part) -> None:
        with self._incoming(part) as names:
            columns = ", ".join(names)
            self._connection.execute(
                f"insert into reading_{part.month} ({columns}) select {columns} from incoming"
            )

    def _find(self, part: Part, late: Ints) -> Ints:
        """Return which of the rows at the places `late` have a key that is stored already."""
        at_ms = part.columns.at_ms[late]
        arrays = {"place": late, "meter": part.meters[late], "at_ms": at_ms}
        found: list[tuple[int]] = []
        with self._registered(arrays):
            for lowest, highest in spans_of(at_ms):
                self._connection.execute(
                    f"select place from incoming semi join (select meter, at_ms"
                    f" from reading_{part.month} where at_ms between ? and ?) using (meter, at_ms)",
                    [lowest, highest],
                )
                found += self._connection.fetchall()
        return np.sort(np.array([place for (place,) in found], np.int64))

    def _lay_over(self, part: Part, met: Met) -> None:
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
                self._connection.execute(
                    f"select place, {wanted} from incoming join reading_{part.month} as stored"
                    " on incoming.meter = stored.meter and incoming.at_ms = stored.at_ms"
                    " where stored.at_ms between ? and ?",
                    [lowest, highest],
                )
                for place, fault, *values in self._connection.fetchall():
                    yield place, present(names, values), fault

    def _update(self, part: Part) -> None:
        with self._incoming(part) as names:
            late = [name for name in names if name not in ("meter", "at_ms", "tag")]
            changes = ", ".join(f"{q} = coalesce(stored.{q}, incoming.{q})" for q in late)
            for lowest, highest in spans_of(part.columns.at_ms):
                self._connection.execute(
                    f"update reading_{part.month} as stored set {changes} from incoming"
                    " where stored.meter = incoming.meter and stored.at_ms = incoming.at_ms"
                    " and stored.at_ms between ? and ?",
                    [lowest, highest],
                )

    def keep_beside(self, rejections: Sequence[Rejection]) -> None:
        if not rejections:
            return
        distinct = list(dict.fromkeys(map(storable, rejections)))
        arrays: dict[str, NDArray[Any]] = {
            name: np.array([getattr(rejection, name) for rejection in distinct], object)
            for name in REJECTION
        }
        arrays["at_ms"] = arrays["at_ms"].astype(np.int64)
        arrays["value"] = np.ma.masked_invalid(arrays["value"].astype(np.float64))
        arrays["level"] = np.array([rejection.level.value for rejection in distinct], object)
        same = " and ".join(f"one.{q} is not distinct from kept.{q}" for q in REJECTION)
        with self._registered(arrays):
            self._connection.execute(
                f"insert into rejection select {', '.join(REJECTION)} from incoming as one"
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
        # The NaN of an absent quantity becomes NULL: so DuckDB reads arrays, and a test holds it.
        arrays.update(zip(columns.names, columns.values, strict=True))
        with self._registered(arrays):
            yield list(arrays)

    @contextmanager
    def _registered(self, arrays: Mapping[str, NDArray[Any]]) -> Iterator[None]:
        self._connection.register("incoming", arrays)
        try:
            yield
        finally:
            self._connection.unregister("incoming")


def present(names: Sequence[str], values: Sequence[float | None]) -> dict[str, float]:
    return {name: v for name, v in zip(names, values, strict=True) if v is not None}
