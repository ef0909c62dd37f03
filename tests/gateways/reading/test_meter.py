import pytest

from gateways.reading.meter import build_meters, read_bus
from gateways.reading.wiring import AppliedBy, Direction
from gateways.strict import ContentInvalid

MODEL = {
    "name": "M1",
    "maker": "Maker",
    "measures": "electricity",
    "confidence": "high",
    "sources": ["a document"],
    "table": "input",
    "registers": [
        {"address": 0, "quantity": "voltage_l1_v"},
        {"address": 90, "quantity": "active_power_kw"},
    ],
}


def bus(*meters, **more):
    return {"url": "tcp://127.0.0.1:502", "meters": list(meters), **more}


def entry(**more):
    return {"id": "e001-main", "model": "m1", "unit": 1, **more}


def test_a_meter_is_built_from_its_entry_and_its_model():
    ratio = {"ct": 80, "pt": 1, "applied_by": "gateway"}
    described = {"energy": "01000", "parent": None, "anything": {"else": 1}}
    (meter,) = build_meters(bus(entry(ratio=ratio, describe=described)), {"m1": MODEL})

    assert (meter.id, meter.unit, meter.model.name) == ("e001-main", 1, "Maker M1")
    assert [(block.address, block.count) for block in meter.blocks] == [(0, 2), (90, 2)]
    assert meter.wiring.ratio.ct == 80
    assert meter.wiring.ratio.applied_by is AppliedBy.GATEWAY


def test_the_order_of_the_cut_is_kept():
    meters = build_meters(bus(entry(id="b", unit=2), entry(id="a", unit=1)), {"m1": MODEL})

    assert [meter.id for meter in meters] == ["b", "a"]


def test_a_generator_is_never_turned():
    (meter,) = build_meters(bus(entry(direction="export")), {"m1": {**MODEL, "generator": True}})

    assert meter.wiring.direction is Direction.IMPORT


def test_a_cycle_has_a_default():
    read = read_bus(bus())

    assert (read.cycle_s, read.start_offset_s) == (60, None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            bus(entry(uint=2)),
            "cut: meters[0].uint: unknown key 'uint', did you mean 'unit'?",
        ),
        (bus(entry(), cycle=5), "cut: cycle: unknown key 'cycle', did you mean 'cycle_s'?"),
        (bus(entry(), cycle_s=0), "cut: cycle_s: at least 1 s, 0 came"),
        (
            bus(entry(), entry(id="e001-ahu3")),
            "cut: meters[1].unit: unit 1 is already e001-main's",
        ),
        (bus(entry(unit=256)), "cut: meters[0].unit: 0 to 255 are possible, 256 came"),
        (bus(entry(model="m2")), "cut: meters[0].model: unknown model 'm2', known: m1"),
        (bus(entry(ratio={"ct": 0})), "cut: meters[0].ratio: ct and pt must be above 0"),
        (bus(entry(options={"a": "b"})), "m1: options.a: unknown option 'a', known: "),
        (
            bus(entry(every_s={"voltage_l1_v": -1})),
            "cut: meters[0].every_s.voltage_l1_v: 0 (every cycle) or seconds are needed, -1 came",
        ),
        (
            bus(entry(every_s={"voltage_l9_v": 5})),
            "cut: meters[0].every_s: m1 has no 'voltage_l9_v', did you mean 'voltage_l1_v'?",
        ),
        (
            bus(entry(priority={"demand_kw": "low"})),
            "cut: meters[0].priority: m1 has no 'demand_kw', known: active_power_kw, voltage_l1_v",
        ),
        (
            bus(entry(priority={"voltage_l1_v": "urgent"})),
            "cut: meters[0].priority: invalid enum value 'urgent'",
        ),
    ],
)
def test_a_mistake_says_where_it_is(wrong, message):
    with pytest.raises(ContentInvalid) as caught:
        build_meters(wrong, {"m1": MODEL})

    assert str(caught.value) == message
