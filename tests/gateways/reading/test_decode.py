from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.library.model import Format, Limits, Part, Register, Table, WordOrder
from gateways.reading.decode import Decoded, Decoder
from gateways.reading.plan import Block, plan_blocks
from gateways.reading.wiring import AppliedBy, Direction, Ratio, Wiring
from gateways.simulator.encode import RegisterEncoder
from metering.reading import Fault

HIGH, LOW = WordOrder.HIGH_FIRST, WordOrder.LOW_FIRST


def part(address, number=Format.UINT16, order=HIGH, **more):
    return Part(address=address, format=number, word_order=order, **more)


def register(quantity, *parts, scale="1", **more):
    return Register(
        quantity=quantity, table=Table.HOLDING, parts=parts, scale=Fraction(scale), **more
    )


def decode(registers, answers, wiring=None):
    blocks = [Block(Table.HOLDING, address, len(words)) for address, words in answers.items()]
    decoder = Decoder(registers, blocks, wiring or Wiring())
    return decoder.decode(zip(blocks, answers.values(), strict=True))


# -12.5 in both orders, as two makers' manuals print it.
@pytest.mark.parametrize(("words", "order"), [([0xC148, 0], HIGH), ([0, 0xC148], LOW)])
def test_the_same_number_in_both_word_orders(words, order):
    flow = register("flow_m3_h", part(7, Format.FLOAT32, order))

    assert decode([flow], {7: words}) == Decoded({"flow_m3_h": -12.5})


def test_1600_as_a_manual_prints_it():
    flow = register("flow_m3_h", part(0, Format.FLOAT32))

    assert decode([flow], {0: [0x44C8, 0x0000]}).values == {"flow_m3_h": 1600.0}


@pytest.mark.parametrize(
    ("number", "words", "value"),
    [
        (Format.UINT16, [0xFFFE], 65534.0),
        (Format.INT16, [0xFFFE], -2.0),
        (Format.UINT32, [0xFFFF, 0xFFFE], 4294967294.0),
        (Format.INT32, [0xFFFF, 0xFFFE], -2.0),
        (Format.UINT64, [0x0001, 0, 0, 2], 281474976710658.0),
        (Format.INT64, [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], -2.0),
        (Format.FLOAT32, [0x3F80, 0x0000], 1.0),
        (Format.FLOAT64, [0x3FF8, 0, 0, 0], 1.5),
        (Format.BCD32, [0x1234, 0x5678], 12345678.0),
        (Format.BCD48, [0x0000, 0x1243, 0x1116], 12431116.0),
        (Format.BCD64, [0x0001, 0x0000, 0x0000, 0x0002], 1000000000002.0),
    ],
)
@pytest.mark.parametrize("order", [HIGH, LOW])
def test_every_format_in_both_word_orders(number, words, value, order):
    volume = register("volume_m3", part(10, number, order))

    assert decode([volume], {10: words if order is HIGH else words[::-1]}).values == {
        "volume_m3": value
    }


def test_orders_may_be_mixed_in_one_block():
    registers = [
        register("voltage_l1_v", part(0, Format.FLOAT32, LOW)),
        register("voltage_l2_v", part(2)),
        register("voltage_l3_v", part(4, Format.FLOAT32, HIGH)),
        register("frequency_hz", part(6, Format.FLOAT32, LOW)),
    ]

    words = [0, 0x4366, 231, 0xDEAD, 0x4368, 0, 0, 0x4248]
    assert decode(registers, {0: words}).values == {
        "voltage_l1_v": 230.0,
        "voltage_l2_v": 231.0,
        "voltage_l3_v": 232.0,
        "frequency_hz": 50.0,
    }


def test_a_missing_block_leaves_its_values_out_and_shifts_no_others():
    registers = [
        register(q, part(a))
        for q, a in (("voltage_l1_v", 0), ("voltage_l2_v", 50), ("voltage_l3_v", 90))
    ]
    blocks = plan_blocks(registers, Limits(), fill=0)
    decoder = Decoder(registers, blocks, Wiring())

    assert decoder.decode([(blocks[0], [1]), (blocks[2], [3])]) == Decoded(
        {"voltage_l1_v": 1.0, "voltage_l3_v": 3.0}
    )


def test_a_decimal_scale_gives_the_decimal_number():
    energy = register("energy_import_kwh", part(0, Format.UINT32), scale="0.01")

    assert decode([energy], {0: [0x0012, 0xD687]}).values == {"energy_import_kwh": 12345.67}


def test_a_total_split_into_high_low_and_fraction_is_summed():
    # The maker's example, whose digits exceed a float: high 13435119, low 305441639, 0.567.
    volume = register(
        "volume_m3",
        part(0, Format.UINT32, weight=1_000_000_000),
        part(2, Format.UINT32),
        part(4, Format.FLOAT32),
    )

    words = [0x00CD, 0x00EF, 0x1234, 0xAB67, 0x3F11, 0x26E9]
    assert decode([volume], {0: words}).values["volume_m3"] == pytest.approx(13435119305441639.567)


@pytest.mark.parametrize(("power", "value"), [(0, 152.0), (0xFFFF, 15.2), (2, 15200.0)])
def test_the_power_of_ten_is_read_with_the_value(power, value):
    current = register("current_l1_a", part(0), exponent=part(3, Format.INT16))

    assert decode([current], {0: [152, 0, 0, power]}).values == {"current_l1_a": value}


@pytest.mark.parametrize("power", [0x8000, 11, 0xFFF5])
def test_an_impossible_power_of_ten_is_no_value(power):
    current = register("current_l1_a", part(0), exponent=part(1, Format.INT16))

    assert decode([current], {0: [152, power]}) == Decoded({}, Fault.SENTINEL)


def test_a_sentinel_is_left_out_with_its_fault():
    registers = [
        register("voltage_l1_v", part(0, sentinels=frozenset({0xFFFF}))),
        register("voltage_l2_v", part(1, sentinels=frozenset({0xFFFF}))),
    ]

    assert decode(registers, {0: [0xFFFF, 230]}) == Decoded({"voltage_l2_v": 230.0}, Fault.SENTINEL)


@pytest.mark.parametrize("words", [[0x7FC0, 0], [0xFFC0, 1], [0x7F80, 0], [0xFF80, 0]])
def test_what_is_not_finite_is_left_out_with_its_fault(words):
    registers = [
        register("voltage_l1_v", part(0, Format.FLOAT32)),
        register("voltage_l2_v", part(2)),
    ]

    assert decode(registers, {0: [*words, 230]}) == Decoded(
        {"voltage_l2_v": 230.0}, Fault.NOT_FINITE
    )


def test_a_digit_above_nine_is_no_value_and_spoils_no_other():
    registers = [
        register("volume_m3", part(0, Format.BCD48)),
        register("volume_standard_m3", part(3, Format.BCD48), scale="0.0001"),
        register("flow_m3_h", part(6, Format.FLOAT32, LOW)),
    ]

    words = [0x0000, 0x12A3, 0x1116, 0x0000, 0x1243, 0x1116, 0x0000, 0x4020]
    assert decode(registers, {0: words}) == Decoded(
        {"volume_standard_m3": 1243.1116, "flow_m3_h": 2.5}, Fault.NOT_FINITE
    )


def test_a_digit_above_nine_in_one_part_spoils_its_total():
    volume = register("volume_m3", part(0, Format.BCD32, weight=1_000_000), part(2, Format.UINT16))

    assert decode([volume], {0: [0x0000, 0x0012, 7]}).values == {"volume_m3": 12_000_007.0}
    assert decode([volume], {0: [0x0000, 0x001A, 7]}) == Decoded({}, Fault.NOT_FINITE)


formats = st.sampled_from(
    [Format.UINT32, Format.INT32, Format.FLOAT32, Format.UINT64, Format.BCD48]
)
wirings = st.builds(
    Wiring,
    ratio=st.builds(
        Ratio,
        ct=st.sampled_from([1, 40, 80, 1.5]),
        pt=st.sampled_from([1, 100]),
        applied_by=st.sampled_from(AppliedBy),
    ),
    direction=st.sampled_from(Direction),
)
quantities = (
    "energy_import_kwh",
    "energy_export_kwh",
    "active_power_kw",
    "voltage_l1_v",
    "current_l1_a",
    "frequency_hz",
)


@given(
    st.lists(
        st.tuples(formats, st.sampled_from(WordOrder), st.sampled_from(["1", "0.001", "0.1"])),
        min_size=len(quantities),
        max_size=len(quantities),
    ),
    wirings,
    st.floats(0, 40_000),
)
def test_decoding_what_the_simulator_encodes_gives_what_it_says_it_served(kinds, wiring, value):
    registers = [
        register(quantity, part(index * 5, number, order), scale=scale)
        for index, (quantity, (number, order, scale)) in enumerate(
            zip(quantities, kinds, strict=True)
        )
    ]
    words = [0xDEAD] * 30
    expected = {}
    for each in registers:
        encoder = RegisterEncoder(each, wiring)
        served = encoder.serve(value)
        for address, word in served.words:
            words[address] = word
        expected[encoder.quantity] = served.value

    assert decode(registers, {0: words}, wiring) == Decoded(expected)
