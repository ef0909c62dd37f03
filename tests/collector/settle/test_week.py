"""What the hours around a standstill say of it: by hours of working days and of weekends."""

import numpy as np
import pytest

from collector.settle.series import Course
from collector.settle.week import Week, reach_ms, totals_of, week_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_767_542_400_000  # Monday 2026-01-05 in Shanghai, 0:00
WEEKS = 3
STOOD = 8 * 24  # Tuesday of the second week, 0:00


def hourly() -> np.ndarray:
    """10 an hour on working days, 4 on weekends; nothing from 0:00 to 3:00."""
    hours = np.arange(WEEKS * 7 * 24)
    gain = np.where(hours // 24 % 7 >= 5, 4, 10)
    return np.where(hours % 24 < 3, 0, gain)


def around(gain: np.ndarray, first: int, count: int, told: np.ndarray | None = None) -> Week:
    """Around hours in which it stood."""
    gain = gain.copy()
    gain[first : first + count] = 0
    course = Course(
        at_ms=START_MS + np.arange(len(gain) + 1) * HOUR_MS,
        energy=gain,
        known=np.ones(len(gain), np.bool_),
        rules=np.zeros(len(gain), np.int64),
    )
    totals = totals_of(course, np.ones(len(gain), np.bool_) if told is None else told)
    return week_of(totals, START_MS + first * HOUR_MS, START_MS + (first + count) * HOUR_MS)


def test_a_standstill_is_compared_with_the_same_hours_of_working_days() -> None:
    week = around(hourly(), STOOD + 1, 8)

    assert week.expected == pytest.approx(60)
    assert week.resumed * HOUR_MS == pytest.approx(10)
    assert week.usual * HOUR_MS == pytest.approx(10)
    assert week.moves == pytest.approx(6 / 8)
    assert week.told == 1.0
    assert week.idle == pytest.approx(3 / 24, abs=0.01)
    assert (week.stops, week.odd) == (0, 0)


def test_a_weekend_is_compared_with_weekends() -> None:
    week = around(hourly(), 12 * 24 + 3, 12)

    assert week.expected == pytest.approx(48)


def test_a_weekend_that_has_no_other_around_it_is_not_told_of() -> None:
    week = around(hourly()[: 12 * 24], 5 * 24, 48)

    assert week.told == 0.0
    assert week.expected == 0.0


def test_another_long_standstill_in_hours_in_which_it_moves_says_nothing_of_how_it_moves() -> None:
    gain = hourly()
    gain[STOOD - 40 : STOOD - 10] = 0

    week = around(gain, STOOD + 5, 12)

    assert (week.stops, week.odd) == (0, 1)
    assert week.odd_share == pytest.approx(30 / (14 * 24))
    assert week.moves == 1.0


def test_short_standstills_in_hours_in_which_it_moves_are_counted() -> None:
    gain = hourly()
    gain[[STOOD - 40, STOOD - 15, STOOD + 36, STOOD + 37]] = 0

    week = around(gain, STOOD + 5, 12)

    assert (week.stops, week.odd) == (3, 0)


def test_hours_under_a_leg_of_many_hours_say_nothing() -> None:
    gain = hourly()
    there = np.ones(len(gain) + 1, np.bool_)
    there[STOOD + 30 : STOOD + 30 + 4 * 24] = False
    at_ms = (START_MS + np.arange(len(gain) + 1) * HOUR_MS)[there]
    energy = np.diff(np.concatenate(([0], np.cumsum(gain)))[there])
    course = Course(
        at_ms=at_ms,
        energy=energy,
        known=np.ones(len(energy), np.bool_),
        rules=np.zeros(len(energy), np.int64),
    )
    totals = totals_of(course, course.known)

    week = week_of(totals, START_MS + STOOD * HOUR_MS, START_MS + (STOOD + 3) * HOUR_MS)

    assert week.moves == 0.0
    assert week.expected == 0.0
    assert week.moving[1] == pytest.approx(21 + 2 * 21, abs=4)


def test_a_meter_that_answers_once_a_day_tells_of_hours_as_well_as_it_can() -> None:
    course = Course(
        at_ms=START_MS + np.arange(40) * DAY_MS,
        energy=np.where((np.arange(39) >= 15) & (np.arange(39) < 19), 0, 240),
        known=np.ones(39, np.bool_),
        rules=np.zeros(39, np.int64),
    )

    week = week_of(totals_of(course, course.known), START_MS + 15 * DAY_MS, START_MS + 19 * DAY_MS)

    assert week.expected == pytest.approx(4 * 240)
    assert week.moves == 1.0


def test_legs_that_do_not_count_say_nothing() -> None:
    told = np.ones(WEEKS * 7 * 24, np.bool_)
    told[: STOOD - 24] = False

    week = around(hourly(), STOOD, 24, told)

    assert week.moving[0] == 21


@pytest.mark.parametrize(("days", "reach"), [(1, 7), (8, 7), (9, 6), (13, 2)])
def test_the_longer_a_standstill_the_less_around_it_is_seen_from_each_of_its_days(
    days: int, reach: int
) -> None:
    assert reach_ms(days * DAY_MS) == reach * DAY_MS
