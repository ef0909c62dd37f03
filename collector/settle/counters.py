"""Counters: a fleet entry and the quantities it is read for -> the counters that are settled.

**Source** of the classes: the energy code's first two digits, 分类能耗编码 (01 电, 02 水, 03 燃气,
04 集中供热量, 05 集中供冷量, 13 可再生能源).
"""

from collections.abc import Collection

from collector.fleet.index import Direction, MeterEntry
from metering.quantity import QUANTITIES, Kind

_POWER = ("energy_import_kwh", "energy_total_kwh", "energy_export_kwh")
_GENERATION = ("energy_export_kwh", "energy_total_kwh", "energy_import_kwh")
# By class: the counter that settles, most wanted first; the first is meant where none is read.
_BY_CLASS: dict[str, tuple[str, ...]] = {
    "01": _POWER,
    "02": ("volume_m3",),
    "03": ("volume_standard_m3", "volume_m3"),
    "04": ("heat_energy_gj",),
    "05": ("cold_energy_gj",),
    "08": ("volume_standard_m3", "volume_m3"),
    "09": ("volume_standard_m3", "volume_m3"),
    "13": _GENERATION,
}
_COUNTERS = tuple(name for name, one in QUANTITIES.items() if one.kind is Kind.COUNTER)
# Sums of what other counters say: settled only where those are not read.
_SUMS = {
    "energy_total_kwh": frozenset({"energy_import_kwh", "energy_export_kwh"}),
    "reactive_energy_total_kvarh": frozenset(
        {"reactive_energy_kvarh", "reactive_energy_export_kvarh"}
    ),
}
_PHASES = frozenset({"energy_import_l1_kwh", "energy_import_l2_kwh", "energy_import_l3_kwh"})


def counter_of(entry: MeterEntry, quantities_seen: Collection[str]) -> str:
    """The counter whose consumption counts for the meter's energy code.

    Args:
        entry: in force at the time in question.
        quantities_seen: what its readings hold; may be empty (a meter that only people read).
    """
    wanted = _wanted(entry)
    for name in wanted:
        if name in quantities_seen:
            return name
    return wanted[0]


def _wanted(entry: MeterEntry) -> tuple[str, ...]:
    energy_class = entry.energy[:2]
    if energy_class in {"01", "13"}:
        generates = entry.direction is Direction.EXPORT
        return _GENERATION if generates else _BY_CLASS[energy_class]
    # Of a class that has no counter of its own, whatever its meter counts.
    return _BY_CLASS.get(energy_class, ("volume_m3", *_COUNTERS))


def settled_counters(entry: MeterEntry, quantities_seen: Collection[str]) -> tuple[str, ...]:
    """Every counter worth settling, the one that counts first even if it was never seen.

    Phases are left out, and sums whose parts are read.
    """
    main = counter_of(entry, quantities_seen)
    others = tuple(
        name
        for name in _COUNTERS
        if name in quantities_seen
        and name != main
        and name not in _PHASES
        and _SUMS.get(name, frozenset()).isdisjoint(quantities_seen)
    )
    return (main, *others)


def unit_of(quantity: str) -> str:
    """The unit that a quantity, and its consumption, is in."""
    return QUANTITIES[quantity].unit
