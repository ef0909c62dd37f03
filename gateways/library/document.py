"""Model document: the shape of a model's file once its options are applied.

What an editor is told about the file (`gateways.library.schema`) is made from the same structs.
"""

from typing import Any, Literal

from msgspec import Struct

from gateways.library.model import (
    Format,
    Limits,
    Priority,
    RatioOn,
    Table,
    TestVector,
    WordOrder,
)

Scale = int | float | str  # a fraction is text
MEASURES = ("electricity", "solar", "water", "heat", "gas")
CONFIDENCE = ("high", "medium", "low")


class Periods(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a register is read that says nothing itself, in seconds; 0 for every cycle."""

    gauge: int = 0
    counter: int = 60


class IdentityLine(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a device says who it is: a number by `format`, or text of `registers`."""

    address: int
    format: Format | None = None
    registers: int | None = None
    table: Table | None = None
    word_order: WordOrder | None = None
    expect: tuple[int | str, ...] = ()
    note: str | None = None


class Identity(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a device says about itself; the names are those of `IdentityName`."""

    serial: IdentityLine | None = None
    firmware: IdentityLine | None = None
    device: IdentityLine | None = None


class Sentinels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raw numbers that mean "no value"; the names are those of `Format`."""

    uint16: tuple[int, ...] = ()
    int16: tuple[int, ...] = ()
    uint32: tuple[int, ...] = ()
    int32: tuple[int, ...] = ()
    uint64: tuple[int, ...] = ()
    int64: tuple[int, ...] = ()


class Document(Struct, kw_only=True, forbid_unknown_fields=True):
    """A meter model, as its file says it."""

    name: str
    maker: str
    measures: str
    confidence: str
    sources: tuple[str, ...]
    table: Table
    registers: list[dict[str, Any]]  # the door: each becomes a Line
    format: Format = Format.FLOAT32
    word_order: WordOrder = WordOrder.HIGH_FIRST
    shift: int = 0
    generator: bool = False
    limits: Limits = Limits()
    fill: int = 0
    ratio_on: RatioOn = RatioOn.ALL
    sentinels: Sentinels = Sentinels()
    every_s: Periods = Periods()
    identity: Identity | None = None
    notes: tuple[str, ...] = ()
    options: dict[str, Any] = {}  # the door: read by apply_options
    test_vectors: tuple[TestVector, ...] = ()


class Piece(Struct, kw_only=True, forbid_unknown_fields=True):
    """One number of a total that is split over registers."""

    address: int
    format: Format | None = None
    word_order: WordOrder | None = None
    weight: int = 1


class Line(Struct, kw_only=True, forbid_unknown_fields=True):
    """One quantity: at `address`, or the sum of what `combine` lists."""

    quantity: str
    address: int | None = None
    combine: tuple[Piece, ...] = ()
    table: Table | None = None
    format: Format | None = None
    word_order: WordOrder | None = None
    scale: Scale = 1
    exponent: int | None = None
    rollover: float | Literal["width"] | None = None
    uncertain: str | None = None
    present: bool = True
    every_s: int | None = None
    priority: Priority = Priority.NORMAL
    note: str | None = None
