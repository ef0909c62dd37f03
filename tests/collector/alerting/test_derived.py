"""Values made of a meter's own gauges, against figures worked out by hand."""

import pytest
from msgspec import structs

from collector.alerting.evaluate.derived import DERIVED, INPUTS, MADE
from collector.fleet.index import MeterEntry
from metering.quantity import QUANTITIES
from tests.fakes.alerting import START_MS
from tests.fakes.centre import example_fleet


def entry(**rated: float) -> MeterEntry:
    found = example_fleet().entry("e001-main", START_MS)
    assert found is not None
    return structs.replace(found, rated=rated)


def derived(name: str, /, rated: dict[str, float] | None = None, **values: float) -> float | None:
    derive = DERIVED[name].of(entry(**(rated or {})))
    return None if derive is None else derive(values)


def phases(a: float, b: float, c: float) -> dict[str, float]:
    return {"voltage_l1_v": a, "voltage_l2_v": b, "voltage_l3_v": c}


def lines(a: float, b: float, c: float) -> dict[str, float]:
    return {"voltage_l12_v": a, "voltage_l23_v": b, "voltage_l31_v": c}


# -- voltage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "percent"),
    [
        (phases(220, 220, 220), 0.0),
        (phases(235.4, 220, 220), 7.0),  # GB/T 12325: the upper limit of 220 V
        (phases(225, 198, 220), -10.0),  # and the lower one
        (lines(406.6, 380, 380), 7.0),
        ({"voltage_avg_v": 209.0}, -5.0),
        ({"voltage_l1_v": 5_773.5}, 0.0),  # behind a transformer, 10 kV
    ],
)
def test_the_deviation_is_that_of_the_phase_that_is_furthest_off(
    values: dict[str, float], percent: float
) -> None:
    assert derived("voltage_deviation_pct", **values) == pytest.approx(percent, abs=0.3)


def test_a_rated_voltage_is_the_nominal_one() -> None:
    rated = {"voltage_l1_v": 230.0}

    assert derived("voltage_deviation_pct", rated, voltage_l1_v=241.5) == pytest.approx(5.0)


def test_without_a_supply_there_is_no_deviation() -> None:
    assert derived("voltage_deviation_pct", **phases(0, 0, 0)) is None
    assert derived("voltage_deviation_pct", active_power_kw=3.0) is None


@pytest.mark.parametrize(
    ("values", "percent"),
    [
        (lines(380, 380, 380), 0.0),
        # Positive sequence 380, negative 7.6 (2 %), in phase at the first: |1 + 0.02 a^k|.
        (lines(387.6, 376.258, 376.258), 2.0),
        (phases(220, 220, 220), 0.0),
    ],
)
def test_the_unbalance_is_negative_against_positive_sequence(
    values: dict[str, float], percent: float
) -> None:
    assert derived("voltage_unbalance_pct", **values) == pytest.approx(percent, abs=0.002)


def test_voltages_between_phases_are_taken_before_those_to_neutral() -> None:
    values = lines(380, 380, 380) | phases(250, 220, 190)

    assert derived("voltage_unbalance_pct", **values) == pytest.approx(0.0, abs=1e-4)


def test_of_two_phases_no_unbalance_can_be_told() -> None:
    assert derived("voltage_unbalance_pct", voltage_l1_v=220.0, voltage_l2_v=230.0) is None
    assert derived("voltage_unbalance_pct", **phases(0, 0, 0)) is None


# -- current and load ----------------------------------------------------------------------------


def currents(a: float, b: float, c: float) -> dict[str, float]:
    return {"current_l1_a": a, "current_l2_a": b, "current_l3_a": c}


def test_the_unbalance_of_currents_is_largest_less_smallest_by_largest() -> None:
    assert derived("current_unbalance_pct", **currents(100, 80, 75)) == pytest.approx(25.0)
    assert derived("current_unbalance_pct", **currents(-100, -80, -75)) == pytest.approx(25.0)


def test_where_next_to_nothing_flows_there_is_no_unbalance() -> None:
    rated = {"current_l1_a": 400.0}

    assert derived("current_unbalance_pct", **currents(4.9, 0, 0)) is None
    assert derived("current_unbalance_pct", rated, **currents(39, 0, 0)) is None
    assert derived("current_unbalance_pct", rated, **currents(41, 0, 0)) == 100.0


def test_the_load_is_the_largest_share_of_what_is_rated() -> None:
    rated = {"apparent_power_kva": 630.0, "current_l1_a": 1000.0}

    share = derived("load_share", rated, apparent_power_kva=504.0, current_l1_a=900.0)
    assert share == pytest.approx(0.9)
    assert derived("load_share", rated, apparent_power_kva=504.0) == pytest.approx(0.8)
    assert derived("load_share", rated, frequency_hz=50.0) is None


def test_without_a_rated_value_there_is_no_load() -> None:
    assert derived("load_share", {}, apparent_power_kva=504.0) is None


# -- what a meter does not say itself --------------------------------------------------------------


def test_apparent_power_and_power_factor_are_made_where_they_are_not_read() -> None:
    values = {"active_power_kw": 80.0, "reactive_power_kvar": 60.0}

    assert MADE["apparent_power_kva"](entry())(values) == pytest.approx(100.0)
    assert MADE["power_factor"](entry())(values) == pytest.approx(0.8)
    assert MADE["power_factor"](entry())(values | {"apparent_power_kva": 160.0}) == 0.5


def test_without_load_there_is_no_power_factor() -> None:
    values = {"active_power_kw": 0.01, "reactive_power_kvar": 0.3}

    assert MADE["power_factor"](entry())(values) is None
    assert MADE["power_factor"](entry())({"active_power_kw": 5.0}) is None


def test_every_input_is_a_quantity_and_no_derived_name_is_one() -> None:
    assert set(QUANTITIES) >= INPUTS
    assert not DERIVED.keys() & QUANTITIES.keys()
    assert set(QUANTITIES) >= MADE.keys()
