"""A `DirtyBook` in memory, held to the same contract as the real one."""

from collections.abc import Collection, Sequence
from itertools import groupby
from threading import Lock

from collector.dirty import DirtyDay


class FakeDirtyBook:
    """Keeps marks in a dict; `number` is the newest mark's."""

    def __init__(self) -> None:
        self.number = 0
        self._lock = Lock()
        self._marks: dict[tuple[str, int], int] = {}

    def mark_dirty(self, days: Collection[tuple[str, int]]) -> None:
        with self._lock:
            for pair in days:
                self.number += 1
                self._marks[pair] = self.number

    def dirty(self, limit: int, meters: Sequence[str] | None = None) -> list[DirtyDay]:
        with self._lock:
            days = [
                DirtyDay(meter=meter, day_ms=day_ms, number=number)
                for (meter, day_ms), number in sorted(self._marks.items())
                if meters is None or meter in meters
            ]
        found: list[DirtyDay] = []
        for _, of_meter in groupby(days, key=lambda day: day.meter):
            if len(found) >= limit:
                break
            found += of_meter
        return found

    def count_dirty(self) -> int:
        return len(self._marks)

    def oldest_dirty_ms(self) -> int | None:
        return min((day_ms for _, day_ms in self._marks), default=None)

    def forget_before(self, day_ms: int) -> int:
        with self._lock:
            old = [pair for pair in self._marks if pair[1] < day_ms]
            for pair in old:
                del self._marks[pair]
            return len(old)

    def clear_dirty(self, days: Sequence[DirtyDay]) -> None:
        with self._lock:
            for day in days:
                if self._marks.get((day.meter, day.day_ms)) == day.number:
                    del self._marks[day.meter, day.day_ms]
