"""Score: what would have fired, and what is known to have been wrong -> figures.

A label is caught if an alert of its building began on one of the label's days: figures of a day
are judged when it is over. What alerts catch by chance is told beside: the same labels, moved along
the series.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from benchmarks.back.measured import Building, Label
from collector.alerting.played import Fired
from collector.alerting.severity import Severity
from collector.settle.cells import DAY_MS, day_start_ms

_MOVES = tuple(range(17, 700, 31))  # days by which labels are moved, to see what chance catches
_HOUR_MS = 3_600_000
# After how long without anybody's word an alert is passed on to the bureau (config/notify.yaml).
_TO_THE_BUREAU_MS = {
    Severity.YELLOW: 72 * _HOUR_MS,
    Severity.ORANGE: 4 * _HOUR_MS,
    Severity.RED: _HOUR_MS // 2,
}
_BUDGETS = "budget-"


class RuleLine(Struct, frozen=True, kw_only=True):
    """One rule's colour: alerts that came to it, over all building-weeks."""

    rule: str
    severity: str
    alerts: int
    per_building_week: float
    median_days: float


class KindLine(Struct, frozen=True, kw_only=True):
    """One kind of label.

    Attributes:
        caught: labels on whose days an alert began; by a yellow one or worse: `told`.
        chance: share that would be caught if the labels lay elsewhere.
        by: rules that caught them, the most first.
    """

    kind: str
    trap: bool
    labels: int
    caught: int
    told: int
    chance: float
    by: tuple[str, ...]


class Report(Struct, frozen=True, kw_only=True):
    """What came out; per day and building: of days on which the building has readings.

    Attributes:
        told: alerts of yellow or worse a building and day; `district`: of 200 buildings a day.
        bureau: those that would reach the bureau if nobody acknowledged anything.
    """

    buildings: int
    building_days: int
    alerts: int
    told: float
    district: float
    bureau: float
    busiest: int
    lines: tuple[RuleLine, ...]
    kinds: tuple[KindLine, ...]


def score(buildings: Sequence[Building], fired: Sequence[Fired], labels: Iterable[Label]) -> Report:
    days = sum((one.last_ms - one.first_ms) // DAY_MS for one in buildings)
    names = {one.name for one in buildings}
    known = [one for one in labels if one.building in names]
    told = [one for one in fired if _rank(one) >= Severity.YELLOW.rank]
    per_day: dict[int, int] = {}
    for one in told:
        per_day[one.fired_ms // DAY_MS] = per_day.get(one.fired_ms // DAY_MS, 0) + 1
    return Report(
        buildings=len(buildings),
        building_days=days,
        alerts=len(fired),
        told=len(told) / days,
        district=200 * len(told) / days,
        bureau=200 * sum(map(_reaches_the_bureau, fired)) / days,
        busiest=max(per_day.values(), default=0),
        lines=tuple(_lines(fired, days)),
        kinds=tuple(_kinds(buildings, fired, known)),
    )


def _rank(one: Fired) -> int:
    return Severity(one.severity).rank


def _reaches_the_bureau(one: Fired) -> bool:
    if one.rule.startswith(_BUDGETS):
        return True
    after_ms = _TO_THE_BUREAU_MS.get(Severity(one.severity))
    lasted_ms = (one.resolved_ms or 1 << 60) - one.fired_ms
    return after_ms is not None and lasted_ms >= after_ms


def _lines(fired: Iterable[Fired], days: int) -> Iterable[RuleLine]:
    by_rule: dict[tuple[str, str], list[Fired]] = {}
    for one in fired:
        by_rule.setdefault((one.rule, one.severity), []).append(one)
    for (rule, severity), mine in sorted(by_rule.items()):
        ended = ((one.resolved_ms, one.fired_ms) for one in mine if one.resolved_ms)
        lasted = sorted((resolved_ms - fired_ms) / DAY_MS for resolved_ms, fired_ms in ended)
        yield RuleLine(
            rule=rule,
            severity=severity,
            alerts=len(mine),
            per_building_week=7 * len(mine) / days,
            median_days=lasted[len(lasted) // 2] if lasted else 0.0,
        )


def _kinds(
    buildings: Sequence[Building], fired: Sequence[Fired], labels: Sequence[Label]
) -> Iterable[KindLine]:
    begun = _begun(fired)
    spans = {one.name: (one.first_ms, one.last_ms) for one in buildings}
    for kind, trap in sorted({(one.kind, one.trap) for one in labels}, key=lambda k: (k[1], k[0])):
        mine = [one for one in labels if (one.kind, one.trap) == (kind, trap)]
        caught = [(one, rules) for one in mine if (rules := _caught(one, begun))]
        by: dict[str, int] = {}
        for _, rules in caught:
            for rule, _rank_of in rules:
                by[rule] = by.get(rule, 0) + 1
        moved = [
            bool(_caught(_moved(one, days, spans[one.building]), begun))
            for one in mine
            for days in _MOVES
        ]
        yield KindLine(
            kind=kind,
            trap=trap,
            labels=len(mine),
            caught=len(caught),
            told=sum(any(rank >= Severity.YELLOW.rank for _, rank in r) for _, r in caught),
            chance=sum(moved) / len(moved),
            by=tuple(sorted(by, key=lambda rule: (-by[rule], rule))[:3]),
        )


Begun = dict[str, list[tuple[int, int, str, int]]]


def _begun(fired: Iterable[Fired]) -> Begun:
    """By building: the days that an alert's beginning rests on, its rule and rank."""
    found: Begun = {}
    for one in fired:
        if one.rule.startswith(_BUDGETS):
            continue  # about a year, whatever happened on its days
        start_ms = day_start_ms(one.since_ms - 1)
        found.setdefault(one.institution, []).append(
            (min(start_ms, one.since_ms), one.fired_ms, one.rule, _rank(one))
        )
    return found


def _caught(label: Label, begun: Begun) -> set[tuple[str, int]]:
    return {
        (rule, rank)
        for start_ms, end_ms, rule, rank in begun.get(label.building, ())
        if start_ms < label.end_ms and label.start_ms < end_ms
    }


def _moved(label: Label, days: int, span: tuple[int, int]) -> Label:
    first_ms, last_ms = span
    length = label.end_ms - label.start_ms
    room = max(DAY_MS, last_ms - first_ms - length)
    start_ms = first_ms + (label.start_ms - first_ms + days * DAY_MS) % room
    return Label(
        building=label.building,
        kind=label.kind,
        start_ms=start_ms,
        end_ms=start_ms + length,
        trap=label.trap,
    )
