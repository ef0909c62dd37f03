"""Power: a counter's days and its meter's own power gauge -> their ratio, and whether that moved.

What a register counts in a day is the mean of the power times the hours. Both come from the same
transformers, so a wrong one shows in neither; a register that counts wrong, or a gauge, shows.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from msgspec import Struct, structs

from collector.gain.hours import DOUBTFUL
from collector.gain.onset import onset
from collector.intervals import GaugeWindows, Intervals
from collector.settle.cells import DAY_MS
from collector.settle.series import PER_UNIT, Floats, Ints, Mask

_AFTER_DAYS, _BEFORE_DAYS = 7, 14
_BETWEEN_DAYS = (28, 14, 0)
_RECENT_DAYS = 10  # in which the newest days have to lie
_MEASURED = 0.99  # of a day's time
_HEARD = 0.9  # of the readings that a day usually has
_LEAST_READINGS = 86  # of a day: less than each quarter of an hour tells no mean of a power
_SURE = 5.0  # standard errors
_MOST = 0.7  # of the newest days, that say it themselves
_FLOOR = 0.005  # no error is believed to be smaller
_GJ_PER_KWH = 0.0036


class Gauge(Struct, frozen=True):
    """Which gauge shows what a counter counts, and what it comes to in an hour."""

    quantity: str
    per_hour: float


GAUGES: dict[str, Gauge] = {
    "energy_import_kwh": Gauge("active_power_kw", 1.0),
    "energy_export_kwh": Gauge("active_power_kw", -1.0),
    "volume_m3": Gauge("flow_m3_h", 1.0),
    "volume_standard_m3": Gauge("flow_standard_m3_h", 1.0),
    "heat_energy_gj": Gauge("heat_power_kw", _GJ_PER_KWH),
}


class Bounds(Struct, frozen=True):
    """From where on a ratio is said: when it changed so much, when it is so far from 1."""

    change: float
    off: float


class PowerDays(Struct, frozen=True, kw_only=True):
    """Days that both tell, in order of time.

    Attributes:
        day_ms: n starts in Shanghai.
        energy: n, what the register counted, in its unit.
        through: n, mean power times 24 hours, in the same unit.
        coarse: n, what the gauge's last digit may make of `through`.
        step: the register's last digit, in its unit.
    """

    day_ms: Ints
    energy: Floats
    through: Floats
    coarse: Floats
    step: float

    def share(self, day_ms: int) -> float | None:
        """Energy over mean power times hours, of one day; None where it is not told."""
        place = np.flatnonzero(self.day_ms == day_ms)
        return float(self.energy[place[0]] / self.through[place[0]]) if len(place) else None


class Moved(StrEnum):
    """What is known of the ratio."""

    STEADY = "steady"
    CHANGED = "changed"  # it is not what it was
    OFF = "off"  # it is not one, and nothing says that it ever was
    UNTOLD = "untold"


class Ratio(Struct, frozen=True, kw_only=True):
    """Energy over mean power times hours.

    Attributes:
        value: over the newest days; 1 where nothing is known.
        usual: over the days before, if it changed.
        error: the standard error of the change, or of the value, relative.
        since_ms: the day on which the change began.
    """

    moved: Moved
    value: float
    error: float
    usual: float | None = None
    since_ms: int | None = None

    @property
    def change(self) -> float:
        """By which share more than before it counts."""
        return self.value / (1.0 if self.usual is None else self.usual) - 1


def power_days(
    days: Intervals, gauge: GaugeWindows, step: float, gauge_step: float, since_ms: int = 0
) -> PowerDays:
    """Days on which the register is measured and the gauge was heard, and never ran backwards.

    Args:
        days: of a counter that `GAUGES` holds.
        gauge: by day.
        step, gauge_step: last digits, in their units; 0 where they are not known.
        since_ms: days before that are another meter's.
    """
    cells, per_hour = days.cells, GAUGES[days.quantity].per_hour
    sound = cells.known & (cells.measured >= _MEASURED) & (cells.rules & DOUBTFUL == 0)
    sound &= cells.start_ms >= since_ms
    lowest = gauge.lowest if per_hour > 0 else -gauge.highest
    enough = max(_LEAST_READINGS, _HEARD * float(np.median(gauge.count)))
    heard = (gauge.count >= enough) & (lowest >= 0)
    heard &= gauge.mean * per_hour > 0
    day_ms, counted, gauged = np.intersect1d(
        cells.start_ms[sound], gauge.start_ms[heard], assume_unique=True, return_indices=True
    )
    hours = DAY_MS / 3_600_000
    through = gauge.mean[heard][gauged] * per_hour * hours
    return PowerDays(
        day_ms=day_ms,
        energy=cells.value[sound][counted] / PER_UNIT,
        through=through,
        coarse=np.full(len(day_ms), gauge_step * abs(per_hour) * hours),
        step=step,
    )


def ratio_of(days: PowerDays, day_ms: int, bounds: Bounds, known_ms: int | None = None) -> Ratio:
    """What is known at the end of a day.

    Args:
        known_ms: the day on which a change began that is known already: what was before it counts.
    """
    known = np.flatnonzero(days.day_ms <= day_ms)
    after = known[days.day_ms[known] > day_ms - _RECENT_DAYS * DAY_MS][-_AFTER_DAYS:]
    if len(after) < _AFTER_DAYS:
        return Ratio(moved=Moved.UNTOLD, value=1.0, error=float("inf"))
    value, error = _ratio(days, after)
    blunt = _blunt(days, after)
    for before in _befores(days, known, int(days.day_ms[after[0]]), known_ms):
        found = _held_against(days, after, before)
        least = bounds.change + blunt + _blunt(days, before)
        if _is_sure(days, after, found, least):
            return _since(days, known, after, found)
    alone = Ratio(moved=Moved.OFF, value=value, error=error)
    if _is_sure(days, after, alone, bounds.off + blunt):
        return alone
    return Ratio(moved=Moved.STEADY, value=value, error=error)


def _befores(days: PowerDays, known: Ints, after_ms: int, known_ms: int | None) -> Sequence[Ints]:
    """The longest ago first: a drift takes weeks to come."""
    untils = [after_ms - gap * DAY_MS for gap in _BETWEEN_DAYS]
    if known_ms is not None:
        untils = [known_ms, *untils]
    found = [known[days.day_ms[known] < until_ms] for until_ms in untils]
    found = [before for before in found if len(before) >= _BEFORE_DAYS]
    return found[:1] if known_ms is not None else found


def _held_against(days: PowerDays, after: Ints, before: Ints) -> Ratio:
    (value, error), (usual, usual_error) = _ratio(days, after), _ratio(days, before)
    both = float(np.hypot(error, usual_error))
    return Ratio(moved=Moved.CHANGED, value=value, error=both, usual=usual)


def _since(days: PowerDays, known: Ints, after: Ints, found: Ratio) -> Ratio:
    """When it began; by how much is told best by the days before that."""
    through, energy = days.through[known], days.energy[known]
    first = onset(through**2, through * energy)
    if first >= _BEFORE_DAYS // 2:
        found = _held_against(days, after, known[:first])
    return structs.replace(found, since_ms=int(days.day_ms[known[first]]))


def _ratio(days: PowerDays, which: Ints) -> tuple[float, float]:
    """Of the sums, and its relative standard error by leaving out each day in turn."""
    energy, through = days.energy[which], days.through[which]
    value = float(energy.sum() / through.sum())
    without = (energy.sum() - energy) / (through.sum() - through)
    count = len(which)
    spread = (count - 1) / count * float(((without - value) ** 2).sum())
    return value, float(np.hypot(np.sqrt(spread) / max(value, _FLOOR), _FLOOR))


def _blunt(days: PowerDays, which: Ints) -> float:
    """What last digits may make of the ratio."""
    energy, through = days.energy[which].sum(), days.through[which].sum()
    return float(days.coarse[which].sum() / through + days.step / max(energy, days.step, 1e-9))


def _is_sure(days: PowerDays, after: Ints, found: Ratio, least: float) -> bool:
    if abs(found.change) < max(least, _SURE * found.error):
        return False
    usual = 1.0 if found.usual is None else found.usual
    each = days.energy[after] / days.through[after] / usual - 1
    same: Mask = each * np.sign(found.change) > least / 2
    return bool(same.mean() >= _MOST)
