import pytest

from gateways.library.model import Format, IdentityField, IdentityName, Table, WordOrder
from gateways.reading.identity import decode_identity

SERIAL, FIRMWARE, DEVICE = IdentityName.SERIAL, IdentityName.FIRMWARE, IdentityName.DEVICE
HIGH, LOW = WordOrder.HIGH_FIRST, WordOrder.LOW_FIRST


def field(name, number=None, registers=4, order=HIGH):
    return IdentityField(
        name=name,
        table=Table.HOLDING,
        address=0,
        registers=number.registers if number else registers,
        format=number,
        word_order=order,
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([0x5355, 0x4E32, 0x3030, 0x3000], "SUN2000"),  # a NUL behind
        ([0x2020, 0x4131, 0x2042, 0x2020], "A1 B"),  # blanks around, one inside
        ([0x4142, 0x0743, 0x80FF, 0x4400], "ABCD"),  # a bell and bytes that are no ASCII
        ([0x0041, 0x0042, 0x0043, 0x0044], "ABCD"),  # one character a register
    ],
)
def test_text_is_two_characters_a_register_the_first_one_high(words, text):
    assert decode_identity([field(SERIAL)], {SERIAL: words}) == {SERIAL: text}


def test_text_has_no_word_order():
    serial = field(SERIAL, registers=2, order=LOW)

    assert decode_identity([serial], {SERIAL: [0x4142, 0x4344]}) == {SERIAL: "ABCD"}


@pytest.mark.parametrize(
    ("number", "words", "order", "text"),
    [
        (Format.UINT16, [193], HIGH, "193"),
        (Format.INT16, [0xFFFE], HIGH, "-2"),
        (Format.UINT32, [0x075B, 0xCD15], HIGH, "123456789"),
        (Format.UINT32, [0xCD15, 0x075B], LOW, "123456789"),
        (Format.UINT64, [0x0001, 0, 0, 2], HIGH, "281474976710658"),
        (Format.FLOAT32, [0x3F8C, 0xCCCD], HIGH, "1.1"),
        (Format.FLOAT64, [0x4002, 0, 0, 0], HIGH, "2.25"),
        (Format.BCD48, [0x0001, 0x2243, 0x1116], HIGH, "000122431116"),
    ],
)
def test_a_number_is_decimal_text(number, words, order, text):
    assert decode_identity([field(DEVICE, number, order=order)], {DEVICE: words}) == {DEVICE: text}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (None, [0, 0, 0, 0]),
        (None, [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF]),
        (None, [0x2020, 0x2000, 0, 0]),
        (Format.UINT32, [0, 0]),
        (Format.UINT32, [0xFFFF, 0xFFFF]),
        (Format.INT16, [0xFFFF]),
        (Format.FLOAT32, [0x7FC0, 0]),
        (Format.BCD32, [0x1234, 0x5A78]),
    ],
)
def test_a_field_that_says_nothing_is_left_out(number, words):
    assert decode_identity([field(SERIAL, number)], {SERIAL: words}) == {}


def test_a_field_that_was_not_answered_is_left_out_and_the_others_stay():
    fields = [field(SERIAL, Format.UINT32), field(FIRMWARE, Format.UINT16)]

    assert decode_identity(fields, {FIRMWARE: [12]}) == {FIRMWARE: "12"}
