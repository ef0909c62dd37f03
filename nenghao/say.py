"""Say: what a command found -> one JSON document, or a table for a person.

Results go to standard output, logs and errors to standard error. Exit codes: 0 done, 1 the check
found something, 2 usage.
"""

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

FOUND = 1
USAGE = 2

_out = Console()
_err = Console(stderr=True)


def say_json(value: Any) -> None:
    """One JSON document on one line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def say_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    title: str = "",
    whole: int = 0,
    right: Collection[int] = (),
) -> None:
    """A table; a narrow terminal breaks cells but loses no letter.

    Args:
        columns: headings.
        rows: as many cells each; anything that has a text.
        title: above it.
        whole: so many columns from the left are never broken: ids that somebody copies.
        right: columns of numbers, by place: they stand at the right.
    """
    table = Table(title=title or None, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(
            column,
            overflow="fold",
            no_wrap=number < whole,
            justify="right" if number in right else "left",
        )
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    _out.print(table)


def say(text: str) -> None:
    """One line; the terminal wraps it, a file keeps it whole."""
    _out.print(text, markup=False, highlight=False, soft_wrap=True)


def say_error(text: str) -> None:
    _err.print(text, markup=False, highlight=False, soft_wrap=True)
