"""Ways: which channels are down, so that one server that is away does not stop everybody."""

import threading

import structlog

from collector.alerting.notify.settings import DeliverySettings
from metering.clock import Clock

log = structlog.get_logger()


class Ways:
    """Which ways are down: what fails for one receiver after the other is left alone for a while.

    One receiver's failures say nothing of the way: the address may be wrong.
    """

    def __init__(self, settings: DeliverySettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._lock = threading.Lock()
        self._failed: dict[str, set[str]] = {}
        self._rests: dict[str, tuple[float, float]] = {}  # way -> until, how long; monotonic ms

    def rest_left_ms(self, way: str) -> float:
        """How long a way is still left alone; 0 where it may be tried."""
        with self._lock:
            until_ms, _ = self._rests.get(way, (0.0, 0.0))
            return max(until_ms - self._clock.monotonic_ms(), 0.0)

    def worked(self, way: str) -> None:
        with self._lock:
            self._failed.pop(way, None)
            if self._rests.pop(way, None) is not None:
                log.warning("channel.back", channel=way)

    def failed(self, way: str, receiver: str, answer: str) -> None:
        with self._lock:
            receivers = self._failed.setdefault(way, set())
            receivers.add(receiver)
            if len(receivers) == 1 and way not in self._rests:
                return
            _, before_ms = self._rests.get(way, (0.0, 0.0))
            rest_ms = min(before_ms * 2, self._settings.longest_pause_ms)
            rest_ms = rest_ms or self._settings.first_pause_ms
            if not before_ms:
                log.error("channel.down", channel=way, answer=answer)
            self._rests[way] = self._clock.monotonic_ms() + rest_ms, rest_ms
