"""Read: one meter, once, by the agent's own path -> its reading, the words it came from, doubts."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateways.commission.fit import contrast, rival
from gateways.commission.plausible import Plausibility, judge
from gateways.commission.variants import Variant
from gateways.library.model import Register, Table
from gateways.reading.meter import Meter
from gateways.reading.plan import Block
from gateways.reading.poll import AnswerSuspect, Bus, MeterRefused, poll_meter
from gateways.reading.wiring import name_behind
from metering.clock import Clock
from metering.errors import NenghaoError
from metering.reading import Reading


class Trouble(Struct, frozen=True, kw_only=True):
    """A block that was not answered as it should be.

    Attributes:
        fault: the word of `metering.reading.Fault`.
        message: what was asked and what came.
        code: the Modbus exception, if it was one.
    """

    block: Block
    fault: str
    message: str
    code: int | None = None


class Overheard:
    """A bus that lets through what is asked, and remembers what came.

    Attributes:
        words: by table and address.
        troubles: in the order in which they came.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.words: dict[tuple[Table, int], int] = {}
        self.troubles: list[Trouble] = []

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        """See `Bus.read`."""
        try:
            words = await self._bus.read(unit, table, address, count)
        except NenghaoError as error:
            if isinstance(error, AnswerSuspect):
                self._remember(table, address, error.words)
            self.troubles.append(
                Trouble(
                    block=Block(table, address, count),
                    fault=str(getattr(error, "fault", "")),
                    message=str(error),
                    code=error.code if isinstance(error, MeterRefused) else None,
                )
            )
            raise
        self._remember(table, address, words)
        return words

    async def close(self) -> None:
        """See `Bus.close`."""
        await self._bus.close()

    def _remember(self, table: Table, address: int, words: Sequence[int]) -> None:
        for place, word in enumerate(words, start=address):
            self.words[table, place] = word


class Line(Struct, frozen=True, kw_only=True):
    """One quantity of a reading.

    Attributes:
        value: none if it is missing.
        doubts: why it is not to be believed, in Chinese.
        table, address: where it is read.
        words: that came from there, as hexadecimal numbers; empty if none came.
    """

    quantity: str
    value: float | None
    doubts: tuple[str, ...]
    table: Table
    address: int
    words: tuple[str, ...]


class OneReading(Struct, frozen=True, kw_only=True):
    """What one poll brought; `suggestion` is how the same words would make sense, if they do."""

    reading: Reading
    lines: tuple[Line, ...]
    plausibility: Plausibility
    troubles: tuple[Trouble, ...]
    suggestion: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(line.quantity for line in self.lines if line.value is None)

    @property
    def is_sound(self) -> bool:
        """Everything came, and nothing of it speaks against itself."""
        return not (self.missing or self.reading.fault) and self.plausibility.is_plausible


async def read_once(
    bus: Bus, meter: Meter, clock: Clock, others: Sequence[Variant] = ()
) -> OneReading:
    """Poll `meter` and judge what it said.

    Args:
        bus: the line it is on.
        meter: from its entry, as the agent has it.
        clock: stamps the reading.
        others: the ways to read the model that are tried on the same words if they make no sense.
    """
    overheard = Overheard(bus)
    reading = await poll_meter(overheard, meter, clock)
    # Whoever applies the ratio, it is in the values.
    plausibility = judge(reading.values, pt=meter.wiring.ratio.pt)
    return OneReading(
        reading=reading,
        lines=tuple(_lines(meter, reading, plausibility, overheard.words)),
        plausibility=plausibility,
        troubles=tuple(overheard.troubles),
        suggestion=""
        if plausibility.is_plausible
        else _suggestion(reading, plausibility, overheard.words, others),
    )


def _suggestion(
    reading: Reading,
    plausibility: Plausibility,
    words: Mapping[tuple[Table, int], int],
    others: Sequence[Variant],
) -> str:
    better = rival(words, others)
    if better is None or not better.variant.steps:
        return ""
    return contrast(reading.values, plausibility, better)


def _lines(
    meter: Meter,
    reading: Reading,
    plausibility: Plausibility,
    words: Mapping[tuple[Table, int], int],
) -> list[Line]:
    lines = []
    for register in meter.model.registers:
        quantity = name_behind(register.quantity, meter.wiring.direction)
        if quantity is None:
            continue
        lines.append(
            Line(
                quantity=quantity,
                value=reading.values.get(quantity),
                doubts=tuple(r.text for r in plausibility.doubts if quantity in r.quantities),
                table=register.table,
                address=min(field.address for field in register.fields),
                words=_hex(register, words),
            )
        )
    return lines


def _hex(register: Register, words: Mapping[tuple[Table, int], int]) -> tuple[str, ...]:
    places = [
        (register.table, address)
        for field in register.fields
        for address in range(field.address, field.end)
    ]
    return tuple(f"0x{words[place]:04X}" for place in places if place in words)
