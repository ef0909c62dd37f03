"""An `EntryBook` in memory, held to the same contract as the real one."""

from collections.abc import Sequence

from msgspec import structs

from collector.dirty import days_of
from collector.entries import Entry, EntryKind, Span, check_undo, span_of, taken_back
from tests.fakes.dirty import FakeDirtyBook


class FakeEntryBook:
    """Keeps entries in a list; marks days in `dirty_book`."""

    def __init__(self, dirty_book: FakeDirtyBook | None = None) -> None:
        self.dirty_book = dirty_book or FakeDirtyBook()
        self._entries: list[Entry] = []

    def add_entries(self, entries: Sequence[Entry]) -> list[Entry]:
        for entry in entries:
            if entry.kind is EntryKind.UNDO:
                check_undo(entry, self.entry(entry.undoes or 0))
        kept = [
            structs.replace(entry, number=number)
            for number, entry in enumerate(entries, len(self._entries) + 1)
        ]
        self._entries += kept
        for entry in kept:
            days = days_of(self._span(entry), entry.made_ms)
            self.dirty_book.mark_dirty([(entry.meter, day_ms) for day_ms in days])
        return kept

    def entries(
        self,
        *,
        meters: Sequence[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        in_force: bool = False,
        limit: int | None = None,
    ) -> list[Entry]:
        undos = [(e.number, e.undoes or 0) for e in self._entries if e.kind is EntryKind.UNDO]
        gone = taken_back(undos)
        found = [
            entry
            for entry in self._entries
            if (meters is None or entry.meter in meters)
            and meets(self._span(entry), start_ms, end_ms)
            and not (in_force and (entry.kind is EntryKind.UNDO or entry.number in gone))
        ]
        return found if limit is None else found[-limit:]

    def entry(self, number: int) -> Entry | None:
        return self._entries[number - 1] if 0 < number <= len(self._entries) else None

    def _span(self, entry: Entry) -> Span:
        while entry.kind is EntryKind.UNDO:
            entry = self._entries[(entry.undoes or 0) - 1]
        return span_of(entry)


def meets(span: Span, start_ms: int | None, end_ms: int | None) -> bool:
    begins = end_ms is None or span.start_ms < end_ms
    ends = start_ms is None or span.end_ms is None or span.end_ms > start_ms
    return begins and ends
