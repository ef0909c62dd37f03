"""`nenghao import`: readings and bills from CSV files, line by line; what is refused says why."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct

from collector.editing import bill_lines, reading_lines
from collector.editing.bill_lines import BillChunk, Signature, bill_chunks
from collector.editing.reading_lines import Chunk, RefusedLine, chunks
from collector.editing.sheet import Sheet
from collector.settle.cells import Width
from collector.store import WHOLE_READING
from collector.validate import Reason
from metering.errors import NenghaoError
from nenghao.asking import Api, Json, Settings, refuse, usage
from nenghao.centre import Centre, centre
from nenghao.following import Effect, Follower, when_settled
from nenghao.import_view import Tally, report_to, say_tally
from nenghao.progress import Bar
from nenghao.say import say_error
from nenghao.sheet_file import SheetFile, sheet_file

importing = typer.Typer(help="导入 CSV：读数、账单", no_args_is_help=True)

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="只检查，不写入")]
Report = Annotated[Path | None, typer.Option("--report", help="未接受的行写入此 CSV 文件")]
Settle = Annotated[bool, typer.Option("--settle/--no-settle", help="导入后立即结算所涉及的表")]
AssumeShanghai = Annotated[bool, typer.Option("--assume-shanghai", help="没有时区的时间是北京时间")]
Author = Annotated[str, typer.Option("--author", help="谁：姓名")]
Why = Annotated[str, typer.Option("--reason", help="为什么；账单可有自己的 reason 列")]


class _Task(Struct, frozen=True, kw_only=True):
    """One file to be taken in."""

    collector: Centre
    file: SheetFile
    sheet: Sheet
    tally: Tally
    bar: Bar


@importing.command()
def readings(  # noqa: PLR0913 - each is an option of the command line
    file: File,
    *,
    assume_shanghai: AssumeShanghai = False,
    dry_run: DryRun = False,
    report: Report = None,
    settle: Settle = True,
    author: Author = "",
    reason: Why = "",
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Readings in long form, `meter,at,quantity,value`; exit 1 if any line was refused."""
    del author, reason  # readings are what meters said, whoever brings them
    with _task(file, reading_lines.COLUMNS, report, (settings, api), dry_run=dry_run) as task:
        for chunk in chunks(task.sheet, assume_shanghai=assume_shanghai):
            _take_readings(task, chunk)
            _advance(task, chunk.lines)
        effect = _finish(task, settle=settle)
    say_tally(task.tally, effect, json=json)


def _take_readings(task: _Task, chunk: Chunk) -> None:
    tally = task.tally
    refused = list(chunk.refused)
    tally.repeated += chunk.repeated
    if chunk.readings:
        answer = task.collector.ask(
            "POST",
            "/import/readings",
            params={"dry_run": tally.dry_run},
            json=msgspec.to_builtins(chunk.readings),
        )
        tally.taken += answer["taken"]
        tally.repeated += answer["repeated"]
        tally.meters |= {one.meter for one in chunk.readings} - _strangers(chunk, answer)
        refused += [line for one in answer["refused"] for line in _lines_of(chunk, one)]
    tally.refuse(refused)


def _strangers(chunk: Chunk, answer: dict[str, Any]) -> set[str]:
    """Meters that nobody knows: a file may name any number of them."""
    return {
        chunk.readings[one["place"]].meter
        for one in answer["refused"]
        if one["reason"] == Reason.UNKNOWN_METER
    }


def _lines_of(chunk: Chunk, refused: dict[str, Any]) -> Iterator[RefusedLine]:
    """The line, or all lines, that a refused value stood in."""
    places = chunk.places[refused["place"]]
    quantity = refused["quantity"]
    for number in places.values() if quantity == WHOLE_READING else [places[quantity]]:
        yield RefusedLine(
            line=number,
            text=chunk.texts[number],
            reason=refused["reason"],
            message=refused["message"],
        )


@importing.command()
def bills(  # noqa: PLR0913 - each is an option of the command line
    file: File,
    *,
    author: Author,
    reason: Why = "",
    assume_shanghai: AssumeShanghai = False,
    dry_run: DryRun = False,
    report: Report = None,
    settle: Settle = True,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Bills of single meters, `meter,start,end,energy|quantity,value,unit[,reason]`.

    Each becomes an entry, as `nenghao correct interval` makes it; exit 1 if any line was refused.
    """
    if not author.strip():
        refuse("--author: 谁导入的？请给出姓名")
    who = Signature(author=author, reason=reason, file=file.name)
    with _task(file, bill_lines.COLUMNS, report, (settings, api), dry_run=dry_run) as task:
        for chunk in bill_chunks(task.sheet, who, assume_shanghai=assume_shanghai):
            _take_bills(task, chunk)
            _advance(task, chunk.lines)
        effect = _finish(task, settle=settle)
    say_tally(task.tally, effect, json=json)


def _take_bills(task: _Task, chunk: BillChunk) -> None:
    tally = task.tally
    refused = {one.line: one for one in chunk.refused}
    if chunk.proposals:
        asked = {
            "entries": msgspec.to_builtins(chunk.proposals),
            "dry_run": tally.dry_run,
            "partly": True,
        }
        outcome = task.collector.ask("POST", "/entries", json=asked)
        for mistake in outcome["mistakes"]:
            number = chunk.numbers[mistake["place"]]
            # Of several mistakes in a line the first is told.
            refused.setdefault(number, _bill_refused(chunk, number, mistake))
        tally.taken += len(outcome["entries"])
        tally.repeated += len(outcome["repeated"])
        tally.meters |= {entry["meter"] for entry in outcome["entries"]}
        tally.note(
            f"第 {chunk.numbers[note['place']]} 行：{note['message']}" for note in outcome["notes"]
        )
    tally.refuse(refused.values())


def _bill_refused(chunk: BillChunk, number: int, mistake: dict[str, Any]) -> RefusedLine:
    return RefusedLine(
        line=number,
        text=chunk.texts[number],
        reason=mistake["reason"],
        message=mistake["message"],
    )


@contextmanager
def _task(
    path: Path,
    needed: tuple[str, ...],
    report: Path | None,
    where: tuple[Path | None, str | None],
    *,
    dry_run: bool,
) -> Iterator[_Task]:
    """The file open, its heading read, the centre found; a failure says how far one came."""
    with sheet_file(path) as file, report_to(report) as out, Bar() as bar:
        sheet = usage(Sheet, file, needed)
        tally = Tally(path.name, out, dry_run=dry_run)
        bar.begin("导入 (KiB)", file.size >> 10)
        with centre(*where) as collector:
            try:
                yield _Task(collector=collector, file=file, sheet=sheet, tally=tally, bar=bar)
            except NenghaoError:
                say_error(
                    f"{path.name}: 只处理了前 {tally.lines} 行数据 (接受 {tally.taken})；"
                    "再运行一次同样的命令即可继续，已有的不会重复计入"
                )
                raise


def _advance(task: _Task, lines: int) -> None:
    task.tally.lines += lines
    task.bar.reach(task.file.read_bytes() >> 10)


def _finish(task: _Task, *, settle: bool) -> Effect | None:
    """What was taken is settled, or will be; what that changed, month by month."""
    tally = task.tally
    if task.sheet.is_gbk:
        tally.note(["文件不是 UTF-8，已按 GBK (GB18030) 读取"])
    if not tally.meters or tally.dry_run:
        return None
    if not settle:
        tally.later = when_settled(task.collector)
        return None
    return Follower(task.collector, sorted(tally.meters), (Width.MONTH,)).settle(task.bar)
