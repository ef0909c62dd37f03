"""A register and its meter's own power gauge: their ratio, by day and over the weeks."""

import numpy as np
import pytest
from msgspec import structs

from collector.gain.power import Bounds, Moved, PowerDays, power_days, ratio_of
from collector.intervals import GaugeWindows, Intervals
from collector.settle.cells import DAY_MS, Cells, Width
from collector.settle.rule import Rule, bit
from tests.fakes.households import START_MS

DAYS = 90
LAST_MS = START_MS + (DAYS - 1) * DAY_MS
BOUNDS = Bounds(change=0.05, off=0.1)


def days(
    times: np.ndarray | float = 1.0, *, noise: float = 0.01, step: float = 0.0, coarse: float = 0.0
) -> PowerDays:
    chance = np.random.default_rng(5)
    through = 240 * chance.uniform(0.5, 1.5, DAYS)
    return PowerDays(
        day_ms=START_MS + np.arange(DAYS) * DAY_MS,
        energy=through * times * chance.normal(1, noise, DAYS),
        through=through,
        coarse=np.full(DAYS, coarse),
        step=step,
    )


def moved(some: PowerDays, day_ms: int = LAST_MS) -> Moved:
    return ratio_of(some, day_ms, BOUNDS).moved


def came(share: float, since: int, within: int = 1) -> np.ndarray:
    return 1 + share * np.clip((np.arange(DAYS) - since + 1) / within, 0, 1)


@pytest.mark.parametrize("noise", [0.001, 0.02, 0.06])
def test_a_register_that_counts_what_the_power_says_is_steady(noise: float) -> None:
    some = days(noise=noise)

    assert {moved(some, day_ms) for day_ms in some.day_ms[20:].tolist()} == {Moved.STEADY}


@pytest.mark.parametrize("share", [-0.3, -0.15, 0.15, 0.4])
def test_a_register_that_drifts_is_found_with_how_much_and_since_when(share: float) -> None:
    ratio = ratio_of(days(came(share, 40, within=20)), LAST_MS, BOUNDS)

    assert ratio.moved is Moved.CHANGED
    assert ratio.usual == pytest.approx(1, abs=0.01)
    assert ratio.change == pytest.approx(share, abs=0.02)
    assert ratio.since_ms is not None
    assert abs(ratio.since_ms - (START_MS + 40 * DAY_MS)) <= 5 * DAY_MS


def test_a_gauge_that_was_always_somewhat_off_is_that_meters_own() -> None:
    assert moved(days(1.08)) is Moved.STEADY


def test_a_register_that_never_agreed_with_its_gauge_is_said_without_a_before() -> None:
    ratio = ratio_of(days(0.6), LAST_MS, BOUNDS)

    assert (ratio.moved, ratio.usual, ratio.since_ms) == (Moved.OFF, None, None)
    assert ratio.value == pytest.approx(0.6, abs=0.01)
    assert ratio.change == pytest.approx(-0.4, abs=0.01)


def test_a_change_that_is_known_is_held_against_what_was_before_it() -> None:
    some = days(came(-0.07, 20))
    recent = structs.replace(
        some,
        **{name: getattr(some, name)[-40:] for name in ("day_ms", "energy", "through", "coarse")},
    )

    assert ratio_of(recent, LAST_MS, BOUNDS).moved is Moved.STEADY
    assert ratio_of(some, LAST_MS, BOUNDS, START_MS + 20 * DAY_MS).moved is Moved.CHANGED


def test_two_odd_days_are_no_change() -> None:
    times = np.ones(DAYS)
    times[-4:-2] = 1.6

    assert moved(days(times)) is Moved.STEADY


def test_what_last_digits_may_make_is_no_change() -> None:
    assert moved(days(came(0.12, 50), coarse=24.0)) is Moved.STEADY
    assert moved(days(came(0.12, 50), step=150.0)) is Moved.STEADY
    assert moved(days(came(0.12, 50))) is Moved.CHANGED


def test_a_few_days_are_not_enough() -> None:
    some = days()

    assert moved(some, START_MS + 5 * DAY_MS) is Moved.UNTOLD
    assert moved(some, LAST_MS + 30 * DAY_MS) is Moved.UNTOLD


# ---- which days tell


def settled(quantity: str = "energy_import_kwh", kwh: float = 240.0) -> Intervals:
    count = 30
    return Intervals(
        meter="m",
        quantity=quantity,
        width=Width.DAY,
        version=np.ones(count, np.int64),
        cells=Cells(
            start_ms=START_MS + np.arange(count) * DAY_MS,
            value=np.full(count, round(kwh * 1e6), np.int64),
            known=np.ones(count, np.bool_),
            measured=np.ones(count),
            estimated=np.zeros(count),
            edited=np.zeros(count),
            missing=np.zeros(count),
            rules=np.zeros(count, np.int64),
        ),
    )


def gauge(mean: float = 10.0, *, count: int = 288, lowest: float = 2.0) -> GaugeWindows:
    days = 30
    return GaugeWindows(
        meter="m",
        quantity="active_power_kw",
        width=Width.DAY,
        start_ms=START_MS + np.arange(days) * DAY_MS,
        count=np.full(days, count),
        lowest=np.full(days, lowest),
        mean=np.full(days, mean),
        highest=np.full(days, 2 * mean - lowest),
    )


def test_a_days_share_is_energy_over_mean_power_times_hours() -> None:
    found = power_days(settled(kwh=216), gauge(), 0.0, 0.0)

    assert found.share(START_MS + 3 * DAY_MS) == pytest.approx(0.9)
    assert found.share(START_MS + 99 * DAY_MS) is None


def test_what_is_fed_into_the_grid_is_held_against_power_below_zero() -> None:
    found = power_days(settled("energy_export_kwh"), gauge(-10, lowest=-18), 0.0, 0.0)

    assert found.share(START_MS) == pytest.approx(1)


def test_heat_is_held_against_heat_power() -> None:
    days = settled("heat_energy_gj", kwh=0.864)

    assert power_days(days, gauge(), 0.0, 0.0).share(START_MS) == pytest.approx(1)


def test_days_on_which_power_ran_backwards_say_nothing() -> None:
    assert len(power_days(settled(), gauge(lowest=-1), 0.0, 0.0).day_ms) == 0


def test_a_gauge_that_is_read_each_hour_says_nothing() -> None:
    assert len(power_days(settled(), gauge(count=24), 0.0, 0.0).day_ms) == 0


def test_days_that_are_not_whole_or_in_doubt_say_nothing() -> None:
    days, power = settled(), gauge()
    days.cells.measured[3] = 0.5
    days.cells.rules[4] = bit(Rule.JUMP)
    days.cells.known[5] = False
    power.count[6] = 200

    found = power_days(days, power, 0.0, 0.0)

    assert sorted(set(days.cells.start_ms.tolist()) - set(found.day_ms.tolist())) == [
        START_MS + place * DAY_MS for place in (3, 4, 5, 6)
    ]


def test_days_before_the_meters_entry_are_another_meters() -> None:
    found = power_days(settled(), gauge(), 0.0, 0.0, since_ms=START_MS + 10 * DAY_MS)

    assert found.day_ms[0] == START_MS + 10 * DAY_MS


def test_order_of_days_plays_no_role_for_the_ones_before() -> None:
    some = days(came(-0.3, 40))
    order = np.concatenate((np.random.default_rng(1).permutation(40), np.arange(40, DAYS)))
    mixed = structs.replace(some, energy=some.energy[order], through=some.through[order])

    once, again = (ratio_of(one, LAST_MS, BOUNDS) for one in (some, mixed))

    assert once.change == pytest.approx(again.change, abs=0.01)
