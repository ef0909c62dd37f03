"""Family: the fleet -> which meter stands under which, and which ones count for whom."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from msgspec import Struct

from collector.fleet.index import Direction, Fleet, MeterEntry

REST = "-rest"  # a main's id with this: what no meter below it measures
CLASS, ITEM = 2, 3  # so many characters of an energy code name its class (01), its item (01B)

Span = tuple[int, int]
Belongs = Callable[[MeterEntry], bool]


class Family(Struct, frozen=True, kw_only=True):
    """Who is there at one instant.

    Attributes:
        entries: by meter, those in force.
        children: of a meter, the meters right below it that measure the same class of energy in the
            same direction; only meters that have some. What generates behind a main is no part of
            what the main measures.
    """

    entries: dict[str, MeterEntry]
    children: dict[str, tuple[str, ...]]

    def parts(self, belongs: Belongs, code: str, direction: Direction) -> tuple[list[str], ...]:
        """The meters that add up to a subject's energy of a code: to be added, to be taken off.

        Of a class, the highest ones: a meter counts unless one above it in the subject does. Of an
        item, the highest that carry it, less those of other items right below them: what an air
        conditioner behind a lighting panel uses is no lighting. A meter without an item is of the
        one above it.

        Args:
            code: a class (01) or an item (01B).
        """
        added: list[str] = []
        less: list[str] = []
        for meter, entry in sorted(self.entries.items()):
            if not _counts(entry, belongs, code, direction):
                continue
            above = self._above(entry, belongs, direction)
            if len(code) == CLASS:
                mine, covered = True, above is not None
            else:
                mine = self._item(entry, belongs) == code
                covered = above is not None and self._item(above, belongs) == code
            if mine and not covered:
                added.append(meter)
            elif covered and not mine:
                less.append(meter)
        return added, less

    def _above(
        self, entry: MeterEntry, belongs: Belongs, direction: Direction
    ) -> MeterEntry | None:
        """The nearest meter above in the subject, of the same class and direction."""
        for parent in self._ancestors(entry):
            if _counts(parent, belongs, entry.energy, direction):
                return parent
        return None

    def _item(self, entry: MeterEntry, belongs: Belongs) -> str:
        """The item that a meter's energy belongs to, its own or that of the one above; or empty."""
        own = item_of(entry)
        above = None if own else self._above(entry, belongs, entry.direction)
        return self._item(above, belongs) if above is not None else own

    def _ancestors(self, entry: MeterEntry) -> Iterator[MeterEntry]:
        seen = {entry.meter}
        while entry.parent is not None and entry.parent not in seen:
            parent = self.entries.get(entry.parent)
            if parent is None:
                return
            seen.add(parent.meter)
            yield parent
            entry = parent


def item_of(entry: MeterEntry) -> str:
    """A meter's own item (01B); empty for none."""
    return "" if entry.energy[CLASS] == "0" else entry.energy[:ITEM]


def family_at(fleet: Fleet, at_ms: int) -> Family:
    """Who is in force at an instant."""
    found = {meter: fleet.entry(meter, at_ms) for meter in fleet.meters}
    entries = {meter: entry for meter, entry in found.items() if entry is not None}
    children: dict[str, list[str]] = {}
    for meter, entry in sorted(entries.items()):
        parent = entries.get(entry.parent or "")
        if parent is not None and _kind(parent) == _kind(entry):
            children.setdefault(parent.meter, []).append(meter)
    return Family(
        entries=entries, children={meter: tuple(below) for meter, below in children.items()}
    )


def families(fleet: Fleet, start_ms: int, end_ms: int) -> list[tuple[Span, Family]]:
    """Who is in force through a span, cut where that changes; by time.

    Entries begin and end with days, so no day is cut.
    """
    cuts = {start_ms, end_ms} | {
        cut for cut in _changes(fleet.meters.values()) if start_ms < cut < end_ms
    }
    return [((start, end), family_at(fleet, start)) for start, end in pairwise(sorted(cuts))]


def _changes(meters: Iterable[tuple[MeterEntry, ...]]) -> Iterator[int]:
    """Instants at which a meter comes, goes or stands elsewhere; another ratio is no such thing."""
    for entries in meters:
        before: MeterEntry | None = None
        for entry in entries:
            follows = before is not None and before.valid_to_ms in {None, entry.valid_from_ms}
            if before is None or not follows or _place(before) != _place(entry):
                yield entry.valid_from_ms
            if before is not None and not follows and before.valid_to_ms is not None:
                yield before.valid_to_ms
            before = entry
        if before is not None and before.valid_to_ms is not None:
            yield before.valid_to_ms


def _place(entry: MeterEntry) -> tuple[object, ...]:
    return (
        entry.parent,
        entry.energy,
        entry.direction,
        entry.building,
        entry.institution,
        entry.district,
        entry.circuit,
        entry.gateway,
    )


def _kind(entry: MeterEntry) -> tuple[str, Direction]:
    return entry.energy[:CLASS], entry.direction


def _counts(entry: MeterEntry, belongs: Belongs, code: str, direction: Direction) -> bool:
    """Whether it is the subject's, of the code's class, and its energy flows that way."""
    same = entry.energy[:CLASS] == code[:CLASS] and entry.direction is direction
    return same and belongs(entry)
