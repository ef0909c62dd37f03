"""Receive: a delivery -> an opened batch, or poison with its reason. Pure.

The identity stands in MQTT 5's user properties, so that bytes which cannot be read can still be
named, set aside and committed. Design section 5, rule 7.
"""

import re
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from metering.batch import Batch, BatchKey
from metering.topic import GatewayTopic
from metering.ulid import is_ulid
from metering.wire import (
    DECODED_LIMIT,
    JSON_TYPE,
    SEALED_LIMIT,
    ZSTD_TYPE,
    State,
    WireInvalid,
    WireReason,
    decode_batch,
    decode_state,
    digest_of,
)

_SEQUENCE = re.compile(r"[1-9][0-9]{0,15}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

Decompress = Callable[[bytes, int], bytes]


class PoisonReason(StrEnum):
    """Why a delivery went to the quarantine; the metric's label."""

    NO_IDENTITY = "no_identity"  # properties missing or malformed
    DIGEST_MISMATCH = "digest_mismatch"  # truncated or changed on the way
    UNKNOWN_TYPE = "unknown_type"
    OVERSIZED = "oversized"
    UNDECODABLE = "undecodable"
    WRONG_VERSION = "wrong_version"
    WRONG_GATEWAY = "wrong_gateway"  # says it is another gateway's than its topic
    WRONG_KEY = "wrong_key"  # says another epoch or sequence than its properties
    STORE_REFUSED = "store_refused"


class Opened(Struct, frozen=True, kw_only=True):
    """A batch that can be judged and stored."""

    gateway: str
    key: BatchKey
    digest: str
    batch: Batch


class Poison(Struct, frozen=True, kw_only=True):
    """A delivery that cannot be stored as readings; its bytes are kept.

    Attributes:
        key: which batch it is; None if nobody can tell, and then it is not committed.
    """

    gateway: str
    key: BatchKey | None
    digest: str
    reason: PoisonReason
    message: str


def identify(properties: dict[str, str], payload: bytes) -> tuple[BatchKey | None, str, str]:
    """The key and the digest of a delivery, and what is wrong with its properties, if anything."""
    epoch = properties.get("epoch", "")
    sequence = properties.get("sequence", "")
    digest = properties.get("digest", "")
    for name, value, right in (
        ("epoch", epoch, is_ulid(epoch)),
        ("sequence", sequence, _SEQUENCE.fullmatch(sequence)),
        ("digest", digest, _DIGEST.fullmatch(digest)),
    ):
        if not right:
            return None, digest_of(payload), f"user property {name} is {value!r}"
    return BatchKey(epoch, int(sequence)), digest, ""


def open_batch(
    topic: GatewayTopic,
    payload: bytes,
    content_type: str | None,
    properties: dict[str, str],
    decompress: Decompress,
) -> Opened | Poison:
    """Read a delivery of a batch.

    Args:
        topic: whose topic it came on; the broker's access list vouches for it.
        content_type: MQTT 5's; none is taken for plain JSON.
        decompress: (bytes, most bytes out) -> bytes; raises ValueError for what it cannot read.
    """
    key, digest, wrong = identify(properties, payload)

    def poison(reason: PoisonReason, message: str) -> Poison:
        return Poison(gateway=topic.gateway, key=key, digest=digest, reason=reason, message=message)

    if key is None:
        return poison(PoisonReason.NO_IDENTITY, wrong)
    actual = digest_of(payload)
    if actual != digest:
        # The bytes named are not these: the gateway still has them and sends them again.
        return Poison(
            gateway=topic.gateway,
            key=None,
            digest=actual,
            reason=PoisonReason.DIGEST_MISMATCH,
            message=f"user property digest is {digest}, SHA-256 of the bytes is {actual}",
        )
    try:
        batch = decode_batch(_body(payload, content_type, decompress))
    except WireInvalid as error:
        return poison(PoisonReason(error.reason.value), str(error))
    if batch.gateway != topic.gateway:
        return poison(PoisonReason.WRONG_GATEWAY, f"it says it is {batch.gateway!r}'s")
    if batch.key != key:
        return poison(PoisonReason.WRONG_KEY, f"it says it is {batch.key}")
    return Opened(gateway=topic.gateway, key=key, digest=digest, batch=batch)


def open_state(topic: GatewayTopic, payload: bytes) -> State:
    """Read a gateway's word about itself.

    Args:
        topic: whose topic it came on.

    Raises:
        WireInvalid: not a state, another gateway's, or one that contradicts itself.
    """
    state = decode_state(payload)
    if state.gateway != topic.gateway:
        raise _senseless(f"it says it is {state.gateway!r}'s")
    for held in state.epochs:
        if not is_ulid(held.epoch):
            raise _senseless(f"epoch {held.epoch!r} is no ULID")
        ends = [end for gone in (*held.dropped, *held.released) for end in (gone.first, gone.last)]
        if held.oldest > held.next or any(end >= held.next for end in ends):
            raise _senseless(f"epoch {held.epoch} holds or drops what it says it never sealed")
    return state


def _senseless(message: str) -> WireInvalid:
    return WireInvalid(WireReason.UNDECODABLE, f"not a state: {message}")


def _body(payload: bytes, content_type: str | None, decompress: Decompress) -> bytes:
    if len(payload) > SEALED_LIMIT:
        raise WireInvalid(
            WireReason.OVERSIZED, f"{len(payload)} bytes as sent, at most {SEALED_LIMIT} are taken"
        )
    if content_type in {None, "", JSON_TYPE}:
        return payload
    if content_type != ZSTD_TYPE:
        raise WireInvalid(WireReason.UNKNOWN_TYPE, f"content type {content_type!r}")
    try:
        return decompress(payload, DECODED_LIMIT)
    except ValueError as error:
        raise WireInvalid(WireReason.UNDECODABLE, f"zstd: {error}") from error
