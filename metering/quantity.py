"""Quantity: name -> what is measured, its unit, its kind, its widest plausible range.

The one table of everything a meter of ours can say. Names are `quantity[_phase]_unit`.
Positive is import from the grid, in every model; a meter wired the other way is turned at the edge.
The ranges are engineering defaults, wide on purpose: they catch what no building can be (a shifted
word, a float read from the wrong register), not what is unusual. Fleet and model narrow them.
"""

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """How a quantity behaves in time."""

    GAUGE = "gauge"  # moves freely
    COUNTER = "counter"  # only grows, until it rolls over or is swapped


class Quantity(Struct, frozen=True, kw_only=True):
    """One row of the table. `lowest` and `highest` are inclusive, in `unit`."""

    name: str
    unit: str
    kind: Kind
    lowest: float
    highest: float


def _gauge(name: str, unit: str, lowest: float, highest: float) -> Quantity:
    return Quantity(name=name, unit=unit, kind=Kind.GAUGE, lowest=lowest, highest=highest)


def _phases(stem: str, suffix: str, unit: str, lowest: float, highest: float) -> list[Quantity]:
    return [_gauge(f"{stem}_{p}_{suffix}", unit, lowest, highest) for p in ("l1", "l2", "l3")]


def _counter(name: str, unit: str, highest: float = 1e12) -> Quantity:
    return Quantity(name=name, unit=unit, kind=Kind.COUNTER, lowest=0.0, highest=highest)


_MEGAWATTS = 100_000.0  # kW: no public building of a district draws 100 MW

_TABLE = (
    *_phases("voltage", "v", "V", 0, 50_000),
    _gauge("voltage_l12_v", "V", 0, 90_000),
    _gauge("voltage_l23_v", "V", 0, 90_000),
    _gauge("voltage_l31_v", "V", 0, 90_000),
    _gauge("voltage_avg_v", "V", 0, 50_000),
    *_phases("current", "a", "A", -20_000, 20_000),
    _gauge("current_n_a", "A", -20_000, 20_000),
    _gauge("current_avg_a", "A", -20_000, 20_000),
    _gauge("active_power_kw", "kW", -_MEGAWATTS, _MEGAWATTS),
    *_phases("active_power", "kw", "kW", -_MEGAWATTS, _MEGAWATTS),
    _gauge("reactive_power_kvar", "kvar", -_MEGAWATTS, _MEGAWATTS),
    *_phases("reactive_power", "kvar", "kvar", -_MEGAWATTS, _MEGAWATTS),
    _gauge("apparent_power_kva", "kVA", -_MEGAWATTS, _MEGAWATTS),
    *_phases("apparent_power", "kva", "kVA", -_MEGAWATTS, _MEGAWATTS),
    _gauge("power_factor", "1", -1.01, 1.01),
    _gauge("power_factor_l1", "1", -1.01, 1.01),
    _gauge("power_factor_l2", "1", -1.01, 1.01),
    _gauge("power_factor_l3", "1", -1.01, 1.01),
    _gauge("frequency_hz", "Hz", 40, 70),
    _gauge("demand_kw", "kW", -_MEGAWATTS, _MEGAWATTS),
    *_phases("voltage_thd", "pct", "%", 0, 400),
    *_phases("current_thd", "pct", "%", 0, 1000),
    _counter("energy_import_kwh", "kWh"),
    _counter("energy_export_kwh", "kWh"),
    _counter("energy_total_kwh", "kWh"),
    _counter("reactive_energy_kvarh", "kvarh"),
    _counter("reactive_energy_export_kvarh", "kvarh"),
    _counter("reactive_energy_total_kvarh", "kvarh"),
    _counter("energy_import_l1_kwh", "kWh"),
    _counter("energy_import_l2_kwh", "kWh"),
    _counter("energy_import_l3_kwh", "kWh"),
    _counter("volume_m3", "m³"),
    _counter("volume_reverse_m3", "m³"),
    _counter("volume_standard_m3", "m³"),
    _gauge("flow_m3_h", "m³/h", -100_000, 100_000),
    _gauge("flow_standard_m3_h", "m³/h", -100_000, 100_000),
    _gauge("velocity_m_s", "m/s", -50, 50),
    _counter("heat_energy_gj", "GJ"),
    _counter("cold_energy_gj", "GJ"),
    _gauge("heat_power_kw", "kW", -_MEGAWATTS, _MEGAWATTS),
    _gauge("supply_temperature_c", "°C", -50, 250),
    _gauge("return_temperature_c", "°C", -50, 250),
    _gauge("temperature_c", "°C", -60, 250),
    _gauge("temperature_difference_k", "K", -200, 200),
    _gauge("pressure_kpa", "kPa", -101, 100_000),
    _gauge("dc_voltage_v", "V", 0, 5_000),
    _gauge("dc_current_a", "A", -20_000, 20_000),
    _gauge("dc_power_kw", "kW", -_MEGAWATTS, _MEGAWATTS),
)

QUANTITIES: dict[str, Quantity] = {quantity.name: quantity for quantity in _TABLE}
