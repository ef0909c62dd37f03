import asyncio

import pytest

from gateways.reading.meter import build_meters
from gateways.reading.poll import (
    AnswerForeign,
    AnswerShort,
    BusDisconnected,
    MeterRefused,
    MeterSilent,
    poll_meter,
)
from metering.reading import Fault, Reading
from tests.fakes.bus import FakeBus
from tests.fakes.clock import FakeClock

MODEL = {
    "name": "M1",
    "maker": "Maker",
    "measures": "electricity",
    "confidence": "high",
    "sources": ["a document"],
    "table": "holding",
    "format": "uint16",
    "registers": [
        {"address": 10, "quantity": "voltage_l1_v"},
        {"address": 50, "quantity": "voltage_l2_v"},
        {"address": 90, "quantity": "voltage_l3_v"},
    ],
}
(METER,) = build_meters(
    {"url": "tcp://h", "meters": [{"id": "e001-main", "model": "m1", "unit": 7}]}, {"m1": MODEL}
)
START = 1_763_800_000_000


def poll(bus):
    """Each question takes 100 ms."""
    clock = FakeClock(START)
    bus.on_read = lambda: clock.pass_ms(100)
    return asyncio.run(poll_meter(bus, METER, clock))


def test_every_value_comes_from_its_own_address():
    bus = FakeBus()

    assert poll(bus).values == {"voltage_l1_v": 10.0, "voltage_l2_v": 50.0, "voltage_l3_v": 90.0}
    assert bus.asked == [(7, "holding", 10, 1), (7, "holding", 50, 1), (7, "holding", 90, 1)]


def test_a_reading_is_stamped_when_the_last_block_came():
    assert poll(FakeBus()).at_ms == START + 300


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (MeterSilent, Fault.TIMEOUT),
        (BusDisconnected, Fault.DISCONNECTED),
        (AnswerShort, Fault.SHORT),
        (AnswerForeign, Fault.FOREIGN),
    ],
)
def test_a_lost_answer_ends_the_poll_with_its_fault(error, fault):
    bus = FakeBus()
    bus.wrong[7] = lambda: error("asked unit 7")

    reading = poll(bus)

    assert reading == Reading(meter="e001-main", at_ms=START + 100, fault=fault)
    assert len(bus.asked) == 1


def test_what_came_before_a_lost_answer_is_kept_with_its_own_time():
    bus = FakeBus()
    bus.refused[7, 50] = lambda: MeterSilent("asked unit 7")

    assert poll(bus) == Reading(
        meter="e001-main",
        at_ms=START + 100,
        values={"voltage_l1_v": 10.0},
        fault=Fault.TIMEOUT,
    )


def test_a_refused_block_does_not_cost_the_others():
    bus = FakeBus()
    bus.refused[7, 50] = lambda: MeterRefused("asked unit 7, exception 2 came", 2)

    assert poll(bus) == Reading(
        meter="e001-main",
        at_ms=START + 300,
        values={"voltage_l1_v": 10.0, "voltage_l3_v": 90.0},
        fault=Fault.EXCEPTION,
    )
