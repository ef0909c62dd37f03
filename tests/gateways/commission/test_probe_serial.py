"""A probe of serial lines: a pseudo-terminal, a serial server, a line at its real pace."""

import asyncio

import pytest

from gateways.adapters.modbus import open_bus
from gateways.commission.probe import probe_bus
from gateways.commission.read import read_once
from gateways.commission.sweep import lines, sweep
from gateways.library.model import Table
from gateways.reading.meter import build_meters
from gateways.simulator.district import build_simulation
from metering.clock import SystemClock
from tests.gateways.commission.bench import MODELS, URL, QuietWatcher, bent, task
from tests.servers.libmodbus import libmodbus_slaves
from tests.servers.line import line
from tests.servers.rtu import rtu_on_a_port, rtu_over_tcp

CLOCK = SystemClock()


def slaves_of(contents, *, refusing=True):
    """What answers for simulated meters, by unit, on a line of bytes."""
    meters = [
        {"id": f"m{unit}", "unit": unit, "model": model} for unit, (model, _) in contents.items()
    ]
    models = {**MODELS, **dict(contents.values())}
    cut = {"buses": [{"url": URL, "meters": meters}], "models": models}
    by_unit = {m.unit: m for m in build_simulation([cut], CLOCK).buses[0].meters}

    async def behave(question, write):
        meter = by_unit.get(question.unit)
        if meter is None:
            return
        table = Table.HOLDING if question.function == 3 else Table.INPUT
        first, behind = question.address, question.address + question.count
        if any(t == table and a <= first and behind <= a + n for t, a, n in meter.ranges):
            answer = meter.answer(table, first, question.count, CLOCK.now_ms())
            write(question.right(answer.words))
        elif refusing:
            write(question.refused(2))

    return behave


@pytest.mark.parametrize("served", [rtu_on_a_port, rtu_over_tcp])
def test_meters_on_a_serial_line_are_found_and_recognised(served):
    contents = {
        2: ("eastron_sdm630_v2", MODELS["eastron_sdm630_v2"]),
        5: ("schneider_iem3155", bent("schneider_iem3155", word_order="low_first")),
    }

    async def inside():
        async with served() as slaves:
            slaves.behave = slaves_of(contents)
            asked = task(slaves.url, units=range(1, 7), timeout_ms=60)
            return await probe_bus(asked, lambda url: open_bus(url, CLOCK), QuietWatcher())

    findings = asyncio.run(inside())

    best = [(found.heard.unit, found.fits[0].variant) for found in findings.found]
    assert [(unit, variant.model.id, variant.english) for unit, variant in best] == [
        (2, "eastron_sdm630_v2", ""),
        (5, "schneider_iem3155", "word order low_first"),
    ]


def test_a_meter_that_is_silent_about_what_it_does_not_have_is_recognised_all_the_same():
    contents = {2: ("tuf2000m", MODELS["tuf2000m"])}
    models = ["schneider_iem3155", "chint_dtsu666", "tuf2000m"]

    async def inside():
        async with rtu_on_a_port() as slaves:
            slaves.behave = slaves_of(contents, refusing=False)
            asked = task(slaves.url, units=[2], models=models, timeout_ms=60, read_timeout_ms=60)
            return await probe_bus(asked, lambda url: open_bus(url, CLOCK), QuietWatcher())

    findings = asyncio.run(inside())

    assert findings.found[0].fits[0].variant.model.id == "tuf2000m"


def test_one_reading_over_a_serial_line_is_the_same_command():
    contents = {3: ("eastron_sdm120", MODELS["eastron_sdm120"])}

    async def inside():
        async with rtu_on_a_port() as slaves:
            slaves.behave = slaves_of(contents)
            bus = open_bus(f"{slaves.url}?timeout_ms=200", CLOCK)
            entry = {"id": "m", "model": "eastron_sdm120", "unit": 3}
            (meter,) = build_meters({"url": slaves.url, "meters": [entry]}, MODELS)
            try:
                return await read_once(bus, meter, CLOCK)
            finally:
                await bus.close()

    assert asyncio.run(inside()).is_sound


def swept(device, units, timeout_ms=None):
    async def inside():
        ways = lines(f"serial://{device}", [9600], ["N"], timeout_ms)
        return await sweep(lambda url: open_bus(url, CLOCK), ways, units, lambda _steps: None)

    return [(each.unit, each.how) for each in asyncio.run(inside())]


@pytest.mark.server
def test_a_line_at_9600_baud_is_swept_with_the_shortest_timeout_and_misses_nobody():
    with (
        line(9600, slaves=2) as wire,
        libmodbus_slaves(wire.devices[1:], [3, 9], baudrate=9600),
    ):
        heard = swept(wire.devices[0], [3, 9, 10])

    assert heard == [(3, "answer"), (9, "answer")]


@pytest.mark.server
def test_a_slave_that_waits_for_the_answer_of_a_silent_one_is_found_with_more_time():
    # libmodbus takes what follows a question to another unit for its answer, for half a second.
    with line(9600) as wire, libmodbus_slaves(wire.devices[1:], [9], baudrate=9600):
        hasty = swept(wire.devices[0], [8, 9])
        patient = swept(wire.devices[0], [7, 8, 9], timeout_ms=700)

    assert hasty == []
    assert patient == [(9, "answer")]
