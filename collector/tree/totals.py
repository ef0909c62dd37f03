"""Totals: intervals of meters -> consumption by energy code of a building, institution, district.

Each kilowatt-hour counts once: a meter counts unless one above it, in the same subject, counts
already. Item totals (分项, like 01B) come from the meters that carry such a code, less what meters
of other items measure below them. Generation is a flow of its own. Where the tree changes, each
interval is summed by the tree of its time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, structs

from collector.fleet.index import Direction, Fleet, MeterEntry
from collector.intervals import Intervals, Subject
from collector.settle.cells import Cells
from collector.settle.counters import counter_of, unit_of
from collector.tree.derive import main_counters, within
from collector.tree.family import CLASS, Family, Span, item_of
from collector.tree.signed_sum import by_month, joined, signed_sum

DISTRICT = "district"


class Total(Struct, frozen=True, kw_only=True):
    """One subject's intervals of one energy code, in one unit.

    Attributes:
        code: the beginning of the energy code: a class (01), or an item of electricity (01B).
        generation: what the subject generates, not what it consumes.
        meters: that were added; `less`: that were taken off, of other items below those.
        absent: of both, those of which an interval is not known.
    """

    subject: Subject | str
    id: str
    code: str
    unit: str
    generation: bool
    meters: tuple[str, ...]
    less: tuple[str, ...]
    absent: tuple[str, ...]
    cells: Cells


class _Named(Struct, frozen=True, kw_only=True):
    """Whose, and what of it."""

    subject: Subject | str
    id: str
    code: str
    direction: Direction

    def belongs(self, entry: MeterEntry) -> bool:
        return self.id == _at(entry, self.subject)


def totals(
    fleet: Fleet, trees: Sequence[tuple[Span, Family]], settled: Sequence[Intervals]
) -> list[Total]:
    """Every subject's totals, by (subject, id, code); codes of which nothing is there are left out.

    Args:
        trees: who was in force when (`collector.tree.family.families`).
        settled: of one width that no tree's span cuts: not months. See `monthly`.
    """
    known = {kind: set(ids) for kind, ids in _subjects(fleet)}
    found: dict[tuple[str, ...], list[Total]] = {}
    for span, family in trees:
        by_meter = main_counters(family, within(settled, span))
        for named in _names(family, known):
            for total in _totals_of(family, by_meter, named):
                key = (str(total.subject), total.id, total.code, str(total.generation), total.unit)
                found.setdefault(key, []).append(total)
    order = {str(kind): place for place, (kind, _) in enumerate(_subjects(fleet))}
    ordered = sorted(found.items(), key=lambda one: (order[one[0][0]], one[0]))
    return [_together(many) for _, many in ordered]


def monthly(total: Total, *, until_ms: int) -> Total:
    """A total of days as one of months; `until_ms`: now, or where what was asked for ends."""
    return structs.replace(total, cells=by_month(total.cells, until_ms=until_ms))


def _totals_of(family: Family, by_meter: Mapping[str, Intervals], named: _Named) -> Iterator[Total]:
    """One for each unit: what is generated may be electricity, and heat."""
    added, less = family.parts(named.belongs, named.code, named.direction)
    for unit in sorted({_unit(family, by_meter, meter) for meter in (*added, *less)}):
        plus, minus = (
            tuple(m for m in side if _unit(family, by_meter, m) == unit) for side in (added, less)
        )
        every = (*plus, *minus)
        if not any(meter in by_meter for meter in every):
            continue
        parts = [(m, 1.0) for m in plus] + [(m, -1.0) for m in minus]
        cells = [(by_meter[m].cells if m in by_meter else None, sign) for m, sign in parts]
        yield Total(
            subject=named.subject,
            id=named.id,
            code=named.code,
            unit=unit,
            generation=named.direction is Direction.EXPORT,
            meters=plus,
            less=minus,
            absent=tuple(
                m for m in every if m not in by_meter or not by_meter[m].cells.known.all()
            ),
            cells=signed_sum(cells),
        )


def _together(many: Sequence[Total]) -> Total:
    """The same total under the trees that followed each other."""
    first, *others = many
    if not others:
        return first
    return structs.replace(
        first,
        meters=_each(one.meters for one in many),
        less=_each(one.less for one in many),
        absent=_each(one.absent for one in many),
        cells=joined([one.cells for one in many]),
    )


def _each(many: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({meter for meters in many for meter in meters}))


def _names(family: Family, known: Mapping[Subject | str, set[str]]) -> list[_Named]:
    """Every subject and code that some meter has."""
    named = {
        (str(subject), identity, code, entry.direction): subject
        for entry in family.entries.values()
        for subject, ids in known.items()
        if (identity := _at(entry, subject)) in ids
        for code in (entry.energy[:CLASS], item_of(entry))
        if code
    }
    return [
        _Named(subject=subject, id=identity, code=code, direction=direction)
        for (_, identity, code, direction), subject in named.items()
    ]


def _subjects(fleet: Fleet) -> tuple[tuple[Subject | str, Iterable[str]], ...]:
    return (
        (Subject.BUILDING, fleet.buildings),
        (Subject.INSTITUTION, fleet.institutions),
        (DISTRICT, fleet.stores),
    )


def _at(entry: MeterEntry, subject: Subject | str) -> str:
    if subject is Subject.BUILDING:
        return entry.building
    return entry.institution if subject is Subject.INSTITUTION else entry.district


def _unit(family: Family, by_meter: Mapping[str, Intervals], meter: str) -> str:
    """That of its counter; of a meter without any interval, of the counter that it should have."""
    if meter in by_meter:
        return unit_of(by_meter[meter].quantity)
    return unit_of(counter_of(family.entries[meter], ()))
