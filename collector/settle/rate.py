"""Rate: a fleet entry -> how fast its counters may run."""

from collector.fleet.index import MeterEntry
from collector.settle.series import PER_UNIT
from metering.quantity import QUANTITIES

_GJ_PER_KWH = 0.0036

# The rated quantity that bounds a counter, by the counter's unit: (name, counter units an hour per
# unit of the rated quantity).
_BOUNDS: dict[str, tuple[tuple[str, float], ...]] = {
    "kWh": (("active_power_kw", 1.0), ("apparent_power_kva", 1.0)),
    "kvarh": (("reactive_power_kvar", 1.0), ("apparent_power_kva", 1.0), ("active_power_kw", 1.0)),
    "m³": (("flow_m3_h", 1.0), ("flow_standard_m3_h", 1.0)),
    "GJ": (("heat_power_kw", _GJ_PER_KWH),),
}


def rated_per_hour(entry: MeterEntry, quantity: str) -> int | None:
    """What the counter gains in an hour at the circuit's rated load, in millionths of its unit.

    None if the fleet does not say. 二次验证 allows twice as much.
    """
    for name, factor in _BOUNDS.get(QUANTITIES[quantity].unit, ()):
        rated = entry.rated.get(name)
        if rated is not None:
            return round(rated * factor * PER_UNIT)
    return None
