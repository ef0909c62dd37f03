"""Budget: the meters of a bus -> the time that their reads take, against the time there is. Pure.

The time of a read is the wire's (`gateways.line.timing`) and the meter's turnaround. Registers that
are read less often count in proportion on average, and in full in the worst cycle. A tenth of each
cycle is kept for meters that are dead: each of them costs timeouts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import ceil, lcm

from msgspec import Struct

from gateways.bus_url import BusUrl, Serial, Transport
from gateways.library.model import Register
from gateways.line.timing import request_ms
from gateways.reading.meter import Meter
from gateways.reading.plan import Block, plan_blocks

RESERVE = 0.1  # of the cycle, for dead meters; what `gateways.reading.patience` lets them have
HIGHEST_SHARE = 0.8  # of what is left: beyond it a lost answer already makes the next cycle late
SERIAL_TURNAROUND_MS = 20.0
NETWORK_TURNAROUND_MS = 5.0

ASSUMED_LINE = Serial(device="")  # 9600 8N1, behind a serial server whose URL does not say
_MOST_CYCLES = 100_000  # periods that fit together only after more cycles are counted apart


class Cost(Struct, frozen=True, kw_only=True):
    """What a meter, or a bus, costs a cycle, in milliseconds."""

    average_ms: float
    worst_ms: float


class MeterBudget(Struct, frozen=True, kw_only=True):
    """One meter's reads.

    Attributes:
        blocks: of the cycle in which everything is due.
        registers: that are wanted.
        read_over: that are read only because they lie between.
        periods: seconds -> how many registers are read so often.
        turnaround_ms: that was assumed or measured.
        measured: whether it was.
    """

    meter: str
    model: str
    unit: int
    blocks: tuple[Block, ...]
    registers: int
    read_over: int
    periods: dict[int, int]
    cost: Cost
    turnaround_ms: float
    measured: bool


class BusBudget(Struct, frozen=True, kw_only=True):
    """One bus's cycle; `available_ms` is what the reserve leaves of it."""

    url: str
    cycle_s: int
    meters: tuple[MeterBudget, ...]

    @property
    def cost(self) -> Cost:
        return Cost(
            average_ms=sum(meter.cost.average_ms for meter in self.meters),
            worst_ms=sum(meter.cost.worst_ms for meter in self.meters),
        )

    @property
    def available_ms(self) -> float:
        return self.cycle_s * 1000 * (1 - RESERVE)

    @property
    def share(self) -> float:
        """Of the available time, that is needed on average."""
        return self.cost.average_ms / self.available_ms

    @property
    def worst_share(self) -> float:
        """The same in the cycle that takes longest."""
        return self.cost.worst_ms / self.available_ms

    @property
    def is_enough(self) -> bool:
        return self.share <= HIGHEST_SHARE and self.worst_share <= 1


def serial_of(url: BusUrl) -> Serial | None:
    """The serial format that paces a bus; none where the network is all there is."""
    if url.transport is Transport.TCP:
        return None
    return url.serial or ASSUMED_LINE


def assumed_turnaround_ms(url: BusUrl) -> float:
    return NETWORK_TURNAROUND_MS if url.transport is Transport.TCP else SERIAL_TURNAROUND_MS


def wire_ms(serial: Serial | None, block: Block) -> float:
    """What the bytes of one read take; nothing worth counting on a network."""
    return 0.0 if serial is None else request_ms(serial, block.count)


def bus_budget(
    url: str,
    cycle_s: int,
    meters: Sequence[Meter],
    line: tuple[Serial | None, float],
    measured_ms: Mapping[str, float] | None = None,
) -> BusBudget:
    """The budget of one bus.

    Args:
        url: as it was written.
        cycle_s: how often the meters are read.
        meters: all of the bus.
        line: the serial format, if any, and the turnaround to assume.
        measured_ms: turnarounds that were measured, by meter.
    """
    serial, assumed_ms = line
    known = measured_ms or {}
    return BusBudget(
        url=url,
        cycle_s=cycle_s,
        meters=tuple(
            _meter_budget(
                meter, cycle_s, serial, known.get(meter.id, assumed_ms), measured=meter.id in known
            )
            for meter in meters
        ),
    )


def _meter_budget(
    meter: Meter, cycle_s: int, serial: Serial | None, turnaround_ms: float, *, measured: bool
) -> MeterBudget:
    reads = _Reads(meter, cycle_s, serial, turnaround_ms)
    blocks = reads.blocks(reads.rates)
    wanted = len(
        {
            (register.table, address)
            for register in meter.model.registers
            for part in register.fields
            for address in range(part.address, part.end)
        }
    )
    periods = Counter(rate * cycle_s for rate in map(reads.rate, reads.registers))
    return MeterBudget(
        meter=meter.id,
        model=meter.model.id,
        unit=meter.unit,
        blocks=blocks,
        registers=wanted,
        read_over=sum(block.count for block in blocks) - wanted,
        periods=dict(sorted(periods.items())),
        cost=reads.cost(),
        turnaround_ms=turnaround_ms,
        measured=measured,
    )


Rates = frozenset[int]  # every so many cycles


class _Reads:
    """What one meter is asked in a cycle, by which registers are due.

    Attributes:
        registers: all of it, with the periods that hold for this meter.
        rates: of all of them.
    """

    def __init__(
        self, meter: Meter, cycle_s: int, serial: Serial | None, turnaround_ms: float
    ) -> None:
        self.registers = [r for group in meter.groups for r in group.registers]
        self._limits = meter.model.limits
        self._fill = meter.fill
        self._cycle_s = cycle_s
        self._serial = serial
        self._turnaround_ms = turnaround_ms
        self.rates: Rates = frozenset(map(self.rate, self.registers))

    def rate(self, register: Register) -> int:
        """Every how many cycles a register is read."""
        return max(1, ceil(register.every_s / self._cycle_s))

    def blocks(self, due: Rates) -> tuple[Block, ...]:
        registers = [r for r in self.registers if self.rate(r) in due]
        return plan_blocks(registers, self._limits, self._fill)

    def cost_ms(self, due: Rates) -> float:
        """What the cycle takes in which registers of these rates are due."""
        blocks = self.blocks(due)
        return sum(wire_ms(self._serial, block) + self._turnaround_ms for block in blocks)

    def cost(self) -> Cost:
        """On average, and in the cycle that takes longest.

        That need not be the one in which everything is due: what is not due leaves holes, and a
        hole may end a request.
        """
        times = self._times()
        if times is None:
            # Never less than the truth: what is due together is read together and costs less.
            average_ms = sum(self.cost_ms(frozenset({rate})) / rate for rate in self.rates)
            sets = [
                frozenset(each)
                for n in range(1, len(self.rates) + 1)
                for each in combinations(self.rates, n)
            ]
            return Cost(average_ms=average_ms, worst_ms=max(map(self.cost_ms, sets)))
        costs = {due: self.cost_ms(due) for due in times}
        total_ms = sum(costs[due] * often for due, often in times.items())
        return Cost(average_ms=total_ms / times.total(), worst_ms=max(costs.values()))

    def _times(self) -> Counter[Rates] | None:
        """How often which rates are due together; none if that repeats too late to be counted."""
        cycles = lcm(*self.rates)
        if cycles > _MOST_CYCLES:
            return None
        return Counter(
            frozenset(rate for rate in self.rates if cycle % rate == 0) for cycle in range(cycles)
        )
