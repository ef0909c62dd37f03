"""Derived: meters whose intervals changed -> the virtual meters and remainders made of them.

Always made anew from what is stored, by the tree of its time: order plays no part, and a crash
before it leaves the marks of the parts' days. Months come from days, as those of meters do.
"""

from collections.abc import Collection

from collector.fleet.index import Fleet
from collector.intervals import Intervals, IntervalStore
from collector.settle.cells import Width, month_start_ms, next_month_ms
from collector.settlement.change import changed
from collector.store import Tags
from collector.tree.derive import Derived, derive, derived_of
from collector.tree.family import Family, Span, families
from collector.tree.signed_sum import by_month

_MADE = (Width.QUARTER, Width.HOUR, Width.DAY)

Written = list[tuple[Tags, list[Intervals]]]


def settle_derived(
    intervals: IntervalStore, fleet: Fleet, meters: Collection[str], span: Span, *, until_ms: int
) -> int:
    """Write what is new or different in a span of whole days, and its months; return the rows.

    Args:
        meters: those that were settled.
        until_ms: now.
    """
    written: Written = []
    made: dict[str, Tags] = {}  # where they stood last
    for part, family in families(fleet, *span):
        wanted = derived_of(fleet, family, meters)
        made |= {one.meter: one.tags for one in wanted}
        for width in _MADE if wanted else ():
            written += _of_width(intervals, family, wanted, width, part)
    count = _write(intervals, written)
    return count + (_write(intervals, _months(intervals, made, span, until_ms)) if made else 0)


def _of_width(
    intervals: IntervalStore, family: Family, wanted: list[Derived], width: Width, span: Span
) -> Written:
    # Parts and what was made of them before in one question: each costs some milliseconds.
    ids = {meter for one in wanted for meter in (one.meter, *(part for part, _ in one.parts))}
    settled = intervals.intervals(sorted(ids), width, *span)
    stored = {(one.meter, one.quantity): one for one in settled}
    written: Written = []
    for one in wanted:
        found = derive(one, family, settled)
        if found is None:
            continue
        quantity, cells = found
        rows = changed(one.meter, quantity, width, cells, stored.get((one.meter, quantity)))
        if rows is not None:
            written.append((one.tags, [rows]))
    return written


def _months(intervals: IntervalStore, made: dict[str, Tags], span: Span, until_ms: int) -> Written:
    months = (month_start_ms(span[0]), next_month_ms(span[1] - 1))
    found = intervals.intervals(sorted(made), Width.MONTH, *months)
    stored = {(one.meter, one.quantity): one for one in found}
    written: Written = []
    for days in intervals.intervals(sorted(made), Width.DAY, *months):
        cells = by_month(days.cells, until_ms=until_ms)
        key = (days.meter, days.quantity)
        rows = changed(*key, Width.MONTH, cells, stored.get(key))
        if rows is not None:
            written.append((made[days.meter], [rows]))
    return written


def _write(intervals: IntervalStore, written: Written) -> int:
    if written:
        intervals.write_meters(written)
    return sum(len(rows.version) for _, many in written for rows in many)
