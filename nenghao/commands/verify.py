"""`nenghao verify`: the daily verification (日校核) of a day, as a short list."""

from datetime import datetime
from typing import Annotated, Any

import typer

from collector.fleet.codes import SHANGHAI
from collector.settle.cells import DAY_MS
from nenghao.asking import Api, Json, Settings, refuse
from nenghao.centre import centre
from nenghao.say import FOUND, say, say_error, say_json, say_table

Day = Annotated[
    str | None, typer.Option("--day", help="如 2026-10-31；省略：昨天，按采集服务的时钟")
]
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
    asked_ms = None if day is None else _day_ms(day)
    with centre(settings, api) as collector:
        day_ms = collector.ask("GET", "/quality/day")["day_ms"] if asked_ms is None else asked_ms
        span: dict[str, Any] = {"start_ms": day_ms, "end_ms": day_ms + DAY_MS}
        whose = {"institution": institution} if institution else {}
        found = collector.ask("GET", "/quality/findings", params=span | whose)
        if not stored:
            collector.ask("POST", "/quality/verify", params={"day_ms": day_ms})
            found = collector.ask("GET", "/quality/findings", params=span | whose)
        figures = collector.ask("GET", "/quality/figures", params=span | _OF_A_VERIFIED_DAY)
    is_verified = bool(figures)
    if json:
        say_json(
            {"day": _shown(day_ms), "day_ms": day_ms, "verified": is_verified, "findings": found}
        )
    else:
        _say(_shown(day_ms), found, is_verified=is_verified)
    if found or not is_verified:
        raise typer.Exit(FOUND)


# Only the verification makes them.
_OF_A_VERIFIED_DAY = {"subject": "institution"}


def _say(day: str, found: list[dict[str, Any]], *, is_verified: bool) -> None:
    if not is_verified:
        say_error(f"日校核 {day}：尚未校核；去掉 --stored 即校核")
        return
    if not found:
        say(f"日校核 {day}：未发现问题")
        return
    say_table(
        ("单位", "仪表", "始于", "问题", "建议"),
        (
            (one["institution"], one["meter"], _shown(one["since_ms"]), one["text"], one["advice"])
            for one in found
        ),
        title=f"日校核 {day}：{len(found)} 项",
        texts=(3, 4),
    )


def _shown(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI).date().isoformat()


def _day_ms(text: str) -> int:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=SHANGHAI)
    except ValueError:
        refuse(f"--day {text!r}：请写成 2026-10-31")
    return round(day.timestamp() * 1000)
