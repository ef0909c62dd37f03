"""Observe: what passes the broker -> how long every reading took from its meter's answer.

A third party on the broker: it reads batches as they go by and the commits that answer them. A
reading counts as stored when the commit that covers it arrives here, which is a little after it is.
"""

import threading
import time
from collections.abc import Iterable

from msgspec import Struct

from link.mqtt import Broker, Delivery, Link
from metering.delivery.ranges import Ranges
from metering.topic import Leaf, subscription
from metering.wire import JSON_TYPE, decode_batch, decode_commit


class Passed(Struct, kw_only=True):
    """One batch as it went by.

    Attributes:
        at_ms: of its readings; empty where nobody asked.
        stored_ms: when the commit came; None until it does.
    """

    epoch: str
    sequence: int
    size: int
    at_ms: tuple[int, ...]
    stored_ms: int | None = None


class Observer:
    """Listens to every gateway; `Listener` of its link.

    Args:
        skipped: epochs whose batches are only counted.
    """

    def __init__(self, broker_url: str, skipped: Iterable[str] = ()) -> None:
        self._skipped = frozenset(skipped)
        self._lock = threading.Lock()
        self._passed: dict[tuple[str, int], Passed] = {}
        self._committed: dict[str, Ranges] = {}
        self._up = threading.Event()
        self._link = Link(
            Broker(url=broker_url, client_id="bench-observer", receive_maximum=1000),
            topics=tuple(subscription("120101/+", leaf) for leaf in (Leaf.BATCH, Leaf.COMMIT)),
            listener=self,
        )

    def start(self) -> None:
        self._link.start()
        if not self._up.wait(20):
            raise TimeoutError("the broker does not answer")

    def stop(self) -> None:
        self._link.stop()

    def batches(self) -> list[Passed]:
        with self._lock:
            return list(self._passed.values())

    def latencies_ms(self, from_ms: int, to_ms: int) -> list[int]:
        """Of every reading answered in `[from_ms, to_ms)`, in order; still waiting ones count."""
        now_ms = time.time_ns() // 1_000_000
        return sorted(
            (batch.stored_ms or now_ms) - at_ms
            for batch in self.batches()
            for at_ms in batch.at_ms
            if from_ms <= at_ms < to_ms
        )

    def committed(self, epoch: str) -> int:
        """How many batches of an epoch are committed."""
        with self._lock:
            return len(self._committed.get(epoch, Ranges()))

    # ---- the link's listener, on paho's thread

    def up(self) -> None:
        self._up.set()

    def down(self, reason: str) -> None:
        """What is missed meanwhile would only make the numbers worse."""

    def acknowledged(self, packet: int) -> None:
        """Nothing is sent."""

    def delivered(self, delivery: Delivery) -> None:
        self._link.acknowledge(delivery)
        if delivery.topic.endswith(f"/{Leaf.BATCH}"):
            self._take_batch(delivery)
        elif not delivery.retained:
            self._take_commit(delivery)

    def _take_batch(self, delivery: Delivery) -> None:
        epoch = delivery.properties["epoch"]
        sequence = int(delivery.properties["sequence"])
        at_ms: tuple[int, ...] = ()
        if epoch not in self._skipped:
            body = delivery.payload
            if delivery.content_type != JSON_TYPE:
                import zstandard  # noqa: PLC0415 - only compressed runs need it

                body = zstandard.ZstdDecompressor().decompress(body)
            at_ms = tuple(reading.at_ms for reading in decode_batch(body).readings)
        with self._lock:
            self._passed.setdefault(
                (epoch, sequence),
                Passed(epoch=epoch, sequence=sequence, size=len(delivery.payload), at_ms=at_ms),
            )

    def _take_commit(self, delivery: Delivery) -> None:
        now_ms = time.time_ns() // 1_000_000
        for epoch in decode_commit(delivery.payload).epochs:
            stored = Ranges.span(1, epoch.through) - Ranges.from_wire(epoch.missing)
            with self._lock:
                fresh = stored - self._committed.get(epoch.epoch, Ranges())
                self._committed[epoch.epoch] = stored
                for sequence in fresh.ascending():
                    batch = self._passed.get((epoch.epoch, sequence))
                    if batch is not None and batch.stored_ms is None:
                        batch.stored_ms = now_ms


def quantile(ordered: list[int], share: float) -> float:
    """Of an ordered list; 0 of an empty one."""
    return float(ordered[round(share * (len(ordered) - 1))]) if ordered else 0.0
