"""Bus URL: `tcp://host:502`, `rtu+tcp://host:4001`, `serial:///dev/x?baudrate=9600&parity=N`.

All take `timeout_ms`. The collector only checks it and never opens a bus: the gateway does, and has
its own reader for it. What passes here must pass there.
"""

import re
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, urlsplit

from msgspec import Struct

_SERIAL = {
    "baudrate": ("1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200"),
    "parity": ("N", "E", "O"),
    "stopbits": ("1", "2"),
    "bytesize": ("8",),  # RTU is eight bits
}
_TIMEOUT = "timeout_ms"  # of one answer
_POSITIVE = re.compile("[1-9][0-9]*")
_FORMS = "tcp://host:502, rtu+tcp://host:4001 or serial:///dev/ttyUSB0?baudrate=9600&parity=N"


class Line(StrEnum):
    """How the bytes reach the meters."""

    TCP = "tcp"
    RTU_OVER_TCP = "rtu+tcp"
    SERIAL = "serial"


class BusUrl(Struct, frozen=True, kw_only=True):
    """Where a bus is.

    Attributes:
        place: `host:port`, or the path of the serial device.
        settings: what follows the question mark, as written.
    """

    line: Line
    place: str
    settings: dict[str, str]

    @property
    def units(self) -> range:
        """The unit ids that a meter can have: on RTU, 0 is everyone and 248 on are reserved.

        **Source:** Modbus over Serial Line V1.02, section 2.2; Messaging on TCP/IP V1.0b, 4.4.1.1.
        """
        return range(256) if self.line is Line.TCP else range(1, 248)


def parse_bus_url(url: str) -> BusUrl:
    """Take a bus URL apart.

    Raises:
        ValueError: it is none; the message says what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"a bus url is needed ({_FORMS}), '{url}' came: {error}") from None
    if parts.scheme not in tuple(Line) or parts.fragment or parts.username is not None:
        raise ValueError(f"a bus url is needed ({_FORMS}), '{url}' came")
    if parts.scheme == Line.SERIAL:
        return _serial(url, parts)
    if not parts.hostname or not port or parts.path:
        raise ValueError(f"{parts.scheme}://host:port is needed, '{url}' came")
    line = Line(parts.scheme)
    choices = tuple(_SERIAL) if line is Line.RTU_OVER_TCP else ()
    return BusUrl(line=line, place=f"{parts.hostname}:{port}", settings=_settings(parts, choices))


def _serial(url: str, parts: SplitResult) -> BusUrl:
    if parts.netloc or not parts.path.startswith("/dev/"):
        raise ValueError(f"serial:///dev/... (three slashes) is needed, '{url}' came")
    return BusUrl(line=Line.SERIAL, place=parts.path, settings=_settings(parts, tuple(_SERIAL)))


def _settings(parts: SplitResult, choices: tuple[str, ...]) -> dict[str, str]:
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = (*choices, _TIMEOUT)
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"setting '{name}' is unknown here; known: {', '.join(known)}")
        if name == _TIMEOUT and not _POSITIVE.fullmatch(value):
            raise ValueError(f"{name} is a whole number above 0, '{value}' came")
        if name != _TIMEOUT and value not in _SERIAL[name]:
            raise ValueError(f"{name} is one of {', '.join(_SERIAL[name])}, '{value}' came")
    return settings
