"""Ports and serial servers that go and come, and real lines: timing, libmodbus, one owner."""

import asyncio
import subprocess
import sys
import termios
import time

import pytest

from gateways.adapters.modbus import open_bus
from gateways.bus_url import BusUrlInvalid, Serial
from gateways.library.model import Table
from gateways.line.timing import request_ms, silence_ms
from gateways.reading.poll import AnswerCorrupt, BusDisconnected, MeterRefused, MeterSilent
from metering.clock import SystemClock
from tests.servers.libmodbus import libmodbus_slaves
from tests.servers.line import line
from tests.servers.rtu import rtu_on_a_port, serial_server

HOLDING, INPUT = Table.HOLDING, Table.INPUT
MINIMUM_MS = 104.17  # of 40 registers: 8 + 85 characters and two silences at 9600 8N1


async def come_back(bus, unit=7):
    async with asyncio.timeout(10):
        while True:
            try:
                return list(await bus.read(unit, HOLDING, 100, 3))
            except BusDisconnected:
                await asyncio.sleep(0.02)


# ---- a line at its real pace, with slaves that are not pymodbus


@pytest.fixture
def _any_parity(monkeypatch):
    """A pseudo-terminal has no parity, and the C library refuses to set what did not stick."""
    setting = termios.tcsetattr

    def without_parity(device, when, attributes):
        attributes[2] &= ~(termios.PARENB | termios.PARODD)
        setting(device, when, attributes)

    monkeypatch.setattr(termios, "tcsetattr", without_parity)


@pytest.mark.server
@pytest.mark.usefixtures("_any_parity")
@pytest.mark.parametrize(
    ("baudrate", "parity", "stopbits"),
    [(9600, "N", 1), (2400, "E", 1), (19_200, "N", 2), (38_400, "O", 1)],
)
def test_libmodbus_slaves_are_read_on_a_line_at_its_real_pace(baudrate, parity, stopbits):
    serial = Serial(device="", baudrate=baudrate, parity=parity, stopbits=stopbits)

    async def scenario(device):
        query = f"baudrate={baudrate}&parity={parity}&stopbits={stopbits}&timeout_ms=500"
        bus = open_bus(f"serial://{device}?{query}", SystemClock())
        took_ms = []
        try:
            await bus.read(3, HOLDING, 0, 1)  # opens the port
            for unit, table in ((3, HOLDING), (9, INPUT), (9, HOLDING), (3, INPUT)):
                started = time.monotonic()
                words = list(await bus.read(unit, table, 100, 10))
                took_ms.append((time.monotonic() - started) * 1000)
                first = 1000 * unit + 100 + (30_000 if table is INPUT else 0)
                assert words == list(range(first, first + 10))
        finally:
            await bus.close()
        return min(took_ms)

    with (
        line(baudrate, parity=parity, stopbits=stopbits, slaves=2) as wire,
        libmodbus_slaves(wire.devices[1:], [3, 9], baudrate=baudrate),
    ):
        took_ms = asyncio.run(scenario(wire.devices[0]))

    # libmodbus does not wait for the silence before it answers: at least one is kept, by us.
    assert took_ms >= request_ms(serial, 10) - silence_ms(serial) - 1


@pytest.mark.server
def test_the_bus_is_busy_hardly_longer_than_the_wire_must():
    async def scenario(device):
        bus = open_bus(f"serial://{device}?baudrate=9600&timeout_ms=500", SystemClock())
        try:
            await bus.read(3, HOLDING, 0, 1)
            took_ms = []
            for _ in range(40):  # one is enough: a busy machine delays us and the relay
                started = time.monotonic()
                await bus.read(3, HOLDING, 100, 40)
                took_ms.append((time.monotonic() - started) * 1000)
                if len(took_ms) > 3 and min(took_ms) < 1.05 * MINIMUM_MS:
                    break
            return min(took_ms)
        finally:
            await bus.close()

    with line(9600) as wire, libmodbus_slaves(wire.devices[1:], [3], baudrate=9600):
        took_ms = asyncio.run(scenario(wire.devices[0]))

    assert took_ms < 1.05 * MINIMUM_MS


@pytest.mark.server
def test_a_libmodbus_slave_refuses_what_it_does_not_have_and_others_are_silent():
    async def scenario(device):
        bus = open_bus(f"serial://{device}?baudrate=115200&timeout_ms=100", SystemClock())
        try:
            with pytest.raises(MeterRefused) as caught:
                await bus.read(3, HOLDING, 999, 2)
            with pytest.raises(MeterSilent):
                await bus.read(4, HOLDING, 0, 2)
            await asyncio.sleep(0.6)  # libmodbus waits for an answer of the other slave
            return caught.value.code, list(await bus.read(3, HOLDING, 998, 2))
        finally:
            await bus.close()

    with line(115_200) as wire, libmodbus_slaves(wire.devices[1:], [3], baudrate=115_200):
        assert asyncio.run(scenario(wire.devices[0])) == (2, [3998, 3999])


def test_a_line_that_is_never_silent_is_corrupt_and_not_asked():
    async def scenario():
        async with rtu_on_a_port() as slaves:
            # At 1200 baud the silence is 29 ms, which even a busy machine seldom leaves by chance.
            bus = open_bus(f"{slaves.url}?baudrate=1200&timeout_ms=10", SystemClock())
            await bus.read(7, HOLDING, 100, 3)

            async def babble():
                while True:
                    slaves.write(b"\x55")
                    await asyncio.sleep(0)

            babbling = asyncio.create_task(babble())
            await asyncio.sleep(0.02)
            with pytest.raises(AnswerCorrupt, match="never silent"):
                await bus.read(7, HOLDING, 100, 3)
            babbling.cancel()
            asked = len(slaves.asked)
            words = await come_back(bus)
            await bus.close()
            return asked, words

    assert asyncio.run(scenario()) == (1, [7100, 7101, 7102])


# ---- one owner per bus


HOLD = """
import asyncio, sys
from gateways.adapters.modbus import open_bus
from gateways.library.model import Table
from metering.clock import SystemClock

async def main():
    bus = open_bus(sys.argv[1], SystemClock())
    await bus.read(7, Table.HOLDING, 100, 3)
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await bus.close()

asyncio.run(main())
"""


def test_a_port_that_another_process_holds_is_refused_until_it_lets_go():
    async def scenario():
        async with rtu_on_a_port() as slaves:
            url = f"{slaves.url}?baudrate=115200&timeout_ms=500"
            other = subprocess.Popen(  # noqa: ASYNC220 - waited for in a thread
                [sys.executable, "-c", HOLD, url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            with other:
                assert await asyncio.to_thread(other.stdout.readline) == "held\n"
                bus = open_bus(url, SystemClock())
                with pytest.raises(BusDisconnected, match="it is held by another process"):
                    await bus.read(7, HOLDING, 100, 3)
                other.stdin.write("\n")
                other.stdin.flush()
                words = await come_back(bus)
                await bus.close()
            return words

    assert asyncio.run(scenario()) == [7100, 7101, 7102]


# ---- ports that vanish; pattern 30: the right bus is found again


def test_a_port_that_vanishes_is_disconnected_and_comes_back_under_its_stable_name(tmp_path):
    name = tmp_path / "rs485-1"  # as /dev/serial/by-id/… or a udev rule of one's own

    def plug(slaves):
        name.unlink(missing_ok=True)
        name.symlink_to(slaves.url.removeprefix("serial://"))

    async def scenario():
        bus = open_bus(f"serial://{name}?baudrate=115200&timeout_ms=200", SystemClock())
        async with rtu_on_a_port() as slaves:
            plug(slaves)
            first = await come_back(bus)
        async with rtu_on_a_port(), rtu_on_a_port() as slaves:  # another number this time
            with pytest.raises(BusDisconnected, match="rs485-1 cannot be connected"):
                await bus.read(7, HOLDING, 100, 3)
            started = time.monotonic()
            for _ in range(20):
                with pytest.raises(BusDisconnected):
                    await bus.read(7, HOLDING, 100, 3)
            at_once = time.monotonic() - started < 0.2
            plug(slaves)
            second = await come_back(bus)
            await bus.close()
        return first, at_once, second

    assert asyncio.run(scenario()) == ([7100, 7101, 7102], True, [7100, 7101, 7102])


def test_a_port_that_vanishes_while_asking_is_known_at_once():
    async def scenario():
        async with rtu_on_a_port() as slaves:
            bus = open_bus(f"{slaves.url}?baudrate=115200&timeout_ms=5000", SystemClock())
            await come_back(bus)

            async def pull(_question, _write):
                slaves.unplug()

            slaves.behave = pull
            started = time.monotonic()
            with pytest.raises(BusDisconnected):
                await bus.read(7, HOLDING, 100, 3)
            await bus.close()
            return time.monotonic() - started

    assert asyncio.run(scenario()) < 2


@pytest.mark.parametrize("url", ["serial:///dev/x?bytesize=7", "rtu+tcp://h:4001?bytesize=7"])
def test_a_line_of_seven_bits_carries_no_rtu(url):
    with pytest.raises(BusUrlInvalid, match="bytesize cannot be 7, RTU needs 8"):
        open_bus(url, SystemClock())


def test_a_port_that_is_not_there_says_so():
    async def scenario():
        bus = open_bus("serial:///dev/serial/by-id/none", SystemClock())
        with pytest.raises(BusDisconnected, match="/dev/serial/by-id/none cannot be connected: "):
            await bus.read(7, HOLDING, 100, 3)

    asyncio.run(scenario())


# ---- serial servers; pattern 8: half-open links recover unaided


def over_tcp(scenario, timeout_ms=150):
    async def inside():
        async with serial_server() as server:
            url = f"{server.slaves.url}?baudrate=115200&timeout_ms={timeout_ms}"
            bus = open_bus(url, SystemClock())
            try:
                return await scenario(bus, server)
            finally:
                await bus.close()

    return asyncio.run(inside())


def test_a_half_open_link_to_a_serial_server_recovers_unaided():
    async def scenario(bus, server):
        first = await come_back(bus)
        server.deaf = True  # TCP takes what is sent, and nothing reaches the line
        for _ in range(2):
            with pytest.raises(MeterSilent):
                await bus.read(7, HOLDING, 100, 3)
        server.deaf = False  # for new connections only: the old one stays deaf for good
        return first, await come_back(bus), server.connections

    assert over_tcp(scenario) == ([7100, 7101, 7102], [7100, 7101, 7102], 2)


def test_one_dead_meter_does_not_make_the_link_reconnect():
    async def scenario(bus, server):
        async def behave(question, write):
            if question.unit != 9:
                write(question.right())

        server.slaves.behave = behave
        for _ in range(4):
            with pytest.raises(MeterSilent):
                await bus.read(9, HOLDING, 100, 3)
            await come_back(bus)
        return server.connections

    assert over_tcp(scenario) == 1


def test_a_link_that_the_serial_server_closed_while_idle_costs_no_reading():
    async def scenario(bus, server):
        await come_back(bus)
        await server.drop()
        return list(await bus.read(7, HOLDING, 100, 3)), server.connections

    assert over_tcp(scenario) == ([7100, 7101, 7102], 2)


def test_what_is_owed_outlives_the_connection_because_the_line_behind_it_does():
    async def scenario(bus, server):
        async def late(question, write):
            if question.address == 500:
                await question.followed()
            write(question.right())

        server.slaves.behave = late
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 500, 10)
        await server.drop()
        words = list(await bus.read(7, HOLDING, 100, 10))  # the late answer comes by the new one
        return words, [question.count for question in server.slaves.asked]

    assert over_tcp(scenario) == (list(range(7100, 7110)), [10, 2, 10])


def test_a_connection_that_falls_while_asking_is_opened_anew_and_owes_its_answer():
    async def scenario(bus, server):
        await come_back(bus)
        gate = asyncio.Event()

        async def fall(question, write):
            if question.count == 10 and server.connections == 1:
                server.falling = asyncio.create_task(server.drop())
                await gate.wait()  # answers when it is asked on the new connection
            write(question.right())

        server.slaves.behave = fall

        async def open_gate():
            while server.connections < 2:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.02)
            gate.set()

        opening = asyncio.create_task(open_gate())
        words = list(await bus.read(7, HOLDING, 500, 10))
        await opening
        return words, [question.count for question in server.slaves.asked]

    assert over_tcp(scenario) == (list(range(7500, 7510)), [3, 10, 2, 10])


def test_a_serial_server_that_is_away_fails_at_once_and_comes_back_unaided():
    async def scenario(bus, server):
        await come_back(bus)
        await server.stop()
        with pytest.raises(BusDisconnected, match="cannot be connected: "):
            await bus.read(7, HOLDING, 100, 3)
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(BusDisconnected):
                await bus.read(7, HOLDING, 100, 3)
        at_once = time.monotonic() - started < 0.2
        await server.start()
        return at_once, await come_back(bus)

    assert over_tcp(scenario) == (True, [7100, 7101, 7102])


def test_an_idle_bus_uses_no_processor_time():
    async def scenario(bus, _server):
        await come_back(bus)
        used_s = time.process_time()
        await asyncio.sleep(0.5)
        return time.process_time() - used_s

    assert over_tcp(scenario) < 0.01
