"""Inbox: deliveries from paho's thread -> groups for the pipeline's.

Bounded by what the broker may have under way to us (receive-maximum) and, for brokers that do not
honour it, by a limit of our own: what is beyond it is left unacknowledged and comes again.
"""

from collections import deque
from threading import Condition

from link.mqtt import Delivery


class Inbox:
    """A queue that hands out groups: after `every_ms` of waiting, or `at_most` at once."""

    def __init__(self, *, every_ms: int, at_most: int, limit: int) -> None:
        self._every_s = every_ms / 1000
        self._at_most = at_most
        self._limit = limit
        self._deliveries: deque[Delivery] = deque()
        self._changed = Condition()
        self._closed = False
        self._nudged = False
        self.refused = 0

    def put(self, delivery: Delivery) -> None:
        """Never blocks: it runs on paho's thread."""
        with self._changed:
            if len(self._deliveries) >= self._limit:
                self.refused += 1
                return
            self._deliveries.append(delivery)
            self._changed.notify()

    def group(self) -> list[Delivery]:
        """Wait for a first delivery, then a little for more; empty once closed or nudged."""
        with self._changed:
            self._changed.wait_for(lambda: self._deliveries or self._closed or self._nudged)
            self._changed.wait_for(self._is_full, self._every_s)
            self._nudged = False
            count = min(self._at_most, len(self._deliveries))
            return [self._deliveries.popleft() for _ in range(count)]

    def _is_full(self) -> bool:
        return len(self._deliveries) >= self._at_most or self._closed or self._nudged

    def nudge(self) -> None:
        """Let the pipeline look up from waiting: there is something else to do."""
        with self._changed:
            self._nudged = True
            self._changed.notify()

    def forget(self) -> None:
        """The connection is gone: what was not taken yet comes again on the next one."""
        with self._changed:
            self._deliveries.clear()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def closed(self) -> bool:
        return self._closed

    def __len__(self) -> int:
        return len(self._deliveries)
