"""Day class: a day in Shanghai -> workday, rest day or holiday.

Built from what is published each year (放假, 调休上班). The next year's notice comes in November:
in a year that the calendar does not know, weekdays decide, and nothing stops.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from msgspec import Struct

from collector.fleet.codes import local_day

_SATURDAY = 5


class DayClass(StrEnum):
    """Days of one class go alike."""

    WORKDAY = "workday"
    REST_DAY = "rest_day"
    HOLIDAY = "holiday"  # every day of the time off, the weekend in it as well


class Calendar(Struct, frozen=True, kw_only=True):
    """Which class each day has.

    Attributes:
        years: the years whose holidays are known.
        days: the days whose class is not that of their weekday.
    """

    years: frozenset[int]
    days: Mapping[date, DayClass]

    def knows(self, day: date) -> bool:
        """False where only the weekday decides."""
        return day.year in self.years

    def day_class(self, day: date) -> DayClass:
        """The class of a day in Shanghai."""
        weekday = DayClass.REST_DAY if day.weekday() >= _SATURDAY else DayClass.WORKDAY
        return self.days.get(day, weekday)

    def classify(self, at_ms: int) -> DayClass:
        """The class of the day in Shanghai that an instant lies in."""
        return self.day_class(local_day(at_ms))
