"""`nenghao correct`: what a person says about a meter's data; each is an entry, nothing is lost."""

from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import Struct

from collector.editing.period import Span, instant_ms, span_of
from nenghao.asking import Api, Author, Json, Reason, Settings, refuse, usage
from nenghao.centre import centre
from nenghao.entry_view import Told, say_outcome
from nenghao.following import follower_of, when_settled
from nenghao.progress import Bar

correct = typer.Typer(help="更正：用量、读数、作废、停用", no_args_is_help=True)

At = Annotated[str, typer.Option("--at", help="ISO 8601；没有时区即北京时间")]
From = Annotated[str, typer.Option("--from", help="时刻、日期或月份，如 2026-10")]
To = Annotated[str | None, typer.Option("--to", help="首个不再计入的时刻；整日、整月可省略")]
Value = Annotated[float, typer.Option("--value", help="以该量的单位，或 --unit")]
Quantity = Annotated[str | None, typer.Option("--quantity", help="省略：该表计量的累计量")]
Unit = Annotated[str | None, typer.Option("--unit", help="值的单位，如 kWh、MWh、度、m3、GJ")]
AsShown = Annotated[bool, typer.Option("--as-shown", help="表面读数，未乘倍率")]
Force = Annotated[bool, typer.Option("--force", help="读数前后不合理也登记")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="只检查，不登记")]
Settle = Annotated[
    bool, typer.Option("--settle/--no-settle", help="登记后立即结算，显示用量的变化")
]


@correct.command()
def interval(  # noqa: PLR0913 - each is an option of the command line
    meter: str,
    *,
    start: From,
    end: To = None,
    value: Value,
    author: Author,
    reason: Reason,
    quantity: Quantity = None,
    unit: Unit = None,
    dry_run: DryRun = False,
    settle: Settle = True,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """The consumption of METER in a span was VALUE: an hour, a day, the month of a bill."""
    said = {"value": value, "quantity": quantity, "unit": unit}
    proposal = {"kind": "interval", "meter": meter, **said, **_span(start, end)}
    how = How(where=(settings, api), dry_run=dry_run, settle=settle, json=json)
    enter(proposal, (author, reason), how)


@correct.command()
def reading(  # noqa: PLR0913 - each is an option of the command line
    meter: str,
    *,
    at: At,
    value: Value,
    author: Author,
    reason: Reason,
    quantity: Quantity = None,
    unit: Unit = None,
    as_shown: AsShown = False,
    force: Force = False,
    dry_run: DryRun = False,
    settle: Settle = True,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """The counter of METER stood at VALUE: in place of a wrong reading, or where one is missing."""
    proposal = {
        "kind": "reading",
        "meter": meter,
        "start_ms": usage(instant_ms, at, assume_shanghai=True),
        "value": value,
        "quantity": quantity,
        "unit": unit,
        "as_shown": as_shown,
        "force": force,
    }
    how = How(where=(settings, api), dry_run=dry_run, settle=settle, json=json)
    enter(proposal, (author, reason), how)


@correct.command()
def void(  # noqa: PLR0913 - each is an option of the command line
    meter: str,
    *,
    start: From,
    end: To = None,
    author: Author,
    reason: Reason,
    quantity: Quantity = None,
    dry_run: DryRun = False,
    settle: Settle = True,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Readings of METER in a span do not count; without --quantity none of them."""
    proposal = {"kind": "void", "meter": meter, "quantity": quantity, **_span(start, end)}
    how = How(where=(settings, api), dry_run=dry_run, settle=settle, json=json)
    enter(proposal, (author, reason), how)


@correct.command("out-of-service")
def out_of_service(  # noqa: PLR0913 - each is an option of the command line
    meter: str,
    *,
    start: From,
    end: Annotated[str | None, typer.Option("--to", help="省略：另行通知")] = None,
    author: Author,
    reason: Reason,
    dry_run: DryRun = False,
    settle: Settle = True,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Nothing is expected of METER in a span, or from a time on until it is undone."""
    when = (
        _span(start, end)
        if end
        else {"start_ms": usage(instant_ms, start, assume_shanghai=True), "end_ms": None}
    )
    proposal = {"kind": "out_of_service", "meter": meter, **when}
    how = How(where=(settings, api), dry_run=dry_run, settle=settle, json=json)
    enter(proposal, (author, reason), how)


def _span(start: str, end: str | None) -> dict[str, int]:
    span: Span = usage(span_of, start, end, assume_shanghai=True)
    return {"start_ms": span.start_ms, "end_ms": span.end_ms}


class How(Struct, frozen=True, kw_only=True):
    """How an entry is made, and told.

    Attributes:
        where: the collector's settings, or its address.
    """

    where: tuple[Path | None, str | None]
    dry_run: bool
    settle: bool
    json: bool


def enter(proposal: dict[str, Any], who: tuple[str, str], how: How) -> None:
    """Ask the centre to keep one proposal; say what became of it, and of the consumption."""
    author, reason = who
    for name in ("value", "closing"):
        if not isfinite(proposal.get(name, 0)):
            refuse(f"--{name} {proposal[name]}: 需要一个有限的数")
    entry = {**proposal, "author": author, "reason": reason, "source": "command"}
    asked = {"entries": [entry], "dry_run": True}
    with centre(*how.where) as collector, Bar() as bar:
        effect, later = None, ""
        outcome = collector.ask("POST", "/entries", json=asked)
        if outcome["entries"] and not how.dry_run:
            follower = follower_of(collector, [entry["meter"]], bar) if how.settle else None
            outcome = collector.ask("POST", "/entries", json={**asked, "dry_run": False})
            effect = follower.settle(bar) if follower else None
            later = "" if follower else when_settled(collector)
    say_outcome(outcome, Told(dry_run=how.dry_run, effect=effect, later=later), json=how.json)
