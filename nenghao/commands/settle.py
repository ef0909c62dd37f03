"""`nenghao settle`: settle now what is marked, or days that somebody names."""

import time
from typing import Annotated, Any

import typer

from collector.editing.period import TimeInvalid, instant_ms, span_of
from nenghao.asking import Api, Json, Settings, refuse, usage
from nenghao.centre import Centre, centre
from nenghao.progress import Bar
from nenghao.say import FOUND, say, say_error, say_json

Meters = Annotated[list[str] | None, typer.Option("--meter", help="可多次；省略：全部")]
From = Annotated[str | None, typer.Option("--from", help="时刻、日期或月份，如 2026-10")]
To = Annotated[str | None, typer.Option("--to", help="首个不再计入的时刻；整日、整月可省略")]
All = Annotated[bool, typer.Option("--all", help="全部读数，从头结算")]

_FIRST_LOOK_S = 0.02
_LONGEST_LOOK_S = 0.5
_UNDER_WAY = ("waiting", "running")


def settle(  # noqa: PLR0913 - each is an option of the command line
    *,
    meter: Meters = None,
    start: From = None,
    end: To = None,
    everything: All = False,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Settle consumption: what is marked; with --from or --all, whole days again.

    Settling again changes nothing that is right already. Exit 1 if it fails or is stopped.
    """
    order = _order(meter, start, end, everything=everything)
    with centre(settings, api) as collector:
        run = collector.ask("POST", "/settle", json=order)
        run = _ended(collector, run)
    if json:
        say_json(run)
    else:
        _say(run)
    if run["state"] != "done":
        raise typer.Exit(FOUND)


def _order(
    meters: list[str] | None, start: str | None, end: str | None, *, everything: bool
) -> dict[str, Any]:
    """As `POST /settle` takes it."""
    order: dict[str, Any] = {"meters": meters} if meters else {}
    if everything:
        if start or end:
            refuse("--all 已包含全部时间，不能再给 --from 或 --to")
        return {**order, "all": True}
    if start is None:
        if end:
            order["end_ms"] = usage(instant_ms, end, assume_shanghai=True)
        return order
    try:
        span = span_of(start, end, assume_shanghai=True)
    except TimeInvalid as error:
        if end is not None:
            refuse(str(error))
        return {**order, "start_ms": usage(instant_ms, start, assume_shanghai=True)}
    return {**order, "start_ms": span.start_ms, "end_ms": span.end_ms}


def _ended(collector: Centre, run: dict[str, Any]) -> dict[str, Any]:
    """The run when it has ended; its progress is shown meanwhile."""
    pause_s = _FIRST_LOOK_S
    with Bar() as bar:
        total = None
        while run["state"] in _UNDER_WAY:
            at = run["at"]
            if total != at["total"]:
                total = at["total"]
                bar.begin("结算 (表日)" if run["state"] == "running" else "等待结算", total)
            bar.reach(at["done"])
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_LOOK_S)
            run = collector.ask("GET", f"/settle/{run['number']}")
    return run


def _say(run: dict[str, Any]) -> None:
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
