"""The Modbus adapter against a server of bytes on a real socket."""

import asyncio
import socket
import time

import pytest

from gateways.adapters.modbus import open_bus
from gateways.library.model import Table
from gateways.reading.poll import (
    AnswerForeign,
    AnswerShort,
    BusDisconnected,
    MeterRefused,
    MeterSilent,
)
from metering.clock import SystemClock
from tests.servers.modbus import modbus_server

TIMEOUT_MS = 150
LONG_MS = 5_000  # where what is tested is that nobody waits for it
HOLDING, INPUT = Table.HOLDING, Table.INPUT


def run(scenario, behave=None, timeout_ms=TIMEOUT_MS):
    """Run `scenario(bus, server)`."""

    async def inside():
        async with modbus_server() as server:
            if behave:
                server.behave = behave
            bus = open_bus(f"{server.url}?timeout_ms={timeout_ms}", SystemClock())
            try:
                return await scenario(bus, server)
            finally:
                await bus.close()

    return asyncio.run(inside())


def replying(make):
    async def behave(question, writer):
        writer.write(make(question))

    return behave


async def ask(bus, _server):
    return await bus.read(7, HOLDING, 100, 3)


@pytest.mark.parametrize(("table", "function"), [(HOLDING, 3), (INPUT, 4)])
def test_each_register_comes_from_its_own_address(table, function):
    async def scenario(bus, server):
        words = await bus.read(7, table, 40_069, 125)
        return list(words), server.asked[0]

    words, asked = run(scenario)

    assert words == list(range(40_069, 40_194))
    assert (asked.unit, asked.function, asked.address, asked.count) == (7, function, 40_069, 125)


def test_one_connection_serves_many_reads_and_units():
    async def scenario(bus, server):
        words = [list(await bus.read(unit, HOLDING, 10 * unit, 2)) for unit in (1, 2, 3)]
        return words, server.connections

    assert run(scenario) == ([[10, 11], [20, 21], [30, 31]], 1)


def test_one_request_is_in_flight_at_a_time():
    in_flight = []

    async def behave(question, writer):
        in_flight.append(question)
        await asyncio.sleep(0.01)
        assert in_flight == [question]
        in_flight.clear()
        writer.write(question.right())

    async def scenario(bus, _server):
        reads = (bus.read(unit, HOLDING, unit, 1) for unit in range(1, 6))
        return [list(words) for words in await asyncio.gather(*reads)]

    assert run(scenario, behave) == [[1], [2], [3], [4], [5]]


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (lambda q: q.frame(q.pdu(count=2)), AnswerShort, "4 bytes came"),
        (lambda q: q.frame(q.pdu(count=0)), AnswerShort, "0 bytes came"),
        (lambda q: q.frame(q.pdu()[:-2]), AnswerShort, "4 bytes came, 6 were announced"),
        (lambda q: q.frame(q.pdu(count=4)), AnswerForeign, "8 bytes came"),
        (lambda q: q.frame(q.pdu(), unit=8), AnswerForeign, "unit 8 came"),
        (lambda q: q.frame(q.pdu(function=4)), AnswerForeign, "function 4 came"),
        (lambda q: q.frame(bytes([0x84, 2])), AnswerForeign, "exception to function 4"),
    ],
)
def test_an_answer_to_something_else_is_never_taken(reply, error, says):
    started = time.monotonic()
    with pytest.raises(error, match=says) as caught:
        run(ask, replying(reply), LONG_MS)

    assert "unit 7, 3 holding registers from 100" in str(caught.value)
    assert time.monotonic() - started < LONG_MS / 2000  # known at once, not after the timeout


@pytest.mark.parametrize("function_byte", [0x83, 0x80])
@pytest.mark.parametrize("code", [1, 2, 3, 4, 6])
def test_an_exception_is_a_refusal_with_its_code(code, function_byte):
    async def scenario(bus, server):
        with pytest.raises(MeterRefused) as caught:
            await ask(bus, server)
        return caught.value.code, server.connections

    reply = replying(lambda q: q.frame(bytes([function_byte, code])))
    assert run(scenario, reply) == (code, 1)


def test_a_refusal_leaves_the_connection_as_it_is():
    async def behave(question, writer):
        refused = question.frame(bytes([0x83, 2]))
        writer.write(refused if question.address == 100 else question.right())

    async def scenario(bus, server):
        with pytest.raises(MeterRefused):
            await bus.read(7, HOLDING, 100, 3)
        return list(await bus.read(7, HOLDING, 200, 1)), server.connections

    assert run(scenario, behave) == ([200], 1)


def test_a_gateway_that_got_no_answer_says_that_the_meter_is_silent():
    with pytest.raises(MeterSilent, match="the gateway got no answer"):
        run(ask, replying(lambda q: q.frame(bytes([0x83, 0x0B]))))


def test_a_frame_in_pieces_is_put_together():
    async def behave(question, writer):
        for byte in question.right():
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.001)

    async def scenario(bus, server):
        return list(await ask(bus, server))

    assert run(scenario, behave) == [100, 101, 102]


async def keep_silent(_question, _writer):
    pass


def test_the_timeout_is_kept():
    async def scenario(bus, server):
        started = time.monotonic()
        with pytest.raises(MeterSilent, match="nothing came"):
            await ask(bus, server)
        return time.monotonic() - started

    assert 0.14 <= run(scenario, keep_silent) < 1


def test_after_a_timeout_the_late_answer_has_nowhere_to_arrive():
    async def scenario(bus, server):
        gate = asyncio.Event()

        async def behave(question, writer):
            if question.unit == 1:
                await gate.wait()  # until the next meter has been asked
            writer.write(question.right())
            gate.set()

        server.behave = behave
        with pytest.raises(MeterSilent):
            await bus.read(1, HOLDING, 500, 2)
        words = list(await bus.read(2, HOLDING, 500, 2))
        return words, [question.connection for question in server.asked]

    assert run(scenario) == ([500, 501], [1, 2])


def test_a_late_answer_that_a_gateway_files_under_the_new_transaction_is_not_taken():
    late = []

    async def behave(question, writer):
        if not late:
            late.append(question)
            return
        if len(late) == 1:  # its serial side answers at last, and it takes that for the new one's
            late.append(question)
            writer.write(question.frame(late[0].pdu()))
        writer.write(question.right())

    async def scenario(bus, server):
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 100, 10)
        with pytest.raises(AnswerForeign, match="2 holding registers from 200, 20 bytes came"):
            await bus.read(7, HOLDING, 200, 10)
        words = list(await bus.read(7, HOLDING, 200, 10))
        await bus.read(7, HOLDING, 200, 10)
        return words, [question.count for question in server.asked]

    # A marker until it is answered, and none after that.
    assert run(scenario, behave) == (list(range(200, 210)), [10, 2, 2, 10, 10])


def test_a_dead_meter_behind_a_gateway_is_asked_once_a_read():
    async def behave(question, writer):
        writer.write(question.frame(bytes([0x83, 0x0B])))

    async def scenario(bus, server):
        for _ in range(4):
            with pytest.raises(MeterSilent):
                await bus.read(7, HOLDING, 100, 10)
        return len(server.asked), server.connections

    assert run(scenario, behave) == (4, 1)


def test_an_answer_to_an_older_transaction_is_skipped_and_the_right_one_taken():
    def both(question):
        wrong = question.frame(question.pdu(offset=1000), transaction=question.transaction + 7)
        return wrong + question.right()

    async def scenario(bus, server):
        return list(await bus.read(7, HOLDING, 100, 125)), server.connections

    assert run(scenario, replying(both)) == (list(range(100, 225)), 1)


@pytest.mark.parametrize("transaction", [0, 999])
def test_if_only_older_transactions_are_answered_that_is_foreign(transaction):
    with pytest.raises(AnswerForeign, match="only an answer of unit 7"):
        run(ask, replying(lambda q: q.frame(q.pdu(), transaction=transaction)))


def test_what_comes_unasked_is_not_the_next_answer():
    async def behave(question, writer):
        writer.write(question.right())
        # The next request will carry the next transaction: its answer, sent before it is asked.
        writer.write(question.frame(question.pdu(offset=666), transaction=question.transaction + 1))

    async def scenario(bus, _server):
        first = list(await bus.read(7, HOLDING, 100, 1))
        await asyncio.sleep(0.02)  # let it arrive
        return first, list(await bus.read(7, HOLDING, 200, 1))

    assert run(scenario, behave) == ([100], [200])


def test_a_connection_that_falls_while_asking_is_known_at_once():
    async def behave(_question, writer):
        writer.close()

    async def scenario(bus, server):
        started = time.monotonic()
        with pytest.raises(BusDisconnected, match="the connection fell"):
            await ask(bus, server)
        return time.monotonic() - started < LONG_MS / 2000, server.connections

    assert run(scenario, behave, LONG_MS) == (True, 1)


def test_a_connection_closed_while_idle_costs_no_reading():
    async def scenario(bus, server):
        first = list(await bus.read(7, HOLDING, 100, 1))
        await server.drop()
        return first, list(await bus.read(7, HOLDING, 200, 1)), server.connections

    assert run(scenario) == ([100], [200], 2)


def test_a_bus_that_is_away_fails_at_once_and_comes_back_unaided():
    async def scenario(bus, server):
        assert list(await bus.read(7, HOLDING, 100, 1)) == [100]
        await server.stop()
        for _ in range(40):
            with pytest.raises(BusDisconnected):
                await bus.read(7, HOLDING, 100, 1)
        await server.start()
        return list(await come_back(bus))

    assert run(scenario) == [100]


async def come_back(bus):
    async with asyncio.timeout(10):
        while True:
            try:
                return await bus.read(7, HOLDING, 100, 1)
            except BusDisconnected:
                await asyncio.sleep(0.02)


def test_reads_of_an_unreachable_bus_do_not_each_wait_for_it():
    async def scenario():
        # A listener that never accepts: its queue is full, so a connect gets no answer at all.
        with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            for filler in (first, second):
                filler.setblocking(False)
                filler.connect_ex(deaf.getsockname())
            url = f"tcp://127.0.0.1:{deaf.getsockname()[1]}?timeout_ms={TIMEOUT_MS}"
            bus = open_bus(url, SystemClock())
            started = time.monotonic()
            for _ in range(30):
                with pytest.raises(BusDisconnected):
                    await bus.read(1, HOLDING, 0, 1)
            await bus.close()
            return time.monotonic() - started

    assert asyncio.run(scenario()) < 10 * TIMEOUT_MS / 1000  # not 30 times


def test_a_half_open_link_does_not_hang_and_recovers():
    async def scenario(bus, server):
        assert list(await bus.read(7, HOLDING, 100, 1)) == [100]
        server.behave = keep_silent  # the peer is there for TCP, and nobody is behind it
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(MeterSilent):
                await bus.read(7, HOLDING, 100, 1)
        took = time.monotonic() - started
        server.behave = replying(lambda q: q.right())
        return took, list(await bus.read(7, HOLDING, 100, 1))

    took, words = run(scenario)
    assert took < 2
    assert words == [100]


def test_closing_while_a_request_is_in_flight_leaves_nothing_behind():
    async def scenario(bus, server):
        asked = asyncio.Event()

        async def note(_question, _writer):
            asked.set()

        server.behave = note
        reading = asyncio.create_task(ask(bus, server))
        await asked.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        server.behave = replying(lambda q: q.right())
        return list(await ask(bus, server)), server.asked[-1].connection

    assert run(scenario) == ([100, 101, 102], 2)


@pytest.mark.parametrize(
    "junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64, b"\x01", b"\xff" * 300]
)
def test_junk_is_foreign_or_silence_never_a_value(junk):
    with pytest.raises((AnswerForeign, MeterSilent)):
        run(ask, replying(lambda _question: junk))


def test_a_device_that_wants_a_pause_after_connecting_gets_it():
    """Huawei's inverters do: Modbus interface definitions, connection."""

    async def scenario():
        async with modbus_server() as server:
            bus = open_bus(server.url, SystemClock(), 150)
            began = time.monotonic()
            try:
                await bus.read(1, Table.HOLDING, 0, 2)
                first = time.monotonic() - began
                await bus.read(1, Table.HOLDING, 0, 2)
                return first, time.monotonic() - began - first
            finally:
                await bus.close()

    first, second = asyncio.run(scenario())

    assert first >= 0.15
    assert second < 0.1
