"""RTU frame: bytes from a line -> the sound answers among them.

An answer on a serial line says which unit and function it is of, and how long it is; not which
question it answers. Sound is what ends in its own checksum.

**Source:** Modbus over Serial Line V1.02, section 2.5.1; Modbus Application Protocol V1.1b3,
sections 6.3, 6.4 and 7.
"""

import struct
from collections.abc import Collection

from msgspec import Struct

_ERROR_BIT = 0x80
_READS = (3, 4)
# Some meters leave the function out of the exception's function byte.
_EXCEPTIONS = (_ERROR_BIT, *(_ERROR_BIT | function for function in _READS))
_FRAME = 5  # bytes around an answer's registers, and the whole of an exception


class Question(Struct, frozen=True):
    """A read that was asked; `function` is 3 (holding) or 4 (input)."""

    unit: int
    function: int
    address: int
    count: int

    @property
    def head(self) -> bytes:
        """How its answer begins."""
        return bytes((self.unit, self.function, 2 * self.count & 0xFF))

    def __str__(self) -> str:
        table = "holding" if self.function == _READS[0] else "input"
        return f"unit {self.unit}, {self.count} {table} registers from {self.address}"


class Frame(Struct, frozen=True, kw_only=True):
    """A sound answer.

    Attributes:
        function: without the error bit; 0 for an exception that leaves it out.
        code: of an exception, else 0.
        raw: all its bytes.
    """

    unit: int
    function: int
    code: int
    raw: bytes

    @property
    def words(self) -> tuple[int, ...]:
        """Its registers; none in an exception."""
        return () if self.code else struct.unpack(f">{self.count}H", self.raw[3:-2])

    @property
    def count(self) -> int:
        return (len(self.raw) - _FRAME) // 2

    def fits(self, question: Question) -> bool:
        """Whether it can be the answer to `question`, by all that it says about itself."""
        if self.unit != question.unit:
            return False
        if self.code:
            return self.function in (0, question.function)
        return (self.function, self.count) == (question.function, question.count)

    def __str__(self) -> str:
        if self.code:
            return f"exception {self.code} of unit {self.unit}"
        return f"{self.count} registers of unit {self.unit}, function {self.function}"


class Found(Struct, frozen=True):
    """A sound answer, and where in the bytes it stands."""

    frame: Frame
    start: int
    end: int


def first_frame(heard: bytes, units: Collection[int], question: Question | None) -> Found | None:
    """The first sound answer at any offset; noise before it is stepped over.

    Args:
        heard: what came so far.
        units: whose exceptions may come. They are so short that noise, or the inside of a long
            answer, would look like one of just any unit once in a few thousand.
        question: the one in flight: while its answer is arriving, nothing else is looked for.
    """
    if question is not None and heard.startswith(question.head):
        incomplete = len(heard) < _FRAME + 2 * question.count
        if incomplete and heard.find(question.head, 1) < 0:
            return None
    for start in range(len(heard) - _FRAME + 1):
        size = _size(heard, start, units)
        raw = heard[start : start + size]
        if size and len(raw) == size and not checksum(raw):
            return Found(_frame(raw), start, start + size)
    return None


def _size(heard: bytes, start: int, units: Collection[int]) -> int:
    """How long the frame is that could begin at `start`, 0 if none could."""
    unit, function, third = heard[start : start + 3]
    if function in _READS:
        return 0 if third % 2 else _FRAME + third
    if function in _EXCEPTIONS and unit in units and third:
        return _FRAME
    return 0


def _frame(raw: bytes) -> Frame:
    code = raw[2] if raw[1] & _ERROR_BIT else 0
    return Frame(unit=raw[0], function=raw[1] & ~_ERROR_BIT, code=code, raw=raw)


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


_ROWS = _table()


def checksum(frame: bytes) -> int:
    """CRC-16 of `frame`; 0 of a frame that ends in its own, low byte first."""
    value = 0xFFFF
    for byte in frame:
        value = value >> 8 ^ _ROWS[(value ^ byte) & 0xFF]
    return value
