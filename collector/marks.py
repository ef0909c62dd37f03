"""Marks: rows that were stored -> (meter, day) pairs that still need a mark; the rest is known.

Every reading would mark its day, nearly always one that is marked already. Here is remembered which
days are, so that the hot path writes only new ones. It forgets at a restart, and when it grows too
large: a day is then marked once more, which costs a settling that changes nothing.

Why no mark is lost. The pipeline stores a row, and only then asks here whether its day is marked.
Settlement takes marks, forgets the pairs here, and only then reads the store (`take`). A pair that
the pipeline found here was therefore still remembered when its row was in the store: either it was
not yet forgotten, and settlement reads the store later than that; or it was written after the
forgetting, under a number that is newer than the one that settlement will clear. To forget first
and take second would lose one: a mark that is set in between would be taken *and* remembered. So
would remembering a mark that was forgotten while its transaction was under way: hence `_writing`.
"""

from collections.abc import Iterable, Sequence
from threading import Lock

from collector.dirty import DirtyBook, DirtyDay
from collector.settle.cells import DAY_MS, SHANGHAI_MS
from collector.store import Row

_MOST = 200_000  # pairs; some 20 MB

Pair = tuple[str, int]


class DirtyMarks:
    """What is marked and not yet taken. Threads share it; one of them asks for what is fresh."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._known: dict[int, set[str]] = {}  # day, counted from 1970 in Shanghai -> meters
        self._count = 0
        self._writing: set[Pair] = set()  # handed out, and not forgotten since

    def fresh(self, rows: Iterable[Row]) -> list[Pair]:
        """Return the (meter, day_ms) pairs of rows *in the store* that need a mark, each once."""
        found: dict[tuple[str, int], None] = {}
        with self._lock:
            known = self._known
            for row in rows:
                day = (row.at_ms + SHANGHAI_MS) // DAY_MS
                meters = known.get(day)
                if meters is None or row.meter not in meters:
                    found[row.meter, day] = None
            pairs = [(meter, day * DAY_MS - SHANGHAI_MS) for meter, day in found]
            self._writing.update(pairs)
        return pairs

    def written(self, pairs: Iterable[Pair]) -> None:
        """Remember pairs from `fresh` whose marks are durable now."""
        with self._lock:
            for pair in pairs:
                if pair in self._writing:
                    self._writing.remove(pair)
                    self._remember(*pair)

    def forget(self, pairs: Iterable[Pair]) -> None:
        """Let the next reading of these days mark them again."""
        with self._lock:
            for meter, day_ms in pairs:
                self._writing.discard((meter, day_ms))
                meters = self._known.get(_day(day_ms))
                if meters and meter in meters:
                    meters.remove(meter)
                    self._count -= 1
                    if not meters:
                        del self._known[_day(day_ms)]

    def _remember(self, meter: str, day_ms: int) -> None:
        if self._count >= self._most:
            self._known.clear()
            self._count = 0
        meters = self._known.setdefault(_day(day_ms), set())
        if meter not in meters:
            meters.add(meter)
            self._count += 1


def take(
    book: DirtyBook, marks: DirtyMarks, limit: int, meters: Sequence[str] | None = None
) -> list[DirtyDay]:
    """Take marks as `DirtyBook.dirty` gives them: before the store is read for them.

    What is stored from now on marks its day anew; `clear_dirty` then leaves that mark alone.
    """
    days = book.dirty(limit, meters)
    marks.forget((day.meter, day.day_ms) for day in days)
    return days


def _day(day_ms: int) -> int:
    return (day_ms + SHANGHAI_MS) // DAY_MS
