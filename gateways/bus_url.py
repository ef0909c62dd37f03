"""Bus URL: a text -> where a bus is and how to speak to it.

`tcp://host:502`, `serial:///dev/ttyUSB0?baudrate=9600&parity=N`, `rtu+tcp://host:4001`. All take
`timeout_ms`; `unit` is for commands that read one meter and is not a property of the bus. To
`rtu+tcp` a serial format may be told: it is set at the serial server, and here only says how long
the wire takes.
"""

import re
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, urlsplit

from msgspec import Struct

from gateways.strict import nearest
from metering.errors import PermanentError

TIMEOUT_MS = 1000  # of one answer, and of one connect
_PORT = 502  # Modbus TCP's registered port


class Transport(StrEnum):
    """How requests travel."""

    TCP = "tcp"  # Modbus TCP
    SERIAL = "serial"  # Modbus RTU on a serial port
    RTU_TCP = "rtu+tcp"  # Modbus RTU frames through a transparent TCP converter


class Serial(Struct, frozen=True, kw_only=True):
    """A serial line's settings; `device` is empty if the port is not of this box."""

    device: str = ""
    baudrate: int = 9600
    parity: str = "N"
    bytesize: int = 8
    stopbits: int = 1


class BusUrl(Struct, frozen=True, kw_only=True):
    """A parsed URL; `host` and `port` for the network, `serial` for a serial line if it is told."""

    transport: Transport
    host: str = ""
    port: int = 0
    serial: Serial | None = None
    timeout_ms: int = TIMEOUT_MS
    unit: int | None = None


class BusUrlInvalid(PermanentError):
    """The URL cannot be used; the message says what is wrong with it."""


_NUMBERS = ("timeout_ms", "unit")
_SERIAL_NUMBERS = ("baudrate", "bytesize", "stopbits")
_CHOICES = {
    "baudrate": range(50, 4_000_001),
    "bytesize": (7, 8),
    "stopbits": (1, 2),
}
# The kernel numbers these in the order of plugging in.
_NUMBERED = re.compile(r"/dev/tty(USB|ACM)\d+")


def is_stable(url: str) -> bool:
    """Whether `url` leads to the same bus after a reboot or after replugging.

    `/dev/ttyUSB0` may be another adapter tomorrow; `/dev/serial/by-id/…`, `/dev/serial/by-path/…`,
    a link of the operator's own and a port soldered to the board stay. So do network addresses.

    Raises:
        BusUrlInvalid: see `parse_bus_url`.
    """
    serial = parse_bus_url(url).serial
    return serial is None or not _NUMBERED.fullmatch(serial.device)


def parse_bus_url(url: str) -> BusUrl:
    """Read a URL.

    Raises:
        BusUrlInvalid: scheme, host, port or a key of the query is wrong.
    """
    split = urlsplit(url)
    if split.scheme not in tuple(Transport):
        known = nearest(split.scheme, tuple(Transport))
        raise BusUrlInvalid(f"{url}: unknown scheme '{split.scheme}'{known}")
    transport = Transport(split.scheme)
    known_keys = (*_NUMBERS, *_SERIAL_NUMBERS, "parity")
    numbers, parity = _query(url, split, known_keys[: 2 if transport is Transport.TCP else 6])
    timeout_ms, unit = numbers.pop("timeout_ms", TIMEOUT_MS), numbers.pop("unit", None)
    if not timeout_ms:
        raise BusUrlInvalid(f"{url}: timeout_ms must be above 0")
    if transport is Transport.SERIAL:
        if not split.path or split.netloc:
            raise BusUrlInvalid(f"{url}: a device is needed, as in serial:///dev/ttyUSB0")
        serial = Serial(device=split.path, parity=parity or "N", **numbers)
        return BusUrl(transport=transport, serial=serial, timeout_ms=timeout_ms, unit=unit)
    host, port = _address(url, split)
    told = Serial(device="", parity=parity or "N", **numbers) if numbers or parity else None
    return BusUrl(
        transport=transport, host=host, port=port, serial=told, timeout_ms=timeout_ms, unit=unit
    )


def _query(url: str, split: SplitResult, known: tuple[str, ...]) -> tuple[dict[str, int], str]:
    numbers: dict[str, int] = {}
    parity = ""
    for key, value in parse_qsl(split.query, keep_blank_values=True):
        if key not in known:
            raise BusUrlInvalid(f"{url}: unknown key '{key}'{nearest(key, known)}")
        if key == "parity":
            parity = value or "?"
        elif value.isascii() and value.isdigit():
            numbers[key] = int(value)
            if numbers[key] not in _CHOICES.get(key, (numbers[key],)):
                raise BusUrlInvalid(f"{url}: {key} cannot be {value}")
        else:
            raise BusUrlInvalid(f"{url}: {key} needs a whole number, '{value}' came")
    if parity not in ("", "N", "E", "O"):
        raise BusUrlInvalid(f"{url}: parity is N, E or O, '{parity}' came")
    return numbers, parity


def _address(url: str, split: SplitResult) -> tuple[str, int]:
    try:
        port = split.port
    except ValueError as error:
        raise BusUrlInvalid(f"{url}: {error}") from error
    if not split.hostname or split.path not in ("", "/"):
        raise BusUrlInvalid(f"{url}: a host is needed, as in tcp://192.168.1.20:502")
    return split.hostname, _PORT if port is None else port
