"""Gauges: readings of gauges in settled stretches -> lowest, mean, highest by hour and day.

Power and flow, whose peaks matter, by quarter hour as well.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from msgspec import Struct, structs

from collector.fleet.index import Fleet, MeterEntry
from collector.intervals import GaugeWindows, IntervalStore
from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Width
from collector.settle.gauge import gauge_windows
from collector.settle.series import Mask
from collector.settlement.reigns import reigns
from collector.settlement.stretch import Stretch
from collector.store import Column, ReadingStore, Tags
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

_COLUMNS = ("start_ms", "count", "lowest", "mean", "highest")

_Key = tuple[str, str, Width]


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
) -> None:
    """Summarise the days of a group; what is stored like that already is not written again."""
    by_meter: dict[str, list[Stretch]] = {}
    for one in group:
        by_meter.setdefault(one.meter, []).append(one)
    span = (min(one.start_ms for one in group), max(one.end_ms for one in group))
    stored = _stored(intervals, sorted(by_meter), span)
    written: list[tuple[Tags, list[GaugeWindows]]] = []
    columns = store.columns(sorted(by_meter), rules.quantities, *span)
    for meter, mine in groupby(columns, lambda column: column.meter):
        told = [windows for one in mine for windows in _windows(one, by_meter[meter], rules)]
        news = [new for one in told if (new := _changed(one, stored.get(_key(one)))) is not None]
        if news:
            written += _tagged(fleet.meters[meter], news)
    if written:
        intervals.write_meters_gauges(written)


def _tagged(
    entries: Sequence[MeterEntry], news: Sequence[GaugeWindows]
) -> Iterator[tuple[Tags, list[GaugeWindows]]]:
    """Windows by the fleet entry that was in force when they began."""
    for tags, start_ms, end_ms in reigns(entries):
        mine = [
            _picked(one, there)
            for one in news
            if (there := (one.start_ms >= start_ms) & (one.start_ms < end_ms)).any()
        ]
        if mine:
            yield tags, mine


def _picked(windows: GaugeWindows, chosen: Mask) -> GaugeWindows:
    columns = {name: getattr(windows, name)[chosen] for name in _COLUMNS}
    return structs.replace(windows, **columns)


def _stored(
    intervals: IntervalStore, meters: Sequence[str], span: tuple[int, int]
) -> dict[_Key, GaugeWindows]:
    return {
        _key(one): one
        for width in (Width.QUARTER, Width.HOUR, Width.DAY)
        for one in intervals.gauges(meters, width, *span)
    }


def _key(windows: GaugeWindows) -> _Key:
    return windows.meter, windows.quantity, windows.width


def _windows(column: Column, mine: Sequence[Stretch], rules: GaugeRules) -> list[GaugeWindows]:
    """Of each width those of all stretches, in order of time."""
    widths = [(Width.HOUR, HOUR_MS), (Width.DAY, DAY_MS)]
    if column.quantity in rules.by_quarter:
        widths.insert(0, (Width.QUARTER, QUARTER_MS))
    found = []
    for width, width_ms in widths:
        parts = [
            gauge_windows(column.at_ms, column.values, width_ms, one.start_ms, one.end_ms)
            for one in mine
        ]
        columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS}
        if len(columns["start_ms"]):
            found.append(
                GaugeWindows(meter=column.meter, quantity=column.quantity, width=width, **columns)
            )
    return found


def _changed(windows: GaugeWindows, stored: GaugeWindows | None) -> GaugeWindows | None:
    """Those that are new or different; None if none is."""
    if stored is None:
        return windows
    place = np.searchsorted(stored.start_ms, windows.start_ms)
    there = np.minimum(place, len(stored.start_ms) - 1)
    same = np.ones(len(there), np.bool_)
    for name in _COLUMNS:
        same &= getattr(stored, name)[there] == getattr(windows, name)
    if same.all():
        return None
    return _picked(windows, ~same)
