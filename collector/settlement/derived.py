"""Derived: meters whose intervals changed -> the virtual meters and remainders made of them."""

from collections.abc import Collection

from collector.fleet.index import Fleet
from collector.intervals import Intervals, IntervalStore
from collector.settle.cells import Width, month_start_ms, next_month_ms
from collector.settle.lay import month
from collector.settlement.change import changed
from collector.store import Tags
from collector.tree.derive import Derived, derive, derived_of
from collector.tree.family import Family, family_at

Span = tuple[int, int]


def settle_derived(
    intervals: IntervalStore, fleet: Fleet, meters: Collection[str], span: Span, *, until_ms: int
) -> int:
    """Write what is new or different in a span of whole days, and its months; return the rows.

    Always made anew from what is stored: order plays no part, and a crash before it leaves the
    marks of the parts' days.
    """
    family = family_at(fleet, span[1] - 1)
    wanted = derived_of(fleet, family, meters)
    if not wanted:
        return 0
    written = 0
    for width in (Width.QUARTER, Width.HOUR, Width.DAY):
        written += _settle_width(intervals, family, wanted, width, span)
    months = (month_start_ms(span[0]), next_month_ms(span[1] - 1))
    return written + _settle_months(intervals, wanted, months, until_ms)


def _settle_months(
    intervals: IntervalStore, wanted: list[Derived], months: Span, until_ms: int
) -> int:
    """From its own days, as a meter's: days and month add up even where a part is not known."""
    tags = {one.meter: one.tags for one in wanted}
    ids = sorted(tags)
    stored = {
        (one.meter, one.quantity, int(one.cells.start_ms[0])): one
        for start_ms in _starts(months)
        for one in intervals.intervals(ids, Width.MONTH, start_ms, start_ms + 1)
    }
    written: list[tuple[Tags, list[Intervals]]] = []
    for start_ms in _starts(months):
        for days in intervals.intervals(ids, Width.DAY, start_ms, next_month_ms(start_ms)):
            cells = month(days.cells, start_ms, until_ms=until_ms)
            key = (days.meter, days.quantity, start_ms)
            rows = changed(days.meter, days.quantity, Width.MONTH, cells, stored.get(key))
            if rows is not None:
                written.append((tags[days.meter], [rows]))
    if written:
        intervals.write_meters(written)
    return sum(len(rows.version) for _, many in written for rows in many)


def _starts(months: Span) -> list[int]:
    found = [months[0]]
    while (following := next_month_ms(found[-1])) < months[1]:
        found.append(following)
    return found


def _settle_width(
    intervals: IntervalStore, family: Family, wanted: list[Derived], width: Width, span: Span
) -> int:
    parts = sorted({meter for one in wanted for meter, _ in one.parts})
    settled = intervals.intervals(parts, width, *span)
    ids = [one.meter for one in wanted]
    stored = {(one.meter, one.quantity): one for one in intervals.intervals(ids, width, *span)}
    written: list[tuple[Tags, list[Intervals]]] = []
    for one in wanted:
        found = derive(one, family, settled)
        if found is None:
            continue
        quantity, cells = found
        rows = changed(one.meter, quantity, width, cells, stored.get((one.meter, quantity)))
        if rows is not None:
            written.append((one.tags, [rows]))
    if written:
        intervals.write_meters(written)
    return sum(len(rows.version) for _, many in written for rows in many)
