"""Patience: an act that may fail for a while -> its result, however long that takes.

The collector holds what is not acknowledged and tries again; it says once that something is down
and once that it is back.
"""

from collections.abc import Callable
from threading import Event
from typing import Generic, TypeVar

import structlog
from msgspec import Struct

from metering.clock import Clock
from metering.errors import PermanentError, TransientError

log = structlog.get_logger()

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 30.0

T = TypeVar("T")


class Outcome(Struct, Generic[T], frozen=True, kw_only=True):
    """What came of it; not `done` only when the collector stops."""

    done: bool
    value: T | None = None


class Patience:
    """Retries transient failures with growing pauses until it works or the collector stops."""

    def __init__(self, stopping: Event, clock: Clock, jitter: Callable[[], float]) -> None:
        """Wait on `stopping`; `jitter` gives a random number in [0, 1) at each call."""
        self._stopping = stopping
        self._clock = clock
        self._jitter = jitter
        self.down: dict[str, str] = {}  # what fails now -> its last message
        self._down_ms: dict[str, int] = {}  # since when, monotonic

    def until_done(self, what: str, act: Callable[[], T]) -> Outcome[T]:
        """Do `act`; its permanent errors are the caller's."""
        pause_s = _FIRST_PAUSE_S
        since_ms = self._clock.monotonic_ms()
        while True:
            try:
                value = act()
            except TransientError as error:
                if what not in self.down:
                    log.error("part.down", part=what, error=str(error))
                    self._down_ms[what] = self._clock.monotonic_ms()
                self.down[what] = str(error)
                asked_s = getattr(error, "retry_after_s", None)
                own_s = pause_s * (0.5 + self._jitter())
                wait_s = own_s if asked_s is None else max(asked_s, _FIRST_PAUSE_S)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                if self._stopping.wait(min(wait_s, _LONGEST_PAUSE_S * 2)):
                    return Outcome(done=False)
                continue
            except PermanentError:
                self._is_back(what, since_ms)  # a refusal is an answer
                raise
            self._is_back(what, since_ms)
            return Outcome(done=True, value=value)

    def away_s(self, *parts: str) -> float:
        """For how long, in real seconds, the first of these parts to fail has been failing.

        Above 0 from the first failure on.
        """
        since = [since_ms for what, since_ms in list(self._down_ms.items()) if what in parts]
        return (self._clock.monotonic_ms() - min(since) + 1) / 1000 if since else 0.0

    def _is_back(self, what: str, since_ms: int) -> None:
        self._down_ms.pop(what, None)
        if self.down.pop(what, None) is not None:
            held_s = (self._clock.monotonic_ms() - since_ms) / 1000
            log.warning("part.back", part=what, after_s=round(held_s, 1))
