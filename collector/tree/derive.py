"""Derive: intervals of meters -> intervals of virtual meters, and of what no sub-meter measures.

A virtual meter is a signed sum with percentages, as the fleet says. `MAIN-rest` is what a main
measures and none of the meters right below it does: losses and circuits without a meter. It is
signed: below zero, the sub-meters say more than the main.
"""

from collections.abc import Collection, Sequence

import numpy as np
from msgspec import Struct, structs

from collector.fleet.index import Fleet, MeterEntry
from collector.intervals import Intervals
from collector.settle.cells import Cells
from collector.settle.counters import counter_of
from collector.store import Tags
from collector.tree.family import REST, Family, Span
from collector.tree.signed_sum import signed_sum


class Derived(Struct, frozen=True, kw_only=True):
    """What is made of other meters.

    Attributes:
        parts: (meter, factor), real meters all.
        tags: where it stands: at its first part.
    """

    meter: str
    energy: str
    parts: tuple[tuple[str, float], ...]
    tags: Tags


def derived_of(
    fleet: Fleet, family: Family, meters: Collection[str] | None = None
) -> list[Derived]:
    """Virtual meters and remainders that hang on any of `meters`; None: all.

    What the fleet defines itself under a remainder's id stays as the fleet says.
    """
    found = [
        Derived(meter=one.id, energy=one.energy, parts=one.parts, tags=tags)
        for one in fleet.virtual_meters.values()
        if (tags := _tags(family, one.id, one.energy, one.circuit, one.parts[0][0])) is not None
    ]
    for main, below in family.children.items():
        rest = main + REST
        entry = family.entries[main]
        if rest not in fleet.virtual_meters and rest not in fleet.meters:
            tags = _tags(family, rest, entry.energy, f"{entry.circuit}·未计量", main)
            assert tags is not None
            parts = ((main, 1.0), *((meter, -1.0) for meter in below))
            found.append(Derived(meter=rest, energy=entry.energy, parts=parts, tags=tags))
    if meters is None:
        return found
    wanted = set(meters)
    return [one for one in found if any(meter in wanted for meter, _ in one.parts)]


def derive(one: Derived, family: Family, settled: Sequence[Intervals]) -> tuple[str, Cells] | None:
    """The sum's counter and cells, all of one width; None if no part has any.

    Args:
        settled: of the parts, any of their counters.
    """
    by_meter = main_counters(family, settled)
    first = by_meter.get(one.parts[0][0])
    named = first or next((by_meter[m] for m, _ in one.parts if m in by_meter), None)
    if named is None:
        return None
    cells = signed_sum(
        [
            (by_meter[meter].cells if meter in by_meter else None, factor)
            for meter, factor in one.parts
        ]
    )
    return named.quantity, cells


def within(settled: Sequence[Intervals], span: Span) -> list[Intervals]:
    """What starts in a span; series that have nothing there are left out."""
    found: list[Intervals] = []
    for rows in settled:
        first, beyond = np.searchsorted(rows.cells.start_ms, span)
        if first == 0 and beyond == len(rows.version):
            found.append(rows)
        elif first < beyond:
            cut = slice(int(first), int(beyond))
            cells = Cells(**{n: getattr(rows.cells, n)[cut] for n in Cells.__struct_fields__})
            found.append(structs.replace(rows, cells=cells, version=rows.version[cut]))
    return [rows for rows in found if len(rows.version)]


def main_counters(family: Family, settled: Sequence[Intervals]) -> dict[str, Intervals]:
    """Of each meter, the intervals of the counter that counts for its energy code."""
    seen: dict[str, dict[str, Intervals]] = {}
    for rows in settled:
        seen.setdefault(rows.meter, {})[rows.quantity] = rows
    found: dict[str, Intervals] = {}
    for meter, by_quantity in seen.items():
        entry = family.entries.get(meter)
        if entry is not None and (counter := counter_of(entry, by_quantity)) in by_quantity:
            found[meter] = by_quantity[counter]
    return found


def _tags(family: Family, meter: str, energy: str, circuit: str, at: str) -> Tags | None:
    entry: MeterEntry | None = family.entries.get(at)
    if entry is None:
        return None
    return Tags(
        district=entry.district,
        sector=entry.sector,
        institution=entry.institution,
        building=entry.building,
        circuit=circuit or meter,
        meter=meter,
        energy=energy,
        gateway=entry.gateway,
    )
