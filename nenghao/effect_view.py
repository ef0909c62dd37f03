"""Effect view: what a settlement changed -> consumption before and after, as tables or JSON."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import typer

from collector.editing.period import iso, shown
from collector.editing.rows import millionths
from collector.settle.cells import Width
from collector.settle.series import PER_UNIT
from nenghao.following import Change, Effect
from nenghao.say import FOUND, say, say_error, say_table

_MOST_DAYS = 14  # of one counter; more are told by months only
_MOST_TABLES = 12


def effect_document(effect: Effect | None) -> dict[str, Any] | None:
    """As `--json` gives it: values are exact decimals, null where nothing is known."""
    if effect is None:
        return None
    return {"run": effect.run, "changes": [_document(one) for one in effect.changes]}


def _document(change: Change) -> dict[str, Any]:
    place = change.place
    return {
        "meter": place.meter,
        "quantity": place.quantity,
        "width": place.width.value,
        "start": iso(place.start_ms),
        "before": None if change.before is None else millionths(change.before),
        "after": None if change.after is None else millionths(change.after),
        "unit": change.unit,
    }


def say_effect(effect: Effect) -> None:
    """Consumption before and after, a table for each counter."""
    say_run(effect.run)
    if not effect.changes:
        say("用量没有变化")
        return
    counters = [list(some) for _, some in groupby(effect.changes, key=_counter)]
    for some in counters[:_MOST_TABLES]:
        place = some[0].place
        say_table(
            ("时间", "原用量", "现用量", "变化"),
            _rows(some),
            title=f"{place.meter} {place.quantity} ({some[0].unit})",
            right=(1, 2, 3),
        )
    if len(counters) > _MOST_TABLES:
        say(f"… 另有 {len(counters) - _MOST_TABLES} 个量有变化：用 nenghao export intervals 查看")


def _counter(change: Change) -> tuple[str, str]:
    return change.place.meter, change.place.quantity


def _rows(changes: Sequence[Change]) -> Iterator[tuple[str, str, str, str]]:
    days = [one for one in changes if one.place.width is Width.DAY]
    if len(days) <= _MOST_DAYS:
        yield from map(_row, days)
    else:
        first, last = (shown(one.place.start_ms)[:10] for one in (days[0], days[-1]))
        yield f"{first} 至 {last}", f"共 {len(days)} 天", "", ""
    yield from (_row(one) for one in changes if one.place.width is Width.MONTH)


def _row(change: Change) -> tuple[str, str, str, str]:
    start = shown(change.place.start_ms)
    when = f"{start[:7]} 全月" if change.place.width is Width.MONTH else start[:10]
    before, after = change.before, change.after
    gained = "" if before is None or after is None else f"{(after - before) / PER_UNIT:+,.3f}"
    return when, _told(before), _told(after), gained


def _told(value: int | None) -> str:
    return "未知" if value is None else f"{value / PER_UNIT:z,.3f}"


def say_run(run: dict[str, Any]) -> None:
    """What a settlement did, or why it could not."""
    report = run["report"]
    if run["error"]:
        say_error(f"结算失败：{run['error']}；未完成的仍有标记，下次会再结算")
    if report is None:
        return
    say(
        f"结算 {report['meters']} 块表、{report['days']} 个表日，用时 {report['seconds']:.1f} s："
        f"写入 {report['written']} 行，其中更新 {report['raised']} 行"
    )
    if report["unknown"]:
        say(f"配置中没有、未结算的表：{', '.join(report['unknown'])}")
    if run["state"] == "stopped":
        say_error(f"结算中断，尚余 {report['left']} 个表日，下次会再结算")
    elif report["left"]:
        say(f"另有 {report['left']} 个表日待结算 (用 nenghao settle)")


def demand_done(run: dict[str, Any]) -> None:
    """Exit 1 unless the settlement is done."""
    if run["state"] != "done":
        raise typer.Exit(FOUND)
