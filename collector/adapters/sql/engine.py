"""Engine: a URL -> connections whose errors are ours, and the two ways of writing a row."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from sqlalchemy import exc  # noqa: TID251 - this is the adapter
from sqlalchemy.engine import Connection, Engine  # noqa: TID251 - this is the adapter

from metering.errors import PermanentError, TransientError


class StateAway(TransientError):
    """The small state does not answer, or its disk is full: hold and try again."""


class StateInvalid(PermanentError):
    """A URL that names no database, or one whose driver is not installed."""


class Database:
    """One database; threads may share it, each call takes a connection of its own."""

    def __init__(self, url: str) -> None:
        """Raise StateInvalid if the URL can never work; nothing is opened yet."""
        self.engine = _engine(url)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def reading(self, what: str) -> Iterator[Connection]:
        """Yield a connection; raises StateAway with `what` was wanted."""
        with _translated(what), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, what: str) -> Iterator[Connection]:
        """Yield a connection within one transaction, durable when it ends; the same errors."""
        with _translated(what), self.engine.begin() as connection:
            yield connection


def _engine(url: str) -> Engine:
    try:
        engine = sa.create_engine(url)
    except (exc.ArgumentError, ImportError) as error:
        # Not the URL itself: it may hold a password.
        raise StateInvalid(f"state_url cannot be used: {error}") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except exc.DBAPIError as error:
        # Whatever the database says, what was to be kept is still held: try again.
        raise StateAway(f"could not {what}: {error.orig}") from error


def insert(connection: Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert what is not there yet: a repeat after a crash changes nothing."""
    if rows:
        connection.execute(_if_absent(connection.dialect.name, table), rows)


def insert_new(
    connection: Connection, table: sa.Table, row: dict[str, Any], number: sa.Column[Any]
) -> int | None:
    """Insert a row and return its number, or None if one like it is there already."""
    statement = _if_absent(connection.dialect.name, table).returning(number)
    found: int | None = connection.execute(statement, row).scalar_one_or_none()
    return found


def put(connection: Connection, table: sa.Table, *rows: dict[str, Any]) -> None:
    """Insert, or replace what stands under the same key; all rows have the same columns."""
    if rows:
        connection.execute(_or_replace(connection.dialect.name, table, tuple(rows[0])), rows)


# A statement is made once: making one costs SQLAlchemy more than SQLite needs to carry it out.


@lru_cache
def _if_absent(dialect: str, table: sa.Table) -> Any:
    return _dialect_insert(dialect, table).on_conflict_do_nothing()


@lru_cache
def _or_replace(dialect: str, table: sa.Table, columns: tuple[str, ...]) -> Any:
    insert = _dialect_insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    rest = {name: insert.excluded[name] for name in columns if name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=rest)


def _dialect_insert(dialect: str, table: sa.Table) -> Any:
    """`insert` with ON CONFLICT, which SQLite and PostgreSQL spell alike."""
    from sqlalchemy.dialects import postgresql, sqlite  # noqa: PLC0415, TID251 - only one is needed

    return (sqlite if dialect == "sqlite" else postgresql).insert(table)
