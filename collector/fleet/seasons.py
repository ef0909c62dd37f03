"""Seasons: `config/calendars/heating.yaml` and `terms.yaml` -> whether a day lies within.

Each year is what somebody entered for it. For a year that nobody entered the file says which days
are always within and which never; of the days between nobody knows, and what is not known is said
neither to be within nor without.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated

from msgspec import Struct
from pydantic import Field

from collector.fleet.codes import Day
from collector.fleet.document import Text
from documents.finding import DocumentInvalid, Finding, KeyPath, Problem
from documents.load import load
from documents.strict import Strict, matching

HEATING_FILE = Path("calendars", "heating.yaml")
TERMS_FILE = Path("calendars", "terms.yaml")

_AUGUST = 8
_LEAP = 2000  # a year that has every day

MonthDay = Annotated[str, matching(r"[01][0-9]-[0-3][0-9]", 'a day of any year like "11-15"')]


class SpanSpec(Strict):
    """Days of one year, both ends included."""

    name: Text | None = None
    first: Annotated[Day, Field(alias="from")]
    last: Annotated[Day, Field(alias="to")]


class UsualSpanSpec(Strict):
    """Days of any year, both ends included; may reach over New Year."""

    first: Annotated[MonthDay, Field(alias="from")]
    last: Annotated[MonthDay, Field(alias="to")]


class UsualSpec(Strict):
    """Years that are not entered."""

    source: Text
    unverified: bool = False
    within: Annotated[tuple[UsualSpanSpec, ...], Field(min_length=1)]
    outside: Annotated[tuple[UsualSpanSpec, ...], Field(min_length=1)]


class SeasonYearSpec(Strict):
    """What holds from 1 August of `year` to 31 July of the next: a winter, a school year."""

    year: Annotated[int, Field(ge=2000, le=2100)]
    source: Text
    unverified: bool = False
    within: Annotated[tuple[SpanSpec, ...], Field(min_length=1)]


class SeasonDocument(Strict):
    usual: UsualSpec | None = None
    years: tuple[SeasonYearSpec, ...] = ()


class Season(Struct, frozen=True, kw_only=True):
    """Heating season or school term.

    Attributes:
        years: spans by the year in whose August they begin.
        within, outside: of other years, as (month, day) pairs, inclusive.
    """

    years: dict[int, tuple[tuple[date, date], ...]] = {}
    within: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    outside: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()

    def holds(self, day: date) -> bool | None:
        """Whether a day lies within; None where nobody knows."""
        entered = self.years.get(season_year(day))
        if entered is not None:
            return any(first <= day <= last for first, last in entered)
        if _in_any(self.within, day):
            return True
        return False if _in_any(self.outside, day) else None


def season_year(day: date) -> int:
    """The year in whose August the season of a day begins: a winter's, a school year's."""
    return day.year if day.month >= _AUGUST else day.year - 1


def load_season(file: Path) -> Season:
    """A file as a value; without the file nothing is known of any day.

    Raises:
        DocumentInvalid: with every mistake of the file.
    """
    if not file.exists():
        return Season()
    document = load(file, SeasonDocument, _problems)
    usual = document.usual
    return Season(
        years={
            spec.year: tuple((span.first, span.last) for span in spec.within)
            for spec in document.years
        },
        within=tuple(map(_pair, usual.within)) if usual else (),
        outside=tuple(map(_pair, usual.outside)) if usual else (),
    )


def check_seasons(folder: Path) -> tuple[Finding, ...]:
    """Every mistake in the configuration folder's heating seasons and school terms."""
    findings: list[Finding] = []
    for file in (HEATING_FILE, TERMS_FILE):
        try:
            load_season(folder / file)
        except DocumentInvalid as error:
            findings += error.findings
    return tuple(findings)


def _in_any(spans: tuple[tuple[tuple[int, int], tuple[int, int]], ...], day: date) -> bool:
    here = (day.month, day.day)
    return any(
        first <= here <= last if first <= last else here >= first or here <= last
        for first, last in spans
    )


def _pair(span: UsualSpanSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    return _month_day(span.first), _month_day(span.last)


def _month_day(text: str) -> tuple[int, int]:
    month, day = text.split("-")
    return int(month), int(day)


def _problems(document: SeasonDocument) -> Iterator[Problem]:
    if document.usual is not None:
        yield from _of_usual(document.usual)
    seen: dict[int, KeyPath] = {}
    for y, spec in enumerate(document.years):
        path: KeyPath = ("years", y)
        if spec.year in seen:
            yield Problem((*path, "year"), f"{spec.year} is here already", other=seen[spec.year])
        seen.setdefault(spec.year, (*path, "year"))
        yield from _of_year(spec, path)


def _of_year(spec: SeasonYearSpec, path: KeyPath) -> Iterator[Problem]:
    before: SpanSpec | None = None
    for s, span in enumerate(spec.within):
        here = (*path, "within", s)
        if span.last < span.first:
            yield Problem((*here, "to"), f"{span.last} is before {span.first}")
        for end, day in (("from", span.first), ("to", span.last)):
            if season_year(day) != spec.year:
                why = f"{day} is not between {spec.year}-08-01 and {spec.year + 1}-07-31"
                yield Problem((*here, end), why)
        if before is not None and span.first <= before.last:
            yield Problem((*here, "from"), f"{span.first} is not after {before.last}")
        before = span


def _of_usual(usual: UsualSpec) -> Iterator[Problem]:
    wrong = [
        Problem(("usual", key, s, end), f"there is no {text}")
        for key, spans in (("within", usual.within), ("outside", usual.outside))
        for s, span in enumerate(spans)
        for end, text in (("from", span.first), ("to", span.last))
        if not _exists(text)
    ]
    yield from wrong
    if wrong:
        return
    within = tuple(map(_pair, usual.within))
    for s, span in enumerate(usual.outside):
        if any(_in_any(within, day) for day in _days(span)):
            yield Problem(("usual", "outside", s), "some of these days are within as well")


def _exists(text: str) -> bool:
    month, day = _month_day(text)
    try:
        date(_LEAP, month, day)
    except ValueError:
        return False
    return True


def _days(span: UsualSpanSpec) -> Iterator[date]:
    every = (date.fromordinal(date(_LEAP, 1, 1).toordinal() + n) for n in range(366))
    return (day for day in every if _in_any((_pair(span),), day))
