"""Interval tables: settled rows -> tables of a column store, over a connection in a transaction.

Everything is done to whole sets of rows.
"""

# ruff: noqa: S608  every name in a statement is of our own tables, every number is an int; what
# comes from outside is a bound parameter or an array

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from msgspec import Struct, field, structs
from numpy.typing import NDArray

from collector.adapters.catalog import NEVER
from collector.adapters.columns import Ints, months_of
from collector.adapters.duckdb_columns import runs_of
from collector.intervals import Figure
from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Width
from collector.store import LAST_AT_MS, Tags

TAGS = Tags.__struct_fields__
FIGURE = Figure.__struct_fields__
SHARES = ("measured", "estimated", "edited", "missing")
CREATE = f"""
create table if not exists series (
    number integer, quantity varchar, {", ".join(f"{name} varchar" for name in TAGS)}
);
create table if not exists quality (
    subject varchar, id varchar, day_ms bigint, name varchar, value double
);
"""
_STEP_MS = {Width.QUARTER: QUARTER_MS, Width.HOUR: HOUR_MS, Width.DAY: DAY_MS}  # months differ
_BY_MONTH = (Width.QUARTER, Width.HOUR)

Arrays = Mapping[str, NDArray[Any]]
Key = tuple[str, str]  # a meter and a quantity


class Connection(Protocol):
    """What is asked of a database's connection."""

    def execute(self, query: str, parameters: object = None) -> object: ...
    def fetchall(self) -> list[tuple[Any, ...]]: ...
    def fetchnumpy(self) -> Arrays: ...
    def register(self, view_name: str, python_object: object) -> object: ...
    def unregister(self, view_name: str) -> object: ...


class Kind(Struct, frozen=True):
    """A kind of rows: the first word of its tables, and their columns with SQL types."""

    word: str
    types: dict[str, str]


INTERVAL = Kind(
    "interval",
    {
        "start_ms": "bigint",
        "value": "bigint",
        **dict.fromkeys(SHARES, "double"),
        "rules": "bigint",
        "version": "integer",
    },
)
GAUGE = Kind(
    "gauge",
    {
        "start_ms": "bigint",
        "count": "integer",
        **dict.fromkeys(("lowest", "mean", "highest"), "double"),
    },
)


class Rows(Struct, frozen=True, kw_only=True):
    """Rows of one quantity and width; `columns` are arrays of one length."""

    quantity: str
    width: Width
    columns: Arrays

    def __len__(self) -> int:
        return len(self.columns["start_ms"])

    def pick(self, chosen: "slice | NDArray[np.bool_]") -> "Rows":
        columns = {name: column[chosen] for name, column in self.columns.items()}
        return structs.replace(self, columns=columns)


class Piece(Struct, frozen=True, kw_only=True):
    """Rows of one series for one table; `rivals` are all series of its meter and quantity."""

    number: int
    rivals: tuple[int, ...]
    rows: Rows


class Series(Struct, kw_only=True):
    """What a writer has to know of what is stored.

    Attributes:
        numbers: by quantity and tags.
        rivals: the numbers of all series of one quantity of one meter.
        newest: by table, the newest start of each series by number; read at the first write there.
    """

    numbers: dict[tuple[str, Tags], int] = field(default_factory=dict)
    rivals: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    newest: dict[str, dict[int, int]] = field(default_factory=dict)

    def add(self, number: int, quantity: str, tags: Tags) -> None:
        self.numbers[quantity, tags] = number
        key = (tags.meter, quantity)
        self.rivals[key] = (*self.rivals.get(key, ()), number)


def load(connection: Connection) -> Series:
    """Make what is not there yet, and say which series there are."""
    connection.execute(CREATE)
    connection.execute(f"select number, quantity, {', '.join(TAGS)} from series order by number")
    series = Series()
    for number, quantity, *tags in connection.fetchall():
        series.add(number, quantity, Tags(**dict(zip(TAGS, tags, strict=True))))
    return series


# -- writing -------------------------------------------------------------------------------------


def batches_of(
    written: Iterable[tuple[Tags, Rows]], most: int
) -> Iterator[list[tuple[Tags, Rows]]]:
    """Cut rows into lots of at most `most`, in none of which a key may stand twice."""
    batch: list[tuple[Tags, Rows]] = []
    there: set[tuple[str, str, Width]] = set()
    room = most
    for tags, rows in written:
        whose = (tags.meter, rows.quantity, rows.width)
        start = 0
        while start < len(rows):
            if not room or whose in there:
                yield batch
                batch, there, room = [], set(), most
            part = rows.pick(slice(start, start + room))
            batch.append((tags, part))
            there.add(whose)
            start += len(part)
            room -= len(part)
    if batch:
        yield batch


def replace(
    connection: Connection, series: Series, kind: Kind, batch: Sequence[tuple[Tags, Rows]]
) -> None:
    """Write a batch in place of what stands under its keys."""
    parts: defaultdict[tuple[str, Width], list[Piece]] = defaultdict(list)
    for tags, rows in batch:
        number = _number(connection, series, rows.quantity, tags)
        rivals = series.rivals[tags.meter, rows.quantity]
        for table, part in _by_table(kind, rows):
            parts[table, rows.width].append(Piece(number=number, rivals=rivals, rows=part))
    for (table, width), pieces in parts.items():
        newest = _newest(connection, series, kind, table)
        _delete(connection, table, width, list(_doomed(newest, pieces)))
        _insert(connection, table, pieces)
        for piece in pieces:
            last_ms = int(piece.rows.columns["start_ms"].max())
            newest[piece.number] = max(last_ms, newest.get(piece.number, NEVER))


def _number(connection: Connection, series: Series, quantity: str, tags: Tags) -> int:
    """Return the series' number; a new one is written down first."""
    number = series.numbers.get((quantity, tags))
    if number is None:
        number = len(series.numbers)
        places = ", ".join("?" for _ in range(len(TAGS) + 2))
        values = [number, quantity, *structs.astuple(tags)]
        connection.execute(f"insert into series values ({places})", values)
        series.add(number, quantity, tags)
    return number


def _by_table(kind: Kind, rows: Rows) -> Iterator[tuple[str, Rows]]:
    periods = _periods_of(rows.width, rows.columns["start_ms"])
    for period in np.unique(periods).tolist():
        yield f"{kind.word}_{rows.width.value}_{period}", rows.pick(periods == period)


def _periods_of(width: Width, start_ms: Ints) -> Ints:
    months = months_of(start_ms)
    return months if width in _BY_MONTH else months // 100


def _newest(connection: Connection, series: Series, kind: Kind, table: str) -> dict[int, int]:
    """Return the newest start of each series in a table; makes the table if there is none."""
    if table not in series.newest:
        columns = ", ".join(f"{name} {type_}" for name, type_ in kind.types.items())
        connection.execute(f"create table if not exists {table} (series integer, {columns})")
        connection.execute(f"select series, max(start_ms) from {table} group by series")
        series.newest[table] = dict(connection.fetchall())
    return series.newest[table]


def _doomed(newest: Mapping[int, int], pieces: Sequence[Piece]) -> Iterator[tuple[int, Ints]]:
    """Yield the keys that may be stored: what is newer than all of a series is not."""
    for piece in pieces:
        start_ms = piece.rows.columns["start_ms"]
        for rival in piece.rivals:
            known = start_ms[start_ms <= newest.get(rival, NEVER)]
            if len(known):
                yield rival, known


def _delete(
    connection: Connection, table: str, width: Width, doomed: Sequence[tuple[int, Ints]]
) -> None:
    """Delete by key; what has no hole, as usual, by its first and last: three times as fast."""
    whole: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    holed: list[tuple[int, Ints]] = []
    for number, starts in doomed:
        first, last = int(starts.min()), int(starts.max())
        if first + (len(starts) - 1) * _STEP_MS.get(width, 0) == last:
            whole[first, last].append(number)
        else:
            holed.append((number, starts))
    for (first, last), numbers in whole.items():
        connection.execute(
            f"delete from {table} where series in ({_listed(numbers)})"
            f" and start_ms between {first} and {last}"
        )
    if holed:
        _delete_keys(connection, table, holed)


def _delete_keys(connection: Connection, table: str, doomed: Sequence[tuple[int, Ints]]) -> None:
    numbers = np.concatenate([np.full(len(starts), number) for number, starts in doomed])
    start_ms = np.concatenate([starts for _, starts in doomed])
    with _registered(connection, {"series": numbers, "start_ms": start_ms}):
        connection.execute(
            f"delete from {table} where series in ({_listed(number for number, _ in doomed)})"
            f" and start_ms between {start_ms.min()} and {start_ms.max()}"
            " and (series, start_ms) in (select (series, start_ms) from incoming)"
        )


def _insert(connection: Connection, table: str, pieces: Sequence[Piece]) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "series": np.concatenate([np.full(len(piece.rows), piece.number) for piece in pieces])
    }
    for name in pieces[0].rows.columns:
        arrays[name] = _chained([piece.rows.columns[name] for piece in pieces])
    names = ", ".join(arrays)
    with _registered(connection, arrays):
        connection.execute(f"insert into {table} ({names}) select {names} from incoming")


def replace_figures(connection: Connection, figures: Sequence[Figure]) -> None:
    """Write figures, no two of one key, in place of what stands under their keys."""
    arrays: dict[str, NDArray[Any]] = {
        name: np.array([getattr(figure, name) for figure in figures], object) for name in FIGURE
    }
    arrays["subject"] = np.array([figure.subject.value for figure in figures], object)
    arrays["day_ms"] = arrays["day_ms"].astype(np.int64)
    arrays["value"] = arrays["value"].astype(np.float64)
    names = ", ".join(FIGURE)
    with _registered(connection, arrays):
        connection.execute(
            "delete from quality where day_ms between ? and ? and (subject, id, day_ms, name) in"
            " (select (subject, id, day_ms, name) from incoming)",
            [int(arrays["day_ms"].min()), int(arrays["day_ms"].max())],
        )
        connection.execute(f"insert into quality ({names}) select {names} from incoming")


# -- reading -------------------------------------------------------------------------------------


def tables_of(connection: Connection, kind: Kind, width: Width) -> list[tuple[str, int]]:
    """Return the tables of a kind and width with their month or year, in order of time."""
    prefix = f"{kind.word}_{width.value}_"
    connection.execute(
        "select table_name from duckdb_tables() where starts_with(table_name, ?)", [prefix]
    )
    names = sorted(name for (name,) in connection.fetchall())
    return [(name, int(name.removeprefix(prefix))) for name in names]


class Asked(Struct, frozen=True, kw_only=True):
    """A question: whose rows of one width in `[start_ms, end_ms)`; None: all quantities."""

    meters: Sequence[str]
    width: Width
    start_ms: int
    end_ms: int
    quantities: Sequence[str] | None

    def periods(self) -> tuple[int, int]:
        """Return the first and the last month or year that it touches."""
        edges = np.clip(np.array([self.start_ms, self.end_ms - 1], np.int64), 0, LAST_AT_MS)
        first, last = _periods_of(self.width, edges).tolist()
        return first, last


def read(connection: Connection, kind: Kind, asked: Asked) -> list[tuple[Key, Arrays]]:
    """Return the rows asked for by (meter, quantity), in order of time; none empty."""
    if asked.end_ms <= asked.start_ms:
        return []
    key_of = _series_of(connection, asked)
    first, last = asked.periods()
    tables = [
        name for name, period in tables_of(connection, kind, asked.width) if first <= period <= last
    ]
    if not key_of or not tables:
        return []
    found = _fetch(connection, kind, tables, key_of, asked)
    keys = sorted(set(key_of.values()))
    place = {key: number for number, key in enumerate(keys)}
    places = np.zeros(max(key_of) + 1, np.int64)
    for number, key in key_of.items():
        places[number] = place[key]
    owner = places[found["series"]]
    order = np.lexsort((found["start_ms"], owner))
    owner = owner[order]
    ordered = {name: found[name][order] for name in kind.types}
    return [
        (keys[number], {name: column[run] for name, column in ordered.items()})
        for number, run in runs_of(owner)
    ]


def _series_of(connection: Connection, asked: Asked) -> dict[int, Key]:
    query = "select number, meter, quantity from series where meter = any(?)"
    values: list[object] = [list(asked.meters)]
    if asked.quantities is not None:
        query += " and quantity = any(?)"
        values.append(list(asked.quantities))
    connection.execute(query, values)
    return {number: (meter, quantity) for number, meter, quantity in connection.fetchall()}


def _fetch(
    connection: Connection,
    kind: Kind,
    tables: Sequence[str],
    key_of: Mapping[int, Key],
    asked: Asked,
) -> Arrays:
    parts: list[Arrays] = []
    for table in tables:
        connection.execute(
            f"select series, {', '.join(kind.types)} from {table}"
            f" where series in ({_listed(key_of)})"
            f" and start_ms >= {int(asked.start_ms)} and start_ms < {int(asked.end_ms)}"
        )
        parts.append(connection.fetchnumpy())
    if len(parts) == 1:
        return parts[0]
    return {name: _chained([part[name] for part in parts]) for name in parts[0]}


def _chained(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Lay arrays behind one another; what is masked stays so."""
    whole = np.concatenate([np.ma.getdata(one) for one in arrays])
    if not any(np.ma.is_masked(one) for one in arrays):
        return whole
    mask = np.concatenate([np.ma.getmaskarray(one) for one in arrays])
    return np.ma.masked_array(whole, mask)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(numbers))))


@contextmanager
def _registered(connection: Connection, arrays: Arrays) -> Iterator[None]:
    connection.register("incoming", arrays)
    try:
        yield
    finally:
        connection.unregister("incoming")
