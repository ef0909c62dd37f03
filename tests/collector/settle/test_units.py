"""Registers in another unit, told from other registers, bursts and spikes."""

from collections.abc import Callable

import numpy as np
import pytest

from collector.settle.follow import follow
from collector.settle.register import Register
from collector.settle.rule import Rule, rules_in
from collector.settle.series import PER_UNIT, Course, Ending, Series, whole

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_767_196_800_000  # 2026-01-01 in Shanghai
Load = Callable[[], tuple[np.ndarray, np.ndarray]]
RATED = Register(rated_per_hour=200 * PER_UNIT)


@pytest.fixture(params=[Register(), RATED], ids=["habit", "rated"])
def register(request: pytest.FixtureRequest) -> Register:
    return request.param


def bursts(days: int = 60, standing: float = 40_000.0) -> tuple[np.ndarray, np.ndarray]:
    """Irrigation: hourly readings; nothing for days, then 120 to 160 kWh an hour for some hours."""
    hours = np.arange(days * 24)
    runs = (hours // 24 % 5 == 2) & (hours % 24 >= 5) & (hours % 24 < 11)
    load = np.where(runs, 120.0 + 40 * np.random.default_rng(7).random(len(hours)), 0.0)
    total = standing + np.concatenate(([0], np.cumsum(load[:-1])))
    return START_MS + hours * HOUR_MS, np.round(total, 2)


def steady(days: int = 60, standing: float = 40_000.0) -> tuple[np.ndarray, np.ndarray]:
    hours = np.arange(days * 24)
    noise = 1 + 0.1 * np.random.default_rng(3).standard_normal(len(hours)).clip(-3, 3)
    load = 80 * (1 + 0.6 * np.sin(2 * np.pi * (hours - 8) / 24)) * noise
    total = standing + np.concatenate(([0], np.cumsum(load[:-1])))
    return START_MS + hours * HOUR_MS, np.round(total, 2)


def judged(at_ms: np.ndarray, value: np.ndarray, register: Register) -> Course:
    rules = np.zeros(len(at_ms), np.int64)
    return follow(Series(at_ms=at_ms, value=whole(value), rules=rules), register)


def total(course: Course) -> float:
    return int(course.energy[course.known].sum()) / PER_UNIT


def endings(course: Course) -> list[Ending]:
    return [epoch.ending for epoch in course.epochs if epoch.ending is not None]


def rules_of(course: Course) -> set[Rule]:
    return set(rules_in(int(np.bitwise_or.reduce(course.rules))))


@pytest.mark.parametrize("power", [-3, -2, -1, 1, 2, 3])
@pytest.mark.parametrize("hours", [70, 24 * 60], ids=["for days", "for good"])
@pytest.mark.parametrize("load", [bursts, steady])
def test_a_run_in_another_unit_is_told_and_costs_no_energy(
    load: Load, hours: int, power: int, register: Register
) -> None:
    at_ms, value = load()
    consumed = value[-1] - value[0]
    run = slice(30 * 24 + 3, 30 * 24 + 3 + hours)
    value[run] = np.round(value[run] * 10.0**power, 6)

    course = judged(at_ms, value, register)

    assert total(course) == pytest.approx(consumed, rel=1e-3)
    assert {epoch.multiplier for epoch in course.epochs} == {1.0, 10.0**-power}


@pytest.mark.parametrize("power", [-3, -2, -1, 1, 2, 3])
@pytest.mark.parametrize("load", [bursts, steady])
def test_some_hours_in_another_unit_cost_no_energy(
    load: Load, power: int, register: Register
) -> None:
    at_ms, value = load()
    consumed = value[-1] - value[0]
    run = slice(30 * 24 + 3, 30 * 24 + 12)
    value[run] = np.round(value[run] * 10.0**power, 6)

    course = judged(at_ms, value, register)

    assert total(course) == pytest.approx(consumed, rel=1e-3)


@pytest.mark.parametrize("times", [10, 100, 1000])
def test_another_meter_that_stands_nearly_a_power_of_ten_higher_is_a_jump(
    times: int, register: Register
) -> None:
    at_ms, value = steady()
    place = 30 * 24
    consumed = value[-1] - value[0]
    other = np.round(value[place] * times * 1.015, 2) - value[place]
    value[place:] += other

    course = judged(at_ms, value, register)

    assert endings(course) == [Ending.JUMP]
    assert total(course) == pytest.approx(consumed, rel=2e-3)


def test_months_of_other_meters_are_not_shrunk_because_their_jumps_would_fit(
    register: Register,
) -> None:
    at_ms, value = steady(days=90, standing=500.0)
    consumed = value[-1] - value[0]
    for day, standing in ((10, 1_987_300), (20, 4_100_000), (30, 9_000_000), (40, 9_800_000)):
        value[day * 24 :] += standing - value[day * 24]

    course = judged(at_ms, value, register)

    assert {epoch.multiplier for epoch in course.epochs} == {1.0}
    assert total(course) == pytest.approx(consumed, rel=5e-3)


def test_what_the_pace_contradicts_is_a_unit_all_the_same_if_it_comes_back() -> None:
    at_ms, value = bursts(standing=15_000.0)
    consumed = value[-1] - value[0]
    first = 32 * 24 + 6  # in the first hour of a run
    last = first + 30
    value[first:last] = np.round(value[first:last] / 1000, 5)

    course = judged(at_ms, value, RATED)

    assert endings(course) == [Ending.UNIT, Ending.UNIT]
    assert total(course) == pytest.approx(consumed, rel=1e-3)


def test_a_unit_that_changed_in_a_long_silence_is_told_by_the_pace(register: Register) -> None:
    at_ms, value = steady(standing=9_000.0)
    consumed = value[-1] - value[0]
    silent = slice(20 * 24, 34 * 24)
    value[34 * 24 :] = np.round(value[34 * 24 :] / 1000, 5)
    at_ms, value = np.delete(at_ms, silent), np.delete(value, silent)

    course = judged(at_ms, value, register)

    assert endings(course) == [Ending.UNIT]
    assert total(course) == pytest.approx(consumed, rel=1e-3)


def test_a_new_register_after_a_wrong_unit_is_read_in_its_own(register: Register) -> None:
    at_ms, value = steady()
    consumed = value[-1] - value[0]
    value[20 * 24 :] *= 1000
    value[40 * 24 :] = np.round(value[40 * 24 :] / 1000 - value[40 * 24] / 1000 + 7.0, 2)

    course = judged(at_ms, value, register)

    assert [epoch.multiplier for epoch in course.epochs] == [1.0, 0.001, 1.0]
    assert total(course) == pytest.approx(consumed, rel=2e-3)


def test_a_jump_beside_a_thousandfold_run_is_none_of_its_habits() -> None:
    at_ms, value = steady()
    consumed = value[-1] - value[0]
    value[20 * 24 : 23 * 24] *= 1000
    value[25 * 24 :] += 70_000

    course = judged(at_ms, value, Register())

    assert Ending.JUMP in endings(course)
    assert total(course) == pytest.approx(consumed, rel=2e-3)


def test_a_jump_soon_after_a_spike_is_seen(register: Register) -> None:
    at_ms, value = steady()
    consumed = value[-1] - value[0]
    value[500:502] *= 100
    value[510:] += 70_000

    course = judged(at_ms, value, register)

    assert endings(course) == [Ending.JUMP]
    assert [one.rule for one in course.dropped] == [Rule.SPIKE, Rule.SPIKE]
    assert total(course) == pytest.approx(consumed, rel=2e-3)


def test_a_register_does_not_begin_anew_where_it_stood(register: Register) -> None:
    at_ms, value = steady()
    consumed = value[-1] - value[0]
    value[500:505] += 300

    course = judged(at_ms, value, register)

    assert {one.rule for one in course.dropped} == {Rule.SPIKE}
    assert endings(course) == []
    assert total(course) == pytest.approx(consumed, abs=1e-6)


def test_a_meter_that_stands_elsewhere_for_days_until_the_end_is_another_one(
    register: Register,
) -> None:
    at_ms, value = steady()
    value[-5 * 24 :] = 90_000.0

    course = judged(at_ms, value, register)

    assert endings(course) == [Ending.JUMP]
    assert course.dropped == ()


def test_a_busy_hour_such_as_there_never_is_counts_where_the_register_goes_on() -> None:
    at_ms, value = steady(standing=900_000.0)
    value[700:] += 4_000
    consumed = value[-1] - value[0]

    course = judged(at_ms, value, Register())

    assert endings(course) == []
    assert total(course) == pytest.approx(consumed, abs=1e-6)


def test_an_idle_counter_does_not_count_its_whole_life_again_in_an_hour() -> None:
    at_ms = START_MS + np.arange(40 * 24) * HOUR_MS
    value = np.where(np.arange(len(at_ms)) < 500, 20_418.0, 118_282.6)
    value[:100] -= 0.2

    course = judged(at_ms, value, Register())

    assert endings(course) == [Ending.JUMP]
    assert total(course) == pytest.approx(0.2)


def test_a_silence_of_a_week_is_believed_by_the_habit_before_it_as_well() -> None:
    at_ms = START_MS + np.arange(40 * 24) * HOUR_MS
    load = np.where(np.arange(len(at_ms)) < 22 * 24, 90.0, 0.05)
    value = np.round(30_000 + np.cumsum(load), 2)
    silent = slice(12 * 24, 22 * 24)
    consumed = value[-1] - value[0]

    course = judged(np.delete(at_ms, silent), np.delete(value, silent), Register())

    assert endings(course) == []
    assert total(course) == pytest.approx(consumed, abs=1e-6)


def test_a_digit_of_a_coarse_register_is_not_above_the_rated_power() -> None:
    at_ms = START_MS + np.arange(10 * 1440) * 60_000
    value = np.floor(5_000 + np.arange(len(at_ms)) * 0.0505) * 1.0
    value[3000:6000] = np.round(value[3000:6000] / 1000, 3)

    course = judged(at_ms, value, Register(rated_per_hour=4 * PER_UNIT))

    assert Rule.UNIT in rules_of(course)
    assert Rule.SOFT_LIMIT not in rules_of(course)
