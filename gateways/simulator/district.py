"""District: gateways' cuts -> simulated meters on their buses; a main sums what is behind it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, convert

from gateways.bus_url import Transport, parse_bus_url
from gateways.reading.meter import BusEntry, Meter, MeterEntry, build_meters, read_bus
from gateways.reading.wiring import Direction
from gateways.simulator.chance import between, seeded
from gateways.simulator.encode import Value
from gateways.simulator.fault import FaultKind, MeterFault, is_of_rtu
from gateways.simulator.instrument import Electrical, Fluid, Instrument
from gateways.simulator.load import (
    CurveLoad,
    Load,
    ReplayedLoad,
    SumLoad,
    Surge,
    SurgedLoad,
    TurnedLoad,
)
from gateways.simulator.meter import Show, SimulatedMeter
from gateways.simulator.shape import Consumer, Sector, Use
from gateways.strict import ContentInvalid
from gateways.strict import Path as KeyPath
from metering.clock import Clock

# Counters count from here, so that starting a simulation again never makes one fall.
COUNTED_FROM_MS = 1_767_196_800_000  # 2026-01-01 00:00 +08:00
_YEAR_MS = 365 * 86_400_000


class Description(Struct, frozen=True, kw_only=True):
    """What of the fleet's `describe` the simulation knows what to do with; the rest is left."""

    energy: str = ""
    parent: str | None = None
    rated: dict[str, float] = {}
    sector: str = ""
    area_m2: float | None = None
    serial: str | int | None = None


class SimulatedBus(Struct, frozen=True, kw_only=True):
    """A bus URL and the meters on it."""

    url: str
    meters: tuple[SimulatedMeter, ...]


class Simulation(Struct, frozen=True, kw_only=True):
    """A district ready to be served.

    Attributes:
        buses: one per URL; what several gateways have on one URL is on one bus.
        clock: the time it lives in.
        log: where to write what was served, if anywhere.
        stamps: the time in that log, where it is another: that of clocks which somebody set.
    """

    buses: tuple[SimulatedBus, ...]
    clock: Clock
    log: Path | None = None
    stamps: Clock | None = None


class _Point(Struct, frozen=True, kw_only=True):
    """A meter with what the simulation needs to know about it."""

    url: str
    entry: MeterEntry
    meter: Meter
    described: Description


def build_simulation(
    cuts: Iterable[Mapping[str, Any]],
    clock: Clock,
    *,
    seed: int = 0,
    log: Path | None = None,
    faults: Sequence[MeterFault] = (),
    replays: Mapping[str, ReplayedLoad] | None = None,
) -> Simulation:
    """A district from its gateways' cuts.

    Args:
        cuts: each with `buses` and `models`; a meter's `describe` may hold `energy`, `parent`,
            `rated`, `sector`, `area_m2`.
        clock: the time that counters and curves follow.
        seed: the same seed is the same district.
        log: where to write what was served.
        faults: of any of the meters.
        replays: measured loads by meter, instead of a curve.

    Raises:
        ContentInvalid: an entry or model is wrong, or a fault or replay names an unknown meter, or
            a fault is none of its meter's bus.
    """
    points = [point for cut in cuts for point in _points(cut)]
    by_id = {point.entry.id: point for point in points}
    for name in (*(fault.meter for fault in faults), *(replays or {})):
        if name not in by_id:
            raise ContentInvalid("simulation", (), f"there is no meter '{name}'")
    for index, fault in enumerate(faults):
        _check_bus(fault, by_id[fault.meter].url, ("faults", index, "kind"))
    loads = _Loads(by_id, replays or {}, _surges(faults), seed, _since(clock.now_ms()))
    by_url: dict[str, list[SimulatedMeter]] = {}
    for point in points:
        own = tuple(fault for fault in faults if fault.meter == point.entry.id)
        load = loads.of(point.entry.id)
        load.taken(clock.now_ms())  # what had to be summed up until now is, before anyone asks
        show = _show(point, load, seed, measured=point.entry.id in (replays or {}))
        serial = point.described.serial
        meter = SimulatedMeter(
            point.meter,
            show,
            load.is_silent,
            own,
            seed=seed,
            serial=None if serial is None else str(serial),
        )
        by_url.setdefault(point.url, []).append(meter)
    buses = (SimulatedBus(url=url, meters=tuple(meters)) for url, meters in by_url.items())
    return Simulation(buses=tuple(buses), clock=clock, log=log)


def _points(cut: Mapping[str, Any]) -> Iterable[_Point]:
    for index, content in enumerate(cut.get("buses", ())):
        path = ("buses", index)
        bus: BusEntry = read_bus(content, path)
        for entry, meter in zip(
            bus.meters, build_meters(content, cut.get("models", {}), path), strict=True
        ):
            described = convert(entry.describe, Description)
            yield _Point(url=bus.url, entry=entry, meter=meter, described=described)


def _check_bus(fault: MeterFault, url: str, path: KeyPath) -> None:
    if is_of_rtu(fault.kind) and parse_bus_url(url).transport is Transport.TCP:
        message = f"{fault.kind} is for RTU frames, {fault.meter} is on {url}"
        raise ContentInvalid("simulation", path, message)


def _surges(faults: Iterable[MeterFault]) -> dict[str, list[Surge]]:
    surges: dict[str, list[Surge]] = {}
    for fault in faults:
        if fault.kind is FaultKind.SURGE:
            surge = (fault.from_ms, fault.to_ms, fault.extra)
            surges.setdefault(fault.meter, []).append(surge)
    return surges


def _since(now_ms: int) -> int:
    """The beginning of counting; of a replayed past, the beginning of a year before it."""
    if now_ms >= COUNTED_FROM_MS:
        return COUNTED_FROM_MS
    return COUNTED_FROM_MS - ((COUNTED_FROM_MS - now_ms) // _YEAR_MS + 1) * _YEAR_MS


class _Loads:
    """The load of each meter; a main's is the sum of its children's."""

    def __init__(
        self,
        points: Mapping[str, _Point],
        replays: Mapping[str, ReplayedLoad],
        surges: Mapping[str, list[Surge]],
        seed: int,
        since_ms: int,
    ) -> None:
        self._points = points
        self._replays = replays
        self._surges = surges
        self._seed = seed
        self._since_ms = since_ms
        self._made: dict[str, Load] = {}
        self._making: list[str] = []
        self._children: dict[str, list[str]] = {}
        for name, point in points.items():
            if point.described.parent:
                self._children.setdefault(point.described.parent, []).append(name)

    def of(self, name: str) -> Load:
        if name not in self._made:
            if name in self._making:
                round_trip = " -> ".join((*self._making, name))
                raise ContentInvalid("cut", (), f"meters are each other's parent: {round_trip}")
            self._making.append(name)
            self._made[name] = self._make(name)
            self._making.pop()
        return self._made[name]

    def _make(self, name: str) -> Load:
        if name in self._replays:
            return self._replays[name]
        children = [c for c in self._children.get(name, ()) if self._alike(c, name)]
        if children:
            losses = between(seeded(self._seed, name), 3, 0.01, 0.03)
            return SumLoad([self.of(child) for child in children], losses, self._since_ms)
        point = self._points[name]
        use = _use(point)
        consumer = Consumer(
            sector=_sector(point.described),
            use=use,
            peak=_peak(point, use, self._seed),
            seed=seeded(self._seed, name),
        )
        curve = CurveLoad(consumer, self._since_ms, ripples=not self._is_beside_a_generator(name))
        if use is Use.SUN:
            return TurnedLoad(curve)
        return SurgedLoad(curve, self._surges[name]) if name in self._surges else curve

    def _alike(self, child: str, parent: str) -> bool:
        """Whether both measure the same: a heat meter behind an electricity meter adds nothing."""
        electric = ("electricity", "solar")
        one, other = (self._points[name].meter.model.measures for name in (child, parent))
        return one == other or (one in electric and other in electric)

    def _is_beside_a_generator(self, name: str) -> bool:
        """Whether some main above it also has a generator behind it; see `SumLoad`."""
        return any(
            _use(self._points[other]) is Use.SUN
            for main in self._above(name)
            for other in self._behind(main)
        )

    def _above(self, name: str) -> Iterable[str]:
        seen = {name}
        parent = self._points[name].described.parent or ""
        while parent in self._points and parent not in seen:
            seen.add(parent)
            yield parent
            parent = self._points[parent].described.parent or ""

    def _behind(self, name: str) -> Iterable[str]:
        for child in self._children.get(name, ()):
            yield child
            yield from self._behind(child)


_USES = {
    "01B": Use.COOLING,
    "01D": Use.STEADY,
    "02": Use.WATER,
    "03": Use.GAS,
    "04": Use.HEAT,
    "05": Use.COLD,
    "13": Use.SUN,
}
_USES_BY_MEASURE = {
    "solar": Use.SUN,
    "water": Use.WATER,
    "gas": Use.GAS,
    "heat": Use.HEAT,
}


def _use(point: _Point) -> Use:
    """By the energy code where it fits the meter, else by what the meter is."""
    measures = point.meter.model.measures
    if measures == "solar" or point.entry.direction is Direction.EXPORT:
        return Use.SUN
    coded = next(
        (use for code, use in _USES.items() if point.described.energy.startswith(code)), None
    )
    if measures == "electricity":
        return coded if coded in (Use.COOLING, Use.STEADY, Use.SUN) else Use.GENERAL
    if measures == "heat":
        return coded if coded in (Use.COLD, Use.WATER) else Use.HEAT
    return _USES_BY_MEASURE[measures]


def _sector(described: Description) -> Sector:
    sector = described.sector
    return Sector(sector) if sector in tuple(Sector) else Sector.GOVERNMENT


# Peak per square metre where nothing is rated (kW, m³/h), and the range where nothing is known.
_PER_M2 = {Use.WATER: 0.0002, Use.GAS: 0.0008, Use.HEAT: 0.05, Use.COLD: 0.06, Use.SUN: 0.01}
_UNKNOWN_PEAK = {
    Use.WATER: (0.5, 4.0),
    Use.GAS: (2.0, 15.0),
    Use.HEAT: (100.0, 400.0),
    Use.COLD: (100.0, 400.0),
    Use.SUN: (20.0, 80.0),
}
_RATED = {Use.WATER: "flow_m3_h", Use.GAS: "flow_m3_h", Use.HEAT: "heat_power_kw"}


def _peak(point: _Point, use: Use, seed: int) -> float:
    name = point.entry.id
    luck = seeded(seed, name)
    rated = point.described.rated.get(_RATED.get(use, "active_power_kw"))
    if rated:
        return rated * between(luck, 4, 0.55, 0.8)
    # A branch without a rating is a part of its building.
    area = point.described.area_m2
    share = between(luck, 5, 0.05, 0.2) if point.described.parent else 1.0
    if area:
        return area * share * _PER_M2.get(use, 0.03)
    return between(luck, 6, *_UNKNOWN_PEAK.get(use, (4.0, 40.0)))


def _show(point: _Point, load: Load, seed: int, *, measured: bool) -> Show:
    quantities = {register.quantity for register in point.meter.model.registers}
    luck = seeded(seed, point.entry.id, "instrument")
    hours = 0.0 if measured else between(luck, 7, 100, 1000)  # of its peak, before our time
    use = _use(point)
    before = hours * _peak(point, use, seed)
    generates = use is Use.SUN
    instrument = Instrument(
        load,
        luck,
        phases=3 if "voltage_l2_v" in quantities else 1,
        already=(0.0, before) if generates else (before, before / 10 * load.gives()),
    )
    if point.meter.model.measures in ("electricity", "solar"):
        return lambda at_ms, since_ms: Electrical(instrument, at_ms, since_ms).value
    return _show_fluid(instrument, use)


def _show_fluid(instrument: Instrument, use: Use) -> Show:
    cold = use is Use.COLD
    heat = cold or use is Use.HEAT

    def show(at_ms: int, since_ms: int | None) -> Value:
        return Fluid(instrument, at_ms, since_ms, heat=heat, cold=cold).value

    return show
