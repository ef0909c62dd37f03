"""Say: what a command found -> one JSON document, or a table for a person.

Results go to standard output, logs and errors to standard error. Exit codes: 0 done, 1 the check
found something, 2 usage.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from documents.finding import Finding

FOUND = 1
USAGE = 2

_out = Console()
_err = Console(stderr=True)


def say_json(value: Any) -> None:
    """One JSON document on one line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def say_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", whole: int = 0
) -> None:
    """A table; a narrow terminal breaks cells but loses no letter.

    Args:
        columns: headings.
        rows: as many cells each; anything that has a text.
        title: above it.
        whole: so many columns from the left are never broken: ids that somebody copies.
    """
    table = Table(title=title or None, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number < whole)
    for row in rows:
        # As it stands: rich would take "[high]" for a style, and leave it out.
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    _out.print(table)


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
        )


def say(text: str) -> None:
    """One line; the terminal wraps it, a file keeps it whole."""
    _out.print(text, markup=False, highlight=False, soft_wrap=True)


def say_error(text: str) -> None:
    _err.print(text, markup=False, highlight=False, soft_wrap=True)
