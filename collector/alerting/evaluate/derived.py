"""Derived: a meter's own gauges at one instant -> values that a rule may watch like a quantity.

None where what is needed was not read, or means nothing.
"""

from collections.abc import Callable, Mapping
from math import sqrt

from msgspec import Struct

from collector.fleet.index import MeterEntry

Values = Mapping[str, float]
Derive = Callable[[Values], float | None]

_PHASES = ("voltage_l1_v", "voltage_l2_v", "voltage_l3_v")
_LINES = ("voltage_l12_v", "voltage_l23_v", "voltage_l31_v")
_CURRENTS = ("current_l1_a", "current_l2_a", "current_l3_a")
_LOADS = ("apparent_power_kva", "active_power_kw", *_CURRENTS, "current_avg_a")
INPUTS = frozenset(
    {*_PHASES, *_LINES, "voltage_avg_v", *_LOADS, "reactive_power_kvar", "power_factor"}
)
# Nominal voltages between phase and neutral; between phases they are √3 times that. GB/T 156.
_NOMINAL_V = (220.0, 5_773.5, 20_207.3)
_NEAR = 0.5  # further than half off there is no supply, and no deviation of it
_LEAST_A = 5.0  # of a secondary circuit: below that an unbalance is one lamp
_LEAST_SHARE = 0.1  # of the rated current
_LEAST_KVA = 0.5


class Derived(Struct, frozen=True, kw_only=True):
    """One derived value: its unit, and how it is made for a meter (None: never for this one)."""

    unit: str
    of: Callable[[MeterEntry], Derive | None]


def _voltage_deviation(entry: MeterEntry) -> Derive:
    """(measured - nominal) / nominal of the phase or line that is furthest off, in %.

    **Source**: GB/T 12325-2008, 4 and 5.
    """
    rated = {name: entry.rated[name] for name in (*_LINES, *_PHASES) if name in entry.rated}
    line = next((rated[name] for name in _LINES if name in rated), None)
    phase = next((rated[name] for name in _PHASES if name in rated), None)
    kinds = (
        (_LINES, line, tuple(nominal * sqrt(3) for nominal in _NOMINAL_V)),
        ((*_PHASES, "voltage_avg_v"), phase, _NOMINAL_V),
    )

    def derive(values: Values) -> float | None:
        for names, known, nominals in kinds:
            found = [values[name] for name in names if name in values]
            if found:
                highest, lowest = max(found), min(found)
                nominal = known or _nominal(highest, nominals)
                if nominal is None:
                    return None
                up, down = highest - nominal, lowest - nominal
                return (up if up > -down else down) / nominal * 100
        return None

    return derive


def _nominal(volts: float, nominals: tuple[float, ...]) -> float | None:
    """The nominal voltage that the highest of the voltages belongs to."""
    for nominal in nominals:
        if abs(volts - nominal) <= _NEAR * nominal:
            return nominal
    return None


def _voltage_unbalance(_entry: MeterEntry) -> Derive:
    """Negative against positive sequence, in %, from three amplitudes without a zero sequence.

    Exact for voltages between phases; those to neutral hold a zero sequence, which is small in a
    sound network.

    **Source**: GB/T 15543-2008, annex A: ε = √((1 - √(3 - 6L)) / (1 + √(3 - 6L))),
    L = (a⁴ + b⁴ + c⁴) / (a² + b² + c²)².
    """

    def derive(values: Values) -> float | None:
        for names in (_LINES, _PHASES):
            found = [values[name] for name in names if name in values]
            if len(found) == len(names):
                return _negative_sequence_pct(*found)
        return None

    return derive


def _negative_sequence_pct(a: float, b: float, c: float) -> float | None:
    squares = a * a + b * b + c * c
    if squares <= 0:
        return None
    shape = (a**4 + b**4 + c**4) / squares**2
    root = sqrt(max(0.0, 3 - 6 * shape))
    return 100 * sqrt(max(0.0, (1 - root) / (1 + root)))


def _current_unbalance(entry: MeterEntry) -> Derive:
    """(largest - smallest) / largest phase current, in %; where next to nothing flows, none.

    **Source**: 配电变压器运行规程 DL/T 1102-2009, 6.3 (unverified).
    """
    rated = max((entry.rated[name] for name in _CURRENTS if name in entry.rated), default=0.0)
    least = max(_LEAST_A, _LEAST_SHARE * rated)

    def derive(values: Values) -> float | None:
        found = [abs(values[name]) for name in _CURRENTS if name in values]
        largest = max(found, default=0.0)
        if len(found) < len(_CURRENTS) or largest < least:
            return None
        return (largest - min(found)) / largest * 100

    return derive


def _load_share(entry: MeterEntry) -> Derive | None:
    """The largest share of whatever has a rated value, in either direction."""
    rated = [(name, entry.rated[name]) for name in _LOADS if name in entry.rated]
    if not rated:
        return None

    def derive(values: Values) -> float | None:
        shares = [abs(values[name]) / full for name, full in rated if name in values]
        return max(shares, default=None)

    return derive


def _apparent_power(_entry: MeterEntry) -> Derive:
    """√(P² + Q²), where the meter does not say it."""

    def derive(values: Values) -> float | None:
        active, reactive = values.get("active_power_kw"), values.get("reactive_power_kvar")
        if active is None or reactive is None:
            return None
        return sqrt(active * active + reactive * reactive)

    return derive


def _power_factor(entry: MeterEntry) -> Derive:
    """P / S, where the meter does not say it; with next to no load there is none."""
    apparent = _apparent_power(entry)

    def derive(values: Values) -> float | None:
        active, whole = values.get("active_power_kw"), values.get("apparent_power_kva")
        if whole is None:
            whole = apparent(values)
        if active is None or whole is None or whole < _LEAST_KVA:
            return None
        return active / whole

    return derive


DERIVED: dict[str, Derived] = {
    "voltage_deviation_pct": Derived(unit="%", of=_voltage_deviation),
    "voltage_unbalance_pct": Derived(unit="%", of=_voltage_unbalance),
    "current_unbalance_pct": Derived(unit="%", of=_current_unbalance),
    "load_share": Derived(unit="1", of=_load_share),
}
# What meters say themselves, and what is made of other gauges where one does not.
MADE: dict[str, Callable[[MeterEntry], Derive]] = {
    "apparent_power_kva": _apparent_power,
    "power_factor": _power_factor,
}
