"""Measures: a meter's past -> one measure by period, as `collector.alerting.names` names them.

Each is NaN where it is not known. What one unit of it comes to in energy is told with it, so that
an excess can be said in kWh, m³ or GJ.
"""

from collections.abc import Callable

import numpy as np
from msgspec import Struct

from collector.alerting.evaluate.alike import Calendarised, Compared, Month, months_between
from collector.alerting.evaluate.past import QUARTERS, Past
from collector.alerting.names import MEASURES
from collector.settle.cells import DAY_MS, QUARTER_MS
from collector.settle.day_class import DayClass
from collector.settle.series import Floats, Ints

NIGHT = (1, 5)  # hours of the night's base load, 01:00-05:00
FLOW = (2, 4)  # hours of the least flow of water
DAYTIME = (8, 18)  # what the night is held against; engineering default
_WORKDAYS = 10  # before a holiday, whose mean it is held against, of the 28 days before
_LEAST_WORKDAYS = 3
_REACH_DAYS = 28
_FAR = 1e-9  # below that nothing is divided by

# Measures of months, and how many months before one is looked at.
MONTHLY = {"month": 12, "year_on_year": 13, "month_on_month": 13}
OF_HOURS = frozenset({"night_base", "night_to_day", "night_flow"})
OF_QUARTERS = frozenset({"demand_kw"})


class Periods(Struct, frozen=True, kw_only=True):
    """One measure in n periods, in order of time.

    Attributes:
        unit: the measure's; that of the meter's counter where it has none of its own.
        start_ms, end_ms: n edges each.
        value: n; NaN: not known.
        each: n; energy, in the counter's unit, that one unit of the value comes to in the period.
        at_day: n; places of the days that the periods lie in, of months of their first.
    """

    unit: str
    start_ms: Ints
    end_ms: Ints
    value: Floats
    each: Floats
    at_day: Ints

    def __len__(self) -> int:
        return len(self.value)


def measure(name: str, past: Past) -> Periods:
    """A measure of a meter over all of its past; of months only those that are over."""
    if name in MONTHLY:
        return _monthly(past, name)
    if name in OF_QUARTERS:
        return _demand(past)
    value, each = _DAILY[name](past)
    start_ms = np.array(past.starts, np.int64)
    return Periods(
        unit=MEASURES[name].unit or past.unit,
        start_ms=start_ms,
        end_ms=start_ms + DAY_MS,
        value=value,
        each=each,
        at_day=np.arange(len(past.days)),
    )


# ---- by day


def _day(past: Past) -> tuple[Floats, Floats]:
    return past.days, np.ones(len(past.days))


def _night_base(past: Past) -> tuple[Floats, Floats]:
    """kW, and the hours of the night: the excess is that of the night alone."""
    night = past.hours[:, slice(*NIGHT)]
    return night.mean(axis=1), np.full(len(night), float(NIGHT[1] - NIGHT[0]))


def _night_to_day(past: Past) -> tuple[Floats, Floats]:
    night = past.hours[:, slice(*NIGHT)].mean(axis=1)
    day = past.hours[:, slice(*DAYTIME)].mean(axis=1)
    return _ratio(night, day), day * (NIGHT[1] - NIGHT[0])


def _night_flow(past: Past) -> tuple[Floats, Floats]:
    """m³/h, and a whole day: what leaks at night leaks by day."""
    return past.hours[:, slice(*FLOW)].min(axis=1), np.full(len(past.hours), 24.0)


def _holiday_to_workday(past: Past) -> tuple[Floats, Floats]:
    usual = np.full(len(past.days), np.nan)
    known = ~np.isnan(past.days)
    worked = [kind.day_class is DayClass.WORKDAY for kind in past.kinds]
    workdays = np.flatnonzero(known & np.array(worked, np.bool_))
    for day in np.flatnonzero(~np.array(worked, np.bool_)).tolist():
        before = workdays[(workdays < day) & (workdays >= day - _REACH_DAYS)][-_WORKDAYS:]
        if len(before) >= _LEAST_WORKDAYS:
            usual[day] = past.days[before].mean()
    return _ratio(past.days, usual), usual


def _tree_deviation(past: Past) -> tuple[Floats, Floats]:
    """Below 0: something is not measured below the main, or a sub-meter lost something."""
    return _ratio(past.below - past.days, past.days), past.days


_DAILY: dict[str, Callable[[Past], tuple[Floats, Floats]]] = {
    "day": _day,
    "night_base": _night_base,
    "night_to_day": _night_to_day,
    "night_flow": _night_flow,
    "holiday_to_workday": _holiday_to_workday,
    "tree_deviation": _tree_deviation,
}


def _ratio(one: Floats, other: Floats) -> Floats:
    there = np.abs(other) > _FAR
    return np.where(there, one / np.where(there, other, 1.0), np.nan)


# ---- by quarter


def _demand(past: Past) -> Periods:
    """15-minute demand (需量): the mean power of each quarter."""
    count = past.quarters.size
    start_ms = past.first_ms + np.arange(count, dtype=np.int64) * QUARTER_MS
    return Periods(
        unit=MEASURES["demand_kw"].unit,
        start_ms=start_ms,
        end_ms=start_ms + QUARTER_MS,
        value=past.quarters.ravel() * 4,
        each=np.full(count, 0.25),
        at_day=np.arange(count) // QUARTERS,
    )


# ---- by month


def _monthly(past: Past, name: str) -> Periods:
    end_ms = past.first_ms + len(past.days) * DAY_MS
    found = [
        month
        for month in months_between(past.starts)
        if past.first_ms <= month.start_ms and month.end_ms <= end_ms
    ]
    days = Calendarised(past.first_ms, past.days, past.kinds)
    values = [_of_month(name, days, month) for month in found]
    start_ms = np.array([month.start_ms for month in found], np.int64)
    return Periods(
        unit=MEASURES[name].unit or past.unit,
        start_ms=start_ms,
        end_ms=np.array([month.end_ms for month in found], np.int64),
        value=np.array([value for value, _ in values], np.float64),
        each=np.array([each for _, each in values], np.float64),
        at_day=(start_ms - past.first_ms) // DAY_MS,
    )


def _of_month(name: str, days: Calendarised, month: Month) -> tuple[float, float]:
    if name == "month":
        total = days.total(month)
        return (np.nan if total is None else total), 1.0
    against = days.against_last_year if name == "year_on_year" else days.against_last_month
    found: Compared | None = against(month)
    change = None if found is None else found.change
    if found is None or change is None:
        return np.nan, np.nan
    return change, found.expected
