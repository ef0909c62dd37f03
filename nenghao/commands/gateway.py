"""`nenghao gateway`: run the edge agent; check what it would run."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateways.adapters.modbus import open_bus
from gateways.app import run_gateway
from gateways.commission.cut import CheckedBus
from gateways.commission.measure import measure_turnarounds
from gateways.reading.budget import BusBudget, assumed_turnaround_ms, bus_budget, serial_of
from gateways.settings import load_settings
from metering.clock import SystemClock
from nenghao.budget_view import check_values, say_check
from nenghao.gateway_status import status
from nenghao.inspection import inspect
from nenghao.progress import Bar
from nenghao.say import FOUND, say_json

gateway = typer.Typer(help="采集网关", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


@gateway.callback()
def _group() -> None:
    """Keep `run` a subcommand although it is the only one that runs the agent."""


gateway.command()(status)


@gateway.command()
def run(file: Path) -> None:
    """Run the agent by the settings in FILE until it is told to stop."""
    asyncio.run(run_gateway(load_settings(file), file.parent))


@gateway.command()
def check(
    file: Path,
    *,
    turnaround_ms: Annotated[
        float | None,
        typer.Option(min=0, help="how long a meter thinks: 20 on a serial line, 5 over TCP"),
    ] = None,
    measure: Annotated[bool, typer.Option("--measure", help="ask the meters how long")] = False,
    json: Json = False,
) -> None:
    """Check FILE (settings, or a cut): mistakes, read plan, bus time; exit 1 if anything fails."""
    inspection = inspect(file, os.environ)
    measured = _measured(inspection.buses) if measure else {}
    budgets = tuple(_budget(bus, turnaround_ms, measured) for bus in inspection.buses)
    lines = tuple(serial_of(bus.url) for bus in inspection.buses)
    if json:
        say_json(check_values(str(file), inspection, budgets, lines))
    else:
        say_check(inspection, budgets, lines)
    if inspection.errors or not all(budget.is_enough for budget in budgets):
        raise typer.Exit(FOUND)


def _budget(
    bus: CheckedBus, turnaround_ms: float | None, measured: Mapping[str, float]
) -> BusBudget:
    assumed = assumed_turnaround_ms(bus.url) if turnaround_ms is None else turnaround_ms
    line = (serial_of(bus.url), assumed)
    return bus_budget(bus.entry.url, bus.entry.cycle_s, bus.meters, line, measured)


def _measured(buses: Sequence[CheckedBus]) -> dict[str, float]:
    """The turnarounds of the meters that answer."""
    with Bar() as bar:
        bar.begin("实测响应时间", sum(len(bus.meters) for bus in buses))
        return asyncio.run(_measure(buses, bar))


async def _measure(buses: Sequence[CheckedBus], bar: Bar) -> dict[str, float]:
    clock = SystemClock()
    measured: dict[str, float] = {}
    for each in buses:
        bus = open_bus(each.entry.url, clock)
        try:
            line = serial_of(each.url)
            measured |= await measure_turnarounds(bus, each.meters, line, bar.step)
        finally:
            await bus.close()
    return measured
