"""Model: a meter type as its file describes it: registers, limits, what to be wary of.

Addresses are zero-based as on the wire. Bytes inside a register are high byte first, always. Signs
are written so that positive is import from the grid. `docs/adding-a-meter.md` is the long form.
"""

from enum import StrEnum
from fractions import Fraction

from msgspec import Struct

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
    BCD32 = "bcd32"  # four decimal digits a register, the first one high
    BCD48 = "bcd48"
    BCD64 = "bcd64"

    @property
    def registers(self) -> int:
        return int(self.value[-2:]) // 16

    @property
    def is_float(self) -> bool:
        return self.value.startswith("float")

    @property
    def is_bcd(self) -> bool:
        return self.value.startswith("bcd")


class WordOrder(StrEnum):
    """Which register of a wide number comes first: ABCD or CDAB."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class RatioOn(StrEnum):
    """Which electrical registers are before the transformers, where the gateway multiplies."""

    ALL = "all"
    ENERGY = "energy"
    NONE = "none"  # the meter has already multiplied


class Priority(StrEnum):
    """What is asked first where a bus has no time for everything."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class IdentityName(StrEnum):
    """What a device says about itself."""

    SERIAL = "serial"  # its serial number
    FIRMWARE = "firmware"  # its software's version
    DEVICE = "device"  # the maker's word or number for its type


class IdentityField(Struct, frozen=True, kw_only=True):
    """Where a device says who it is.

    Attributes:
        registers: how many it takes.
        format: of a number; none for text, two characters a register, the first one high.
        expect: what devices of this model answer, if that is known; empty if it is not.
    """

    name: IdentityName
    table: Table
    address: int
    registers: int
    format: Format | None
    word_order: WordOrder
    expect: tuple[str, ...] = ()


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
        rollover: where the counter returns to zero, in the quantity's unit before any ratio and
            before the power of ten of `exponent`.
        uncertain: why to compare with the display before trusting it, if so.
        every_s: how often it is read; 0 for every cycle of its bus.
        priority: whether it waits where time is short.
    """

    quantity: str
    table: Table
    parts: tuple[Part, ...]
    scale: Fraction
    exponent: Part | None = None
    ratio: bool = True
    rollover: float | None = None
    uncertain: str | None = None
    every_s: int = 0
    priority: Priority = Priority.NORMAL

    @property
    def fields(self) -> tuple[Part, ...]:
        """Everything that has to be read, in one request, to know the value."""
        return self.parts if self.exponent is None else (*self.parts, self.exponent)


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request may ask for, and what has to pass before the first one.

    Attributes:
        registers: in one request, at most.
        even: whether its first address and its length have to be even.
        connect_pause_ms: how long a device wants to be left alone after connecting to it.
    """

    registers: int = LONGEST_READ
    even: bool = False
    connect_pause_ms: int = 0


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
        identity: where it says who it is; empty if it does not.
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
    identity: tuple[IdentityField, ...] = ()
