"""`nenghao alert`: what is wrong, since when, who was told; take it on, or declare it over."""

from datetime import datetime
from typing import Annotated, Any

import typer

from collector.alerting.messages.wording import at, lasted, value_in
from collector.editing.period import instant_ms
from collector.fleet.codes import SHANGHAI
from nenghao.asking import Api, Author, Json, Settings, usage
from nenghao.centre import centre
from nenghao.say import FOUND, say, say_json, say_table

alert = typer.Typer(help="告警：列出、查看、确认、解除", no_args_is_help=True)

COLOURS = {"blue": "蓝", "yellow": "黄", "orange": "橙", "red": "红"}
STATES = {
    "pending": "待触发",
    "firing": "未确认",
    "acknowledged": "已确认",
    "resolved": "已解除",
}
_REASONS = {
    "began": "开始",
    "held": "触发",
    "dropped": "未触发即消失",
    "cleared": "恢复",
    "acknowledged": "确认",
    "ack_expired": "确认到期",
    "by_hand": "人工解除",
    "rule_gone": "规则已取消",
    "worse": "升级",
    "milder": "降级",
    "replayed": "补传结束",
}

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="告警编号")]
Note = Annotated[str, typer.Option("--note", help="备注")]


@alert.command("list")
def list_(  # noqa: PLR0913 - each is an option of the command line
    *,
    every: Annotated[bool, typer.Option("--all", help="已解除的和补传的也列")] = False,
    institution: Annotated[str | None, typer.Option("--institution", help="单位编号")] = None,
    since: Annotated[str | None, typer.Option("--from", help="此时之后变动过的")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 100,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Open alerts, the worst first; exit 1 if any fires that nobody has acknowledged."""
    params: dict[str, Any] = {"limit": limit}
    if every:
        params["state"] = list(STATES)
    if institution:
        params["institution"] = institution
    if since:
        params["since_ms"] = usage(instant_ms, since, assume_shanghai=True)
    with centre(settings, api) as collector:
        found = collector.ask("GET", "/alerts/standing", params=params)
    if not every:
        found = [one for one in found if not one.get("replayed")]
    if json:
        say_json({"alerts": found})
    elif not found:
        say("没有告警")
    else:
        order = list(COLOURS)
        found.sort(key=lambda one: (-order.index(one["severity"]), one["since_ms"]))
        say_table(
            ("编号", "级", "状态", "对象", "告警", "数值", "限值", "自", "历时"),
            [_row(one) for one in found],
            texts=(4,),
            right=(0,),
            spare=(8, 6),
        )
    if any(one["state"] == "firing" and not one.get("replayed") for one in found):
        raise typer.Exit(FOUND)


@alert.command()
def show(number: Number, *, settings: Settings = None, api: Api = None, json: Json = False) -> None:
    """One alert, each of its steps, and who was told by which way."""
    with centre(settings, api) as collector:
        found = collector.ask("GET", f"/alerts/{number}")
    if json:
        say_json(found)
        return
    one = found["alert"]
    place = one["place"]
    where = " · ".join(
        part for part in (place.get("institution"), place.get("building"), _subject(one)) if part
    )
    say(f"告警 {number}【{COLOURS[one['severity']]}】{one['title']}：{STATES[one['state']]}")
    say(f"对象：{where}")
    if one.get("unit"):
        say(
            f"数值：{value_in(one['value'], one['unit'])}，"
            f"限值 {value_in(one['limit'], one['unit'])}，"
            f"最严重 {value_in(one['worst'], one['unit'])}"
        )
    if one.get("energy_so_far"):
        say(f"超出：约 {value_in(one['energy_so_far'], one['energy_unit'])}")
    say(f"规则：{one['rule']}（版本 {one['rule_version']}）")
    say_table(
        ("步", "读数时间", "记录时间", "变动", "状态", "谁", "备注"),
        [
            (
                step["number"],
                _local(step["alert"]["at_ms"]),
                _local(step["alert"]["moved_ms"]),
                _REASONS[step["reason"]],
                STATES[step["alert"]["state"]],
                step["alert"].get("author"),
                step["alert"].get("note"),
            )
            for step in found["steps"]
        ],
        title="经过",
        texts=(6,),
    )
    if found["told"]:
        say_attempts(found["told"])
    else:
        say("还没有通知任何人")


@alert.command()
def ack(  # noqa: PLR0913 - each is an option of the command line
    number: Number,
    *,
    author: Author,
    note: Note = "",
    hours: Annotated[
        float | None, typer.Option("--hours", min=0.1, help="多久之后若仍存在则再次通知")
    ] = None,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Take an alert on: it is not repeated and not escalated until it ends, or the hours do."""
    asked: dict[str, Any] = {"author": author, "note": note}
    if hours is not None:
        asked["hours"] = hours
    with centre(settings, api) as collector:
        found = collector.ask("POST", f"/alerts/{number}/acknowledge", json=asked)
    if json:
        say_json(found)
        return
    until = found.get("ack_until_ms")
    say(f"告警 {number} 已由 {author} 确认" + (f"，至 {_local(until)}" if until else ""))


@alert.command()
def resolve(
    number: Number,
    *,
    author: Author,
    note: Annotated[str, typer.Option("--note", help="为什么")],
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Declare an alert over; where readings still meet the rule another one follows."""
    asked = {"author": author, "note": note}
    with centre(settings, api) as collector:
        found = collector.ask("POST", f"/alerts/{number}/resolve", json=asked)
    if json:
        say_json(found)
    else:
        say(f"告警 {number} 已由 {author} 解除")


def say_attempts(told: list[dict[str, Any]]) -> None:
    """The notification log as a table."""
    say_table(
        ("时间", "接收人", "渠道", "送达", "标题", "答复"),
        [
            (
                _local(one["at_ms"]),
                one["receiver"],
                one["channel"],
                "是" if one["sent"] else "否",
                one["subject"],
                one["answer"],
            )
            for one in told
        ],
        title="通知",
        texts=(4, 5),
    )


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    unit = one.get("unit", "")
    end_ms = one.get("resolved_ms") or one["moved_ms"]
    state = STATES[one["state"]] + ("（补传）" if one.get("replayed") else "")
    return (
        one["number"],
        COLOURS[one["severity"]],
        state,
        _subject(one),
        one["title"],
        value_in(one["value"], unit) if unit else "",
        value_in(one["limit"], unit) if unit else "",
        at(one["since_ms"], one["moved_ms"]),
        lasted(end_ms - one["since_ms"]),
    )


def _subject(one: dict[str, Any]) -> str:
    return str(one["subject"]["id"])


def _local(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI):%m-%d %H:%M:%S}"
