"""Budget view: what was found and what the buses cost -> tables for a person, plain values."""

from collections.abc import Iterable, Sequence
from typing import Any

from gateways.bus_url import Serial
from gateways.commission.cut import named
from gateways.reading.budget import ASSUMED_LINE, HIGHEST_SHARE, RESERVE, BusBudget, MeterBudget
from nenghao.inspection import Defect, Inspection
from nenghao.say import say, say_table

_BLOCKS = 4  # of a meter that a person is shown; all are in the JSON


def check_values(
    file: str, inspection: Inspection, budgets: Sequence[BusBudget], lines: Sequence[Serial | None]
) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "file": file,
        "mistakes": [
            {"file": d.file, "line": d.line, "key": d.key, "message": d.message}
            for d in inspection.errors
        ],
        "warnings": [
            {"file": d.file, "line": d.line, "key": d.key, "message": d.message}
            for d in inspection.defects
            if d.warning
        ],
        "highest_share": HIGHEST_SHARE,
        "reserve": RESERVE,
        "buses": [
            {
                "url": budget.url,
                "line": _spoken(serial),
                "cycle_s": budget.cycle_s,
                "available_ms": round(budget.available_ms, 1),
                "average_ms": round(budget.cost.average_ms, 1),
                "worst_ms": round(budget.cost.worst_ms, 1),
                "share": round(budget.share, 4),
                "worst_share": round(budget.worst_share, 4),
                "enough": budget.is_enough,
                "meters": [_meter_values(meter) for meter in budget.meters],
            }
            for budget, serial in zip(budgets, lines, strict=True)
        ],
    }


def _meter_values(meter: MeterBudget) -> dict[str, Any]:
    return {
        "id": meter.meter,
        "model": meter.model,
        "unit": meter.unit,
        "blocks": [
            {"table": block.table.value, "address": block.address, "count": block.count}
            for block in meter.blocks
        ],
        "registers": meter.registers,
        "read_over": meter.read_over,
        "periods": {str(period): count for period, count in meter.periods.items()},
        "average_ms": round(meter.cost.average_ms, 1),
        "worst_ms": round(meter.cost.worst_ms, 1),
        "turnaround_ms": round(meter.turnaround_ms, 1),
        "measured": meter.measured,
    }


def say_check(
    inspection: Inspection, budgets: Sequence[BusBudget], lines: Sequence[Serial | None]
) -> None:
    """The same for a person."""
    for defect in inspection.defects:
        say(_line(defect))
    for budget in budgets:
        title = f"{budget.url}，周期 {budget.cycle_s} s"
        columns = (
            "表 meter",
            "单元",
            "型号 model",
            "请求 requests",
            "寄存器+跨读",
            "周期 s: 个",
            "每表 平均/最坏 ms",
            "响应 ms",
        )
        say_table(
            columns, map(_meter_row, _alike(budget.meters)), title, texts=(0, 1), spare=(4, 7)
        )
    if budgets:
        _say_buses(budgets, lines)
    errors = len(inspection.errors)
    say(f"{errors} 处错误 (mistakes)" if errors else "配置无误 (no mistakes)")


def _line(defect: Defect) -> str:
    place = f"{defect.file}:{defect.line}" if defect.line else defect.file
    mark = "! 警告" if defect.warning else "✗ 错误"
    return f"{mark} " + ": ".join(filter(None, (place, defect.key, defect.message)))


def _alike(meters: Iterable[MeterBudget]) -> Iterable[list[MeterBudget]]:
    """Meters whose rows would say the same, together: of 300 like meters one row is enough."""
    groups: dict[object, list[MeterBudget]] = {}
    for meter in meters:
        key = (meter.model, meter.blocks, meter.read_over, tuple(meter.periods.items()), _ms(meter))
        groups.setdefault(key, []).append(meter)
    return groups.values()


def _ms(meter: MeterBudget) -> tuple[str, str]:
    turnaround = f"{meter.turnaround_ms:.1f} {'实测' if meter.measured else '假定'}"
    return f"{meter.cost.average_ms:.0f} / {meter.cost.worst_ms:.0f}", turnaround


def _meter_row(meters: Sequence[MeterBudget]) -> tuple[str, ...]:
    meter = meters[0]
    return (
        named([each.meter for each in meters]),
        named([str(each.unit) for each in meters]),
        meter.model,
        "\n".join(_blocks(meter)),
        f"{meter.registers} +{meter.read_over}",
        ", ".join(f"{period}: {count}" for period, count in meter.periods.items()),
        *_ms(meter),
    )


def _blocks(meter: MeterBudget) -> Iterable[str]:
    for block in meter.blocks[:_BLOCKS]:
        yield f"{block.table} 0x{block.address:04X}+{block.count}"
    if len(meter.blocks) > _BLOCKS:
        yield f"… 共 {len(meter.blocks)} 次"


def _say_buses(budgets: Sequence[BusBudget], lines: Sequence[Serial | None]) -> None:
    columns = ("总线 bus", "线路", "表 (个)", "平均 (s)", "最坏 (s)", "可用 (s)", "占用", "结论")
    rows = (_bus_row(budget, serial) for budget, serial in zip(budgets, lines, strict=True))
    say_table(columns, rows, "总线时间 bus time", texts=(7,), right=(2, 3, 4, 5, 6))
    say(
        f"可用 = 周期减去 {RESERVE:.0%}（留给不应答的表）；平均占用超过 {HIGHEST_SHARE:.0%}，"
        "或最坏的一个周期放不下，即不合格"
    )


def _bus_row(budget: BusBudget, serial: Serial | None) -> tuple[str, ...]:
    return (
        budget.url,
        _spoken(serial),
        str(len(budget.meters)),
        f"{budget.cost.average_ms / 1000:.2f}",
        f"{budget.cost.worst_ms / 1000:.2f}",
        f"{budget.available_ms / 1000:.2f}",
        f"{budget.share:.1%}",
        _verdict(budget),
    )


def _verdict(budget: BusBudget) -> str:
    if budget.is_enough:
        return "✓"
    needed = max(budget.cost.average_ms / HIGHEST_SHARE, budget.cost.worst_ms) / 1000
    cycle_s = needed / (1 - RESERVE)
    return f"✗ 时间不够：周期至少 {cycle_s:.0f} s，或提高波特率、分到两条总线"


def _spoken(serial: Serial | None) -> str:
    if serial is None:
        return "网络"
    settings = f"{serial.baudrate} {serial.bytesize}{serial.parity}{serial.stopbits}"
    return f"{settings} (假定)" if serial is ASSUMED_LINE else settings
