"""Turnarounds as meters have them."""

import asyncio

import pytest

from gateways.adapters.modbus import open_bus
from gateways.bus_url import Serial
from gateways.commission.measure import measure_turnarounds
from gateways.reading.meter import build_meters
from metering.clock import SystemClock
from tests.gateways.commission.bench import MODELS
from tests.servers.libmodbus import libmodbus_slaves
from tests.servers.line import line
from tests.servers.modbus import modbus_server


def measured(behave, units=(1, 2)):
    async def inside():
        async with modbus_server() as server:
            server.behave = behave
            bus = open_bus(f"{server.url}?timeout_ms=200", SystemClock())
            entries = [{"id": f"m{u}", "model": "eastron_sdm120", "unit": u} for u in units]
            meters = build_meters({"url": server.url, "meters": entries}, MODELS)
            steps = []
            try:
                measured = await measure_turnarounds(bus, meters, None, steps.append)
                return measured, steps, [question.unit for question in server.asked]
            finally:
                await bus.close()

    return asyncio.run(inside())


def test_a_slow_meter_is_measured_slow_and_a_silent_one_not_at_all():
    async def behave(question, writer):
        if question.unit == 1:
            await asyncio.sleep(0.03)
            writer.write(question.right())

    turnarounds, steps, asked = measured(behave)

    assert list(turnarounds) == ["m1"]
    assert 29 < turnarounds["m1"] < 60
    assert steps == [1, 1]
    assert asked.count(2) <= 2  # once, and once more on a new connection at most


def test_a_quick_meter_costs_next_to_nothing():
    async def behave(question, writer):
        writer.write(question.right())

    turnarounds, *_ = measured(behave)

    assert all(0 <= ms < 15 for ms in turnarounds.values())


@pytest.mark.server
def test_on_a_serial_line_the_time_of_the_wire_is_taken_off():
    serial = Serial(baudrate=9600)

    async def inside(device):
        bus = open_bus(f"serial://{device}?baudrate=9600", SystemClock())
        entry = {"id": "m", "model": "eastron_sdm120", "unit": 1}
        meters = build_meters({"url": "tcp://h", "meters": [entry]}, MODELS)
        try:
            return await measure_turnarounds(bus, meters, serial, lambda _steps: None)
        finally:
            await bus.close()

    with line(9600) as wire, libmodbus_slaves(wire.devices[1:], [1], baudrate=9600):
        turnarounds = asyncio.run(inside(wire.devices[0]))

    assert 0 <= turnarounds["m"] < 15  # of some 90 ms that its longest block takes
