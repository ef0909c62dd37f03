"""A link in memory, and what gateways say on it."""

from itertools import count

from link.mqtt import Delivery, LinkDown, Message
from metering.batch import VERSION, Batch
from metering.reading import Reading
from metering.topic import GatewayTopic, Leaf
from metering.wire import (
    Commit,
    EpochHeld,
    SpoolState,
    State,
    decode_commit,
    digest_of,
    encode,
)

DISTRICT = "120101"
GATEWAY = "gw-e001"
EPOCH = "01JD0000000000000000000000"
SEALED_MS = 1_780_272_000_000  # 2026-06-01T08:00:00+08:00

_packets = count(1)


class FakeLink:
    """Takes what the collector says.

    Attributes:
        is_up: while False, nothing can be said.
        said: every message, in order.
        acknowledged: every delivery, in order.
    """

    def __init__(self) -> None:
        self.is_up = True
        self.said: list[Message] = []
        self.acknowledged: list[Delivery] = []

    def publish(self, message: Message) -> int:
        if not self.is_up:
            raise LinkDown("the fake link is down")
        self.said.append(message)
        return len(self.said)

    def acknowledge(self, delivery: Delivery) -> None:
        self.acknowledged.append(delivery)

    def commits(self, gateway: str = GATEWAY) -> list[Commit]:
        topic = GatewayTopic(DISTRICT, gateway).leaf(Leaf.COMMIT)
        return [decode_commit(one.payload) for one in self.said if one.topic == topic]


def batch(
    *readings: Reading, sequence: int = 1, epoch: str = EPOCH, gateway: str = GATEWAY
) -> Batch:
    return Batch(
        v=VERSION,
        gateway=gateway,
        epoch=epoch,
        sequence=sequence,
        sealed_at_ms=SEALED_MS,
        clock="synced",
        readings=readings,
    )


def delivered(sealed: Batch) -> Delivery:
    """A batch as its gateway sends it."""
    payload = encode(sealed)
    return delivery(
        GatewayTopic(DISTRICT, sealed.gateway).leaf(Leaf.BATCH),
        payload,
        epoch=sealed.epoch,
        sequence=str(sealed.sequence),
        digest=digest_of(payload),
    )


def stated(
    *epochs: EpochHeld, gateway: str = GATEWAY, fleet: str = "", retained: bool = False
) -> Delivery:
    state = State(
        v=VERSION,
        gateway=gateway,
        version="0.1.0",
        at_ms=SEALED_MS,
        fleet=fleet,
        clock="synced",
        epochs=epochs,
        meters={},
        spool=SpoolState(size=4096, backlog=3, unsealed=0),
    )
    topic = GatewayTopic(DISTRICT, gateway).leaf(Leaf.STATE)
    return delivery(topic, encode(state), retained=retained)


def link_word(word: bytes, gateway: str = GATEWAY) -> Delivery:
    return delivery(GatewayTopic(DISTRICT, gateway).leaf(Leaf.LINK), word, retained=True)


def delivery(
    topic: str,
    payload: bytes,
    *,
    content_type: str | None = None,
    retained: bool = False,
    **properties: str,
) -> Delivery:
    return Delivery(
        topic=topic,
        payload=payload,
        retained=retained,
        content_type=content_type,
        properties=properties,
        connection=1,
        packet=next(_packets),
    )
