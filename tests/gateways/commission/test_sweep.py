"""Who is on a line, at which speed and parity."""

import asyncio

import pytest

from gateways.commission.sweep import SweepLine, lines, sweep, varied
from gateways.reading.poll import (
    AnswerCorrupt,
    AnswerForeign,
    AnswerShort,
    AnswerSuspect,
    BusDisconnected,
    MeterRefused,
    MeterSilent,
)
from tests.fakes.bus import FakeBus

SERIAL = "serial:///dev/ttyUSB0"


def test_each_speed_and_parity_of_a_serial_port_is_a_line_of_its_own():
    found = lines(f"{SERIAL}?unit=3", [9600, 2400], ["N", "E"])

    assert [line.url for line in found] == [
        "serial:///dev/ttyUSB0?baudrate=9600&parity=N",
        "serial:///dev/ttyUSB0?baudrate=9600&parity=E",
        "serial:///dev/ttyUSB0?baudrate=2400&parity=N",
        "serial:///dev/ttyUSB0?baudrate=2400&parity=E",
    ]
    assert [line.hasty.rpartition("=")[2] for line in found] == ["120"] * 4


@pytest.mark.parametrize("url", ["tcp://h:502", "rtu+tcp://h:4001"])
def test_a_network_has_one_line(url):
    (line,) = lines(url, [9600, 2400], ["N", "E"])

    assert line == SweepLine(url=url, hasty=f"{url}?timeout_ms=300")


def test_a_timeout_that_is_given_is_kept():
    assert lines("tcp://h?timeout_ms=900", [9600], ["N"])[0].hasty == "tcp://h?timeout_ms=900"
    assert lines("tcp://h", [9600], ["N"], 50)[0].hasty == "tcp://h?timeout_ms=50"


def test_a_url_is_varied_without_its_unit():
    assert varied(f"{SERIAL}?stopbits=2&unit=7", parity="E") == f"{SERIAL}?stopbits=2&parity=E"


class Line:
    """Buses by URL; keeps which were opened."""

    def __init__(self, **buses):
        self.buses = buses
        self.opened = []

    def open(self, url):
        self.opened.append(url)
        return self.buses[url]


def silent(*answering):
    bus = FakeBus()
    bus.wrong = {unit: silence for unit in range(248) if unit not in answering}
    return bus


def silence():
    return MeterSilent("nothing")


def swept(line, units=range(1, 6)):
    steps = []
    ways = [SweepLine(url=name, hasty=name) for name in line.buses]
    heard = asyncio.run(sweep(line.open, ways, list(units), steps.append))
    return heard, sum(steps)


def test_the_first_speed_that_is_answered_ends_the_search_and_the_rest_counts_as_done():
    line = Line(slow=silent(), right=silent(2, 4), other=silent(2, 4))

    heard, steps = swept(line)

    assert [(each.url, each.unit, each.how) for each in heard] == [
        ("right", 2, "answer"),
        ("right", 4, "answer"),
    ]
    assert line.opened == ["slow", "right"]
    assert steps == 15


@pytest.mark.parametrize(
    ("wrong", "how"),
    [
        (lambda: MeterRefused("no", 2), "exception 2"),
        (lambda: AnswerShort("half"), "short"),
        (lambda: AnswerSuspect("late", [1]), "answer"),
        (lambda: AnswerCorrupt("noise"), "noise"),
        (lambda: AnswerForeign("other"), "noise"),
    ],
)
def test_any_sound_answer_counts_and_noise_is_told_apart(wrong, how):
    bus = silent(3)
    bus.wrong[3] = wrong

    heard, _ = swept(Line(one=bus))

    assert [(each.unit, each.how, each.is_sound) for each in heard] == [(3, how, how != "noise")]


def test_a_gateway_that_has_no_path_to_a_unit_is_nobody():
    bus = silent(3)
    bus.wrong[3] = lambda: MeterRefused("no path", 10)

    assert swept(Line(one=bus))[0] == []


def test_noise_at_one_speed_does_not_end_the_search():
    noisy = silent(3)
    noisy.wrong[3] = lambda: AnswerCorrupt("noise")
    line = Line(wrong=noisy, right=silent(3))

    heard, _ = swept(line)

    assert [(each.url, each.how) for each in heard] == [("wrong", "noise"), ("right", "answer")]


def test_a_connection_that_falls_once_is_opened_again():
    bus = silent(1)
    falls = iter([True])

    def fall():
        if next(falls, False):
            return BusDisconnected("fell")
        bus.wrong.pop(1)
        return MeterSilent("then")

    bus.wrong[1] = fall

    heard, _ = swept(Line(one=bus), units=[1, 2])

    assert [(unit) for unit, *_ in bus.asked] == [1, 1, 2]
    assert heard == []
