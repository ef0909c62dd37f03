"""Say: what a command found -> one JSON document, or a table for a person.

Results go to standard output, logs and errors to standard error. Exit codes: 0 done, 1 the check
found something, 2 usage.
"""

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console

from documents.finding import Finding
from nenghao.table import columns_of, table

FOUND = 1
USAGE = 2

_out = Console()
_err = Console(stderr=True)


def say_json(value: Any) -> None:
    """One JSON document on one line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def say_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Any]],
    title: str = "",
    *,
    texts: Collection[int] = (),
    right: Collection[int] = (),
    spare: Sequence[int] = (),
) -> None:
    """A table that fits the terminal; ids, numbers and times are never broken.

    Args:
        headings: of the columns.
        rows: as many cells each; anything that has a text.
        title: above it.
        texts: columns of prose, by place from 0: they may be broken.
        right: columns of numbers: they stand at the right.
        spare: columns that a narrow terminal may do without, the first one first.
    """
    cells = [tuple("" if cell is None else str(cell) for cell in row) for row in rows]
    columns = columns_of(headings, texts=texts, right=right, spare=spare)
    _out.print(table(columns, cells, title, _out.width))


def say_findings(findings: Sequence[Finding]) -> None:
    """Mistakes and warnings as a table; nothing where there are none."""
    if findings:
        say_table(
            ("文件 file", "行 line", "键 key", "问题 message"),
            (
                (
                    one.file,
                    one.line,
                    one.key,
                    f"警告：{one.message}" if one.warning else one.message,
                )
                for one in findings
            ),
            texts=(3,),
        )


def say(text: str) -> None:
    """One line; the terminal wraps it, a file keeps it whole."""
    _out.print(text, markup=False, highlight=False, soft_wrap=True)


def say_error(text: str) -> None:
    _err.print(text, markup=False, highlight=False, soft_wrap=True)
