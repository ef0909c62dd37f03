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
_ROUGHLY = 0.9  # of the time between two readings, which are never quite as far apart
_STEPS_MISSED = 2
_POWER = "active_power_kw"
_PHASE_POWERS = ("active_power_l1_kw", "active_power_l2_kw", "active_power_l3_kw")
_TAKEN, _GIVEN = "energy_import_kwh", "energy_export_kwh"
_ELECTRICITY = ("kWh", "kvarh")
_AT = attrgetter("at_ms")

Values = dict[str, float]
_Doubt = tuple[str, Reason, float, int]  # a quantity, why, what was there before, and when


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

    def plain(self, elapsed_ms: float) -> tuple[float, float]:
        """The least and the most that it may move in `elapsed_ms` or more without a fault."""
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

    def plain(self, elapsed_ms: float) -> tuple[float, float]:
        if self.hard is None:
            return 0.0, inf
        return 0.0, self.soft * (elapsed_ms + self.refresh_ms) + self.step

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

    def plain(self, elapsed_ms: float) -> tuple[float, float]:
        del elapsed_ms
        return -self.most, self.most


class _Course:
    """How one quantity of one meter goes: the last value that is believed, and what contradicts it.

    `run` readings in a row, `run_value` the last of them, agree with each other and not with it.
    """

    __slots__ = ("at_ms", "rule", "run", "run_ms", "run_value", "value")

    def __init__(self, rule: Rule, at_ms: int, value: float) -> None:
        self.rule = rule
        self.believe(at_ms, value)
        self.run_ms, self.run_value = at_ms, value

    def believe(self, at_ms: int, value: float) -> None:
        self.at_ms, self.value = at_ms, value
        self.run = 0

    def follow(self, at_ms: int, value: float, readings: int) -> Reason | None:
        """Go on with `value`; with `readings` contradictions in a row the belief moves to them."""
        reason = self.rule.fault(self.at_ms, self.value, at_ms, value)
        if _counts(reason):
            self.believe(at_ms, value)
            return reason
        agrees = self.run and _counts(self.rule.fault(self.run_ms, self.run_value, at_ms, value))
        self.run = self.run + 1 if agrees else 1
        self.run_ms, self.run_value = at_ms, value
        if self.run >= readings:
            self.believe(at_ms, value)
        return reason


class _Memory:
    """What is kept of one meter: its newest reading, and the course of each watched quantity.

    Nearly every reading is like the one before it and plainly follows from it. `usual` says what
    plainly is: by how much each watched quantity may have moved, in `usual_ms` or more, for a
    reading of `size` values. While that lasts the newest reading stands for the courses.
    """

    __slots__ = (
        "ahead",
        "courses",
        "entry",
        "newest_ms",
        "size",
        "still",
        "still_ms",
        "until_ms",
        "usual",
        "usual_ms",
        "values",
    )

    def __init__(self, entry: MeterEntry) -> None:
        self.entry = entry
        self.until_ms = inf if entry.valid_to_ms is None else entry.valid_to_ms
        self.newest_ms = -1
        self.values: Values = {}
        self.courses: dict[str, _Course | None] = {}  # None: not watched
        self.usual: tuple[tuple[str, float, float], ...] = ()
        self.usual_ms = inf
        self.size = 0
        self.still: Values = {}  # since when the power does not move
        self.still_ms = -1
        self.ahead = 0

    def goes_on(self, at_ms: int, values: Values, frozen_ms: int) -> bool:
        """Take a reading that plainly follows from the last; False if it has to be looked at."""
        last = self.values
        if at_ms - self.newest_ms < self.usual_ms or len(values) != self.size:
            return False
        try:
            for name, lowest, highest in self.usual:
                if not lowest <= values[name] - last[name] <= highest:
                    return False
        except KeyError:
            return False
        power = values.get(_POWER)
        if power != self.still.get(_POWER):
            self.still, self.still_ms = values, at_ms
        elif power and at_ms - self.still_ms >= frozen_ms:
            return False
        self.newest_ms, self.values = at_ms, values
        return True

    def recall(self) -> None:
        """The newest reading stood for the courses; from here on they stand for themselves."""
        for name, _, _ in self.usual:
            course = self.courses[name]
            if course is not None:
                course.believe(self.newest_ms, self.values[name])
        self.usual = ()
        self.usual_ms = inf

    def settle(self, elapsed_ms: float) -> None:
        """If nothing of the newest reading is in doubt, the next may plainly follow from it."""
        watched = [(name, self.courses.get(name)) for name in self.values]
        courses = [(name, course) for name, course in watched if course is not None]
        if any(course.run for _, course in courses):
            return
        self.usual_ms = _ROUGHLY * elapsed_ms
        self.usual = tuple((name, *course.rule.plain(self.usual_ms)) for name, course in courses)
        self.size = len(self.values)


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
                self._compare(memory, reading.at_ms, reading.values)

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
        memories, frozen_ms = self._memories, self._frozen_ms
        for row in ordered:
            at_ms = row.at_ms
            memory = memories.get(row.meter)
            if (
                memory is None
                or not memory.newest_ms < at_ms < memory.until_ms
                or at_ms > latest_ms
                or memory.ahead
                or not memory.goes_on(at_ms, row.values, frozen_ms)
            ):
                found = self._judge(row, is_ahead=at_ms > latest_ms)
                suspects += found
                believed.append(_left_of(row, found) if found else row)
            else:
                believed.append(row)
        self.recent.extend(suspects)
        return Looked(rows=believed, suspects=suspects)

    def _judge(self, row: Row, *, is_ahead: bool) -> list[Suspect]:
        """What is suspect of a row that does not plainly follow; nothing of one that is late."""
        memory = self._memories.get(row.meter)
        if memory is None or row.at_ms >= memory.until_ms:
            memory = self._begin(row.meter, row.at_ms)
        if memory is None or not row.values or row.at_ms < memory.newest_ms:
            return []
        # Only ahead can be told: late is not wrong. After some in a row that is how its clock is.
        memory.ahead = memory.ahead + 1 if is_ahead else 0
        if is_ahead and memory.ahead <= self._how.readings:
            # Nothing of it is remembered: it would make the next ones late.
            return [_suspect(row, WHOLE_READING, Reason.CLOCK_DRIFT)]
        if row.at_ms == memory.newest_ms:
            return self._again(memory, row)
        return [
            _suspect(row, name, reason, last, last_ms)
            for name, reason, last, last_ms in self._compare(memory, row.at_ms, row.values)
        ]

    def _begin(self, meter: str, at_ms: int) -> _Memory | None:
        """A meter's first reading, or the first under another entry, has nothing before it."""
        entry = self._fleet.entry(meter, at_ms)
        if entry is None:
            return None
        memory = self._memories[meter] = _Memory(entry)
        return memory

    def _compare(self, memory: _Memory, at_ms: int, values: Values) -> list[_Doubt]:
        """Each watched value against its course."""
        memory.recall()
        courses, readings = memory.courses, self._how.readings
        found: list[_Doubt] = []
        for name, value in values.items():
            if name not in courses:
                rule = _rule(name, memory.entry, self._how)
                courses[name] = _Course(rule, at_ms, value) if rule else None
            elif (course := courses[name]) is not None:
                last, last_ms = course.value, course.at_ms
                reason = course.follow(at_ms, value, readings)
                if reason is not None:
                    found.append((name, reason, last, last_ms))
        is_first = memory.newest_ms < 0
        elapsed_ms = memory.entry.cycle_s * 1000 if is_first else at_ms - memory.newest_ms
        memory.newest_ms, memory.values = at_ms, values
        memory.settle(elapsed_ms)
        frozen = self._frozen(memory, at_ms, values)
        return found or frozen

    def _again(self, memory: _Memory, row: Row) -> list[Suspect]:
        """The newest reading's instant once more: what comes late joins it, the first stays."""
        before = memory.values
        found = [
            _suspect(row, name, Reason.SECOND_VALUE, before[name], row.at_ms)
            for name, value in row.values.items()
            if name in before and before[name] != value
        ]
        memory.recall()
        memory.values = row.values | before
        return found

    def _frozen(self, memory: _Memory, at_ms: int, values: Values) -> list[_Doubt]:
        """The power does not move, and what it must have made is never counted."""
        power = values.get(_POWER)
        if power is None:
            return []
        if power != memory.still.get(_POWER):
            memory.still, memory.still_ms = values, at_ms
            return []
        name = _TAKEN if power > 0 else _GIVEN
        counted = values.get(name)
        if at_ms - memory.still_ms < self._frozen_ms or counted is None:
            return []
        made_kwh = abs(power) * (at_ms - memory.still_ms) / _HOUR_MS
        step = memory.entry.steps.get(name, 0.0) + _FLOAT32 * counted
        if counted != memory.still.get(name) or made_kwh <= _STEPS_MISSED * step:
            return []
        return [
            (_POWER, Reason.FROZEN, power, memory.still_ms),
            (name, Reason.FROZEN, counted, memory.still_ms),
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
    return None


def _counts(reason: Reason | None) -> bool:
    """Above the rated power is marked, and believed."""
    return reason is None or reason is Reason.SOFT_LIMIT


def _suspect(
    row: Row,
    quantity: str,
    reason: Reason,
    last: float | None = None,
    last_ms: int | None = None,
) -> Suspect:
    return Suspect(
        meter=row.meter,
        at_ms=row.at_ms,
        quantity=quantity,
        value=row.values.get(quantity),
        reason=reason,
        last=last,
        last_ms=last_ms,
    )


def _told(one: Rejection) -> Suspect:
    return Suspect(
        meter=one.meter,
        at_ms=one.at_ms,
        quantity=one.quantity,
        value=one.value,
        reason=one.reason,
    )
