"""Calendar documents: the shape of `config/calendars/cn.yaml` and `override.yaml`.

What each key means is said once, in those files.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from collector.fleet.codes import Day
from documents.finding import DocumentInvalid, Finding, KeyPath, Problem
from documents.load import load
from documents.strict import Strict

CALENDAR_FILE = Path("calendars", "cn.yaml")
OVERRIDE_FILE = Path("calendars", "override.yaml")
_SATURDAY = 5

Text = Annotated[str, Field(min_length=1)]


class TimeOffSpec(Strict):
    name: Text
    first: Annotated[Day, Field(alias="from")]
    last: Annotated[Day, Field(alias="to")]

    def days(self) -> tuple[date, ...]:
        """Every day of it, in order; none if it ends before it begins."""
        count = (self.last - self.first).days + 1
        return tuple(self.first + timedelta(days=after) for after in range(count))


class YearSpec(Strict):
    year: Annotated[int, Field(ge=2000, le=2100)]
    source: Text
    unverified: bool = False
    holidays: Annotated[tuple[TimeOffSpec, ...], Field(min_length=1)]
    workdays: tuple[Day, ...] = ()


class CalendarDocument(Strict):
    """The years whose holidays are known."""

    years: Annotated[tuple[YearSpec, ...], Field(min_length=1)]


class OverrideSpec(Strict):
    """A day that goes otherwise than its year's notice, or before there is one."""

    day: Day
    is_: Annotated[Literal["workday", "rest_day", "holiday"], Field(alias="is")]
    why: Text


class OverrideDocument(Strict):
    """Days of a district's own."""

    days: tuple[OverrideSpec, ...]


def load_override_document(file: Path) -> OverrideDocument:
    """Read the overrides.

    Raises:
        DocumentInvalid: with every mistake of the file.
    """
    return load(file, OverrideDocument, _twice)


def load_calendar_document(file: Path) -> CalendarDocument:
    """Read the calendar.

    Raises:
        DocumentInvalid: with every mistake of the file.
    """
    return load(file, CalendarDocument, _problems)


def check_calendar(folder: Path) -> tuple[Finding, ...]:
    """Every mistake in the configuration folder's calendar files; it may do without them."""
    found: list[Finding] = []
    loaders = ((CALENDAR_FILE, load_calendar_document), (OVERRIDE_FILE, load_override_document))
    for name, read in loaders:
        try:
            if (folder / name).exists():
                read(folder / name)
        except DocumentInvalid as error:
            found += error.findings
    return tuple(found)


def _twice(document: OverrideDocument) -> Iterator[Problem]:
    seen: dict[date, KeyPath] = {}
    for place, spec in enumerate(document.days):
        path: KeyPath = ("days", place, "day")
        if spec.day in seen:
            yield Problem(path, f"{spec.day} is said twice", other=seen[spec.day])
        seen.setdefault(spec.day, path)


def _problems(document: CalendarDocument) -> Iterator[Problem]:
    years: dict[int, KeyPath] = {}
    for y, spec in enumerate(document.years):
        path: KeyPath = ("years", y, "year")
        if spec.year in years:
            yield Problem(path, f"{spec.year} is here already", other=years[spec.year])
        years.setdefault(spec.year, path)
        yield from _of_year(spec, ("years", y))


def _of_year(spec: YearSpec, path: KeyPath) -> Iterator[Problem]:
    said: dict[date, KeyPath] = {}
    for day, at in _days(spec, path):
        if day in said and said[day] != at:
            yield Problem(at, f"{day} is said twice", other=said[day])
        said.setdefault(day, at)
    for h, time_off in enumerate(spec.holidays):
        at = (*path, "holidays", h, "to")
        if time_off.last < time_off.first:
            yield Problem(at, f"{time_off.name} ends before it begins")
    yield from _elsewhere(spec, path)
    for w, day in enumerate(spec.workdays):
        if day.weekday() < _SATURDAY:
            yield Problem((*path, "workdays", w), f"{day} is no weekend, it is worked anyway")


def _elsewhere(spec: YearSpec, path: KeyPath) -> Iterator[Problem]:
    # A notice may begin its year some days early: 元旦 of 2023 began on 2022-12-31.
    for day, at in _days(spec, path):
        near = (day - timedelta(days=7)).year, (day + timedelta(days=7)).year
        if spec.year not in near:
            yield Problem(at, f"{day} is not in {spec.year}")


def _days(spec: YearSpec, path: KeyPath) -> Iterator[tuple[date, KeyPath]]:
    """Every day that a year's entry names, and where."""
    for h, time_off in enumerate(spec.holidays):
        for day in time_off.days():
            yield day, (*path, "holidays", h)
    for w, day in enumerate(spec.workdays):
        yield day, (*path, "workdays", w)
