"""Registers: a model's content and one meter's wiring -> what its registers can hold.

Only what bounds a value: format, scale, ratio, where a counter rolls over. All that a register
means is the gateway's to know (`gateways.library`); a test holds the two to each other over every
model there is. A model's content comes unchecked: what is not understood bounds nothing.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from msgspec import Struct

from collector.fleet.document import AppliedBy, MeterSpec
from collector.fleet.index import Direction
from documents.tree import Value

_FLOAT_STEP = Fraction(1, 1000)  # what a float's display shows; its own bits are seen to apart
_HALF = Fraction(1, 2)
_SWAPPED = {
    "energy_import_kwh": "energy_export_kwh",
    "energy_export_kwh": "energy_import_kwh",
    "reactive_energy_kvarh": "reactive_energy_export_kvarh",
    "reactive_energy_export_kvarh": "reactive_energy_kvarh",
}
_SIGNED = ("active_power_", "reactive_power_", "power_factor", "demand_kw")
_ONE_WAY = ("energy_import_l1_kwh", "energy_import_l2_kwh", "energy_import_l3_kwh")
_ENERGY = ("energy_", "reactive_energy_")
_POWER = ("active_power_", "reactive_power_", "apparent_power_", "demand_kw")

Line = Mapping[str, Value]


class Span(Struct, frozen=True, kw_only=True):
    """What one register can hold, in its quantity's unit, ratio and sign in it.

    Attributes:
        lowest, highest: the extremes and half a step more; None where the format has none (floats)
            or they are not fixed. All bits set, and a signed format's two ends, are no values but
            the maker's words for "none" and "too much": they lie outside.
        step: the smallest difference; None where it is not fixed.
        rolls_over_at: where a counter returns to zero.
    """

    lowest: float | None = None
    highest: float | None = None
    step: float | None = None
    rolls_over_at: float | None = None


def multiplier_of(content: Line, meter: MeterSpec) -> float:
    """What the gateway multiplies a power or an energy by."""
    ratio_on = _chosen(content.get("ratio_on", "all"), content, meter)
    return float(_ratio("energy_", ratio_on, meter))


def spans_of(content: Line, meter: MeterSpec) -> dict[str, Span]:
    """What the meter's registers can hold, by quantity."""
    return {name: _span(line, content, meter) for name, line in _lines(content, meter)}


def _lines(content: Line, meter: MeterSpec) -> Iterator[tuple[str, Line]]:
    """The registers that are read, by the quantity behind the meter."""
    registers = content.get("registers")
    for entry in registers if isinstance(registers, list) else ():
        line = _chosen(entry, content, meter)
        if not isinstance(line, dict) or line.get("present", True) is False:
            continue
        quantity = line.get("quantity")
        if not isinstance(quantity, str):
            continue
        if not _is_turned(content, meter):
            yield quantity, line
        elif quantity not in _ONE_WAY:
            yield _SWAPPED.get(quantity, quantity), line


def _is_turned(content: Line, meter: MeterSpec) -> bool:
    return meter.direction is Direction.EXPORT and content.get("generator") is not True


def _chosen(value: Value, content: Line, meter: MeterSpec) -> Value:
    """`value` with the meter's choices made."""
    if isinstance(value, list):
        return [_chosen(entry, content, meter) for entry in value]
    if not isinstance(value, dict):
        return value
    option = value.get("option")
    if not isinstance(option, str):
        return {key: _chosen(entry, content, meter) for key, entry in value.items()}
    choice = meter.options.get(option, _default(option, content))
    return _chosen(value.get(choice), content, meter)


def _default(option: str, content: Line) -> str:
    declared = content.get("options")
    known = declared.get(option) if isinstance(declared, dict) else None
    return str(known.get("default")) if isinstance(known, dict) else ""


def _ratio(quantity: str, ratio_on: Value, meter: MeterSpec) -> Fraction:
    is_energy = quantity.startswith(_ENERGY)
    applies = ratio_on == "all" or (ratio_on == "energy" and is_energy)
    if meter.ratio.applied_by is AppliedBy.METER or not applies:
        return Fraction(1)
    current, voltage = Fraction(str(meter.ratio.ct)), Fraction(str(meter.ratio.pt))
    if is_energy or quantity.startswith(_POWER):
        return current * voltage
    if quantity.startswith("current_") and quantity.endswith("_a"):
        return current
    if quantity.startswith("voltage_") and quantity.endswith("_v"):
        return voltage
    return Fraction(1)


def _span(line: Line, content: Line, meter: MeterSpec) -> Span:
    quantity = str(line["quantity"])
    scale = _fraction(line.get("scale", 1))
    if not scale or line.get("exponent") is not None:
        return Span()  # a power of ten that is known at run time only
    ratio_on = _chosen(content.get("ratio_on", "all"), content, meter)
    factor = scale * _ratio(quantity, ratio_on, meter)
    if _is_turned(content, meter) and quantity.startswith(_SIGNED):
        factor = -factor
    default = str(_chosen(content.get("format", "float32"), content, meter))
    combined = line.get("combine")
    if isinstance(combined, list) and combined:
        step = abs(factor) * min(_steps(combined, default), default=Fraction(0))
        return Span(step=float(step), rolls_over_at=_rollover(line, None, factor))
    whole = _whole(str(line.get("format") or default))
    rolls_over_at = _rollover(line, whole[2] if whole else None, factor)
    if whole is None:
        return Span(step=float(abs(factor) * _FLOAT_STEP), rolls_over_at=rolls_over_at)
    least, most = whole[0] - _HALF, whole[1] + _HALF  # whoever multiplies rounds a little
    lowest, highest = sorted(float(end * factor) for end in (least, most))
    return Span(
        lowest=lowest, highest=highest, step=float(abs(factor)), rolls_over_at=rolls_over_at
    )


def _whole(name: str) -> tuple[int, int, int] | None:
    """The least and the most that a format of whole numbers holds, and how many it counts."""
    kind, bits = name.rstrip("0123456789"), name[-2:]
    if kind not in {"int", "uint", "bcd"} or bits not in {"16", "32", "48", "64"}:
        return None
    if kind == "bcd":
        full = int(10 ** (int(bits) // 4))
        return 0, full - 1, full
    full = int(2 ** int(bits))
    return (0, full - 2, full) if kind == "uint" else (1 - full // 2, full // 2 - 2, full)


def _rollover(line: Line, full: int | None, factor: Fraction) -> float | None:
    stated = line.get("rollover")
    if stated == "width":
        return float(full * abs(factor)) if full else None
    if isinstance(stated, int | float) and not isinstance(stated, bool) and stated > 0:
        return float(Fraction(str(stated)) * abs(factor / _fraction(line.get("scale", 1))))
    return None


def _steps(pieces: list[Value], default: str) -> Iterator[Fraction]:
    for piece in pieces:
        if isinstance(piece, dict):
            name = str(piece.get("format") or default)
            weight = abs(_fraction(piece.get("weight", 1)))
            yield weight * (_FLOAT_STEP if name.startswith("float") else 1)


def _fraction(value: Value) -> Fraction:
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return Fraction(0)
