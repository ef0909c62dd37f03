"""Decode: the words of a meter's blocks -> values by quantity. HOT PATH, pure.

Everything that can be known from model, plan and wiring is compiled once. A block is then unpacked
by one `struct` call, its holes being pad bytes; numbers with the low word first are unpacked from
the block's words in reverse, which turns each of them into high word first. A block is decoded by
its own absolute address, so a missing block can never shift another one's values.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import isfinite, nan
from operator import itemgetter, mul, truediv
from struct import Struct as Layout
from typing import Any

from msgspec import Struct

from gateways.library.model import Format, Part, Register, WordOrder
from gateways.reading.plan import Block
from gateways.reading.wiring import Wiring, factor, name_behind
from metering.reading import Fault

Answer = tuple[Block, Sequence[int]]
Raw = tuple[float, ...]

_CODES = {
    Format.UINT16: "H",
    Format.INT16: "h",
    Format.UINT32: "I",
    Format.INT32: "i",
    Format.UINT64: "Q",
    Format.INT64: "q",
    Format.FLOAT32: "f",
    Format.FLOAT64: "d",
    Format.BCD32: "4s",
    Format.BCD48: "6s",
    Format.BCD64: "8s",
}
# SunSpec Information Model Specification, type sunssf: powers of ten from -10 to 10.
_POWERS: tuple[int, ...] = tuple(10**power for power in range(11))


class Decoded(Struct, frozen=True):
    """Finite values by quantity, and why some are left out, if some are."""

    values: dict[str, float]
    fault: Fault | None = None


class Decoder:
    """Decodes the blocks of one meter's plan."""

    def __init__(
        self, registers: Sequence[Register], blocks: Iterable[Block], wiring: Wiring
    ) -> None:
        self._blocks = {
            block: _BlockDecoder(block, [r for r in registers if block.covers(r)], wiring)
            for block in blocks
        }

    def decode(self, answers: Iterable[Answer]) -> Decoded:
        """The values of the blocks that were answered.

        Args:
            answers: blocks of the plan, each with exactly as many words as it counts.
        """
        values: dict[str, float] = {}
        fault = None
        for block, words in answers:
            fault = self._blocks[block].decode(words, values) or fault
        # One addition per value is the cheapest test that all of them are finite.
        if isfinite(sum(values.values())):
            return Decoded(values, fault)
        finite = {quantity: value for quantity, value in values.items() if isfinite(value)}
        return Decoded(finite, Fault.NOT_FINITE if len(finite) < len(values) else fault)


class _BlockDecoder:
    """Decodes one block: plain registers all at once, composed ones each."""

    def __init__(self, block: Block, registers: Sequence[Register], wiring: Wiring) -> None:
        self._unpack = _unpacker(block, [field for r in registers for field in r.fields])
        named = [
            (name, register)
            for register in registers
            if (name := name_behind(register.quantity, wiring.direction))
        ]
        position = self._unpack.position
        plain = [(name, r) for name, r in named if len(r.fields) == 1]
        factors = [factor(register, wiring) for _, register in plain]
        self._names = tuple(name for name, _ in plain)
        self._pick = _picker([position[r.parts[0].address] for _, r in plain])
        self._numerators = tuple(map(_numerator, factors))
        self._denominators = tuple(map(_denominator, factors))
        self._only_divided = all(numerator == 1 for numerator in self._numerators)
        self._sentinels = tuple(
            (position[r.parts[0].address], r.parts[0].sentinels, name)
            for name, r in plain
            if r.parts[0].sentinels
        )
        self._composed = tuple(
            (name, _Composition(register, position, factor(register, wiring)))
            for name, register in named
            if len(register.fields) > 1
        )

    def decode(self, words: Sequence[int], values: dict[str, float]) -> Fault | None:
        """Add this block's values to `values`."""
        raw = self._unpack(words)
        scaled = self._pick(raw)
        if not self._only_divided:
            scaled = map(mul, scaled, self._numerators)
        values.update(zip(self._names, map(truediv, scaled, self._denominators), strict=True))
        fault = None
        for position, sentinels, name in self._sentinels:
            if raw[position] in sentinels:
                del values[name]
                fault = Fault.SENTINEL
        for name, composition in self._composed:
            value = composition.value(raw)
            if value is None:
                fault = Fault.SENTINEL
            else:
                values[name] = value
        return fault


class _Composition:
    """A value of several fields: pieces of a total, or a number and its power of ten."""

    def __init__(self, register: Register, position: dict[int, int], scale: Fraction) -> None:
        self._parts = tuple(
            (position[part.address], part.weight, part.sentinels) for part in register.parts
        )
        exponent = register.exponent
        self._exponent = None if exponent is None else position[exponent.address]
        self._numerator = _numerator(scale)
        self._denominator = _denominator(scale)

    def value(self, raw: Raw) -> float | None:
        """The value; none if a part is a sentinel or the power of ten is none."""
        total: float = 0
        for position, weight, sentinels in self._parts:
            number = raw[position]
            if number in sentinels:
                return None
            total += number * weight
        if self._exponent is None:
            return total * self._numerator / self._denominator
        power = int(raw[self._exponent])
        if abs(power) >= len(_POWERS):
            return None
        if power < 0:
            return total * self._numerator / (self._denominator * _POWERS[-power])
        return total * (self._numerator * _POWERS[power]) / self._denominator


class _Unpacker:
    """A block's words -> its fields' numbers; `position` says where each address ends up."""

    def __init__(self, block: Block, fields: Iterable[Part]) -> None:
        ordered = sorted({field.address: field for field in fields}.values(), key=_address)
        swapped = [field for field in ordered if _is_low_first(field)]
        direct = [field for field in ordered if not _is_low_first(field)]
        in_order = (*direct, *reversed(swapped))
        mirrored = [(block.end - field.end, field) for field in reversed(swapped)]
        self._pack = Layout(f">{block.count}H").pack
        self._direct = _layout(block.count, [(f.address - block.address, f) for f in direct]).unpack
        self._mirrored = _layout(block.count, mirrored).unpack if swapped else None
        self.bcd = frozenset(i for i, field in enumerate(in_order) if field.format.is_bcd)
        self.position = {field.address: index for index, field in enumerate(in_order)}

    def __call__(self, words: Sequence[int]) -> Raw:
        raw = self._direct(self._pack(*words))
        if self._mirrored is None:
            return raw
        return raw + self._mirrored(self._pack(*reversed(words)))


class _BcdUnpacker(_Unpacker):
    """The same for a block with decimal digits in it, which `struct` knows as bytes only."""

    def __call__(self, words: Sequence[int]) -> Raw:
        raw = super().__call__(words)
        return tuple(_decimal(n) if i in self.bcd else n for i, n in enumerate(raw))


def _unpacker(block: Block, fields: Sequence[Part]) -> _Unpacker:
    has_bcd = any(field.format.is_bcd for field in fields)
    return _BcdUnpacker(block, fields) if has_bcd else _Unpacker(block, fields)


def _decimal(octets: Any) -> float:
    """Packed decimal digits as a number; a digit above 9 makes it none: NaN, a fault."""
    digits = octets.hex()
    return int(digits) if digits.isdecimal() else nan


def _address(field: Part) -> int:
    return field.address


def _is_low_first(field: Part) -> bool:
    return field.word_order is WordOrder.LOW_FIRST and field.format.registers > 1


def _layout(count: int, placed: Iterable[tuple[int, Part]]) -> Layout:
    """A layout of `count` registers with `placed` fields at their offsets, pad bytes between."""
    codes = [">"]
    at = 0
    for offset, field in placed:
        codes.append(f"{2 * (offset - at)}x{_CODES[field.format]}")
        at = offset + field.format.registers
    codes.append(f"{2 * (count - at)}x")
    return Layout("".join(codes))


def _picker(positions: Sequence[int]) -> Any:
    """A callable that takes those positions out of a tuple, as a tuple even if it is only one."""
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda raw: tuple(raw[position] for position in positions)


def _numerator(scale: Fraction) -> int:
    return scale.numerator


def _denominator(scale: Fraction) -> int:
    return scale.denominator
