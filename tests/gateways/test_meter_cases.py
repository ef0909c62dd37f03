"""Every model's register images, decoded: `tests/cases/meters/<model>/<case>.yaml`.

A case is not what our decoder once said: its words are written by hand, or encoded from the
vendor's table by another program, and its values follow from the vendor's facts.
"""

from pathlib import Path

import pytest
import yaml
from msgspec import convert

from gateways.meter import Meter, MeterEntry, build_meter
from gateways.model import LAST_ADDRESS
from gateways.model_file import read_model
from gateways.model_library import load_models

ROOT = Path(__file__).parents[2]
MODELS = load_models(ROOT / "config" / "meters")
CASES = sorted((ROOT / "tests" / "cases" / "meters").glob("*/*.yaml"))
POISON = 0x7FA5  # in the holes: large in every format, and NaN where a float begins


def build(model, **entry) -> Meter:
    content = {"id": "m", "model": model, "unit": 1, **entry}
    return build_meter(convert(content, MeterEntry), MODELS[model])


def answers(meter, words):
    image = {
        table: {
            int(address) + offset: word
            for address, run in runs.items()
            for offset, word in enumerate(run)
        }
        for table, runs in words.items()
    }
    return [
        (
            block,
            [image.get(block.table, {}).get(a, POISON) for a in range(block.address, block.end)],
        )
        for block in meter.blocks
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_image_gives_exactly_the_expected_values(case):
    content = yaml.safe_load(case.read_text(encoding="utf-8"))
    meter = build(case.parent.name, **content.get("meter", {}))

    decoded = meter.decoder.decode(answers(meter, content["words"]))

    assert decoded.values == content["expect"]
    assert decoded.fault == content.get("fault")


@pytest.mark.parametrize("model", MODELS)
def test_every_register_of_every_model_has_a_case(model):
    expected = set()
    for case in CASES:
        if case.parent.name == model:
            expected |= set(yaml.safe_load(case.read_text(encoding="utf-8"))["expect"])

    assert {
        register.quantity for register in read_model(model, MODELS[model]).registers
    } <= expected


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
    for option, entry in MODELS[model].get("options", {}).items():
        for choice in entry["choices"]:
            assert read_model(model, MODELS[model], {option: choice}).registers


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
