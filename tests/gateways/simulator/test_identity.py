"""Who a simulated device says it is, and what it answers whatever the plan."""

from pathlib import Path

import pytest

from gateways.library.folder import load_models
from gateways.reading.meter import build_meters
from gateways.reading.plan import plan_blocks
from gateways.simulator.district import build_simulation
from gateways.simulator.fault import read_fault
from gateways.simulator.load import HOUR_MS
from gateways.strict import ContentInvalid
from tests.fakes.clock import FakeClock

MODELS = load_models(Path(__file__).parents[3] / "config" / "meters")
NOON = 1_784_001_600_000
BASE = MODELS["eastron_sdm630_v2"]
IDENTITY = {
    "serial": {"address": 0xFC00, "format": "uint32", "table": "holding"},
    "firmware": {"address": 0xFC04, "registers": 3, "table": "holding", "expect": ["1.27"]},
    "device": {"address": 0xFC02, "format": "uint16", "table": "holding", "expect": [113]},
}


def simulated(identity=IDENTITY, faults=(), describe=None, **model):
    entry = {"id": "m", "unit": 1, "model": "x", "describe": describe or {}}
    models = {"x": BASE | {"identity": identity} | model}
    cut = {"buses": [{"url": "tcp://127.0.0.1:15020", "meters": [entry]}], "models": models}
    read = [read_fault({"meter": "m", **fault}) for fault in faults]
    ((bus),) = build_simulation([cut], FakeClock(NOON), faults=read).buses
    (meter,) = build_meters(cut["buses"][0], models)
    return bus.meters[0], meter


def words(meter, name="serial", at_ms=NOON):
    line = IDENTITY[name] if isinstance(name, str) else name
    count = line.get("registers") or int(line["format"][-2:]) // 16
    table = "holding"
    assert meter.has(table, line["address"], count)
    return meter.answer(table, line["address"], count, at_ms).words


def serial(meter, at_ms=NOON):
    high, low = words(meter, "serial", at_ms)
    return high << 16 | low


def test_a_device_has_a_serial_number_of_its_own_that_stays():
    first, again = (simulated()[0] for _ in range(2))

    assert serial(first) == serial(again)
    assert 1_000_000 <= serial(first) < 10_000_000


def test_the_fleet_may_say_the_serial_number():
    meter, _ = simulated(describe={"serial": 20_231_177})

    assert serial(meter) == 20_231_177


def test_a_device_answers_what_its_model_expects():
    meter, _ = simulated()

    assert words(meter, "device") == [113]
    assert words(meter, "firmware") == [0x312E, 0x3237, 0x0000]  # "1.27"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"registers": 2}, [0x4B31, 0x3233]),
        ({"registers": 3}, [0x4B31, 0x3233, 0]),
        ({"format": "uint32", "word_order": "low_first"}, [0xE240, 0x0001]),
        ({"format": "float32"}, [0x47F1, 0x2000]),
        ({"format": "uint64"}, [0, 0, 0x1, 0xE240]),
    ],
)
def test_a_serial_number_is_text_or_any_number(line, expected):
    said = "K123" if "registers" in line else "123456"
    field = {"address": 0xFC00, "table": "holding", **line}

    meter, _ = simulated({"serial": field}, describe={"serial": said})

    assert words(meter, field) == expected


@pytest.mark.parametrize("line", [{"registers": 2}, {"format": "uint16"}, {"format": "int16"}])
def test_a_made_up_serial_number_fits_into_its_registers(line):
    field = {"address": 0xFC00, "table": "holding", **line}

    meter, _ = simulated({"serial": field})

    assert any(words(meter, field))


@pytest.mark.parametrize(
    ("line", "said", "message"),
    [
        ({"format": "uint16"}, "70000", "m: serial '70000' does not fit into uint16"),
        ({"format": "uint32"}, "K123", "m: serial 'K123' does not fit into uint32"),
        ({"registers": 1}, "K123", "m: serial 'K123' does not fit into 2 characters"),
        ({"registers": 4}, "表1", "m: serial '表1' does not fit into 8 characters"),
    ],
)
def test_a_serial_number_that_does_not_fit_is_named(line, said, message):
    field = {"address": 0xFC00, "table": "holding", **line}

    with pytest.raises(ContentInvalid) as caught:
        simulated({"serial": field}, describe={"serial": said})

    assert str(caught.value) == f"simulation: {message}"


def at(ms):
    return FakeClock(ms) and f"2026-07-14T{12 + (ms - NOON) // HOUR_MS:02}:00:00+08:00"


def counted(meter, at_ms):
    return meter.answer("input", 72, 2, at_ms).values["energy_import_kwh"]


def test_a_replaced_device_has_another_serial_number_and_counts_from_where_it_says():
    replacement = {"kind": "replacement", "from": at(NOON + HOUR_MS), "at": 17.5}
    meter, _ = simulated(faults=[replacement])
    then = NOON + HOUR_MS

    assert serial(meter, then - 1) != serial(meter, then)
    assert serial(meter, then) == serial(meter, then + 10 * HOUR_MS)
    assert counted(meter, then - 1) > 100
    assert counted(meter, then) == 17.5
    assert 17.5 < counted(meter, then + HOUR_MS) < 117.5


def test_a_replacement_may_say_its_serial_number_and_be_replaced_in_turn():
    faults = [
        {"kind": "replacement", "from": at(NOON), "serial": "1111111"},
        {"kind": "replacement", "from": at(NOON + HOUR_MS), "serial": "2222222", "at": 3},
    ]
    meter, _ = simulated(faults=faults)

    assert [serial(meter, NOON + hour * HOUR_MS) for hour in (0, 1)] == [1_111_111, 2_222_222]
    assert counted(meter, NOON + HOUR_MS) == 3.0


def test_a_reset_after_a_replacement_begins_at_nought():
    faults = [
        {"kind": "replacement", "from": at(NOON), "at": 500},
        {"kind": "reset", "from": at(NOON + HOUR_MS)},
    ]
    meter, _ = simulated(faults=faults)

    assert counted(meter, NOON) == 500
    assert counted(meter, NOON + HOUR_MS) == 0


def test_a_spike_is_a_factor_on_what_it_names():
    spike = {"kind": "spike", "factor": 100, "quantities": ["voltage_l1_v"]}
    spiked, well = simulated(faults=[spike])[0], simulated()[0]

    values, usual = (m.answer("input", 0, 4, NOON).values for m in (spiked, well))

    assert values["voltage_l1_v"] == pytest.approx(100 * usual["voltage_l1_v"])
    assert values["voltage_l2_v"] == usual["voltage_l2_v"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_every_plan_of_a_part_of_the_registers_is_answered(model, step):
    content = MODELS[model]
    identity = {"serial": {"address": 0xFC00, "format": "uint32", "table": "holding"}}
    meter, real = simulated(**(content | {"identity": identity}))

    for start in range(step):
        due = real.model.registers[start::step]
        for block in plan_blocks(due, real.model.limits, real.model.fill):
            assert meter.has(block.table, block.address, block.count), block
            assert block.count <= meter.longest


def test_what_lies_outside_is_refused():
    meter, _ = simulated()
    table = "holding"

    assert meter.ranges[0][:2] == (table, 0xFC00)
    assert not meter.has(table, 0xFBFF, 2)
    assert not meter.has("input", 0xFC00, 2)
    assert meter.has(table, 0xFC04, 4)  # three of them, but this meter is read in even numbers
    assert not meter.has(table, 0xFC04, 5)


def test_the_holes_between_identity_and_registers_are_answered_with_noughts():
    field = {"address": 356, "format": "uint16", "table": "input"}  # the registers end at 351
    near, far = (simulated({"device": field}, fill=fill)[0] for fill in (4, 3))

    assert near.has("input", 350, 8)
    assert not far.has("input", 350, 8)
    assert near.answer("input", 352, 5, NOON).words == [0, 0, 0, 0, 1]
