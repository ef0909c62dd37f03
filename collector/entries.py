"""Entries: what people say about meters and their data; the book that keeps it, as a port.

An entry is never changed and never deleted: who, when, why, what. Taking one back is another entry.
Nothing here touches a reading in the store: settlement lays the entries in force over it.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from msgspec import Struct

from metering.errors import PermanentError


class EntryKind(StrEnum):
    """What an entry says."""

    REPLACEMENT = "replacement"  # another register stands there from `start_ms` on
    READING = "reading"  # at `start_ms` the counter stood at `value`
    VOID = "void"  # readings in [start_ms, end_ms) do not count
    INTERVAL = "interval"  # in [start_ms, end_ms) the consumption was `value`
    OUT_OF_SERVICE = "out_of_service"  # nothing is expected in [start_ms, end_ms)
    UNDO = "undo"  # entry `undoes` no longer holds


class Entry(Struct, frozen=True, kw_only=True):
    """One entry.

    Attributes:
        number: given by the book, from 1; 0 before it is kept.
        quantity: a name; of VOID and OUT_OF_SERVICE also `*` (`WHOLE_READING`): all of the meter.
        author, reason: who says so and why, neither empty.
        made_ms: when it was said.
        start_ms, end_ms: what it is about; `end_ms` only where the kind has a span (None: open).
        value: READING the counter's new standing, INTERVAL the consumption, REPLACEMENT the
            opening reading of the new register; in the quantity's unit.
        closing: REPLACEMENT: the last reading of the old register, in the quantity's unit.
        before: what stood there when it was said (a reading, or the settled consumption), None if
            nothing did.
        source: where it came from: `command`, `api`, or an imported file's name and line.
        undoes: UNDO: the entry that it takes back.
    """

    number: int = 0
    kind: EntryKind
    meter: str
    quantity: str
    start_ms: int
    end_ms: int | None = None
    value: float | None = None
    closing: float | None = None
    before: float | None = None
    author: str
    reason: str
    made_ms: int
    source: str
    undoes: int | None = None


class EntryInvalid(PermanentError):
    """An entry that takes back what it cannot."""


class Span(NamedTuple):
    """`[start_ms, end_ms)`; open where `end_ms` is None."""

    start_ms: int
    end_ms: int | None


_SPANNED = frozenset({EntryKind.VOID, EntryKind.INTERVAL, EntryKind.OUT_OF_SERVICE})


def span_of(entry: Entry) -> Span:
    """What an entry concerns, if it is no UNDO: that one concerns what it takes back."""
    if entry.kind in _SPANNED:
        return Span(entry.start_ms, entry.end_ms)
    return Span(entry.start_ms, entry.start_ms + 1)


def check_undo(undo: Entry, undone: Entry | None) -> None:
    """Raise EntryInvalid unless `undone` is what `undo` can take back."""
    if undone is None:
        raise EntryInvalid(f"entry {undo.undoes} is to be taken back, but there is none")
    if undone.meter != undo.meter:
        raise EntryInvalid(
            f"entry {undone.number} is about {undone.meter}, it cannot be taken back for "
            f"{undo.meter}"
        )


def taken_back(undos: Iterable[tuple[int, int]]) -> set[int]:
    """Which entries no longer hold.

    Args:
        undos: of each UNDO its number, and that of the entry it takes back: always an older one,
            which may be an UNDO itself.
    """
    gone: set[int] = set()
    for number, undone in sorted(undos, reverse=True):
        if number not in gone:
            gone.add(undone)
    return gone


class EntryBook(Protocol):
    """Where entries stay; may raise `TransientError`. Threads may share it."""

    def add_entries(self, entries: Sequence[Entry]) -> list[Entry]:
        """Keep them all or none, durably, and mark the days they concern as dirty.

        An open span concerns the days up to `made_ms`, an UNDO those of what it takes back.
        Returns them with their numbers.

        Raises:
            EntryInvalid: an UNDO of what is not there, or of another meter's entry.
        """
        ...

    def entries(
        self,
        *,
        meters: Sequence[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        in_force: bool = False,
        limit: int | None = None,
    ) -> list[Entry]:
        """Entries that concern any of `[start_ms, end_ms)`, by number.

        Args:
            start_ms, end_ms: left out, without bound on that side.
            in_force: leave out UNDO entries and what they take back.
            limit: only the newest so many.
        """
        ...

    def entry(self, number: int) -> Entry | None: ...
