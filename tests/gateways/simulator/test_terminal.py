"""Serial lines: devices, pseudo-terminals, and the time that bytes take."""

import asyncio
import ctypes
import ctypes.util
import os
import termios
from pathlib import Path

import pytest

from gateways.bus_url import parse_bus_url
from gateways.library.folder import load_models
from gateways.simulator.bus.network import BusUnavailable
from gateways.simulator.bus.pace import character_s, gap_s
from gateways.simulator.district import build_simulation
from gateways.simulator.serve import serving
from gateways.strict import ContentInvalid
from metering.clock import SystemClock
from tests.gateways.simulator.master import connect, on_descriptor

MODELS = load_models(Path(__file__).parents[3] / "config" / "meters")


def simulation(url, units=(1, 2), log=None):
    meters = [{"id": f"m{unit}", "unit": unit, "model": "eastron_sdm630_v2"} for unit in units]
    cut = {"buses": [{"url": url, "meters": meters}], "models": MODELS}
    return build_simulation([cut], SystemClock(), log=log)


def run(url, scenario, place="pty"):
    """Run `scenario(served_url)`."""

    async def inside():
        async with serving(simulation(url), {url: place} if place else None) as urls:
            return await scenario(urls[url])

    return asyncio.run(inside())


def test_a_pseudo_terminal_stands_for_the_device_and_keeps_its_settings():
    async def scenario(served):
        return served

    served = run("serial:///dev/ttyS1?baudrate=19200&parity=E", scenario)

    assert served.startswith("serial:///dev/pts/")
    assert served.endswith("?baudrate=19200&parity=E")
    assert parse_bus_url(served).serial.baudrate == 19200


def test_a_master_may_go_and_another_come():
    async def scenario(served):
        units = []
        for unit in (1, 2):
            master = await connect(served)
            master.ask(unit)
            units += [unit for unit, _ in await master.answers()]
            master.close()
            await asyncio.sleep(0.01)
        return units

    assert run("serial:///dev/ttyS1", scenario) == [1, 2]


def test_answers_that_nobody_reads_do_not_stop_the_line():
    failed = []

    async def scenario(served):
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        master = await connect(served)
        master.pause()
        for _ in range(300):  # 300 answers of 165 bytes are more than a terminal keeps
            master.ask(1, 0, 80)
            await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        master.resume()
        await master.hear(0.1, octets=10**9)
        master.ask(2)
        answers = await master.answers()
        master.close()
        return [unit for unit, _ in answers]

    assert run("serial:///dev/ttyS1", scenario) == [2]
    assert failed == []


@pytest.mark.parametrize(
    ("query", "character", "gap"),
    [
        ("baudrate=9600", 10 / 9600, 0.00364583),
        ("baudrate=2400&parity=E", 11 / 2400, 0.01604167),
        ("baudrate=1200&stopbits=2&parity=O&bytesize=7", 11 / 1200, 0.03208333),
        ("baudrate=115200", 10 / 115200, 0.00175),
    ],
)
def test_a_byte_takes_its_bits(query, character, gap):
    serial = parse_bus_url(f"serial:///dev/ttyS1?{query}").serial

    assert character_s(serial) == pytest.approx(character)
    assert gap_s(serial) == pytest.approx(gap, abs=1e-7)


def at_speed(descriptor, speed):
    settings = termios.tcgetattr(descriptor)
    settings[4] = settings[5] = speed
    termios.tcsetattr(descriptor, termios.TCSANOW, settings)


async def paced(served, speed, count=20):
    """(unit, when each byte of its answer came since it was asked) at a speed."""
    loop = asyncio.get_running_loop()
    descriptor = os.open(served.removeprefix("serial://").partition("?")[0], os.O_RDWR)
    at_speed(descriptor, speed)
    master = on_descriptor(served, descriptor)
    times = []
    taken = master.take

    def take(octets):
        times.extend([loop.time() - begun] * len(octets))
        taken(octets)

    master.take = take
    begun = loop.time()
    master.ask(1, 0, count)
    came = await master.hear(0.5, octets=5 + 2 * count)
    master.close()
    return list(master.open_frames(came)), times


def test_a_paced_line_takes_the_time_of_its_bytes_both_ways():
    async def scenario(served):
        return [await paced(served, termios.B9600) for _ in range(5)]

    runs = run("serial:///dev/ttyS1?baudrate=9600", scenario, "paced_pty")

    # 8 bytes to the meter, 3.5 characters of silence, 45 bytes back, 1.0417 ms each.
    for frames, times in runs:
        assert [unit for unit, _ in frames] == [1]
        assert times == sorted(times)
        assert all(
            came >= 0.00833 + 0.00364 + 0.0010416 * number
            for number, came in enumerate(times, start=1)
        )
    quickest = min(times[-1] for _, times in runs)
    assert 0.0588 <= quickest < 0.0588 + 0.008
    assert len(set(runs[0][1])) > 20  # a byte at a time, not all of them at the end


def test_a_paced_line_hears_only_who_speaks_at_its_speed():
    async def scenario(served):
        wrong, _ = await paced(served, termios.B4800, count=1)
        right, _ = await paced(served, termios.B19200, count=1)
        return len(wrong), len(right)

    assert run("serial:///dev/ttyS1?baudrate=19200", scenario, "paced_pty") == (0, 1)


def test_a_line_may_end_in_the_middle_of_an_answer():
    url = "serial:///dev/ttyS1?baudrate=9600"
    failed = []

    async def inside():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        async with serving(simulation(url), {url: "paced_pty"}) as urls:
            master = await connect(urls[url])
            at_speed(master.descriptor, termios.B9600)
            master.ask(1, 0, 80)
            async with asyncio.timeout(2):
                while not master.came:  # noqa: ASYNC110 - bytes are awaited
                    await asyncio.sleep(0.002)
            begun = master.came
            master.close()
        await asyncio.sleep(0.2)  # in which the rest of the answer would have come
        return begun

    assert 1 <= len(asyncio.run(inside())) < 165
    assert failed == []


def test_a_device_is_served_with_the_settings_of_its_url():
    ours, theirs = os.openpty()
    url = f"serial://{os.ttyname(theirs)}?baudrate=4800"

    async def scenario(served):
        speed = termios.tcgetattr(theirs)[4]
        master = on_descriptor(served, os.dup(ours))
        master.ask(2)
        answers = await master.answers()
        master.close()
        return served, speed, [unit for unit, _ in answers]

    found = run(url, scenario, None)
    os.close(ours)
    os.close(theirs)

    assert found == (url, termios.B4800, [2])


def test_a_device_that_is_not_there_is_named():
    async def scenario(_served):
        pass

    with pytest.raises(BusUnavailable, match="/dev/tty-none cannot be opened"):
        run("serial:///dev/tty-none", scenario, None)


@pytest.mark.parametrize(
    ("url", "place", "message"),
    [
        ("serial:///dev/ttyS1", 4001, "can be served on pty or paced_pty, 4001 came"),
        ("tcp://127.0.0.1:15020", "pty", "can be served on a port number, pty came"),
    ],
)
def test_a_place_that_a_bus_cannot_have_is_refused(url, place, message):
    async def scenario(_served):
        pass

    with pytest.raises(ContentInvalid, match=message):
        run(url, scenario, place)


def test_a_place_for_a_bus_that_there_is_not_is_refused():
    async def inside():
        there_is = simulation("serial:///dev/ttyS1")
        async with serving(there_is, {"serial:///dev/ttyS2": "pty"}):
            pass

    with pytest.raises(ContentInvalid, match="did you mean 'serial:///dev/ttyS1'"):
        asyncio.run(inside())


# ---- a master that is neither ours nor pymodbus

LIBMODBUS = ctypes.util.find_library("modbus")


class Libmodbus:
    def __init__(self, served):
        self._library = ctypes.CDLL(LIBMODBUS, use_errno=True)
        self._library.modbus_new_rtu.restype = ctypes.c_void_p
        self._library.modbus_new_tcp.restype = ctypes.c_void_p
        url = parse_bus_url(served)
        if url.serial:
            device = url.serial.device.encode()
            made = self._library.modbus_new_rtu(device, 9600, ctypes.c_char(b"N"), 8, 1)
        else:
            made = self._library.modbus_new_tcp(url.host.encode(), url.port)
        self._context = ctypes.c_void_p(made)
        assert self._library.modbus_connect(self._context) == 0

    def read(self, unit, address, count):
        words = (ctypes.c_uint16 * count)()
        self._library.modbus_set_slave(self._context, unit)
        read = self._library.modbus_read_input_registers(self._context, address, count, words)
        return list(words) if read == count else read

    def close(self):
        self._library.modbus_close(self._context)
        self._library.modbus_free(self._context)


@pytest.mark.server
@pytest.mark.skipif(LIBMODBUS is None, reason="needs libmodbus5")
@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("serial:///dev/ttyS1?baudrate=9600", "pty"),
        ("serial:///dev/ttyS1?baudrate=9600", "paced_pty"),
        ("tcp://127.0.0.1:15020", 0),
    ],
)
def test_libmodbus_reads_what_was_recorded(url, place, tmp_path):
    log = tmp_path / "log"

    def read(served):
        master = Libmodbus(served)
        words = [master.read(unit, 0, 2) for unit in (1, 2)]
        nobody, outside = master.read(3, 0, 2), master.read(1, 5000, 2)
        master.close()
        return words, nobody, outside

    async def inside():
        async with serving(simulation(url, log=log), {url: place}) as urls:
            return await asyncio.to_thread(read, urls[url])

    words, nobody, outside = asyncio.run(inside())

    volts = [ctypes.c_float.from_buffer(ctypes.c_uint32(h << 16 | low)).value for h, low in words]
    recorded = [line.split('"voltage_l1_v":')[1] for line in log.read_text().splitlines()]
    assert volts == [float(rest.rstrip("}")) for rest in recorded]
    assert (nobody, outside) == (-1, -1)
