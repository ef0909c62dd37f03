"""Proposal: what a person wants to say about a meter, before anybody has checked it."""

from msgspec import Struct

from collector.editing.mistake import Mistake
from collector.entries import Entry, EntryBook, EntryKind
from collector.fleet.index import Fleet
from collector.intervals import IntervalStore
from collector.store import ReadingStore


class Proposal(Struct, frozen=True, kw_only=True):
    """One thing to be entered.

    Attributes:
        kind: READING both corrects and fills in: what stands at that instant is voided with it.
            UNDO is none of these: see `Editor.undo`.
        quantity: None: the counter that counts for the meter's energy; for VOID and OUT_OF_SERVICE
            all that the meter says.
        value, closing: as in `Entry`, in `unit`.
        unit: None: the quantity's own.
        energy: None, or the five-character code that it must be about.
        as_shown: values are what the meter's display shows, without the transformers' ratio that
            the gateway multiplies in.
        source: `command`, `api`, or an imported file's name and line.
        force: what only looks wrong is taken.
    """

    kind: EntryKind
    meter: str
    quantity: str | None = None
    start_ms: int
    end_ms: int | None = None
    value: float | None = None
    closing: float | None = None
    unit: str | None = None
    energy: str | None = None
    as_shown: bool = False
    author: str
    reason: str
    source: str
    force: bool = False


class Note(Struct, frozen=True, kw_only=True):
    """What somebody should know about one of the things asked for, though it was taken."""

    place: int
    message: str


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a list of proposals.

    Attributes:
        entries: what was kept, with numbers (0 in a dry run); for a correction two of them.
        repeated: entries in force that say the same already; nothing was added for them.
        mistakes: by place. With any, nothing at all was kept, unless asked for otherwise.
        notes: by place.
    """

    entries: list[Entry]
    repeated: list[Entry]
    mistakes: list[Mistake]
    notes: list[Note]


class Office(Struct, frozen=True, kw_only=True):
    """What the editor looks at and writes to."""

    fleet: Fleet
    store: ReadingStore
    intervals: IntervalStore
    book: EntryBook
