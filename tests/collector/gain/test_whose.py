"""Whose counting changed: the right meter, its size and its day; nothing where nothing did."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from collector.gain.hours import FamilyHours
from collector.gain.whose import Gain, Standing, gains_of
from collector.settle.cells import DAY_MS
from tests.fakes.households import MAIN, Household, load

LEAST = 0.1


def changed(hours: FamilyHours, known_ms: int | None = None) -> list[Gain]:
    found = gains_of(hours, LEAST, known_ms)
    return [one for one in found if one.standing is Standing.CHANGED]


def standings(hours: FamilyHours) -> dict[str, Standing]:
    return {one.meter: one.standing for one in gains_of(hours, LEAST)}


@pytest.mark.parametrize("times", [0.7, 0.8, 1.2, 1.35])
def test_a_sub_meter_that_comes_to_count_otherwise_is_named_with_how_much_and_since_when(
    times: float,
) -> None:
    house = Household(40, 30, 20)
    house.counts(2, times, 50, within=14)

    (one,) = changed(house.hours())

    assert (one.meter, one.other) == ("s1", None)
    assert abs(one.change - (times - 1)) <= 3 * one.error
    assert one.error < 0.035
    assert one.since_ms is not None
    assert abs(one.since_ms - house.day_ms(50)) <= 7 * DAY_MS


@pytest.mark.parametrize("times", [0.8, 1.25])
def test_a_main_that_comes_to_count_otherwise_is_told_from_its_sub_meters(times: float) -> None:
    house = Household(40, 30, 20)
    house.counts(0, times, 50, within=14)

    (one,) = changed(house.hours())

    assert (one.meter, one.other) == (MAIN, None)
    assert one.change == pytest.approx(times - 1, abs=0.03)


@pytest.mark.parametrize("seed", range(8))
def test_meters_that_count_as_they_did_are_steady(seed: int) -> None:
    house = Household(40, 30, 20, seed=seed + 10)

    assert set(standings(house.hours()).values()) == {Standing.STEADY}


@pytest.mark.parametrize("times", [0.4, 2.0])
def test_a_load_that_doubles_or_halves_is_no_change_of_counting(times: float) -> None:
    house = Household(40, 30, 20)
    house.subs[1][50:] *= times

    assert changed(house.hours()) == []


@pytest.mark.parametrize("times", [0.5, 1.5, 2.0])
def test_an_unmetered_rest_that_grows_or_shrinks_is_no_change_of_counting(times: float) -> None:
    house = Household(40, 30, 20)
    house.rest[50:] *= times

    assert changed(house.hours()) == []


def test_holidays_that_all_meters_keep_together_are_no_change_of_counting() -> None:
    house = Household(40, 30, 20)
    for energy in (*house.subs, house.rest):
        energy[75:80] *= 0.3

    assert changed(house.hours()) == []


def test_a_meter_whose_load_hardly_varies_cannot_be_told() -> None:
    house = Household(40, 30, 20)
    house.subs[2][:] = 20.0
    house.counts(3, 1.3, 50)

    hours = house.hours(step=0.1)

    assert standings(hours)["s2"] is Standing.UNTOLD
    assert changed(hours) == []


def test_of_two_that_vary_alike_both_are_named() -> None:
    house = Household(60, 25, rest=8)
    house.subs[1] = load(25, house.days, 7, wild=0.01)
    house.counts(1, 0.75, 50)

    (one,) = changed(house.hours(step=0.1))

    assert {one.meter, one.other} == {MAIN, "s0"}


def test_with_one_sub_meter_it_may_always_be_the_main() -> None:
    house = Household(60)
    house.counts(1, 0.75, 50)

    (one,) = changed(house.hours())

    assert {one.meter, one.other} == {MAIN, "s0"}


def test_a_change_is_said_when_a_week_ago_the_same_would_have_been_found() -> None:
    house = Household(40, 30, 20)
    house.counts(2, 0.7, 60)

    first = next(days for days in range(64, 98) if changed(house.hours().between(0, days)))

    assert 70 <= first <= 82


def test_less_than_ten_weeks_say_nothing() -> None:
    house = Household(40, 30, 20, days=62)
    house.counts(2, 0.6, 30)

    assert set(standings(house.hours()).values()) == {Standing.UNTOLD}


def test_a_change_that_is_known_is_found_for_as_long_as_it_lasts() -> None:
    house = Household(40, 30, 20, days=250)
    house.counts(2, 0.75, 60)
    hours = house.hours()

    assert changed(hours.between(152, 250)) == []
    (one,) = changed(hours, house.day_ms(60))
    assert one.meter == "s1"
    assert one.change == pytest.approx(-0.25, abs=0.03)


def test_a_meter_that_was_put_right_is_no_longer_found() -> None:
    house = Household(40, 30, 20, days=200)
    house.counts(2, 0.75, 60)
    house.factors[2, 165:] = 1.0

    assert changed(house.hours(), house.day_ms(60)) == []


def test_hours_that_are_not_there_are_not_missed_as_energy() -> None:
    house = Household(40, 30, 20)
    house.counts(2, 0.75, 50)
    hours = house.hours()
    gone = np.random.default_rng(3).random(hours.there.shape) < 0.1
    hours = structs.replace(
        hours, there=hours.there & ~gone, energy=np.where(gone, 0.0, hours.energy)
    )

    (one,) = changed(hours)

    assert one.meter == "s1"
    assert one.change == pytest.approx(-0.25, abs=0.03)


@pytest.mark.parametrize("seed", range(4))
def test_coarse_registers_of_a_growing_load_are_no_change_of_counting(seed: int) -> None:
    house = Household(4, 3, 2, rest=1, seed=seed + 30)
    house.subs[0][50:] *= 2.5

    assert changed(house.hours(step=1.0)) == []


@settings(max_examples=10, deadline=None)
@given(times=st.floats(1e-3, 1e3), seed=st.integers(0, 50))
def test_the_unit_plays_no_role(times: float, seed: int) -> None:
    house = Household(40, 30, 20, seed=seed)
    house.counts(2, 0.75, 50)
    hours = house.hours()

    once = gains_of(hours, LEAST)
    again = gains_of(structs.replace(hours, energy=hours.energy * times), LEAST)

    assert [(one.meter, one.standing) for one in once] == [
        (one.meter, one.standing) for one in again
    ]
    assert [one.change for one in once] == pytest.approx([one.change for one in again], abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(order=st.permutations([0, 1, 2]), seed=st.integers(0, 50))
def test_the_order_of_sub_meters_plays_no_role(order: list[int], seed: int) -> None:
    house = Household(40, 30, 20, seed=seed)
    house.counts(2, 0.75, 50)
    hours = house.hours()
    other = structs.replace(
        hours,
        subs=tuple(hours.subs[place] for place in order),
        energy=hours.energy[[0, *(place + 1 for place in order)]],
    )

    once = {one.meter: one.standing for one in gains_of(hours, LEAST)}
    again = {one.meter: one.standing for one in gains_of(other, LEAST)}

    assert once == again
