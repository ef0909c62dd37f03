"""SqlSmallState: the small state in SQL, through SQLAlchemy, so that PostgreSQL is a URL away.

SQLite is the default: WAL, synchronous=FULL, one file, one collector. The schema is versioned;
`_MIGRATIONS` bring an older file up to date at open.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from sqlalchemy import exc  # noqa: TID251 - this is the adapter
from sqlalchemy.engine import Connection, Engine  # noqa: TID251 - this is the adapter

from collector.small_state import AlertEntry, GatewayRecord, Quarantined, Record
from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.delivery.receiver import EpochLedger
from metering.errors import PermanentError, TransientError

SCHEMA_VERSION = 1
_KEYS_AT_ONCE = 200


class StateAway(TransientError):
    """The small state does not answer, or its disk is full: hold and try again."""


class StateTooNew(PermanentError):
    """A later version of this software wrote the small state."""


class StateInvalid(PermanentError):
    """A URL that names no database, or one whose driver is not installed."""


_meta = sa.MetaData()
_facts = sa.Table(
    "fact",
    _meta,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
_epochs = sa.Table(
    "epoch",
    _meta,
    sa.Column("gateway", sa.String(63), primary_key=True),
    sa.Column("epoch", sa.String(26), primary_key=True),
    sa.Column("stored", sa.Text, nullable=False),
    sa.Column("lost", sa.Text, nullable=False),
    sa.Column("released", sa.Text, nullable=False),
    sa.Column("next", sa.BigInteger, nullable=False),
    sa.Column("named", sa.Boolean, nullable=False),
)
_batches = sa.Table(
    "batch",
    _meta,
    sa.Column("gateway", sa.String(63), primary_key=True),
    sa.Column("epoch", sa.String(26), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("received_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("readings", sa.Integer, nullable=False),
)
_quarantine = sa.Table(
    "quarantine",
    _meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("gateway", sa.String(63), nullable=False),
    sa.Column("epoch", sa.String(26)),
    sa.Column("sequence", sa.BigInteger),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("received_ms", sa.BigInteger, nullable=False),
    sa.Column("content_type", sa.String(64), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("gateway", "digest", "reason"),
)
_gateways = sa.Table(
    "gateway",
    _meta,
    sa.Column("gateway", sa.String(63), primary_key=True),
    sa.Column("district", sa.String(6), nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
    sa.Column("state_ms", sa.BigInteger, nullable=False),
    sa.Column("link", sa.String(16), nullable=False),
    sa.Column("link_ms", sa.BigInteger, nullable=False),
)
_alert_columns = (
    ("at_ms", sa.BigInteger),
    ("value", sa.Float),
    ("bound", sa.Float),
    ("recorded_ms", sa.BigInteger),
)
_alerts = sa.Table(
    "alert",
    _meta,
    sa.Column("rule", sa.String(64), primary_key=True),
    sa.Column("meter", sa.String(63), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    *(sa.Column(name, kind, nullable=False) for name, kind in _alert_columns),
)
_alert_entries = sa.Table(
    "alert_entry",
    _meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("meter", sa.String(63), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    *(sa.Column(name, kind, nullable=False) for name, kind in _alert_columns),
)

# From version N to N + 1: a function that changes the tables of an existing file.
_MIGRATIONS: dict[int, Callable[[Connection], None]] = {}


class SqlSmallState:
    """One writer thread; other threads may read."""

    def __init__(self, url: str) -> None:
        """Open or make the small state at an SQLAlchemy URL.

        Raises:
            StateAway: it cannot be reached.
            StateTooNew: its schema is later than this software's; nothing was changed.
            StateInvalid: the URL can never work.
        """
        self._engine = _engine(url)
        try:
            with self._writing("open the small state") as connection:
                _migrate(connection)
        except BaseException:
            self._engine.dispose()
            raise

    def close(self) -> None:
        self._engine.dispose()

    # ---- reading

    def ledgers(self) -> dict[tuple[str, str], EpochLedger]:
        with self._reading("list epochs") as connection:
            rows = connection.execute(sa.select(_epochs)).all()
        return {(row.gateway, row.epoch): _ledger(row) for row in rows}

    def digests(self, keys: Iterable[tuple[str, BatchKey]]) -> dict[tuple[str, BatchKey], set[str]]:
        wanted: dict[tuple[str, str], list[int]] = {}
        for gateway, key in keys:
            wanted.setdefault((gateway, key.epoch), []).append(key.sequence)
        found: dict[tuple[str, BatchKey], set[str]] = {}
        with self._reading("look up digests") as connection:
            for (gateway, epoch), sequences in wanted.items():
                for start in range(0, len(sequences), _KEYS_AT_ONCE):
                    some = sequences[start : start + _KEYS_AT_ONCE]
                    query = sa.select(_batches.c.sequence, _batches.c.digest).where(
                        _batches.c.gateway == gateway,
                        _batches.c.epoch == epoch,
                        _batches.c.sequence.in_(some),
                    )
                    for sequence, digest in connection.execute(query):
                        named = (gateway, BatchKey(epoch, sequence))
                        found.setdefault(named, set()).add(digest)
        return found

    def generation(self) -> int:
        with self._reading("read the generation") as connection:
            return int(_fact(connection, "generation", "1"))

    def firing(self) -> dict[tuple[str, str], AlertEntry]:
        query = sa.select(_alerts).where(_alerts.c.state == "firing")
        with self._reading("list alerts") as connection:
            rows = connection.execute(query).all()
        return {(row.rule, row.meter): _alert(row) for row in rows}

    def alert_entries(self, limit: int) -> list[AlertEntry]:
        query = sa.select(_alert_entries).order_by(_alert_entries.c.number.desc()).limit(limit)
        with self._reading("list alert entries") as connection:
            return [_alert(row) for row in connection.execute(query)]

    def quarantine(self, limit: int) -> list[Quarantined]:
        query = sa.select(_quarantine).order_by(_quarantine.c.number.desc()).limit(limit)
        with self._reading("list the quarantine") as connection:
            return [_quarantined(row) for row in connection.execute(query)]

    def gateways(self) -> list[GatewayRecord]:
        with self._reading("list gateways") as connection:
            return [
                GatewayRecord(**row._asdict())
                for row in connection.execute(sa.select(_gateways).order_by(_gateways.c.gateway))
            ]

    # ---- writing

    def record(self, record: Record) -> None:
        with self._writing("record deliveries") as connection:
            _insert(connection, _batches, [_batch_values(batch) for batch in record.batches])
            _insert(connection, _quarantine, [_quarantine_values(q) for q in record.quarantined])
            _put(connection, _epochs, *(_ledger_values(*named) for named in record.ledgers))
            for gateway_record in record.gateways:
                _put(connection, _gateways, _fields(gateway_record))
            for entry in record.alerts:
                _put(connection, _alerts, _fields(entry))
                connection.execute(sa.insert(_alert_entries), _fields(entry))

    def rewind(self, since_ms: int, generation: int) -> dict[tuple[str, str], EpochLedger]:
        gone: dict[tuple[str, str], list[tuple[int, int]]] = {}
        since = _batches.c.received_ms >= since_ms
        changed: dict[tuple[str, str], EpochLedger] = {}
        with self._writing("forget what is wanted again") as connection:
            columns = (_batches.c.gateway, _batches.c.epoch, _batches.c.sequence)
            for gateway, epoch, sequence in connection.execute(sa.select(*columns).where(since)):
                gone.setdefault((gateway, epoch), []).append((sequence, sequence))
            connection.execute(sa.delete(_batches).where(since))
            for row in connection.execute(sa.select(_epochs)).all():
                key = (row.gateway, row.epoch)
                if key in gone:
                    changed[key] = _ledger(row).without(Ranges(gone[key]))
                    _put(connection, _epochs, _ledger_values(*key, changed[key]))
            _put(connection, _facts, {"name": "generation", "value": str(generation)})
        return changed

    def forget_before(self, received_ms: int) -> int:
        with self._writing("forget old batches") as connection:
            old = sa.delete(_batches).where(_batches.c.received_ms < received_ms)
            return int(connection.execute(old).rowcount)

    # ---- connections

    @contextmanager
    def _reading(self, what: str) -> Iterator[Connection]:
        with _translated(what), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self, what: str) -> Iterator[Connection]:
        with _translated(what), self._engine.begin() as connection:
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


def _migrate(connection: Connection) -> None:
    version = SCHEMA_VERSION
    if sa.inspect(connection).has_table(_facts.name):
        version = int(_fact(connection, "schema", str(SCHEMA_VERSION)))
    if version > SCHEMA_VERSION:
        raise StateTooNew(
            f"the small state has schema {version}, this version knows {SCHEMA_VERSION}: "
            "run the version that wrote it, or a later one"
        )
    for step in range(version, SCHEMA_VERSION):
        _MIGRATIONS[step](connection)
    _meta.create_all(connection)
    _put(connection, _facts, {"name": "schema", "value": str(SCHEMA_VERSION)})


def _fact(connection: Connection, name: str, default: str) -> str:
    query = sa.select(_facts.c.value).where(_facts.c.name == name)
    value = connection.execute(query).scalar_one_or_none()
    return default if value is None else str(value)


def _insert(connection: Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert what is not there yet: a repeat after a crash changes nothing."""
    if rows:
        connection.execute(_if_absent(connection.dialect.name, table), rows)


def _put(connection: Connection, table: sa.Table, *rows: dict[str, Any]) -> None:
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


def _fields(value: AlertEntry | GatewayRecord) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _batch_values(batch: Any) -> dict[str, Any]:
    return {
        "gateway": batch.gateway,
        "epoch": batch.key.epoch,
        "sequence": batch.key.sequence,
        "digest": batch.digest,
        "received_ms": batch.received_ms,
        "readings": batch.readings,
    }


def _quarantine_values(entry: Quarantined) -> dict[str, Any]:
    return {
        "gateway": entry.gateway,
        "epoch": entry.key.epoch if entry.key else None,
        "sequence": entry.key.sequence if entry.key else None,
        "digest": entry.digest,
        "reason": str(entry.reason),
        "message": entry.message,
        "received_ms": entry.received_ms,
        "content_type": entry.content_type[:64],
        "payload": entry.payload,
    }


def _ledger_values(gateway: str, epoch: str, ledger: EpochLedger) -> dict[str, Any]:
    return {
        "gateway": gateway,
        "epoch": epoch,
        "stored": json.dumps(ledger.stored.spans),
        "lost": json.dumps(ledger.lost.spans),
        "released": json.dumps(ledger.released.spans),
        "next": ledger.next,
        "named": ledger.named,
    }


def _ledger(row: Any) -> EpochLedger:
    return EpochLedger(
        stored=_ranges(row.stored),
        lost=_ranges(row.lost),
        released=_ranges(row.released),
        next=row.next,
        named=bool(row.named),
    )


def _ranges(text: str) -> Ranges:
    return Ranges((first, last) for first, last in json.loads(text))


def _alert(row: Any) -> AlertEntry:
    return AlertEntry(
        rule=row.rule,
        meter=row.meter,
        state=row.state,
        at_ms=row.at_ms,
        value=row.value,
        bound=row.bound,
        recorded_ms=row.recorded_ms,
    )


def _quarantined(row: Any) -> Quarantined:
    return Quarantined(
        number=row.number,
        gateway=row.gateway,
        key=BatchKey(row.epoch, row.sequence) if row.epoch else None,
        digest=row.digest,
        reason=row.reason,
        message=row.message,
        received_ms=row.received_ms,
        content_type=row.content_type,
        payload=row.payload,
    )


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except exc.DBAPIError as error:
        # Whatever the database says, the deliveries are still held: try again.
        raise StateAway(f"could not {what}: {error.orig}") from error
