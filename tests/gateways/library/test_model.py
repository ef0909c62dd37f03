from fractions import Fraction

import pytest

from gateways.library.file import read_model
from gateways.library.model import Format, Table, WordOrder
from gateways.strict import ContentInvalid


def content(*registers, **more):
    return {
        "name": "M1",
        "maker": "Maker",
        "measures": "electricity",
        "confidence": "high",
        "sources": ["a document"],
        "table": "input",
        "registers": list(registers) or [{"address": 0, "quantity": "voltage_l1_v"}],
        **more,
    }


def refusal(model_content, options=None):
    with pytest.raises(ContentInvalid) as caught:
        read_model("m1", model_content, options)
    return str(caught.value)


def test_a_register_takes_what_it_does_not_say_from_the_model():
    line = {"address": 4, "quantity": "frequency_hz"}
    model = read_model("m1", content(line, format="uint32", word_order="low_first"))

    (register,) = model.registers
    (part,) = register.parts
    assert (register.table, part.format, part.word_order) == (
        Table.INPUT,
        Format.UINT32,
        WordOrder.LOW_FIRST,
    )


def test_a_register_may_differ_from_its_model():
    line = {"address": 4, "quantity": "frequency_hz", "table": "holding", "format": "int16"}

    (register,) = read_model("m1", content(line)).registers
    assert (register.table, register.parts[0].format) == (Table.HOLDING, Format.INT16)


@pytest.mark.parametrize(
    ("written", "exact"), [(0.001, "1/1000"), (1e-05, "1/100000"), ("2500/9", "2500/9"), (60, "60")]
)
def test_scales_are_exact(written, exact):
    line = {"address": 0, "quantity": "active_power_kw", "scale": written}

    assert read_model("m1", content(line)).registers[0].scale == Fraction(exact)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (content(fil=3), "m1: fil: unknown key 'fil', did you mean 'fill'?"),
        (
            content({"adress": 0, "quantity": "voltage_l1_v"}),
            "m1: registers[0].adress: unknown key 'adress', did you mean 'address'?",
        ),
        (
            content({"address": 0, "quantity": "frequency"}),
            "m1: registers[0].quantity: unknown quantity 'frequency', did you mean 'frequency_hz'?",
        ),
        (
            content({"address": 0, "quantity": "voltage_l1_v", "format": "float16"}),
            "m1: registers[0].format: invalid enum value 'float16'",
        ),
        (
            content({"address": "0", "quantity": "voltage_l1_v"}),
            "m1: registers[0].address: expected `int | null`, got `str`",
        ),
        (
            content({"address": 0, "quantity": "voltage_l1_v", "scale": "a half"}),
            "m1: registers[0].scale: a number or a fraction is needed, 'a half' came",
        ),
        (
            content({"address": 65535, "quantity": "voltage_l1_v"}),
            "m1: registers[0].address: 0 to 65535 are possible, 65535 came",
        ),
        (
            content({"quantity": "voltage_l1_v"}),
            "m1: registers[0].address: either an address or combine is needed",
        ),
        (
            content(
                {"address": 0, "quantity": "voltage_l1_v"},
                {"address": 1, "quantity": "voltage_l2_v"},
            ),
            "m1: registers[1]: voltage_l2_v overlaps voltage_l1_v at address 1",
        ),
        (
            content(
                {"address": 0, "quantity": "voltage_l1_v"},
                {"address": 2, "quantity": "voltage_l1_v"},
            ),
            "m1: registers[1].quantity: voltage_l1_v is already read from another register",
        ),
        (
            content({"address": 0, "quantity": "current_l1_a", "exponent": 1}),
            "m1: registers[0].exponent: address 1 is current_l1_a",
        ),
        (
            content(limits={"registers": 126}),
            "m1: limits.registers: 1 to 125 are possible, 126 came",
        ),
        (
            content(limits={"evn": True}),
            "m1: limits.evn: unknown key 'evn', did you mean 'even'?",
        ),
        (
            content(measures="electric"),
            "m1: measures: unknown word 'electric', did you mean 'electricity'?",
        ),
        (
            content({"address": 0, "quantity": "voltage_l1_v", "every": 5}),
            "m1: registers[0].every: unknown key 'every', did you mean 'every_s'?",
        ),
        (
            content({"address": 0, "quantity": "voltage_l1_v", "every_s": -1}),
            "m1: registers[0].every_s: 0 (every cycle) or seconds are needed, -1 came",
        ),
        (
            content(every_s={"gauges": 5}),
            "m1: every_s.gauges: unknown key 'gauges', did you mean 'gauge'?",
        ),
        (
            content(every_s={"counter": -60}),
            "m1: every_s.counter: 0 (every cycle) or seconds are needed, -60 came",
        ),
        (
            content({"address": 0, "quantity": "voltage_l1_v", "priority": "urgent"}),
            "m1: registers[0].priority: invalid enum value 'urgent'",
        ),
        (
            content({"address": 0, "quantity": "voltage_l1_v", "rollover": 1000}),
            "m1: registers[0].rollover: voltage_l1_v does not count",
        ),
        (
            content({"address": 0, "quantity": "volume_m3", "rollover": 0}),
            "m1: registers[0].rollover: a number above 0 is needed, 0 came",
        ),
        (
            content({"address": 0, "quantity": "volume_m3", "rollover": "widht"}),
            "m1: registers[0].rollover: invalid enum value 'widht'",
        ),
        (
            content({"address": 0, "quantity": "volume_m3", "rollover": "width"}),
            "m1: registers[0].rollover: only one unsigned or BCD number has a width to roll at",
        ),
        (
            content({"address": 3, "quantity": "voltage_l1_v"}, shift=-4),
            "m1: registers[0].address: 0 to 65535 are possible, -1 came",
        ),
        (
            content(limits={"connect_pause_ms": -1}),
            "m1: limits.connect_pause_ms: 0 or milliseconds are needed, -1 came",
        ),
        (
            content(sentinels={"unit16": [1]}),
            "m1: sentinels.unit16: unknown key 'unit16', did you mean 'uint16'?",
        ),
        (
            content(identity={"seriel": {"address": 0, "registers": 2}}),
            "m1: identity.seriel: unknown key 'seriel', did you mean 'serial'?",
        ),
        (
            content(identity={"serial": {"address": 0}}),
            "m1: identity.serial: either a format (a number) or registers (text) are needed",
        ),
        (
            content(identity={"serial": {"address": 0, "format": "uint32", "registers": 2}}),
            "m1: identity.serial: either a format (a number) or registers (text) are needed",
        ),
        (
            content(identity={"serial": {"address": 0, "register": 2}}),
            "m1: identity.serial.register: unknown key 'register', did you mean 'registers'?",
        ),
        (
            content(identity={"serial": {"address": 65535, "format": "uint32"}}),
            "m1: identity.serial: 2 registers from 65535 cannot be read",
        ),
        (
            content(identity={"device": {"address": 0, "registers": 126}}),
            "m1: identity.device: 126 registers from 0 cannot be read",
        ),
        (content(sources=[]), "m1: sources: at least one source is needed"),
        (
            content(test_vectors=[{"source": "s", "address": 0, "words": [], "expect": {"x": 1}}]),
            "m1: test_vectors[0].expect.x: unknown quantity 'x', see metering/quantity.py",
        ),
    ],
)
def test_a_mistake_says_where_it_is_and_what_was_meant(wrong, message):
    assert refusal(wrong) == message


def test_a_missing_key_is_named():
    wrong = content()
    del wrong["maker"]

    assert refusal(wrong) == "m1: object missing required field `maker`"


def test_the_path_is_kept_for_whoever_knows_the_lines():
    with pytest.raises(ContentInvalid) as caught:
        read_model("m1", content({"address": 0, "quantity": "voltage_l1_v", "scal": 1}))

    assert caught.value.path == ("registers", 0, "scal")


SCALING = {
    "scaling": {
        "choices": {"tenths": "0.1 V", "plain": "V"},
        "default": "tenths",
        "warning": "sources differ",
    }
}


def disputed(scale):
    return content({"address": 0, "quantity": "voltage_l1_v", "scale": scale}, options=SCALING)


CHOICE = {"option": "scaling", "tenths": 0.1, "plain": 1}


def test_the_default_holds_until_somebody_chooses():
    model = read_model("m1", disputed(CHOICE))

    assert model.registers[0].scale == Fraction(1, 10)
    assert model.warnings == ("option scaling is 'tenths' by default: sources differ",)


def test_a_choice_replaces_the_default_and_its_warning():
    model = read_model("m1", disputed(CHOICE), {"scaling": "plain"})

    assert model.registers[0].scale == 1
    assert model.warnings == ()


@pytest.mark.parametrize(
    ("scale", "chosen", "message"),
    [
        (CHOICE, {"scalin": "plain"}, "options.scalin: unknown option 'scalin', did you mean"),
        (CHOICE, {"scaling": "plane"}, "options.scaling: unknown choice 'plane', did you mean"),
        ({"option": "scale", "a": 1}, {}, "registers[0].scale: unknown option 'scale', did you"),
        (
            {"option": "scaling", "tenths": 1},
            {},
            "registers[0].scale: no value for the choice 'plain'",
        ),
        (
            {**CHOICE, "hundredths": 0.01},
            {},
            "registers[0].scale: unknown choice 'hundredths', known: plain, tenths",
        ),
    ],
)
def test_a_wrong_choice_is_named(scale, chosen, message):
    assert message in refusal(disputed(scale), chosen)


def test_what_is_uncertain_is_a_warning():
    line = {"address": 0, "quantity": "voltage_l1_v", "uncertain": "from one page only"}

    assert read_model("m1", content(line)).warnings == (
        "voltage_l1_v is uncertain: from one page only",
    )


def test_a_counter_is_read_every_minute_and_a_gauge_every_cycle_unless_the_file_says_else():
    lines = (
        {"address": 0, "quantity": "energy_import_kwh"},
        {"address": 2, "quantity": "voltage_l1_v"},
        {"address": 4, "quantity": "frequency_hz", "every_s": 300, "priority": "low"},
    )

    usual = read_model("m1", content(*lines)).registers
    slower = read_model("m1", content(*lines, every_s={"gauge": 10, "counter": 900})).registers

    assert [register.every_s for register in usual] == [60, 0, 300]
    assert [register.every_s for register in slower] == [900, 10, 300]
    assert [register.priority for register in usual] == ["normal", "normal", "low"]


@pytest.mark.parametrize(
    ("number", "scale", "rollover"),
    [
        ("uint16", 1, 65536.0),
        ("uint32", 0.01, 42949672.96),
        ("bcd48", 0.0001, 100000000.0),
        ("uint32", -0.001, 4294967.296),
    ],
)
def test_a_counter_may_roll_over_at_the_width_of_its_registers(number, scale, rollover):
    line = {"address": 0, "quantity": "volume_m3", "format": number, "scale": scale}

    (register,) = read_model("m1", content({**line, "rollover": "width"})).registers

    assert register.rollover == rollover


def test_every_address_is_shifted_together():
    lines = (
        {"address": 10, "quantity": "active_power_kw", "format": "int16", "exponent": 11},
        {"quantity": "volume_m3", "combine": [{"address": 12}, {"address": 14}]},
    )

    model = read_model(
        "m1", content(*lines, shift=-1, identity={"serial": {"address": 1, "registers": 2}})
    )

    assert [field.address for r in model.registers for field in r.fields] == [9, 10, 11, 13]
    assert model.identity[0].address == 0


def test_what_a_version_lacks_is_not_read_and_takes_no_place():
    lines = (
        {"address": 0, "quantity": "energy_export_kwh", "present": False},
        {"address": 0, "quantity": "energy_import_kwh"},
    )

    assert [r.quantity for r in read_model("m1", content(*lines)).registers] == [
        "energy_import_kwh"
    ]


@pytest.mark.parametrize(
    ("ratio_on", "takes"),
    [("all", [True, True]), ("energy", [False, True]), ("none", [False, False])],
)
def test_a_file_says_which_registers_are_before_the_transformers(ratio_on, takes):
    lines = (
        {"address": 0, "quantity": "active_power_kw"},
        {"address": 2, "quantity": "energy_import_kwh"},
    )

    model = read_model("m1", content(*lines, ratio_on=ratio_on))

    assert [register.ratio for register in model.registers] == takes


def test_a_device_may_say_who_it_is():
    identity = {
        "serial": {"address": 4, "format": "uint32", "word_order": "low_first"},
        "device": {"address": 0, "registers": 8, "table": "holding", "expect": [192, "CALEC"]},
    }

    serial, device = read_model("m1", content(identity=identity)).identity

    assert (serial.registers, serial.format, serial.table) == (2, Format.UINT32, Table.INPUT)
    assert (device.registers, device.format, device.table) == (8, None, Table.HOLDING)
    assert device.expect == ("192", "CALEC")


def test_a_choice_may_hold_another_choice():
    options = {
        "unit": {"choices": {"wh": "Wh", "kwh": "kWh"}, "default": "wh"},
        "scaling": {"choices": {"tenths": "0.1", "plain": "1"}, "default": "tenths"},
    }
    inner = {"option": "unit", "wh": 0.0001, "kwh": 0.1}
    line = {"address": 0, "quantity": "energy_import_kwh"}
    scaled = {**line, "scale": {"option": "scaling", "tenths": inner, "plain": 1}}

    model = read_model("m1", content(scaled, options=options), {"unit": "kwh"})

    assert model.registers[0].scale == Fraction("0.1")
