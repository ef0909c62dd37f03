"""What every `gateways.reading.poll.Bus` does: one suite on the fake and on all three transports.

TCP and RTU over TCP go over a socket, RTU over a pseudo-terminal.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest

from gateways.adapters.modbus import open_bus
from gateways.library.model import Table
from gateways.reading.poll import MeterRefused, MeterSilent
from metering.clock import SystemClock
from tests.fakes.bus import FakeBus
from tests.servers.modbus import modbus_server
from tests.servers.rtu import rtu_on_a_port, rtu_over_tcp

SILENT, REFUSING = 8, 9


@asynccontextmanager
async def fake():
    bus = FakeBus()
    bus.wrong[SILENT] = lambda: MeterSilent("nothing came")
    bus.wrong[REFUSING] = lambda: MeterRefused("exception 2 came", 2)
    yield bus


@asynccontextmanager
async def modbus_tcp():
    async def behave(question, writer):
        if question.unit == REFUSING:
            writer.write(question.frame(bytes([question.function | 0x80, 2])))
        elif question.unit != SILENT:
            writer.write(question.right())

    async with modbus_server() as server:
        server.behave = behave
        bus = open_bus(f"{server.url}?timeout_ms=200", SystemClock())
        try:
            yield bus
        finally:
            await bus.close()


@asynccontextmanager
async def rtu(line):
    async def behave(question, write):
        if question.unit == REFUSING:
            write(question.refused(2))
        elif question.unit != SILENT:
            write(question.right([question.address + i for i in range(question.count)]))

    async with line() as slaves:
        slaves.behave = behave
        bus = open_bus(f"{slaves.url}?baudrate=115200&timeout_ms=200", SystemClock())
        try:
            yield bus
        finally:
            await bus.close()


@asynccontextmanager
async def modbus_rtu():
    async with rtu(rtu_on_a_port) as bus:
        yield bus


@asynccontextmanager
async def modbus_rtu_over_tcp():
    async with rtu(rtu_over_tcp) as bus:
        yield bus


@pytest.fixture(
    params=[fake, modbus_tcp, modbus_rtu, modbus_rtu_over_tcp], ids=lambda make: make.__name__
)
def run(request):
    def inside(scenario):
        async def opened():
            async with request.param() as bus:
                return await scenario(bus)

        return asyncio.run(opened())

    return inside


@pytest.mark.parametrize("table", Table)
@pytest.mark.parametrize(("address", "count"), [(0, 1), (65_411, 125), (65_535, 1)])
def test_a_read_gives_exactly_the_words_asked_for(run, table, address, count):
    words = run(lambda bus: bus.read(1, table, address, count))

    assert list(words) == list(range(address, address + count))


def test_a_silent_meter_is_silence(run):
    with pytest.raises(MeterSilent):
        run(lambda bus: bus.read(SILENT, Table.INPUT, 0, 1))


def test_a_refusal_carries_its_code(run):
    with pytest.raises(MeterRefused) as caught:
        run(lambda bus: bus.read(REFUSING, Table.INPUT, 0, 1))

    assert caught.value.code == 2


def test_one_meters_trouble_is_not_the_next_ones(run):
    async def scenario(bus):
        for unit in (SILENT, REFUSING):
            with pytest.raises((MeterSilent, MeterRefused)):
                await bus.read(unit, Table.INPUT, 0, 1)
        return list(await bus.read(1, Table.INPUT, 5, 2))

    assert run(scenario) == [5, 6]


def test_a_closed_bus_opens_again(run):
    async def scenario(bus):
        await bus.read(1, Table.INPUT, 5, 1)
        await bus.close()
        await bus.close()
        return list(await bus.read(1, Table.INPUT, 5, 1))

    assert run(scenario) == [5]
