"""`nenghao collector`: run the centre; ask the running one."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from collector.app import run_collector
from collector.fleet.codes import SHANGHAI
from collector.settings import load_settings
from nenghao.asking import Json
from nenghao.centre import DEFAULT_API, centre
from nenghao.say import FOUND, USAGE, say, say_error, say_json, say_table

collector = typer.Typer(help="中心采集服务", no_args_is_help=True)

Api = Annotated[str, typer.Option("--api", help="the running collector", envvar="NENGHAO_API")]


@collector.command()
def run(file: Path) -> None:
    """Run the collector by the settings in FILE until it is told to stop."""
    if not run_collector(load_settings(file), file.parent):
        raise typer.Exit(FOUND)


@collector.command()
def status(*, api: Api = DEFAULT_API, json: Json = False) -> None:
    """What the running collector is doing; exit 1 if something is down or a job fails."""
    with centre(None, api) as running:
        answer = running.ask("GET", "/status")
        gateways = running.ask("GET", "/gateways")
    if json:
        say_json({**answer, "gateways": gateways})
    else:
        say_table(("项目", "值"), _rows(answer), f"{answer['store']} @ {api}", texts=(1,))
        say_table(
            ("网关", "链路", "积压(批)", "缺失(批)", "丢失(批)", "配置一致"),
            (
                (
                    g["gateway"],
                    g["link"],
                    g["backlog"],
                    g["missing"],
                    g["lost"],
                    "是" if g["fleet_matches"] else "否",
                )
                for g in gateways
            ),
        )
    if answer["down"] or answer["jobs_failing"] or answer["link"] != "up":
        raise typer.Exit(FOUND)


def _rows(answer: dict[str, Any]) -> list[tuple[str, Any]]:
    counts = answer["counts"]
    return [
        ("链路 link", answer["link"]),
        ("故障 down", _listed(answer["down"])),
        ("任务失败 jobs", _listed(answer["jobs_failing"])),
        ("已入库 (个值)", f"{counts.get('stored_values', 0):.0f}"),
        ("待处理 (条)", answer["inbox"]),
        ("报警中 (条)", answer["firing"]),
        ("入库延迟 p50/p99 (ms)", f"{answer['latency_p50_ms']} / {answer['latency_p99_ms']}"),
    ]


def _listed(troubles: dict[str, str]) -> str:
    return "; ".join(f"{name}: {message}" for name, message in troubles.items()) or "无"


@collector.command()
def resend(
    *,
    since: Annotated[str, typer.Option("--since", help="ISO 8601, e.g. 2026-11-01T00:00+08:00")],
    api: Api = DEFAULT_API,
    json: Json = False,
) -> None:
    """Ask all gateways again for what was received since a time: the database was restored."""
    try:
        instant = datetime.fromisoformat(since)
    except ValueError:
        say_error(f"--since {since!r}: ISO 8601 is needed, e.g. 2026-11-01T00:00+08:00")
        raise typer.Exit(USAGE) from None
    aware = instant if instant.tzinfo else instant.replace(tzinfo=SHANGHAI)
    with centre(None, api) as running:
        params = {"since_ms": round(aware.timestamp() * 1000)}
        answer = running.ask("POST", "/resend", params=params)
    if json:
        say_json(answer)
    else:
        say(f"第 {answer['generation']} 代：请求补传 {answer['batches']} 批")
