"""`nenghao verify`: the daily verification (日校核) of a day, as a short list."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from collector.fleet.codes import SHANGHAI
from nenghao.asking import Api, Json, Settings, refuse
from nenghao.centre import centre
from nenghao.say import FOUND, say, say_json, say_table

Day = Annotated[str | None, typer.Option("--day", help="日期，如 2026-10-31；省略：昨天")]
Institution = Annotated[str | None, typer.Option("--institution", help="只看一个单位")]
Stored = Annotated[bool, typer.Option("--stored", help="只显示已存的结果，不重新校核")]


def verify(
    *,
    day: Day = None,
    institution: Institution = None,
    stored: Stored = False,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Verify a settled day and show what was found; exit 1 if anything was."""
    day_ms = _day_ms(day)
    with centre(settings, api) as collector:
        if not stored:
            collector.ask("POST", "/quality/verify", params={"day_ms": day_ms})
        span: dict[str, Any] = {"start_ms": day_ms, "end_ms": day_ms + 86_400_000}
        if institution:
            span["institution"] = institution
        found = collector.ask("GET", "/quality/findings", params=span)
    if json:
        say_json({"day_ms": day_ms, "findings": found})
    else:
        _say(found)
    if found:
        raise typer.Exit(FOUND)


def _say(found: list[dict[str, Any]]) -> None:
    if not found:
        say("日校核：未发现问题")
        return
    say_table(
        ("单位", "仪表", "问题", "始于", "建议"),
        (
            (one["institution"], one["meter"], one["text"], _shown(one["since_ms"]), one["advice"])
            for one in found
        ),
        title=f"日校核：{len(found)} 项",
        whole=2,
    )


def _shown(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI).date().isoformat()


def _day_ms(text: str | None) -> int:
    now = datetime.now(tz=SHANGHAI)
    if text is None:
        day = (now - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return round(day.timestamp() * 1000)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=SHANGHAI)
    except ValueError:
        refuse(f"--day {text!r}：请写成 2026-10-31")
    if day > now:
        refuse(f"--day {text}：这一天还没有到")
    return round(day.timestamp() * 1000)
