"""Entry view: entries and outcomes, as the centre gives them -> lines for a person."""

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from msgspec import Struct

from collector.editing.period import shown
from collector.editing.rows import rounded
from collector.settle.counters import unit_of
from metering.quantity import QUANTITIES
from nenghao.effect_view import demand_done, effect_document, say_effect
from nenghao.following import Effect
from nenghao.say import FOUND, say, say_error, say_json, say_table

_KINDS = {
    "replacement": "换表",
    "reading": "读数",
    "void": "作废",
    "interval": "用量",
    "out_of_service": "停用",
    "undo": "撤销",
}
COLUMNS = ("号", "类别", "表、量", "时间", "原值 → 值", "谁、为什么")


def entry_row(entry: dict[str, Any], undone_by: int | None) -> tuple[Any, ...]:
    """One entry as a row of the table; cells of several short lines, so that it stays narrow."""
    quantity = "全部" if entry["quantity"] == "*" else entry["quantity"]
    made = shown(entry["made_ms"] // 60_000 * 60_000)
    return (
        entry["number"] or "-",
        f"{_KINDS[entry['kind']]}\n{_state(entry, undone_by)}",
        f"{entry['meter']}\n{quantity}",
        "\n".join(_when(entry)),
        _values(entry),
        f"{entry['author']} {made}\n{entry['reason']}",
    )


def _when(entry: dict[str, Any]) -> Iterator[str]:
    """A span, or one instant; whole days without the time of day."""
    start_ms, end_ms = entry["start_ms"], entry["end_ms"]
    start, start_time = _day_and_time(start_ms)
    if end_ms is None or end_ms - start_ms == 1:
        yield start
        if start_time:
            yield start_time
        if entry["kind"] == "out_of_service":
            yield "至 另行通知"
        return
    end, end_time = _day_and_time(end_ms)
    yield start
    if not start_time and not end_time:
        yield f"至 {end}"
    elif start == end:
        yield f"{start_time or '00:00'} 至 {end_time}"
    else:
        yield f"{start_time or '00:00'} 至"
        yield end
        yield end_time or "00:00"


def _day_and_time(at_ms: int) -> tuple[str, str]:
    """Midnight has no time."""
    day, _, time = shown(at_ms).partition(" ")
    return day, "" if time == "00:00" else time


def _state(entry: dict[str, Any], undone_by: int | None) -> str:
    if entry["undoes"] is not None:
        return f"第 {entry['undoes']} 号"
    return f"撤于 {undone_by} 号" if undone_by is not None else "有效"


def _values(entry: dict[str, Any]) -> str:
    quantity = entry["quantity"]
    before, value = (_number(entry[name], quantity) for name in ("before", "value"))
    if entry["closing"] is not None:
        closing = _number(entry["closing"], quantity)
        return f"止码 {closing}\n起码 {value}"
    return f"{before or '无'}\n→ {value or '无'}"


def _number(value: float | None, quantity: str) -> str:
    if value is None:
        return ""
    return f"{rounded(value)} {unit_of(quantity) if quantity in QUANTITIES else ''}".rstrip()


class Told(Struct, frozen=True, kw_only=True):
    """What is told beside the entries themselves.

    Attributes:
        effect: what settling them changed; None if they were not settled.
        later: when they will be, for a person.
    """

    dry_run: bool = False
    effect: Effect | None = None
    later: str = ""


def say_outcome(outcome: dict[str, Any], told: Told, *, json: bool = False) -> None:
    """What became of what was asked; exit 1 if it was refused, or could not be settled."""
    if json:
        say_json({**outcome, "settled": effect_document(told.effect)})
    else:
        _say(outcome, dry_run=told.dry_run)
        if told.later:
            say(told.later)
        if told.effect is not None:
            say_effect(told.effect)
    if outcome["mistakes"]:
        raise typer.Exit(FOUND)
    if told.effect is not None:
        demand_done(told.effect.run)


def _say(outcome: dict[str, Any], *, dry_run: bool) -> None:
    for mistake in outcome["mistakes"]:
        say_error(f"✗ {mistake['message']}")
    for note in outcome["notes"]:
        say_error(f"注意：{note['message']}")
    if outcome["entries"]:
        title = "试运行，未登记" if dry_run else "已登记"
        say_entries([(entry, None) for entry in outcome["entries"]], title)
    for entry in outcome["repeated"]:
        say(f"第 {entry['number']} 号已有同样的登记，未再登记")
    kept = [str(entry["number"]) for entry in outcome["entries"] if entry["undoes"] is None]
    if kept and not dry_run:
        say(f"撤销：nenghao entry undo {' '.join(kept)} --author … --reason …")


def say_entries(entries: Sequence[tuple[dict[str, Any], int | None]], title: str = "") -> None:
    say_table(COLUMNS, (entry_row(*one) for one in entries), title, texts=(5,))
