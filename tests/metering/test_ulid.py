"""An epoch's name: 26 letters that sort by time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.ulid import is_ulid, ulid

instants = st.integers(0, 2**48 - 1)
randomness = st.binary(min_size=10, max_size=10)


def test_the_specifications_alphabet_and_layout():
    assert ulid(0, bytes(10)) == "0" * 26
    assert ulid(2**48 - 1, b"\xff" * 10) == "7" + "Z" * 25
    assert ulid(1_469_918_176_385, bytes(10)) == "01ARYZ6S41" + "0" * 16  # the ULID README's time


@given(at_ms=instants, random=randomness)
def test_a_name_has_26_letters_and_is_recognised(at_ms, random):
    name = ulid(at_ms, random)

    assert len(name) == 26
    assert is_ulid(name)


@given(one=st.tuples(instants, randomness), other=st.tuples(instants, randomness))
def test_names_sort_as_their_instants_do(one, other):
    assert (ulid(*one) < ulid(*other)) == (one < other)


@pytest.mark.parametrize("at_ms", [-1, -(2**60)])
def test_a_clock_before_1970_still_names_an_epoch(at_ms):
    assert ulid(at_ms, bytes(10)) == "0" * 26


@pytest.mark.parametrize("random", [b"", bytes(9), bytes(11)])
def test_ten_random_bytes_are_needed(random):
    with pytest.raises(ValueError, match="10 random bytes"):
        ulid(0, random)


@pytest.mark.parametrize(
    "text",
    ["", "0" * 25, "0" * 27, "8" + "0" * 25, "0" * 25 + "I", "0" * 25 + "\n", "0" * 25 + "a"],
)
def test_other_text_is_no_ulid(text):
    assert not is_ulid(text)
