"""Model file: a model's content and one meter's options -> its MeterModel, checked."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from gateways.library.document import (
    CONFIDENCE,
    MEASURES,
    Document,
    IdentityLine,
    Line,
    Piece,
    Scale,
)
from gateways.library.model import (
    LAST_ADDRESS,
    LONGEST_READ,
    Format,
    IdentityField,
    IdentityName,
    MeterModel,
    Part,
    RatioOn,
    Register,
    Table,
    WordOrder,
)
from gateways.library.options import apply_options
from gateways.strict import ContentInvalid, Path, convert, nearest
from metering.quantity import QUANTITIES, Kind

_DECIMALS_A_REGISTER = 4


def read_model(
    model_id: str, content: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> MeterModel:
    """Read one model.

    Args:
        model_id: the file's name without its suffix.
        content: the parsed file.
        options: the meter's own choices, by option name.

    Raises:
        ContentInvalid: what is wrong and where; a mistyped key comes with the nearest known one.
    """
    applied, warnings = apply_options(model_id, content, options or {})
    document = convert(model_id, applied, Document)
    _check_document(model_id, document)
    lines = {
        index: convert(model_id, line, Line, ("registers", index))
        for index, line in enumerate(document.registers)
    }
    by_line = {
        index: _Lines(model_id, document, ("registers", index)).register(line)
        for index, line in lines.items()
        if line.present
    }
    _check_registers(model_id, by_line)
    registers = tuple(by_line.values())
    return MeterModel(
        id=model_id,
        name=f"{document.maker} {document.name}",
        measures=document.measures,
        generator=document.generator,
        sources=document.sources,
        limits=document.limits,
        fill=document.fill,
        registers=registers,
        warnings=(*warnings, *_uncertain(registers)),
        test_vectors=document.test_vectors,
        identity=tuple(
            _identity(model_id, document, name, line)
            for name in IdentityName
            if (line := getattr(document.identity, name, None))
        ),
    )


def _identity(
    model_id: str, document: Document, name: IdentityName, line: IdentityLine
) -> IdentityField:
    if (line.format is None) == (line.registers is None):
        message = "either a format (a number) or registers (text) are needed"
        raise ContentInvalid(model_id, ("identity", name), message)
    count = line.format.registers if line.format else line.registers or 0
    address = line.address + document.shift
    if not (1 <= count <= LONGEST_READ and 0 <= address <= LAST_ADDRESS + 1 - count):
        message = f"{count} registers from {address} cannot be read"
        raise ContentInvalid(model_id, ("identity", name), message)
    return IdentityField(
        name=name,
        table=line.table or document.table,
        address=address,
        registers=count,
        format=line.format,
        word_order=line.word_order or document.word_order,
        expect=tuple(map(str, line.expect)),
    )


def _takes_ratio(ratio_on: RatioOn, quantity: str) -> bool:
    if ratio_on is RatioOn.ENERGY:
        return quantity.startswith(("energy_", "reactive_energy_"))
    return ratio_on is RatioOn.ALL


def _uncertain(registers: tuple[Register, ...]) -> tuple[str, ...]:
    return tuple(
        f"{register.quantity} is uncertain: {register.uncertain}"
        for register in registers
        if register.uncertain
    )


def _check_document(model_id: str, document: Document) -> None:
    _check_word(model_id, "measures", document.measures, MEASURES)
    _check_word(model_id, "confidence", document.confidence, CONFIDENCE)
    if not document.sources:
        raise ContentInvalid(model_id, ("sources",), "at least one source is needed")
    if not document.registers:
        raise ContentInvalid(model_id, ("registers",), "at least one register is needed")
    if not 1 <= document.limits.registers <= LONGEST_READ:
        message = f"1 to {LONGEST_READ} are possible, {document.limits.registers} came"
        raise ContentInvalid(model_id, ("limits", "registers"), message)
    if document.limits.connect_pause_ms < 0:
        message = f"0 or milliseconds are needed, {document.limits.connect_pause_ms} came"
        raise ContentInvalid(model_id, ("limits", "connect_pause_ms"), message)
    _check_period(model_id, document.every_s.gauge, ("every_s", "gauge"))
    _check_period(model_id, document.every_s.counter, ("every_s", "counter"))
    for index, vector in enumerate(document.test_vectors):
        for quantity in vector.expect:
            _check_quantity(model_id, quantity, ("test_vectors", index, "expect", quantity))


def _check_period(model_id: str, every_s: int, path: Path) -> None:
    if every_s < 0:
        message = f"0 (every cycle) or seconds are needed, {every_s} came"
        raise ContentInvalid(model_id, path, message)


def _check_word(model_id: str, key: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ContentInvalid(model_id, (key,), f"unknown word '{word}'{nearest(word, known)}")


def _check_quantity(model_id: str, quantity: str, path: Path) -> None:
    if quantity not in QUANTITIES:
        message = f"unknown quantity '{quantity}'{_near_quantity(quantity)}"
        raise ContentInvalid(model_id, path, message)


def _near_quantity(quantity: str) -> str:
    meant = nearest(quantity, QUANTITIES)
    return meant if meant.startswith(", did") else ", see metering/quantity.py"


def _counts(line: Line) -> bool:
    return QUANTITIES[line.quantity].kind is Kind.COUNTER


class _Lines:
    """Reads one line of `registers` with the document's defaults."""

    def __init__(self, model_id: str, document: Document, path: Path) -> None:
        self._id = model_id
        self._document = document
        self._path = path

    def register(self, line: Line) -> Register:
        _check_quantity(self._id, line.quantity, (*self._path, "quantity"))
        parts, scale = self._parts(line), self._scale(line.scale)
        return Register(
            quantity=line.quantity,
            table=line.table or self._document.table,
            parts=parts,
            scale=scale,
            exponent=self._exponent(line.exponent),
            ratio=_takes_ratio(self._document.ratio_on, line.quantity),
            rollover=self._rollover(line, parts, scale),
            uncertain=line.uncertain,
            every_s=self._every_s(line),
            priority=line.priority,
        )

    def _every_s(self, line: Line) -> int:
        if line.every_s is None:
            periods = self._document.every_s
            return periods.counter if _counts(line) else periods.gauge
        _check_period(self._id, line.every_s, (*self._path, "every_s"))
        return line.every_s

    def _rollover(self, line: Line, parts: tuple[Part, ...], scale: Fraction) -> float | None:
        if line.rollover is None:
            return None
        if not _counts(line):
            raise self._wrong("rollover", f"{line.quantity} does not count")
        if line.rollover == "width":
            return float(self._width(parts) * abs(scale))
        if line.rollover <= 0:
            raise self._wrong("rollover", f"a number above 0 is needed, {line.rollover:g} came")
        return line.rollover

    def _width(self, parts: tuple[Part, ...]) -> int:
        """How many steps a counter has before its registers are full."""
        (part, *others) = parts
        if others or not part.format.value.startswith(("uint", "bcd")):
            raise self._wrong("rollover", "only one unsigned or BCD number has a width to roll at")
        if part.format.is_bcd:
            return int(10 ** (_DECIMALS_A_REGISTER * part.format.registers))
        return int(2 ** (16 * part.format.registers))

    def _parts(self, line: Line) -> tuple[Part, ...]:
        if (line.address is None) == (not line.combine):
            raise self._wrong("address", "either an address or combine is needed")
        pieces = line.combine or (Piece(address=line.address or 0),)
        return tuple(
            self._part(
                piece.address,
                piece.format or line.format or self._document.format,
                piece.word_order or line.word_order or self._document.word_order,
                piece.weight,
            )
            for piece in pieces
        )

    def _part(self, address: int, number: Format, word_order: WordOrder, weight: int = 1) -> Part:
        address += self._document.shift
        if not 0 <= address <= LAST_ADDRESS + 1 - number.registers:
            raise self._wrong("address", f"0 to {LAST_ADDRESS} are possible, {address} came")
        return Part(
            address=address,
            format=number,
            word_order=word_order,
            weight=weight,
            sentinels=frozenset(getattr(self._document.sentinels, number, ())),
        )

    def _exponent(self, address: int | None) -> Part | None:
        if address is None:
            return None
        return self._part(address, Format.INT16, WordOrder.HIGH_FIRST)

    def _scale(self, scale: Scale) -> Fraction:
        try:
            exact = Fraction(str(scale))
        except (ValueError, ZeroDivisionError):
            exact = Fraction(0)
        if not exact:
            raise self._wrong("scale", f"a number or a fraction is needed, {scale!r} came")
        return exact

    def _wrong(self, key: str, message: str) -> ContentInvalid:
        return ContentInvalid(self._id, (*self._path, key), message)


def _check_registers(model_id: str, registers: Mapping[int, Register]) -> None:
    owners: dict[tuple[Table, int], str] = {}
    named: set[str] = set()
    for index, register in registers.items():
        path = ("registers", index)
        if register.quantity in named:
            message = f"{register.quantity} is already read from another register"
            raise ContentInvalid(model_id, (*path, "quantity"), message)
        named.add(register.quantity)
        for part in register.parts:
            _claim(model_id, path, owners, register, part)
    for index, register in registers.items():
        exponent = register.exponent
        if exponent and (owner := owners.get((register.table, exponent.address))):
            message = f"address {exponent.address} is {owner}"
            raise ContentInvalid(model_id, ("registers", index, "exponent"), message)


def _claim(
    model_id: str,
    path: Path,
    owners: dict[tuple[Table, int], str],
    register: Register,
    part: Part,
) -> None:
    for address in range(part.address, part.end):
        owner = owners.setdefault((register.table, address), register.quantity)
        if owner != register.quantity:
            message = f"{register.quantity} overlaps {owner} at address {address}"
            raise ContentInvalid(model_id, path, message)
