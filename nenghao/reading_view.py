"""Reading view: one reading -> a table for the installer, and plain values for scripts."""

from typing import Any

from gateways.commission.read import Line, OneReading
from gateways.commission.words import advice, spoken
from gateways.reading.meter import Meter
from metering.quantity import QUANTITIES
from metering.words import chinese
from nenghao.say import say, say_table

_DOUBTS = 4  # told below the table; the table has them all


def reading_values(meter: Meter, url: str, result: OneReading) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "model": meter.model.id,
        "url": url,
        "unit": meter.unit,
        "at": result.reading.at_ms,
        "fault": result.reading.fault,
        "sound": result.is_sound,
        "score": round(result.plausibility.score, 3),
        "values": result.reading.values,
        "missing": list(result.missing),
        "doubts": [reason.text for reason in result.plausibility.doubts],
        "suggestion": result.suggestion,
        "warnings": list(meter.model.warnings),
        "registers": [
            {
                "quantity": line.quantity,
                "value": line.value,
                "unit": QUANTITIES[line.quantity].unit,
                "table": line.table.value,
                "address": line.address,
                "words": list(line.words),
                "doubts": list(line.doubts),
            }
            for line in result.lines
        ],
        "troubles": [
            {
                "table": trouble.block.table.value,
                "address": trouble.block.address,
                "count": trouble.block.count,
                "fault": trouble.fault,
                "exception": trouble.code,
                "message": trouble.message,
                "advice": advice(trouble.fault, trouble.code),
            }
            for trouble in result.troubles
        ],
    }


def say_reading(meter: Meter, result: OneReading, *, raw: bool) -> None:
    """The same for a person."""
    columns = ("量 quantity", "数值", "判断", *(("地址", "字 words") if raw else ()))
    if result.reading.values:
        rows = (_row(line, raw=raw) for line in result.lines)
        say_table(columns, rows, title=f"{meter.model.name}，单元 {meter.unit}", texts=(2,))
    for trouble in result.troubles:
        block = trouble.block
        say(
            f"✗ {block.table} 0x{block.address:04X}+{block.count}: "
            f"{advice(trouble.fault, trouble.code)} ({trouble.message})"
        )
    if result.reading.fault and not result.troubles:
        say(f"✗ {advice(result.reading.fault)}")
    for warning in meter.model.warnings:
        say(f"! 警告 {warning}")
    if result.reading.values:
        _say_doubts(result)
    say(_verdict(result))


def _say_doubts(result: OneReading) -> None:
    gravest = sorted(result.plausibility.doubts, key=lambda reason: -reason.weight)
    for reason in gravest[:_DOUBTS]:
        say(f"✗ {reason.text}")
    if len(gravest) > _DOUBTS:
        say(f"✗ 另有 {len(gravest) - _DOUBTS} 条疑点，见上表")
    if result.suggestion:
        say(f"! {result.suggestion}")


def _row(line: Line, *, raw: bool) -> tuple[str, ...]:
    value = "" if line.value is None else spoken(line.quantity, line.value)
    note = (line.doubts[0] if line.doubts else "") or ("缺" if line.value is None else "")
    row = (f"{chinese(line.quantity)} {line.quantity}", value, note)
    if raw:
        return (*row, f"{line.table} 0x{line.address:04X}", " ".join(line.words))
    return row


def _verdict(result: OneReading) -> str:
    if not result.reading.values:
        return "没有读到任何数值"
    score = f"可信评分 {result.plausibility.score:.2f}"
    if result.is_sound:
        return f"{len(result.reading.values)} 个数值，未见异常，{score}；请与表面显示核对一项"
    return f"{len(result.reading.values)} 个数值，缺 {len(result.missing)} 个，{score}：请看 ✗ 各项"
