"""`nenghao demo`: a small district in one go."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import asdict
from rich.console import Console

from nenghao.demo.run import DemoCounts, run_demo
from nenghao.say import FOUND, say, say_json


def demo(
    *,
    seconds: Annotated[
        float | None, typer.Option(min=3, help="end by itself after that long")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON line at the end")] = False,
    folder: Annotated[Path, typer.Option(help="where everything is written")] = Path("var/demo"),
    config: Annotated[Path, typer.Option(help="the folder with fleet/ and meters/")] = Path(
        "config"
    ),
) -> None:
    """Run simulated meters, gateways, broker, collector and store; watch them live.

    Exit code 1 if anything was lost, doubled or wrong.
    """
    console = None if json else Console()
    counts = run_demo(folder.resolve(), config.resolve(), seconds=seconds, console=console)
    if json:
        say_json(asdict(counts))
    else:
        _tell(counts, folder)
    if not counts.is_clean:
        raise typer.Exit(FOUND)


def _tell(counts: DemoCounts, folder: Path) -> None:
    say(
        f"采集 {counts.polled} 条读数，发布 {counts.published} 批，入库 {counts.stored} 条；"
        f"丢失 {counts.lost}，重复 {counts.duplicated}，拒收 {counts.rejected}，"
        f"隔离 {counts.quarantined}，不符 {counts.wrong}"
    )
    say(
        f"报警 {counts.alerts_fired} 次，恢复 {counts.alerts_resolved} 次；"
        f"{counts.values_per_second:,.0f} 个值/s，"
        f"入库延迟 p50 {counts.latency_p50_ms:.0f} ms、p99 {counts.latency_p99_ms:.0f} ms"
    )
    say(f"数据在 {folder}/collector/readings.duckdb，日志在 {folder}/logs/")
    say(f"各表应答的原始记录在 {folder}/served.jsonl")
