"""Epoch book: the breaks between a counter's register epochs; the port to where they are kept."""

from collections.abc import Sequence
from typing import Protocol

from collector.settle.breaks import Break


class EpochBook(Protocol):
    """Where breaks stay; may raise `TransientError`. They can be computed again from readings."""

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
