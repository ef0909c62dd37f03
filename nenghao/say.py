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

FOUND = 1
USAGE = 2

_out = Console()
_err = Console(stderr=True)


def say_json(value: Any) -> None:
    """One JSON document on one line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def say_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    table = Table(title=title or None, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    _out.print(table)


def say(text: str) -> None:
    _out.print(text, markup=False, highlight=False)


def say_error(text: str) -> None:
    _err.print(text, markup=False, highlight=False, soft_wrap=True)
