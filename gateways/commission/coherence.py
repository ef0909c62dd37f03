"""Coherence: values of one meter -> reasons from how they bear each other out, or do not. Pure."""

from collections.abc import Callable, Iterator
from math import sqrt

from msgspec import Struct

from gateways.commission.reason import Reason, Values, bad, good
from gateways.commission.words import spoken
from metering.quantity import QUANTITIES, Kind
from metering.words import chinese

PHASES = ("voltage_l1_v", "voltage_l2_v", "voltage_l3_v")
LINES = ("voltage_l12_v", "voltage_l23_v", "voltage_l31_v")
MOST_COUNTED = 1e9  # kWh, m³, GJ: no counter of a building shows more
_MILLION_KW = 1e6
_KVA = 0.01  # of less than that nothing can be said


class Earlier(Struct, frozen=True, kw_only=True):
    """What the same registers said `elapsed_s` before."""

    values: dict[str, float]
    elapsed_s: float


def _agree(
    expected: float, found: float, share: float, least: float, told: tuple[str, str, float]
) -> Reason | None:
    """A reason for or against; none where both are too small to say anything.

    Args:
        expected: what the other values make of it.
        found: what the register says.
        share: of the larger one, that they may differ.
        least: below this nothing is said.
        told: the relation with its equals sign, the quantity, the weight.
    """
    text, name, weight = told
    largest = max(abs(expected), abs(found))
    if largest < least:
        return None
    if abs(expected - found) <= share * largest + least:
        return good(weight, f"{text}：{spoken(name, found)}", name)
    wrong = f"{text.replace('=', '≠')}：算得 {spoken(name, expected)}，读到 {spoken(name, found)}"
    return bad(weight, wrong, name)


_SUMS = (
    ("active_power_kw", "active_power_l{}_kw", "三相有功之和 = 总有功", 2.5),
    ("reactive_power_kvar", "reactive_power_l{}_kvar", "三相无功之和 = 总无功", 1.0),
    ("energy_import_kwh", "energy_import_l{}_kwh", "三相电能之和 = 总电能", 1.0),
)


def _sums(values: Values) -> Iterator[Reason]:
    for total, pattern, text, weight in _SUMS:
        phases = [pattern.format(number) for number in (1, 2, 3)]
        if total in values and all(phase in values for phase in phases):
            expected = sum(values[phase] for phase in phases)
            reason = _agree(expected, values[total], 0.03, 0.02, (text, total, weight))
            if reason:
                yield reason


def _products(values: Values) -> Iterator[Reason]:
    """U x I x power factor against the power, a phase at a time."""
    for number in (1, 2, 3):
        voltage, current = values.get(f"voltage_l{number}_v"), values.get(f"current_l{number}_a")
        power = _phase(values, "active_power", number, "_kw")
        if not voltage or not current or power is None:
            continue
        name = power[0]
        apparent = abs(voltage * current) / 1000
        factor = _phase(values, "power_factor", number, "")
        text = f"{'ABC'[number - 1]}相 U×I×功率因数 = 有功"
        if factor is not None:
            expected = apparent * abs(factor[1])
            reason = _agree(expected, abs(power[1]), 0.1, 0.01, (text, name, 2.0))
            if reason:
                yield reason
        elif abs(power[1]) > 1.05 * apparent + _KVA:
            yield bad(2, f"有功 {spoken(name, power[1])} 大于 U×I = {apparent:.3f} kVA", name)
        elif apparent > _KVA:
            yield good(1, f"有功不大于 U×I：{spoken(name, power[1])}", name)


def _phase(values: Values, stem: str, number: int, unit: str) -> tuple[str, float] | None:
    """A phase's value; a single-phase meter's only one is its phase 1's."""
    name = f"{stem}_l{number}{unit}"
    if name not in values and number == 1 and "voltage_l2_v" not in values:
        name = f"{stem}{unit}"
    return (name, values[name]) if name in values else None


def _apparent(values: Values) -> Iterator[Reason]:
    power, apparent = values.get("active_power_kw"), values.get("apparent_power_kva")
    factor = values.get("power_factor")
    if power is None or not apparent or factor is None:
        return
    told = ("视在功率×功率因数 = 有功", "active_power_kw", 1.5)
    reason = _agree(abs(apparent * factor), abs(power), 0.08, 0.01, told)
    if reason:
        yield reason


def _means(values: Values) -> Iterator[Reason]:
    phases = [values[name] for name in PHASES if values.get(name)]
    lines = [values[name] for name in LINES if values.get(name)]
    if len(phases) == len(PHASES) and len(lines) == len(LINES):
        expected, found = sqrt(3) * sum(phases) / 3, sum(lines) / 3
        yield from filter(
            None, [_agree(expected, found, 0.05, 1, ("线电压 = √3×相电压", LINES[0], 2.0))]
        )
    currents = [values.get(f"current_l{number}_a") for number in (1, 2, 3)]
    average = values.get("current_avg_a")
    if average and all(current is not None for current in currents):
        expected = sum(abs(current or 0) for current in currents) / 3
        told = ("平均电流 = 三相平均", "current_avg_a", 1.0)
        yield from filter(None, [_agree(expected, abs(average), 0.05, 0.01, told)])


def _totals(values: Values) -> Iterator[Reason]:
    taken, given = values.get("energy_import_kwh"), values.get("energy_export_kwh", 0.0)
    total = values.get("energy_total_kwh")
    if taken is None or total is None:
        return
    # Makers count import + export, import - export, or import alone.
    expected = min((taken + given, taken - given, taken), key=lambda each: abs(each - total))
    told = ("总电能 = 正反向电能之和", "energy_total_kwh", 1.5)
    yield from filter(None, [_agree(expected, total, 0.01, 1, told)])


_GJ_KW = 1.163  # kW that 1 m³/h of water carries per kelvin


def _heat(values: Values) -> Iterator[Reason]:
    warm, cool = values.get("supply_temperature_c"), values.get("return_temperature_c")
    if not warm or not cool:
        return
    difference = values.get("temperature_difference_k")
    if difference is not None:
        told = ("供回水温差 = 供水−回水", "temperature_difference_k", 2.0)
        yield from filter(None, [_agree(warm - cool, difference, 0.1, 0.5, told)])
    flow, power = values.get("flow_m3_h"), values.get("heat_power_kw")
    if flow and power:
        told = ("流量×温差 = 热功率", "heat_power_kw", 2.0)
        expected = abs(flow * (warm - cool)) * _GJ_KW
        yield from filter(None, [_agree(expected, abs(power), 0.2, 0.5, told)])


def _direct(values: Values) -> Iterator[Reason]:
    voltage, current = values.get("dc_voltage_v"), values.get("dc_current_a")
    power = values.get("dc_power_kw")
    if voltage and current and power is not None:
        told = ("直流 U×I = 直流功率", "dc_power_kw", 2.0)
        expected = abs(voltage * current) / 1000
        yield from filter(None, [_agree(expected, abs(power), 0.1, 0.01, told)])


COHERENCE: tuple[Callable[[Values], Iterator[Reason]], ...] = (
    _sums,
    _products,
    _apparent,
    _means,
    _totals,
    _heat,
    _direct,
)


def _counts(name: str, value: float) -> bool:
    """Whether it is a counter, and not so far off that its steps mean nothing."""
    return QUANTITIES[name].kind is Kind.COUNTER and 0 <= value <= MOST_COUNTED


def rises(values: Values, earlier: Earlier) -> Iterator[Reason]:
    hours = earlier.elapsed_s / 3600
    power = abs(values.get("active_power_kw", _MILLION_KW))
    for name, value in values.items():
        before = earlier.values.get(name)
        if not _counts(name, value) or before is None or value == before:
            continue
        step = value - before
        told = f"{earlier.elapsed_s:.0f} s 内 {chinese(name)}"
        if step < 0:
            yield bad(4, f"{told} 减少 {spoken(name, -step)}", name)
        elif name.endswith("_kwh") and step > 2 * power * hours + 1.01:
            text = f"{told} 增加 {spoken(name, step)}，功率只有 {spoken('active_power_kw', power)}"
            yield bad(3, text, name)
        else:
            yield good(2, f"{told} 增加 {spoken(name, step)}", name)
