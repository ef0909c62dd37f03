"""Model file: a model's content and one meter's options -> its MeterModel, checked."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from msgspec import Struct

from gateways.model import (
    LAST_ADDRESS,
    LONGEST_READ,
    Format,
    IdentityField,
    IdentityName,
    Limits,
    MeterModel,
    Part,
    Priority,
    RatioOn,
    Register,
    Table,
    TestVector,
    WordOrder,
)
from gateways.model_options import apply_options
from gateways.strict import ContentInvalid, Path, convert, nearest
from metering.quantity import QUANTITIES, Kind

Scale = int | float | str


class _Periods(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a register is read that says nothing itself, in seconds; 0 for every cycle."""

    gauge: int = 0
    counter: int = 60


class _IdentityLine(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a device says who it is: a number by `format`, or text of `registers`."""

    address: int
    format: Format | None = None
    registers: int | None = None
    table: Table | None = None
    word_order: WordOrder | None = None
    expect: tuple[int | str, ...] = ()
    note: str | None = None


class _Document(Struct, kw_only=True, forbid_unknown_fields=True):
    """The file's own shape, once its options are applied."""

    name: str
    maker: str
    measures: str
    confidence: str
    sources: tuple[str, ...]
    table: Table
    registers: list[dict[str, Any]]  # the door: each becomes a _Line
    format: Format = Format.FLOAT32
    word_order: WordOrder = WordOrder.HIGH_FIRST
    generator: bool = False
    limits: Limits = Limits()
    fill: int = 0
    ratio_on: RatioOn = RatioOn.ALL
    sentinels: dict[Format, tuple[int, ...]] = {}
    every_s: _Periods = _Periods()
    identity: dict[IdentityName, _IdentityLine] = {}
    notes: tuple[str, ...] = ()
    options: dict[str, Any] = {}  # the door: read by apply_options
    test_vectors: tuple[TestVector, ...] = ()


class _Piece(Struct, kw_only=True, forbid_unknown_fields=True):
    address: int
    format: Format | None = None
    word_order: WordOrder | None = None
    weight: int = 1


class _Line(Struct, kw_only=True, forbid_unknown_fields=True):
    quantity: str
    address: int | None = None
    combine: tuple[_Piece, ...] = ()
    table: Table | None = None
    format: Format | None = None
    word_order: WordOrder | None = None
    scale: Scale = 1
    exponent: int | None = None
    rollover: float | None = None
    uncertain: str | None = None
    every_s: int | None = None
    priority: Priority = Priority.NORMAL
    note: str | None = None


_MEASURES = ("electricity", "solar", "water", "heat", "gas")
_CONFIDENCE = ("high", "medium", "low")


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
    document = convert(model_id, applied, _Document)
    _check_document(model_id, document)
    registers = tuple(
        _Lines(model_id, document, ("registers", index)).register(line)
        for index, line in enumerate(document.registers)
    )
    _check_registers(model_id, registers)
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
            _identity(model_id, document, name, line) for name, line in document.identity.items()
        ),
    )


def _identity(
    model_id: str, document: _Document, name: IdentityName, line: _IdentityLine
) -> IdentityField:
    if (line.format is None) == (line.registers is None):
        message = "either a format (a number) or registers (text) are needed"
        raise ContentInvalid(model_id, ("identity", name), message)
    count = line.format.registers if line.format else line.registers or 0
    if not (1 <= count <= LONGEST_READ and 0 <= line.address <= LAST_ADDRESS + 1 - count):
        message = f"{count} registers from {line.address} cannot be read"
        raise ContentInvalid(model_id, ("identity", name), message)
    return IdentityField(
        name=name,
        table=line.table or document.table,
        address=line.address,
        registers=count,
        format=line.format,
        word_order=line.word_order or document.word_order,
        expect=tuple(map(str, line.expect)),
    )


def _is_energy(quantity: str) -> bool:
    return quantity.startswith(("energy_", "reactive_energy_"))


def _uncertain(registers: tuple[Register, ...]) -> tuple[str, ...]:
    return tuple(
        f"{register.quantity} is uncertain: {register.uncertain}"
        for register in registers
        if register.uncertain
    )


def _check_document(model_id: str, document: _Document) -> None:
    _check_word(model_id, "measures", document.measures, _MEASURES)
    _check_word(model_id, "confidence", document.confidence, _CONFIDENCE)
    if not document.sources:
        raise ContentInvalid(model_id, ("sources",), "at least one source is needed")
    if not document.registers:
        raise ContentInvalid(model_id, ("registers",), "at least one register is needed")
    if not 1 <= document.limits.registers <= LONGEST_READ:
        message = f"1 to {LONGEST_READ} are possible, {document.limits.registers} came"
        raise ContentInvalid(model_id, ("limits", "registers"), message)
    for index, vector in enumerate(document.test_vectors):
        for quantity in vector.expect:
            _check_quantity(model_id, quantity, ("test_vectors", index, "expect", quantity))


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


class _Lines:
    """Reads one line of `registers` with the document's defaults."""

    def __init__(self, model_id: str, document: _Document, path: Path) -> None:
        self._id = model_id
        self._document = document
        self._path = path

    def register(self, content: dict[str, Any]) -> Register:
        line = convert(self._id, content, _Line, self._path)
        _check_quantity(self._id, line.quantity, (*self._path, "quantity"))
        return Register(
            quantity=line.quantity,
            table=line.table or self._document.table,
            parts=self._parts(line),
            scale=self._scale(line.scale),
            exponent=self._exponent(line.exponent),
            ratio=self._document.ratio_on is RatioOn.ALL or _is_energy(line.quantity),
            rollover=line.rollover,
            uncertain=line.uncertain,
            every_s=self._every_s(line),
            priority=line.priority,
        )

    def _every_s(self, line: _Line) -> int:
        periods = self._document.every_s
        counts = QUANTITIES[line.quantity].kind is Kind.COUNTER
        every_s = (
            (periods.counter if counts else periods.gauge)
            if line.every_s is None
            else (line.every_s)
        )
        if every_s < 0:
            raise self._wrong("every_s", f"0 (every cycle) or seconds are needed, {every_s} came")
        return every_s

    def _parts(self, line: _Line) -> tuple[Part, ...]:
        if (line.address is None) == (not line.combine):
            raise self._wrong("address", "either an address or combine is needed")
        pieces = line.combine or (_Piece(address=line.address or 0),)
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
        if not 0 <= address <= LAST_ADDRESS + 1 - number.registers:
            raise self._wrong("address", f"0 to {LAST_ADDRESS} are possible, {address} came")
        return Part(
            address=address,
            format=number,
            word_order=word_order,
            weight=weight,
            sentinels=frozenset(self._document.sentinels.get(number, ())),
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


def _check_registers(model_id: str, registers: tuple[Register, ...]) -> None:
    owners: dict[tuple[Table, int], str] = {}
    named: set[str] = set()
    for index, register in enumerate(registers):
        path = ("registers", index)
        if register.quantity in named:
            message = f"{register.quantity} is already read from another register"
            raise ContentInvalid(model_id, (*path, "quantity"), message)
        named.add(register.quantity)
        for part in register.parts:
            _claim(model_id, path, owners, register, part)
    for index, register in enumerate(registers):
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
