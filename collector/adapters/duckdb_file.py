"""DuckDB file: a path -> the one database that this process has open, shared by its stores.

A process opens a file once; whoever reads or writes takes cursors from here. DuckDB's snapshots
keep them apart: each store has one writer at a time, and two stores write beside each other,
because they have no table in common.

When a write fails (disk full), it may still have been stored and only the checkpoint after it
failed; DuckDB then refuses everything. So after a failure the file is opened again before anybody
goes on: whoever is in the middle of something ends first, and each store then reads what is there.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb  # noqa: TID251  the stores of one file share its connection

from collector.store import StoreAway, StoreFull, StoreRefused

Config = dict[str, str | bool | int | float | list[str]]


class DuckDbFile:
    """The file at `path`, which this process then holds alone.

    Attributes:
        opened: how often it was opened; it does not change while anybody holds it.

    Raises:
        StoreRefused: another process has it, or it is no such file.
        StoreFull: there is no room to open it.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self._config = config
        self._changing = threading.Condition()
        self._users = 0
        self._failed = False
        self.opened = 0
        with opening(path):
            self._open()

    @contextmanager
    def held(self, asked: str) -> Iterator[None]:
        """Keep it open meanwhile. Not to be nested.

        What a store remembers of an earlier opening it reads anew. Errors of DuckDB become those of
        a store.
        """
        with translated(asked):
            with self._changing:
                self._changing.wait_for(lambda: not (self._failed and self._users))
                if self._failed:
                    self._open_again()
                self._users += 1
            try:
                yield
            finally:
                with self._changing:
                    self._users -= 1
                    self._changing.notify_all()

    def new_cursor(self) -> duckdb.DuckDBPyConnection:
        """Return another connection to it, for whoever holds it."""
        with self._changing:  # one connection has no two cursors made of it at once
            return self._root.cursor()

    @contextmanager
    def cursor(self, asked: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hold it and yield a cursor for this once."""
        with self.held(asked):
            cursor = self.new_cursor()
            try:
                yield cursor
            finally:
                cursor.close()

    def fail(self) -> None:
        """Say that a write failed: it is opened again before the next one uses it."""
        with self._changing:
            self._failed = True

    def close(self) -> None:
        """Close it when nobody is in the middle of something; twice is fine."""
        with self._changing:
            self._changing.wait_for(lambda: not self._users)
            self._failed = False  # nobody opens it again
            self._root.close()

    def _open(self) -> None:
        self._root = duckdb.connect(str(self.path), config=self._config)
        self.opened += 1
        self._failed = False

    def _open_again(self) -> None:
        with suppress(duckdb.Error):
            self._root.close()  # its cursors with it
        self._open()


def is_conflict(error: duckdb.Error) -> bool:
    """Whether another transaction was in the way; the file is sound."""
    return isinstance(error, duckdb.TransactionException) and "onflict" in str(error)


def roll_back(cursor: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.Error):  # a commit that failed has rolled back already
        cursor.rollback()


@contextmanager
def translated(asked: str) -> Iterator[None]:
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
def opening(path: Path) -> Iterator[None]:
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
