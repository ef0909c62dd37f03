"""Unit: a value in the unit of somebody's bill -> the same in the quantity's unit, exactly."""

from decimal import Decimal

# By the quantity's unit: what else it is called, and how many of it one of those is.
_NAMES: dict[str, dict[str, str]] = {
    "kWh": {
        "kwh": "1",
        "度": "1",
        "千瓦时": "1",
        "mwh": "1000",
        "兆瓦时": "1000",
        "万kwh": "10000",
        "万度": "10000",
        "万千瓦时": "10000",
        "wh": "0.001",
    },
    "kvarh": {"kvarh": "1", "千乏时": "1", "mvarh": "1000"},
    "m³": {
        "m³": "1",
        "m3": "1",
        "立方米": "1",
        "立方": "1",
        "方": "1",
        "万m3": "10000",
        "万立方米": "10000",
        "l": "0.001",
        "升": "0.001",
    },
    "GJ": {"gj": "1", "吉焦": "1", "mj": "0.001", "兆焦": "0.001", "kwh": "0.0036"},
}


def units_for(unit: str) -> tuple[str, ...]:
    """What may be written for a quantity in `unit`."""
    return tuple(_NAMES.get(unit, {unit: "1"}))


def in_unit(value: float, given: str | None, unit: str) -> float | None:
    """`value` in `unit`; None if `given` is no unit of the kind."""
    if given is None:
        return value
    factor = "1" if given == unit else _NAMES.get(unit, {}).get(given.strip().lower())
    return None if factor is None else float(Decimal(repr(value)) * Decimal(factor))
