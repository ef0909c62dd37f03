"""Find: a day's meters, checks and clocks -> findings, few and true.

One finding for a meter and cause; what a bigger cause explains is left out: a gateway of which
every meter is silent, incomplete or late is said instead of its meters; a silent meter hides that
its data are incomplete; sums are not held against meters whose register is in doubt.
"""

from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from msgspec import Struct, structs

from collector.findings import Finding, FindingKind
from collector.fleet.index import Fleet
from collector.gain.departure import Departure
from collector.quality.figures import MeterDay
from collector.quality.thresholds import Thresholds
from collector.quality.words import Said, day_of, moment_of, told
from collector.settle.counters import counter_of, unit_of
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
# What all meters of a gateway have together is the gateway's.
_SHARED = (FindingKind.SILENT, FindingKind.INCOMPLETE, FindingKind.LATE)
# A sum with one of these in it says nothing new.
_IN_DOUBT = frozenset(
    {
        FindingKind.FROZEN,
        FindingKind.RESET,
        FindingKind.JUMP,
        FindingKind.UNIT,
        FindingKind.GAIN,
        FindingKind.SILENT,
    }
)
_NINETEEN_OF_TWENTY = 2  # standard errors

Key = tuple[str, FindingKind, str]  # institution, kind, meter


class DayFacts(Struct, frozen=True, kw_only=True):
    """What is known of a day.

    Attributes:
        sums: mains against what is below them, over the day.
        months: share by which days and month differ, by meter.
        residuals: what intervals and register differ by, in the counter's unit, by meter; not 0.
        clocks_s: how far gateways' clocks are off, in seconds, by gateway.
        since: when a finding of the day before began.
        gains: meters that count otherwise than before, each once.
    """

    day_ms: int
    days: Sequence[MeterDay]
    sums: Sequence[SumCheck] = ()
    months: dict[str, float] = {}
    residuals: dict[str, float] = {}
    clocks_s: dict[str, float] = {}
    since: dict[Key, int] = {}
    gains: Sequence[Departure] = ()


class _Cause(Struct, frozen=True, kw_only=True):
    """What is wrong with one meter, before it is said."""

    kind: FindingKind
    meter: str
    institution: str
    circuit: str
    gateway: str
    value: float | None = None
    other: float = 0.0
    unit: str = ""
    since_ms: int | None = None  # None: as the day before said, or this day
    departure: Departure | None = None


def find(facts: DayFacts, fleet: Fleet, bounds: Thresholds) -> list[Finding]:
    """Every finding of the day, by institution, the most important first."""
    causes = [cause for day in facts.days for cause in _of_meter(facts, day, bounds)]
    causes += _gains(facts)
    doubtful = {cause.meter for cause in causes if cause.kind in _IN_DOUBT}
    causes = [*_of_gateways(causes, facts.days), *_sums(facts, doubtful)]
    causes += _clocks(facts, fleet, bounds)
    found: dict[Key, Finding] = {}
    for cause in causes:
        key = (cause.institution, cause.kind, cause.meter)
        found.setdefault(key, _finding(cause, facts, bounds))
    return sorted(found.values(), key=by_importance)


def by_importance(one: Finding) -> tuple[str, int, str]:
    """The most important first, by institution."""
    return one.institution, _ORDER.index(one.kind), one.meter


# ---- meters


def _of_meter(facts: DayFacts, day: MeterDay, bounds: Thresholds) -> Iterator[_Cause]:
    if not day.expected:
        return
    if not day.answered:
        yield _cause(day, FindingKind.SILENT, since_ms=day.last_ms)
        return
    meter = day.entry.meter
    yield from _gaps(day, bounds)
    rejected = sum(day.rejected.values())
    if rejected > bounds.rejected.value:
        yield _cause(day, FindingKind.REJECTED, float(rejected))
    for rule in rules_in(day.rules):
        if rule in _OF_RULE:
            yield _cause(day, _OF_RULE[rule])
    if facts.months.get(meter, 0.0) > bounds.month.value:
        yield _cause(day, FindingKind.MONTH_SUM, facts.months[meter])
    if meter in facts.residuals:
        yield _cause(day, FindingKind.LAW, facts.residuals[meter])


def _gaps(day: MeterDay, bounds: Thresholds) -> Iterator[_Cause]:
    completeness = day.completeness
    incomplete = completeness is not None and completeness < bounds.completeness.value
    if incomplete:
        yield _cause(day, FindingKind.INCOMPLETE, completeness)
    if day.late_share is not None and day.late_share > bounds.late.value:
        yield _cause(day, FindingKind.LATE, day.late_share)
    if day.shares is not None and not incomplete:
        unsure = day.shares[1] + day.shares[3]
        if unsure > bounds.estimated.value:
            yield _cause(day, FindingKind.ESTIMATED, unsure)


def _cause(
    day: MeterDay, kind: FindingKind, value: float | None = None, since_ms: int | None = None
) -> _Cause:
    entry = day.entry
    return _Cause(
        kind=kind,
        meter=entry.meter,
        institution=entry.institution,
        circuit=entry.circuit,
        gateway=entry.gateway,
        value=value,
        unit=unit_of(counter_of(entry, ())),
        since_ms=since_ms,
    )


# ---- what lies above them


def _of_gateways(causes: Sequence[_Cause], days: Iterable[MeterDay]) -> Iterator[_Cause]:
    """The same causes, those that all meters of a gateway share once for the gateway."""
    silent = {cause.meter for cause in causes if cause.kind is FindingKind.SILENT}
    meters: dict[str, set[str]] = {}
    for day in days:
        if day.expected:
            meters.setdefault(day.entry.gateway, set()).add(day.entry.meter)
    by_kind: dict[tuple[str, FindingKind], list[_Cause]] = {}
    for cause in causes:
        by_kind.setdefault((cause.gateway, cause.kind), []).append(cause)
    for (gateway, kind), mine in by_kind.items():
        asked = meters[gateway] if kind is FindingKind.SILENT else meters[gateway] - silent
        if kind in _SHARED and len(mine) > 1 and len(mine) == len(asked):
            yield _gateways_own(gateway, mine)
        else:
            yield from mine


def _gateways_own(gateway: str, mine: Sequence[_Cause]) -> _Cause:
    first = mine[0]
    values = [cause.value for cause in mine if cause.value is not None]
    since = [cause.since_ms for cause in mine if cause.since_ms is not None]
    return _Cause(
        kind=first.kind,
        meter=gateway,
        institution=first.institution,
        circuit="",
        gateway=gateway,
        value=fmean(values) if values else None,
        since_ms=max(since) if since else None,
    )


def _sums(facts: DayFacts, doubtful: set[str]) -> Iterator[_Cause]:
    entries = {day.entry.meter: day.entry for day in facts.days}
    for check in facts.sums:
        entry = entries.get(check.meter)
        if check.agrees is not False or entry is None or doubtful & {check.meter, *check.below}:
            continue
        yield _Cause(
            kind=FindingKind.SUM,
            meter=check.meter,
            institution=entry.institution,
            circuit=entry.circuit,
            gateway=entry.gateway,
            value=None if check.share is None else -check.share,
            other=check.parts - check.main,
            unit=unit_of(check.quantity),
        )


def _gains(facts: DayFacts) -> Iterator[_Cause]:
    days = {day.entry.meter: day for day in facts.days}
    for one in facts.gains:
        if one.meter in days:
            cause = _cause(days[one.meter], FindingKind.GAIN, one.change)
            first = facts.since.get((cause.institution, cause.kind, cause.meter), one.since_ms)
            yield structs.replace(cause, since_ms=first, departure=one)


def _clocks(facts: DayFacts, fleet: Fleet, bounds: Thresholds) -> Iterator[_Cause]:
    for gateway, off_s in facts.clocks_s.items():
        if abs(off_s) > bounds.clock_s.value and gateway in fleet.gateways:
            where = fleet.gateways[gateway].institution
            yield _Cause(
                kind=FindingKind.CLOCK,
                meter=gateway,
                institution=where,
                circuit="",
                gateway=gateway,
                value=off_s,
            )


# ---- words


def _finding(cause: _Cause, facts: DayFacts, bounds: Thresholds) -> Finding:
    before = facts.since.get((cause.institution, cause.kind, cause.meter), facts.day_ms)
    since_ms = before if cause.since_ms is None else cause.since_ms
    to_the_minute = cause.kind is FindingKind.SILENT and cause.since_ms is not None
    said = Said(
        what=f"{cause.circuit}（{cause.meter}）" if cause.circuit else _of_gateway(cause),
        of_gateway=not cause.circuit,
        since=moment_of(since_ms) if to_the_minute else day_of(since_ms),
        lasts=since_ms < facts.day_ms,
        value=cause.value,
        other=cause.other,
        bound=_bound(cause.kind, bounds),
        unit=cause.unit,
    )
    text, advice = told(cause.kind, _of_departure(said, cause.departure))
    return Finding(
        institution=cause.institution,
        day_ms=facts.day_ms,
        kind=cause.kind,
        meter=cause.meter,
        since_ms=since_ms,
        value=cause.value,
        text=text,
        advice=advice,
    )


def _of_departure(said: Said, one: Departure | None) -> Said:
    if one is None:
        return said
    return structs.replace(
        said,
        error=_NINETEEN_OF_TWENTY * one.error,
        against=one.main or "",
        other_meter=one.other or "",
        ratio=one.ratio,
        usual=one.usual,
    )


def _of_gateway(cause: _Cause) -> str:
    own = cause.kind is FindingKind.CLOCK
    return f"网关 {cause.meter} " if own else f"网关 {cause.meter} 下全部仪表"


def _bound(kind: FindingKind, bounds: Thresholds) -> float:
    if kind is FindingKind.INCOMPLETE:
        return bounds.completeness.value
    return bounds.month.value if kind is FindingKind.MONTH_SUM else 0.0
