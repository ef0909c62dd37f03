"""Rule view: what a back-test found -> a table and charts for a person, plain values."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from collector.alerting.rule import Rule
from collector.alerting.rules.describe import describe
from collector.alerting.severity import Severity
from collector.fleet.codes import SHANGHAI
from nenghao.chart import chart
from nenghao.say import say, say_table

_COLUMNS = ("级", "规则", "对象", "触发", "解除", "持续", "最严重", "限值", "多用")
_WITH_DIGITS = 1000  # a number below that
_LENGTHS = ((86_400_000, "天"), (3_600_000, "小时"), (60_000, "分钟"))


def say_played(run: Mapping[str, Any], rules: Iterable[Rule]) -> None:
    """When each rule would have fired, and what it looked at."""
    played, by_id = run["played"], {rule.id: rule for rule in rules}
    fired = played["fired"]
    if fired:
        say_table(_COLUMNS, map(_row, fired), title="回测：会触发的预警", spare=(8, 5))
    for line in played["lines"]:
        _say_line(line, by_id[line["rule"]])
    _say_summary(played, by_id)


def _say_summary(played: Mapping[str, Any], by_id: Mapping[str, Rule]) -> None:
    counts: dict[str, int] = {}
    for one in played["fired"]:
        counts[one["rule"]] = counts.get(one["rule"], 0) + 1
    say_table(
        ("规则", "级", "条件", "查看对象", "触发次数"),
        (
            (
                rule.id,
                rule.severity.colour,
                f"{rule.title}：{describe(rule)}",
                _looked_at(rule.id, played),
                counts.get(rule.id, 0),
            )
            for rule in by_id.values()
        ),
        title="规则",
        texts=(2,),
    )
    if played["not_played"]:
        say("不能回测：无数据、网关和中心状态不在数据库中留存")
    say(f"共触发 {len(played['fired'])} 次")
    if played["stopped"]:
        say("回测中断，以上只是一部分")


def _looked_at(rule: str, played: Mapping[str, Any]) -> str:
    return "不能回测" if rule in played["not_played"] else str(played["subjects"].get(rule, 0))


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    end_ms = one["resolved_ms"]
    return (
        Severity(one["severity"]).colour,
        one["rule"],
        one["subject"]["id"],
        _time(one["fired_ms"]),
        "未解除" if end_ms is None else _time(end_ms),
        "" if end_ms is None else _length(end_ms - one["since_ms"]),
        amount(one["worst"], one["unit"]),
        amount(one["limit"], one["unit"]),
        "" if one["energy"] is None else amount(one["energy"], one["energy_unit"]),
    )


def _say_line(line: Mapping[str, Any], rule: Rule) -> None:
    colour = rule.severity.colour
    unit = "%" if line["unit"] == "1" else line["unit"]
    say(f"\n{colour} {rule.title}（{rule.id}）· {line['subject']['id']} · {unit}，┄ 为限值")
    scale = 100.0 if line["unit"] == "1" else 1.0

    def scaled(values: Iterable[float | None]) -> list[float | None]:
        return [None if one is None else one * scale for one in values]

    values, limits = scaled(line["value"]), scaled(line["limit"])
    for text in chart(line["at_ms"], values, limits, falls=line["falls"]):
        say(text)


def amount(value: float, unit: str) -> str:
    """A number with its unit; shares as per cent."""
    if unit == "1":
        return f"{value * 100:,.1f} %"
    return f"{value:,.4g} {unit}" if abs(value) < _WITH_DIGITS else f"{value:,.0f} {unit}"


def _length(duration_ms: int) -> str:
    for size, name in _LENGTHS:
        if duration_ms >= size:
            return f"{duration_ms / size:.3g} {name}"
    return f"{duration_ms / 1000:.0f} 秒"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI).strftime("%Y-%m-%d %H:%M")
