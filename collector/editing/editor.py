"""Editor: proposals and undos -> entries in the book, or mistakes; all of a list or nothing.

Correct an interval, correct a reading or fill one in, void a span, declare out of service, replace
a meter: each is a `Proposal` of its kind. Nothing here touches a reading: settlement lays the
entries in force over them.
"""

from collections.abc import Iterator, Sequence

from msgspec import structs

from collector.editing.check import Wrong
from collector.editing.mistake import Mistake, MistakeReason
from collector.editing.period import shown
from collector.editing.proposal import Office, Outcome, Proposal
from collector.editing.sitting import Sitting
from collector.entries import Entry, EntryKind


class Editor:
    """Keeps what people say, if it can be; one thread at a time."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def enter(
        self,
        proposals: Sequence[Proposal],
        *,
        now_ms: int,
        dry_run: bool = False,
        partly: bool = False,
    ) -> Outcome:
        """Keep what is proposed.

        Args:
            proposals: any number; for a reading where one stands, that one is voided with it.
            now_ms: the wall clock, and when it was said.
            dry_run: only say what would be.
            partly: keep what can be kept beside mistakes (bills); otherwise all or nothing.
        """
        sitting = Sitting(self._office, proposals, now_ms)
        for place, proposal in enumerate(proposals):
            sitting.take(place, proposal)
        entries = sitting.entries
        if sitting.mistakes and not partly:
            return Outcome(entries=[], repeated=[], mistakes=sitting.mistakes, notes=[])
        if entries and not dry_run:
            entries = self._office.book.add_entries(entries)
        return Outcome(
            entries=entries,
            repeated=sitting.repeated,
            mistakes=sitting.mistakes,
            notes=sitting.notes,
        )

    def undo(
        self, numbers: Sequence[int], *, author: str, reason: str, source: str, now_ms: int
    ) -> Outcome:
        """Take entries back, all of them or none; each once, and never an undo.

        Of a corrected reading both parts go, whichever was named.
        """
        mistakes = list(_unsigned(author, reason))
        undone: dict[int, Entry] = {}
        for place, number in enumerate(numbers):
            found = self._undoable(number)
            if isinstance(found, Entry):
                undone |= {entry.number: entry for entry in self._with_partner(found)}
            else:
                mistakes.append(Mistake(place=place, reason=found[0], message=found[1]))
        entries = (
            []
            if mistakes
            else self._office.book.add_entries(
                [
                    structs.replace(
                        entry,
                        number=0,
                        kind=EntryKind.UNDO,
                        before=entry.value,
                        value=None,
                        closing=None,
                        author=author.strip(),
                        reason=reason.strip(),
                        source=source,
                        made_ms=now_ms,
                        undoes=entry.number,
                    )
                    for entry in undone.values()
                ]
            )
        )
        return Outcome(entries=entries, repeated=[], mistakes=mistakes, notes=[])

    def _undoable(self, number: int) -> Entry | Wrong:
        entry = self._office.book.entry(number)
        if entry is None:
            message = f"没有第 {number} 号更正：用 nenghao entry list 查看"
            return MistakeReason.NO_SUCH_ENTRY, message
        if entry.kind is EntryKind.UNDO:
            message = f"第 {number} 号本身是撤销，不能再撤销：请重新登记第 {entry.undoes} 号的内容"
            return MistakeReason.NOT_UNDOABLE, message
        undo = self.undone_by(entry)
        if undo is not None:
            when = shown(undo.made_ms)
            message = f"第 {number} 号已由 {undo.author} 于 {when} 撤销 (第 {undo.number} 号)"
            return MistakeReason.NOT_UNDOABLE, message
        return entry

    def _with_partner(self, entry: Entry) -> list[Entry]:
        """A reading in place of another and the VOID of that other belong together."""
        step = {EntryKind.READING: -1, EntryKind.VOID: 1}.get(entry.kind)
        partner = self._office.book.entry(entry.number + step) if step else None
        if partner is None or not _is_partner(entry, partner) or self.undone_by(partner):
            return [entry]
        return [entry, partner]

    def undone_by(self, entry: Entry) -> Entry | None:
        """The entry that takes `entry` back, if there is one."""
        same = self._office.book.entries(meters=[entry.meter])
        return next((other for other in same if other.undoes == entry.number), None)


def _unsigned(author: str, reason: str) -> Iterator[Mistake]:
    if not author.strip():
        message = "谁作的撤销？请给出姓名 (--author)"
        yield Mistake(place=0, reason=MistakeReason.NO_AUTHOR, message=message)
    if not reason.strip():
        message = "为什么撤销？请写明原因 (--reason)"
        yield Mistake(place=0, reason=MistakeReason.NO_REASON, message=message)


def _is_partner(entry: Entry, other: Entry) -> bool:
    same = ("meter", "quantity", "start_ms", "made_ms", "author", "source")
    kinds = {entry.kind, other.kind}
    return kinds == {EntryKind.READING, EntryKind.VOID} and all(
        getattr(entry, name) == getattr(other, name) for name in same
    )
