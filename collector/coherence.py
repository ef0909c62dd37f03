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
    """A power factor, a voltage, a current, and the power that they have to make."""

    names: tuple[str, str, str, str]
    floor_kw: float  # what power may be off by, whatever is said
    current_step_a: float


class _Known(Struct, frozen=True, kw_only=True):
    """A fleet entry, compiled for the checks."""

    from_ms: int
    sum_floor_kw: float
    total_floor_kw: float
    phases: tuple[_Phase, ...]
    is_factored: bool  # its phases have power factors of their own


_PHASE_POWERS = tuple(f"active_power_l{phase}_kw" for phase in (1, 2, 3))
_FIRST, _SECOND, _THIRD = _PHASE_POWERS
_FACTOR, _APPARENT = "power_factor", "apparent_power_kva"
_TOTALS = (_FACTOR, _APPARENT, _POWER)


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
        late, entries = Fault.LATE, self._known
        for row in rows:
            values = row.values
            if row.fault == late:
                suspects += _marks(row, Reason.LATE_ANSWER, values)
                continue
            power = values.get(_POWER)
            if power is None:
                continue
            known = entries[row.meter][0]
            if known.from_ms > row.at_ms:
                known = self._entry(row)
            if _FIRST in values and self._breaks_the_sum(values, power, known):
                suspects += _marks(row, Reason.PHASE_SUM, (_POWER, *_PHASE_POWERS))
            if _FACTOR in values or known.is_factored:
                suspects += self._of_factors(row, known)
        return suspects

    def _entry(self, row: Row) -> _Known:
        entries = self._known[row.meter]
        return next((known for known in entries if known.from_ms <= row.at_ms), entries[-1])

    def _of_factors(self, row: Row, known: _Known) -> list[Rejection]:
        """Where a power factor says how power and apparent power go together."""
        values = row.values
        involved: set[str] = set()
        for phase in known.phases:
            if phase.names[0] in values and self._breaks_the_triangle(values, phase):
                involved.update(phase.names)
        if self._breaks_the_total(values, known):
            involved.update(_TOTALS)
        return _marks(row, Reason.POWER_TRIANGLE, sorted(involved)) if involved else []

    def _breaks_the_sum(self, values: Values, total: float, known: _Known) -> bool:
        """Makers add phases with their signs, or what they are without them."""
        try:
            first, second, third = values[_FIRST], values[_SECOND], values[_THIRD]
        except KeyError:
            return False
        share = self._tolerances.sum_share
        room = known.sum_floor_kw + share * abs(total)
        if -room <= total - first - second - third <= room:
            return False
        absolute = abs(first) + abs(second) + abs(third)
        room = known.sum_floor_kw + share * absolute
        return abs(abs(total) - absolute) > room and abs(total - first - second - third) > room

    def _breaks_the_triangle(self, values: Values, phase: _Phase) -> bool:
        try:
            factor, voltage, current, power = [values[name] for name in phase.names]
        except KeyError:
            return False
        floor_kw = phase.floor_kw + abs(voltage) * phase.current_step_a / 1000
        return self._is_apart(power, voltage * current / 1000, factor, floor_kw)

    def _breaks_the_total(self, values: Values, known: _Known) -> bool:
        try:
            factor, apparent, power = values[_FACTOR], values[_APPARENT], values[_POWER]
        except KeyError:
            return False
        return self._is_apart(power, apparent, factor, known.total_floor_kw)

    def _is_apart(self, power: float, apparent: float, factor: float, floor_kw: float) -> bool:
        """Power is apparent power times the power factor, whatever their signs."""
        power, apparent = abs(power), abs(apparent)
        room = self._tolerances.triangle_share * max(apparent, power) + floor_kw
        return abs(power - apparent * abs(factor)) > room


def _compile(entry: MeterEntry, tolerances: Tolerances) -> _Known:
    rated = entry.rated.get(_POWER) or entry.rated.get(_APPARENT) or 0.0
    steps = entry.steps
    phase_steps = sum(steps.get(name, 0.0) for name in _PHASE_POWERS)
    own = steps.get(_POWER, 0.0)
    return _Known(
        from_ms=entry.valid_from_ms,
        sum_floor_kw=_LEAST_KW + tolerances.sum_rated * rated + own + phase_steps,
        total_floor_kw=_LEAST_KW
        + tolerances.triangle_rated * rated
        + own
        + steps.get(_APPARENT, 0.0),
        phases=tuple(_phases(entry, tolerances.triangle_rated * rated)),
        is_factored="power_factor_l1" in steps,
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
            names=(factor, f"voltage_l{phase}_v", f"current_l{phase}_a", power),
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
