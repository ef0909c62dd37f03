"""A link in memory, and what gateways say on it."""

from collections.abc import Callable
from itertools import count

from link.mqtt import Delivery, LinkDown, Message
from metering.batch import VERSION, Batch
from metering.reading import Reading
from metering.topic import GatewayTopic, Leaf
from metering.wire import (
    Commit,
    EpochCommit,
    EpochHeld,
    Range,
    SpoolState,
    State,
    decode_batch,
    decode_commit,
    decode_state,
    digest_of,
    encode,
)

DISTRICT = "120101"
GATEWAY = "gw-e001"
EPOCH = "01JD0000000000000000000000"
SEALED_MS = 1_780_272_000_000  # 2026-06-01T08:00:00+08:00

_packets = count(1)


class FakeLink:
    """Takes what a collector or a gateway says.

    Attributes:
        is_up: while False, nothing can be said.
        on_publish: called with each message before it is taken.
        said: every message, in order; a message's place in it, from 1, is its packet number.
        acknowledged: every delivery, in order.
    """

    def __init__(self) -> None:
        self.is_up = True
        self.on_publish: Callable[[Message], None] = lambda _message: None
        self.said: list[Message] = []
        self.acknowledged: list[Delivery] = []

    def publish(self, message: Message) -> int:
        if not self.is_up:
            raise LinkDown("the fake link is down")
        self.on_publish(message)
        self.said.append(message)
        return len(self.said)

    def acknowledge(self, delivery: Delivery) -> None:
        self.acknowledged.append(delivery)

    def commits(self, gateway: str = GATEWAY) -> list[Commit]:
        topic = GatewayTopic(DISTRICT, gateway).leaf(Leaf.COMMIT)
        return [decode_commit(one.payload) for one in self.said if one.topic == topic]

    def _on(self, leaf: Leaf) -> list[Message]:
        return [one for one in self.said if GatewayTopic.parse(one.topic)[1] is leaf]

    def batches(self) -> list[Batch]:
        """What a gateway sent, repeats included."""
        return [decode_batch(one.payload) for one in self._on(Leaf.BATCH)]

    def states(self) -> list[State]:
        return [decode_state(one.payload) for one in self._on(Leaf.STATE)]

    def words(self) -> list[bytes]:
        return [one.payload for one in self._on(Leaf.LINK)]


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
    *epochs: EpochHeld,
    gateway: str = GATEWAY,
    fleet: str = "",
    retained: bool = False,
    store: str = "heping-1",
    generation: int = 1,
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
        store=store,
        generation=generation,
    )
    topic = GatewayTopic(DISTRICT, gateway).leaf(Leaf.STATE)
    return delivery(topic, encode(state), retained=retained)


def committed(
    epoch: str,
    through: int,
    *missing: tuple[int, int],
    store: str = "heping-1",
    generation: int = 1,
    now_ms: int = SEALED_MS,
    retained: bool = False,
) -> Delivery:
    """A commit as a gateway hears it."""
    word = EpochCommit(
        epoch=epoch, through=through, missing=tuple(Range(*ends) for ends in missing)
    )
    commit = Commit(v=VERSION, store=store, generation=generation, now_ms=now_ms, epochs=(word,))
    topic = GatewayTopic(DISTRICT, GATEWAY).leaf(Leaf.COMMIT)
    return delivery(topic, encode(commit), retained=retained)


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
