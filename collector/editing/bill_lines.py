"""Bill lines: a sheet of `meter,start,end,energy|quantity,value,unit` -> proposals of intervals.

`reason` is a column of its own if there is one. A bill without an end is about a whole day or
month; an end is the first instant that no longer counts: 2026-10-01 to 2026-11-01 is October.
"""

from collections.abc import Iterator

from msgspec import Struct

from collector.editing.period import TimeInvalid, span_of
from collector.editing.proposal import Proposal
from collector.editing.reading_lines import (
    UNREADABLE,
    RefusedLine,
    number,
    why_no_number,
)
from collector.editing.sheet import Sheet, SheetLine
from collector.entries import EntryKind

COLUMNS = ("meter", "start", "end", "energy|quantity", "value", "unit")
LINES_AT_ONCE = 500


class Signature(Struct, frozen=True, kw_only=True):
    """Who imports a file of bills, and why; `file` is its name."""

    author: str
    reason: str
    file: str


class BillChunk(Struct, kw_only=True):
    """Some lines, parsed: each is a proposal with its line, or refused."""

    lines: int = 0
    proposals: list[Proposal] = []
    numbers: list[int] = []
    texts: dict[int, str] = {}
    refused: list[RefusedLine] = []


def bill_chunks(
    sheet: Sheet, who: Signature, *, assume_shanghai: bool = False
) -> Iterator[BillChunk]:
    """Every line of a sheet, a chunk at a time; no chunk is empty."""
    chunk = BillChunk()
    for line in sheet:
        chunk.lines += 1
        found = _proposal(line, sheet.columns, who, assume_shanghai=assume_shanghai)
        if isinstance(found, RefusedLine):
            chunk.refused.append(found)
        else:
            chunk.proposals.append(found)
            chunk.numbers.append(line.number)
            chunk.texts[line.number] = line.text
        if chunk.lines >= LINES_AT_ONCE:
            yield chunk
            chunk = BillChunk()
    if chunk.lines:
        yield chunk


def _proposal(
    line: SheetLine, columns: dict[str, int], who: Signature, *, assume_shanghai: bool
) -> Proposal | RefusedLine:
    if line.cells is None:
        return _refused(line, *UNREADABLE)
    if len(line.cells) < max(columns[name] for name in columns if name != "reason") + 1:
        return _refused(line, "columns", f"只有 {len(line.cells)} 列")
    cell = {
        name: line.cells[place].strip() if place < len(line.cells) else ""
        for name, place in columns.items()
    }
    if not cell["unit"]:
        return _refused(line, "no_unit", "没有单位 unit：账单的数是多少什么？")
    try:
        span = span_of(cell["start"], cell["end"] or None, assume_shanghai=assume_shanghai)
        value = number(cell["value"])
    except TimeInvalid as error:
        return _refused(line, "bad_time", str(error))
    except ValueError:
        return _refused(line, *why_no_number(cell["value"]))
    return Proposal(
        kind=EntryKind.INTERVAL,
        meter=cell["meter"],
        quantity=cell.get("quantity") or None,
        energy=cell.get("energy") or None,
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        value=value,
        unit=cell["unit"],
        author=who.author,
        reason=cell.get("reason") or who.reason,
        source=f"{who.file}:{line.number}",
    )


def _refused(line: SheetLine, reason: str, message: str) -> RefusedLine:
    return RefusedLine(line=line.number, text=line.text, reason=reason, message=message)
