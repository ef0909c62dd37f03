"""Progress: a budget and the settled days so far -> what is used, against what, and the forecast.

Each day of the period has a weight: what share of the period's energy such a day usually takes.
They come, in this order, from the planned months, from last year's days, or from how workdays and
other days differed so far. A day that is not settled is missing: it is compared with nothing, and
the forecast fills it as it fills the days to come.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from statistics import fmean

from msgspec import Struct

from collector.alerting.budgets.budget import Budget
from collector.settle.day_class import DayClass

Classify = Callable[[date], DayClass]
Days = Mapping[date, float]

_KNOWN_LAST_YEAR = 0.8  # of each month's days, before last year's shape is believed
_FEW_DAYS = 5  # of workdays, and of others, before their means are told apart
_LEAST_DAYS = 14  # settled, before a forecast is made


class Shape(StrEnum):
    """Where the days' weights come from."""

    PROFILE = "profile"  # the months that the budget plans
    LAST_YEAR = "last_year"
    WORKDAYS = "workdays"  # how workdays and other days differed so far
    EVEN = "even"  # nothing is known: all days alike


class Progress(Struct, frozen=True, kw_only=True):
    """How a budget stands.

    Attributes:
        used: in the budget's unit, of the days that are settled.
        used_share: of the whole budget; too low by what the missing days took.
        prorated: the budget's part for the days that are settled; None: for none.
        progress: used / prorated: above 1 is faster than planned; None: nothing to divide by.
        forecast: in the budget's unit at the period's end; None: too little is known.
        forecast_share: of the whole budget.
        settled, missing: days that are over: how many are settled; which are not, in order.
        shape: where the weights come from.
    """

    used: float
    used_share: float
    prorated: float | None
    progress: float | None
    forecast: float | None
    forecast_share: float | None
    settled: int
    missing: tuple[date, ...]
    shape: Shape


def progress(
    budget: Budget,
    settled: Days,
    today: date,
    classify: Classify,
    last_year: Days | None = None,
) -> Progress:
    """How a budget stands at the beginning of a day.

    Args:
        budget: the budget.
        settled: what the institution used of the energy by day, in the budget's unit; days that are
            not settled, or of which a meter is missing, are not in it. Others than those of the
            period before `today` are not looked at.
        today: the first day that is not over.
        classify: the class of a day.
        last_year: the same of the year before; may be empty.
    """
    days = budget.days()
    over = [day for day in days if day < today]
    known = {day: settled[day] for day in over if day in settled}
    shape, weights = weigh(budget, known, classify, last_year or {})
    used = sum(known.values())
    share = sum(weights[day] for day in known)
    prorated = budget.amount * share if known else None
    forecast = _forecast(used, share, len(known), _least_days(shape, len(days)))
    if len(known) == len(days):
        forecast = used
    return Progress(
        used=used,
        used_share=used / budget.amount,
        prorated=prorated,
        progress=used / prorated if prorated else None,
        forecast=forecast,
        forecast_share=None if forecast is None else forecast / budget.amount,
        settled=len(known),
        missing=tuple(day for day in over if day not in known),
        shape=shape,
    )


def _least_days(shape: Shape, days: int) -> int:
    """Before a forecast is made; of a pace that knows no seasons a quarter of the period."""
    knows_seasons = shape in (Shape.PROFILE, Shape.LAST_YEAR)
    return min(days, max(_LEAST_DAYS, 0 if knows_seasons else days // 4))


def _forecast(used: float, share: float, known: int, least: int) -> float | None:
    """What the whole period comes to if the rest goes as the settled days went."""
    return used / share if share > 0 and known >= least else None


def weigh(
    budget: Budget, known: Days, classify: Classify, last_year: Days
) -> tuple[Shape, dict[date, float]]:
    """Each day's share of the period, and where that comes from; they sum to 1.

    Args:
        budget: whose period, and whose planned months.
        known: this period's settled days.
        classify: the class of a day.
        last_year: settled days of the year before.
    """
    days = budget.days()
    classes = {day: classify(day) is DayClass.WORKDAY for day in days}
    if budget.profile:
        return Shape.PROFILE, _planned(budget, classes, _two_means(known, classes))
    months = sorted({(day.year, day.month) for day in days})
    means = [_month_means(last_year, month, classify) for month in months]
    found = {month: mean for month, mean in zip(months, means, strict=True) if mean is not None}
    if len(found) == len(months):
        by_day = {day: found[day.year, day.month][not classes[day]] for day in days}
        if sum(by_day.values()) > 0:
            return Shape.LAST_YEAR, _summing_to(1.0, by_day)
    split = _two_means(known, classes)
    if split is None:
        return Shape.EVEN, {day: 1 / len(days) for day in days}
    return Shape.WORKDAYS, _summing_to(1.0, {day: split[not classes[day]] for day in days})


Means = tuple[float, float]  # of workdays, of other days


def _two_means(known: Days, is_workday: Mapping[date, bool]) -> Means | None:
    """What days took so far; None while too few of either kind are settled."""
    work = [value for day, value in known.items() if is_workday[day]]
    rest = [value for day, value in known.items() if not is_workday[day]]
    if min(len(work), len(rest)) < _FEW_DAYS or min(fmean(work), fmean(rest)) <= 0:
        return None
    return fmean(work), fmean(rest)


def _month_means(days: Days, month: tuple[int, int], classify: Classify) -> Means | None:
    """What days of the same month of the year before took; None if too few are known."""
    year, number = month[0] - 1, month[1]
    all_days = _days_of(year, number)
    known = [day for day in all_days if day in days]
    if len(known) < _KNOWN_LAST_YEAR * len(all_days):
        return None
    whole = fmean(days[day] for day in known)
    of_kind = (
        [day for day in known if (classify(day) is DayClass.WORKDAY) is is_workday]
        for is_workday in (True, False)
    )
    work, rest = (fmean(days[day] for day in kind) if kind else whole for kind in of_kind)
    return work, rest


def _days_of(year: int, month: int) -> Sequence[date]:
    first = date(year, month, 1).toordinal()
    end = date(year + month // 12, month % 12 + 1, 1).toordinal()
    return [date.fromordinal(day) for day in range(first, end)]


def _planned(
    budget: Budget, is_workday: Mapping[date, bool], split: Means | None
) -> dict[date, float]:
    """The planned months, laid out over their days."""
    work, rest = split or (1.0, 1.0)
    weights: dict[date, float] = {}
    for month, amount in budget.profile:
        mine = {
            day: work if is_workday[day] else rest
            for day in is_workday
            if (day.year, day.month) == (month.year, month.month)
        }
        weights |= _summing_to(amount / budget.amount, mine)
    return _summing_to(1.0, weights)


def _summing_to(total: float, weights: Mapping[date, float]) -> dict[date, float]:
    whole = sum(weights.values())
    return {day: total * weight / whole for day, weight in weights.items()}
