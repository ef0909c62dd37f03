"""`nenghao export`: readings and settled intervals as CSV, exactly; a slice at a time."""

import gzip
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Annotated, Any, cast

import typer

from collector.editing.period import Span, iso, span_of
from collector.editing.rows import (
    INTERVAL_COLUMNS,
    READING_COLUMNS,
    millionths,
    number,
    share,
)
from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Width, day_start_ms
from nenghao.asking import Api, Json, Settings, refuse, usage
from nenghao.centre import Centre, centre
from nenghao.progress import Bar
from nenghao.say import say_error, say_json

export = typer.Typer(help="导出 CSV：读数、结算后的用量", no_args_is_help=True)

From = Annotated[str, typer.Option("--from", help="时刻、日期或月份，如 2026-10")]
To = Annotated[str | None, typer.Option("--to", help="首个不再计入的时刻；整日、整月可省略")]
Quantity = Annotated[list[str] | None, typer.Option("--quantity")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="文件，.gz 则压缩")]
Meters = Annotated[list[str] | None, typer.Option("--meter", help="可多次；省略：全部")]

_WIDTHS_MS = {
    Width.QUARTER: QUARTER_MS,
    Width.HOUR: HOUR_MS,
    Width.DAY: DAY_MS,
    Width.MONTH: 28 * DAY_MS,
}
_INTERVALS_AT_ONCE = 50_000  # of the counters that count
_MOST_IN_A_DOCUMENT = 100_000

Row = tuple[str, ...]


@export.command()
def readings(  # noqa: PLR0913 - each is an option of the command line
    *,
    meter: Meters = None,
    start: From,
    end: To = None,
    quantity: Quantity = None,
    output: Output = None,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Readings as they are stored, `meter,at,quantity,value`: what `nenghao import` takes."""
    span = usage(span_of, start, end, assume_shanghai=True)
    with centre(settings, api) as collector, Bar() as bar:
        ids = meter or _ids(collector, virtual=False)
        rows = _reading_rows(collector, bar, ids, span, quantity)
        _put(READING_COLUMNS, rows, output, json=json)


def _reading_rows(
    collector: Centre, bar: Bar, ids: Sequence[str], span: Span, quantity: list[str] | None
) -> Iterator[Row]:
    days = max(1, (span.end_ms - span.start_ms) // DAY_MS)
    bar.begin("导出读数 (表·日)", len(ids) * days)
    for place, meter in enumerate(ids):
        from_ms = span.start_ms
        while from_ms < span.end_ms:
            asked = {"meter": meter, "start_ms": from_ms, "end_ms": span.end_ms}
            some = collector.ask("GET", "/columns", params=_with(asked, quantity))
            yield from _rows_in_time(some["columns"])
            from_ms = some["until_ms"]
            bar.reach(place * days + (from_ms - span.start_ms) // DAY_MS)


def _rows_in_time(columns: Sequence[dict[str, Any]]) -> Iterator[Row]:
    """By instant, so that whoever reads them meets a reading's quantities together."""
    points = sorted(
        (at_ms, column["quantity"], value, column["meter"])
        for column in columns
        for at_ms, value in zip(column["at_ms"], column["values"], strict=True)
    )
    last_ms, at = -1, ""
    for at_ms, quantity, value, meter in points:
        if at_ms != last_ms:
            last_ms, at = at_ms, iso(at_ms)
        yield meter, at, quantity, number(float(value))


@export.command()
def intervals(  # noqa: PLR0913 - each is an option of the command line
    *,
    meter: Meters = None,
    start: From,
    end: To = None,
    width: Annotated[Width, typer.Option("--width")] = Width.QUARTER,
    quantity: Quantity = None,
    output: Output = None,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Settled consumption; of each meter the counter that counts, or those of --quantity.

    Columns: meter, start, energy, value, unit, measured, estimated, missing, rules (with `;`
    between them), edited, version. What is not known is empty, never 0.
    """
    span = usage(span_of, start, end, assume_shanghai=True)
    with centre(settings, api) as collector, Bar() as bar:
        ids = meter or _ids(collector, virtual=True)
        rows = _interval_rows(collector, bar, (ids, span, width), quantity)
        _put(INTERVAL_COLUMNS, rows, output, json=json)


def _interval_rows(
    collector: Centre,
    bar: Bar,
    wanted: tuple[Sequence[str], Span, Width],
    quantity: list[str] | None,
) -> Iterator[Row]:
    slices = list(_slices(*wanted))
    bar.begin("导出用量", len(slices))
    for ids, from_ms, to_ms in slices:
        asked = {
            "meter": ids,
            "start_ms": from_ms,
            "end_ms": to_ms,
            "width": wanted[2].value,
            "counting": True,
        }
        for one in collector.ask("GET", "/intervals", params=_with(asked, quantity)):
            yield from _rows_of(one)
        bar.step(1)


def _slices(
    ids: Sequence[str], span: Span, width: Width
) -> Iterator[tuple[Sequence[str], int, int]]:
    """Meters and spans of as much as is asked for at once: meter after meter, in order of time."""
    width_ms = _WIDTHS_MS[width]
    cells = max(1, (span.end_ms - span.start_ms) // width_ms)
    together = max(1, _INTERVALS_AT_ONCE // cells)
    step_ms = max(DAY_MS, _INTERVALS_AT_ONCE * width_ms // DAY_MS * DAY_MS)
    for place in range(0, len(ids), together):
        from_ms = span.start_ms
        while from_ms < span.end_ms:
            to_ms = min(day_start_ms(from_ms) + step_ms, span.end_ms)
            yield ids[place : place + together], from_ms, to_ms
            from_ms = to_ms


def _rows_of(one: dict[str, Any]) -> Iterator[Row]:
    columns = zip(
        one["start_ms"],
        one["energy"],
        one["value"],
        one["measured"],
        one["estimated"],
        one["missing"],
        one["rules"],
        one["edited"],
        one["version"],
        strict=True,
    )
    meter, unit = one["meter"], one["unit"]
    for start_ms, energy, value, measured, estimated, missing, rules, edited, version in columns:
        yield (
            meter,
            iso(start_ms),
            energy,
            millionths(value),
            unit,
            share(measured),
            share(estimated),
            share(missing),
            rules.replace(",", ";"),
            share(edited),
            str(version),
        )


def _with(asked: dict[str, Any], quantity: list[str] | None) -> dict[str, Any]:
    return {**asked, "quantity": quantity} if quantity else asked


def _ids(collector: Centre, *, virtual: bool) -> list[str]:
    known = collector.ask("GET", "/meters")
    return [one["meter"] for one in known if virtual or not one["is_virtual"]]


def _put(columns: Row, rows: Iterator[Row], output: Path | None, *, json: bool) -> None:
    """Row after row to where they are wanted; a file appears when it is whole."""
    if json:
        _put_document(columns, rows)
        return
    first = list(islice(rows, 1))  # nothing is opened or said before the centre has answered
    with _opened(output) as file:
        file.write(",".join(columns) + "\n")
        count = 0
        for row in chain(first, rows):
            file.write(",".join(row) + "\n")
            count += 1
    if output is not None:
        say_error(f"{output}: {count} 行")


def _put_document(columns: Row, rows: Iterator[Row]) -> None:
    found = []
    for row in rows:
        found.append(dict(zip(columns, row, strict=True)))
        if len(found) > _MOST_IN_A_DOCUMENT:
            refuse(f"--json: 超过 {_MOST_IN_A_DOCUMENT} 行，请缩小范围，或不用 --json 导出 CSV")
    say_json({"rows": found})


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with _text_file(part, packed=output.suffix == ".gz") as file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _text_file(path: Path, *, packed: bool) -> IO[str]:
    if packed:
        return cast("IO[str]", gzip.open(path, "wt", encoding="utf-8", newline=""))
    return path.open("w", encoding="utf-8", newline="")
