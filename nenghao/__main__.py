"""The one command: `nenghao`."""

import sys
from typing import Annotated

import typer

from metering.errors import NenghaoError
from nenghao.commands.collector import collector
from nenghao.commands.demo import demo
from nenghao.commands.fleet import fleet
from nenghao.commands.gateway import gateway
from nenghao.commands.simulate import simulate
from nenghao.logs import set_up_logs
from nenghao.say import FOUND, say_error

app = typer.Typer(
    name="nenghao",
    help="能耗：公共建筑能耗在线监测",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(fleet, name="fleet")
app.add_typer(gateway, name="gateway")
app.add_typer(collector, name="collector")
app.command()(simulate)
app.command()(demo)


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
