"""A simulated district, asked in memory: what belongs together must fit."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateways.library.folder import load_models
from gateways.reading.meter import build_meters
from gateways.simulator.district import build_simulation
from gateways.simulator.fault import read_fault
from gateways.simulator.load import HOUR_MS, ReplayedLoad
from gateways.strict import ContentInvalid
from metering.reading import Fault
from tests.fakes.clock import FakeClock

MODELS = load_models(Path(__file__).parents[3] / "config" / "meters")
URL = "tcp://127.0.0.1:15020"
NOON = 1_784_001_600_000  # 2026-07-14 12:00 +08:00, a Tuesday
DAY_MS = 24 * HOUR_MS


def meter(name, unit, model="eastron_sdm630_v2", *, parent=None, energy="01A00", **more):
    described = {"sector": "hospital", "parent": parent, "energy": energy, **more.pop("say", {})}
    return {"id": name, "unit": unit, "model": model, "describe": described, **more}


class District:
    """Reads simulated meters as a gateway would, without the network between."""

    def __init__(self, *entries, **simulation):
        bus = {"url": URL, "meters": list(entries)}
        self.clock = FakeClock(NOON)
        self.meters = {m.id: m for m in build_meters(bus, MODELS)}
        simulated = build_simulation([{"buses": [bus], "models": MODELS}], self.clock, **simulation)
        self.simulated = {m.id: m for bus in simulated.buses for m in bus.meters}

    def read(self, name, at_ms=NOON):
        real = self.meters[name]
        answers = [
            (b, self.simulated[name].answer(b.table, b.address, b.count, at_ms).words)
            for b in real.blocks
        ]
        return real.decoder.decode(answers)

    def values(self, name, at_ms=NOON):
        return self.read(name, at_ms).values


ELECTRIC = [m for m, content in MODELS.items() if content["measures"] == "electricity"]
BY_PHASE = [
    m
    for m in ELECTRIC
    if "active_power_l1_kw" in {line["quantity"] for line in MODELS[m]["registers"]}
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("direction", ["import", "export"])
def test_what_is_decoded_is_what_the_simulator_says_it_served(model, direction):
    ratio = {"ct": 40, "pt": 1, "applied_by": "gateway"}
    district = District(meter("m", 1, model, direction=direction, ratio=ratio))

    served = {}
    for table, address, count in district.simulated["m"].ranges:
        served |= district.simulated["m"].answer(table, address, count, NOON).values

    assert district.values("m") == served


@pytest.mark.parametrize("model", BY_PHASE)
def test_phases_sum_to_the_total(model):
    values = District(meter("m", 1, model)).values("m")

    phases = sum(values[f"active_power_l{phase}_kw"] for phase in (1, 2, 3))
    assert values["active_power_kw"] == pytest.approx(phases, abs=0.003)
    assert values["active_power_kw"] > 0


@pytest.mark.parametrize("model", ["eastron_sdm630_v2", "chint_dtsu666", "abb_b23_b24"])
def test_power_is_voltage_times_current_times_power_factor(model):
    values = District(meter("m", 1, model)).values("m")

    for phase in ("l1", "l2", "l3"):
        worked_out = (
            values[f"voltage_{phase}_v"]
            * values[f"current_{phase}_a"]
            * values[f"power_factor_{phase}"]
            / 1000
        )
        assert values[f"active_power_{phase}_kw"] == pytest.approx(worked_out, rel=0.005)


def test_a_single_phase_meter_carries_all_on_its_phase():
    values = District(meter("m", 1, "eastron_sdm120")).values("m")

    worked_out = values["voltage_l1_v"] * values["current_l1_a"] * values["power_factor"] / 1000
    assert values["active_power_kw"] == pytest.approx(worked_out, rel=1e-4)


def test_a_main_is_its_branches_and_one_to_three_percent():
    branches = [meter(f"b{unit}", unit, "schneider_iem3155", parent="main") for unit in (2, 3, 4)]
    district = District(meter("main", 1, "schneider_iem3155"), *branches)

    def increase(name):
        end, begin = district.values(name, NOON + 2 * DAY_MS), district.values(name)
        return end["energy_import_kwh"] - begin["energy_import_kwh"]

    behind = sum(increase(f"b{unit}") for unit in (2, 3, 4))
    assert 1.01 * behind - 0.01 <= increase("main") <= 1.03 * behind + 0.01


def test_a_counter_counts_the_power():
    district = District(meter("m", 1, "schneider_iem3155"))
    step_ms = 20_000
    powers = [
        district.values("m", NOON + at)["active_power_kw"]
        for at in range(step_ms // 2, HOUR_MS, step_ms)
    ]

    counted = (
        district.values("m", NOON + HOUR_MS)["energy_import_kwh"]
        - district.values("m")["energy_import_kwh"]
    )
    assert counted == pytest.approx(sum(powers) / len(powers), abs=0.003)


@pytest.mark.parametrize(
    ("model", "direction"),
    [
        ("eastron_sdm630_v2", "export"),
        ("sunspec_inverter_103", "import"),
        ("sunspec_inverter_103", "export"),
    ],
)
def test_what_the_sun_gives_is_export_however_it_is_measured(model, direction):
    district = District(meter("pv", 1, model, direction=direction, energy="13000"))
    day, next_day = district.values("pv"), district.values("pv", NOON + DAY_MS)

    assert day["active_power_kw"] < -1
    assert next_day["energy_export_kwh"] > day["energy_export_kwh"] + 10
    assert next_day.get("energy_import_kwh", 0) == day.get("energy_import_kwh", 0)


def test_heat_fits_flow_and_temperatures():
    january = NOON + 185 * DAY_MS
    values = District(meter("h", 1, "tuf2000m", energy="04000")).values("h", january)

    spread = values["supply_temperature_c"] - values["return_temperature_c"]
    assert values["heat_power_kw"] == pytest.approx(1.163 * values["flow_m3_h"] * spread, rel=1e-4)
    assert values["heat_power_kw"] > 10


def test_the_same_seed_is_the_same_district_and_another_is_another():
    entry = meter("m", 1)

    assert District(entry, seed=3).values("m") == District(entry, seed=3).values("m")
    assert District(entry, seed=3).values("m") != District(entry, seed=4).values("m")


def test_starting_again_later_does_not_set_a_counter_back():
    before = District(meter("m", 1)).values("m", NOON + 10 * DAY_MS)
    again = District(meter("m", 1))
    again.clock.pass_ms(10 * DAY_MS)

    assert again.values("m", NOON + 10 * DAY_MS) == before


def test_a_replay_is_counted_exactly_at_the_hours_end():
    hours = [12.34, 0.0, 45.67, None, 8.9]
    load = ReplayedLoad(NOON, hours)
    district = District(meter("m", 1, "abb_b23_b24"), replays={"m": load})

    ends = [district.values("m", NOON + hour * HOUR_MS) for hour in range(6)]

    counted = [values["energy_import_kwh"] for values in ends]
    assert counted == [0.0, 12.34, 12.34, 58.01, 58.01, 66.91]
    assert district.values("m", NOON + HOUR_MS // 2)["active_power_kw"] == 12.34
    assert district.simulated["m"].is_silent(NOON + 3 * HOUR_MS)


def test_sums_of_decimals_lose_no_step_of_the_register():
    district = District(meter("m", 1, "abb_b23_b24"), replays={"m": ReplayedLoad(NOON, [0.1] * 10)})

    ends = [district.values("m", NOON + hour * HOUR_MS) for hour in range(11)]

    counted = [values["energy_import_kwh"] for values in ends]
    assert counted == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def at(ms):
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def faulty(kind, model="schneider_iem3155", **more):
    fault = read_fault({"meter": "m", "kind": kind, **more})
    return District(meter("m", 1, model), faults=[fault])


def test_a_frozen_meter_keeps_what_it_showed():
    district = faulty("frozen", **{"from": at(NOON), "to": at(NOON + DAY_MS)})

    assert district.values("m", NOON + DAY_MS - 1) == district.values("m", NOON)
    assert district.values("m", NOON + DAY_MS) != district.values("m", NOON)


def test_a_reset_counter_begins_anew():
    district = faulty("reset", **{"from": at(NOON)})

    assert district.values("m", NOON - 1)["energy_import_kwh"] > 100
    assert district.values("m", NOON)["energy_import_kwh"] == 0
    assert 0 < district.values("m", NOON + HOUR_MS)["energy_import_kwh"] < 100


def test_a_rolled_counter_shows_the_rest():
    well = District(meter("m", 1, "schneider_iem3155")).values("m")["energy_import_kwh"]

    assert faulty("rollover", at=1000).values("m")["energy_import_kwh"] == pytest.approx(
        well % 1000, abs=0.002
    )


def test_a_narrow_register_rolls_over_by_itself():
    load = ReplayedLoad(NOON, [2.0**32 - 5, 10.0])
    district = District(meter("g", 1, "suto_s430_gas"), replays={"g": load})

    assert district.values("g", NOON + HOUR_MS)["volume_m3"] == 2**32 - 5
    assert district.values("g", NOON + 2 * HOUR_MS)["volume_m3"] == 5


def test_nan_is_a_fault_and_no_value():
    district = faulty("nan", "eastron_sdm630_v2", quantities=["active_power_kw"])
    decoded = district.read("m")

    assert decoded.fault == Fault.NOT_FINITE
    assert "active_power_kw" not in decoded.values
    assert "active_power_l1_kw" in decoded.values


def test_a_model_with_sentinels_shows_them_instead():
    assert faulty("nan", "abb_b23_b24").read("m").fault == Fault.SENTINEL


@pytest.mark.parametrize(
    ("entries", "more", "message"),
    [
        ([meter("a", 1, parent="b"), meter("b", 2, parent="a")], {}, "each other's parent"),
        ([meter("a", 1)], {"replays": {"x": ReplayedLoad(0, [])}}, "there is no meter 'x'"),
        (
            [meter("a", 1)],
            {"faults": [read_fault({"meter": "x", "kind": "silence"})]},
            "there is no meter 'x'",
        ),
    ],
)
def test_a_district_that_cannot_be_says_why(entries, more, message):
    with pytest.raises(ContentInvalid, match=message):
        District(*entries, **more)
