"""Small state: what the collector must remember besides readings. The port; SQL is the adapter.

One transaction records a group of deliveries; only then are they acknowledged.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from collector.alerting.alert import Alert, Transition
from collector.alerting.log import Judged
from metering.batch import BatchKey
from metering.delivery.receiver import EpochLedger


class StoredBatch(Struct, frozen=True, kw_only=True):
    """One batch that is durable in the store (or, with a reason, in the quarantine)."""

    gateway: str
    key: BatchKey
    digest: str
    received_ms: int
    readings: int


class Quarantined(Struct, frozen=True, kw_only=True):
    """Bytes that could not be stored as readings, and why. Nothing of them is lost.

    Attributes:
        number: its row, given by the state; 0 before it is kept.
        key: which batch it was, if that can be told.
    """

    number: int = 0
    gateway: str
    key: BatchKey | None
    digest: str
    reason: str
    message: str
    received_ms: int
    content_type: str
    payload: bytes


class GatewayRecord(Struct, frozen=True, kw_only=True):
    """A gateway as it last spoke of itself: its state as JSON, and its link."""

    gateway: str
    district: str
    state: bytes
    state_ms: int
    link: str
    link_ms: int


class Record(Struct, frozen=True, kw_only=True):
    """What one group of deliveries changes, kept in one transaction.

    Attributes:
        steps: what alerts did, in order.
        standing: alerts that took no step and remember something new.
        judged: how far readings are judged, of the gateways that sent some.
        dirty: (meter, day_ms) pairs to mark: days in Shanghai whose readings changed.
    """

    batches: Sequence[StoredBatch] = ()
    ledgers: Sequence[tuple[str, str, EpochLedger]] = ()  # gateway, epoch, ledger
    quarantined: Sequence[Quarantined] = ()
    gateways: Sequence[GatewayRecord] = ()
    steps: Sequence[Transition] = ()
    standing: Sequence[Alert] = ()
    judged: Sequence[Judged] = ()
    dirty: Sequence[tuple[str, int]] = ()


class SmallState(Protocol):
    """Every method that writes is durable when it returns; may raise `TransientError`."""

    def ledgers(self) -> dict[tuple[str, str], EpochLedger]:
        """What is known of every epoch, by (gateway, epoch)."""
        ...

    def digests(self, keys: Iterable[tuple[str, BatchKey]]) -> dict[tuple[str, BatchKey], set[str]]:
        """Digests stored under each (gateway, key); keys without any are left out."""
        ...

    def record(self, record: Record) -> None:
        """Keep all of it, or nothing."""
        ...

    def generation(self) -> int:
        """How often the store asked for its past again, from 1."""
        ...

    def rewind(self, since_ms: int, generation: int) -> dict[tuple[str, str], EpochLedger]:
        """Forget that batches received since then are stored; returns the ledgers that changed."""
        ...

    def quarantine(self, limit: int) -> list[Quarantined]:
        """The newest first, payloads included."""
        ...

    def gateways(self) -> list[GatewayRecord]: ...

    def forget_before(self, received_ms: int) -> int:
        """Drop batch rows received before then (their ranges stay); returns how many."""
        ...

    def close(self) -> None: ...
