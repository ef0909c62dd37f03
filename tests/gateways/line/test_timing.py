import pytest

from gateways.bus_url import Serial
from gateways.line.timing import character_bits, characters_ms, request_ms, silence_ms


def line(baudrate, parity="N", stopbits=1):
    return Serial(device="/dev/x", baudrate=baudrate, parity=parity, stopbits=stopbits)


@pytest.mark.parametrize(
    ("parity", "stopbits", "bits"), [("N", 1, 10), ("E", 1, 11), ("O", 1, 11), ("N", 2, 11)]
)
def test_parity_and_a_second_stop_bit_lengthen_each_character(parity, stopbits, bits):
    assert character_bits(line(9600, parity, stopbits)) == bits


def test_characters_take_their_bits_at_the_baud_rate():
    assert characters_ms(line(9600), 96) == pytest.approx(100)
    assert characters_ms(line(2400, "E"), 240) == pytest.approx(1100)


@pytest.mark.parametrize(
    ("baudrate", "silence"), [(9600, 3.6458), (19_200, 1.8229), (38_400, 1.75), (115_200, 1.75)]
)
def test_the_silence_between_frames_is_fixed_above_19200_baud(baudrate, silence):
    assert silence_ms(line(baudrate)) == pytest.approx(silence, abs=1e-4)


def test_a_read_takes_its_request_its_answer_and_the_silence_after_each():
    # 8 + 85 characters and twice 3.5, 10 bits each: 1000 bits.
    assert request_ms(line(9600), 40) == pytest.approx(1000 / 9.6)
