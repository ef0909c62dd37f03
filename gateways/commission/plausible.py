"""Plausible: the values of a meter -> how far they bear each other out, with reasons. Pure.

What is judged is whether registers are read rightly (model, word order, address), not whether a
building behaves: 230 V, 50 Hz, phases that sum to the total, U x I x power factor near the power,
counters that rise. Zero proves nothing for most quantities and is passed over.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from gateways.commission.coherence import COHERENCE, LINES, MOST_COUNTED, PHASES, Earlier, rises
from gateways.commission.reason import Reason, Values, bad, good, told
from metering.quantity import QUANTITIES, Kind

Band = tuple[float, float, float]  # lowest, highest, weight of a value within

GRAVE = 2.0  # a doubt of this weight makes a reading implausible
_DOUBT = 1.5  # what a doubt costs, against what the same weight of support gives
_TINIEST = 1e-9  # in any of our units; a float read with its words exchanged is often less
_SCARCE = 4.0  # so much support gives half of the full score: little evidence never looks sure


class Plausibility(Struct, frozen=True, kw_only=True):
    """The judgement: `score` from 0, nothing speaks for it, to below 1."""

    score: float
    reasons: tuple[Reason, ...]

    @property
    def doubts(self) -> tuple[Reason, ...]:
        return tuple(reason for reason in self.reasons if not reason.good)

    @property
    def is_plausible(self) -> bool:
        return not any(reason.weight >= GRAVE for reason in self.doubts)


def judge(
    values: Values, earlier: Earlier | None = None, *, pt: float = 1, more: Iterable[Reason] = ()
) -> Plausibility:
    """Judge the values of one meter.

    Args:
        values: finite, by quantity, in the quantity's unit, positive from the grid.
        earlier: the same meter's values before; tells whether counters rise.
        pt: the voltage transformers' ratio that is in the values.
        more: what is known beside the values.
    """
    reasons = [reason for check in _CHECKS for reason in check(values)]
    reasons += _voltages(values, pt)
    if earlier is not None:
        reasons += rises(values, earlier)
    reasons += more
    return Plausibility(score=_score(reasons), reasons=tuple(reasons))


def _score(reasons: Iterable[Reason]) -> float:
    support = doubt = 0.0
    for reason in reasons:
        if reason.good:
            support += reason.weight
        else:
            doubt += reason.weight
    return support / (support + _DOUBT * doubt + _SCARCE)


# ---- each value by itself


def _ranges(values: Values) -> Iterator[Reason]:
    for name, value in values.items():
        row = QUANTITIES[name]
        if not row.lowest <= value <= row.highest and name != "frequency_hz":
            unit = "" if row.unit == "1" else f" {row.unit}"
            text = f"{told(name, value)} 超出 {row.lowest:g}–{row.highest:g}{unit}"
            yield bad(3, text, name)
        elif 0 < abs(value) < _TINIEST:
            yield bad(2, f"{told(name, value)} 小得不像测量值", name)


def _nothing(values: Values) -> Iterator[Reason]:
    if not values:
        yield bad(3, "没有任何数值")
    elif not any(values.values()):
        yield bad(3, "所有数值都是 0", *values)


_MAINS_HZ = ((49.5, 50.5, 3.0), (47, 53, 1.0), (59.5, 60.5, 0.5))


def _frequency(values: Values) -> Iterator[Reason]:
    value = values.get("frequency_hz")
    if value is None:
        return
    if weight := _weight(value, _MAINS_HZ):
        yield good(weight, told("frequency_hz", value), "frequency_hz")
    else:
        yield bad(3, f"{told('frequency_hz', value)}，应为 50 Hz 左右", "frequency_hz")


def _weight(value: float, bands: Sequence[Band]) -> float:
    """The weight of the first band that holds `value`; 0 if none does."""
    return next((weight for low, high, weight in bands if low <= value <= high), 0.0)


# GB/T 12325 allows +7 % and -10 % at 220 V and 7 % at 380 V; 230 V and 400 V by IEC 60038. Behind
# voltage transformers 57.7 V and 100 V; 690 V in plants; without a known ratio also 6, 10, 35 kV.
_PHASE_BANDS = ((198, 253, 2.0), (52, 66, 1.0), (100, 135, 0.5), (360, 440, 0.5))
_PHASE_HIGH = ((3_100, 4_100, 0.5), (5_200, 6_700, 0.5), (18_000, 23_500, 0.5))
_LINE_BANDS = ((342, 440, 2.0), (90, 115, 1.0), (198, 253, 0.5), (600, 760, 0.5))
_LINE_HIGH = ((5_400, 7_000, 0.5), (9_000, 11_600, 0.5), (31_500, 40_500, 0.5))


def _voltages(values: Values, pt: float) -> Iterator[Reason]:
    yield from _banded(values, PHASES, (*_PHASE_BANDS, *_PHASE_HIGH), pt, 230)
    yield from _banded(values, LINES, (*_LINE_BANDS, *_LINE_HIGH), pt, 400)


def _banded(
    values: Values,
    names: Sequence[str],
    bands: Sequence[Band],
    pt: float,
    usual: int,
) -> Iterator[Reason]:
    here = [name for name in names if name in values]
    # A meter with one phase connected shows zero on the others; all at zero is another matter.
    dead = all(values[name] == 0 for name in here)
    for name in here:
        value = values[name]
        weight = _weight(value / pt, bands)
        if weight:
            yield good(weight, told(name, value), name)
        elif value or dead:
            yield bad(2, f"{told(name, value)}，应为 {usual * pt:g} V 左右", name)
        else:
            yield bad(0.5, f"{told(name, value)}：该相未接？", name)


_FACTOR = ((0.05, 1, 0.5),)
_DISTORTION = ((1e-3, 50, 0.25),)
_COUNTED = ((1e-3, MOST_COUNTED, 0.5),)


def _factors(values: Values) -> Iterator[Reason]:
    for name, value in values.items():
        weight = 0.0
        if name.startswith("power_factor"):
            weight = _weight(abs(value), _FACTOR)
        elif "_thd_" in name:
            weight = _weight(value, _DISTORTION)
        if weight:
            yield good(weight, told(name, value), name)


def _counters(values: Values) -> Iterator[Reason]:
    for name, value in values.items():
        if QUANTITIES[name].kind is not Kind.COUNTER:
            continue
        if weight := _weight(value, _COUNTED):
            yield good(weight, told(name, value), name)
        elif value > MOST_COUNTED:
            yield bad(2, f"{told(name, value)} 大得不像计数", name)


_BODIES = {  # name: lowest and highest that a plant room knows
    "supply_temperature_c": (0.5, 130),
    "return_temperature_c": (0.5, 130),
    "temperature_c": (-35, 80),
    "pressure_kpa": (1, 4_000),
    "dc_voltage_v": (20, 1_500),
}


def _bodies(values: Values) -> Iterator[Reason]:
    for name, (low, high) in _BODIES.items():
        value = values.get(name, 0.0)
        if abs(value) < _TINIEST:
            continue
        if low <= value <= high:
            yield good(1.5, told(name, value), name)
        else:
            yield bad(1.5, f"{told(name, value)}，常见为 {low:g}–{high:g}", name)


_CHECKS: tuple[Callable[[Values], Iterator[Reason]], ...] = (
    _ranges,
    _nothing,
    _frequency,
    _factors,
    _counters,
    _bodies,
    *COHERENCE,
)
