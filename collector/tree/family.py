"""Family: the fleet -> which meter stands under which, and which ones count for whom."""

from collections.abc import Callable

from msgspec import Struct

from collector.fleet.index import Direction, Fleet, MeterEntry

REST = "-rest"  # a main's id with this: what no meter below it measures


class Family(Struct, frozen=True, kw_only=True):
    """Who is there at one instant.

    Attributes:
        entries: by meter, those in force.
        children: of a meter, the meters right below it that measure the same class of energy; only
            meters that have some.
    """

    entries: dict[str, MeterEntry]
    children: dict[str, tuple[str, ...]]

    def tops(self, belongs: Callable[[MeterEntry], bool], code: str) -> tuple[str, ...]:
        """Meters of a subject whose energy code begins with `code` and which none above counts.

        A meter counts unless one above it counts already: one that belongs to the subject as well
        and whose code begins the same. Generation is not among them (`generators`).
        """
        return tuple(
            meter
            for meter, entry in sorted(self.entries.items())
            if self._counts(entry, belongs, code) and not self._covered(entry, belongs, code)
        )

    def generators(self, belongs: Callable[[MeterEntry], bool], code: str) -> tuple[str, ...]:
        """Meters of generation (光伏): a flow of their own, never mixed into consumption."""
        return tuple(
            meter
            for meter, entry in sorted(self.entries.items())
            if belongs(entry)
            and entry.energy.startswith(code)
            and entry.direction is Direction.EXPORT
        )

    def _counts(self, entry: MeterEntry, belongs: Callable[[MeterEntry], bool], code: str) -> bool:
        imports = entry.direction is Direction.IMPORT
        return imports and belongs(entry) and entry.energy.startswith(code)

    def _covered(self, entry: MeterEntry, belongs: Callable[[MeterEntry], bool], code: str) -> bool:
        seen = {entry.meter}
        above = entry.parent
        while above is not None and above not in seen:
            seen.add(above)
            parent = self.entries.get(above)
            if parent is None:
                return False
            if self._counts(parent, belongs, code):
                return True
            above = parent.parent
        return False


def family_at(fleet: Fleet, at_ms: int) -> Family:
    """Who is in force at an instant."""
    found = {meter: fleet.entry(meter, at_ms) for meter in fleet.meters}
    entries = {meter: entry for meter, entry in found.items() if entry is not None}
    children: dict[str, list[str]] = {}
    for meter, entry in sorted(entries.items()):
        parent = entries.get(entry.parent or "")
        if parent is not None and parent.energy[:2] == entry.energy[:2]:
            children.setdefault(parent.meter, []).append(meter)
    return Family(
        entries=entries, children={meter: tuple(below) for meter, below in children.items()}
    )
