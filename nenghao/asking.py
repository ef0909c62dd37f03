"""Asking: the options that every command which asks the centre has, and how usage goes wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn, ParamSpec, TypeVar

import typer

from metering.errors import PermanentError
from nenghao.say import USAGE, say_error

Api = Annotated[
    str | None, typer.Option("--api", help="the running collector", envvar="NENGHAO_API")
]
Settings = Annotated[
    Path | None,
    typer.Option("--settings", help="the collector's file", envvar="NENGHAO_COLLECTOR"),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Author = Annotated[str, typer.Option("--author", help="谁：姓名")]
Reason = Annotated[str, typer.Option("--reason", help="为什么")]

P = ParamSpec("P")
T = TypeVar("T")


def usage(ask: Callable[P, T], *given: P.args, **more: P.kwargs) -> T:
    """What `ask` makes of what was given; what is wrong with it is the caller's to correct."""
    try:
        return ask(*given, **more)
    except PermanentError as error:
        refuse(str(error))


def refuse(message: str) -> NoReturn:
    """The command cannot be meant like that."""
    say_error(message)
    raise typer.Exit(USAGE)
