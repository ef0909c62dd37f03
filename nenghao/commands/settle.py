"""`nenghao settle`: settle now what is marked, or days that somebody names."""

from typing import Annotated, Any

import typer

from collector.editing.period import TimeInvalid, instant_ms, span_of
from nenghao.asking import Api, Json, Settings, refuse, usage
from nenghao.centre import centre
from nenghao.effect_view import demand_done, say_run
from nenghao.following import settle_now
from nenghao.progress import Bar
from nenghao.say import say_json

Meters = Annotated[list[str] | None, typer.Option("--meter", help="可多次；省略：全部")]
From = Annotated[str | None, typer.Option("--from", help="时刻、日期或月份，如 2026-10")]
To = Annotated[str | None, typer.Option("--to", help="首个不再计入的时刻；整日、整月可省略")]
All = Annotated[bool, typer.Option("--all", help="全部读数，从头结算")]


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
    with centre(settings, api) as collector, Bar() as bar:
        run = settle_now(collector, order, bar)
    if json:
        say_json(run)
    else:
        say_run(run)
    demand_done(run)


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
