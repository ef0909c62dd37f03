"""Past: settled intervals of a meter -> arrays by day, hour and quarter; NaN where nobody knows.

What was mostly laid out by a rule, or is missing, is as unknown as what was never read: no rule on
figures may fire because of it.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from collector.alerting.hours import DayKind
from collector.fleet.index import Fleet, MeterEntry
from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Cells
from collector.settle.series import PER_UNIT, Floats

GOOD_SHARE = 0.9  # of an interval's time, measured or edited by people; engineering default
HOURS, QUARTERS = 24, 96  # of a day: no daylight saving


class Past(Struct, frozen=True, kw_only=True):
    """What one meter took on n days in a row, in the unit of its counter.

    Attributes:
        entry: the fleet's, the last one in force.
        unit: kWh, m³ or GJ.
        first_ms: start of the first day in Shanghai.
        kinds: n.
        days: n.
        hours: n x 24.
        quarters: n x 96; empty where nobody asked.
        below: n; what the meters right below it took; NaN where one of them is not known.
    """

    entry: MeterEntry
    unit: str
    first_ms: int
    kinds: tuple[DayKind, ...]
    days: Floats
    hours: Floats
    quarters: Floats
    below: Floats

    @property
    def starts(self) -> range:
        """Of its days."""
        return range(self.first_ms, self.first_ms + len(self.days) * DAY_MS, DAY_MS)


def entry_within(fleet: Fleet, meter: str, start_ms: int, end_ms: int) -> MeterEntry | None:
    """The last entry of a meter that was in force at any time of a span."""
    for entry in reversed(fleet.meters.get(meter, ())):
        began = entry.valid_from_ms < end_ms
        if began and (entry.valid_to_ms is None or entry.valid_to_ms > start_ms):
            return entry
    return None


def by_day(cells: Cells | None, first_ms: int, count: int) -> Floats:
    """N days."""
    return _laid(cells, first_ms, count, DAY_MS)


def by_hour(cells: Cells | None, first_ms: int, count: int) -> Floats:
    """N days x 24 hours."""
    return _laid(cells, first_ms, count * HOURS, HOUR_MS).reshape(count, HOURS)


def by_quarter(cells: Cells | None, first_ms: int, count: int) -> Floats:
    """N days x 96 quarters."""
    return _laid(cells, first_ms, count * QUARTERS, QUARTER_MS).reshape(count, QUARTERS)


def together(parts: Sequence[Floats], count: int) -> Floats:
    """Sums by day; NaN where a part is not known, or there is none."""
    return np.sum(parts, axis=0) if parts else np.full(count, np.nan)


def _laid(cells: Cells | None, first_ms: int, count: int, width_ms: int) -> Floats:
    grid = np.full(count, np.nan)
    if cells is None:
        return grid
    place = (cells.start_ms - first_ms) // width_ms
    good = (
        cells.known
        & (cells.measured + cells.edited >= GOOD_SHARE)
        & (place >= 0)
        & (place < count)
        & ((cells.start_ms - first_ms) % width_ms == 0)
    )
    grid[place[good]] = cells.value[good] / PER_UNIT
    return grid
