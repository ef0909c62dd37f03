from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector.adapters.calendar import WarningCalendar, load_calendar
from collector.fleet.calendar import check_calendar, load_calendar_document
from collector.settle.day_class import Calendar, DayClass

CONFIG = Path(__file__).parents[3] / "config"


def at(text):
    return int(datetime.fromisoformat(f"{text}+08:00").timestamp() * 1000)


@pytest.fixture(scope="module")
def china():
    return load_calendar(CONFIG)


# Days


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-02-13", DayClass.WORKDAY),  # Friday
        ("2026-02-14", DayClass.WORKDAY),  # Saturday, worked for the Spring Festival
        ("2026-02-15", DayClass.HOLIDAY),
        ("2026-02-23", DayClass.HOLIDAY),
        ("2026-02-24", DayClass.WORKDAY),
        ("2026-02-28", DayClass.WORKDAY),  # Saturday
        ("2026-03-01", DayClass.REST_DAY),
        ("2026-10-07", DayClass.HOLIDAY),
        ("2025-01-28", DayClass.HOLIDAY),
        ("2024-06-09", DayClass.REST_DAY),  # the Sunday before the holiday
        ("2027-01-01", DayClass.WORKDAY),  # a Friday; nobody entered 2027
        ("2027-01-02", DayClass.REST_DAY),
    ],
)
def test_a_day_has_its_class(china, day, expected):
    assert china.day_class(date.fromisoformat(day)) is expected


def test_a_day_is_the_one_in_shanghai(china):
    assert china.classify(at("2026-10-08 00:00") - 1) is DayClass.HOLIDAY
    assert china.classify(at("2026-10-08 00:00")) is DayClass.WORKDAY


@pytest.mark.parametrize(
    ("year", "days_off", "worked"), [(2024, 28, 8), (2025, 28, 5), (2026, 33, 6)]
)
def test_a_year_has_as_many_days_off_as_its_notice(china, year, days_off, worked):
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(366)]
    of_year = [day for day in days if day.year == year]

    off = [day for day in of_year if china.day_class(day) is DayClass.HOLIDAY]
    made_up = [
        day for day in of_year if china.day_class(day) is DayClass.WORKDAY and day.weekday() >= 5
    ]

    assert (len(off), len(made_up)) == (days_off, worked)


def test_a_year_that_nobody_entered_is_said_once(china):
    calendar = WarningCalendar(china)

    with capture_logs() as logs:
        classes = [calendar.classify(at(f"2027-01-{day:02} 12:00")) for day in (1, 2, 3, 4)]
        calendar.classify(at("2026-12-31 23:59"))

    assert classes == [DayClass.WORKDAY, DayClass.REST_DAY, DayClass.REST_DAY, DayClass.WORKDAY]
    assert [(entry["event"], entry["year"]) for entry in logs] == [("calendar.year_unknown", 2027)]


def test_without_a_file_weekdays_decide(tmp_path):
    calendar = load_calendar(tmp_path)

    assert calendar == Calendar(years=frozenset(), days={})
    assert calendar.day_class(datetime(2026, 10, 1, tzinfo=UTC).date()) is DayClass.WORKDAY


# The file

GOOD = """\
years:
- year: 2026
  source: the notice
  holidays:
  - {name: 元旦, from: "2026-01-01", to: "2026-01-03"}
  workdays: ["2026-01-04"]
"""


def problems(tmp_path, text):
    folder = tmp_path / "calendars"
    folder.mkdir(exist_ok=True)
    (folder / "cn.yaml").write_text(text, encoding="utf-8")
    return [f"{found.line}: {found.key}: {found.message}" for found in check_calendar(tmp_path)]


def test_the_calendar_that_comes_with_it_has_no_mistake(tmp_path):
    assert check_calendar(CONFIG) == ()
    assert check_calendar(tmp_path) == ()
    assert [spec.year for spec in load_calendar_document(CONFIG / "calendars/cn.yaml").years] == [
        2024,
        2025,
        2026,
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("元旦", "元旦", []),
        (
            '"2026-01-04"',
            '"2026-01-05"',
            ["6: years[0].workdays[0]: 2026-01-05 is no weekend, it is worked anyway"],
        ),
        (
            '"2026-01-04"',
            '"2026-01-03"',
            ["6: years[0].workdays[0]: 2026-01-03 is said twice (first in line 5)"],
        ),
        (
            'to: "2026-01-03"',
            'to: "2025-12-31"',
            ["5: years[0].holidays[0].to: 元旦 ends before it begins"],
        ),
        (
            '"2026-01-04"',
            '"2027-01-09"',
            ["6: years[0].workdays[0]: 2027-01-09 is not in 2026"],
        ),
        (
            "source: the notice",
            "sources: the notice",
            [
                "2: years[0].source: required, but missing",
                "3: years[0].sources: unknown key; did you mean 'source'?",
            ],
        ),
    ],
)
def test_a_mistake_is_said_with_its_line(tmp_path, old, new, expected):
    assert problems(tmp_path, GOOD.replace(old, new)) == expected


def test_a_year_stands_once(tmp_path):
    twice = GOOD + GOOD.removeprefix("years:\n")

    assert problems(tmp_path, twice) == ["7: years[1].year: 2026 is here already (first in line 2)"]


def test_days_before_new_year_may_belong_to_the_next_years_notice(tmp_path):
    early = GOOD.replace('from: "2026-01-01"', 'from: "2025-12-31"')

    assert problems(tmp_path, early) == []
