"""Wiring: how one meter is connected -> its factor per quantity, and the name that it then has.

A ratio is applied once: here, if the meter gives secondary values (`applied_by: gateway`). A meter
wired the other way round (`direction: export`) counts import as export: powers change sign and the
two directions of energy change places, so that positive is import from the grid.
"""

from enum import StrEnum
from fractions import Fraction

from msgspec import Struct

from gateways.library.model import Register


class AppliedBy(StrEnum):
    """Who multiplies by the transformers' ratio."""

    GATEWAY = "gateway"
    METER = "meter"


class Ratio(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Current and voltage transformers before the meter."""

    ct: float = 1
    pt: float = 1
    applied_by: AppliedBy = AppliedBy.METER


class Direction(StrEnum):
    """Which way the meter is wired: as its model says, or turned."""

    IMPORT = "import"
    EXPORT = "export"


class Wiring(Struct, frozen=True, kw_only=True):
    """What stands between a register and the quantity behind the meter."""

    ratio: Ratio = Ratio()
    direction: Direction = Direction.IMPORT


# Ratio: by the beginning of the name; what is not here (power factor, frequency, thd, water, heat,
# dc) is no business of current and voltage transformers.
_CURRENT = ("current_l1_a", "current_l2_a", "current_l3_a", "current_n_a", "current_avg_a")
_VOLTAGE_SUFFIX = "_v"
_POWER = ("active_power_", "reactive_power_", "apparent_power_", "demand_kw")
_ENERGY = ("energy_", "reactive_energy_")

_SWAPPED = {
    "energy_import_kwh": "energy_export_kwh",
    "energy_export_kwh": "energy_import_kwh",
    "reactive_energy_kvarh": "reactive_energy_export_kvarh",
    "reactive_energy_export_kvarh": "reactive_energy_kvarh",
}
_SIGNED = ("active_power_", "reactive_power_", "power_factor", "demand_kw")
# No register of ours counts export per phase: on a turned meter these have no name.
_ONE_WAY = ("energy_import_l1_kwh", "energy_import_l2_kwh", "energy_import_l3_kwh")


def factor(register: Register, wiring: Wiring) -> Fraction:
    """What the number in the registers is multiplied by: scale, ratio and sign, exactly."""
    return register.scale * _ratio(register, wiring.ratio) * _sign(register, wiring.direction)


def name_behind(quantity: str, direction: Direction) -> str | None:
    """The quantity that a register of a (possibly turned) meter counts; none if it has no name."""
    if direction is Direction.IMPORT:
        return quantity
    return None if quantity in _ONE_WAY else _SWAPPED.get(quantity, quantity)


def _ratio(register: Register, ratio: Ratio) -> Fraction:
    if ratio.applied_by is AppliedBy.METER or not register.ratio:
        return Fraction(1)
    current, voltage = Fraction(str(ratio.ct)), Fraction(str(ratio.pt))
    quantity = register.quantity
    if quantity in _CURRENT:
        return current
    if quantity.startswith("voltage_") and quantity.endswith(_VOLTAGE_SUFFIX):
        return voltage
    if quantity.startswith(_POWER) or quantity.startswith(_ENERGY):
        return current * voltage
    return Fraction(1)


def _sign(register: Register, direction: Direction) -> int:
    turned = direction is Direction.EXPORT and register.quantity.startswith(_SIGNED)
    return -1 if turned else 1
