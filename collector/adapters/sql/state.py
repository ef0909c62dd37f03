"""SqlSmallState: the small state in SQL, and the books that share its database and transactions."""

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter

from collector.adapters.sql.alerting import SqlAlertLog, keep, keep_judged
from collector.adapters.sql.dirty import SETTLED, SqlDirtyBook, mark
from collector.adapters.sql.engine import Database, insert, put
from collector.adapters.sql.entries import SqlEntryBook
from collector.adapters.sql.epoch_book import SqlEpochBook
from collector.adapters.sql.findings import SqlFindingBook
from collector.adapters.sql.job_log import SqlJobLog
from collector.adapters.sql.migrations import fact, migrate
from collector.adapters.sql.outbox import SqlOutbox
from collector.adapters.sql.schema import (
    batches,
    epochs,
    facts,
    gateways,
    quarantine,
)
from collector.adapters.sql.silences import SqlSilenceBook
from collector.small_state import GatewayRecord, Quarantined, Record
from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.delivery.receiver import EpochLedger

_KEYS_AT_ONCE = 200


class SqlSmallState:
    """The pipeline's thread records and rewinds; other threads may read, and use the books.

    Attributes:
        alert_log, dirty_book, settled_book, entry_book, epoch_book, finding_book, job_log, outbox,
            silence_book: the other ports, in the same database.
    """

    def __init__(self, url: str) -> None:
        """Open or make the small state at an SQLAlchemy URL.

        Raises:
            StateAway: it cannot be reached.
            StateTooNew: its schema is later than this software's; nothing was changed.
            StateInvalid: the URL can never work.
        """
        self._database = Database(url)
        self.alert_log = SqlAlertLog(self._database)
        self.dirty_book = SqlDirtyBook(self._database)
        self.settled_book = SqlDirtyBook(self._database, SETTLED)
        self.entry_book = SqlEntryBook(self._database)
        self.epoch_book = SqlEpochBook(self._database)
        self.finding_book = SqlFindingBook(self._database)
        self.job_log = SqlJobLog(self._database)
        self.outbox = SqlOutbox(self._database)
        self.silence_book = SqlSilenceBook(self._database)
        try:
            with self._database.writing("open the small state") as connection:
                migrate(connection)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        self._database.close()

    # ---- reading

    def ledgers(self) -> dict[tuple[str, str], EpochLedger]:
        with self._database.reading("list epochs") as connection:
            rows = connection.execute(sa.select(epochs)).all()
        return {(row.gateway, row.epoch): _ledger(row) for row in rows}

    def digests(self, keys: Iterable[tuple[str, BatchKey]]) -> dict[tuple[str, BatchKey], set[str]]:
        wanted: dict[tuple[str, str], list[int]] = {}
        for gateway, key in keys:
            wanted.setdefault((gateway, key.epoch), []).append(key.sequence)
        found: dict[tuple[str, BatchKey], set[str]] = {}
        with self._database.reading("look up digests") as connection:
            for (gateway, epoch), sequences in wanted.items():
                for start in range(0, len(sequences), _KEYS_AT_ONCE):
                    some = sequences[start : start + _KEYS_AT_ONCE]
                    query = sa.select(batches.c.sequence, batches.c.digest).where(
                        batches.c.gateway == gateway,
                        batches.c.epoch == epoch,
                        batches.c.sequence.in_(some),
                    )
                    for sequence, digest in connection.execute(query):
                        named = (gateway, BatchKey(epoch, sequence))
                        found.setdefault(named, set()).add(digest)
        return found

    def generation(self) -> int:
        with self._database.reading("read the generation") as connection:
            return int(fact(connection, "generation", "1"))

    def quarantine(self, limit: int) -> list[Quarantined]:
        query = sa.select(quarantine).order_by(quarantine.c.number.desc()).limit(limit)
        with self._database.reading("list the quarantine") as connection:
            return [_quarantined(row) for row in connection.execute(query)]

    def gateways(self) -> list[GatewayRecord]:
        with self._database.reading("list gateways") as connection:
            return [
                GatewayRecord(**row._asdict())
                for row in connection.execute(sa.select(gateways).order_by(gateways.c.gateway))
            ]

    # ---- writing

    def record(self, record: Record) -> None:
        with self._database.writing("record deliveries") as connection:
            insert(connection, batches, [_batch_values(batch) for batch in record.batches])
            insert(connection, quarantine, [_quarantine_values(q) for q in record.quarantined])
            put(connection, epochs, *(_ledger_values(*named) for named in record.ledgers))
            for gateway_record in record.gateways:
                put(connection, gateways, _fields(gateway_record))
            keep(connection, record.steps, record.standing)
            keep_judged(connection, record.judged)
            mark(connection, record.dirty)

    def rewind(self, since_ms: int, generation: int) -> dict[tuple[str, str], EpochLedger]:
        gone: dict[tuple[str, str], list[tuple[int, int]]] = {}
        since = batches.c.received_ms >= since_ms
        changed: dict[tuple[str, str], EpochLedger] = {}
        with self._database.writing("forget what is wanted again") as connection:
            columns = (batches.c.gateway, batches.c.epoch, batches.c.sequence)
            for gateway, epoch, sequence in connection.execute(sa.select(*columns).where(since)):
                gone.setdefault((gateway, epoch), []).append((sequence, sequence))
            connection.execute(sa.delete(batches).where(since))
            for row in connection.execute(sa.select(epochs)).all():
                key = (row.gateway, row.epoch)
                if key in gone:
                    changed[key] = _ledger(row).without(Ranges(gone[key]))
                    put(connection, epochs, _ledger_values(*key, changed[key]))
            put(connection, facts, {"name": "generation", "value": str(generation)})
        return changed

    def forget_before(self, received_ms: int) -> int:
        with self._database.writing("forget old batches") as connection:
            old = sa.delete(batches).where(batches.c.received_ms < received_ms)
            return int(connection.execute(old).rowcount)


def _fields(value: GatewayRecord) -> dict[str, Any]:
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
