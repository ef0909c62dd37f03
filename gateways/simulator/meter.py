"""Simulated meter: one request at one instant -> the words it answers, and what they mean.

What a meter shows is a function of the instant, worked out for the registers that were asked for
and no others. All that it keeps is how often it was asked: a fault that hits a share of the
answers hits the same ones in every run.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from gateways.library.model import IdentityField, IdentityName, Table
from gateways.reading.meter import Meter
from gateways.simulator.chance import chance, seeded
from gateways.simulator.encode import RegisterEncoder, Served, Value
from gateways.simulator.extent import Range, answered
from gateways.simulator.fault import FaultKind, Faults, MeterFault, by_kind
from gateways.simulator.identity import Words, identity_words
from metering.quantity import QUANTITIES, Kind

# What shows a quantity of a meter: (at_ms, counters_since_ms) -> value by quantity.
Show = Callable[[int, int | None], Value]
Identity = Mapping[IdentityName, Words]


class Answer(Struct, frozen=True):
    """The words of a request, and the values that a correct reader finds in them."""

    words: list[int]
    values: dict[str, float]


class Strike(Struct, frozen=True):
    """The faults that hit one answer; `luck` is a seed for what is random about them."""

    faults: Faults
    luck: int = 0


class _Asked(Struct, frozen=True):
    """What lies in a request.

    Attributes:
        registers: each with the quantity that it shows in full, if any.
    """

    registers: tuple[tuple[RegisterEncoder, str | None], ...]
    identity: tuple[IdentityField, ...]


_UNSCATHED = Strike({})


class SimulatedMeter:
    """One meter of the simulation.

    Attributes:
        id: the meter's id in the fleet.
        unit: its unit id on its bus.
        ranges: the address ranges that it answers, per table; others are refused.
        longest: how many registers it answers at once.
    """

    def __init__(
        self,
        meter: Meter,
        show: Show,
        is_silent: Callable[[int], bool],
        faults: Iterable[MeterFault] = (),
        *,
        seed: int = 0,
        serial: str | None = None,
    ) -> None:
        self.id = meter.id
        self.unit = meter.unit
        self.ranges: tuple[Range, ...] = answered(meter.model)
        self.longest = max(
            meter.model.limits.registers, *(field.registers for field in meter.model.identity), 1
        )
        self._show = show
        self._is_silent = is_silent
        self._faults = tuple(
            (fault, seeded(seed, meter.id, fault.kind, number))
            for number, fault in enumerate(faults)
        )
        self._encoders = tuple(RegisterEncoder(r, meter.wiring) for r in meter.model.registers)
        self._fields = meter.model.identity
        self._identity = identity_words(self.id, self._fields, serial)
        self._identities = {  # of the devices that come to stand in its place
            fault.from_ms: identity_words(self.id, self._fields, fault.serial, fault.from_ms)
            for fault, _ in self._faults
            if fault.kind is FaultKind.REPLACEMENT
        }
        self._asked: dict[Range, _Asked] = {}
        self._times = 0

    def strike(self, at_ms: int) -> Strike:
        """What is wrong with the answer to a request that comes now."""
        if not self._faults:
            return _UNSCATHED
        self._times += 1
        hits = [
            (fault, luck)
            for fault, luck in self._faults
            if fault.is_active(at_ms)
            and (fault.share >= 1 or chance(luck, self._times) < fault.share)
        ]
        return Strike(by_kind(fault for fault, _ in hits), seeded(self.id, self._times))

    def is_silent(self, at_ms: int) -> bool:
        """Whether it says nothing now."""
        return self._is_silent(at_ms)

    def has(self, table: Table, address: int, count: int) -> bool:
        """Whether all of these registers exist."""
        return any(
            table == own and first <= address and address + count <= first + length
            for own, first, length in self.ranges
        )

    def answer(
        self, table: Table, address: int, count: int, at_ms: int, faults: Faults | None = None
    ) -> Answer:
        """What it shows in `count` registers of `table` from `address` on.

        Args:
            faults: those of its strike; left out, a strike of its own.
        """
        faults = self.strike(at_ms).faults if faults is None else faults
        value = self._value(at_ms, faults)
        words = [0] * count
        values: dict[str, float] = {}
        asked = self._asked_for((table, address, count))
        for encoder, name in asked.registers:
            served = self._serve(encoder, value, faults)
            _place(words, address, served.words)
            if name and served.value is not None:
                values[name] = served.value
        for field in asked.identity:
            _place(words, address, self._identity_now(faults)[field.name])
        return Answer(words, values)

    def _asked_for(self, request: Range) -> _Asked:
        if request not in self._asked:
            table, address, count = request
            addresses = frozenset(range(address, address + count))
            self._asked[request] = _Asked(
                tuple(
                    (encoder, encoder.quantity if encoder.addresses <= addresses else None)
                    for encoder in self._encoders
                    if encoder.table == table and encoder.addresses & addresses
                ),
                tuple(
                    field
                    for field in self._fields
                    if field.table == table
                    and field.address < address + count
                    and address < field.address + field.registers
                ),
            )
        return self._asked[request]

    def _identity_now(self, faults: Faults) -> Identity:
        replacement = faults.get(FaultKind.REPLACEMENT)
        return self._identities[replacement.from_ms] if replacement else self._identity

    def _value(self, at_ms: int, faults: Faults) -> Value:
        if frozen := faults.get(FaultKind.FROZEN):
            at_ms = frozen.from_ms
        anew = [faults[kind] for kind in (FaultKind.RESET, FaultKind.REPLACEMENT) if kind in faults]
        # Of a reset and a replacement the later one; a device that is reset forgets what it showed.
        last = max(anew, key=lambda fault: fault.from_ms, default=None)
        value = self._show(at_ms, last.from_ms if last else None)
        if last and last.at:
            value = _raised(value, last.at)
        if rollover := faults.get(FaultKind.ROLLOVER):
            value = _rolled(value, rollover.at)
        if spike := faults.get(FaultKind.SPIKE):
            value = _multiplied(value, spike)
        return value

    def _serve(self, encoder: RegisterEncoder, value: Value, faults: Faults) -> Served:
        quantity = encoder.quantity
        nan = faults.get(FaultKind.NAN)
        if nan and (not nan.quantities or quantity in nan.quantities):
            nothing = encoder.serve_nothing()
            if nothing is not None:
                return nothing
        return encoder.serve(value(quantity) if quantity else 0.0)


def _place(words: list[int], address: int, placed: Words) -> None:
    for place, word in placed:
        if 0 <= place - address < len(words):
            words[place - address] = word


def _raised(value: Value, by: float) -> Value:
    def raised(quantity: str) -> float:
        return value(quantity) + (by if _is_counter(quantity) else 0.0)

    return raised


def _rolled(value: Value, at: float) -> Value:
    def rolled(quantity: str) -> float:
        shown = value(quantity)
        return shown % at if _is_counter(quantity) else shown

    return rolled


def _multiplied(value: Value, spike: MeterFault) -> Value:
    def multiplied(quantity: str) -> float:
        hit = not spike.quantities or quantity in spike.quantities
        return value(quantity) * (spike.factor if hit else 1.0)

    return multiplied


def _is_counter(quantity: str) -> bool:
    return QUANTITIES[quantity].kind is Kind.COUNTER
