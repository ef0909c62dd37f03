"""RTU against slaves of bytes, on a pseudo-terminal and behind a TCP serial server."""

import asyncio
import time
from contextlib import nullcontext

import pytest

from gateways.adapters.modbus import open_bus
from gateways.library.model import Table
from gateways.reading.poll import (
    AnswerCorrupt,
    AnswerForeign,
    AnswerShort,
    AnswerSuspect,
    MeterRefused,
    MeterSilent,
)
from metering.clock import SystemClock
from tests.servers.rtu import crc, rtu_on_a_port, rtu_over_tcp

TIMEOUT_MS = 150
LATE_S = 0.23  # after the timeout, wire included
LONG_MS = 5_000  # where what is tested is that nobody waits for it
HOLDING, INPUT = Table.HOLDING, Table.INPUT
LOST = (MeterSilent, AnswerShort, AnswerForeign, AnswerCorrupt)


@pytest.fixture(params=[rtu_on_a_port, rtu_over_tcp], ids=["serial", "rtu+tcp"])
def run(request):
    """Run `scenario(bus, slaves)`."""

    def inside(scenario, behave=None, timeout_ms=TIMEOUT_MS):
        async def opened():
            async with request.param() as slaves:
                if behave:
                    slaves.behave = behave
                url = f"{slaves.url}?baudrate=115200&timeout_ms={timeout_ms}"
                bus = open_bus(url, SystemClock())
                try:
                    return await scenario(bus, slaves)
                finally:
                    await bus.close()

        return asyncio.run(opened())

    return inside


def replying(*makes):
    """The n-th question is answered by the n-th of `makes`, all later ones rightly."""
    left = list(makes)

    async def behave(question, write):
        make = left.pop(0) if left else right
        reply = make(question)
        if isinstance(reply, bytes):
            write(reply)
        else:
            await reply(write)

    return behave


def right(question):
    return question.right()


def silent(_question):
    return b""


def late(question, make=right):
    """When the next question has come, and before its answer."""

    async def reply(write):
        await question.followed()
        write(make(question))

    return reply


def late_by(by_s, question):
    async def reply(write):
        await asyncio.sleep(by_s)
        write(question.right())

    return reply


async def ask(bus, _slaves):
    return list(await bus.read(7, HOLDING, 100, 3))


def counts(slaves):
    return [question.count for question in slaves.asked]


# ---- sound answers only


@pytest.mark.parametrize(("table", "function"), [(HOLDING, 3), (INPUT, 4)])
def test_each_register_comes_from_its_own_address(run, table, function):
    async def scenario(bus, slaves):
        words = await bus.read(7, table, 400, 125)
        return list(words), slaves.asked[0]

    words, asked = run(scenario, timeout_ms=LONG_MS)

    first = 7400 if table is HOLDING else 37_400
    assert words == list(range(first, first + 125))
    assert (asked.unit, asked.function, asked.address, asked.count) == (7, function, 400, 125)


def test_one_request_is_in_flight_at_a_time(run):
    in_flight = []

    async def behave(question, write):
        in_flight.append(question)
        await asyncio.sleep(0.01)
        assert in_flight == [question]
        in_flight.clear()
        write(question.right())

    async def scenario(bus, _slaves):
        reads = (bus.read(unit, HOLDING, unit, 1) for unit in range(1, 6))
        return [list(words) for words in await asyncio.gather(*reads)]

    assert run(scenario, behave, LONG_MS) == [[1001], [2002], [3003], [4004], [5005]]


def of_another(question, unit=8, count=3):
    words = [8888] * count
    return question.frame(bytes([3, 2 * count]) + b"\x22\xb8" * len(words), unit=unit)


WITH_THE_ANSWER = {
    "noise before": lambda q: b"\x00\xff\x07\x13" + q.right(),
    "noise that looks like its beginning": lambda q: b"\x07\x03\x06" + q.right(),
    "half of it before": lambda q: q.right()[:-4] + q.right(),
    "noise after": lambda q: q.right() + b"\xff\x00\x07\x03\x06",
    "an echo of the request": lambda q: q.raw + q.right(),
    "an echo and noise": lambda q: q.raw + b"\x00" + q.right(),
    "another meter's answer": lambda q: of_another(q) + q.right(),
    "another meter's exception": lambda q: q.frame(b"\x83\x02", unit=8) + q.right(),
    "an answer of another length": lambda q: of_another(q, 7, 5) + q.right(),
    "an answer of another function": lambda q: q.frame(b"\x04\x06" + bytes(6)) + q.right(),
    "one with a wrong checksum": lambda q: of_another(q, 7)[:-1] + b"\x00" + q.right(),
}


@pytest.mark.parametrize("reply", WITH_THE_ANSWER.values(), ids=WITH_THE_ANSWER.keys())
def test_the_answer_is_found_among_what_else_comes(run, reply):
    started = time.monotonic()

    assert run(ask, replying(reply), LONG_MS) == [7100, 7101, 7102]
    assert time.monotonic() - started < LONG_MS / 2000  # at once, not after the timeout


def test_an_answer_in_single_bytes_is_put_together(run):
    def in_bytes(question):
        async def reply(write):
            for byte in question.right():
                write(bytes([byte]))
                await asyncio.sleep(0.002)

        return reply

    assert run(ask, replying(in_bytes), LONG_MS) == [7100, 7101, 7102]


def bent(frame, at):
    frame = bytearray(frame)
    frame[at] ^= 0x10
    return bytes(frame)


NO_ANSWER = {
    "silence": (silent, MeterSilent, "nothing came"),
    "only an echo": (lambda q: q.raw, MeterSilent, "nothing came"),
    "noise": (lambda _: b"\x00\xff\x07\x83\x02", AnswerCorrupt, "no sound answer"),
    "a wrong checksum": (lambda q: bent(q.right(), -1), AnswerCorrupt, "no sound answer"),
    "a bent register": (lambda q: bent(q.right(), 4), AnswerCorrupt, "no sound answer"),
    "a bent exception": (lambda q: bent(q.refused(2), 2), AnswerCorrupt, "no sound answer"),
    "noise inside": (
        lambda q: q.right()[:5] + b"\x07" + q.right()[5:],
        AnswerCorrupt,
        "no sound answer",
    ),
    "a part": (lambda q: q.right()[:-3], AnswerCorrupt, "no sound answer"),
    "fewer registers": (lambda q: q.right([1, 2]), AnswerShort, "only 2 registers of unit 7"),
    "no registers": (lambda q: q.right([]), AnswerShort, "only 0 registers"),
    "more registers": (lambda q: q.right([1, 2, 3, 4]), AnswerForeign, "only 4 registers"),
    "another unit": (of_another, AnswerForeign, "only 3 registers of unit 8"),
    "another function": (
        lambda q: q.frame(b"\x04\x06" + bytes(6)),
        AnswerForeign,
        "only 3 registers of unit 7, function 4",
    ),
    "another function's exception": (
        lambda q: q.frame(b"\x84\x02"),
        AnswerForeign,
        "only exception 2 of unit 7",
    ),
}


@pytest.mark.parametrize(("reply", "error", "says"), NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_what_is_no_answer_is_told_apart_and_the_next_read_is_right(run, reply, error, says):
    async def scenario(bus, slaves):
        with pytest.raises(error, match=says) as caught:
            await ask(bus, slaves)
        assert "unit 7, 3 holding registers from 100" in str(caught.value)
        return await ask(bus, slaves)

    assert run(scenario, replying(reply)) == [7100, 7101, 7102]


@pytest.mark.parametrize("function_byte", [0x83, 0x80])
@pytest.mark.parametrize("code", [1, 2, 3, 4, 6])
def test_an_exception_is_a_refusal_at_once_with_its_code(run, code, function_byte):
    async def scenario(bus, slaves):
        started = time.monotonic()
        with pytest.raises(MeterRefused) as caught:
            await ask(bus, slaves)
        assert time.monotonic() - started < LONG_MS / 2000
        return caught.value.code, await ask(bus, slaves)

    reply = replying(lambda q: q.refused(code, function_byte))
    assert run(scenario, reply, LONG_MS) == (code, [7100, 7101, 7102])


def test_a_gateway_that_got_no_answer_says_that_the_meter_is_silent(run):
    with pytest.raises(MeterSilent, match="the gateway got no answer"):
        run(ask, replying(lambda q: q.refused(0x0B)), LONG_MS)


def test_the_timeout_is_kept(run):
    async def scenario(bus, slaves):
        started = time.monotonic()
        with pytest.raises(MeterSilent, match="nothing came"):
            await ask(bus, slaves)
        return time.monotonic() - started

    assert TIMEOUT_MS / 1000 <= run(scenario, replying(silent)) < 1


# ---- pattern 2: an answer that arrives late is never filed under another register or meter


def test_a_late_answer_in_another_meters_turn_stays_its_own(run):
    async def scenario(bus, slaves):
        gate = asyncio.Event()

        async def behave(question, write):
            if question.unit == 1 and len(slaves.asked) == 1:
                await gate.wait()  # until the next meter has been asked
            write(question.right())
            gate.set()
            await asyncio.sleep(0.01)

        async def slow_second(question, write):
            if question.unit == 2:
                gate.set()
                await asyncio.sleep(0.03)
            await behave(question, write)

        slaves.behave = slow_second
        with pytest.raises(MeterSilent):
            await bus.read(1, HOLDING, 500, 2)
        second = list(await bus.read(2, HOLDING, 500, 2))
        return second, list(await bus.read(1, HOLDING, 500, 2)), counts(slaves)

    # The late answer has settled what unit 1 owed, so it is asked plainly again.
    assert run(scenario) == ([2500, 2501], [1500, 1501], [2, 2, 2])


def test_a_late_answer_that_fits_the_next_question_is_told_from_it_by_a_marker(run):
    async def scenario(bus, slaves):
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 100, 10)
        return list(await bus.read(7, HOLDING, 200, 10)), counts(slaves)

    words, asked = run(scenario, replying(late))

    assert words == list(range(7200, 7210))
    assert asked == [10, 2, 10]  # of even length, as the block's: halves of a value are refused


def test_a_marker_of_an_odd_block_is_one_register(run):
    async def scenario(bus, slaves):
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 100, 7)
        return list(await bus.read(7, HOLDING, 100, 7)), counts(slaves)

    assert run(scenario, replying(silent)) == (list(range(7100, 7107)), [7, 1, 7])


def test_a_question_whose_length_nobody_owes_needs_no_marker(run):
    async def scenario(bus, slaves):
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 100, 10)
        words = list(await bus.read(7, HOLDING, 200, 4))
        # Its answer was the marker: nothing older can come any more.
        await bus.read(7, HOLDING, 200, 10)
        return words, counts(slaves)

    assert run(scenario, replying(late)) == ([7200, 7201, 7202, 7203], [10, 4, 10])


def test_a_block_too_small_for_a_prefix_is_marked_by_another_that_was_answered(run):
    async def scenario(bus, slaves):
        await bus.read(7, INPUT, 50, 6)
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 100, 2)
        return list(await bus.read(7, HOLDING, 200, 2)), counts(slaves)

    assert run(scenario, replying(right, late)) == ([7200, 7201], [6, 2, 6, 2])


def test_where_no_marker_can_be_had_the_same_registers_are_suspect(run):
    async def scenario(bus, _slaves):
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 100, 2)
        with pytest.raises(AnswerSuspect, match="may answer an older question") as caught:
            await bus.read(7, HOLDING, 100, 2)
        # The time that it would have needed has passed: what comes now is sure.
        return list(caught.value.words), list(await bus.read(7, HOLDING, 100, 2))

    assert run(scenario, replying(silent)) == ([7100, 7101], [7100, 7101])


def test_where_no_marker_can_be_had_other_registers_are_not_given(run):
    async def scenario(bus, _slaves):
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 100, 2)
        with pytest.raises(AnswerForeign, match="may answer an older question"):
            await bus.read(7, HOLDING, 200, 2)
        return list(await bus.read(7, HOLDING, 200, 2))

    assert run(scenario, replying(late)) == [7200, 7201]


def test_both_answers_of_a_slow_meter_are_told_apart_by_their_order(run):
    async def scenario(bus, slaves):
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 100, 2)
        # The late answer comes first, and is not its own.
        return list(await bus.read(7, HOLDING, 100, 2)), counts(slaves)

    assert run(scenario, replying(late)) == ([7100, 7101], [2, 2])


def test_an_answer_two_cycles_late_lands_nowhere(run):
    async def scenario(bus, _slaves):
        seen = []
        for cycle in range(6):
            for unit, address in ((7, 100 + 100 * cycle), (8, 100)):
                try:
                    words = list(await bus.read(unit, HOLDING, address, 10))
                except LOST:
                    continue
                seen.append((unit, address, words))
        return seen

    slow = replying(*[lambda q: late_by(0.6, q) if q.unit == 7 else q.right()] * 3)
    seen = run(scenario, slow)

    assert [u for u, _, _ in seen].count(8) == 6
    assert 7 in [u for u, _, _ in seen]
    for unit, address, words in seen:
        assert words == list(range(1000 * unit + address, 1000 * unit + address + 10))


def test_a_meter_that_is_always_late_is_waited_for_once_it_is_known(run):
    async def always_late(question, write):
        await asyncio.sleep(LATE_S)
        write(question.right())

    async def scenario(bus, _slaves):
        answered = []
        for cycle in range(5):
            try:
                answered.append(list(await bus.read(7, HOLDING, 100 + 10 * cycle, 4)))
            except LOST:
                answered.append(None)
        return answered

    answered = run(scenario, always_late)

    assert answered[0] is None
    assert answered[2:] == [[a, a + 1, a + 2, a + 3] for a in (7120, 7130, 7140)]


def test_a_late_exception_refuses_nothing_that_was_asked_later(run):
    def late_refusal(question):
        return late(question, lambda q: q.refused(2))

    async def scenario(bus, _slaves):
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 900, 10)
        return list(await bus.read(7, HOLDING, 100, 10))

    assert run(scenario, replying(late_refusal)) == list(range(7100, 7110))


def test_a_block_that_is_refused_is_known_for_sure_in_the_end(run):
    async def refuse(question, write):
        write(question.refused(2))

    async def scenario(bus, slaves):
        with pytest.raises(MeterSilent):
            await bus.read(7, HOLDING, 900, 10)
        slaves.behave = refuse
        with pytest.raises(AnswerForeign, match="exception 2 of unit 7 came, which may answer"):
            await bus.read(7, HOLDING, 900, 10)
        with pytest.raises(MeterRefused):
            await bus.read(7, HOLDING, 900, 10)

    run(scenario, replying(silent))


@pytest.mark.parametrize("count", [2, 10])
def test_a_dead_meter_is_asked_once_a_read_and_costs_one_timeout(run, count):
    async def dead(_question, _write):
        pass

    async def scenario(bus, slaves):
        slaves.behave = dead
        started = time.monotonic()
        for _ in range(5):
            with pytest.raises(MeterSilent):
                await bus.read(7, HOLDING, 100, count)
        took = time.monotonic() - started
        asked = len(slaves.asked)
        slaves.behave = replying()
        with pytest.raises(AnswerSuspect) if count == 2 else nullcontext():
            assert len(await bus.read(7, HOLDING, 100, count)) == count
        return took, asked, list(await bus.read(7, HOLDING, 100, count))

    took, asked, words = run(scenario)

    assert asked == 5
    assert took < 1.9 * 5 * (TIMEOUT_MS + 10) / 1000
    assert words == list(range(7100, 7100 + count))


def twice(question):
    return question.right() + question.right()


def twice_later(slaves):
    """The second time when the next question has come, just before its answer."""

    def make(question):
        async def reply(write):
            write(question.right())
            asked = len(slaves.asked)

            async def again():
                await slaves.until_asked(asked + 1)
                write(question.right())

            slaves.again = asyncio.create_task(again())

        return reply

    return make


def test_an_answer_that_comes_twice_at_once_is_not_the_next_one(run):
    async def scenario(bus, _slaves):
        return [list(await bus.read(7, HOLDING, address, 3)) for address in (100, 200, 300)]

    words = run(scenario, replying(twice, twice, twice))

    assert words == [[7100, 7101, 7102], [7200, 7201, 7202], [7300, 7301, 7302]]


def test_a_meter_that_was_heard_twice_is_marked_before_the_same_length_again(run):
    async def scenario(bus, slaves):
        make = twice_later(slaves)
        slaves.behave = replying(make, right, make)
        first = list(await bus.read(7, HOLDING, 100, 4))
        await bus.read(8, HOLDING, 100, 4)  # in whose turn the repeat is heard
        second = list(await bus.read(7, HOLDING, 200, 4))
        third = list(await bus.read(7, HOLDING, 300, 4))
        return first, second, third, counts(slaves)

    first, second, third, asked = run(scenario)

    assert (first[0], second[0], third[0]) == (7100, 7200, 7300)
    assert asked == [4, 4, 4, 2, 4]


@pytest.mark.parametrize("between", [0, 1])
def test_the_first_repeat_ever_is_told_from_the_next_answer_by_its_bytes(run, between):
    """It comes in the turn of an equally long question, at once or after another one."""
    repeats = []

    def first(question):
        repeats.append(question.right())
        return question.right()

    def after_the_repeat(question):
        return repeats[0] + question.right()

    async def scenario(bus, _slaves):
        await bus.read(7, HOLDING, 100, 4)
        for _ in range(between):
            await bus.read(7, HOLDING, 300, 6)
        return list(await bus.read(7, HOLDING, 200, 4))

    words = run(scenario, replying(first, *between * [right], after_the_repeat))

    assert words == [7200, 7201, 7202, 7203]


def test_two_registers_that_hold_the_same_are_no_repeat(run):
    def noughts(question):
        return question.right([0] * question.count)

    async def scenario(bus, _slaves):
        return [list(await bus.read(7, HOLDING, address, 2)) for address in (100, 200, 300)]

    assert run(scenario, replying(noughts, noughts, noughts)) == [[0, 0]] * 3


def test_what_is_owed_outlives_a_bus_that_another_one_takes_the_place_of(run):
    """A changed fleet closes one and opens another; the line and its meters go on."""

    async def scenario(bus, slaves):
        await bus.close()
        url, lines = f"{slaves.url}?baudrate=115200&timeout_ms={TIMEOUT_MS}", {}
        slaves.behave = replying(late)
        before = open_bus(url, SystemClock(), 0, lines)
        with pytest.raises(LOST):
            await before.read(7, HOLDING, 100, 4)
        await before.close()
        after = open_bus(url, SystemClock(), 0, lines)
        try:
            return list(await after.read(7, HOLDING, 200, 4)), counts(slaves)
        finally:
            await after.close()

    words, asked = run(scenario)

    assert words == [7200, 7201, 7202, 7203]
    assert asked == [4, 2, 4]  # a marker between


def test_an_answer_that_is_owed_to_the_process_before_is_let_pass(run):
    async def scenario(bus, slaves):
        await bus.close()
        url = f"{slaves.url}?baudrate=115200&timeout_ms={TIMEOUT_MS}"
        slaves.behave = replying(lambda question: late_by(0.1, question))
        before = open_bus(url, SystemClock(), 0, {})
        asking = asyncio.create_task(before.read(7, HOLDING, 100, 4))
        await slaves.until_asked(1)
        asking.cancel()  # killed
        await before.close()
        after = open_bus(url, SystemClock(), 0, {})  # knows nothing of it
        try:
            return list(await after.read(7, HOLDING, 200, 4))
        finally:
            await after.close()

    assert run(scenario) == [7200, 7201, 7202, 7203]


def test_a_read_that_is_cancelled_still_owes_its_answer(run):
    async def scenario(bus, slaves):
        reading = asyncio.create_task(bus.read(7, HOLDING, 100, 10))
        await slaves.until_asked(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return list(await bus.read(7, HOLDING, 200, 10))

    assert run(scenario, replying(lambda q: late_by(0.03, q))) == list(range(7200, 7210))


def test_the_checksum_is_the_specifications():
    # Modbus over Serial Line V1.02, section 6.2.2: 02 07 has the checksum 41 12.
    assert crc(b"\x02\x07") == b"\x41\x12"
