import pytest

from gateways.bus_url import BusUrl, BusUrlInvalid, Serial, Transport, is_stable, parse_bus_url


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
        (
            "rtu+tcp://host:4001?baudrate=2400&parity=E",
            BusUrl(
                transport=Transport.RTU_TCP,
                host="host",
                port=4001,
                serial=Serial(device="", baudrate=2400, parity="E"),
            ),
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
        ("serial:///dev/ttyUSB0?parity=", "parity is N, E or O"),
        ("serial:///dev/ttyUSB0?bytesize=6", "bytesize cannot be 6"),
        ("serial:///dev/ttyUSB0?stopbits=0", "stopbits cannot be 0"),
        ("rtu+tcp://h:4001?baudrate=0", "baudrate cannot be 0"),
        ("serial:///dev/ttyUSB0?parity=X", "parity is N, E or O, 'X' came"),
        ("serial:///dev/ttyUSB0?baud=9600", "did you mean 'baudrate'?"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url, message):
    with pytest.raises(BusUrlInvalid) as caught:
        parse_bus_url(url)

    assert str(caught.value).startswith(url)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("url", "stable"),
    [
        ("serial:///dev/ttyUSB0?baudrate=9600", False),
        ("serial:///dev/ttyACM12", False),
        ("serial:///dev/serial/by-id/usb-FTDI_FT232R_A10K-if00-port0", True),
        ("serial:///dev/serial/by-path/platform-3f980000.usb-usb-0:1.2:1.0-port0", True),
        ("serial:///dev/rs485-1", True),
        ("serial:///dev/ttyS0", True),
        ("tcp://10.0.0.5:502", True),
        ("rtu+tcp://10.0.0.5:4001?baudrate=9600", True),
    ],
)
def test_a_port_numbered_in_the_order_of_plugging_in_is_not_stable(url, stable):
    assert is_stable(url) is stable
