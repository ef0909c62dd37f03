"""Every model's register images, decoded: `tests/cases/meters/<model>/<case>.yaml`.

A case is not what our decoder once said: its words are written by hand, or encoded from the
vendor's table by another program, and its values follow from the vendor's facts.
"""

from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from msgspec import convert

from gateways.library.file import read_model
from gateways.library.folder import load_models
from gateways.library.model import LAST_ADDRESS
from gateways.reading.identity import decode_identity
from gateways.reading.meter import Meter, MeterEntry, build_meter
from metering.quantity import QUANTITIES

ROOT = Path(__file__).parents[2]
MODELS = load_models(ROOT / "config" / "meters")
CASES = sorted((ROOT / "tests" / "cases" / "meters").glob("*/*.yaml"))
# What one of a menu's unit is worth in the unit of the quantity.
UNITS = {
    "m³/h": {
        "m3_h": "1",
        "m3_min": "60",
        "m3_s": "3600",
        "l_h": "0.001",
        "l_min": "0.06",
        "l_s": "3.6",
    },
    "m³": {"m3": "1", "litre": "0.001"},
    "GJ": {"gj": "1", "mj": "0.001", "kwh": "0.0036", "mwh": "3.6"},
    "kW": {"kw": "1", "mw": "1000", "mj_h": "5/18", "gj_h": "2500/9"},
    "kWh": {"wh": "0.001", "kwh": "1"},
    "kvarh": {"wh": "0.001", "kwh": "1"},
}
POISON = 0x7FA5  # in the holes: large in every format, and NaN where a float begins


def build(model, **entry) -> Meter:
    content = {"id": "m", "model": model, "unit": 1, **entry}
    return build_meter(convert(content, MeterEntry), MODELS[model])


def choices(model):
    """Every choice of every option, one at a time."""
    for option, entry in MODELS[model].get("options", {}).items():
        for choice in entry["choices"]:
            yield option, choice


def image_of(words):
    image = defaultdict(lambda: POISON)
    for table, runs in words.items():
        for address, run in runs.items():
            for offset, word in enumerate(run):
                image[table, int(address) + offset] = word
    return image


def answers(meter, words):
    image = image_of(words)
    return [
        (block, [image[block.table, address] for address in range(block.address, block.end)])
        for block in meter.blocks
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_image_gives_exactly_the_expected_values(case):
    content = yaml.safe_load(case.read_text(encoding="utf-8"))
    meter = build(case.parent.name, **content.get("meter", {}))

    decoded = meter.decoder.decode(answers(meter, content["words"]))

    assert decoded.values == content["expect"]
    assert decoded.fault == content.get("fault")


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_image_says_who_the_device_is(case):
    content = yaml.safe_load(case.read_text(encoding="utf-8"))
    if "identity" not in content:
        return
    fields = build(case.parent.name, **content.get("meter", {})).model.identity
    image = image_of(content["words"])
    words = {
        field.name: [
            image[field.table, field.address + offset] for offset in range(field.registers)
        ]
        for field in fields
    }

    identity = decode_identity(fields, words)

    assert identity == content["identity"]
    for field in fields:
        assert not field.expect or identity[field.name] in field.expect


@pytest.mark.parametrize("model", MODELS)
def test_every_identity_field_of_every_model_has_a_case(model):
    shown = set()
    for case in CASES:
        if case.parent.name == model:
            shown |= set(yaml.safe_load(case.read_text(encoding="utf-8")).get("identity", ()))

    assert {field.name for field in read_model(model, MODELS[model]).identity} <= shown


@pytest.mark.parametrize("model", MODELS)
def test_every_choice_that_changes_what_is_read_has_a_case(model):
    used = {}
    for case in CASES:
        if case.parent.name == model:
            meter = yaml.safe_load(case.read_text(encoding="utf-8")).get("meter", {})
            for option, choice in meter.get("options", {}).items():
                used.setdefault(option, set()).add(choice)

    for option, entry in MODELS[model].get("options", {}).items():
        assert used.get(option, set()) - {entry["default"]}, option


@pytest.mark.parametrize("model", MODELS)
def test_every_register_of_every_model_has_a_case(model):
    expected = set()
    for case in CASES:
        if case.parent.name == model:
            expected |= set(yaml.safe_load(case.read_text(encoding="utf-8"))["expect"])

    for option, choice in [(None, None), *choices(model)]:
        registers = read_model(model, MODELS[model], {option: choice} if option else {}).registers
        assert {register.quantity for register in registers} <= expected


@pytest.mark.parametrize("model", MODELS)
def test_test_vectors_of_the_vendor_hold(model):
    meter = build(model)

    for vector in meter.model.test_vectors:
        table = meter.blocks[0].table
        words = {table: {vector.address: vector.words}}
        decoded = meter.decoder.decode(answers(meter, words))
        for quantity, value in vector.expect.items():
            assert decoded.values[quantity] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_every_option_of_every_model_can_be_chosen(model):
    for option, choice in choices(model):
        assert build(model, options={option: choice}).blocks


@pytest.mark.parametrize("model", MODELS)
def test_a_unit_that_a_menu_changes_is_converted_exactly(model):
    for register in MODELS[model]["registers"]:
        scale = register.get("scale")
        if isinstance(scale, dict) and scale["option"].endswith("_unit"):
            unit = QUANTITIES[register["quantity"]].unit
            for choice, factor in scale.items():
                if choice != "option":
                    assert Fraction(str(factor)) == Fraction(UNITS[unit][choice])


@pytest.mark.parametrize("model", MODELS)
def test_a_default_that_nobody_confirmed_is_a_warning(model):
    options = MODELS[model].get("options", {})
    disputed = {name: entry["default"] for name, entry in options.items() if "warning" in entry}

    warnings = read_model(model, MODELS[model]).warnings
    confirmed = read_model(model, MODELS[model], disputed).warnings

    assert len(warnings) - len(confirmed) == len(disputed)


def test_no_plan_leaves_the_address_space():
    for model in MODELS:
        assert all(block.end <= LAST_ADDRESS + 1 for block in build(model).blocks)
