"""What is due: on Shanghai's clock, in order, and not more than can be caught up."""

from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.jobs.periods import Due, Every, Monthly, due, latest_end, next_due_ms, next_end

SHANGHAI = timezone(timedelta(hours=8))
QUARTER = Every(width_ms=900_000, delay_ms=60_000)
DAILY = Every(width_ms=86_400_000, delay_ms=20 * 60_000)
MONTHLY = Monthly(delay_ms=3_600_000)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp() * 1000)


def local(*ends: int) -> list[str]:
    return [f"{datetime.fromtimestamp(end / 1000, tz=SHANGHAI):%Y-%m-%dT%H:%M}" for end in ends]


@pytest.mark.parametrize(
    ("schedule", "now", "end"),
    [
        (QUARTER, "2026-11-25T10:15:59", "2026-11-25T10:00"),
        (QUARTER, "2026-11-25T10:16:00", "2026-11-25T10:15"),
        (QUARTER, "2026-11-25T00:00:59", "2026-11-24T23:45"),
        (DAILY, "2026-11-25T00:19:59", "2026-11-24T00:00"),
        (DAILY, "2026-11-25T00:20:00", "2026-11-25T00:00"),
        (MONTHLY, "2026-12-01T00:59:59", "2026-11-01T00:00"),
        (MONTHLY, "2026-12-01T01:00:00", "2026-12-01T00:00"),
        (MONTHLY, "2027-01-15T12:00:00", "2027-01-01T00:00"),
    ],
)
def test_a_period_is_due_a_while_after_it_ended(schedule, now: str, end: str) -> None:
    assert local(latest_end(schedule, ms(now))) == [end]


def test_at_first_only_the_latest_period_is_due() -> None:
    found = due(DAILY, None, ms("2026-11-25T12:00"), most=31)

    assert (local(*found.periods), found.left_out) == (["2026-11-25T00:00"], 0)


def test_missed_periods_are_due_in_order() -> None:
    found = due(DAILY, ms("2026-11-22T00:00"), ms("2026-11-25T12:00"), most=31)

    assert local(*found.periods) == ["2026-11-23T00:00", "2026-11-24T00:00", "2026-11-25T00:00"]


def test_missed_months_are_due_in_order() -> None:
    found = due(MONTHLY, ms("2026-10-01T00:00"), ms("2027-02-03T12:00"), most=31)

    assert local(*found.periods) == [
        "2026-11-01T00:00",
        "2026-12-01T00:00",
        "2027-01-01T00:00",
        "2027-02-01T00:00",
    ]


def test_of_too_many_the_newest_are_due_and_the_others_are_told() -> None:
    found = due(DAILY, ms("2026-11-20T00:00"), ms("2026-11-25T12:00"), most=2)

    assert local(*found.periods) == ["2026-11-24T00:00", "2026-11-25T00:00"]
    assert found.left_out == 3


def test_what_is_done_is_not_due_again() -> None:
    assert due(DAILY, ms("2026-11-25T00:00"), ms("2026-11-26T00:19"), most=9) == Due()
    assert due(DAILY, ms("2099-01-01T00:00"), ms("2026-11-26T00:19"), most=9) == Due()


def test_a_schedule_that_was_changed_goes_on_from_what_was_done() -> None:
    hourly = Every(width_ms=3_600_000)

    found = due(hourly, ms("2026-11-25T10:15"), ms("2026-11-25T12:00"), most=9)

    assert local(*found.periods) == ["2026-11-25T11:00", "2026-11-25T12:00"]


def test_the_next_is_due_after_the_latest_or_was_due_already() -> None:
    now = ms("2026-11-25T12:00")

    assert local(next_due_ms(DAILY, ms("2026-11-25T00:00"), now)) == ["2026-11-26T00:20"]
    assert local(next_due_ms(DAILY, ms("2026-11-23T00:00"), now)) == ["2026-11-25T00:20"]
    assert local(next_due_ms(DAILY, None, now)) == ["2026-11-25T00:20"]
    assert local(next_due_ms(MONTHLY, ms("2026-11-01T00:00"), now)) == ["2026-12-01T01:00"]


schedules = st.one_of(
    st.builds(
        Every,
        width_ms=st.sampled_from([6 * 3_600_000, 86_400_000]),
        delay_ms=st.integers(0, 86_400_000),
    ),
    st.builds(Monthly, delay_ms=st.integers(0, 40 * 86_400_000)),
)
instants = st.integers(ms("2026-01-01T00:00"), ms("2026-03-10T00:00"))


@given(schedule=schedules, at_ms=instants)
def test_ends_follow_each_other_without_a_gap(schedule, at_ms: int) -> None:
    end = latest_end(schedule, at_ms)
    after = next_end(schedule, end)

    assert end + schedule.delay_ms <= at_ms < after + schedule.delay_ms
    assert latest_end(schedule, after + schedule.delay_ms) == after
    assert latest_end(schedule, after + schedule.delay_ms - 1) == end


@given(
    schedule=schedules,
    done=instants,
    steps=st.lists(st.integers(0, 20 * 86_400_000), max_size=6),
)
def test_looking_at_any_times_each_period_is_done_once_and_in_order(
    schedule, done: int, steps: list[int]
) -> None:
    now, seen = done, [latest_end(schedule, done)]
    for step in steps:
        now += step
        while periods := due(schedule, seen[-1], now, most=10_000).periods:
            seen.append(periods[0])

    assert seen[-1] == latest_end(schedule, now)
    assert all(next_end(schedule, one) == two for one, two in pairwise(seen))
