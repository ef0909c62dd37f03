"""Find: a day's meters, checks and clocks -> findings, few and true.

One finding for a meter and cause; what a bigger cause explains is left out: a silent gateway hides
its meters, a silent meter hides that its data are incomplete.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from collector.findings import Finding, FindingKind
from collector.fleet.index import Fleet
from collector.quality.figures import MeterDay
from collector.quality.thresholds import Thresholds
from collector.quality.words import told
from collector.settle.rule import Rule, rules_in
from collector.tree.check import SumCheck

_OF_RULE = {
    Rule.FROZEN: FindingKind.FROZEN,
    Rule.ZERO_RUN: FindingKind.ZERO_RUN,
    Rule.RESET: FindingKind.RESET,
    Rule.ROLLOVER: FindingKind.ROLLOVER,
    Rule.JUMP: FindingKind.JUMP,
    Rule.UNIT: FindingKind.UNIT,
    Rule.GLITCH: FindingKind.GLITCH,
    Rule.SPIKE: FindingKind.GLITCH,
    Rule.SOFT_LIMIT: FindingKind.SOFT_LIMIT,
    Rule.CLOCK: FindingKind.CLOCK_SET,
    Rule.DRIFT: FindingKind.DRIFT,
}
_ORDER = tuple(FindingKind)

Key = tuple[str, FindingKind, str]


class DayFacts(Struct, frozen=True, kw_only=True):
    """What is known of a day.

    Attributes:
        sums: mains against what is below them, over the day.
        months: share by which days and month differ, by meter.
        residuals: what intervals and register differ by, in the counter's unit, by meter; not 0.
        clocks_s: how far gateways' clocks are off, in seconds, by gateway.
        since: when a finding of the day before began.
    """

    day_ms: int
    days: Sequence[MeterDay]
    sums: Sequence[SumCheck] = ()
    months: dict[str, float] = {}
    residuals: dict[str, float] = {}
    clocks_s: dict[str, float] = {}
    since: dict[Key, int] = {}


def find(facts: DayFacts, fleet: Fleet, bounds: Thresholds) -> list[Finding]:
    """Every finding of the day, by institution, the most important first."""
    silent_gateways = _silent_gateways(facts.days)
    found: dict[Key, Finding] = {}
    for one in _all(facts, fleet, bounds, silent_gateways):
        found.setdefault((one.institution, one.kind, one.meter), one)
    return sorted(found.values(), key=by_importance)


def by_importance(one: Finding) -> tuple[str, int, str]:
    """The most important first, by institution."""
    return one.institution, _ORDER.index(one.kind), one.meter


def _all(
    facts: DayFacts, fleet: Fleet, bounds: Thresholds, silent_gateways: set[str]
) -> Iterator[Finding]:
    for gateway in sorted(silent_gateways):
        where = fleet.gateways[gateway].institution if gateway in fleet.gateways else ""
        yield _finding(facts, where, FindingKind.SILENT, gateway, f"网关 {gateway} 下全部仪表")
    for day in facts.days:
        if day.entry.gateway not in silent_gateways:
            yield from _of_meter(facts, day, bounds)
    entries = {day.entry.meter: day.entry for day in facts.days}
    for check in facts.sums:
        if check.agrees is False and check.share is not None and check.meter in entries:
            entry = entries[check.meter]
            yield _finding(
                facts, entry.institution, FindingKind.SUM, check.meter,
                f"{entry.circuit}（{check.meter}）", -check.share,
            )  # fmt: skip
    for gateway, off_s in sorted(facts.clocks_s.items()):
        if abs(off_s) > bounds.clock_s.value and gateway in fleet.gateways:
            where = fleet.gateways[gateway].institution
            yield _finding(facts, where, FindingKind.CLOCK, gateway, f"网关 {gateway} ", off_s)


def _of_meter(facts: DayFacts, day: MeterDay, bounds: Thresholds) -> Iterator[Finding]:
    for kind, value, bound in _causes(facts, day, bounds):
        what = f"{day.entry.circuit}（{day.entry.meter}）"
        yield _finding(facts, day.entry.institution, kind, day.entry.meter, what, value, bound)


def _causes(
    facts: DayFacts, day: MeterDay, bounds: Thresholds
) -> Iterator[tuple[FindingKind, float, float]]:
    if not day.expected:
        return
    if not day.answered:
        yield FindingKind.SILENT, 0.0, 0.0
        return
    meter = day.entry.meter
    yield from _gaps(day, bounds)
    rejected = sum(day.rejected.values())
    if rejected > bounds.rejected.value:
        yield FindingKind.REJECTED, float(rejected), float(bounds.rejected.value)
    for rule in rules_in(day.rules):
        if rule in _OF_RULE:
            yield _OF_RULE[rule], 0.0, 0.0
    if facts.months.get(meter, 0.0) > bounds.month.value:
        yield FindingKind.MONTH_SUM, facts.months[meter], bounds.month.value
    if meter in facts.residuals:
        yield FindingKind.LAW, facts.residuals[meter], 0.0


def _gaps(day: MeterDay, bounds: Thresholds) -> Iterator[tuple[FindingKind, float, float]]:
    completeness = day.completeness
    incomplete = completeness is not None and completeness < bounds.completeness.value
    if incomplete and completeness is not None:
        yield FindingKind.INCOMPLETE, completeness, bounds.completeness.value
    if day.late_share is not None and day.late_share > bounds.late.value:
        yield FindingKind.LATE, day.late_share, bounds.late.value
    if day.shares is not None and not incomplete:
        unsure = day.shares[1] + day.shares[3]
        if unsure > bounds.estimated.value:
            yield FindingKind.ESTIMATED, unsure, bounds.estimated.value


def _finding(  # noqa: PLR0913, PLR0917 - a line of the list
    facts: DayFacts,
    institution: str,
    kind: FindingKind,
    meter: str,
    what: str,
    value: float = 0.0,
    bound: float = 0.0,
) -> Finding:
    since_ms = facts.since.get((institution, kind, meter), facts.day_ms)
    text, advice = told(kind, what, since_ms, value=value, bound=bound)
    return Finding(
        institution=institution,
        day_ms=facts.day_ms,
        kind=kind,
        meter=meter,
        since_ms=since_ms,
        value=value or None,
        text=text,
        advice=advice,
    )


def _silent_gateways(days: Iterable[MeterDay]) -> set[str]:
    """Gateways of which no meter said anything, if they have more than one."""
    by_gateway: dict[str, list[MeterDay]] = {}
    for day in days:
        if day.expected:
            by_gateway.setdefault(day.entry.gateway, []).append(day)
    return {
        gateway
        for gateway, mine in by_gateway.items()
        if len(mine) > 1 and not any(day.answered for day in mine)
    }
