"""Everything that is wrong with a cut, at once."""

import pytest

from gateways.commission.cut import check_cut
from tests.gateways.commission.bench import MODELS


def entry(unit, model="eastron_sdm120", **more):
    return {"id": f"m{unit}", "unit": unit, "model": model, **more}


def bus(*meters, url="tcp://h1", **more):
    return {"url": url, "meters": list(meters), **more}


def errors(*buses, models=MODELS):
    return {
        mistake.key: mistake.message
        for mistake in check_cut(buses, models).mistakes
        if not mistake.warning
    }


def test_a_right_cut_has_no_mistakes_and_all_of_its_meters():
    checked = check_cut([bus(entry(1), entry(2)), bus(entry(3), url="tcp://h2")], MODELS)

    assert checked.mistakes == ()
    assert [[meter.id for meter in each.meters] for each in checked.buses] == [["m1", "m2"], ["m3"]]


def test_no_mistake_hides_another():
    found = errors(
        bus(
            entry(1),
            entry(2, "eastron_sdm12"),
            entry(3, optoins={}),
            {**entry(4), "unit": 1},
            entry(5, ratio={"ct": -1}),
            entry(300),
            entry(6, "chint_dtsu666", options={"scaling": "tens"}),
        ),
        bus(entry(7, "nothing"), url="tcp:/h"),
        bus(entry(8), url="tcp://h3", cycle_s=0),
        bus(entry(9), url="tcp://h4", cycle="60"),
    )

    assert found == {
        "buses[0].meters[1].model": "unknown model 'eastron_sdm12', did you mean 'eastron_sdm120'?",
        "buses[0].meters[2].optoins": "unknown key 'optoins', did you mean 'options'?",
        "buses[0].meters[3].unit": "unit 1 is already m1's",
        "buses[0].meters[4].ratio": "ct and pt must be above 0",
        "buses[0].meters[5].unit": "0 to 255 are possible, 300 came",
        "buses[0].meters[6]": "chint_dtsu666: options.scaling: unknown choice 'tens', "
        "did you mean 'tenths'?",
        "buses[1].url": "tcp:/h: a host is needed, as in tcp://192.168.1.20:502",
        "buses[1].meters[0].model": found["buses[1].meters[0].model"],
        "buses[2].cycle_s": "at least 1 s, 0 came",
        "buses[3].cycle": "unknown key 'cycle', did you mean 'cycle_s'?",
    }
    assert found["buses[1].meters[0].model"].startswith("unknown model 'nothing'")


def test_the_meters_that_are_right_are_still_planned():
    checked = check_cut([bus(entry(1), entry(2, "nothing"), entry(3))], MODELS)

    assert [meter.id for meter in checked.buses[0].meters] == ["m1", "m3"]


def test_a_broken_model_is_told_once_however_many_meters_have_it():
    broken = {**MODELS["eastron_sdm120"], "confidence": "hihg"}

    found = errors(bus(*(entry(unit) for unit in range(1, 200))), models={"eastron_sdm120": broken})

    assert found == {
        "models.eastron_sdm120.confidence": "unknown word 'hihg', did you mean 'high'?"
    }


def test_given_300_like_meters_when_configured_one_profile_and_a_list_are_enough():
    meters = [entry(unit) for unit in range(1, 151)]
    others = [{**entry(unit), "id": f"n{unit}"} for unit in range(1, 151)]

    checked = check_cut(
        [bus(*meters), bus(*others, url="tcp://h2")],
        {"eastron_sdm120": MODELS["eastron_sdm120"]},
    )

    assert checked.mistakes == ()
    assert sum(len(each.meters) for each in checked.buses) == 300
    assert {frozenset(each) for each in (*meters, *others)} == {frozenset({"id", "unit", "model"})}


def test_what_a_model_warns_of_is_told_once_with_the_meters_that_it_concerns():
    doubtful = {
        **MODELS["eastron_sdm120"],
        "registers": [
            {"address": 0, "quantity": "voltage_l1_v", "uncertain": "look at the display"}
        ],
    }
    models = {"eastron_sdm120": doubtful}

    few = check_cut([bus(entry(1), entry(2))], models)
    many = check_cut([bus(*(entry(unit) for unit in range(1, 21)))], models)

    text = "voltage_l1_v is uncertain: look at the display"
    assert [(m.message, m.warning) for m in few.mistakes] == [(f"m1, m2: {text}", True)]
    assert [m.message for m in many.mistakes] == [f"m1 … m20 (20): {text}"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp://h", "tcp://h:502"),
        ("tcp://h:502?timeout_ms=500", "tcp://h"),
        ("serial:///dev/a?baudrate=9600", "serial:///dev/a?baudrate=2400"),
        ("rtu+tcp://h:4001", "tcp://h:4001"),
    ],
)
def test_a_line_has_one_owner(one, other):
    found = errors(bus(entry(1), url=one), bus(entry(2), url=other))

    assert found == {"buses[1].url": f"{other} is already the line of buses[0]"}


def test_a_meter_is_on_one_bus():
    found = errors(bus(entry(1)), bus(entry(1), url="tcp://h2"))

    assert found == {"buses[1]": "meter m1 is already on buses[0]"}


@pytest.mark.parametrize("url", ["serial:///dev/a", "rtu+tcp://h:4001"])
def test_units_of_a_serial_line_end_at_247(url):
    assert errors(bus(entry(247), url=url)) == {}
    assert errors(bus(entry(248), url=url)) == {
        "buses[0]": "m248: unit 1 to 247 are possible on a serial line, 248 came"
    }
