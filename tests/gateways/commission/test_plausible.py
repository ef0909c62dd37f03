"""What speaks for and against the values of a meter."""

import pytest

from gateways.commission.coherence import Earlier
from gateways.commission.plausible import judge

THREE_PHASE = {
    "voltage_l1_v": 231.0,
    "voltage_l2_v": 229.5,
    "voltage_l3_v": 230.2,
    "voltage_l12_v": 398.8,
    "voltage_l23_v": 398.0,
    "voltage_l31_v": 399.4,
    "current_l1_a": 10.0,
    "current_l2_a": 12.0,
    "current_l3_a": 8.0,
    "power_factor_l1": 0.95,
    "power_factor_l2": 0.9,
    "power_factor_l3": 0.99,
    "active_power_l1_kw": 2.1945,
    "active_power_l2_kw": 2.4786,
    "active_power_l3_kw": 1.8232,
    "active_power_kw": 6.4963,
    "apparent_power_kva": 6.9,
    "power_factor": 0.942,
    "frequency_hz": 50.02,
    "energy_import_kwh": 123_456.78,
    "energy_export_kwh": 0.0,
    "energy_total_kwh": 123_456.78,
}
HEAT = {
    "flow_m3_h": 12.0,
    "supply_temperature_c": 55.0,
    "return_temperature_c": 45.0,
    "temperature_difference_k": 10.0,
    "heat_power_kw": 139.6,
    "heat_energy_gj": 812.5,
    "volume_m3": 22_000.0,
}


def doubts(values, *args, **more):
    return [reason.text for reason in judge(values, *args, **more).doubts]


def changed(**values):
    return {**THREE_PHASE, **values}


def test_a_right_reading_has_no_doubts_and_scores_high():
    judged = judge(THREE_PHASE)

    assert judged.doubts == ()
    assert judged.is_plausible
    assert judged.score > 0.85


def test_heat_that_fits_flow_and_temperatures_has_no_doubts():
    judged = judge(HEAT)

    assert judged.doubts == ()
    assert judged.score > 0.6


def test_little_evidence_never_looks_sure():
    assert judge({"frequency_hz": 50.0}).score < 0.5
    assert judge({"volume_m3": 100.0}).score < 0.15


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"frequency_hz": 0.5}, "频率 0.50 Hz，应为 50 Hz 左右"),
        ({"voltage_l1_v": 23.1}, "A相电压 23.1 V，应为 230 V 左右"),
        ({"voltage_l2_v": 2.3e27}, "B相电压 2.3e+27 V 超出 0–50000 V"),
        ({"power_factor": 95.0}, "功率因数 95.000 超出 -1.01–1.01"),
        ({"current_l1_a": 3.1e-41}, "A相电流 3.1e-41 A 小得不像测量值"),
        (
            {"active_power_kw": 64.963},
            "三相有功之和 ≠ 总有功：算得 6.496 kW，读到 64.963 kW",
        ),
        (
            {"active_power_l2_kw": 0.248},
            "B相 U×I×功率因数 ≠ 有功：算得 2.479 kW，读到 0.248 kW",
        ),
        ({"energy_import_kwh": 3e9}, "正向有功电能 3e+09 kWh 大得不像计数"),
        (
            {"energy_total_kwh": 99.0},
            "总电能 ≠ 正反向电能之和：算得 123456.780 kWh，读到 99.000 kWh",
        ),
    ],
)
def test_a_value_that_cannot_be_is_called_out_with_its_number(values, text):
    judged = judge(changed(**values))

    assert text in [reason.text for reason in judged.doubts]
    assert judged.score < judge(THREE_PHASE).score


def test_line_voltages_have_to_fit_the_phase_voltages():
    wrong = changed(voltage_l12_v=360.0, voltage_l23_v=352.0, voltage_l31_v=350.0)

    assert doubts(wrong) == ["线电压 ≠ √3×相电压：算得 398.8 V，读到 354.0 V"]


def test_nothing_but_zeros_is_no_reading():
    judged = judge(dict.fromkeys(THREE_PHASE, 0.0))

    assert "所有数值都是 0" in [reason.text for reason in judged.doubts]
    assert judged.score == 0
    assert not judged.is_plausible


def test_no_values_at_all_are_implausible():
    assert doubts({}) == ["没有任何数值"]
    assert not judge({}).is_plausible


def test_no_voltage_at_all_is_implausible_however_right_the_rest():
    dead = changed(voltage_l1_v=0.0, voltage_l2_v=0.0, voltage_l3_v=0.0)

    judged = judge(dead)

    assert "A相电压 0.0 V，应为 230 V 左右" in [reason.text for reason in judged.doubts]
    assert not judged.is_plausible


def test_a_phase_that_is_not_connected_is_told_and_is_no_fault():
    single = changed(voltage_l2_v=0.0, voltage_l3_v=0.0)

    judged = judge(
        {name: single[name] for name in ("voltage_l1_v", "voltage_l2_v", "frequency_hz")}
    )

    assert [reason.text for reason in judged.doubts] == ["B相电压 0.0 V：该相未接？"]
    assert judged.is_plausible


def test_a_building_at_rest_is_plausible():
    rest = {"current_l1_a": 0.0, "active_power_kw": 0.0, "power_factor": 0.0}

    assert judge({"voltage_l1_v": 230.0, "frequency_hz": 50.0, **rest}).doubts == ()


def test_voltages_behind_transformers_are_judged_before_them():
    primary = {"voltage_l1_v": 4_600.0, "voltage_l12_v": 7_960.0}

    assert doubts(primary, pt=20) == []
    assert doubts(primary) == [
        "A相电压 4600.0 V，应为 230 V 左右",
        "AB线电压 7960.0 V，应为 400 V 左右",
    ]
    assert doubts({"voltage_l1_v": 57_800.0}, pt=100) == [
        "A相电压 57800.0 V 超出 0–50000 V",
        "A相电压 57800.0 V，应为 23000 V 左右",
    ]


def test_given_power_fits_the_current_as_well_as_taken_power():
    given = {f"active_power_l{n}_kw": -THREE_PHASE[f"active_power_l{n}_kw"] for n in (1, 2, 3)}

    assert doubts(changed(**given, active_power_kw=-6.4963)) == []


def test_a_counter_that_rises_speaks_for_the_reading():
    before = Earlier(values=changed(energy_import_kwh=123_456.76), elapsed_s=10)

    judged = judge(THREE_PHASE, before)

    assert "10 s 内 正向有功电能 增加 0.020 kWh" in [r.text for r in judged.reasons if r.good]
    assert judged.score > judge(THREE_PHASE).score


def test_what_is_given_is_counted_as_well_as_what_is_taken():
    given = {"active_power_kw": -600.0, "energy_export_kwh": 1_001.6}
    before = Earlier(values={"energy_export_kwh": 1_000.0}, elapsed_s=10)

    assert doubts(given, before) == []


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (123_460.0, "10 s 内 正向有功电能 减少 3.220 kWh"),
        (122_801.42, "10 s 内 正向有功电能 增加 655.360 kWh，功率只有 6.496 kW"),
    ],
)
def test_a_counter_that_falls_or_leaps_speaks_against_it(before, text):
    earlier = Earlier(values=changed(energy_import_kwh=before), elapsed_s=10)

    assert text in doubts(THREE_PHASE, earlier)


def test_a_counter_that_stands_still_says_nothing():
    same = Earlier(values=dict(THREE_PHASE), elapsed_s=10)

    assert judge(THREE_PHASE, same) == judge(THREE_PHASE)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"temperature_difference_k": 25.0},
            "供回水温差 ≠ 供水−回水：算得 10.0 K，读到 25.0 K",
        ),
        ({"heat_power_kw": 1396.0}, "流量×温差 ≠ 热功率：算得 139.560 kW，读到 1396.000 kW"),
        ({"supply_temperature_c": 550.0}, "供水温度 550.0 °C 超出 -50–250 °C"),
    ],
)
def test_heat_that_contradicts_itself_is_called_out(values, text):
    assert text in doubts({**HEAT, **values})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"temperature_c": -50.0}, "温度 -50.0 °C，常见为 -35–80"),
        ({"pressure_kpa": 90_000.0}, "压力 90000.0 kPa，常见为 1–4000"),
        ({"return_temperature_c": 180.0}, "回水温度 180.0 °C，常见为 0.5–130"),
    ],
)
def test_what_no_plant_room_knows_is_doubted(values, text):
    assert text in doubts(values)
    assert doubts({"temperature_c": 20.0, "pressure_kpa": 600.0}) == []


def test_direct_current_has_to_fit_its_power():
    right = {"dc_voltage_v": 620.0, "dc_current_a": 10.0, "dc_power_kw": 6.2}

    assert doubts(right) == []
    assert doubts({**right, "dc_power_kw": 62.0}) == [
        "直流 U×I ≠ 直流功率：算得 6.200 kW，读到 62.000 kW"
    ]
