"""Dirty: which meters' days are to be settled (again); the port to where that is kept.

Another book of the same kind holds what was settled and no rule has looked at yet.

A day is marked in the same transaction that records the deliveries which touched it, so a crash
loses no mark. Whoever settles takes marks, settles, and clears them: a mark that was set again in
between has a new number and stays.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from collector.entries import Span
from collector.settle.cells import DAY_MS, day_start_ms


class DirtyDay(Struct, frozen=True, kw_only=True):
    """One meter's day in Shanghai whose readings, entries or neighbours changed.

    Attributes:
        day_ms: its start.
        number: of the mark, given by the book; grows.
    """

    meter: str
    day_ms: int
    number: int = 0


class DirtyBook(Protocol):
    """Where marks stay; may raise `TransientError`. Threads may share it."""

    def mark_dirty(self, days: Collection[tuple[str, int]]) -> None:
        """Mark (meter, day_ms) pairs, durably; one that is marked gets a new number."""
        ...

    def dirty(self, limit: int, meters: Sequence[str] | None = None) -> list[DirtyDay]:
        """Marks by (meter, day_ms): whole meters together, at most about `limit`."""
        ...

    def count_dirty(self) -> int: ...

    def oldest_dirty_ms(self) -> int | None:
        """The start of the oldest day that is marked; None if none is."""
        ...

    def clear_dirty(self, days: Sequence[DirtyDay]) -> None:
        """Take marks away, each only if its number is still the same."""
        ...

    def forget_before(self, day_ms: int) -> int:
        """Drop marks of days that begin before then, whatever their number; how many."""
        ...


def days_of(span: Span, made_ms: int) -> range:
    """The days (their starts) that an entry concerns which was made then.

    The future is left out, it has nothing to settle; of a span that lies ahead its first day stays.
    """
    last_ms = made_ms if span.end_ms is None else min(span.end_ms - 1, made_ms)
    last_ms = max(last_ms, span.start_ms)
    return range(day_start_ms(span.start_ms), day_start_ms(last_ms) + 1, DAY_MS)
