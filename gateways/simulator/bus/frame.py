"""Frame: bytes of a bus <-> requests and answers, as Modbus TCP or Modbus RTU puts them.

A slave's end only: it hears requests. **Source**: Modbus Messaging on TCP/IP Implementation Guide
V1.0b, 3.1.3; Modbus over Serial Line V1.02, 2.5.1.
"""

from struct import Struct as Layout
from typing import Protocol

from msgspec import Struct

from metering.errors import PermanentError

_MBAP = Layout(">HHHB")  # transaction, protocol, length from here on, unit
_LENGTH_END = 6
_LONGEST_PDU = 253
_CRC_BYTES = 2
_LONGEST_RTU = 1 + _LONGEST_PDU + _CRC_BYTES
_SHORTEST_RTU = 4  # unit, function, CRC
_PLAIN_READ_OR_WRITE = range(1, 7)  # functions whose requests have eight bytes
_WRITES_MANY = (15, 16)
_COUNT_AT = 6  # where those say how many bytes follow


class Request(Struct, frozen=True):
    """What a master asked; `pdu` begins with the function code."""

    unit: int
    pdu: bytes
    transaction: int = 0


class FrameBroken(PermanentError):
    """Bytes that no Modbus TCP client sends; what follows them cannot be understood either."""


class Framing(Protocol):
    """One direction's memory of what came, and how answers are wrapped."""

    def feed(self, octets: bytes) -> list[Request]:
        """The requests that `octets` complete; incomplete ones wait for the rest."""
        ...

    def wrap(self, unit: int, pdu: bytes, transaction: int) -> bytes:
        """An answer's frame."""
        ...


class TcpFraming:
    """Modbus TCP: one connection's stream."""

    def __init__(self) -> None:
        self._waiting = b""

    def feed(self, octets: bytes) -> list[Request]:
        """See `Framing.feed`.

        Raises:
            FrameBroken: another protocol, or a length that cannot be.
        """
        self._waiting += octets
        requests: list[Request] = []
        while len(self._waiting) >= _MBAP.size:
            transaction, protocol, length, unit = _MBAP.unpack_from(self._waiting)
            if protocol or not 1 < length <= 1 + _LONGEST_PDU:
                raise FrameBroken(f"protocol {protocol}, length {length} came")
            end = _LENGTH_END + length
            if len(self._waiting) < end:
                break
            requests.append(Request(unit, self._waiting[_MBAP.size : end], transaction))
            self._waiting = self._waiting[end:]
        return requests

    def wrap(self, unit: int, pdu: bytes, transaction: int) -> bytes:
        return _MBAP.pack(transaction, 0, len(pdu) + 1, unit) + pdu


class RtuFraming:
    """Modbus RTU: one line, whoever speaks on it.

    A real slave finds frames by silences of 3.5 characters. Sockets and operating systems do not
    keep silences, so requests are found by the length that their function has, and by their CRC;
    `rest` is told of the silences that are long enough to be certain.
    """

    def __init__(self) -> None:
        self._waiting = b""

    @property
    def is_waiting(self) -> bool:
        """Whether bytes came that were no whole request yet."""
        return bool(self._waiting)

    def feed(self, octets: bytes) -> list[Request]:
        self._waiting += octets
        requests: list[Request] = []
        start = 0
        while len(self._waiting) - start >= _SHORTEST_RTU:
            length = _rtu_length(self._waiting, start)
            frame = self._waiting[start : start + length]
            if length and len(frame) == length and is_sound(frame):
                requests.append(_opened(frame))
                self._waiting = self._waiting[start + length :]
                start = 0
            else:
                start += 1  # after noise, the request may still stand behind it
        self._waiting = self._waiting[-_LONGEST_RTU:]  # noise without end is not kept
        return requests

    def rest(self) -> list[Request]:
        """The line fell silent: what waits is a request of an unknown function, or nothing."""
        frame, self._waiting = self._waiting, b""
        return [_opened(frame)] if len(frame) >= _SHORTEST_RTU and is_sound(frame) else []

    def wrap(self, unit: int, pdu: bytes, transaction: int) -> bytes:  # noqa: ARG002 - RTU has none
        frame = bytes((unit,)) + pdu
        return frame + crc16(frame)


def _rtu_length(octets: bytes, start: int) -> int:
    """How long the request at `start` is; 0 where its function does not say."""
    function = octets[start + 1]
    if function in _PLAIN_READ_OR_WRITE:
        return 8
    if function in _WRITES_MANY and len(octets) > start + _COUNT_AT:
        return 7 + octets[start + _COUNT_AT] + _CRC_BYTES
    return 0


def _opened(frame: bytes) -> Request:
    return Request(frame[0], frame[1:-_CRC_BYTES])


def is_sound(frame: bytes) -> bool:
    """Whether its last two bytes are the CRC of the others."""
    return crc16(frame[:-_CRC_BYTES]) == frame[-_CRC_BYTES:]


def crc16(octets: bytes) -> bytes:
    """The CRC as it is sent, low byte first.

    **Source**: Modbus over Serial Line V1.02, 6.2.2.
    """
    crc = 0xFFFF
    for octet in octets:
        crc = (crc >> 8) ^ _CRC_STEPS[(crc ^ octet) & 0xFF]
    return crc.to_bytes(2, "little")


def _crc_step(octet: int) -> int:
    for _ in range(8):
        octet = (octet >> 1) ^ (0xA001 if octet & 1 else 0)
    return octet


_CRC_STEPS = tuple(map(_crc_step, range(256)))
