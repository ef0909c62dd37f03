"""What the days before and after a break say about a counter's pace."""

import numpy as np
import pytest

from collector.settle.pace import Paces, Shift, shift

HOUR_MS = 3_600_000
DAYS = 20
PLACE = 240  # ten days of hours


def paces(gains: np.ndarray, odd: tuple[int, ...] = ()) -> Paces:
    at_ms = np.arange(len(gains) + 1) * HOUR_MS
    value = np.concatenate(([0], np.cumsum(gains))).astype(np.int64)
    left_out = np.zeros(len(gains), np.bool_)
    left_out[list(odd)] = True
    return Paces(at_ms, value, left_out, 1)


def test_a_steady_counter_that_runs_a_hundred_times_faster_shows_it() -> None:
    gains = np.where(np.arange(24 * DAYS) < PLACE, 1_000, 100_000)

    found = paces(gains)
    changed = shift(found.before(0, PLACE), found.after(PLACE, 24 * DAYS))

    assert changed is not None
    assert changed.decades == pytest.approx(2.0)
    assert changed.shows(2)
    assert changed.beyond(2) == 0.0
    assert changed.beyond(0) == pytest.approx(4.0)


def test_a_counter_whose_days_differ_by_decades_contradicts_nothing() -> None:
    days = np.resize([10, 100_000, 1_000], DAYS)

    found = paces(np.repeat(days, 24))
    changed = shift(found.before(0, PLACE), found.after(PLACE, 24 * DAYS))

    assert changed is not None
    assert changed.beyond(3) == 0.0


def test_a_week_without_consumption_says_nothing() -> None:
    gains = np.where(np.arange(24 * DAYS) < PLACE, 0, 1_000)

    found = paces(gains)

    assert found.before(0, PLACE) is None
    assert shift(found.before(0, PLACE), found.after(PLACE, 24 * DAYS)) is None


def test_less_than_six_hours_say_nothing_and_part_of_a_day_little() -> None:
    found = paces(np.full(24 * DAYS, 1_000))

    few, part = found.after(0, 5), found.after(0, 12)

    assert few is None
    assert part is not None
    assert part.level == pytest.approx(np.log10(24_000))
    assert part.within == 1.0


def test_a_leap_is_no_pace() -> None:
    gains = np.full(24 * DAYS, 1_000)
    gains[30] = 10**9

    found = paces(gains, odd=(30,)).after(0, 24 * DAYS)

    assert found is not None
    assert found.level == pytest.approx(np.log10(24_000), abs=0.02)


def test_a_pace_that_stays_shows_no_other_unit() -> None:
    assert not Shift(0.1, 0.4).shows(1)
    assert Shift(0.6, 0.4).shows(1)
    assert not Shift(-0.9, 0.4).shows(1)
