"""Line: a serial format and a count of registers -> how long the wire takes.

On a serial line time is bytes: a character is a start bit, the data bits, a parity bit if there is
one, and the stop bits. What a slave takes to think (its turnaround) is not the wire's and not here.

**Source:** Modbus over Serial Line V1.02, sections 2.5.1.1 (silence of 3.5 characters around a
frame; 1.75 ms above 19200 baud) and 2.5.1 (format of a character).
"""

from gateways.bus_url import Serial

_REQUEST_CHARACTERS = 8  # unit, function, address, count, CRC
_ANSWER_CHARACTERS = 5  # unit, function, byte count, CRC; and two for each register
_SILENCE_CHARACTERS = 3.5
_FAST_BAUDRATE = 19_200
_FAST_SILENCE_MS = 1.75


def character_bits(serial: Serial) -> int:
    """Bits on the wire for one byte: 10 at 8N1, 11 at 8E1 and 8N2, 12 at 8E2."""
    return 1 + serial.bytesize + (serial.parity != "N") + serial.stopbits


def characters_ms(serial: Serial, characters: float) -> float:
    """How long so many characters take, without gaps."""
    return characters * character_bits(serial) * 1000 / serial.baudrate


def silence_ms(serial: Serial) -> float:
    """The silence between two frames (t3.5)."""
    if serial.baudrate > _FAST_BAUDRATE:
        return _FAST_SILENCE_MS
    return characters_ms(serial, _SILENCE_CHARACTERS)


def question_ms(serial: Serial) -> float:
    """How long a read request takes to leave."""
    return characters_ms(serial, _REQUEST_CHARACTERS)


def answer_ms(serial: Serial, count: int) -> float:
    """How long the answer with `count` registers takes to arrive."""
    return characters_ms(serial, _ANSWER_CHARACTERS + 2 * count)


def request_ms(serial: Serial, count: int) -> float:
    """The wire time of one read of `count` registers: request, answer, the silence after each."""
    return question_ms(serial) + answer_ms(serial, count) + 2 * silence_ms(serial)
