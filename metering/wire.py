"""Wire: batch, state and commit <-> JSON bytes, version 1 of the contract.

The only module that reads or writes JSON of the contract. Compression is the rim's business: the
bytes here are always plain JSON. `docs/data-contract.md` says the same for a third party.
"""

import hashlib
import math
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from metering.batch import VERSION, Batch, Sequence
from metering.errors import PermanentError
from metering.reading import EpochMs, Reading

JSON_TYPE = "application/json"
ZSTD_TYPE = "application/json+zstd"
SEALED_LIMIT = 256 * 1024  # bytes of a batch as sent
DECODED_LIMIT = 2 * 1024 * 1024  # bytes of a batch as plain JSON


_Count = Annotated[int, Meta(ge=0, le=2**53)]


class WireReason(StrEnum):
    """Why bytes are not a message of the contract; the metric label of a quarantine."""

    OVERSIZED = "oversized"
    UNDECODABLE = "undecodable"
    WRONG_VERSION = "wrong_version"
    UNKNOWN_TYPE = "unknown_type"


class WireInvalid(PermanentError):
    """These bytes are not a message of the contract and never will be."""

    def __init__(self, reason: WireReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Range(Struct, frozen=True, array_like=True):
    """Sequences from `first` to `last`, both included; `[3, 7]` on the wire."""

    first: Sequence
    last: Sequence


class EpochHeld(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a gateway holds of one epoch, in its state.

    Attributes:
        oldest: the lowest sequence held; equal to `next` if none is.
        next: the sequence that the next sealed batch gets (a past epoch: one past its last).
        dropped: sequences that the gateway threw away uncommitted: a full disk, a corrupt file.
        released: sequences above `oldest` that it threw away committed, to make room.
    """

    epoch: str
    oldest: Sequence
    next: Sequence
    dropped: tuple[Range, ...] = ()
    released: tuple[Range, ...] = ()


class RatioApplied(Struct, frozen=True, kw_only=True):
    """A meter's transformers, and who has multiplied by them: `gateway` or `meter`."""

    ct: float
    pt: float
    applied_by: str


class MeterHealth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One meter as its gateway sees it: well since, or silent since and why.

    Attributes:
        ratio: its transformers; left out where there are none.
        direction: `export` for one that is turned; left out otherwise.
        identity: what its device says about itself: serial, firmware, device.
        expected: what it should have said, if another device answers there: its readings are held
            apart.
        doubt: what to look at although it is read.
        holes: registers that it refuses and that are no longer asked for.
        suspect: answers since the start that may have belonged to an older question.
        slow: it is asked more seldom, so that a crowded bus has time for the others.
    """

    since_ms: EpochMs = field(name="since")
    fault: str | None = None
    ratio: RatioApplied | None = None
    direction: str = "import"
    identity: dict[str, str] = {}
    expected: str = ""
    doubt: str = ""
    holes: tuple[str, ...] = ()
    suspect: int = 0
    slow: bool = False


class BusHealth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One bus as its gateway sees it.

    Attributes:
        cycle_s: how often its meters are read, wall time.
        has_s: the same in real time.
        needs_s: real time that a usual cycle takes if nothing has to wait.
        took_s: real time that the last one took.
        missed: starts that passed unused since the process began, because a cycle took too long.
        crowded: there is no time for everything.
    """

    url: str
    cycle_s: float
    has_s: float
    needs_s: float = 0.0
    took_s: float = 0.0
    missed: int = 0
    crowded: bool = False


class SpoolState(Struct, frozen=True, kw_only=True):
    """How full the spool is.

    Attributes:
        size, limit: bytes on disk, and how many there may be; 0: not said.
        backlog: its uncommitted batches.
    """

    size: _Count
    backlog: _Count
    unsealed: _Count
    corrupt: _Count = 0  # files set aside since the spool's folder was made
    limit: _Count = 0


class State(Struct, frozen=True, kw_only=True):
    """A gateway's word about itself, retained.

    Attributes:
        at_ms: when it was said, by the gateway's clock.
        fleet: digest of the fleet part that the gateway works by.
        store: the only store whose commits the gateway obeys.
        generation: the highest of that store ever heard; 0 before the first commit.
        epochs: each epoch of which anything is held, and the present one.
        stuck: batches set aside because sending them never succeeds.
        forks: how often another box was seen using this gateway's id or a copy of its spool.
        polled: readings kept since the process started, faults included.
        published: batches handed to the broker since then, repeats included.
        forgotten: readings that a full disk and a full memory together could not keep.
        buses: each bus, in the order of the fleet.
        refused: why a changed fleet part was not taken over; empty if none was refused.
    """

    v: int
    gateway: str
    version: str
    at_ms: EpochMs = field(name="at")
    fleet: str
    clock: str
    epochs: tuple[EpochHeld, ...]
    meters: dict[str, MeterHealth]
    spool: SpoolState
    store: str = ""
    generation: int = 0
    stuck: tuple[tuple[str, Sequence], ...] = ()
    forks: _Count = 0
    polled: int = 0
    published: int = 0
    forgotten: int = 0
    buses: tuple[BusHealth, ...] = ()
    refused: str = ""


class EpochCommit(Struct, frozen=True, kw_only=True):
    """What the collector has of one epoch: everything in 1..through but `missing`."""

    epoch: str
    through: _Count
    missing: tuple[Range, ...] = ()


class Commit(Struct, frozen=True, kw_only=True):
    """The collector's word that batches are stored, retained.

    Attributes:
        store: id of the database that has them; a gateway obeys only its own.
        generation: rises when the database lost something and wants it again.
        now_ms: the collector's clock, epoch ms UTC.
    """

    v: int
    store: str
    generation: _Count
    now_ms: EpochMs = field(name="now")
    epochs: tuple[EpochCommit, ...]


class _LooseReading(Struct, kw_only=True):
    """A reading whose values may be anything: one absurd number must not cost its batch."""

    meter: str
    at: EpochMs
    values: dict[str, msgspec.Raw] = {}
    fault: str | None = None


class _LooseBatch(Struct, kw_only=True):
    v: int
    gateway: str
    epoch: str
    sequence: Sequence
    sealed_at: EpochMs
    clock: str
    readings: list[_LooseReading]


class _Versioned(Struct):
    v: int


_encoder = msgspec.json.Encoder()
_batch_decoder = msgspec.json.Decoder(Batch)
_loose_decoder = msgspec.json.Decoder(_LooseBatch)
_versioned_decoder = msgspec.json.Decoder(_Versioned)


def encode(message: Batch | State | Commit | Reading) -> bytes:
    return _encoder.encode(message)


def digest_of(payload: bytes) -> str:
    """Digest of a batch's bytes as sent: SHA-256, hexadecimal."""
    return hashlib.sha256(payload).hexdigest()


def decode_batch(body: bytes) -> Batch:
    """Read a batch from plain JSON.

    A value that is no finite number (`null`, `1e999`, a string) becomes NaN, for the gate to refuse
    by itself: the rest of its batch is unharmed.

    Raises:
        WireInvalid: not a batch of version 1; the message says what was found.
    """
    if len(body) > DECODED_LIMIT:
        raise WireInvalid(
            WireReason.OVERSIZED, f"{len(body)} bytes of JSON, at most {DECODED_LIMIT} are taken"
        )
    try:
        batch = _batch_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_loosely(body)
    if batch.v != VERSION:
        raise _wrong_version(batch.v)
    return batch


def _decode_loosely(body: bytes) -> Batch:
    _check_version(body)
    try:
        loose = _loose_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireInvalid(WireReason.UNDECODABLE, f"not a batch: {error}") from error
    return Batch(
        v=loose.v,
        gateway=loose.gateway,
        epoch=loose.epoch,
        sequence=loose.sequence,
        sealed_at_ms=loose.sealed_at,
        clock=loose.clock,
        readings=tuple(
            Reading(
                meter=reading.meter,
                at_ms=reading.at,
                values={name: _number(raw) for name, raw in reading.values.items()},
                fault=reading.fault,
            )
            for reading in loose.readings
        ),
    )


def _number(raw: msgspec.Raw) -> float:
    try:
        number = float(bytes(raw))
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _check_version(body: bytes) -> None:
    """A message of a later version is told apart from one that is broken."""
    try:
        version = _versioned_decoder.decode(body).v
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireInvalid(WireReason.UNDECODABLE, f"not a message: {error}") from error
    if version != VERSION:
        raise _wrong_version(version)


def _wrong_version(version: int) -> WireInvalid:
    return WireInvalid(
        WireReason.WRONG_VERSION, f"version {version} of the contract, {VERSION} is spoken here"
    )


def _decode(decoder: Any, body: bytes, what: str) -> Any:
    if len(body) > DECODED_LIMIT:
        raise WireInvalid(WireReason.OVERSIZED, f"{len(body)} bytes of {what}")
    _check_version(body)
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireInvalid(WireReason.UNDECODABLE, f"not a {what}: {error}") from error


_state_decoder = msgspec.json.Decoder(State)
_commit_decoder = msgspec.json.Decoder(Commit)


def decode_state(body: bytes) -> State:
    """Read a gateway's state.

    Raises:
        WireInvalid: not a state of version 1.
    """
    state: State = _decode(_state_decoder, body, "state")
    return state


def decode_commit(body: bytes) -> Commit:
    """Read a commit.

    Raises:
        WireInvalid: not a commit of version 1.
    """
    commit: Commit = _decode(_commit_decoder, body, "commit")
    return commit
