import pytest

from gateways.bus_url import BusUrl, BusUrlInvalid, Serial, Transport, parse_bus_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "tcp://192.168.1.20:1502?unit=7&timeout_ms=250",
            BusUrl(transport=Transport.TCP, host="192.168.1.20", port=1502, unit=7, timeout_ms=250),
        ),
        (
            "tcp://plc.local",
            BusUrl(transport=Transport.TCP, host="plc.local", port=502),
        ),
        ("tcp://[::1]:0", BusUrl(transport=Transport.TCP, host="::1", port=0)),
        (
            "serial:///dev/ttyUSB0?baudrate=19200&parity=E&unit=1",
            BusUrl(
                transport=Transport.SERIAL,
                serial=Serial(device="/dev/ttyUSB0", baudrate=19200, parity="E"),
                unit=1,
            ),
        ),
        (
            "rtu+tcp://host:4001?unit=1",
            BusUrl(transport=Transport.RTU_TCP, host="host", port=4001, unit=1),
        ),
    ],
)
def test_each_transport_is_read(url, expected):
    assert parse_bus_url(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("tpc://h:502", "unknown scheme 'tpc', did you mean 'tcp'?"),
        ("tcp://:502", "a host is needed"),
        ("tcp://h:99999", "Port out of range"),
        ("tcp://h:502/x", "a host is needed"),
        ("tcp://h:502?baudrate=9600", "unknown key 'baudrate', known: timeout_ms, unit"),
        ("tcp://h:502?timeout_ms=fast", "timeout_ms needs a whole number, 'fast' came"),
        ("tcp://h:502?timeout_ms=0", "timeout_ms must be above 0"),
        ("serial://ttyUSB0", "a device is needed"),
        ("serial:///dev/ttyUSB0?parity=X", "parity is N, E or O, 'X' came"),
        ("serial:///dev/ttyUSB0?baud=9600", "did you mean 'baudrate'?"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url, message):
    with pytest.raises(BusUrlInvalid) as caught:
        parse_bus_url(url)

    assert str(caught.value).startswith(url)
    assert message in str(caught.value)
