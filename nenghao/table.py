"""Table: columns and rows, so many cells of width -> what is shown, and nothing broken in it.

Ids, numbers and times are never broken; texts may be, where they stay readable. What is too wide
for the terminal leaves out the columns that it may, and those that say nothing; if that is not
enough each row is told as a record, a few lines of `heading value`. A Chinese character is two
cells wide.
"""

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct
from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

_LEAST_TEXT = 14  # cells: seven characters
_MOST_LINES = 2  # of a text in its column; longer ones are better told as records
_BOXED, _PLAIN = 3, 2  # cells beside each column's content
_BETWEEN = "  "
_INDENT = "  "
_CONSOLE = Console()  # knows how words are broken


class Column(Struct, frozen=True, kw_only=True):
    """A column.

    Attributes:
        text: prose, which may be broken.
        right: a number, which stands at the right.
        spare: it may be left out where there is no room, the lowest above 0 first.
    """

    heading: str
    text: bool = False
    right: bool = False
    spare: int = 0


Cells = tuple[str, ...]


def columns_of(
    headings: Sequence[str],
    *,
    texts: Collection[int] = (),
    right: Collection[int] = (),
    spare: Sequence[int] = (),
) -> tuple[Column, ...]:
    """Columns by their headings; the others are places, from 0."""
    return tuple(
        Column(
            heading=heading,
            text=at in texts,
            right=at in right,
            spare=spare.index(at) + 1 if at in spare else 0,
        )
        for at, heading in enumerate(headings)
    )


def table(
    columns: Sequence[Column], rows: Sequence[Cells], title: str, width: int
) -> RenderableType:
    """The widest of the layouts that fit `width`; the last one always does."""
    if sum(_widths(columns, rows)) + _BOXED * len(columns) + 1 <= width:
        return _boxed(columns, rows, title)
    for dropped in range(max((one.spare for one in columns), default=0) + 1):
        left = [at for at, one in enumerate(columns) if _is_kept(one, at, rows, dropped)]
        some, cut = [columns[at] for at in left], [tuple(row[at] for at in left) for row in rows]
        if _fits(some, cut, width):
            missed = [one.heading for one in columns if 0 < one.spare <= dropped]
            return _plain(some, cut, title, missed)
    return _records(columns, rows, title, width)


def _is_kept(column: Column, at: int, rows: Sequence[Cells], dropped: int) -> bool:
    return not 0 < column.spare <= dropped and any(row[at] for row in rows)


def _widths(columns: Sequence[Column], rows: Sequence[Cells]) -> list[int]:
    """What each column would take without breaking anything."""
    return [
        max(map(_widest, (column.heading, *(row[at] for row in rows))))
        for at, column in enumerate(columns)
    ]


def _widest(cell: str) -> int:
    return max(map(cell_len, cell.split("\n")))


def _fits(columns: Sequence[Column], rows: Sequence[Cells], width: int) -> bool:
    """Whether all stands side by side, texts broken into a few lines and all else not at all."""
    pairs = list(zip(columns, _widths(columns, rows), strict=True))
    texts = [wide for column, wide in pairs if column.text]
    room = width - sum(wide for column, wide in pairs if not column.text)
    room -= _PLAIN * (len(columns) - 1)
    if room < sum(min(wide, _LEAST_TEXT) for wide in texts):
        return False
    return not texts or max(texts) * len(texts) <= _MOST_LINES * room


def _boxed(columns: Sequence[Column], rows: Sequence[Cells], title: str) -> RichTable:
    made = RichTable(title=title or None, header_style="bold")
    return _filled(made, columns, rows)


def _plain(
    columns: Sequence[Column], rows: Sequence[Cells], title: str, missed: Sequence[str]
) -> RenderableType:
    """Without lines between columns; rows of several lines are apart."""
    several = any(column.text for column in columns) or any("\n" in c for row in rows for c in row)
    made = RichTable(
        title=title or None,
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    made.leading = 1 if several else 0
    _filled(made, columns, rows)
    if not missed:
        return made
    return Group(made, Text(f"终端较窄，未显示：{'、'.join(missed)} (--json 有全部)", style="dim"))


def _filled(made: RichTable, columns: Sequence[Column], rows: Sequence[Cells]) -> RichTable:
    for column in columns:
        made.add_column(
            column.heading,
            overflow="fold",
            no_wrap=not column.text,
            justify="right" if column.right else "left",
        )
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def _records(
    columns: Sequence[Column], rows: Sequence[Cells], title: str, width: int
) -> RenderableType:
    lines: list[Text] = [Text(title, style="italic")] if title else []
    for row in rows:
        lines += [Text(line) for line in _record(columns, row, width)]
        lines.append(Text(""))
    return Group(*lines)


def _record(columns: Sequence[Column], row: Cells, width: int) -> Iterator[str]:
    """One row as lines, the first one not indented; a cell that is broken has its own."""
    line, indent = "", ""
    for column, cell in zip(columns, row, strict=True):
        if not cell:
            continue
        said = f"{column.heading} {' '.join(cell.split(chr(10)))}"
        if line and cell_len(line + _BETWEEN + said) <= width:
            line += _BETWEEN + said
            continue
        if line:
            yield line
        parts = _broken(indent + said, width)
        indent = _INDENT
        line = parts[0] if len(parts) == 1 else ""
        yield from parts if len(parts) > 1 else ()
    if line:
        yield line


def _broken(said: str, width: int) -> list[str]:
    """Broken at spaces, or anywhere if they are rare; what goes on is indented."""
    if cell_len(said) <= width:
        return [said]
    indent = said[: len(said) - len(said.lstrip())]
    room = width - 2 * len(_INDENT)
    wrapped = Text(said.lstrip()).wrap(_CONSOLE, room, overflow="fold")
    parts = [part.plain.rstrip() for part in wrapped]
    if any(cell_len(part) < room // 2 for part in parts[:-1]):  # Chinese has no spaces
        parts = chop_cells(said.lstrip(), room)
    first, *more = parts
    return [indent + first, *(2 * _INDENT + part for part in more)]
