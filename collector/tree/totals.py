"""Totals: intervals of meters -> consumption by energy code of a building, institution, district.

Each kilowatt-hour counts once: a meter counts unless one above it, in the same subject and of the
same code, counts already. Item totals (分项, like 01B) come from the meters that carry such a code.
Generation is a flow of its own.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct, structs

from collector.fleet.index import Fleet, MeterEntry
from collector.intervals import Intervals, Subject
from collector.settle.cells import Cells, month_start_ms, next_month_ms
from collector.settle.counters import unit_of
from collector.settle.lay import month
from collector.tree.derive import main_counters
from collector.tree.family import Family
from collector.tree.signed_sum import signed_sum

_CLASS, _ITEM = 2, 3


class Total(Struct, frozen=True, kw_only=True):
    """One subject's intervals of one energy code.

    Attributes:
        code: the beginning of the energy code: a class (01), or an item of electricity (01B).
        generation: what the subject generates, not what it consumes.
        meters: that were added; `absent`: those of them of which an interval is not known.
    """

    subject: Subject | str
    id: str
    code: str
    unit: str
    generation: bool
    meters: tuple[str, ...]
    absent: tuple[str, ...]
    cells: Cells


DISTRICT = "district"


def totals(fleet: Fleet, family: Family, settled: Sequence[Intervals]) -> list[Total]:
    """Every subject's totals, by (subject, id, code); codes that no meter has are left out."""
    by_meter = main_counters(family, settled)
    found: list[Total] = []
    for subject, identity in _subjects(fleet):
        codes = sorted(
            {
                code
                for entry in family.entries.values()
                if _belongs(entry, subject, identity)
                for code in _codes(entry)
            }
        )
        for code in codes:
            found += _totals_of(family, by_meter, (subject, identity), code)
    return found


def _totals_of(
    family: Family, by_meter: dict[str, Intervals], named: tuple[Subject | str, str], code: str
) -> Iterable[Total]:
    def belongs(entry: MeterEntry) -> bool:
        return _belongs(entry, *named)

    for generation, meters in (
        (False, family.tops(belongs, code)),
        (True, family.generators(belongs, code)),
    ):
        present = [by_meter[meter] for meter in meters if meter in by_meter]
        if not present:
            continue
        parts = [(by_meter[m].cells if m in by_meter else None, 1.0) for m in meters]
        yield Total(
            subject=named[0],
            id=named[1],
            code=code,
            unit=unit_of(present[0].quantity),
            generation=generation,
            meters=meters,
            absent=tuple(
                meter
                for meter in meters
                if meter not in by_meter or not by_meter[meter].cells.known.all()
            ),
            cells=signed_sum(parts),
        )


def _subjects(fleet: Fleet) -> list[tuple[Subject | str, str]]:
    return [
        *((Subject.BUILDING, one) for one in sorted(fleet.buildings)),
        *((Subject.INSTITUTION, one) for one in sorted(fleet.institutions)),
        *((DISTRICT, one) for one in sorted(fleet.stores)),
    ]


def _belongs(entry: MeterEntry, subject: Subject | str, identity: str) -> bool:
    if subject is Subject.BUILDING:
        return entry.building == identity
    if subject is Subject.INSTITUTION:
        return entry.institution == identity
    return entry.district == identity


def _codes(entry: MeterEntry) -> list[str]:
    codes = [entry.energy[:_CLASS]]
    if entry.energy[_CLASS] != "0":
        codes.append(entry.energy[:_ITEM])
    return codes


def by_month(total: Total, until_ms: int) -> Total:
    """A total by days as one by months: as sure as its days, and their sum."""
    starts = sorted({month_start_ms(at) for at in total.cells.start_ms.tolist()})
    cells = total.cells
    parts = [
        month(_within(cells, start_ms, next_month_ms(start_ms)), start_ms, until_ms=until_ms)
        for start_ms in starts
    ]
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in Cells.__struct_fields__
    }
    return structs.replace(total, cells=Cells(**columns))


def _within(cells: Cells, start_ms: int, end_ms: int) -> Cells:
    there = (cells.start_ms >= start_ms) & (cells.start_ms < end_ms)
    return Cells(**{name: getattr(cells, name)[there] for name in Cells.__struct_fields__})
