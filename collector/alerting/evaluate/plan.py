"""Plan: rules and one meter's entry -> what to look at in each of its readings.

Rules of one quantity share a quiet band in which all of them are clear: a usual reading costs a
comparison a quantity, however many rules there are.
"""

from collections.abc import Iterable
from math import inf

from msgspec import Struct

from collector.alerting.evaluate.derived import DERIVED, MADE, Derive
from collector.alerting.observation import Verdict
from collector.alerting.rule import Above, Below, Outside, Rate, Rule, When
from collector.alerting.subject import Subject, SubjectKind
from collector.fleet.index import MeterEntry
from metering.quantity import QUANTITIES

_ALWAYS = When()
_ENERGY = {
    "active_power_kw": "kWh",
    "heat_power_kw": "GJ",
    "flow_m3_h": "m³",
    "flow_standard_m3_h": "m³",
}

Judgement = tuple[Verdict, float]  # and the limit that it rests on


class Check(Struct, frozen=True, kw_only=True):
    """One rule on one quantity of one meter.

    Attributes:
        low, high: beyond these it is met.
        calm_low, calm_high: from there on it is clear.
        within_ms: of a rate; 0 for the others.
        always: it has no hours of its own.
    """

    rule: Rule
    quantity: str
    unit: str
    low: float = -inf
    high: float = inf
    calm_low: float = -inf
    calm_high: float = inf
    within_ms: int = 0
    energy_unit: str = ""
    always: bool

    def judge(self, value: float) -> Judgement:
        if value > self.high:
            return Verdict.MET, self.high
        if value < self.low:
            return Verdict.MET, self.low
        if self.calm_low <= value <= self.calm_high:
            near_high = self.calm_high - value < value - self.calm_low
            return Verdict.CLEAR, self.calm_high if near_high else self.calm_low
        return Verdict.BETWEEN, self.high if value > self.calm_high else self.low


class Band(Struct, frozen=True):
    """The rules on one quantity, and where all of them are clear.

    Attributes:
        low, high: nothing in between needs a look; of a rate everything does.
        derive: makes the quantity if the meter did not say it; None: it cannot be made.
        rules: ids of the checks' rules.
    """

    quantity: str
    low: float
    high: float
    derive: Derive | None
    checks: tuple[Check, ...]
    rules: frozenset[str]


class Plan(Struct, frozen=True, kw_only=True):
    """What to look at in the readings of a meter while its entry is in force."""

    subject: Subject
    entry: MeterEntry
    to_ms: float
    bands: tuple[Band, ...]


def plan_of(rules: Iterable[Rule], entry: MeterEntry) -> Plan:
    """Those rules that concern the meter."""
    checks = tuple(
        check
        for rule in rules
        if rule.scope.holds(entry) and (check := _check(rule, entry)) is not None
    )
    return Plan(
        subject=Subject(SubjectKind.METER, entry.meter),
        entry=entry,
        to_ms=inf if entry.valid_to_ms is None else entry.valid_to_ms,
        bands=tuple(sorted(_bands(checks, entry), key=lambda band: band.quantity in DERIVED)),
    )


def _check(rule: Rule, entry: MeterEntry) -> Check | None:
    condition = rule.condition
    if not isinstance(condition, Above | Below | Outside | Rate):
        return None
    name = condition.quantity
    if name in DERIVED and derive_of(name, entry) is None:
        return None  # never for this meter
    unit = DERIVED[name].unit if name in DERIVED else QUANTITIES[name].unit
    scale = 1.0
    if isinstance(condition, Above | Below) and condition.share_of_rated:
        if name not in entry.rated:
            return None
        scale = entry.rated[name]
    low, high, calm_low, calm_high = _limits(condition, scale)
    return Check(
        rule=rule,
        quantity=name,
        unit=unit,
        low=low,
        high=high,
        calm_low=calm_low,
        calm_high=calm_high,
        within_ms=condition.within_ms if isinstance(condition, Rate) else 0,
        energy_unit=_ENERGY.get(name, "") if isinstance(condition, Above) else "",
        always=rule.when == _ALWAYS,
    )


def _limits(
    condition: Above | Below | Outside | Rate, scale: float
) -> tuple[float, float, float, float]:
    match condition:
        case Above(limit=limit, resolves=resolves):
            return -inf, limit * scale, -inf, resolves * scale
        case Below(limit=limit, resolves=resolves):
            return limit * scale, inf, resolves * scale, inf
        case Outside(low=low, high=high, margin=margin):
            return low, high, low + margin, high - margin
        case Rate(limit=limit):
            return -limit, limit, -limit, limit


def _bands(checks: Iterable[Check], entry: MeterEntry) -> Iterable[Band]:
    by_quantity: dict[str, list[Check]] = {}
    for check in checks:
        by_quantity.setdefault(check.quantity, []).append(check)
    for name, of_it in by_quantity.items():
        has_rate = any(check.within_ms for check in of_it)
        yield Band(
            name,
            inf if has_rate else max(check.calm_low for check in of_it),
            -inf if has_rate else min(check.calm_high for check in of_it),
            derive_of(name, entry),
            tuple(of_it),
            frozenset(check.rule.id for check in of_it),
        )


def derive_of(name: str, entry: MeterEntry) -> Derive | None:
    """How a quantity is made where the meter does not say it; None if it cannot be."""
    if name in DERIVED:
        return DERIVED[name].of(entry)
    return MADE[name](entry) if name in MADE else None
