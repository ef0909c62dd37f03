"""The one command: `nenghao`.

A command's modules are imported when it is called: a gateway box has neither database client nor
web server, and what is not imported needs no memory.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from metering.errors import NenghaoError, PermanentError
from nenghao.logs import set_up_logs
from nenghao.say import FOUND, say_error

_EXTRAS = {
    "fleet": "collector",
    "rule": "collector",
    "gateway": "gateway",
    "meter": "gateway",
    "collector": "collector",
    "import": "collector",
    "export": "collector",
    "correct": "collector",
    "entry": "collector",
    "job": "collector",
    "alert": "collector",
    "silence": "collector",
    "notify": "collector",
    "settle": "collector",
    "total": "collector",
    "verify": "collector",
    "simulate": "gateway",
    "demo": "gateway,collector",
}
_MODULES = {"import": "importing"}  # a name that Python keeps for itself
_OF_THE_BUS = ("models", "schema", "read", "probe")


class ExtraMissing(PermanentError):
    """A part of the software that is not installed here."""


class Commands(TyperGroup):
    """The commands by name; each lives in the module of its name."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        return list(_EXTRAS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the same
        if cmd_name == "meter":
            return _meter()
        return _load(cmd_name) if cmd_name in _EXTRAS else None


class MeterCommands(TyperGroup):
    """`nenghao meter`: what speaks to a bus, and `replace`, which speaks to the centre."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), "replace"]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name == "replace":
            return _load("replace")
        return super().get_command(ctx, cmd_name)


def _meter() -> Any:
    group = _load("meter")
    has_bus = isinstance(group, TyperGroup)
    return MeterCommands(
        name="meter",
        commands=group.commands if has_bus else dict.fromkeys(_OF_THE_BUS, group),
        help=group.help if has_bus else "仪表",
        no_args_is_help=True,
    )


def _load(name: str) -> Any:
    """The command of that name, as typer made it."""
    module = _MODULES.get(name, name)
    try:
        command = getattr(import_module(f"nenghao.commands.{module}"), module)
    except ModuleNotFoundError as error:
        return _absent(name, error.name)
    if isinstance(command, typer.Typer):
        group = typer.main.get_group(command)
        group.name = name
        return group
    return _alone(name, command)


def _alone(name: str, function: Callable[..., None], **settings: Any) -> Any:
    lone = typer.Typer(add_completion=False)
    lone.command(name, **settings)(function)
    return typer.main.get_command(lone)


def _absent(name: str, lacking: str | None) -> Any:
    """A command that is listed and says what it would need."""
    hint = f"pip install 'nenghao[{_EXTRAS.get(name, 'collector')}]'"

    def refuse() -> NoReturn:
        raise ExtraMissing(f"nenghao {name} needs {lacking}, which is not installed: {hint}")

    escaped = hint.replace("[", r"\[")  # typer reads brackets as markup
    return _alone(name, refuse, help=f"未安装：{escaped}", context_settings=_ANYTHING)


_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    name="nenghao",
    cls=Commands,
    help="能耗：公共建筑能耗在线监测",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    log_level: Annotated[
        str, typer.Option(envvar="NENGHAO_LOG", help="debug, info, warning, error")
    ] = "info",
) -> None:
    set_up_logs(log_level)


def main() -> None:
    """Run; an error of ours is one clear message, not a traceback."""
    try:
        app()
    except NenghaoError as error:
        say_error(str(error))
        sys.exit(FOUND)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
