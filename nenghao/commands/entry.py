"""`nenghao entry`: what people entered, and taking it back."""

from contextlib import suppress
from typing import Annotated

import typer

from collector.editing.period import instant_ms
from nenghao.asking import Api, Author, Json, Reason, Settings, usage
from nenghao.centre import Centre, CentreRefused, centre
from nenghao.commands.correct import Settle
from nenghao.entry_view import Told, say_entries, say_outcome
from nenghao.following import follower_of, when_settled
from nenghao.progress import Bar
from nenghao.say import say, say_json

entry = typer.Typer(help="更正记录：列出、查看、撤销", no_args_is_help=True)

Since = Annotated[str | None, typer.Option("--from", help="涉及此时之后的")]
Until = Annotated[str | None, typer.Option("--to", help="涉及此时之前的")]


@entry.command("list")
def list_(  # noqa: PLR0913 - each is an option of the command line
    *,
    meter: Annotated[list[str] | None, typer.Option("--meter")] = None,
    start: Since = None,
    end: Until = None,
    in_force: Annotated[bool, typer.Option("--in-force", help="只列有效的")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1)] = 100,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """The newest entries, by number."""
    params: dict[str, object] = {"in_force": in_force, "limit": limit}
    if meter:
        params["meter"] = meter
    for name, text in (("start_ms", start), ("end_ms", end)):
        if text:
            params[name] = usage(instant_ms, text, assume_shanghai=True)
    with centre(settings, api) as collector:
        views = collector.ask("GET", "/entries", params=params)
    if json:
        say_json({"entries": [{**one["entry"], "undone_by": one["undone_by"]} for one in views]})
    elif views:
        say_entries([(one["entry"], one["undone_by"]) for one in views])
    else:
        say("没有更正记录")


@entry.command()
def show(number: int, *, settings: Settings = None, api: Api = None, json: Json = False) -> None:
    """One entry: who, when, why, before and after."""
    with centre(settings, api) as collector:
        view = collector.ask("GET", f"/entries/{number}")
    if json:
        say_json({**view["entry"], "undone_by": view["undone_by"]})
        return
    say_entries([(view["entry"], view["undone_by"])])
    say(f"来源：{view['entry']['source']}")


@entry.command()
def undo(  # noqa: PLR0913 - each is an option of the command line
    numbers: list[int],
    *,
    author: Author,
    reason: Reason,
    settle: Settle = True,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Take entries back, all of them or none: another entry says so, nothing is deleted."""
    asked = {"author": author, "reason": reason, "source": "command", "also": numbers[1:]}
    with centre(settings, api) as collector, Bar() as bar:
        meters = _meters_of(collector, numbers) if settle else []
        follower = follower_of(collector, meters, bar) if meters else None
        outcome = collector.ask("POST", f"/entries/{numbers[0]}/undo", json=asked)
        effect = follower.settle(bar) if follower and outcome["entries"] else None
        later = when_settled(collector) if outcome["entries"] and not settle else ""
    say_outcome(outcome, Told(effect=effect, later=later), json=json)


def _meters_of(collector: Centre, numbers: list[int]) -> list[str]:
    """The meters that entries are about; of a number that there is not, the undo tells."""
    found = set()
    for number in numbers:
        with suppress(CentreRefused):
            found.add(collector.ask("GET", f"/entries/{number}")["entry"]["meter"])
    return sorted(found)
