"""Sitting: a list of proposals, against what stands -> entries, repeats, mistakes and notes."""

from collections.abc import Iterable, Sequence

from msgspec import structs

from collector.editing.check import Wrong, figures, out_of_line, what_is_wrong
from collector.editing.measured import Measured
from collector.editing.mistake import Mistake, MistakeReason
from collector.editing.period import shown, shown_span
from collector.editing.proposal import Note, Office, Proposal
from collector.editing.rows import rounded
from collector.entries import Entry, EntryKind
from collector.fleet.index import MeterEntry
from collector.settle.cells import DAY_MS, HOUR_MS, Width, day_start_ms
from collector.settle.counters import counter_of, unit_of
from collector.settle.rate import rated_per_hour
from collector.settle.series import PER_UNIT
from collector.store import LAST_AT_MS, WHOLE_READING
from metering.quantity import QUANTITIES, Kind

_COUNTERS = tuple(name for name, one in QUANTITIES.items() if one.kind is Kind.COUNTER)
_NEIGHBOURS = 16  # readings looked at on either side, for one that nobody voided
_SAYS_A_READING = frozenset({EntryKind.READING, EntryKind.REPLACEMENT})
_OF_THE_WHOLE_METER = frozenset({EntryKind.VOID, EntryKind.OUT_OF_SERVICE})

_Key = tuple[str, str, str, int, int | None]


class Sitting:
    """One list of proposals being looked at: what was found, what was looked up already."""

    def __init__(self, office: Office, proposals: Sequence[Proposal], now_ms: int) -> None:
        self.entries: list[Entry] = []
        self.repeated: list[Entry] = []
        self.mistakes: list[Mistake] = []
        self.notes: list[Note] = []
        self._office = office
        self._measured = Measured(office.store, office.book)
        self._now_ms = now_ms
        meters = sorted({proposal.meter for proposal in proposals} & office.fleet.meters.keys())
        in_force = office.book.entries(meters=meters, in_force=True) if meters else []
        self._standing = {_key(entry): entry for entry in in_force}
        self._voids = [entry for entry in in_force if entry.kind is EntryKind.VOID]
        self._breaks = [entry for entry in in_force if entry.kind is EntryKind.REPLACEMENT]
        self._seen: dict[str, set[str]] = {}

    def take(self, place: int, proposal: Proposal) -> None:
        """Look at one proposal: an entry, a repeat, or mistakes."""
        wrong = what_is_wrong(proposal, self._office.fleet, self._now_ms)
        entry = self._office.fleet.entry(proposal.meter, proposal.start_ms)
        if wrong or entry is None:
            self._refuse(place, wrong)
            return
        quantity = self._quantity(proposal, entry)
        if quantity != WHOLE_READING and (says := self._measured.wrong(entry, quantity)):
            self._refuse(place, [(MistakeReason.NOT_MEASURED, says)])
            return
        value, closing, wrong = figures(proposal, entry, quantity)
        if wrong:
            self._refuse(place, wrong)
            return
        wanted = Entry(
            kind=proposal.kind,
            meter=proposal.meter,
            quantity=quantity,
            start_ms=proposal.start_ms,
            end_ms=proposal.end_ms if proposal.kind not in _SAYS_A_READING else None,
            value=value,
            closing=closing,
            author=proposal.author.strip(),
            reason=proposal.reason.strip(),
            made_ms=self._now_ms,
            source=proposal.source,
        )
        if not self._stands(place, wanted):
            self._keep(place, wanted, proposal, entry)

    def _refuse(self, place: int, wrong: Iterable[Wrong]) -> None:
        self.mistakes += [Mistake(place=place, reason=why, message=says) for why, says in wrong]

    def _stands(self, place: int, wanted: Entry) -> bool:
        """Whether something is entered there already: the same, or another that contradicts."""
        known = self._standing.get(_key(wanted))
        if known is None:
            self._standing[_key(wanted)] = wanted
            return False
        if (known.value, known.closing) == (wanted.value, wanted.closing):
            self.repeated.append(known)
            return True
        which = f"第 {known.number} 号" if known.number else "同一批中前面的一条"
        message = (
            f"{wanted.meter} 在 {shown_span(known.start_ms, known.end_ms)} 已有{which}更正"
            f" ({_told(known)}，{known.author})：要改成 {_told(wanted)}，请先撤销它"
        )
        self._refuse(place, [(MistakeReason.STANDS_ALREADY, message)])
        return True

    def _keep(self, place: int, wanted: Entry, proposal: Proposal, entry: MeterEntry) -> None:
        if wanted.kind in _SAYS_A_READING:
            self._keep_reading(place, wanted, force=proposal.force)
        else:
            self._note(place, wanted, entry)
            before = self._before(wanted)
            self.entries.append(structs.replace(wanted, before=before))

    # ---- readings and replacements, against their neighbours

    def _keep_reading(self, place: int, wanted: Entry, *, force: bool) -> None:
        """A reading, or a closing one, between its neighbours."""
        here = self._reading_at(wanted)
        last, following = self._neighbour(wanted, later=False), self._neighbour(wanted, later=True)
        wrong = [] if force else list(out_of_line(wanted, last, following))
        if wrong:
            del self._standing[_key(wanted)]
            self._refuse(place, wrong)
            return
        if here is None and wanted.kind is EntryKind.READING:
            self._note_gap(place, last, following)
        before = here if here is not None else last and last[1]
        if wanted.kind is EntryKind.READING and here is not None:
            self.entries.append(
                structs.replace(
                    wanted,
                    kind=EntryKind.VOID,
                    end_ms=wanted.start_ms + 1,
                    value=None,
                    before=here,
                )
            )
        self.entries.append(structs.replace(wanted, before=before))

    def _note_gap(self, place: int, *neighbours: tuple[int, float] | None) -> None:
        """Meters answer seconds after the minute: whoever meant to correct a reading is told."""
        near = "、".join(
            f"{shown(at_ms)} ({rounded(value)})" for at_ms, value in filter(None, neighbours)
        )
        message = f"此时刻没有读数，按补录登记；相邻的读数：{near or '无'}"
        self.notes.append(Note(place=place, message=message))

    def _reading_at(self, wanted: Entry) -> float | None:
        at_ms = wanted.start_ms
        found = self._office.store.columns(
            [wanted.meter], [wanted.quantity], at_ms, min(at_ms, LAST_AT_MS) + 1
        )
        return float(found[0].values[0]) if found else None

    def _neighbour(self, wanted: Entry, *, later: bool) -> tuple[int, float] | None:
        """The reading next to an instant, of those that nobody voided: (at_ms, value)."""
        at_ms = wanted.start_ms
        is_reading = wanted.kind is EntryKind.READING
        column = self._office.store.nearest(
            wanted.meter,
            wanted.quantity,
            at_ms + 1 if later and is_reading else at_ms,
            later=later,
            most=_NEIGHBOURS,
        )
        if column is None:
            return None
        near = list(zip(column.at_ms.tolist(), column.values.tolist(), strict=True))
        for at, value in near if later else reversed(near):
            if not self._is_void(wanted, at):
                return None if self._is_broken(wanted, at) else (at, value)
        return None

    def _is_broken(self, wanted: Entry, at_ms: int) -> bool:
        """Whether the register was replaced in between: then neither says anything of the other."""
        first, last = sorted((wanted.start_ms, at_ms))
        return any(
            one.meter == wanted.meter
            and one.quantity == wanted.quantity
            and first <= one.start_ms <= last
            for one in self._breaks
        )

    def _is_void(self, wanted: Entry, at_ms: int) -> bool:
        return any(
            void.meter == wanted.meter
            and void.quantity in {wanted.quantity, WHOLE_READING}
            and void.start_ms <= at_ms
            and (void.end_ms is None or at_ms < void.end_ms)
            for void in self._voids
        )

    # ---- spans

    def _note(self, place: int, wanted: Entry, entry: MeterEntry) -> None:
        """What only looks wrong about a span is said."""
        rated = rated_per_hour(entry, wanted.quantity) if wanted.value is not None else None
        if rated is None or wanted.value is None or wanted.end_ms is None:
            return
        most = rated * ((wanted.end_ms - wanted.start_ms) / HOUR_MS) / PER_UNIT
        if wanted.value > most:
            unit = unit_of(wanted.quantity)
            message = (
                f"{rounded(wanted.value)} {unit} 高于额定负荷在此时段能用的"
                f" {rounded(most)} {unit}：请核对单位和倍率"
            )
            self.notes.append(Note(place=place, message=message))

    def _before(self, wanted: Entry) -> float | None:
        """What stood there: the settled consumption; of one voided instant its reading."""
        if wanted.end_ms is None:
            return None
        quantity = wanted.quantity
        if quantity == WHOLE_READING:
            entry = self._office.fleet.entry(wanted.meter, wanted.start_ms)
            if entry is None:
                return None
            quantity = counter_of(entry, self._quantities(entry))
        if wanted.end_ms - wanted.start_ms == 1:
            return self._reading_at(structs.replace(wanted, quantity=quantity))
        return self._settled(wanted.meter, quantity, wanted.start_ms, wanted.end_ms)

    def _settled(self, meter: str, quantity: str, start_ms: int, end_ms: int) -> float | None:
        """The sum of what is known of a span; by days where it is made of days."""
        of_days = day_start_ms(start_ms) == start_ms and (end_ms - start_ms) % DAY_MS == 0
        width = Width.DAY if of_days else Width.QUARTER
        found = self._office.intervals.intervals([meter], width, start_ms, end_ms, [quantity])
        known = [one.cells for one in found if one.cells.known.any()]
        if not known:
            return None
        return sum(int(cells.value[cells.known].sum()) for cells in known) / PER_UNIT

    # ---- quantities

    def _quantity(self, proposal: Proposal, entry: MeterEntry) -> str:
        if proposal.quantity is not None:
            return proposal.quantity
        if proposal.kind in _OF_THE_WHOLE_METER:
            return WHOLE_READING
        seen = self._quantities(entry)
        counter = counter_of(entry, seen)
        return counter if counter in seen else counter_of(entry, entry.quantities)

    def _quantities(self, entry: MeterEntry) -> set[str]:
        """What the meter was read for, as far as it tells which counter counts."""
        meter = entry.meter
        if meter not in self._seen:
            store = self._office.store
            seen = {name for reading in store.latest([meter]) for name in reading.values}
            if counter_of(entry, seen) not in seen:
                # The newest reading holds only what was due then: ask for each counter.
                seen |= {
                    name
                    for name in _COUNTERS
                    if store.nearest(meter, name, LAST_AT_MS, later=False, most=1) is not None
                }
            self._seen[meter] = seen
        return self._seen[meter]


def _key(entry: Entry) -> _Key:
    """Entries under one key contradict each other unless they say the same."""
    return entry.kind, entry.meter, entry.quantity, entry.start_ms, entry.end_ms


def _told(entry: Entry) -> str:
    if entry.quantity == WHOLE_READING or entry.value is None:
        return "作废" if entry.kind is EntryKind.VOID else "停用"
    unit = unit_of(entry.quantity)
    closing = "" if entry.closing is None else f"旧表止码 {rounded(entry.closing)}、新表起码 "
    return f"{closing}{rounded(entry.value)} {unit}"
