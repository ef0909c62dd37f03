"""How an installer says quantities, values and faults."""

import pytest

from gateways.commission.words import advice, spoken
from metering.quantity import QUANTITIES
from metering.reading import Fault
from metering.words import chinese


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_has_a_chinese_name_of_its_own(quantity):
    names = [chinese(each) for each in QUANTITIES]

    assert not any(letter.isascii() and letter.islower() for letter in chinese(quantity))
    assert names.count(chinese(quantity)) == 1


def test_names_are_those_of_the_trade():
    assert chinese("frequency_hz") == "频率"
    assert chinese("voltage_l12_v") == "AB线电压"
    assert chinese("energy_import_l2_kwh") == "B相正向有功电能"
    assert chinese("supply_temperature_c") == "供水温度"


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        ("voltage_l1_v", 230.43, "230.4 V"),
        ("frequency_hz", 50.018, "50.02 Hz"),
        ("power_factor", 0.95, "0.950"),
        ("active_power_kw", -12.5, "-12.500 kW"),
        ("energy_import_kwh", 123456.784, "123456.784 kWh"),
        ("voltage_l1_v", 2.3e27, "2.3e+27 V"),
        ("current_l1_a", 3e-41, "3e-41 A"),
        ("current_l1_a", 0.0, "0.000 A"),
    ],
)
def test_a_value_is_said_with_its_unit(quantity, value, text):
    assert spoken(quantity, value) == text


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_says_what_to_check(fault):
    assert "：" in advice(fault)


def test_an_exception_is_explained_by_its_code():
    assert advice(Fault.EXCEPTION, 2) == (
        "表拒绝：没有此地址（异常码 2）：型号不符？查型号，或用 nenghao meter probe"
    )
    assert advice(Fault.EXCEPTION, 99) == "表拒绝：异常码 99：查说明书"
