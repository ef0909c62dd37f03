"""A refused block is halved once: what can be read of it is read, the rest is learnt."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.library.model import Table
from gateways.reading.explore import explore_block
from gateways.reading.meter import build_meters
from gateways.reading.poll import MeterSilent
from gateways.reading.terrain import Hole, Terrain
from tests.fakes.bus import FakeBus

QUANTITIES = (
    *("voltage_l1_v", "voltage_l2_v", "voltage_l3_v", "current_l1_a", "current_l2_a"),
    *("current_l3_a", "active_power_kw", "frequency_hz", "power_factor", "demand_kw"),
)


def model(*addresses, fill=0, **more):
    return {
        "name": "M1",
        "maker": "Maker",
        "measures": "electricity",
        "confidence": "high",
        "sources": ["a document"],
        "table": "holding",
        "format": "uint16",
        "fill": fill,
        "registers": [
            {"address": address, "quantity": quantity}
            for address, quantity in zip(addresses, QUANTITIES, strict=False)
        ],
        **more,
    }


def meter(*addresses, fill=0, **more):
    entry = {"url": "tcp://h", "meters": [{"id": "m1", "model": "m1", "unit": 1}]}
    (built,) = build_meters(entry, {"m1": model(*addresses, fill=fill, **more)})
    return built


def explore(bus, built):
    plan = built.plan(built.everything)
    (block,) = plan.blocks
    return asyncio.run(explore_block(bus, 1, block, plan.wanted, built.model.limits))


def answered(explored):
    return sorted(a for block, words in explored.answers for a in range(block.address, block.end))


def test_a_hole_between_two_registers_is_found_and_both_are_read():
    bus = FakeBus()
    bus.holes[1] = {12}

    explored = explore(bus, meter(10, 11, 13, 14, fill=1))

    assert explored.holes == (Hole(Table.HOLDING, 12, 1),)
    assert answered(explored) == [10, 11, 13, 14]
    assert len(bus.asked) == 2


def test_a_refused_register_is_found_and_the_others_are_read():
    bus = FakeBus()
    bus.holes[1] = {12}

    explored = explore(bus, meter(10, 11, 12, 13, 14, 15, 16))

    assert explored.holes == (Hole(Table.HOLDING, 12, 1),)
    assert answered(explored) == [10, 11, 13, 14, 15, 16]


def test_a_read_that_is_only_too_long_teaches_the_length():
    bus = FakeBus()
    bus.longest[1] = 5

    explored = explore(bus, meter(*range(10, 18)))

    assert (explored.holes, explored.longest) == ((), 4)
    assert answered(explored) == list(range(10, 18))


def test_a_meter_lost_on_the_way_teaches_nothing():
    bus = FakeBus()
    bus.wrong[1] = lambda: MeterSilent("nothing came")

    with pytest.raises(MeterSilent):
        explore(bus, meter(10, 11))


def test_a_meter_that_refuses_at_random_holds_no_bus():
    bus = FakeBus()
    bus.holes[1] = set(range(0, 500, 2))

    explored = explore(bus, meter(*range(10, 20)))

    assert len(bus.asked) <= 40
    assert len(explored.holes) == 5


@given(st.sets(st.integers(10, 40)), st.sets(st.integers(10, 40), min_size=1, max_size=10))
def test_whatever_the_holes_everything_that_can_be_read_is_and_the_next_plan_is_never_refused(
    holes, wanted
):
    bus = FakeBus()
    bus.holes[1] = set(holes)
    built = meter(*sorted(wanted), fill=40)

    terrain = Terrain()
    for _ in range(20):  # each refusal teaches something; then there are none
        plan = built.over(terrain).plan(built.everything)
        refused = [b for b in plan.blocks if holes & set(range(b.address, b.end))]
        if not refused:
            break
        explored = asyncio.run(explore_block(bus, 1, refused[0], plan.wanted, built.model.limits))
        terrain = terrain.learn(explored.holes, explored.longest, 0)

    assert not refused
    read = {address for block in plan.blocks for address in range(block.address, block.end)}
    assert wanted - holes <= read
    assert not read & holes
