"""Alike: days of other times, made comparable -> what this month's days would have taken then.

A day is compared with the mean of its own kind: workday, rest day or holiday, in or out of the
heating season, in or out of the term. So neither the number of days or workdays of a month nor a
Spring Festival that moves from February to January makes a difference by itself.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date

import numpy as np
from msgspec import Struct

from collector.alerting.hours import DayKind
from collector.fleet.codes import local_day, midnight_ms
from collector.settle.cells import DAY_MS
from collector.settle.day_class import DayClass
from collector.settle.series import Floats

KNOWN_SHARE = 0.8  # of a month's days, before the month is compared; engineering default
_ALIKE_SHARE = 0.6  # of a month's days that have days of their kind in the month before
_COOLING = (6, 7, 8, 9)  # months in which air conditioning may run; engineering default
_DEFAULT_HOLIDAY = {DayClass.HOLIDAY: DayClass.REST_DAY, DayClass.REST_DAY: DayClass.HOLIDAY}

Means = dict[DayKind, float]


class Month(Struct, frozen=True):
    """A month in Shanghai by the start of its first day; `end_ms` is the next month's."""

    start_ms: int
    end_ms: int

    @property
    def first(self) -> date:
        return local_day(self.start_ms)


class Compared(Struct, frozen=True):
    """What was used on the days that could be compared, and what those would have taken."""

    used: float
    expected: float

    @property
    def change(self) -> float | None:
        """0.15 is 15 % more; None where nothing was expected."""
        return self.used / self.expected - 1 if self.expected > 0 else None


class Calendarised:
    """A meter's days, n in a row, with their kinds."""

    def __init__(self, first_ms: int, days: Floats, kinds: Sequence[DayKind]) -> None:
        self._first_ms = first_ms
        self._days = days
        self._kinds = kinds

    def total(self, month: Month) -> float | None:
        """What a month took; None unless each of its days is known."""
        values = self._values(month)
        whole = len(values) == (month.end_ms - month.start_ms) // DAY_MS
        return float(values.sum()) if whole and not np.isnan(values).any() else None

    def against_last_year(self, month: Month) -> Compared | None:
        """The same month of the year before; None while that is not known."""
        before = month_of(month.first, months=-12)
        if not self._is_known(before) or not self._is_known(month):
            return None
        near = (month_of(before.first, months=-1), month_of(before.first, months=1))
        return self._compared(month, self._means(before), self._means(*near), least=KNOWN_SHARE)

    def against_last_month(self, month: Month) -> Compared | None:
        """The month before, as the seasons go; None where nobody can say how they go.

        How the seasons go is taken from last year's two months. Without them only months of one
        season are compared.
        """
        found = self._from_the_month_before(month)
        if found is None:
            return None
        last_year = self._from_the_month_before(month_of(month.first, months=-12))
        if last_year is not None and last_year.expected > 0:
            goes = last_year.used / last_year.expected
            return Compared(found.used, found.expected * goes)
        return found if self._is_one_season(month) else None

    def _from_the_month_before(self, month: Month) -> Compared | None:
        before = month_of(month.first, months=-1)
        if not self._is_known(before) or not self._is_known(month):
            return None
        return self._compared(month, self._means(before), {}, least=_ALIKE_SHARE)

    def _is_one_season(self, month: Month) -> bool:
        before = month_of(month.first, months=-1)
        heating = {kind.heating for one in (before, month) for kind in self._kinds_of(one)}
        cooling = {one.first.month in _COOLING for one in (before, month)}
        return len(heating) == 1 and None not in heating and len(cooling) == 1

    def _compared(
        self, month: Month, means: Means, near: Means, *, least: float
    ) -> Compared | None:
        used = expected = 0.0
        counted = 0
        values = self._values(month)
        for value, kind in zip(values.tolist(), self._kinds_of(month), strict=True):
            usual = _usual(kind, means, near)
            if usual is not None and not np.isnan(value):
                used, expected, counted = used + value, expected + usual, counted + 1
        return Compared(used, expected) if counted >= least * len(values) else None

    def _means(self, *months: Month) -> Means:
        found: dict[DayKind, list[float]] = {}
        for month in months:
            values = self._values(month).tolist()
            for value, kind in zip(values, self._kinds_of(month), strict=True):
                if not np.isnan(value):
                    found.setdefault(kind, []).append(value)
        return {kind: float(np.mean(values)) for kind, values in found.items()}

    def _is_known(self, month: Month) -> bool:
        days = (month.end_ms - month.start_ms) // DAY_MS
        return int((~np.isnan(self._values(month))).sum()) >= KNOWN_SHARE * days

    def _values(self, month: Month) -> Floats:
        return self._days[self._slice(month)]

    def _kinds_of(self, month: Month) -> Sequence[DayKind]:
        return self._kinds[self._slice(month)]

    def _slice(self, month: Month) -> slice:
        first = (month.start_ms - self._first_ms) // DAY_MS
        return slice(max(0, first), max(0, (month.end_ms - self._first_ms) // DAY_MS))


def month_of(day: date, *, months: int = 0) -> Month:
    """The month of a day, or so many months later."""
    number = day.year * 12 + day.month - 1 + months
    return Month(*(midnight_ms(date(n // 12, n % 12 + 1, 1)) for n in (number, number + 1)))


def _usual(kind: DayKind, means: Means, near: Means) -> float | None:
    """The mean of the kind: then, else around then; else of the like of it."""
    other = _DEFAULT_HOLIDAY.get(kind.day_class)
    like = None if other is None else DayKind(other, kind.heating, kind.term)
    for wanted in filter(None, (kind, like)):
        for known in (means, near):
            if wanted in known:
                return known[wanted]
    if not near:
        return None
    return _of_class(kind.day_class, means, near)


def _of_class(day_class: DayClass, *known: Means) -> float | None:
    """Whatever the season: a winter that began on another day."""
    found = [mean for means in known for kind, mean in means.items() if kind.day_class is day_class]
    return float(np.mean(found)) if found else None


def months_between(starts: Iterable[int]) -> list[Month]:
    """The months that days lie in, each once, in order."""
    return [month_of(first) for first in sorted({local_day(at).replace(day=1) for at in starts})]


KindOf = Callable[[int], DayKind]
