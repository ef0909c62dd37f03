"""Instrument: a load seen by a kind of meter -> any quantity that such a meter can show.

Everything is worked out from the load at one instant, so what belongs together fits: phases sum to
the total, U x I x power factor is the power, flow x temperature difference is the heat.
"""

from collections.abc import Callable
from functools import cached_property, partial
from math import pi, sin, sqrt

from gateways.simulator.chance import between
from gateways.simulator.load import HOUR_MS, Load

_VOLTS = 230.0
_SQRT3 = sqrt(3)
_KWH_PER_M3_K = 1.163  # heat that a cubic metre of water carries per kelvin
_GJ_PER_KWH = 0.0036


class Instrument:
    """What does not change about one simulated meter.

    Attributes:
        seed: of its own.
        phases: 1 or 3.
        already: what its counters of taken and given showed at the beginning, in kWh or m³.
    """

    def __init__(
        self,
        load: Load,
        seed: int,
        *,
        phases: int = 3,
        already: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.load = load
        self.seed = seed
        self.phases = phases
        self.already = already
        self._waves: dict[int, tuple[float, float]] = {}
        self.power_factor = between(seed, 11, 0.86, 0.97)
        self.tangent = sqrt(1 - self.power_factor**2) / self.power_factor
        first = between(seed, 12, 0.31, 0.36)
        second = between(seed, 13, 0.31, 0.36)
        self.shares = (first, second, 1 - first - second) if phases > 1 else (1.0, 0.0, 0.0)
        self.spread_k = between(seed, 14, 8, 16)
        self.pipe_m2 = between(seed, 15, 0.004, 0.03)

    def wave(self, number: int, at_ms: int, minutes: float) -> float:
        """A slow swing between -1 and 1 with its own period and phase."""
        if number not in self._waves:
            period_ms = minutes * 60_000 * between(self.seed, 20 + number, 0.8, 1.25)
            self._waves[number] = (period_ms, between(self.seed, 40 + number, 0, 1))
        period_ms, phase = self._waves[number]
        return sin(2 * pi * (at_ms / period_ms + phase))

    def taken(self, at_ms: int, since_ms: int | None) -> float:
        """What the counter shows: since a reset, or since ever."""
        if since_ms is not None:
            return self.load.taken(at_ms) - self.load.taken(since_ms)
        return self.already[0] + self.load.taken(at_ms)

    def given(self, at_ms: int, since_ms: int | None) -> float:
        """The same for what was given."""
        if since_ms is not None:
            return self.load.given(at_ms) - self.load.given(since_ms)
        return self.already[1] + self.load.given(at_ms)


class Electrical:
    """An electricity meter or inverter at one instant; the rate of its load is in kW."""

    def __init__(self, instrument: Instrument, at_ms: int, since_ms: int | None = None) -> None:
        self._i = instrument
        self._at_ms = at_ms
        self._since_ms = since_ms

    def value(self, quantity: str) -> float:
        """The true value; 0 for what this kind of meter has no use for."""
        compute = _ELECTRICAL.get(quantity)
        return compute(self) if compute else 0.0

    @cached_property
    def power_kw(self) -> float:
        return self._i.load.rate(self._at_ms)

    @cached_property
    def taken_kwh(self) -> float:
        return self._i.taken(self._at_ms, self._since_ms)

    @cached_property
    def given_kwh(self) -> float:
        return self._i.given(self._at_ms, self._since_ms)

    @cached_property
    def voltages(self) -> tuple[float, ...]:
        day = _VOLTS + self._i.wave(9, self._at_ms, 1440)
        present = (phase < self._i.phases for phase in range(3))
        return tuple(
            day + 3.0 * self._i.wave(phase, self._at_ms, 95) if here else 0.0
            for phase, here in enumerate(present)
        )

    def voltage(self, phase: int) -> float:
        return self.voltages[phase]

    def line_voltage(self, phase: int) -> float:
        if self._i.phases == 1:
            return 0.0
        return _SQRT3 * (self.voltage(phase) + self.voltage((phase + 1) % 3)) / 2

    def active(self, phase: int) -> float:
        return self.power_kw * self._i.shares[phase]

    def current(self, phase: int) -> float:
        if phase >= self._i.phases:
            return 0.0
        return abs(self.active(phase)) * 1000 / (self.voltage(phase) * self._i.power_factor)

    def neutral_current(self) -> float:
        a, b, c = (self.current(phase) for phase in range(3))
        return sqrt(max(0.0, a * a + b * b + c * c - a * b - b * c - c * a))

    def reactive(self, phase: int) -> float:
        return self.active(phase) * self._i.tangent

    def apparent(self, phase: int) -> float:
        return abs(self.active(phase)) / self._i.power_factor

    def factor(self) -> float:
        return self._i.power_factor if self.power_kw >= 0 else -self._i.power_factor

    def mean(self, each: Callable[[int], float]) -> float:
        return sum(each(phase) for phase in range(self._i.phases)) / self._i.phases

    def demand(self) -> float:
        load, quarter_ms = self._i.load, HOUR_MS // 4
        now_ms, before_ms = self._at_ms, self._at_ms - quarter_ms
        taken = load.taken(now_ms) - load.taken(before_ms)
        return (taken - load.given(now_ms) + load.given(before_ms)) * 4

    def frequency(self) -> float:
        return 50 + 0.02 * self._i.wave(5, self._at_ms, 7)

    def thd(self, number: int, typical: float) -> float:
        return typical * (1 + 0.2 * self._i.wave(number, self._at_ms, 40))

    def energy_share(self, phase: int) -> float:
        return self.taken_kwh * self._i.shares[phase]

    @property
    def tangent(self) -> float:
        return self._i.tangent

    def dc_power(self) -> float:
        return abs(self.power_kw) / 0.97

    def dc_voltage(self) -> float:
        return 620 + 15 * self._i.wave(6, self._at_ms, 60)

    def inner_temperature(self) -> float:
        return 25 + 10 * self._i.wave(7, self._at_ms, 1440)


class Fluid:
    """A water, gas or heat meter at one instant.

    The rate of its load is in m³/h, of a heat meter in kW.
    """

    def __init__(
        self,
        instrument: Instrument,
        at_ms: int,
        since_ms: int | None = None,
        *,
        heat: bool = False,
        cold: bool = False,
    ) -> None:
        self._i = instrument
        self._at_ms = at_ms
        self._since_ms = since_ms
        self._heat = heat
        self._cold = cold

    def value(self, quantity: str) -> float:
        """The true value; 0 for what this kind of meter has no use for."""
        compute = _FLUID.get(quantity)
        return compute(self) if compute else 0.0

    @cached_property
    def taken(self) -> float:
        return self._i.taken(self._at_ms, self._since_ms)

    @property
    def _carried(self) -> float:
        """How many kW a m³/h carries, or 1 where the load is a flow itself."""
        return _KWH_PER_M3_K * self._i.spread_k if self._heat else 1.0

    def flow(self) -> float:
        return self._i.load.rate(self._at_ms) / self._carried

    def volume(self) -> float:
        return self.taken / self._carried

    def velocity(self) -> float:
        return self.flow() / 3600 / self._i.pipe_m2

    def heat_power(self) -> float:
        return self._i.load.rate(self._at_ms) if self._heat else 0.0

    def heat_energy(self) -> float:
        return self.taken * _GJ_PER_KWH if self._heat and not self._cold else 0.0

    def cold_energy(self) -> float:
        return self.taken * _GJ_PER_KWH if self._cold else 0.0

    def supply_temperature(self) -> float:
        return (7 if self._cold else 55) + self._i.wave(1, self._at_ms, 180)

    def return_temperature(self) -> float:
        spread = self._i.spread_k
        return self.supply_temperature() + (spread if self._cold else -spread)

    def temperature(self) -> float:
        return 18 + 4 * self._i.wave(2, self._at_ms, 1440)

    def pressure(self) -> float:
        return 300 + 12 * self._i.wave(3, self._at_ms, 60)

    def spread(self) -> float:
        return self._i.spread_k


def _by_phase(
    stem: str, suffix: str, method: Callable[[Electrical, int], float]
) -> dict[str, Callable[[Electrical], float]]:
    return {
        f"{stem}_{name}_{suffix}": partial(_of_phase, method, phase)
        for phase, name in enumerate(("l1", "l2", "l3"))
    }


def _of_phase(method: Callable[[Electrical, int], float], phase: int, e: Electrical) -> float:
    return method(e, phase)


_ELECTRICAL: dict[str, Callable[[Electrical], float]] = {
    **_by_phase("voltage", "v", Electrical.voltage),
    "voltage_l12_v": lambda e: e.line_voltage(0),
    "voltage_l23_v": lambda e: e.line_voltage(1),
    "voltage_l31_v": lambda e: e.line_voltage(2),
    "voltage_avg_v": lambda e: e.mean(e.voltage),
    **_by_phase("current", "a", Electrical.current),
    "current_avg_a": lambda e: e.mean(e.current),
    "current_n_a": Electrical.neutral_current,
    "active_power_kw": lambda e: e.power_kw,
    **_by_phase("active_power", "kw", Electrical.active),
    "reactive_power_kvar": lambda e: e.power_kw * e.tangent,
    **_by_phase("reactive_power", "kvar", Electrical.reactive),
    "apparent_power_kva": lambda e: abs(e.power_kw / e.factor()),
    **_by_phase("apparent_power", "kva", Electrical.apparent),
    "power_factor": Electrical.factor,
    "power_factor_l1": Electrical.factor,
    "power_factor_l2": Electrical.factor,
    "power_factor_l3": Electrical.factor,
    "frequency_hz": Electrical.frequency,
    "demand_kw": Electrical.demand,
    **_by_phase("voltage_thd", "pct", lambda e, phase: e.thd(phase, 2.5)),
    **_by_phase("current_thd", "pct", lambda e, phase: e.thd(phase + 3, 9.0)),
    "energy_import_kwh": lambda e: e.taken_kwh,
    "energy_export_kwh": lambda e: e.given_kwh,
    "energy_total_kwh": lambda e: e.taken_kwh + e.given_kwh,
    **_by_phase("energy_import", "kwh", Electrical.energy_share),
    "reactive_energy_kvarh": lambda e: e.taken_kwh * e.tangent,
    "reactive_energy_export_kvarh": lambda e: e.given_kwh * e.tangent,
    "reactive_energy_total_kvarh": lambda e: (e.taken_kwh + e.given_kwh) * e.tangent,
    "dc_power_kw": Electrical.dc_power,
    "dc_voltage_v": Electrical.dc_voltage,
    "dc_current_a": lambda e: e.dc_power() * 1000 / e.dc_voltage(),
    "temperature_c": Electrical.inner_temperature,
}

_FLUID: dict[str, Callable[[Fluid], float]] = {
    "flow_m3_h": Fluid.flow,
    "flow_standard_m3_h": Fluid.flow,
    "volume_m3": Fluid.volume,
    "volume_standard_m3": Fluid.volume,
    "velocity_m_s": Fluid.velocity,
    "heat_power_kw": Fluid.heat_power,
    "heat_energy_gj": Fluid.heat_energy,
    "cold_energy_gj": Fluid.cold_energy,
    "supply_temperature_c": Fluid.supply_temperature,
    "return_temperature_c": Fluid.return_temperature,
    "temperature_difference_k": Fluid.spread,
    "temperature_c": Fluid.temperature,
    "pressure_kpa": Fluid.pressure,
}
