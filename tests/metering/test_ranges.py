"""Ranges are sets of integers, whatever order their spans came in."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.delivery.ranges import Ranges
from metering.wire import Range

sets = st.sets(st.integers(1, 40))
spans = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=8)


def ranges(members: set[int]) -> Ranges:
    return Ranges((n, n) for n in members)


def members(value: Ranges) -> set[int]:
    return set(value.ascending())


@given(pairs=spans)
def test_spans_may_come_in_any_order_overlap_touch_or_be_empty(pairs):
    value = Ranges(pairs)

    assert members(value) == {n for first, last in pairs for n in range(first, last + 1)}


@given(pairs=spans)
def test_spans_are_sorted_and_apart(pairs):
    value = Ranges(pairs).spans

    assert all(first <= last for first, last in value)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(value))


@given(one=sets, other=sets)
def test_union_difference_and_intersection_are_those_of_sets(one, other):
    assert members(ranges(one) | ranges(other)) == one | other
    assert members(ranges(one) - ranges(other)) == one - other
    assert members(ranges(one) & ranges(other)) == one & other


@given(one=sets, other=sets)
def test_equal_sets_are_equal_ranges(one, other):
    assert (ranges(one) == ranges(other)) == (one == other)
    assert one != other or hash(ranges(one)) == hash(ranges(other))


@given(one=sets, number=st.integers(1, 41))
def test_membership_and_adding_are_those_of_sets(one, number):
    assert (number in ranges(one)) == (number in one)
    assert members(ranges(one).add(number)) == one | {number}


@given(one=sets)
def test_size_ends_and_order_are_those_of_sets(one):
    value = ranges(one)

    assert len(value) == len(one)
    assert bool(value) == bool(one)
    assert value.highest == max(one, default=0)
    assert value.lowest == min(one, default=None)
    assert list(value.ascending()) == sorted(one)
    assert list(value.descending()) == sorted(one, reverse=True)


@given(one=sets)
def test_ranges_come_back_from_the_wire(one):
    assert Ranges.from_wire(ranges(one).to_wire()) == ranges(one)


def test_spans_that_touch_are_one():
    assert Ranges([(3, 4), (1, 2)]).spans == ((1, 4),)


def test_a_value_does_not_change():
    value = Ranges.span(1, 3)

    value.add(4)
    value | Ranges.span(7, 9)

    assert value.spans == ((1, 3),)


def test_a_year_of_batches_is_one_span():
    value = Ranges()
    for number in range(1, 10_001):
        value = value.add(number)

    assert value.to_wire() == (Range(1, 10_000),)
    assert repr(value) == "Ranges([(1, 10000)])"


@pytest.mark.parametrize("other", [None, 7, ((1, 3),)])
def test_ranges_equal_no_other_thing(other):
    assert Ranges.span(1, 3) != other
