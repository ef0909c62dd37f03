"""How a device may differ from the model's file."""

from pathlib import Path

import pytest

from gateways.commission.variants import variants
from gateways.library.folder import load_models
from metering.quantity import QUANTITIES

MODELS = load_models(Path(__file__).parents[3] / "config" / "meters")


def content(*registers, **more):
    about = {"name": "m", "maker": "m", "measures": "electricity", "confidence": "high"}
    return {**about, "sources": ["s"], "table": "holding", "registers": list(registers), **more}


VOLTAGE = {"address": 100, "quantity": "voltage_l1_v"}
NARROW = {"address": 100, "quantity": "voltage_l1_v", "format": "uint16"}


def test_order_address_and_table_are_varied_alone_and_together():
    found = variants("m", content(VOLTAGE))

    assert [variant.english for variant in found] == [
        "",
        "input table",
        "address +1",
        "address -1",
        "word order low_first",
        "address +1, input table",
        "address -1, input table",
        "word order low_first, input table",
        "word order low_first, address +1",
        "word order low_first, address -1",
        "word order low_first, address +1, input table",
        "word order low_first, address -1, input table",
    ]
    assert found[0].steps == 0
    assert not found[0].is_bent
    assert all(variant.is_bent for variant in found[1:])


def test_a_variant_is_what_its_name_says():
    by_name = {
        variant.english: variant.model.registers[0] for variant in variants("m", content(VOLTAGE))
    }

    assert by_name["address -1"].parts[0].address == 99
    assert by_name["word order low_first"].parts[0].word_order == "low_first"
    assert by_name["input table"].table == "input"
    both = by_name["word order low_first, address +1"].parts[0]
    assert (both.address, both.word_order) == (101, "low_first")


def test_numbers_of_one_register_have_no_word_order():
    names = [variant.english for variant in variants("m", content(NARROW))]

    assert names == [
        "",
        "input table",
        "address +1",
        "address -1",
        "address +1, input table",
        "address -1, input table",
    ]


@pytest.mark.parametrize(("address", "missing"), [(0, "address -1"), (65_534, "address +1")])
def test_no_variant_leaves_the_map(address, missing):
    names = [v.english for v in variants("m", content({**VOLTAGE, "address": address}))]

    assert missing not in names


def test_a_power_of_ten_moves_with_its_number():
    found = variants("m", content({**NARROW, "exponent": 105}))

    moved = next(v for v in found if v.english == "address +1").model.registers[0]
    assert (moved.parts[0].address, moved.exponent.address) == (101, 106)


def test_options_are_varied_and_are_no_change_of_the_file():
    scaled = {**NARROW, "scale": {"option": "scaling", "tenths": 0.1, "plain": 1}}
    options = {"scaling": {"choices": {"tenths": "a", "plain": "b"}, "default": "tenths"}}

    found = variants("m", content(scaled, options=options))

    assert found[1].english == "options scaling=plain"
    assert found[1].chinese == "选项 scaling=plain"
    assert found[1].options == {"scaling": "plain"}
    assert not found[1].is_bent
    assert "options scaling=plain, address +1" in [variant.english for variant in found]


def test_two_choices_at_once_are_both_named():
    first = {**NARROW, "scale": {"option": "one", "a": 1, "b": 2}}
    second = {**NARROW, "address": 101, "quantity": "voltage_l2_v"}
    second["scale"] = {"option": "two", "a": 1, "b": 3}
    options = {name: {"choices": {"a": "", "b": ""}, "default": "a"} for name in ("one", "two")}

    names = [variant.english for variant in variants("m", content(first, second, options=options))]

    assert "options one=b, two=b" in names


def test_what_somebody_has_chosen_is_not_varied():
    scaled = {**NARROW, "scale": {"option": "scaling", "tenths": 0.1, "plain": 1}}
    options = {"scaling": {"choices": {"tenths": "a", "plain": "b"}, "default": "tenths"}}

    found = variants("m", content(scaled, options=options), {"scaling": "tenths"})

    assert {variant.options["scaling"] for variant in found} == {"tenths"}


def test_what_reads_the_same_comes_once_under_its_simplest_name():
    ordered = {
        **VOLTAGE,
        "word_order": {"option": "order", "normal": "high_first", "turned": "low_first"},
    }
    options = {"order": {"choices": {"normal": "a", "turned": "b"}, "default": "normal"}}

    names = [variant.english for variant in variants("m", content(ordered, options=options))]

    assert "options order=turned" in names
    assert "word order low_first" not in names


def test_of_many_options_one_is_tried_at_a_time():
    scales = {f"o{n}": {"a": 1, "b": 2 + n} for n in range(6)}
    names = list(QUANTITIES)[:6]
    registers = [
        {"address": 2 * n, "quantity": names[n], "scale": {"option": f"o{n}", **scales[f"o{n}"]}}
        for n in range(6)
    ]
    options = {name: {"choices": {"a": "", "b": ""}, "default": "a"} for name in scales}

    chosen = [v for v in variants("m", content(*registers, options=options)) if not v.is_bent]

    assert [variant.english for variant in chosen] == [
        "",
        *(f"options o{n}=b" for n in range(6)),
    ]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_of_the_library_has_variants_that_can_be_read(model):
    found = variants(model, MODELS[model])

    assert found[0].english == ""
    assert len({variant.english for variant in found}) == len(found)
    assert 6 <= len(found) <= 250
