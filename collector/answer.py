"""Answer: what the receiver knows -> commits, one per gateway that spoke.

A commit is never queued: where the link is down, the gateway's state comes again at the next
connect and is answered then.
"""

from collections.abc import Iterable

from collector.metrics import Metrics
from link.mqtt import Link, LinkDown, Message
from metering.clock import Clock
from metering.delivery.receiver import Receiver
from metering.topic import GatewayTopic, Leaf
from metering.wire import encode


class Answers:
    """Publishes commits under this store's id and generation."""

    def __init__(
        self, receiver: Receiver, clock: Clock, metrics: Metrics, *, store: str, generation: int
    ) -> None:
        self._receiver = receiver
        self._clock = clock
        self._metrics = metrics
        self._link: Link | None = None
        self.store = store
        self.generation = generation

    def attach(self, link: Link) -> None:
        self._link = link

    def outlived(self, store: str, generation: int) -> bool:
        """A gateway heard a later generation of this store: both databases are old copies.

        Under the old number it would take every commit for a stale one and stop. The number is
        taken over; what the store lacks must be asked for with a resend.
        """
        if store != self.store or generation <= self.generation:
            return False
        self.generation = generation
        return True

    def publish(self, topics: Iterable[GatewayTopic]) -> None:
        """Tell each of these gateways what is stored of it."""
        assert self._link is not None
        for topic in topics:
            commit = self._receiver.commit_for(
                topic.gateway,
                store=self.store,
                generation=self.generation,
                now_ms=self._clock.now_ms(),
            )
            message = Message(topic=topic.leaf(Leaf.COMMIT), payload=encode(commit), retain=True)
            try:
                self._link.publish(message)
            except LinkDown:
                return
            self._metrics.commits.inc()
