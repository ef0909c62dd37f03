"""`nenghao total`: consumption by energy code of buildings, institutions and the district."""

from typing import Annotated, Any

import typer

from collector.editing.period import shown, span_of
from collector.settle.cells import Width
from nenghao.asking import Api, Json, Settings, usage
from nenghao.centre import centre
from nenghao.say import say, say_json, say_table

From = Annotated[str, typer.Option("--from", help="时刻、日期或月份，如 2026-10")]
To = Annotated[str | None, typer.Option("--to", help="首个不再计入的时刻；整日、整月可省略")]
Wide = Annotated[Width, typer.Option("--width", help="15m, 1h, 1d, 1mo")]

_KINDS = {"building": "建筑", "institution": "单位", "district": "区"}


def total(
    *,
    start: From,
    end: To = None,
    width: Wide = Width.MONTH,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Totals by energy code; each kilowatt-hour counts once, generation is a flow of its own."""
    span = usage(span_of, start, end, assume_shanghai=True)
    with centre(settings, api) as collector:
        rows = collector.ask(
            "GET",
            "/totals",
            params={
                "start_ms": span.start_ms,
                "end_ms": span.end_ms,
                "width": width.value,
            },
        )
    if json:
        say_json({"totals": rows})
        return
    if not rows:
        say("这一时段没有结算结果")
        return
    say_table(
        ("对象", "能耗编码", "起", "用量", "估算", "缺失", "实测"),
        (_row(one, width) for one in rows),
        title="分类分项能耗",
        right=(3, 4, 5, 6),
        spare=(6,),
    )
    for told in dict.fromkeys(_absent(one, width) for one in rows if one["absent"]):
        say(told)


def _row(one: dict[str, Any], width: Width) -> tuple[str, ...]:
    value = "未知" if one["value"] is None else f"{one['value']:z,.3f} {one['unit']}"
    return (
        _subject(one),
        _code(one),
        _start(one, width),
        value,
        f"{one['estimated']:z.1%}",
        f"{one['missing']:z.1%}",
        f"{one['measured']:z.1%}",
    )


def _subject(one: dict[str, Any]) -> str:
    return f"{_KINDS.get(one['subject'], one['subject'])} {one['id']}"


def _code(one: dict[str, Any]) -> str:
    return f"{one['code']} 发电" if one["generation"] else str(one["code"])


def _start(one: dict[str, Any], width: Width) -> str:
    start = shown(one["start_ms"])
    shortened = {Width.MONTH: start[:7], Width.DAY: start[:10]}
    return shortened.get(width, start)


def _absent(one: dict[str, Any], width: Width) -> str:
    return f"缺表：{_subject(one)} {_code(one)} {_start(one, width)}：{'、'.join(one['absent'])}"
