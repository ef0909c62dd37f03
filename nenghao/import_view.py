"""Import view: what became of a file's lines -> counts, the refused ones in a file and in words."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import typer

from collector.editing.reading_lines import RefusedLine
from nenghao.effect_view import demand_done, effect_document, say_effect
from nenghao.following import Effect
from nenghao.say import FOUND, say, say_error, say_json, say_table

_SHOWN = 20
_KEPT = 1000


class Tally:
    """Counts of lines: `taken + repeated + refused` are all of them.

    Attributes:
        kept: the first of the refused lines.
        later: when the consumption follows, if it was not settled at once.
    """

    def __init__(self, file: str, report: IO[str] | None, *, dry_run: bool) -> None:
        self.file = file
        self.dry_run = dry_run
        self.lines = self.taken = self.repeated = 0
        self.last_line = 0
        self.reasons: Counter[str] = Counter()
        self.kept: list[RefusedLine] = []
        self.notes: list[str] = []
        self.meters: set[str] = set()
        self.later = ""
        self._writer = csv.writer(report) if report else None
        if self._writer:
            self._writer.writerow(("line", "reason", "message", "text"))

    @property
    def refused(self) -> int:
        return self.reasons.total()

    def refuse(self, lines: Iterable[RefusedLine]) -> None:
        for one in sorted(lines, key=lambda one: one.line):
            self.reasons[one.reason] += 1
            if len(self.kept) < _KEPT:
                self.kept.append(one)
            if self._writer:
                self._writer.writerow((one.line, one.reason, one.message, one.text))

    def note(self, notes: Iterable[str]) -> None:
        """What somebody should know; the first thousand of it."""
        self.notes += islice(notes, _KEPT - len(self.notes))

    def document(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "dry_run": self.dry_run,
            "lines": self.lines,
            "taken": self.taken,
            "repeated": self.repeated,
            "refused": self.refused,
            "by_reason": dict(self.reasons.most_common()),
            "refusals": self.kept,
            "notes": self.notes,
        }


@contextmanager
def report_to(path: Path | None) -> Iterator[IO[str] | None]:
    """The report's file, as a spreadsheet opens it; None if nobody wants one."""
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        yield file


def say_tally(tally: Tally, effect: Effect | None, *, json: bool) -> None:
    """What became of the file; exit 1 if any line was refused, or it could not be settled."""
    if json:
        say_json({**tally.document(), "settled": effect_document(effect)})
    else:
        _say(tally)
        if effect is not None:
            say_effect(effect)
    if tally.refused:
        raise typer.Exit(FOUND)
    if effect is not None:
        demand_done(effect.run)


def _say(tally: Tally) -> None:
    if tally.kept:
        say_table(
            ("行", "原因", "说明", "内容"),
            ((one.line, one.reason, one.message, one.text[:80]) for one in tally.kept[:_SHOWN]),
            title="未接受的行",
            texts=(2, 3),
        )
    if tally.refused > _SHOWN:
        say(f"… 共 {tally.refused} 行未接受，全部写入文件请用 --report")
    for note in tally.notes:
        say_error(f"注意：{note}")
    done = "将入库" if tally.dry_run else "已入库"
    say(
        f"{tally.file}: 共 {tally.lines} 行，{done} {tally.taken}，"
        f"已有相同 {tally.repeated}，未接受 {tally.refused}"
        + (" (试运行，什么也没有写入)" if tally.dry_run else "")
    )
    if tally.later:
        say(tally.later)
