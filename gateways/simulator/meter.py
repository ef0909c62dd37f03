"""Simulated meter: one request at one instant -> the words it answers, and what they mean.

Nothing is kept between requests: what a meter shows is a function of the instant, worked out for
the registers that were asked for and no others.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from gateways.meter import Meter
from gateways.model import Table
from gateways.simulator.encode import RegisterEncoder, Served, Value
from gateways.simulator.fault import FaultKind, MeterFault, active
from metering.quantity import QUANTITIES, Kind

# What shows a quantity of a meter: (at_ms, counters_since_ms) -> value by quantity.
Show = Callable[[int, int | None], Value]
Request = tuple[Table, int, int]  # address, count


class Answer(Struct, frozen=True):
    """The words of a request, and the values that a correct reader finds in them."""

    words: list[int]
    values: dict[str, float]


class SimulatedMeter:
    """One meter of the simulation.

    Attributes:
        id: the meter's id in the fleet.
        unit: its unit id on its bus.
        ranges: the address ranges that it answers, per table; others are refused.
    """

    def __init__(
        self,
        meter: Meter,
        show: Show,
        is_silent: Callable[[int], bool],
        faults: Iterable[MeterFault] = (),
    ) -> None:
        self.id = meter.id
        self.unit = meter.unit
        self.ranges = tuple((block.table, block.address, block.count) for block in meter.blocks)
        self._show = show
        self._is_silent = is_silent
        self._faults = tuple(faults)
        self._encoders = tuple(RegisterEncoder(r, meter.wiring) for r in meter.model.registers)
        self._asked: dict[Request, tuple[tuple[RegisterEncoder, str | None], ...]] = {}

    def faults(self, at_ms: int) -> dict[FaultKind, MeterFault]:
        """What is wrong with it now."""
        return active(self._faults, at_ms) if self._faults else {}

    def is_silent(self, at_ms: int) -> bool:
        """Whether it says nothing now."""
        return self._is_silent(at_ms)

    def answer(self, table: Table, address: int, count: int, at_ms: int) -> Answer:
        """What it shows in `count` registers of `table` from `address` on."""
        faults = self.faults(at_ms)
        value = self._value(at_ms, faults)
        words = [0] * count
        values: dict[str, float] = {}
        for encoder, name in self._asked_for((table, address, count)):
            served = self._serve(encoder, value, faults)
            for place, word in served.words:
                if 0 <= place - address < count:
                    words[place - address] = word
            if name and served.value is not None:
                values[name] = served.value
        return Answer(words, values)

    def _asked_for(self, request: Request) -> tuple[tuple[RegisterEncoder, str | None], ...]:
        """The registers in a request, with the quantity that it shows in full, if any."""
        if request not in self._asked:
            table, address, count = request
            addresses = frozenset(range(address, address + count))
            self._asked[request] = tuple(
                (encoder, encoder.quantity if encoder.addresses <= addresses else None)
                for encoder in self._encoders
                if encoder.table == table and encoder.addresses & addresses
            )
        return self._asked[request]

    def _value(self, at_ms: int, faults: dict[FaultKind, MeterFault]) -> Value:
        if frozen := faults.get(FaultKind.FROZEN):
            at_ms = frozen.from_ms
        reset = faults.get(FaultKind.RESET)
        value = self._show(at_ms, reset.from_ms if reset else None)
        if rollover := faults.get(FaultKind.ROLLOVER):
            return _rolled(value, rollover.at)
        return value

    def _serve(
        self, encoder: RegisterEncoder, value: Value, faults: dict[FaultKind, MeterFault]
    ) -> Served:
        quantity = encoder.quantity
        nan = faults.get(FaultKind.NAN)
        if nan and (not nan.quantities or quantity in nan.quantities):
            nothing = encoder.serve_nothing()
            if nothing is not None:
                return nothing
        return encoder.serve(value(quantity) if quantity else 0.0)


def _rolled(value: Value, at: float) -> Value:
    def rolled(quantity: str) -> float:
        shown = value(quantity)
        return shown % at if QUANTITIES[quantity].kind is Kind.COUNTER else shown

    return rolled
