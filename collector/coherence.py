"""Coherence: rows -> what of them contradicts itself. Gate 1, pure, HOT PATH.

Looks at one row alone, so what it says is stored beside the values, whatever the order of arrival.
Who of several that disagree is wrong cannot be told: all of them are suspect.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from collector.fleet.index import Fleet, MeterEntry, Tolerances
from collector.store import Level, Rejection, Row
from collector.validate import Reason
from metering.reading import Fault

_POWER = "active_power_kw"
_LEAST_KW = 0.02  # of less nothing can be said

Values = dict[str, float]


class _Phase(Struct, frozen=True, kw_only=True):
    """A voltage, a current, a power factor, and the power that they have to make."""

    names: tuple[str, str, str, str]
    floor_kw: float  # what power may be off by, whatever is said
    current_step_a: float


class _Known(Struct, frozen=True, kw_only=True):
    """A fleet entry, compiled for the checks."""

    from_ms: int
    sum_floor_kw: float
    total_floor_kw: float
    phases: tuple[_Phase, ...]


_PHASE_POWERS = tuple(f"active_power_l{phase}_kw" for phase in (1, 2, 3))
_FIRST, _SECOND, _THIRD = _PHASE_POWERS
_TOTALS = ("apparent_power_kva", "power_factor", _POWER)


class Coherence:
    """The checks for one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._tolerances = fleet.tolerances
        self._known: dict[str, tuple[_Known, ...]] = {
            meter: tuple(_compile(entry, fleet.tolerances) for entry in reversed(entries))
            for meter, entries in fleet.meters.items()
        }

    def judge(self, rows: Iterable[Row]) -> list[Rejection]:
        """What is suspect of rows that the gate let pass; they are stored all the same."""
        suspects: list[Rejection] = []
        late = Fault.LATE
        for row in rows:
            values = row.values
            if row.fault == late:
                suspects += _marks(row, Reason.LATE_ANSWER, values)
            elif _POWER in values or _FIRST in values:
                suspects += self._of_power(row, values)
        return suspects

    def _of_power(self, row: Row, values: Values) -> list[Rejection]:
        known = self._entry(row)
        found: list[Rejection] = []
        if _FIRST in values and self._breaks_the_sum(values, known):
            found += _marks(row, Reason.PHASE_SUM, (_POWER, *_PHASE_POWERS))
        involved: set[str] = set()
        for phase in known.phases:
            if self._breaks_the_triangle(values, phase):
                involved.update(phase.names)
        if self._breaks_the_total(values, known):
            involved.update(_TOTALS)
        if involved:
            found += _marks(row, Reason.POWER_TRIANGLE, sorted(involved & values.keys()))
        return found

    def _entry(self, row: Row) -> _Known:
        entries = self._known[row.meter]
        for known in entries:
            if known.from_ms <= row.at_ms:
                return known
        return entries[-1]

    def _breaks_the_sum(self, values: Values, known: _Known) -> bool:
        """Makers add phases with their signs, or what they are without them."""
        total = values.get(_POWER)
        first, second, third = values[_FIRST], values.get(_SECOND), values.get(_THIRD)
        if total is None or second is None or third is None:
            return False
        added = first + second + third
        apart = abs(total - added)
        share = self._tolerances.sum_share
        if apart <= share * max(abs(total), abs(added)) + known.sum_floor_kw:
            return False
        absolute = abs(first) + abs(second) + abs(third)
        return abs(abs(total) - absolute) > share * absolute + known.sum_floor_kw

    def _breaks_the_triangle(self, values: Values, phase: _Phase) -> bool:
        voltage_name, current_name, factor_name, power_name = phase.names
        power, current = values.get(power_name), values.get(current_name)
        voltage = values.get(voltage_name)
        if power is None or current is None or voltage is None:
            return False
        apparent = abs(voltage * current) / 1000
        floor_kw = phase.floor_kw + abs(voltage) * phase.current_step_a / 1000
        return self._is_apart(abs(power), apparent, values.get(factor_name), floor_kw)

    def _breaks_the_total(self, values: Values, known: _Known) -> bool:
        apparent, power = values.get("apparent_power_kva"), values.get(_POWER)
        if apparent is None or power is None:
            return False
        factor = values.get("power_factor")
        return self._is_apart(abs(power), abs(apparent), factor, known.total_floor_kw)

    def _is_apart(
        self, power: float, apparent: float, factor: float | None, floor_kw: float
    ) -> bool:
        """Power is apparent power times the power factor; without one it cannot be more."""
        room = self._tolerances.triangle_share * max(apparent, power) + floor_kw
        if factor is None:
            return power > apparent + room
        return abs(power - apparent * abs(factor)) > room


def _compile(entry: MeterEntry, tolerances: Tolerances) -> _Known:
    rated = entry.rated.get(_POWER) or entry.rated.get("apparent_power_kva") or 0.0
    steps = entry.steps
    phase_steps = sum(steps.get(name, 0.0) for name in _PHASE_POWERS)
    own = steps.get(_POWER, 0.0)
    return _Known(
        from_ms=entry.valid_from_ms,
        sum_floor_kw=_LEAST_KW + tolerances.sum_rated * rated + own + phase_steps,
        total_floor_kw=_LEAST_KW
        + tolerances.triangle_rated * rated
        + own
        + steps.get("apparent_power_kva", 0.0),
        phases=tuple(_phases(entry, tolerances.triangle_rated * rated)),
    )


def _phases(entry: MeterEntry, share_kw: float) -> Iterator[_Phase]:
    """Three phases; the only one of a single-phase meter makes the total."""
    steps = entry.steps
    is_single = "voltage_l1_v" in steps and "voltage_l2_v" not in steps
    for phase in (1,) if is_single else (1, 2, 3):
        power, factor = f"active_power_l{phase}_kw", f"power_factor_l{phase}"
        if is_single and power not in steps:
            power, factor = _POWER, "power_factor"
        yield _Phase(
            names=(f"voltage_l{phase}_v", f"current_l{phase}_a", factor, power),
            floor_kw=_LEAST_KW + share_kw + steps.get(power, 0.0),
            current_step_a=steps.get(f"current_l{phase}_a", 0.0),
        )


def _marks(row: Row, reason: Reason, names: Iterable[str]) -> list[Rejection]:
    return [
        Rejection(
            meter=row.meter,
            at_ms=row.at_ms,
            quantity=name,
            value=row.values[name],
            raw=repr(row.values[name]),
            reason=reason,
            level=Level.SUSPECT,
            gateway=row.tags.gateway,
        )
        for name in names
    ]
