from fractions import Fraction
from pathlib import Path

import pytest

from gateways.library.file import read_model
from gateways.library.folder import load_models
from gateways.library.model import Format, Part, Register, Table, WordOrder
from gateways.reading.wiring import AppliedBy, Direction, Ratio, Wiring, factor, name_behind
from metering.quantity import QUANTITIES

MODELS = load_models(Path(__file__).parents[3] / "config" / "meters")
BOTH = Wiring(ratio=Ratio(ct=80, pt=100, applied_by=AppliedBy.GATEWAY))


def register(quantity, *, ratio=True):
    part = Part(address=0, format=Format.FLOAT32, word_order=WordOrder.HIGH_FIRST)
    return Register(
        quantity=quantity, table=Table.INPUT, parts=(part,), scale=Fraction(1), ratio=ratio
    )


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("current_l1_a", 80),
        ("current_n_a", 80),
        ("voltage_l1_v", 100),
        ("voltage_l12_v", 100),
        ("active_power_kw", 8000),
        ("reactive_power_l2_kvar", 8000),
        ("apparent_power_kva", 8000),
        ("demand_kw", 8000),
        ("energy_import_kwh", 8000),
        ("reactive_energy_kvarh", 8000),
        ("power_factor", 1),
        ("frequency_hz", 1),
        ("voltage_thd_l1_pct", 1),
        ("current_thd_l1_pct", 1),
        ("dc_current_a", 1),
        ("dc_voltage_v", 1),
        ("dc_power_kw", 1),
        ("heat_power_kw", 1),
        ("heat_energy_gj", 1),
        ("volume_m3", 1),
        ("flow_m3_h", 1),
    ],
)
def test_a_ratio_multiplies_only_what_its_transformers_carry(quantity, expected):
    assert factor(register(quantity), BOTH) == expected


def test_a_ratio_that_the_meter_applied_is_not_applied_again():
    applied = Wiring(ratio=Ratio(ct=80, pt=100, applied_by=AppliedBy.METER))

    assert factor(register("active_power_kw"), applied) == 1


def test_a_register_that_is_primary_already_keeps_its_value():
    assert factor(register("active_power_kw", ratio=False), BOTH) == 1


@pytest.mark.parametrize(
    ("quantity", "sign"),
    [
        ("active_power_kw", -1),
        ("active_power_l3_kw", -1),
        ("reactive_power_kvar", -1),
        ("power_factor_l1", -1),
        ("demand_kw", -1),
        ("apparent_power_kva", 1),
        ("current_l1_a", 1),
        ("voltage_l1_v", 1),
        ("energy_import_kwh", 1),
        ("dc_power_kw", 1),
    ],
)
def test_a_turned_meter_changes_the_sign_of_what_has_a_direction(quantity, sign):
    assert factor(register(quantity), Wiring(direction=Direction.EXPORT)) == sign


def test_on_a_turned_meter_import_and_export_change_places():
    turned = {q: name_behind(q, Direction.EXPORT) for q in QUANTITIES}

    assert turned["energy_import_kwh"] == "energy_export_kwh"
    assert turned["energy_export_kwh"] == "energy_import_kwh"
    assert turned["reactive_energy_kvarh"] == "reactive_energy_export_kvarh"
    assert turned["reactive_energy_export_kvarh"] == "reactive_energy_kvarh"
    assert turned["energy_total_kwh"] == "energy_total_kwh"
    assert turned["energy_import_l1_kwh"] is None


def test_turning_never_gives_one_name_to_two_registers():
    names = [n for q in QUANTITIES if (n := name_behind(q, Direction.EXPORT))]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("model", MODELS)
def test_positive_is_import_from_the_grid_in_every_model(model):
    read = read_model(model, MODELS[model])

    for each in read.registers:
        if each.quantity.startswith("active_power"):
            assert (each.scale < 0) == read.generator
        if each.quantity == "energy_import_kwh":
            assert not read.generator
