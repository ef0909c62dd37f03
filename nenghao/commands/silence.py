"""`nenghao silence`: alerts that match say nothing for a while; they are recorded all the same."""

from datetime import datetime
from typing import Annotated, Any

import typer

from collector.editing.period import instant_ms
from collector.fleet.codes import SHANGHAI
from nenghao.asking import Api, Author, Json, Settings, refuse, usage
from nenghao.centre import centre
from nenghao.say import say, say_json, say_table

silence = typer.Typer(help="静默：一段时间内不通知", no_args_is_help=True)


@silence.command()
def add(  # noqa: PLR0913 - each is an option of the command line
    matcher: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE...", help="如 institution=e001 rule=night-base*；须全部符合"
        ),
    ],
    *,
    author: Author,
    comment: Annotated[str, typer.Option("--comment", help="为什么")],
    hours: Annotated[float | None, typer.Option("--hours", min=0.1, help="多久")] = None,
    end: Annotated[str | None, typer.Option("--to", help="到何时为止")] = None,
    start: Annotated[str | None, typer.Option("--from", help="从何时起；不写即现在")] = None,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Add a silence: from now or --from, for --hours or until --to."""
    if (hours is None) == (end is None):
        refuse("--hours 和 --to 须且只须写一个")
    asked: dict[str, Any] = {
        "matcher": dict(map(_pair, matcher)),
        "author": author,
        "comment": comment,
    }
    if start is not None:
        asked["start_ms"] = usage(instant_ms, start, assume_shanghai=True)
    if end is not None:
        asked["end_ms"] = usage(instant_ms, end, assume_shanghai=True)
    else:
        asked["hours"] = hours
    with centre(settings, api) as collector:
        kept = collector.ask("POST", "/silences", json=asked)
    if json:
        say_json(kept)
    else:
        say(
            f"静默 {kept['number']}：{_matched(kept)}，{_local(kept['start_ms'])} 至 "
            f"{_local(kept['end_ms'])}"
        )


@silence.command("list")
def list_(
    *,
    every: Annotated[bool, typer.Option("--all", help="已结束的和未开始的也列")] = False,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Silences in force."""
    with centre(settings, api) as collector:
        found = collector.ask("GET", "/silences", params={"in_force": not every, "limit": 1000})
    if json:
        say_json({"silences": found})
    elif not found:
        say("没有静默")
    else:
        say_table(
            ("编号", "条件", "自", "至", "谁", "为什么"),
            [
                (
                    one["number"],
                    _matched(one),
                    _local(one["start_ms"]),
                    _local(one.get("ended_ms") or one["end_ms"]),
                    one["author"],
                    one["comment"],
                )
                for one in found
            ],
            texts=(1, 5),
            right=(0,),
        )


@silence.command()
def expire(number: int, *, settings: Settings = None, api: Api = None, json: Json = False) -> None:
    """End a silence now: what still fires is told then."""
    with centre(settings, api) as collector:
        ended = collector.ask("POST", f"/silences/{number}/expire")
    if json:
        say_json(ended)
    else:
        say(f"静默 {number} 已结束")


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        refuse(f"须写成 名称=值，如 institution=e001；收到 {text!r}")
    return name, value


def _matched(one: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in one["matcher"].items())


def _local(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI):%Y-%m-%d %H:%M}"
