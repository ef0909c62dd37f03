"""`nenghao job`: what a collector does by itself, how it went, and do it now."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import typer

from collector.fleet.codes import SHANGHAI
from collector.known import NameUnknown, unknown
from nenghao.asking import Api, Json, Settings
from nenghao.centre import Centre, centre
from nenghao.progress import Bar
from nenghao.say import FOUND, say, say_json, say_table

job = typer.Typer(help="定时任务：结算、日校核、清理", no_args_is_help=True)

_OUTCOMES = {"running": "运行中", "done": "完成", "failed": "失败", "died": "中断"}
_BAD = ("failed", "died")
_ASK_EVERY_S = 0.5


@job.command(name="list")
def list_jobs(*, settings: Settings = None, api: Api = None, json: Json = False) -> None:
    """Every job: last, next, took, failed; exit 1 if the last run of any failed or died."""
    with centre(settings, api) as collector:
        jobs = collector.ask("GET", "/jobs")
        runs = collector.runs
    if json:
        say_json(jobs)
    else:
        say_table(
            ("任务", "上次", "结果", "用时 s", "下次", "说明"),
            map(_row, jobs),
            texts=(5,),
            right=(3,),
        )
        if not runs:
            say("没有采集服务在运行：到期的任务在它启动后补做")
    if any(_is_bad(one["last"]) for one in jobs):
        raise typer.Exit(FOUND)


@job.command()
def runs(
    name: Annotated[str | None, typer.Argument(metavar="[JOB]")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """The newest runs of a job, or of all; exit 1 if the newest failed or died."""
    params = {"limit": limit, **({"job": name} if name else {})}
    with centre(settings, api) as collector:
        found = collector.ask("GET", "/jobs/runs", params=params)
    if json:
        say_json(found)
    else:
        say_table(
            ("任务", "周期止", "开始", "用时 s", "结果", "说明"),
            (
                (
                    run["job"],
                    _local(run["period_ms"]),
                    _local(run["began_ms"], seconds=True),
                    _lasted_s(run),
                    _OUTCOMES[run["outcome"]],
                    run["said"],
                )
                for run in found
            ),
            texts=(5,),
            right=(3,),
        )
    if found and _is_bad(found[0]):
        raise typer.Exit(FOUND)


@job.command()
def run(
    name: Annotated[str, typer.Argument(metavar="JOB")],
    *,
    wait: Annotated[bool, typer.Option(help="until it has ended")] = True,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Run a job now: what is due, or else its latest period again; exit 1 if it fails or dies."""
    with centre(settings, api) as collector:
        before = _find(collector, name)
        collector.ask("POST", f"/jobs/{name}/run")
        after = _ended(lambda: _find(collector, name), before) if wait else None
    if json:
        say_json(after or before)
    elif after is None:
        say(f"{before['title']} ({name}) 已排队")
    else:
        last = after["last"]
        say(f"{after['title']} ({name}) {_OUTCOMES[last['outcome']]}：{last['said']}")
    if after is not None and _is_bad(after["last"]):
        raise typer.Exit(FOUND)


def _find(collector: Centre, name: str) -> dict[str, Any]:
    jobs: list[dict[str, Any]] = collector.ask("GET", "/jobs")
    for one in jobs:
        if one["name"] == name:
            return one
    raise NameUnknown(unknown("任务", name, [one["name"] for one in jobs]))


def _ended(look: Callable[[], dict[str, Any]], before: dict[str, Any]) -> dict[str, Any]:
    """The job when a run that began after `before` has ended; its progress is shown meanwhile."""
    newest = before["last"]["number"] if before["last"] else 0
    with Bar() as bar:
        shown: tuple[str, int] | None = None
        at = 0
        while True:
            now = look()
            last = now["last"]
            if last and last["number"] > newest and last["outcome"] != "running":
                return now
            if now["running"]:
                step = now["running"]["at"]
                if shown != (step["what"], step["total"]):
                    shown, at = (step["what"], step["total"]), 0
                    bar.begin(step["what"] or now["title"], step["total"])
                bar.step(step["done"] - at)
                at = step["done"]
            time.sleep(_ASK_EVERY_S)


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    last, running = one["last"], one["running"]
    return (
        f"{one['title']}\n{one['name']}",
        _local(last["began_ms"]) if last else "从未",
        _OUTCOMES[last["outcome"]] if last else "",
        one["took_s"],
        _local(one["next_ms"]),
        _under_way(running["at"]) if running else one["failing"] or (last["said"] if last else ""),
    )


def _under_way(at: dict[str, Any]) -> str:
    return f"{at['what']} {at['done']}/{at['total']}".strip()


def _is_bad(run: dict[str, Any] | None) -> bool:
    return run is not None and run["outcome"] in _BAD


def _lasted_s(run: dict[str, Any]) -> str:
    """By the collector's clock; when a run died is not known."""
    if run["ended_ms"] is None or run["outcome"] == "died":
        return ""
    return f"{(run['ended_ms'] - run['began_ms']) / 1000:.1f}"


def _local(at_ms: int | None, *, seconds: bool = False) -> str:
    """Without the year: runs of three months are kept."""
    if at_ms is None:
        return ""
    at = datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI)
    return f"{at:%m-%d %H:%M:%S}" if seconds else f"{at:%m-%d %H:%M}"
