"""Sheet: a CSV file's lines -> cells by column; every line is told of, also the unreadable. Pure.

A cell ends on its line: a quotation mark that nobody closed spoils one line, not the rest of the
file.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from metering.errors import PermanentError

_BOM = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class SheetInvalid(PermanentError):
    """The file as a whole cannot be read: it has not the columns that are needed."""


class SheetLine(NamedTuple):
    """One line.

    Attributes:
        number: from 1, as an editor shows it; the heading is line 1 as a rule.
        text: as it stands, without its end.
        cells: None if it cannot be parted into cells.
    """

    number: int
    text: str
    cells: list[str] | None


class Sheet:
    """A CSV file with a heading, read once, line by line."""

    def __init__(self, lines: Iterable[bytes], needed: Sequence[str]) -> None:
        """Read the heading.

        Args:
            lines: as they are on disk, with their ends.
            needed: columns, in any order among others; `energy|quantity` is either of them.

        Raises:
            SheetInvalid: there is no heading, or columns are missing or there twice.
        """
        self._lines = iter(lines)
        self._number = 0
        self.is_gbk = False
        heading = next(self, None)
        if heading is None:
            raise SheetInvalid(f"文件是空的：第一行应为 {','.join(needed)}")
        names = [cell.strip().lower() for cell in heading.cells or [heading.text]]
        self.columns = _columns(names, needed)

    def __iter__(self) -> Iterator[SheetLine]:
        return self

    def __next__(self) -> SheetLine:
        """The next line that is not blank."""
        for raw in self._lines:
            self._number += 1
            if self._number == 1 and raw.startswith(_UTF_16):
                raise SheetInvalid("文件是 UTF-16 编码：请另存为 “CSV UTF-8”")
            line = self._line(raw.rstrip(b"\r\n"))
            if line.cells is None or not line.text.isspace():
                return line
        raise StopIteration

    def _line(self, raw: bytes) -> SheetLine:
        """UTF-8; or GBK, as older spreadsheets write it; whatever else stays visible."""
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return self._foreign(raw)
        if self._number == 1:
            text = text.removeprefix(_BOM)
        return SheetLine(self._number, text or " ", _cells(text))

    def _foreign(self, raw: bytes) -> SheetLine:
        try:
            text = raw.decode("gb18030")
        except UnicodeDecodeError:
            return SheetLine(self._number, raw.decode("utf-8", "backslashreplace"), None)
        self.is_gbk = True
        return SheetLine(self._number, text, _cells(text))


def _cells(text: str) -> list[str] | None:
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error:
        return None


def _columns(names: Sequence[str], needed: Sequence[str]) -> dict[str, int]:
    """The place of every column by its name."""
    wrong = []
    for either in needed:
        if not any(name in names for name in either.split("|")):
            near = get_close_matches(either, names, n=1)
            meant = f" (是否 '{near[0]}'？)" if near else ""
            wrong.append(f"缺少列 {either}{meant}")
    wrong += [f"列 {name} 出现了两次" for name in {n for n in names if n and names.count(n) > 1}]
    if wrong:
        raise SheetInvalid(f"{'；'.join(wrong)}。第一行应为 {','.join(needed)}")
    return {name: place for place, name in enumerate(names) if name}
