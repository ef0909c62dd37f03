"""Every fault, over every transport that can have it, as bytes on the wire."""

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest

from gateways.library.folder import load_models
from gateways.simulator.district import build_simulation
from gateways.simulator.fault import read_fault
from gateways.simulator.serve import serving
from gateways.strict import ContentInvalid
from metering.clock import SystemClock
from tests.gateways.simulator.master import connect, read_pdu, rtu

MODELS = load_models(Path(__file__).parents[3] / "config" / "meters")
URLS = {
    "tcp": "tcp://127.0.0.1:15020",
    "rtu+tcp": "rtu+tcp://127.0.0.1:15020",
    "serial": "serial:///dev/ttyS1?baudrate=9600",
}
LENGTHS = {"tcp": 13, "rtu+tcp": 9, "serial": 9}  # of an answer of two registers
PLACES = {"tcp": 0, "rtu+tcp": 0, "serial": "pty"}
ALL = pytest.mark.parametrize("transport", URLS)
RTU = pytest.mark.parametrize("transport", ["rtu+tcp", "serial"])


def cut(url):
    meters = [{"id": f"m{unit}", "unit": unit, "model": "eastron_sdm630_v2"} for unit in (1, 2)]
    return {"buses": [{"url": url, "meters": meters}], "models": MODELS}


def simulation(transport, *faults, log=None):
    read = [read_fault({"meter": "m1", **fault}) for fault in faults]
    return build_simulation([cut(URLS[transport])], SystemClock(), faults=read, log=log)


def run(transport, scenario, *faults, log=None, place=None):
    """Run `scenario(master)` against meters 1 and 2, of which the first has the faults."""

    async def inside():
        url = URLS[transport]
        simulated = simulation(transport, *faults, log=log)
        async with serving(simulated, {url: place or PLACES[transport]}) as urls:
            master = await connect(urls[url])
            try:
                return await scenario(master)
            finally:
                master.close()

    return asyncio.run(inside())


def pdus(answers):
    """(unit, PDU) of each, whatever the framing."""
    return [tuple(answer[-2:]) for answer in answers]


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


async def one(master):
    master.ask(1)
    return pdus(await master.answers())


async def whole(master, octets):
    """What comes of one request, at least so many bytes."""
    master.ask(1)
    return await master.hear(octets=octets)


@ALL
def test_a_meter_answers_what_it_shows(transport, tmp_path):
    log = tmp_path / "log"

    ((unit, pdu),) = run(transport, one, log=log)

    assert (unit, pdu[:2], len(pdu)) == (1, b"\x04\x04", 6)
    ((line,),) = [lines(log)]
    assert line["meter"] == "m1"
    assert 220 < line["values"]["voltage_l1_v"] < 240


@ALL
def test_several_units_are_on_one_line_and_an_unknown_one_is_silent(transport):
    async def scenario(master):
        heard = []
        for unit in (1, 3, 2):
            master.ask(unit)
            heard.append([unit for unit, _ in pdus(await master.answers(0.1))])
        return heard

    assert run(transport, scenario) == [[1], [], [2]]


@ALL
def test_a_silent_meter_is_silent_alone(transport, tmp_path):
    async def scenario(master):
        master.ask(1)
        silence = await master.hear(0.1)
        master.ask(2)
        return silence, pdus(await master.answers())

    silence, ((unit, _),) = run(transport, scenario, {"kind": "silence"}, log=tmp_path / "log")

    assert (silence, unit) == (b"", 2)
    assert [line["meter"] for line in lines(tmp_path / "log")] == ["m2"]


@ALL
def test_a_slow_meter_answers_after_its_seconds(transport, tmp_path):
    async def scenario(master):
        begun = asyncio.get_running_loop().time()
        answers = await one(master)
        return answers, asyncio.get_running_loop().time() - begun

    fault = {"kind": "delay", "seconds": 0.1}
    answers, took = run(transport, scenario, fault, log=tmp_path / "log")

    assert [unit for unit, _ in answers] == [1]
    assert took >= 0.1
    assert len(lines(tmp_path / "log")) == 1


@ALL
def test_a_late_answer_comes_with_the_next_request_before_its_own(transport, tmp_path):
    async def scenario(master):
        master.ask(1)
        silence = await master.hear(0.1)
        master.ask(2)
        return silence, await master.answers(octets=2 * LENGTHS[transport])

    silence, answers = run(transport, scenario, {"kind": "late"}, log=tmp_path / "log")

    assert silence == b""
    assert [unit for unit, _ in pdus(answers)] == [1, 2]
    assert [line["meter"] for line in lines(tmp_path / "log")] == ["m2"]


def test_a_late_answer_over_tcp_has_the_transaction_of_its_own_request():
    async def scenario(master):
        master.ask(1)
        master.ask(2)
        return await master.answers(octets=2 * LENGTHS["tcp"])

    answers = run("tcp", scenario, {"kind": "late"})

    assert [answer[:2] for answer in answers] == [(1, 1), (2, 2)]


@ALL
def test_a_late_answer_may_have_its_seconds(transport, tmp_path):
    async def scenario(master):
        master.ask(1)
        return await master.hear(0.05), pdus(await master.answers())

    fault = {"kind": "late", "seconds": 0.3}
    silence, ((unit, _),) = run(transport, scenario, fault, log=tmp_path / "log")

    assert (silence, unit) == (b"", 1)
    assert lines(tmp_path / "log") == []


@ALL
def test_an_answer_comes_twice_and_is_recorded_once(transport, tmp_path):
    length = LENGTHS[transport]

    came = run(
        transport, partial(whole, octets=2 * length), {"kind": "twice"}, log=tmp_path / "log"
    )

    assert len(came) == 2 * length
    assert came[:length] == came[length:]
    assert len(lines(tmp_path / "log")) == 1


def test_the_second_of_two_answers_has_its_seconds():
    async def scenario(master):
        begun = asyncio.get_running_loop().time()
        came = await whole(master, 2 * LENGTHS["tcp"])
        return len(came), asyncio.get_running_loop().time() - begun

    length, took = run("tcp", scenario, {"kind": "twice", "seconds": 0.2})

    assert length == 2 * LENGTHS["tcp"]
    assert took >= 0.2


@ALL
def test_a_meter_refuses_with_the_code_that_is_asked_for(transport, tmp_path):
    fault = {"kind": "exception", "code": 6}

    answers = run(transport, one, fault, log=tmp_path / "log")

    assert answers == [(1, b"\x84\x06")]
    assert lines(tmp_path / "log") == []


@ALL
@pytest.mark.parametrize(("fault", "unit"), [({}, 2), ({"unit": 77}, 77)])
def test_an_answer_carries_another_unit(transport, fault, unit, tmp_path):
    answers = run(transport, one, {"kind": "wrong_unit", **fault}, log=tmp_path / "log")

    assert [unit for unit, _ in answers] == [unit]
    assert lines(tmp_path / "log") == []


@ALL
def test_a_short_answer_lacks_a_register_and_is_sound_otherwise(transport, tmp_path):
    ((_, pdu),) = run(transport, one, {"kind": "short"}, log=tmp_path / "log")

    assert (pdu[:2], len(pdu)) == (b"\x04\x02", 4)
    assert lines(tmp_path / "log") == []


@ALL
def test_a_short_answer_may_break_off(transport, tmp_path):
    async def scenario(master):
        return await whole(master, 1) + await master.hear(0.05)

    came = run(transport, scenario, {"kind": "short", "bytes": 3}, log=tmp_path / "log")

    assert len(came) == LENGTHS[transport] - 3
    assert lines(tmp_path / "log") == []


@ALL
def test_a_hole_refuses_whoever_touches_it(transport, tmp_path):
    async def scenario(master):
        codes = []
        for address, count in ((0, 12), (0, 13), (14, 2), (16, 2), (18, 21), (18, 20)):
            master.ask(1, address, count)
            ((_, pdu),) = pdus(await master.answers())
            codes.append(pdu[1] if pdu[0] & 0x80 else 0)
        return codes

    fault = {"kind": "hole", "ranges": [[12, 15]], "longest": 20}
    codes = run(transport, scenario, fault, log=tmp_path / "log")

    assert codes == [0, 2, 2, 0, 3, 0]
    assert len(lines(tmp_path / "log")) == 3


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"ranges": [[0, 1]], "code": 4}, 4),
        ({"ranges": [[0, 1]], "table": "input"}, 2),
        ({"ranges": [[0, 1]], "table": "holding"}, 4),
        ({"longest": 1, "code": 1}, 1),
    ],
)
def test_a_hole_has_its_own_code_and_may_be_in_one_table(fault, code):
    ((_, pdu),) = run("tcp", one, {"kind": "hole", **fault})

    assert pdu[1] == code


@RTU
def test_a_bad_checksum_is_the_only_thing_wrong(transport, tmp_path):
    came = run(transport, partial(whole, octets=9), {"kind": "bad_crc"}, log=tmp_path / "log")

    assert len(came) == 9
    assert rtu(came[0], came[1:-2])[-2:] == came[-2:-1] + bytes([came[-1] ^ 0xFF])
    assert lines(tmp_path / "log") == []


@RTU
@pytest.mark.parametrize(("where", "recorded"), [("before", 1), ("inside", 0), ("after", 1)])
def test_noise_is_where_it_should_be(transport, where, recorded, tmp_path):
    async def scenario(master):
        return [await whole(master, 9) for _ in range(20)]

    log = tmp_path / "log"
    fault = {"kind": "noise", "where": where, "bytes": 4, "from": "2026-01-01T00:00+08:00"}
    heard = run(transport, scenario, fault, log=log)

    def sound(frame):
        return rtu(frame[0], frame[1:-2]) == frame

    places = {"before": slice(-9, None), "inside": slice(None), "after": slice(9)}
    assert len(lines(log)) == recorded * 20
    assert all(sound(came[places[where]]) == bool(recorded) for came in heard)
    assert {len(came) - 9 for came in heard} == ({1, 2, 3, 4} if recorded else {0})


def test_noise_anywhere_is_the_same_in_every_run():
    async def scenario(master):
        return [await whole(master, 9) for _ in range(12)]

    fault = {"kind": "noise", "share": 0.5}
    first, second = (run("rtu+tcp", scenario, fault) for _ in range(2))

    assert [len(came) for came in first] == [len(came) for came in second]
    assert len({len(came) for came in first}) > 1


@ALL
def test_a_fault_hits_its_share_and_the_same_answers_in_every_run(transport):
    async def scenario(master):
        refused = []
        for _ in range(100):
            master.ask(1)
            ((_, pdu),) = pdus(await master.answers())
            refused.append(pdu[0] == 0x84)
        return refused

    fault = {"kind": "exception", "share": 0.3}
    first, second = (run(transport, scenario, fault) for _ in range(2))

    assert first == second
    assert 15 <= sum(first) <= 45


@pytest.mark.parametrize("kind", ["bad_crc", "noise"])
def test_what_modbus_tcp_cannot_have_is_refused_at_the_start(kind):
    with pytest.raises(ContentInvalid) as caught:
        simulation("tcp", {"kind": "silence"}, {"kind": kind})

    assert str(caught.value) == (
        f"simulation: faults[1].kind: {kind} is for RTU frames, m1 is on tcp://127.0.0.1:15020"
    )


@ALL
@pytest.mark.parametrize(
    ("pdu", "answer"),
    [
        (b"\x03\x00\x00\x00\x02", b"\x83\x02"),  # the meter has input registers only
        (b"\x04\x00\x00\x00\x00", b"\x84\x03"),
        (b"\x04\x00\x00\x00\x7e", b"\x84\x03"),
        (b"\x04\xff\xff\x00\x02", b"\x84\x02"),
        (b"\x06\x00\x00\x00\x02", b"\x86\x01"),
        (b"\x10\x00\x00\x00\x01\x02\x00\x00", b"\x90\x01"),
        (b"\x2b\x0e\x01\x00", b"\xab\x01"),  # RTU does not say how long such a request is
    ],
)
def test_what_a_meter_does_not_do_it_refuses(transport, pdu, answer):
    async def scenario(master):
        master.send(master.frame(1, pdu))
        return pdus(await master.answers())

    assert run(transport, scenario) == [(1, answer)]


@ALL
def test_a_request_may_come_in_pieces_and_two_at_once(transport):
    async def scenario(master):
        request = master.frame(1, read_pdu(0, 2))
        for octet in request:
            master.send(bytes([octet]))
            await asyncio.sleep(0)
        first = pdus(await master.answers())
        master.send(master.frame(1, read_pdu(0, 2)) + master.frame(2, read_pdu(0, 2)))
        return first + pdus(await master.answers(octets=2 * LENGTHS[transport]))

    assert [unit for unit, _ in run(transport, scenario)] == [1, 1, 2]


@RTU
def test_of_many_requests_at_once_each_is_answered_and_of_endless_noise_none_is_kept(transport):
    async def scenario(master):
        master.send(b"".join(master.frame(1, read_pdu(0, 2)) for _ in range(60)))
        answers = await master.answers(octets=60 * 9)
        master.send(b"\x55" * 2000 + master.frame(2, read_pdu(0, 2)))
        return pdus(answers) + pdus(await master.answers())

    assert [unit for unit, _ in run(transport, scenario)] == [1] * 60 + [2]


@RTU
def test_a_request_with_a_bad_checksum_is_not_for_anybody(transport):
    async def scenario(master):
        master.send(master.frame(1, read_pdu(0, 2))[:-1] + b"\0")
        silence = await master.hear(0.15)
        master.ask(2)
        return silence, pdus(await master.answers())

    silence, ((unit, _),) = run(transport, scenario)

    assert (silence, unit) == (b"", 2)


@RTU
def test_noise_before_a_request_does_not_hide_it(transport):
    async def scenario(master):
        master.send(b"\xff\x00\x17" + master.frame(1, read_pdu(0, 2)))
        return pdus(await master.answers())

    ((unit, _),) = run(transport, scenario)

    assert unit == 1


def test_bytes_that_are_no_modbus_tcp_end_the_connection():
    async def scenario(master):
        master.send(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(2):
            while not master.fell:  # noqa: ASYNC110 - the other end is awaited
                await asyncio.sleep(0.002)

    run("tcp", scenario)


def test_everybody_at_a_serial_server_hears_the_line():
    async def inside():
        url = URLS["rtu+tcp"]
        async with serving(simulation("rtu+tcp", {"kind": "late"}), {url: 0}) as urls:
            first, second = [await connect(urls[url]) for _ in range(2)]
            first.ask(1)
            await asyncio.sleep(0.05)
            first.close()  # and opens anew, which is no protection here
            second.ask(2)
            answers = await second.answers(octets=18)
            second.close()
            return answers

    assert [unit for unit, _ in asyncio.run(inside())] == [1, 2]
