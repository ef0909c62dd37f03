"""`make bench`: every measurement in one run on one machine, one table at the end."""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import (
    alerting,
    box,
    collector,
    drain,
    flash,
    gate,
    gateway,
    latency,
    line,
    settle,
    store,
)
from benchmarks.figure import Figure, Profile, Result, machine
from benchmarks.report import write_report
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.truth import bench as truth
from nenghao.logs import set_up_logs

MEASUREMENTS: dict[str, Callable[[Scale], Result]] = {
    "store": store.measure,
    "gate": gate.measure,
    "alerting": alerting.measure,
    "collector": collector.measure,
    "latency": latency.measure,
    "gateway": gateway.measure,
    "drain": drain.measure,
    "line": line.measure,
    "box": box.measure,
    "flash": flash.measure,
    "settle": settle.measure,
    "truth": truth.measure,
}
_WIDTH = 180  # of a table that goes into a file
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> int:
    options = _options()
    set_up_logs("warning")
    console = Console(stderr=True)
    scale = QUICK if options.quick else FULL
    figures: list[Figure] = []
    profiles: list[Profile] = []
    began = time.monotonic()
    for name in options.only or MEASUREMENTS:
        console.print(
            f"[{time.monotonic() - began:5.0f} s] {name} …", highlight=False, markup=False
        )
        result = MEASUREMENTS[name](scale)
        figures += result.figures
        profiles += result.profiles
    lasted_s = time.monotonic() - began
    about = f"{machine()}; {datetime.now(UTC):%Y-%m-%d}; {lasted_s:.0f} s"
    _show(Console(width=None if sys.stdout.isatty() else _WIDTH), figures, profiles, about)
    if options.json:
        document = {"machine": about, "figures": figures, "profiles": profiles}
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(document)))
    if options.write:
        write_report(DOCUMENT, figures, profiles, about)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, under a minute; rougher")
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, help="may be repeated")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--write", action="store_true", help="bring docs/benchmarks.md up to date")
    return parser.parse_args()


def _show(console: Console, figures: list[Figure], profiles: list[Profile], about: str) -> None:
    table = Table(title="性能 benchmarks", caption=about, caption_justify="left")
    for column in ("测量 measurement", "项目 figure"):
        table.add_column(column, overflow="fold")
    table.add_column("数值 value", justify="right", no_wrap=True)
    table.add_column("单位 unit", no_wrap=True)
    table.add_column("目标 aim", justify="right", no_wrap=True)
    table.add_column("达到 met")
    table.add_column("说明 note", overflow="fold")
    section = ""
    for figure in figures:
        if figure.section != section:
            table.add_section()
        met = {True: "是 yes", False: "否 NO", None: ""}[figure.is_met]
        shown = figure.section if figure.section != section else ""
        section = figure.section
        table.add_row(
            shown, figure.what, figure.text, figure.unit, figure.aim_text, met, figure.note
        )
    console.print(table)
    for profile in profiles:
        parts = ", ".join(f"{part} {share:.0%}" for part, share in profile.shares[:10])
        console.print(f"{profile.process}: {parts}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
