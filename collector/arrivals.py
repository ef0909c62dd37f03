"""Arrivals: readings as they are stored -> how many came in time, and what gateways' clocks say.

A reading that is more than a quarter of an hour old when it comes is late: it counts for energy and
completeness, not for being online (key-user systems do not count what is filled in later). The
least time from sealing a batch to receiving it is what a clock is off by, give or take the link: a
clock that is ahead makes it negative.
"""

from collections.abc import Iterable
from threading import Lock

from msgspec import Struct

from collector.settle.cells import DAY_MS, SHANGHAI_MS
from collector.store import Row
from metering.batch import Batch, ClockState

LATE_MS = 900_000

MeterDayKey = tuple[str, int]  # meter, the day's start


class Tally(Struct, frozen=True, kw_only=True):
    """What came since the last tally.

    Attributes:
        readings, on_time: by (meter, day).
        delays_ms: the least by (gateway, day).
    """

    readings: dict[MeterDayKey, int]
    on_time: dict[MeterDayKey, int]
    delays_ms: dict[MeterDayKey, int]


class Arrivals:
    """Threads may share it: one notes, another takes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._clear()

    def note(self, rows: Iterable[Row], batches: Iterable[Batch], now_ms: int) -> None:
        """Count rows that are in the store now, and the batches that brought them."""
        late_ms = now_ms - LATE_MS
        with self._lock:
            readings, on_time = self._readings, self._on_time
            for row in rows:
                if row.values:
                    key = (row.meter, (row.at_ms + SHANGHAI_MS) // DAY_MS)
                    readings[key] = readings.get(key, 0) + 1
                    if row.at_ms >= late_ms:
                        on_time[key] = on_time.get(key, 0) + 1
            for batch in batches:
                delay_ms = now_ms - batch.sealed_at_ms
                if batch.clock == ClockState.SYNCED and delay_ms < LATE_MS:  # no backlog
                    self._note_delay(batch.gateway, delay_ms, now_ms)

    def take(self) -> Tally:
        """What was noted since the last call."""
        with self._lock:
            tally = Tally(
                readings=_by_start(self._readings),
                on_time=_by_start(self._on_time),
                delays_ms=_by_start(self._delays),
            )
            self._clear()
        return tally

    def _clear(self) -> None:
        self._readings: dict[MeterDayKey, int] = {}
        self._on_time: dict[MeterDayKey, int] = {}
        self._delays: dict[MeterDayKey, int] = {}

    def _note_delay(self, gateway: str, delay_ms: int, now_ms: int) -> None:
        key = (gateway, (now_ms + SHANGHAI_MS) // DAY_MS)
        self._delays[key] = min(delay_ms, self._delays.get(key, delay_ms))


def _by_start(counted: dict[MeterDayKey, int]) -> dict[MeterDayKey, int]:
    return {(name, day * DAY_MS - SHANGHAI_MS): number for (name, day), number in counted.items()}
