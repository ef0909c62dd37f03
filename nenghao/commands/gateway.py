"""`nenghao gateway`: run the edge agent."""

import asyncio
from pathlib import Path

import typer

from gateways.app import run_gateway
from gateways.settings import load_settings

gateway = typer.Typer(help="采集网关", no_args_is_help=True)


@gateway.callback()
def _group() -> None:
    """Keep `run` a subcommand although it is the only one so far."""


@gateway.command()
def run(file: Path) -> None:
    """Run the agent by the settings in FILE until it is told to stop."""
    asyncio.run(run_gateway(load_settings(file), file.parent))
