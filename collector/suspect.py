"""Suspect: rows -> those that live alerts may believe, and what is suspect. Pure, HOT PATH.

Compares a meter's newest reading with the one before it. What it says depends on what came before,
so none of it is stored and an older reading is not judged at all: a backlog, in whatever order,
leaves the same rows and rejections behind. Settlement looks at all of it again, in event time.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from operator import attrgetter
from typing import Protocol

from msgspec import Struct, structs

from collector.fleet.index import Fleet, MeterEntry, Tolerances
from collector.settle.rate import rated_per_hour
from collector.settle.series import PER_UNIT
from collector.store import WHOLE_READING, Level, Rejection, Row
from collector.validate import Reason
from metering.quantity import QUANTITIES, Kind
from metering.reading import Reading

_HOUR_MS = 3_600_000
_RECENT = 10_000
_FLOAT32 = 2.0**-23  # how far two neighbouring float32 are apart, as a share of them
_NEARLY = 0.9  # of where it rolls over: what an unrated counter must have come to before
_POWER = "active_power_kw"
_PHASE_POWERS = ("active_power_l1_kw", "active_power_l2_kw", "active_power_l3_kw")
_TAKEN, _GIVEN = "energy_import_kwh", "energy_export_kwh"
_ELECTRICITY = ("kWh", "kvarh")
_AT = attrgetter("at_ms")

Values = dict[str, float]


class Suspect(Struct, frozen=True, kw_only=True):
    """One value that live alerts do not see.

    Attributes:
        quantity: its name, or `WHOLE_READING`.
        value: the number; None for a whole reading.
        reason: why; a metric's label.
        last, last_ms: what it was compared with, and when that was; None where with nothing.
    """

    meter: str
    at_ms: int
    quantity: str
    value: float | None
    reason: str
    last: float | None = None
    last_ms: int | None = None


class Looked(Struct, frozen=True, kw_only=True):
    """What a group's rows come to: `rows` in order of time, with suspect values left out."""

    rows: list[Row]
    suspects: list[Suspect]


class Rule(Protocol):
    """What one quantity of one meter may do between two readings."""

    def fault(self, last_ms: int, last: float, at_ms: int, value: float) -> Reason | None:
        """Why `value` cannot follow `last`."""
        ...


class CounterRule(Struct, frozen=True, kw_only=True):
    """A counter may not fall, nor run faster than its circuit.

    Attributes:
        hard, soft: the most it gains, in its unit a millisecond; None where nothing is rated.
        step: one step of its register.
        refresh_ms: how old the register may be when it is read.
        rolls_over_at: where it returns to zero, if that is known.
    """

    hard: float | None
    soft: float
    step: float
    refresh_ms: float
    rolls_over_at: float | None

    def fault(self, last_ms: int, last: float, at_ms: int, value: float) -> Reason | None:
        gain = value - last
        slack = self.step + _FLOAT32 * last
        if gain < -slack:
            return None if self._rolled_over(last_ms, last, at_ms, value) else Reason.FALL
        if self.hard is None:
            return None
        elapsed_ms = at_ms - last_ms + self.refresh_ms
        if gain <= self.soft * elapsed_ms + slack:
            return None
        return Reason.INCREMENT if gain > self.hard * elapsed_ms + slack else Reason.SOFT_LIMIT

    def _rolled_over(self, last_ms: int, last: float, at_ms: int, value: float) -> bool:
        full = self.rolls_over_at
        if full is None:
            return False
        if self.hard is None:
            return last >= _NEARLY * full and value <= (1 - _NEARLY) * full
        most = self.hard * (at_ms - last_ms + self.refresh_ms) + self.step + _FLOAT32 * last
        return value + full - last <= most


class GaugeRule(Struct, frozen=True, kw_only=True):
    """A gauge may not move by more than `most` from one reading to the next.

    Attributes:
        within_ms: if the two are not further apart than that.
    """

    most: float
    within_ms: float

    def fault(self, last_ms: int, last: float, at_ms: int, value: float) -> Reason | None:
        if abs(value - last) > self.most and at_ms - last_ms <= self.within_ms:
            return Reason.JUMP
        return None


class _Course:
    """How one quantity of one meter goes: the last value that is believed, and what contradicts it.

    `run` readings in a row, `run_value` the last of them, agree with each other and not with it.
    """

    __slots__ = ("at_ms", "rule", "run", "run_ms", "run_value", "since_ms", "value")

    def __init__(self, rule: Rule, at_ms: int, value: float) -> None:
        self.rule = rule
        self.believe(at_ms, value)
        self.since_ms = at_ms
        self.run_ms, self.run_value = at_ms, value

    def believe(self, at_ms: int, value: float) -> None:
        self.since_ms = at_ms  # when it last changed
        self.at_ms, self.value = at_ms, value
        self.run = 0

    def doubt(self, at_ms: int, value: float, readings: int) -> None:
        """One more contradicts; with `readings` of them in a row the belief moves to the last."""
        fault = self.rule.fault(self.run_ms, self.run_value, at_ms, value) if self.run else None
        agrees = fault is None or fault is Reason.SOFT_LIMIT
        self.run = self.run + 1 if agrees else 1
        self.run_ms, self.run_value = at_ms, value
        if self.run >= readings:
            self.believe(at_ms, value)


class _Memory:
    """What is kept of one meter: its newest reading, and the course of each watched quantity."""

    __slots__ = ("ahead", "courses", "entry", "newest_ms", "until_ms", "values")

    def __init__(self, entry: MeterEntry) -> None:
        self.entry = entry
        self.until_ms = inf if entry.valid_to_ms is None else entry.valid_to_ms
        self.newest_ms = -1
        self.values: Values = {}
        self.courses: dict[str, _Course | None] = {}  # None: not watched
        self.ahead = 0


class Suspects:
    """The fleet's newest readings. One thread looks; any may read `recent`.

    Attributes:
        recent: the last 10,000 suspects, the newest at the end.
    """

    def __init__(self, fleet: Fleet, latest: Iterable[Reading] = ()) -> None:
        """Begin with `latest`, at most one reading a meter; others begin with their next one."""
        self._fleet = fleet
        self._how = fleet.tolerances
        self._ahead_ms = int(fleet.tolerances.ahead_s * 1000)
        self._frozen_ms = int(fleet.tolerances.frozen_s * 1000)
        self._memories: dict[str, _Memory] = {}
        self.recent: deque[Suspect] = deque(maxlen=_RECENT)
        for reading in latest:
            memory = self._begin(reading.meter, reading.at_ms)
            if memory is not None:
                self._compare(memory, reading.meter, reading.at_ms, reading.values)

    def look(self, rows: Sequence[Row], *, now_ms: int, beside: Iterable[Rejection] = ()) -> Looked:
        """Look at a group's rows.

        Args:
            rows: as stored, any order.
            now_ms: the collector's wall clock.
            beside: what is kept beside them; what is suspect of it counts here as well.
        """
        suspects = [_told(one) for one in beside if one.level is Level.SUSPECT]
        ordered = without(sorted(rows, key=_AT), suspects)
        believed: list[Row] = []
        latest_ms = now_ms + self._ahead_ms
        memories = self._memories
        for row in ordered:
            at_ms, values = row.at_ms, row.values
            memory = memories.get(row.meter)
            if memory is None or at_ms >= memory.until_ms:
                memory = self._begin(row.meter, at_ms)
            if not values or memory is None or at_ms < memory.newest_ms:
                believed.append(row)
                continue
            if at_ms > latest_ms or memory.ahead:
                found = self._drifts(memory, row, is_ahead=at_ms > latest_ms)
            else:
                found = self._compare(memory, row.meter, at_ms, values)
            believed.append(_left_of(row, found) if found else row)
            suspects += found
        self.recent.extend(suspects)
        return Looked(rows=believed, suspects=suspects)

    def _begin(self, meter: str, at_ms: int) -> _Memory | None:
        """A meter's first reading, or the first under another entry, has nothing before it."""
        entry = self._fleet.entry(meter, at_ms)
        if entry is None:
            return None
        memory = self._memories[meter] = _Memory(entry)
        return memory

    def _drifts(self, memory: _Memory, row: Row, *, is_ahead: bool) -> list[Suspect]:
        """Only ahead can be told: late is not wrong. After some in a row that is how its clock is.

        Of a reading that is held back nothing is remembered, or it would make the next ones late.
        """
        memory.ahead = memory.ahead + 1 if is_ahead else 0
        if is_ahead and memory.ahead <= self._how.readings:
            return [
                Suspect(
                    meter=row.meter,
                    at_ms=row.at_ms,
                    quantity=WHOLE_READING,
                    value=None,
                    reason=Reason.CLOCK_DRIFT,
                )
            ]
        return self._compare(memory, row.meter, row.at_ms, row.values)

    def _compare(self, memory: _Memory, meter: str, at_ms: int, values: Values) -> list[Suspect]:
        if at_ms == memory.newest_ms:
            return self._again(memory, meter, at_ms, values)
        memory.newest_ms, memory.values = at_ms, values
        courses = memory.courses
        found: list[Suspect] = []
        for name, value in values.items():
            try:
                course = courses[name]
            except KeyError:
                rule = _rule(name, memory.entry, self._how)
                courses[name] = _Course(rule, at_ms, value) if rule else None
                continue
            if course is None:
                continue
            last = course.value
            reason = course.rule.fault(course.at_ms, last, at_ms, value)
            if reason is None:
                if value == last:
                    course.at_ms, course.run = at_ms, 0
                else:
                    course.believe(at_ms, value)
            else:
                found.append(_compared(meter, at_ms, (name, value), reason, course))
                self._follow(course, at_ms, value, reason)
        power = courses.get(_POWER)
        if power is not None and at_ms - power.since_ms >= self._frozen_ms:
            found += self._frozen(memory, meter, at_ms, power)
        return found

    def _follow(self, course: _Course, at_ms: int, value: float, reason: Reason) -> None:
        if reason is Reason.SOFT_LIMIT:
            course.believe(at_ms, value)
        else:
            course.doubt(at_ms, value, self._how.readings)

    def _again(self, memory: _Memory, meter: str, at_ms: int, values: Values) -> list[Suspect]:
        """The newest reading's instant once more: what comes late joins it, the first stays."""
        before = memory.values
        found = [
            Suspect(
                meter=meter,
                at_ms=at_ms,
                quantity=name,
                value=value,
                reason=Reason.SECOND_VALUE,
                last=before[name],
                last_ms=at_ms,
            )
            for name, value in values.items()
            if name in before and before[name] != value
        ]
        memory.values = values | before
        return found

    def _frozen(self, memory: _Memory, meter: str, at_ms: int, power: _Course) -> list[Suspect]:
        """The power did not move, and what it must have made was never counted."""
        name = _TAKEN if power.value > 0 else _GIVEN
        counter = memory.courses.get(name)
        if counter is None or power.at_ms != at_ms:
            return []
        still_ms = min(power.at_ms, counter.at_ms) - max(power.since_ms, counter.since_ms)
        made_kwh = abs(power.value) * still_ms / _HOUR_MS
        step = memory.entry.steps.get(name, 0.0) + _FLOAT32 * counter.value
        if still_ms < self._frozen_ms or made_kwh <= 2 * step:
            return []
        stuck = {_POWER: power.value, name: counter.value}
        return [
            Suspect(
                meter=meter,
                at_ms=at_ms,
                quantity=quantity,
                value=value,
                reason=Reason.FROZEN,
                last=value,
                last_ms=max(power.since_ms, counter.since_ms),
            )
            for quantity, value in stuck.items()
        ]


def without(rows: list[Row], suspects: Iterable[Suspect]) -> list[Row]:
    """The rows, of those that are named only the values that are not suspect."""
    named: dict[tuple[str, int], list[Suspect]] = {}
    for one in suspects:
        named.setdefault((one.meter, one.at_ms), []).append(one)
    if not named:
        return rows
    return [
        _left_of(row, found) if (found := named.get((row.meter, row.at_ms))) else row
        for row in rows
    ]


def _left_of(row: Row, found: Iterable[Suspect]) -> Row:
    names = {one.quantity for one in found}
    if WHOLE_READING in names:
        return structs.replace(row, values={})
    left = {name: value for name, value in row.values.items() if name not in names}
    return structs.replace(row, values=left)


def _rule(name: str, entry: MeterEntry, how: Tolerances) -> Rule | None:
    """How a quantity of a meter is watched; None if it is not."""
    quantity = QUANTITIES[name]
    if quantity.kind is Kind.GAUGE:
        return _gauge_rule(name, entry, how)
    rated = rated_per_hour(entry, name)
    per_ms = None if rated is None else rated / PER_UNIT / _HOUR_MS
    is_electric = quantity.unit in _ELECTRICITY
    refresh_s = how.refresh_electricity_s if is_electric else how.refresh_other_s
    return CounterRule(
        hard=None if per_ms is None else per_ms * how.hard_limit,
        soft=0.0 if per_ms is None else per_ms * how.soft_limit,
        step=entry.steps.get(name, 0.0),
        refresh_ms=refresh_s * 1000,
        rolls_over_at=entry.rolls_over_at.get(name),
    )


def _gauge_rule(name: str, entry: MeterEntry, how: Tolerances) -> GaugeRule | None:
    rated = entry.rated.get(_POWER if name in _PHASE_POWERS else name)
    if rated is not None:
        return GaugeRule(most=rated * how.hard_limit, within_ms=inf)
    if name in how.jumps:
        most, within_s = how.jumps[name]
        return GaugeRule(most=most, within_ms=within_s * 1000)
    # The power is watched in any case, for what is frozen.
    return GaugeRule(most=inf, within_ms=inf) if name == _POWER else None


def _compared(
    meter: str, at_ms: int, named: tuple[str, float], reason: Reason, course: _Course
) -> Suspect:
    return Suspect(
        meter=meter,
        at_ms=at_ms,
        quantity=named[0],
        value=named[1],
        reason=reason,
        last=course.value,
        last_ms=course.at_ms,
    )


def _told(one: Rejection) -> Suspect:
    return Suspect(
        meter=one.meter,
        at_ms=one.at_ms,
        quantity=one.quantity,
        value=one.value,
        reason=one.reason,
    )
