"""Hours: days of the Chinese calendar, seasons, windows over midnight, by Shanghai's clock."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from collector.adapters.calendar import load_calendar, load_hours
from collector.alerting.hours import Hours
from collector.alerting.rule import When
from collector.fleet.index import Sector
from collector.fleet.seasons import load_season
from collector.settle.day_class import DayClass

CONFIG = Path(__file__).parents[3] / "config"
SHANGHAI = timezone(timedelta(hours=8))
WORKDAY = When(days=frozenset({DayClass.WORKDAY}))
OFF = When(days=frozenset({DayClass.REST_DAY, DayClass.HOLIDAY}))
HOLIDAY = When(days=frozenset({DayClass.HOLIDAY}))


def at(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).timestamp() * 1000)


@pytest.fixture
def hours() -> Hours:
    return load_hours(CONFIG)


def is_open(hours: Hours, when: When, text: str, sector: Sector = Sector.SCHOOL) -> bool:
    return hours.open_at(when, at(text), sector)


# ---- days


def test_a_rule_without_hours_always_looks(hours):
    assert is_open(hours, When(), "2026-02-17T03:00")


@pytest.mark.parametrize(
    ("day", "workday", "holiday"),
    [
        ("2026-02-13", True, False),  # the last Friday before 春节
        ("2026-02-14", True, False),  # 调休: a Saturday that is worked
        ("2026-02-15", False, True),  # the Sunday belongs to the time off
        ("2026-02-17", False, True),  # 正月初一
        ("2026-02-23", False, True),  # the last day, a Monday
        ("2026-02-24", True, False),
        ("2026-02-28", True, False),  # 调休
        ("2026-03-01", False, False),  # a plain Sunday
        ("2026-10-10", True, False),  # 调休 after 国庆
        ("2027-01-01", True, False),  # nobody entered 2027: a Friday
        ("2027-02-06", False, False),  # 春节 2027, a Saturday: no more than a rest day
        ("2027-02-08", True, False),  # a Monday in it
    ],
)
def test_days_are_those_of_the_notice_or_of_the_week(hours, day, workday, holiday):
    assert is_open(hours, WORKDAY, f"{day}T12:00") is workday
    assert is_open(hours, OFF, f"{day}T12:00") is not workday
    assert is_open(hours, HOLIDAY, f"{day}T12:00") is holiday


def test_a_day_begins_at_midnight_in_shanghai_not_in_greenwich(hours):
    # 2025-12-31 is a workday, 2026-01-01 a holiday; midnight in Shanghai is 16:00 in Greenwich.
    assert hours.open_at(WORKDAY, at("2025-12-31T15:59:59.999+00:00"), None)
    assert not hours.open_at(WORKDAY, at("2025-12-31T16:00:00+00:00"), None)
    assert not hours.open_at(WORKDAY, at("2026-01-01T00:00:00+00:00"), None)


def test_days_of_the_districts_own_go_before_the_notice_and_the_week(tmp_path):
    folder = tmp_path / "calendars"
    folder.mkdir()
    (folder / "cn.yaml").write_bytes((CONFIG / "calendars" / "cn.yaml").read_bytes())
    (folder / "override.yaml").write_text(
        'days:\n- {day: "2027-01-01", is: holiday, why: 元旦}\n'
        '- {day: "2026-02-14", is: rest_day, why: 停电检修}\n',
        encoding="utf-8",
    )

    hours = Hours(load_calendar(tmp_path).classify)

    assert is_open(hours, HOLIDAY, "2027-01-01T12:00")
    assert not is_open(hours, WORKDAY, "2026-02-14T12:00")
    assert is_open(hours, WORKDAY, "2026-02-28T12:00")
    assert not load_calendar(tmp_path).knows(datetime(2027, 1, 1, tzinfo=SHANGHAI).date())


def test_a_year_that_nobody_entered_is_said_once(hours):
    with capture_logs() as logs:
        for hour in range(0, 24 * 20, 6):
            hours.open_at(WORKDAY, at("2026-12-25T00:00") + hour * 3_600_000, None)

    assert [(entry["event"], entry["year"]) for entry in logs] == [("calendar.year_unknown", 2027)]


# ---- hours


DAYTIME = When(from_min=8 * 60, to_min=18 * 60)
FRIDAY_NIGHT = When(days=frozenset({DayClass.WORKDAY}), from_min=22 * 60, to_min=6 * 60)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [("07:59:59", False), ("08:00", True), ("17:59:59", True), ("18:00", False)],
)
def test_a_window_has_its_first_minute_and_lacks_its_last(hours, clock, expected):
    assert is_open(hours, DAYTIME, f"2026-03-04T{clock}") is expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-06T05:59", True),  # Friday's morning is Thursday's night
        ("2026-03-06T06:00", False),
        ("2026-03-06T22:00", True),
        ("2026-03-07T00:00", True),  # Saturday, but it is Friday's night
        ("2026-03-07T05:59", True),
        ("2026-03-07T22:00", False),
        ("2026-03-09T03:00", False),  # Monday's morning is Sunday's night
        ("2026-02-15T03:00", True),  # the night of the worked Saturday before 春节
        ("2026-02-24T03:00", False),  # the last night of 春节
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_began(hours, moment, expected):
    assert is_open(hours, FRIDAY_NIGHT, moment) is expected


def test_midnight_ends_a_window_that_says_24(hours):
    evening = When(from_min=18 * 60, to_min=1440)

    assert is_open(hours, evening, "2026-03-04T23:59:59")
    assert not is_open(hours, evening, "2026-03-05T00:00")


# ---- heating and terms


@pytest.mark.parametrize(
    ("day", "heating", "outside"),
    [
        ("2025-10-31", False, True),
        ("2025-11-01", False, False),  # the city may have begun: nobody entered this winter
        ("2025-11-15", True, False),
        ("2026-01-01", True, False),
        ("2026-03-15", True, False),
        ("2026-03-31", False, False),
        ("2026-04-01", False, True),
    ],
)
def test_of_a_winter_that_nobody_entered_only_the_sure_days_are_known(hours, day, heating, outside):
    assert is_open(hours, When(heating=True), f"{day}T12:00") is heating
    assert is_open(hours, When(heating=False), f"{day}T12:00") is outside


def test_a_winter_that_somebody_entered_is_known_to_the_day(tmp_path):
    file = tmp_path / "heating.yaml"
    file.write_text(
        "years:\n- year: 2026\n  source: x\n  within:\n"
        '  - {from: "2026-11-06", to: "2027-03-31"}\n',
        encoding="utf-8",
    )
    hours = Hours(load_calendar(CONFIG).classify, heating=load_season(file))

    assert is_open(hours, When(heating=False), "2026-11-05T23:59")
    assert is_open(hours, When(heating=True), "2026-11-06T00:00")
    assert is_open(hours, When(heating=True), "2027-03-31T23:59")
    assert is_open(hours, When(heating=False), "2027-04-01T00:00")
    assert not is_open(hours, When(heating=True), "2027-11-20T12:00")
    assert not is_open(hours, When(heating=False), "2027-11-20T12:00")


def test_a_term_concerns_schools_alone(hours):
    summer = "2026-08-01T12:00"

    assert not is_open(hours, When(term=True), summer, Sector.SCHOOL)
    assert is_open(hours, When(term=False), summer, Sector.SCHOOL)
    assert is_open(hours, When(term=True), summer, Sector.GOVERNMENT)
    assert is_open(hours, When(term=False), summer, Sector.HOSPITAL)


def test_without_a_file_nobody_knows_the_season(tmp_path):
    hours = Hours(load_calendar(CONFIG).classify, heating=load_season(tmp_path / "heating.yaml"))

    assert not is_open(hours, When(heating=True), "2026-01-01T12:00")
    assert not is_open(hours, When(heating=False), "2026-07-01T12:00")


# ---- what is kept


def test_a_day_is_looked_up_once():
    asked = []

    def classify(at_ms: int) -> DayClass:
        asked.append(at_ms)
        return DayClass.WORKDAY

    hours = Hours(classify)
    for minute in range(0, 1440, 10):
        hours.open_at(WORKDAY, at("2026-03-04T00:00") + minute * 60_000, None)

    assert asked == [at("2026-03-04T12:00")]


@given(st.integers(0, 1439), st.integers(0, 1440), st.integers(-(10**12), 4 * 10**12))
def test_a_window_and_the_rest_of_the_day_share_out_every_instant(start, end, at_ms):
    hours = Hours(lambda _: DayClass.WORKDAY)
    end = end if end != start else start + 1

    inside = hours.open_at(When(from_min=start, to_min=end), at_ms, None)
    outside = hours.open_at(When(from_min=end % 1440, to_min=start or 1440), at_ms, None)

    whole_day = (start, end) == (0, 1440)
    assert inside is not outside or (whole_day and inside)
