"""Model: a meter type's file -> its registers, checked, with the options of one meter applied.

Addresses are zero-based as on the wire. Bytes inside a register are high byte first, always. Signs
are written so that positive is import from the grid. `docs/adding-a-meter.md` is the long form.
"""

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Any

from msgspec import Struct

from gateways.model_options import apply_options
from gateways.strict import ContentInvalid, Path, convert, nearest
from metering.quantity import QUANTITIES

LONGEST_READ = 125  # registers in one request; Modbus Application Protocol V1.1b3, 6.3 and 6.4
LAST_ADDRESS = 0xFFFF


class Table(StrEnum):
    """Which of a meter's two register tables: function code 3 reads one, 4 the other."""

    HOLDING = "holding"
    INPUT = "input"


class Format(StrEnum):
    """How a number lies in its registers."""

    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"
    UINT64 = "uint64"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def registers(self) -> int:
        return int(self.value[-2:]) // 16

    @property
    def is_float(self) -> bool:
        return self.value.startswith("float")


class WordOrder(StrEnum):
    """Which register of a wide number comes first: ABCD or CDAB."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class RatioOn(StrEnum):
    """Which electrical registers are before the transformers, where the gateway multiplies."""

    ALL = "all"
    ENERGY = "energy"


class Part(Struct, frozen=True, kw_only=True):
    """One number in the registers; `sentinels` are the raw numbers that mean "no value"."""

    address: int
    format: Format
    word_order: WordOrder
    weight: int = 1
    sentinels: frozenset[int] = frozenset()

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.format.registers


class Register(Struct, frozen=True, kw_only=True):
    """Where one quantity is found: value = (sum of part x weight) x scale x 10^exponent.

    Attributes:
        quantity: a name of `metering.quantity`.
        table: the table of all its parts.
        parts: one, or the pieces of a total that is split over registers.
        scale: exact, into the quantity's unit.
        exponent: the int16 register that holds a power of ten at run time (SunSpec), if any.
        ratio: whether a ratio of the gateway applies; no, where the meter already did.
        rollover: where the counter returns to zero, in the quantity's unit before any ratio.
        uncertain: why to compare with the display before trusting it, if so.
    """

    quantity: str
    table: Table
    parts: tuple[Part, ...]
    scale: Fraction
    exponent: Part | None = None
    ratio: bool = True
    rollover: float | None = None
    uncertain: str | None = None

    @property
    def fields(self) -> tuple[Part, ...]:
        """Everything that has to be read, in one request, to know the value."""
        return self.parts if self.exponent is None else (*self.parts, self.exponent)


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request may ask for."""

    registers: int = LONGEST_READ
    even: bool = False


class TestVector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words that a document or a device shows, at `address`, and what they mean."""

    __test__ = False  # pytest: not a test class

    source: str
    address: int
    words: tuple[int, ...]
    expect: dict[str, float]


class MeterModel(Struct, frozen=True, kw_only=True):
    """A meter type, ready to be planned, read and simulated.

    Attributes:
        measures: electricity, solar, water, heat or gas; tells the simulator what to feed it.
        generator: it counts what it gives, and its file already says so with import as positive;
            a meter's `direction: export` changes nothing.
        fill: holes of up to this many registers are read over.
        warnings: what an installer has to compare with the display.
    """

    id: str
    name: str
    measures: str
    generator: bool
    sources: tuple[str, ...]
    limits: Limits
    fill: int
    registers: tuple[Register, ...]
    warnings: tuple[str, ...]
    test_vectors: tuple[TestVector, ...]


Scale = int | float | str


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
        )

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
