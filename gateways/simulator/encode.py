"""Encode: values by quantity -> the words a meter would show.

The inverse of `gateways.reading.decode`. Written apart from the decoder on purpose, from the same
model: what one got wrong the other would otherwise repeat. What is served is what the registers can
hold, so a counter of whole kWh stands still in between and a narrow one rolls over.
"""

from collections.abc import Callable, Sequence
from math import floor, isfinite
from struct import pack, unpack

from msgspec import Struct

from gateways.library.model import Format, Part, Register, Table, WordOrder
from gateways.reading.wiring import Wiring, factor, name_behind
from metering.quantity import QUANTITIES, Kind

_CODES = {
    Format.UINT16: "H",
    Format.INT16: "h",
    Format.UINT32: "I",
    Format.INT32: "i",
    Format.UINT64: "Q",
    Format.INT64: "q",
    Format.FLOAT32: "f",
    Format.FLOAT64: "d",
}
# Powers of ten that keep a building's values within 16 bits, by unit.
_EXPONENTS = {"A": -1, "V": -1, "kW": 1, "kVA": 1, "kvar": 1, "Hz": -2, "°C": -1}
_ALMOST = 1e-6  # of a register's step: what arithmetic may have lost before a counter is cut
_NAN_WORDS = {Format.FLOAT32: (0x7FC0, 0), Format.FLOAT64: (0x7FF8, 0, 0, 0)}

Value = Callable[[str], float]  # a quantity -> its true value behind the meter


class Served(Struct, frozen=True):
    """One register's words by address, and what a correct reader makes of them.

    `value` is none where the words say that there is no value.
    """

    words: tuple[tuple[int, int], ...]
    value: float | None


class RegisterEncoder:
    """Encodes one register of one meter.

    Attributes:
        quantity: what a correct reader calls it; none if a turned meter has no name for it.
        addresses: all that it needs.
    """

    def __init__(self, register: Register, wiring: Wiring) -> None:
        self.quantity = name_behind(register.quantity, wiring.direction)
        self.table: Table = register.table
        self.addresses = frozenset(
            address for field in register.fields for address in range(field.address, field.end)
        )
        scale = factor(register, wiring)
        self._numerator, self._denominator = scale.numerator, scale.denominator
        if register.exponent is not None:
            power = _EXPONENTS.get(QUANTITIES[register.quantity].unit, 0)
            self._numerator *= 10 ** max(0, power)
            self._denominator *= 10 ** max(0, -power)
            self._power: tuple[tuple[int, int], ...] = placed(register.exponent, power)
        else:
            self._power = ()
        self._parts = register.parts
        self._is_counter = QUANTITIES[register.quantity].kind is Kind.COUNTER
        self._wraps_at = (
            None if register.rollover is None else round(register.rollover / float(register.scale))
        )

    def serve(self, value: float) -> Served:
        """The words for `value`."""
        total = value * self._denominator / self._numerator
        if self._is_counter and self._wraps_at:
            total %= self._wraps_at
        words: list[tuple[int, int]] = list(self._power)
        shown: float = 0
        for index, part in enumerate(self._parts):
            is_last = index == len(self._parts) - 1
            number = self._number(part, (total - shown) / part.weight, is_last=is_last)
            shown += number * part.weight
            words += placed(part, number)
        return Served(tuple(words), shown * self._numerator / self._denominator)

    def serve_nothing(self) -> Served | None:
        """The words that say "no value"; none if this register has no such word."""
        (part, *others) = self._parts
        if others:
            return None
        if part.sentinels:
            return Served((*self._power, *placed(part, min(part.sentinels))), None)
        if part.format in _NAN_WORDS:
            words = _NAN_WORDS[part.format]
            return Served(tuple(zip(_addresses(part), _ordered(part, words), strict=True)), None)
        return None

    def _number(self, part: Part, number: float, *, is_last: bool) -> float:
        if part.format is Format.FLOAT32:
            return _as_float32(number)
        if part.format is Format.FLOAT64:
            return number
        # A counter, and the whole part of a split total, is cut; a gauge is rounded.
        whole = floor(number + _ALMOST) if self._is_counter or not is_last else round(number)
        if part.format.is_bcd:
            limit: int = 10 ** (4 * part.format.registers)
            return whole % limit if self._is_counter else max(0, min(whole, limit - 1))
        bits = 16 * part.format.registers
        signed = part.format.value.startswith("int")
        if self._is_counter:
            return whole % (1 << (bits - signed))
        lowest = -(1 << (bits - 1)) if signed else 0
        return max(lowest, min(whole, (1 << (bits - signed)) - 1))


def _as_float32(number: float) -> float:
    if not isfinite(number):
        return number
    (narrow,) = unpack(">f", pack(">f", number))
    return float(narrow)


def placed(part: Part, number: float) -> tuple[tuple[int, int], ...]:
    """The words of a number that its format holds, by address."""
    words = unpack(f">{part.format.registers}H", _octets(part, number))
    return tuple(zip(_addresses(part), _ordered(part, words), strict=True))


def _octets(part: Part, number: float) -> bytes:
    if part.format.is_bcd:
        return bytes.fromhex(str(int(number)).zfill(4 * part.format.registers))
    exact = number if part.format.is_float else int(number)
    return pack(f">{_CODES[part.format]}", exact)


def _addresses(part: Part) -> range:
    return range(part.address, part.end)


def _ordered(part: Part, words: Sequence[int]) -> Sequence[int]:
    return words if part.word_order is WordOrder.HIGH_FIRST else words[::-1]
