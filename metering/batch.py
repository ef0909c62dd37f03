"""Batch: readings in one message, under an identity that never changes."""

from enum import StrEnum
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct, field

from metering.reading import EpochMs, Reading

VERSION = 1

# A place in an epoch, from 1. Checked where bytes come in.
Sequence = Annotated[int, Meta(ge=1, le=2**53)]


class ClockState(StrEnum):
    """How sure the gateway is of the times in a batch."""

    SYNCED = "synced"  # the kernel says that NTP disciplines the clock
    COMMIT = "commit"  # no NTP; a fresh commit's `now` served
    RTC = "rtc"  # the operator trusts the box's battery-backed clock
    UNSYNCED = "unsynced"  # nobody vouches for it


class BatchKey(NamedTuple):
    """A batch of one gateway: the spool's life and its count within it, from 1."""

    epoch: str
    sequence: int


class Batch(Struct, frozen=True, kw_only=True):
    """Readings as sealed by the spool. Once sealed, the bytes on the wire never change.

    Attributes:
        v: version of the wire contract.
        gateway: who sealed it; must equal the topic's.
        epoch: ULID of the spool's opening.
        sequence: position in the epoch, from 1, without holes.
        sealed_at_ms: epoch ms UTC, by the gateway's clock.
        clock: a `ClockState`; a word, since a later version may know more.
        readings: at least one, in the order they were answered.
    """

    v: int
    gateway: str
    epoch: str
    sequence: Sequence
    sealed_at_ms: EpochMs = field(name="sealed_at")
    clock: str
    readings: tuple[Reading, ...]

    @property
    def key(self) -> BatchKey:
        return BatchKey(self.epoch, self.sequence)


class Sealed(Struct, frozen=True, kw_only=True):
    """A batch as bytes: what the spool keeps and the broker carries.

    Attributes:
        digest: SHA-256 of `payload`, hexadecimal.
        payload: the body as sent, compressed or not.
        content_type: MQTT 5's Content-Type of the payload.
    """

    key: BatchKey
    digest: str
    payload: bytes
    content_type: str
