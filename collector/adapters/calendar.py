"""Calendar: the configuration folder -> a day's class, and the hours of rules.

A year that nobody entered is said once.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import structlog

from collector.alerting.hours import Hours
from collector.fleet.calendar import (
    CALENDAR_FILE,
    OVERRIDE_FILE,
    CalendarDocument,
    load_calendar_document,
    load_override_document,
)
from collector.fleet.codes import local_day
from collector.fleet.seasons import HEATING_FILE, TERMS_FILE, load_season
from collector.settle.day_class import Calendar, DayClass

log = structlog.get_logger()


def load_calendar(folder: Path) -> Calendar:
    """The calendar of the configuration folder, the district's own days over the notices'.

    Without `cn.yaml` no year is known. A day of `override.yaml` makes no year known: the notice is
    still to be entered.

    Raises:
        DocumentInvalid: with every mistake of a file.
    """
    file, over = folder / CALENDAR_FILE, folder / OVERRIDE_FILE
    known = Calendar(years=frozenset(), days={})
    if file.exists():
        known = calendar_of(load_calendar_document(file))
    if not over.exists():
        return known
    own = {spec.day: DayClass(spec.is_) for spec in load_override_document(over).days}
    return Calendar(years=known.years, days={**known.days, **own})


def load_hours(folder: Path) -> Hours:
    """The hours of rules by the configuration folder's calendar, heating seasons and school terms.

    Raises:
        DocumentInvalid: with every mistake of a file.
    """
    return Hours(
        WarningCalendar(load_calendar(folder)).classify,
        heating=load_season(folder / HEATING_FILE),
        terms=load_season(folder / TERMS_FILE),
    )


def calendar_of(document: CalendarDocument) -> Calendar:
    """A checked document as the value that settlement asks."""
    return Calendar(
        years=frozenset(spec.year for spec in document.years), days=dict(_days(document))
    )


def _days(document: CalendarDocument) -> Iterator[tuple[date, DayClass]]:
    for spec in document.years:
        for time_off in spec.holidays:
            for day in time_off.days():
                yield day, DayClass.HOLIDAY
        for day in spec.workdays:
            yield day, DayClass.WORKDAY


class WarningCalendar:
    """A calendar that says once of each year that it does not know it. One thread at a time."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._said: set[int] = set()

    def classify(self, at_ms: int) -> DayClass:
        """The class of the day in Shanghai that an instant lies in."""
        day = local_day(at_ms)
        if not self._calendar.knows(day) and day.year not in self._said:
            self._said.add(day.year)
            log.warning(
                "calendar.year_unknown",
                year=day.year,
                instead="weekdays",
                todo=f"add the year's holiday notice to {CALENDAR_FILE.as_posix()}",
            )
        return self._calendar.day_class(day)
