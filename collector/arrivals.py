"""Arrivals: readings as they are stored -> how many came in time, and what gateways' clocks say.

A reading that is more than a quarter of an hour old when it comes is late: it counts for energy and
completeness, not for being online (key-user systems do not count what is filled in later). The
least time from sealing a batch to receiving it is what a clock is off by, give or take the link: a
clock that is ahead makes it negative. Of a clock that nobody vouches for it says nothing: such a
batch may hold times of another life of the box.
"""

from collections.abc import Iterable, Mapping
from threading import Lock

from msgspec import Struct

from collector.intervals import Figure, Subject
from collector.settle.cells import DAY_MS, SHANGHAI_MS
from collector.store import Row
from metering.batch import Batch, ClockState

LATE_MS = 900_000

CAME, IN_TIME, DRIFT = "arrived_count", "on_time_count", "clock_drift_s"  # figures

MeterDayKey = tuple[str, int]  # meter, the day's start
FigureKey = tuple[Subject, str, int, str]  # subject, id, day's start, name


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
                if batch.clock != ClockState.UNSYNCED and delay_ms < LATE_MS:  # no backlog
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

    def give_back(self, tally: Tally) -> None:
        """What was taken and could not be kept: the next `take` has it again."""
        with self._lock:
            for mine, theirs in (
                (self._readings, tally.readings),
                (self._on_time, tally.on_time),
            ):
                for (meter, day_ms), number in theirs.items():
                    key = (meter, (day_ms + SHANGHAI_MS) // DAY_MS)
                    mine[key] = mine.get(key, 0) + number
            for (gateway, day_ms), delay_ms in tally.delays_ms.items():
                self._note_delay(gateway, delay_ms, day_ms)

    def _clear(self) -> None:
        self._readings: dict[MeterDayKey, int] = {}
        self._on_time: dict[MeterDayKey, int] = {}
        self._delays: dict[MeterDayKey, int] = {}

    def _note_delay(self, gateway: str, delay_ms: int, now_ms: int) -> None:
        key = (gateway, (now_ms + SHANGHAI_MS) // DAY_MS)
        self._delays[key] = min(delay_ms, self._delays.get(key, delay_ms))


def counted(tally: Tally, known: Mapping[FigureKey, float]) -> list[Figure]:
    """A tally added to what is known of its days, as figures."""
    found: list[Figure] = []
    for name, numbers in ((CAME, tally.readings), (IN_TIME, tally.on_time)):
        for (meter, day_ms), number in numbers.items():
            before = known.get((Subject.METER, meter, day_ms, name), 0.0)
            found.append(_figure(Subject.METER, meter, day_ms, name, before + number))
    for (gateway, day_ms), delay_ms in tally.delays_ms.items():
        before = known.get((Subject.GATEWAY, gateway, day_ms, DRIFT), delay_ms / 1000)
        found.append(_figure(Subject.GATEWAY, gateway, day_ms, DRIFT, min(before, delay_ms / 1000)))
    return found


def _figure(subject: Subject, identity: str, day_ms: int, name: str, value: float) -> Figure:
    return Figure(subject=subject, id=identity, day_ms=day_ms, name=name, value=value)


def _by_start(counts: dict[MeterDayKey, int]) -> dict[MeterDayKey, int]:
    return {(name, day * DAY_MS - SHANGHAI_MS): number for (name, day), number in counts.items()}
