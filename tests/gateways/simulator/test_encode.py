from fractions import Fraction

import pytest

from gateways.library.model import Format, Part, Register, Table, WordOrder
from gateways.reading.wiring import Wiring
from gateways.simulator.encode import RegisterEncoder, Served


def serve(quantity, value, number, scale="1", **more):
    part = Part(address=7, format=number, word_order=more.pop("order", WordOrder.HIGH_FIRST))
    register = Register(
        quantity=quantity, table=Table.INPUT, parts=(part,), scale=Fraction(scale), **more
    )
    return RegisterEncoder(register, Wiring()).serve(value)


# The bytes of a gas meter's protocol: 00 00 12 43 11 16 are 1243.1116 m³.
@pytest.mark.parametrize(
    ("order", "words"),
    [
        (WordOrder.HIGH_FIRST, ((7, 0x0000), (8, 0x1243), (9, 0x1116))),
        (WordOrder.LOW_FIRST, ((7, 0x1116), (8, 0x1243), (9, 0x0000))),
    ],
)
def test_a_bcd_counter_shows_four_digits_a_register(order, words):
    assert serve("volume_m3", 1243.1116, Format.BCD48, order=order, scale="0.0001") == Served(
        words, 1243.1116
    )


def test_a_bcd_counter_starts_again_behind_its_last_digit():
    assert serve("volume_m3", 100_000_000.5, Format.BCD48, scale="0.0001").value == 0.5


@pytest.mark.parametrize(("value", "words"), [(-3, (0, 0)), (1e9, (0x9999, 0x9999))])
def test_a_bcd_gauge_stops_at_its_ends(value, words):
    assert serve("flow_m3_h", value, Format.BCD32).words == ((7, words[0]), (8, words[1]))


def test_a_counter_rolls_over_where_its_model_says():
    served = serve("volume_m3", 1_000_002.5, Format.FLOAT32, rollover=1_000_000)

    assert served.value == 2.5
