"""Consumption: rules on settled figures, a meter's past -> observations, in order of time.

What is not known makes no observation: it neither fires nor resolves anything. The baseline of a
meter is the median of its own usual days: those that were beyond the limit are left out, so that a
leak of three weeks does not become what is usual, for as long as there are enough others.
"""

from collections.abc import Collection, Iterable
from math import isnan, nan
from statistics import median

import numpy as np
from msgspec import Struct

from collector.alerting.evaluate.measures import MONTHLY, OF_QUARTERS, Periods, measure
from collector.alerting.evaluate.past import GOOD_SHARE, QUARTERS, Past
from collector.alerting.hours import Hours
from collector.alerting.names import MEASURES
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Consumed, Rule, When
from collector.alerting.subject import Subject, SubjectKind
from collector.fleet.index import MeterEntry
from collector.settle.cells import DAY_MS
from collector.settle.series import Mask

_LEAST_KNOWN = 5  # periods, before a median is a baseline
_LEAST_MONTHS = 3
_YEAR = 12  # months: the baseline of a month
_REACH = 2  # times the baseline's days, in which usual ones are looked for


class Judged(Struct, frozen=True, kw_only=True):
    """What a rule says of one period.

    Attributes:
        day: the place of its day in the past.
        value, limit: NaN where not known.
        energy: what the excess came to since it began.
    """

    start_ms: int
    end_ms: int
    day: int
    verdict: Verdict
    value: float
    limit: float
    unit: str
    energy: float | None = None


class _Row(Struct, kw_only=True):
    """How a rule stands, period after period.

    Attributes:
        count: periods beyond the limit, in a row.
        doubt: before those came one of which nothing is known.
        energy: of the excess since the last one that was clear.
    """

    count: int = 0
    doubt: bool = True
    energy: float = 0.0


def concerns(rule: Rule, entry: MeterEntry) -> bool:
    """Whether a rule looks at settled figures of a meter."""
    if not isinstance(rule.condition, Consumed) or not rule.scope.holds(entry):
        return False
    classes = MEASURES[rule.condition.measure].classes
    return classes is None or entry.energy.startswith(classes)


def look(
    rules: Iterable[Rule], past: Past, hours: Hours, wanted: Collection[int]
) -> list[Observation]:
    """What rules see of a meter.

    Args:
        rules: those that concern it.
        past: reaching back far enough for what the rules compare with.
        hours: answers for the rules' own hours.
        wanted: starts of the days, and of the months, to be told of.

    Returns:
        In order of time; of one instant in the order of the rules.
    """
    subject = Subject(SubjectKind.METER, past.entry.meter)
    found: list[Observation] = []
    for rule in rules:
        monthly = isinstance(rule.condition, Consumed) and rule.condition.measure in MONTHLY
        for one in judge(rule, past, hours):
            start_ms = one.start_ms if monthly else past.starts[one.day]
            if start_ms in wanted and one.verdict is not Verdict.UNKNOWN:
                found.append(_observation(rule, subject, past, one))
    return sorted(found, key=lambda seen: seen.at_ms)


def judge(rule: Rule, past: Past, hours: Hours) -> list[Judged]:
    """A rule on every period of a meter's past at which it looks, whether known or not.

    Periods at which it does not look are left out: five workdays in a row may have a weekend
    between them.
    """
    condition = rule.condition
    assert isinstance(condition, Consumed)
    periods = measure(condition.measure, past)
    looks = _looks(rule, periods, past, hours)
    of_quarters = condition.measure in OF_QUARTERS
    usual = _UsualPeak(condition, periods) if of_quarters else _Usual(condition, looks)
    row = _Row()
    found = []
    for place in np.flatnonzero(looks).tolist():
        limit = _limit(condition, usual.before(place))
        one = _judged(condition, periods, place, limit, row)
        usual.take(place, one.value, beyond=row.count > 0)
        found.append(one)
    return found


def _judged(
    condition: Consumed, periods: Periods, place: int, limit: float | None, row: _Row
) -> Judged:
    value, each = float(periods.value[place]), float(periods.each[place])
    verdict, energy = Verdict.UNKNOWN, None
    if limit is None or isnan(value):
        row.count, row.doubt = 0, True
    else:
        beyond = _is_beyond(condition, value, limit)
        verdict = _follow(row, condition.in_a_row, beyond=beyond)
        if beyond and not condition.falls and not isnan(each):
            row.energy += (value - limit) * each
            energy = row.energy
    return Judged(
        start_ms=int(periods.start_ms[place]),
        end_ms=int(periods.end_ms[place]),
        day=int(periods.at_day[place]),
        verdict=verdict,
        value=value,
        limit=nan if limit is None else limit,
        unit=periods.unit,
        energy=energy,
    )


def _follow(row: _Row, in_a_row: int, *, beyond: bool) -> Verdict:
    """Beyond for long enough is met. Too short a row is clear, unless nobody knows how long."""
    if not beyond:
        row.count, row.doubt, row.energy = 0, False, 0.0
        return Verdict.CLEAR
    row.count += 1
    if row.count >= in_a_row:
        return Verdict.MET
    return Verdict.BETWEEN if row.doubt else Verdict.CLEAR


def _is_beyond(condition: Consumed, value: float, limit: float) -> bool:
    if condition.falls:
        return value < limit and (not condition.least or value >= condition.least)
    return value > limit


def _limit(condition: Consumed, baseline: float | None) -> float | None:
    """Where it is met, whichever of both limits comes first; None: nobody knows yet."""
    own = None if condition.times is None or baseline is None else condition.times * baseline
    known = [limit for limit in (condition.limit, own) if limit is not None]
    if not known:
        return None
    if condition.falls:
        return max(known)
    return max(min(known), condition.least) if condition.least else min(known)


class _Usual:
    """What is usual, as it was known before each period."""

    def __init__(self, condition: Consumed, looks: Mask) -> None:
        monthly = condition.measure in MONTHLY
        self._asked = condition.times is not None
        self._span = _YEAR if monthly else condition.baseline_days
        self._least = _LEAST_MONTHS if monthly else _LEAST_KNOWN
        self._looks = looks
        self._seen: list[tuple[int, float, bool]] = []

    def take(self, place: int, value: float, *, beyond: bool) -> None:
        if self._asked and self._looks[place] and not isnan(value):
            self._seen.append((place, value, beyond))

    def before(self, place: int) -> float | None:
        """None as long as less than half of the periods looked at are known."""
        if not self._asked:
            return None
        while self._seen and self._seen[0][0] < place - _REACH * self._span:
            self._seen.pop(0)
        looked = int(self._looks[max(0, place - self._span) : place].sum())
        least = max(self._least, looked // 2)
        usual = [value for _, value, beyond in self._seen if not beyond][-self._span :]
        if len(usual) >= least:
            return median(usual)
        recent = [value for at, value, _ in self._seen if at >= place - self._span]
        return median(recent) if len(recent) >= least else None


class _UsualPeak:
    """Of quarters: the median of the days' highest ones."""

    def __init__(self, condition: Consumed, periods: Periods) -> None:
        self._asked = condition.times is not None
        self._span = condition.baseline_days
        self._day = periods.at_day
        by_day = periods.value.reshape(-1, QUARTERS)
        known = ~np.isnan(by_day)
        peaks = np.where(known, by_day, -np.inf).max(axis=1)
        self._peaks = np.where(known.mean(axis=1) >= GOOD_SHARE, peaks, np.nan)

    def take(self, place: int, value: float, *, beyond: bool) -> None:
        """Whatever was beyond is among the highest of its day."""

    def before(self, place: int) -> float | None:
        if not self._asked:
            return None
        day = int(self._day[place])
        recent = self._peaks[max(0, day - self._span) : day]
        known = recent[~np.isnan(recent)]
        return float(np.median(known)) if len(known) >= self._span / 2 else None


def _looks(rule: Rule, periods: Periods, past: Past, hours: Hours) -> Mask:
    """Whether the rule looks at each period: a day by its own noon, a quarter by its start."""
    condition = rule.condition
    assert isinstance(condition, Consumed)
    count = len(periods)
    if rule.when == When() or condition.measure in MONTHLY:
        return np.ones(count, np.bool_)
    sector = past.entry.sector
    if condition.measure in OF_QUARTERS:
        times, when = periods.start_ms.tolist(), rule.when
    else:
        times = (periods.start_ms + DAY_MS // 2).tolist()
        when = When(days=rule.when.days, heating=rule.when.heating, term=rule.when.term)
    return np.array([hours.open_at(when, at, sector) for at in times], np.bool_)


def _observation(rule: Rule, subject: Subject, past: Past, one: Judged) -> Observation:
    return Observation(
        rule=rule.id,
        subject=subject,
        at_ms=one.end_ms,
        verdict=one.verdict,
        value=one.value,
        limit=one.limit,
        unit=one.unit,
        energy_so_far=one.energy,
        energy_unit=past.unit if one.energy is not None else "",
        every_ms=one.end_ms - one.start_ms,
    )


def reach_days(rules: Iterable[Rule]) -> int:
    """How many days before the first one asked for a past has to begin, for rules on days."""
    return max(
        (_reach(rule.condition) for rule in rules if isinstance(rule.condition, Consumed)),
        default=0,
    )


def _reach(condition: Consumed) -> int:
    back = condition.in_a_row + 1
    if condition.measure in MONTHLY:
        return 31 * (MONTHLY[condition.measure] + back + 1)  # no month is longer
    if condition.measure in OF_QUARTERS:
        back = 1
    baseline = (_REACH + 1) * condition.baseline_days if condition.times is not None else 35
    return baseline + 7 * back
