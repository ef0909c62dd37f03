"""Gauges: readings of gauges in settled stretches -> lowest, mean, highest by hour and day.

Power and flow, whose peaks matter, by quarter hour as well.
"""

from collections.abc import Sequence
from itertools import groupby

from msgspec import Struct

from collector.fleet.index import Fleet
from collector.intervals import GaugeWindows, IntervalStore
from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Width
from collector.settle.gauge import gauge_windows
from collector.settlement.stretch import Stretch
from collector.store import Column, ReadingStore
from collector.validate import tags_of
from metering.quantity import QUANTITIES, Kind

GAUGES = tuple(name for name, one in QUANTITIES.items() if one.kind is Kind.GAUGE)
_BY_QUARTER = frozenset(
    {
        "active_power_kw",
        "demand_kw",
        "apparent_power_kva",
        "flow_m3_h",
        "flow_standard_m3_h",
        "heat_power_kw",
    }
)


class GaugeRules(Struct, frozen=True, kw_only=True):
    """Which gauges are summarised, and which of them by quarter hour as well."""

    quantities: tuple[str, ...] = GAUGES
    by_quarter: frozenset[str] = _BY_QUARTER


def settle_gauges(
    store: ReadingStore,
    intervals: IntervalStore,
    fleet: Fleet,
    group: Sequence[Stretch],
    rules: GaugeRules,
    *,
    at_once: int,
) -> None:
    """Summarise the days of a group.

    Args:
        at_once: so many quantities fit into memory together.
    """
    by_meter: dict[str, list[Stretch]] = {}
    for one in group:
        by_meter.setdefault(one.meter, []).append(one)
    start_ms = min(one.start_ms for one in group)
    end_ms = max(one.end_ms for one in group)
    for first in range(0, len(rules.quantities), at_once):
        some = rules.quantities[first : first + at_once]
        for meter, columns in groupby(
            store.columns(sorted(by_meter), some, start_ms, end_ms), lambda column: column.meter
        ):
            entry = fleet.meters[meter][-1]
            windows = [w for c in columns for w in _windows(c, by_meter[meter], rules)]
            intervals.write_gauges(tags_of(entry), windows)


def _windows(column: Column, mine: Sequence[Stretch], rules: GaugeRules) -> list[GaugeWindows]:
    widths = [(Width.HOUR, HOUR_MS), (Width.DAY, DAY_MS)]
    if column.quantity in rules.by_quarter:
        widths.insert(0, (Width.QUARTER, QUARTER_MS))
    found = []
    for one in mine:
        for width, width_ms in widths:
            windows = gauge_windows(column.at_ms, column.values, width_ms, one.start_ms, one.end_ms)
            if len(windows.start_ms):
                found.append(
                    GaugeWindows(
                        meter=column.meter,
                        quantity=column.quantity,
                        width=width,
                        start_ms=windows.start_ms,
                        count=windows.count,
                        lowest=windows.lowest,
                        mean=windows.mean,
                        highest=windows.highest,
                    )
                )
    return found
