"""`nenghao notify`: does a message reach somebody, and who was told what."""

from typing import Annotated

import typer

from nenghao.asking import Api, Json, Settings
from nenghao.centre import centre
from nenghao.commands.alert import say_attempts
from nenghao.say import FOUND, say, say_json, say_table

notify = typer.Typer(help="通知：测试渠道、送达记录", no_args_is_help=True)


@notify.command("test")
def try_out(
    receiver: str, *, settings: Settings = None, api: Api = None, json: Json = False
) -> None:
    """Send RECEIVER a test by each of its channels, now; exit 1 if none of them took it."""
    with centre(settings, api) as collector:
        answers = collector.ask("POST", f"/notices/test/{receiver}")
    if json:
        say_json({"receiver": receiver, "answers": answers})
    else:
        say_table(
            ("渠道", "送达", "答复"),
            [(one["channel"], "是" if one["sent"] else "否", one["answer"]) for one in answers],
            title=f"测试通知：{receiver}",
            texts=(2,),
        )
    if not any(one["sent"] for one in answers):
        raise typer.Exit(FOUND)


@notify.command()
def log(
    *,
    alert: Annotated[int | None, typer.Option("--alert", help="告警编号")] = None,
    receiver: Annotated[str | None, typer.Option("--receiver", help="接收人")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Who was told what, when, by which way, and what the channel answered: the newest first."""
    params: dict[str, object] = {"limit": limit}
    if alert is not None:
        params["alert"] = alert
    if receiver is not None:
        params["receiver"] = receiver
    with centre(settings, api) as collector:
        told = collector.ask("GET", "/notices", params=params)
    if json:
        say_json({"attempts": told})
    elif told:
        say_attempts(told)
    else:
        say("没有通知记录")
