"""`nenghao total`: consumption by energy code of buildings, institutions and the district."""

from datetime import datetime
from typing import Annotated, Any

import typer

from collector.editing.period import span_of
from collector.fleet.codes import SHANGHAI
from collector.settle.cells import Width
from nenghao.asking import Api, Json, Settings, usage
from nenghao.centre import centre
from nenghao.say import say_json, say_table

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
    say_table(
        ("对象", "编号", "能耗编码", "起", "用量", "单位", "实测", "估算", "缺失", "缺表"),
        (_row(one) for one in rows),
        title="分类分项能耗",
        whole=3,
    )


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    flow = "（发电）" if one["generation"] else ""
    return (
        _KINDS.get(one["subject"], one["subject"]),
        one["id"],
        one["code"] + flow,
        datetime.fromtimestamp(one["start_ms"] / 1000, tz=SHANGHAI).strftime("%Y-%m-%d %H:%M"),
        "未知" if one["value"] is None else f"{one['value']:z,.3f}",
        one["unit"],
        f"{one['measured']:z.1%}",
        f"{one['estimated']:z.1%}",
        f"{one['missing']:z.1%}",
        " ".join(one["absent"]),
    )
