"""Describe: a rule -> what it watches, where and when, in one line of Chinese each."""

from collections.abc import Iterable
from functools import singledispatch

from collector.alerting.names import BUDGET_MEASURES, DERIVED, FIGURES, MEASURES, SIGNS, unit_of
from collector.alerting.rule import (
    Above,
    Below,
    Budget,
    Condition,
    Consumed,
    Outside,
    Quality,
    Rate,
    Rule,
    Scope,
    Silent,
    System,
    When,
)
from collector.fleet.index import Sector
from collector.settle.day_class import DayClass
from metering.words import chinese

SECTORS = {Sector.HOSPITAL: "医院", Sector.SCHOOL: "学校", Sector.GOVERNMENT: "机关"}
_DAYS = {DayClass.WORKDAY: "工作日", DayClass.REST_DAY: "休息日", DayClass.HOLIDAY: "节假日"}
_SUBJECTS = {"meter": "仪表", "building": "建筑", "institution": "单位", "gateway": "网关"}
_LENGTHS = ((86_400_000, "天"), (3_600_000, "小时"), (60_000, "分钟"), (1_000, "秒"))
_IN_A_ROW = {
    "demand_kw": "个 15 分钟",
    "month": "个月",
    "year_on_year": "个月",
    "month_on_month": "个月",
}
_IN_SECONDS = "_s"


def describe(rule: Rule) -> str:
    """What has to be so, and for how long."""
    said = describe_condition(rule.condition)
    return f"{said}，持续 {length(rule.for_ms)}" if rule.for_ms else said


@singledispatch
def describe_condition(condition: Condition) -> str:
    """What has to be so."""
    raise NotImplementedError(type(condition).__name__)


@describe_condition.register(Above)
@describe_condition.register(Below)
def _(condition: Above | Below) -> str:
    beyond = "高于" if isinstance(condition, Above) else "低于"
    if condition.share_of_rated:
        return f"{title(condition.quantity)}{beyond}额定值的 {_with(condition.limit, '1')}"
    return f"{title(condition.quantity)}{beyond} {_read(condition.quantity, condition.limit)}"


@describe_condition.register
def _(condition: Outside) -> str:
    high = _read(condition.quantity, condition.high)
    return f"{title(condition.quantity)}超出 {condition.low:g}～{high}"


@describe_condition.register
def _(condition: Rate) -> str:
    amount = _read(condition.quantity, condition.limit)
    return f"{title(condition.quantity)}在 {length(condition.within_ms)}内变化超过 {amount}"


@describe_condition.register
def _(condition: Silent) -> str:
    long = length(condition.at_least_ms)
    return f"{_SUBJECTS[condition.of]}超过 {condition.cycles:g} 个周期且 {long}无数据"


@describe_condition.register
def _(condition: Consumed) -> str:
    name = MEASURES[condition.measure]
    beyond = "低于" if condition.falls else "高于"
    limits = []
    if condition.times is not None:
        limits.append(f"近 {condition.baseline_days} 天中位数的 {condition.times:g} 倍")
    if condition.limit is not None:
        sign = "+" if name.changes and condition.limit > 0 else ""
        limits.append(f" {sign}{_with(condition.limit, name.unit)}")
    least = f"（不足 {_with(condition.least, name.unit)} 不计）" if condition.least else ""
    row = _row(condition.in_a_row, _IN_A_ROW.get(condition.measure, "天"))
    return f"{name.title}{beyond}{'或'.join(limits)}{least}{row}"


@describe_condition.register
def _(condition: Quality) -> str:
    name = FIGURES[condition.figure]
    beyond = f"{'低于' if condition.falls else '高于'} {_with(condition.limit, name.unit)}"
    return f"{_SUBJECTS[condition.of]}的{name.title}{beyond}{_row(condition.in_a_row, '天')}"


@describe_condition.register
def _(condition: Budget) -> str:
    return f"{BUDGET_MEASURES[condition.measure].title}超过 {_with(condition.limit, '1')}"


@describe_condition.register
def _(condition: System) -> str:
    name = SIGNS[condition.sign]
    if condition.sign.endswith(_IN_SECONDS):
        return f"{name.title}超过 {length(round(condition.limit * 1000))}"
    if not condition.limit:
        return name.title
    return f"{name.title}超过 {_with(condition.limit, name.unit)}"


def title(quantity: str) -> str:
    """What people call a quantity, own or derived."""
    return DERIVED[quantity].title if quantity in DERIVED else chinese(quantity)


def length(duration_ms: int) -> str:
    """`600000` -> `10 分钟`."""
    for size, name in _LENGTHS:
        if duration_ms >= size and duration_ms % size == 0:
            return f"{duration_ms // size} {name}"
    return f"{duration_ms / 1000:g} 秒"


def describe_scope(scope: Scope) -> str:
    """Where, as a list; empty: everywhere."""
    parts = [
        _listed("区", scope.districts),
        "、".join(SECTORS[sector] for sector in Sector if sector in (scope.sectors or ())),
        "、".join(f"{SECTORS[sector]}除外" for sector in Sector if sector in scope.exempt),
        _listed("单位", scope.institutions),
        _listed("建筑", scope.buildings),
        _listed("网关", scope.gateways),
        _listed("仪表", scope.meters),
        _listed("能耗编码", scope.energies),
        "仅总表" if scope.mains_only else "",
        {1: "单相", 3: "三相"}.get(scope.phases or 0, ""),
    ]
    return "；".join(filter(None, parts))


def describe_when(when: When) -> str:
    """When, as a list; empty: always."""
    hours = f"{_hour(when.from_min)}–{_hour(when.to_min)}"
    parts = [
        "、".join(_DAYS[day] for day in DayClass if day in (when.days or ())),
        "" if (when.from_min, when.to_min) == (0, 1440) else hours,
        {True: "供暖季", False: "非供暖季", None: ""}[when.heating],
        {True: "学期内", False: "假期", None: ""}[when.term],
    ]
    return "；".join(filter(None, parts))


def _row(count: int, unit: str) -> str:
    return f"，连续 {count} {unit}" if count > 1 else ""


def _read(quantity: str, value: float) -> str:
    """A value of a quantity; a power factor is no share."""
    unit = unit_of(quantity)
    return f"{value:g}" if unit == "1" and quantity not in DERIVED else _with(value, unit)


def _with(value: float, unit: str) -> str:
    """A number with its unit; shares as per cent."""
    if unit == "1":
        return f"{value * 100:.6g} %"
    return f"{value:g} {unit}".rstrip()


def _listed(kind: str, names: Iterable[str] | None) -> str:
    return f"{kind} {', '.join(sorted(names))}" if names else ""


def _hour(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
