import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.line.rtu_frame import Question, checksum, first_frame
from tests.servers.rtu import RtuQuestion, crc

ASKED = Question(7, 3, 100, 3)
SLAVE = RtuQuestion(7, 3, 100, 3, b"")
UNITS = (7, 8)


def test_the_checksum_of_the_specifications_example():
    # Modbus over Serial Line V1.02, section 6.2.2: of 02 07 it is 41 12.
    assert checksum(b"\x02\x07") == 0x1241
    assert checksum(b"\x02\x07\x41\x12") == 0


@given(st.binary(max_size=260))
def test_what_ends_in_its_own_checksum_is_sound(frame):
    assert checksum(frame + crc(frame)) == 0


@given(noise=st.binary(max_size=30), after=st.binary(max_size=10))
def test_an_answer_is_found_after_any_noise(noise, after):
    found = first_frame(noise + SLAVE.right() + after, UNITS, ASKED)

    assert found is not None
    assert (found.frame.words, found.start) == ((7100, 7101, 7102), len(noise))


@given(bit=st.integers(0, 8 * 11 - 1))
def test_one_wrong_bit_is_never_an_answer(bit):
    frame = bytearray(SLAVE.right())
    frame[bit // 8] ^= 1 << bit % 8

    assert first_frame(bytes(frame), UNITS, ASKED) is None


@given(length=st.integers(0, 10))
def test_a_part_is_not_yet_an_answer(length):
    assert first_frame(SLAVE.right()[:length], UNITS, ASKED) is None


def test_an_exception_of_a_unit_that_nobody_asked_is_noise():
    assert first_frame(SLAVE.refused(2), UNITS, ASKED) is not None
    assert first_frame(SLAVE.refused(2), (8,), ASKED) is None


def test_the_inside_of_an_answer_that_is_still_arriving_is_not_looked_at():
    inside = SLAVE.refused(2)
    words = struct.unpack(">3H", b"\x00" + inside)
    question = Question(7, 3, 100, 40)
    answer = SLAVE.right([*words, *[0] * (40 - len(words))])

    assert inside in answer
    assert first_frame(answer[:60], UNITS, question) is None
    assert first_frame(answer, UNITS, question).frame.count == 40


@pytest.mark.parametrize(
    ("question", "fits"),
    [
        (ASKED, True),
        (Question(7, 3, 900, 3), True),  # which registers it does not say
        (Question(8, 3, 100, 3), False),
        (Question(7, 4, 100, 3), False),
        (Question(7, 3, 100, 4), False),
    ],
)
def test_an_answer_fits_by_unit_function_and_length(question, fits):
    assert first_frame(SLAVE.right(), UNITS, None).frame.fits(question) is fits


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (ASKED, "unit 7, 3 holding registers from 100"),
        (Question(1, 4, 0, 2), "unit 1, 2 input registers from 0"),
    ],
)
def test_a_question_is_told_as_it_was_asked(question, text):
    assert str(question) == text
