"""Epoch book: what settlement remembers of a counter; the port to where it is kept.

The breaks between its register's epochs, and the days in doubt: what is said of those hangs on the
week around them.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from collector.settle.breaks import Break


class EpochBook(Protocol):
    """Where they stay; may raise `TransientError`. All can be computed again from readings."""

    def breaks(self, meter: str, quantity: str, start_ms: int, end_ms: int) -> list[Break]:
        """Breaks whose `at_ms` lies in `[start_ms, end_ms)`, in order of time."""
        ...

    def last_break(self, meter: str, quantity: str, before_ms: int) -> Break | None:
        """The newest break whose `at_ms` is before an instant."""
        ...

    def replace_breaks(
        self, meter: str, quantity: str, span_ms: tuple[int, int], breaks: Sequence[Break]
    ) -> None:
        """Keep these in place of all whose `at_ms` lies in the half-open span."""
        ...

    def doubts(
        self, meters: Sequence[str], start_ms: int, end_ms: int
    ) -> dict[str, frozenset[int]]:
        """Days in doubt of any counter of these meters that start in the half-open span."""
        ...

    def replace_doubts(
        self, found: Sequence[tuple[str, str, tuple[int, int], Collection[int]]]
    ) -> None:
        """Of (meter, quantity, half-open span, days): keep these in place of all in the span."""
        ...
