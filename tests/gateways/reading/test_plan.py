from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.library.model import Format, Limits, Part, Register, Table, WordOrder
from gateways.reading.plan import Block, PlanImpossible, plan_blocks


def part(address, number=Format.FLOAT32):
    return Part(address=address, format=number, word_order=WordOrder.HIGH_FIRST)


def register(*parts, table=Table.INPUT, exponent=None):
    return Register(
        quantity="frequency_hz", table=table, parts=parts, scale=Fraction(1), exponent=exponent
    )


def at(*addresses):
    return [register(part(address)) for address in addresses]


def test_touching_registers_are_one_read():
    assert plan_blocks(at(0, 2, 4), Limits(), fill=0) == (Block(Table.INPUT, 0, 6),)


def test_a_hole_wider_than_the_fill_ends_a_read():
    blocks = plan_blocks(at(0, 6), Limits(), fill=3)

    assert blocks == (Block(Table.INPUT, 0, 2), Block(Table.INPUT, 6, 2))


def test_a_hole_up_to_the_fill_is_read_over():
    assert plan_blocks(at(0, 6), Limits(), fill=4) == (Block(Table.INPUT, 0, 8),)


def test_a_read_never_exceeds_the_meters_limit():
    blocks = plan_blocks(at(*range(0, 200, 2)), Limits(registers=80), fill=0)

    assert [block.count for block in blocks] == [80, 78, 42]


def test_start_and_count_are_even_where_the_meter_asks_for_it():
    odd = [register(part(5, Format.UINT16)), register(part(8, Format.UINT16))]

    assert plan_blocks(odd, Limits(even=True), fill=8) == (Block(Table.INPUT, 4, 6),)


def test_tables_are_read_apart():
    mixed = [register(part(0)), register(part(0), table=Table.HOLDING)]

    assert plan_blocks(mixed, Limits(), fill=8) == (
        Block(Table.HOLDING, 0, 2),
        Block(Table.INPUT, 0, 2),
    )


def test_a_split_total_is_not_torn_by_the_limit():
    total = register(part(8), part(10))
    blocks = plan_blocks([*at(0, 2, 4, 6), total], Limits(registers=10), fill=0)

    assert blocks == (Block(Table.INPUT, 0, 8), Block(Table.INPUT, 8, 4))


def test_a_split_total_is_not_torn_by_its_own_hole():
    assert plan_blocks([register(part(0), part(30))], Limits(), fill=0) == (
        Block(Table.INPUT, 0, 32),
    )


def test_values_that_share_a_scale_factor_are_read_with_it():
    factor = part(4, Format.INT16)
    values = [register(part(a, Format.UINT16), exponent=factor) for a in (0, 1, 2)]

    assert plan_blocks(values, Limits(registers=5), fill=0) == (Block(Table.INPUT, 0, 5),)


def test_a_total_longer_than_a_request_is_refused():
    with pytest.raises(PlanImpossible, match=r"input 0\.\.31 has to be read in one request, 20"):
        plan_blocks([register(part(0), part(30))], Limits(registers=20), fill=0)


registers = st.lists(
    st.builds(
        lambda table, slot, number: register(part(slot * 4, number), table=table),
        st.sampled_from(Table),
        st.integers(0, 300),
        st.sampled_from(Format),
    ),
    unique_by=lambda r: (r.table, r.parts[0].address),
    max_size=60,
)
limits = st.builds(Limits, registers=st.integers(5, 125), even=st.booleans())


@given(registers, limits, st.integers(0, 20))
def test_each_register_is_in_exactly_one_block_within_the_limits(registers, limits, fill):
    blocks = plan_blocks(registers, limits, fill)

    assert all(sum(block.covers(r) for block in blocks) == 1 for r in registers)
    assert all(1 <= block.count <= limits.registers for block in blocks)
    if limits.even:
        assert all(block.address % 2 == 0 and block.count % 2 == 0 for block in blocks)


@given(registers, limits, st.integers(0, 20))
def test_no_block_is_read_for_nothing(registers, limits, fill):
    blocks = plan_blocks(registers, limits, fill)

    assert all(any(block.covers(r) for r in registers) for block in blocks)


@given(registers, limits)
def test_the_order_of_the_registers_does_not_matter(registers, limits):
    assert plan_blocks(registers, limits, 4) == plan_blocks(registers[::-1], limits, 4)


@given(registers, st.integers(5, 125))
def test_no_two_neighbours_could_have_been_one_read(registers, longest):
    blocks = plan_blocks(registers, Limits(registers=longest), fill=6)

    for one, other in pairwise(blocks):
        if one.table == other.table:
            assert other.end - one.address > longest or other.address - one.end > 6
