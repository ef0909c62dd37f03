"""InfluxQL: questions -> text, and a server's JSON -> readings.

Source: InfluxDB 1.8 documentation, "InfluxQL reference" and "/query HTTP endpoint".
"""

# ruff: noqa: S608  what comes from outside goes through `_text`; names and numbers are our own

from collections.abc import Iterator, Sequence

from msgspec import Struct, convert

from collector.adapters.line_protocol import FAULT
from collector.store import Rejection
from metering.reading import Reading

Cell = float | int | str | bool | None


class Series(Struct):
    columns: list[str]
    values: list[list[Cell]]
    tags: dict[str, str] = {}


class Result(Struct):
    series: list[Series] = []
    error: str | None = None


class Answer(Struct):
    results: list[Result] = []
    error: str | None = None


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def any_of(texts: Sequence[str], tag: str = "meter") -> str:
    """Ask for any of the tag's values; at least one."""
    return "(" + " or ".join(f'"{tag}" = {_text(text)}' for text in texts) + ")"


def within(start_ms: int, end_ms: int) -> str:
    return f"time >= {int(start_ms)}ms and time < {int(end_ms)}ms"


def faults_of(meters: Sequence[str], start_ms: int, end_ms: int) -> str:
    return (
        f'select "count" from "{FAULT}" where {any_of(meters)}'
        f' and {within(start_ms, end_ms)} group by "meter", "fault"'
    )


def readings_in(series: Sequence[Series]) -> Iterator[Reading]:
    for one in series:
        names = one.columns[1:]
        for at_ms, *cells in one.values:
            values = {
                name: float(cell)
                for name, cell in zip(names, cells, strict=True)
                if cell is not None
            }
            yield Reading(meter=one.tags["meter"], at_ms=int(at_ms or 0), values=values)


def faults_in(series: Sequence[Series]) -> dict[tuple[str, int], str]:
    return {
        (one.tags["meter"], int(cells[0] or 0)): one.tags["fault"]
        for one in series
        for cells in one.values
    }


def rejection_in(cells: dict[str, Cell]) -> Rejection:
    return convert(
        {name: cells.get(name) or "" for name in ("meter", "quantity", "raw", "reason", "gateway")}
        | {"at_ms": cells["time"], "value": cells.get("value"), "level": cells["level"]},
        Rejection,
    )
