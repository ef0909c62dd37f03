"""`python -m benchmarks.backtest`: the default rules on measured buildings; docs/backtest.md."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks.back.district import Tell, district
from benchmarks.back.measured import buildings, labels
from benchmarks.back.score import Report, score
from collector.alerting.backtest import Backtest
from collector.alerting.played import Order
from collector.alerting.rule import Budget, Consumed, Quality, Rule
from collector.alerting.rules.folder import read_rules

SHARED = Path(__file__).parents[2] / "shared" / "data"
CONFIG = Path(__file__).parents[1] / "config"
DOCUMENT = Path(__file__).parents[1] / "docs" / "backtest.md"
AIM = 10.0  # new alerts a day, of 200 buildings
_BEGIN = "<!-- begin: written by `python -m benchmarks.backtest --write` -->"
_END = "<!-- end -->"
_WIDTH = 150


class Watch(Struct, frozen=True):
    """The `Progress` of a back-test."""

    tell: Tell

    @property
    def stopping(self) -> bool:
        return False

    def step(self, done: int, total: int, what: str = "") -> None:  # noqa: ARG002 - its words
        self.tell("rules", done, total)


def main() -> int:
    options = _options()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    folder = options.data or SHARED
    played = buildings(folder) if folder.is_dir() else []
    if not played:
        sys.exit(f"{folder}: no measured buildings here; name a folder with --data")
    if options.buildings:
        played = played[: options.buildings]
    console = Console(stderr=True)

    def tell(what: str, done: int, total: int) -> None:
        if console.is_terminal and not options.quiet:
            console.print(f"\r{what}: {done} / {total}     ", end="", highlight=False)

    with (
        tempfile.TemporaryDirectory(prefix="back-") as name,
        district(played, options.config, Path(name), tell) as town,
    ):
        rules = _rules(options.config)
        budgets = town.budgets()
        order = Order(
            rules=rules,
            start_ms=min(one.first_ms for one in played),
            end_ms=max(one.last_ms for one in played),
        )
        fired = Backtest(order, town.parts(budgets)).play(Watch(tell)).fired
    report = score(played, fired, labels(folder))
    if options.fired:
        Path(options.fired).write_bytes(msgspec.json.encode(fired))
    if options.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    else:
        _show(report, Console(width=None if sys.stdout.isatty() else _WIDTH))
    if options.write:
        _write(report)
    return int(options.check and report.district > AIM)


def _rules(config: Path) -> tuple[Rule, ...]:
    """Those that look at what is played: settled figures, data quality, budgets."""
    book = read_rules(config, None)
    return tuple(r for r in book.rules if isinstance(r.condition, Consumed | Quality | Budget))


def _tables(report: Report) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    rules = [
        (
            f"`{one.rule}`",
            "蓝黄橙红"[("blue", "yellow", "orange", "red").index(one.severity)],
            str(one.alerts),
            f"{one.per_building_week:.3f}",
            f"{one.median_days:.0f}",
        )
        for one in report.lines
    ]
    kinds = [
        (
            f"`{one.kind}`",
            "trap" if one.trap else "",
            str(one.labels),
            f"{one.caught} ({one.caught / one.labels:.0%})",
            f"{one.told} ({one.told / one.labels:.0%})",
            f"{one.chance:.0%}",
            ", ".join(f"`{rule}`" for rule in one.by),
        )
        for one in report.kinds
    ]
    return [
        ("Alerts", ("rule", "", "alerts", "a building and week", "median days open"), rules),
        (
            "Labelled anomalies",
            (
                "kind",
                "",
                "labels",
                "an alert began in it",
                "yellow or worse",
                "by chance",
                "most by",
            ),
            kinds,
        ),
    ]


def _summary(report: Report) -> list[str]:
    return f"""\
{report.buildings} buildings, {report.building_days} building-days: {report.alerts} alerts.
Yellow or worse: {report.told:.4f} a building and day; of 200 buildings {report.district:.1f} \
a day (aim: at most {AIM:g}).
If nobody acknowledged anything, {report.bureau:.1f} a day of 200 buildings would reach the bureau \
(budgets at once, yellow after three days, orange after four hours).
Busiest day of these {report.buildings} buildings: {report.busiest} new alerts of yellow or worse.
""".splitlines()


def _show(report: Report, console: Console) -> None:
    for title, columns, rows in _tables(report):
        table = Table(title=title)
        for column in columns:
            table.add_column(column)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in _summary(report):
        console.print(line, highlight=False)


def _write(report: Report) -> None:
    parts = ["\n".join(f"* {line}" for line in _summary(report))]
    for title, columns, rows in _tables(report):
        lines = ["| " + " | ".join(row) + " |" for row in (columns, *rows)]
        lines.insert(1, "|" + "---|" * len(columns))
        parts.append(f"### {title}\n\n" + "\n".join(lines))
    text = DOCUMENT.read_text(encoding="utf-8")
    head, rest = text.split(_BEGIN, 1)
    _, tail = rest.split(_END, 1)
    body = "\n\n".join(parts)
    DOCUMENT.write_text(f"{head}{_BEGIN}\n\n{body}\n\n{_END}{tail}", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.backtest", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="a folder of wide hourly CSV files (docs/backtest.md)")
    add("--config", type=Path, default=CONFIG, help="whose rules and seasons")
    add("--buildings", type=int, default=0, help="only the first so many")
    add("--fired", help="write every alert to this file, as JSON")
    add("--json", action="store_true", help="one document on standard output")
    add("--write", action="store_true", help="bring docs/backtest.md up to date")
    add("--check", action="store_true", help="exit 1 if the aim is missed")
    add("--quiet", action="store_true", help="no progress")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
