"""Show: a report -> tables for a terminal and for docs/truth.md."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.truth.case import MIXED
from benchmarks.truth.label import Kind, Trap
from benchmarks.truth.run import Mode, Report
from benchmarks.truth.tally import CLEAN_AIM, MIXED_SOFT, MONTH_AIM, Line

DOCUMENT = Path(__file__).parents[2] / "docs" / "truth.md"
_BEGIN = "<!-- begin: written by `python -m benchmarks.truth --write` -->"
_END = "<!-- end -->"

CHINESE: dict[str, str] = {
    Kind.DROP: "缺数",
    Kind.SPIKE: "突变",
    Kind.STUCK_GATEWAY: "网关数据冻结",
    Kind.STUCK_METER: "表计停走",
    Kind.RESET: "清零",
    Kind.ROLLOVER: "满刻度翻转",
    Kind.REPLACEMENT: "换表(有记录)",
    Kind.SILENT_REPLACEMENT: "换表(无记录)",
    Kind.DUPLICATE: "重复",
    Kind.CONFLICT: "同时刻异值",
    Kind.SWAPPED: "次序颠倒",
    Kind.UNIT: "单位错",
    Kind.CLOCK_STEP: "时钟跳变",
    Kind.CLOCK_DRIFT: "时钟漂移",
    Kind.GAIN_DRIFT: "计量漂移",
    Kind.MISSING: "无效值",
    MIXED: "混合",
    MIXED_SOFT: "混合中的软故障",
    Trap.PLAIN: "原样",
    Trap.SHUFFLED: "乱序补传",
    Trap.WEEKENDS: "周末停用",
    Trap.HOLIDAY: "长假",
    Trap.HIGHER_LOAD: "负荷升高",
    Trap.HEATING: "供暖首日",
    Trap.NIGHTS: "光伏夜间",
    Trap.COARSE: "粗分辨率",
    Trap.SURGES: "偶发高负荷",
    Trap.FAMILY: "总分表",
    Trap.FAMILY_LOAD: "分表负荷升高",
    Trap.FAMILY_REST: "未计量负荷升高",
}
_FAULTS = (
    "n", "precision", "recall", "right kind", "aim", "month max", "month mean",
    "untold max", "beyond", "met",
)  # fmt: skip
_CLEAN = ("readings", "false readings", "false intervals", "false episodes", "month max", "met")


def show(report: Report, console: Console) -> None:
    for mode in report.modes:
        for title, columns, rows in _tables(mode):
            table = Table(title=f"{title} ({_known(mode)})", caption=_about(report))
            table.add_column("类型 kind", no_wrap=True)
            for column in columns:
                table.add_column(column, justify="right", no_wrap=True)
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for line in mode.overall:
            if line["faults"]:
                console.print(_overall(line), markup=False, highlight=False)


def write(report: Report) -> None:
    """Replace what stands between the page's marks."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    middle = "\n".join(_markdown(report))
    DOCUMENT.write_text(f"{before}{_BEGIN}\n{middle}\n{_END}{after}", encoding="utf-8")


def _markdown(report: Report) -> Iterator[str]:
    yield _about(report)
    for mode in report.modes:
        for title, columns, rows in _tables(mode):
            yield f"\n**{title}, {_known(mode)}**\n"
            yield f"| kind | {' | '.join(columns)} |"
            yield f"|---|{'---:|' * len(columns)}"
            yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""
        yield from (f"* {_overall(line)}" for line in mode.overall if line["faults"])


def _tables(mode: Mode) -> Iterator[tuple[str, tuple[str, ...], list[list[str]]]]:
    faults = [_fault_row(line) for line in mode.lines if line.aim is not None]
    clean = [_clean_row(line) for line in mode.lines if line.aim is None]
    if faults:
        yield "注入故障 injected faults", _FAULTS, faults
    if clean:
        yield "无故障 clean series and traps", _CLEAN, clean


def _fault_row(line: Line) -> list[str]:
    return [
        f"{CHINESE[line.what]} {line.what}",
        str(line.faults),
        _share(line.precision),
        _share(line.recall),
        _share(line.rightly_named),
        f"≥ {line.aim:.2f}",
        _percent(line.told_worst) if line.told else "",
        _percent(line.told_mean) if line.told else "",
        _percent(line.untold_worst) if line.untold else "",
        _percent(line.excess_worst) if line.untold else "",
        _met(line),
    ]


def _clean_row(line: Line) -> list[str]:
    return [
        f"{CHINESE[line.what]} {line.what}",
        f"{line.readings:,}",
        f"{line.false_readings:.4%}",
        f"{line.false_cells:.4%}",
        str(line.false),
        _percent(line.told_worst),
        _met(line),
    ]


def _met(line: Line) -> str:
    return f"NO: {', '.join(line.missed)}" if line.missed else "yes"


def _known(mode: Mode) -> str:
    return "额定功率已知 rating known" if mode.rated else "额定功率未知 rating unknown"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.3f}"


def _percent(error: float) -> str:
    return f"{error:.3%}"


def _overall(line: dict[str, float | str]) -> str:
    return (
        f"all {line['what']} faults: {line['faults']}, precision {line['precision']:.4f}, "
        f"recall {line['recall']:.4f}, right kind {line['right']:.3f}"
    )


def _about(report: Report) -> str:
    return (
        f"{report.source}; {report.cases} cases, seed {report.seed}, {report.cpu_s:.0f} CPU-s; "
        f"aims: months ≤ {MONTH_AIM:.1%} where readings tell, clean ≤ {CLEAN_AIM:.2%}"
    )
