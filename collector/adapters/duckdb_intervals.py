"""DuckDB intervals: the port `IntervalStore`, in the same file as the readings.

**Shape.** One table a width and a stretch of time: `interval_15m_YYYYMM` and `interval_1h_YYYYMM`
by the UTC month of the start, `interval_1d_YYYY` and `interval_1mo_YYYY` by its year; `gauge_…`
likewise. So quarters can be forgotten by DROP, and a question looks at few rows. A row names its
series by a number, which the table `series` explains: a quantity and where its meter stood. A meter
that moved has several series of one quantity; still no interval stands twice.

**Shares are doubles**, so that what is read equals what was written, and an interval that did not
change is seen not to have: nearly all are 0 or 1 and cost next to nothing when compressed.

**Replacing** is deleting and inserting in one transaction. The newest start of each series is in
memory, so that what is newer than all before costs no look at the table.

**Beside the hot path.** The readings have their own writer, and no table is common to both. A long
write is cut into transactions of at most `most_rows`, so that a commit in between waits little.
"""

# ruff: noqa: S608  every name in a statement is of our own tables

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import duckdb  # noqa: TID251  it writes beside the readings, in the same file
import numpy as np

from collector.adapters.columns import Ints, month_of_ms, months_of
from collector.adapters.duckdb_file import DuckDbFile, is_conflict, roll_back
from collector.adapters.interval_tables import (
    FIGURE,
    GAUGE,
    INTERVAL,
    SHARES,
    Arrays,
    Asked,
    Key,
    Kind,
    Rows,
    Series,
    batches_of,
    load,
    read,
    replace,
    replace_figures,
    tables_of,
)
from collector.intervals import Figure, GaugeWindows, Intervals, Subject
from collector.settle.cells import Cells, Width
from collector.store import StoreRefused, Tags

_TRIES = 3

Cursor = duckdb.DuckDBPyConnection
Done = TypeVar("Done")


class DuckDbIntervalStore:
    """An `IntervalStore` in a file that a reading store has open.

    Args:
        file: the reading store's; closing that one closes this.
        most_rows: of one transaction.
    """

    def __init__(self, file: DuckDbFile, *, most_rows: int = 50_000) -> None:
        self._file = file
        self._most_rows = most_rows
        self._writing = threading.Lock()
        self._opened = 0  # the opening of the file that `_series` tells of; 0: read it anew
        self._series = Series()
        self._commit("open the intervals", lambda _cursor, _series: None)

    # -- writing ---------------------------------------------------------------------------------

    def write_intervals(self, tags: Tags, intervals: Sequence[Intervals]) -> None:
        self.write_meters([(tags, intervals)])

    def write_meters(self, written: Sequence[tuple[Tags, Sequence[Intervals]]]) -> None:
        for tags, intervals in written:
            _demand_own(tags, intervals)
        rows = ((tags, _rows_of_intervals(one)) for tags, many in written for one in many)
        self._write(INTERVAL, rows)

    def write_gauges(self, tags: Tags, windows: Sequence[GaugeWindows]) -> None:
        self.write_meters_gauges([(tags, windows)])

    def write_meters_gauges(self, written: Sequence[tuple[Tags, Sequence[GaugeWindows]]]) -> None:
        for tags, windows in written:
            _demand_own(tags, windows)
        self._write(GAUGE, ((tags, _rows_of_gauge(one)) for tags, many in written for one in many))

    def write_figures(self, figures: Sequence[Figure]) -> None:
        by_key = {(one.subject, one.id, one.day_ms, one.name): one for one in figures}
        distinct = list(by_key.values())
        for start in range(0, len(distinct), self._most_rows):
            part = distinct[start : start + self._most_rows]
            self._commit(f"write {len(part)} figures", partial(_write_figures, part))

    def drop_quarters(self, before_ms: int) -> int:
        (bound,) = months_of(np.array([before_ms], np.int64)).tolist()

        def drop(cursor: Cursor, series: Series) -> None:
            tables = [one for kind in (INTERVAL, GAUGE) for one in _quarters(cursor, kind)]
            old = [name for name, month in tables if month < bound]
            for name in old:
                cursor.execute(f"drop table {name}")
                series.newest.pop(name, None)

        self._commit("drop old quarters", drop)
        return month_of_ms(before_ms)

    def _write(self, kind: Kind, written: Iterable[tuple[Tags, Rows]]) -> None:
        for batch in batches_of(written, self._most_rows):
            asked = f"write {sum(len(rows) for _, rows in batch)} {kind.word} rows"
            self._commit(asked, partial(replace, kind=kind, batch=batch))

    def _commit(self, asked: str, work: Callable[[Cursor, Series], Done]) -> Done:
        """Do a piece of work durably; again if another writer was in its way."""
        with self._writing, self._file.cursor(asked) as cursor:
            for _ in range(_TRIES - 1):
                try:
                    return self._transact(cursor, work)
                except duckdb.TransactionException as error:
                    if not is_conflict(error):
                        raise
            return self._transact(cursor, work)

    def _transact(self, cursor: Cursor, work: Callable[[Cursor, Series], Done]) -> Done:
        opened, self._opened = self._opened, 0  # whatever fails, what is stored is read anew
        cursor.begin()
        try:
            if opened != self._file.opened:
                self._series = load(cursor)
            done = work(cursor, self._series)
            cursor.commit()
        except duckdb.Error as error:
            if not is_conflict(error):
                self._file.fail()
            raise
        finally:
            roll_back(cursor)
        self._opened = self._file.opened
        return done

    # -- reading ---------------------------------------------------------------------------------

    def intervals(
        self,
        meters: Sequence[str],
        width: Width,
        start_ms: int,
        end_ms: int,
        quantities: Sequence[str] | None = None,
    ) -> list[Intervals]:
        asked = Asked(
            meters=meters, width=width, start_ms=start_ms, end_ms=end_ms, quantities=quantities
        )
        return [_intervals_of(key, width, columns) for key, columns in self._read(INTERVAL, asked)]

    def gauges(
        self,
        meters: Sequence[str],
        width: Width,
        start_ms: int,
        end_ms: int,
        quantities: Sequence[str] | None = None,
    ) -> list[GaugeWindows]:
        asked = Asked(
            meters=meters, width=width, start_ms=start_ms, end_ms=end_ms, quantities=quantities
        )
        return [_gauge_of(key, width, columns) for key, columns in self._read(GAUGE, asked)]

    def figures(
        self, subject: Subject, start_ms: int, end_ms: int, ids: Sequence[str] | None = None
    ) -> list[Figure]:
        query = (
            f"select {', '.join(FIGURE)} from quality"
            " where subject = ? and day_ms >= ? and day_ms < ?"
        )
        values: list[object] = [subject.value, start_ms, end_ms]
        if ids is not None:
            query += " and id = any(?)"
            values.append(list(ids))
        with self._file.cursor("read figures") as cursor:
            cursor.execute(f"{query} order by id, day_ms, name", values)
            found = cursor.fetchall()
        return [
            Figure(subject=Subject(of), id=id_, day_ms=day_ms, name=name, value=value)
            for of, id_, day_ms, name, value in found
        ]

    def _read(self, kind: Kind, asked: Asked) -> list[tuple[Key, Arrays]]:
        with self._file.cursor(f"read {kind.word}s") as cursor:
            cursor.begin()  # one snapshot for all statements
            try:
                return read(cursor, kind, asked)
            finally:
                roll_back(cursor)


def _write_figures(figures: Sequence[Figure], cursor: Cursor, _: Series) -> None:
    replace_figures(cursor, figures)


def _quarters(cursor: Cursor, kind: Kind) -> list[tuple[str, int]]:
    return tables_of(cursor, kind, Width.QUARTER)


def _demand_own(tags: Tags, written: Sequence[Intervals] | Sequence[GaugeWindows]) -> None:
    for one in written:
        if one.meter != tags.meter:
            raise StoreRefused(f"intervals of {one.meter} came with the tags of {tags.meter}")


def _rows_of_intervals(intervals: Intervals) -> Rows:
    cells = intervals.cells
    columns = {
        "start_ms": cells.start_ms,
        "value": np.ma.masked_array(cells.value, ~cells.known),
        **{name: getattr(cells, name) for name in SHARES},
        "rules": cells.rules,
        "version": intervals.version,
    }
    return Rows(quantity=intervals.quantity, width=intervals.width, columns=columns)


def _intervals_of(key: Key, width: Width, columns: Arrays) -> Intervals:
    meter, quantity = key
    value = np.ma.masked_array(columns["value"])
    shares = {name: np.ma.getdata(columns[name]).astype(np.float64) for name in SHARES}
    cells = Cells(
        start_ms=_whole(columns, "start_ms"),
        value=value.filled(0).astype(np.int64),
        known=~np.ma.getmaskarray(value),
        rules=_whole(columns, "rules"),
        **shares,
    )
    version = _whole(columns, "version")
    return Intervals(meter=meter, quantity=quantity, width=width, cells=cells, version=version)


def _rows_of_gauge(windows: GaugeWindows) -> Rows:
    columns = {name: getattr(windows, name) for name in GAUGE.types}
    return Rows(quantity=windows.quantity, width=windows.width, columns=columns)


def _gauge_of(key: Key, width: Width, columns: Arrays) -> GaugeWindows:
    meter, quantity = key
    return GaugeWindows(
        meter=meter,
        quantity=quantity,
        width=width,
        start_ms=_whole(columns, "start_ms"),
        count=_whole(columns, "count"),
        lowest=np.ma.getdata(columns["lowest"]),
        mean=np.ma.getdata(columns["mean"]),
        highest=np.ma.getdata(columns["highest"]),
    )


def _whole(columns: Arrays, name: str) -> Ints:
    return np.ma.getdata(columns[name]).astype(np.int64)
