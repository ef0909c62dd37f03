"""`nenghao meter`: the library of models; one reading now; what is on a bus. Only ever reads."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from gateways.adapters.modbus import open_bus
from gateways.bus_url import parse_bus_url
from gateways.commission.probe import Findings, Task, probe_bus
from gateways.commission.read import OneReading, read_once
from gateways.commission.sweep import BAUDRATES, HIGHEST_UNIT, PARITIES, LineClosed
from gateways.commission.variants import Variant, variants
from gateways.commission.words import advice
from gateways.library.schema import model_schema
from gateways.reading.meter import Meter, build_meters
from metering.clock import SystemClock
from metering.errors import PermanentError
from metering.reading import Fault
from nenghao.library import (
    REGISTER_COLUMNS,
    SUMMARY_COLUMNS,
    checked,
    chosen,
    details,
    library,
    register_rows,
    summary,
    summary_row,
)
from nenghao.probe_view import findings_values, say_findings, task_of
from nenghao.progress import Bar
from nenghao.reading_view import reading_values, say_reading
from nenghao.say import FOUND, USAGE, say, say_error, say_json, say_table

meter = typer.Typer(help="电表等仪表：型号库、试读、查找", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Config = Annotated[Path, typer.Option("--config", help="the folder with meters/")]
CONFIG = Path("config")


@meter.command()
def models(
    model: Annotated[str | None, typer.Argument(help="one model in full")] = None,
    *,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """The library of meter models, or MODEL with its registers and its plan."""
    contents = _usage(library, config)
    wanted = _usage(chosen, contents, [model] if model else [])
    right, wrong = checked(wanted)
    if model is None:
        abouts = [summary(each, contents[name]) for name, each in right.items()]
        if json:
            say_json({"models": abouts, "mistakes": wrong})
        else:
            say_table(
                SUMMARY_COLUMNS, map(summary_row, abouts), texts=(1,), right=(4, 5, 8), spare=(6, 7)
            )
    elif right:
        about = details(right[model], contents[model])
        if json:
            say_json(about)
        else:
            _say_model(about, register_rows(right[model]))
    for mistake in wrong:
        say_error(mistake)
    if wrong:
        raise typer.Exit(FOUND)


def _say_model(about: dict[str, Any], rows: Any) -> None:
    title = f"{about['maker']} {about['name']} ({about['id']})"
    say_table(REGISTER_COLUMNS, rows, title, right=(6,), spare=(7, 1, 2, 5))
    plan = ", ".join(f"{b['table']} 0x{b['address']:04X}+{b['count']}" for b in about["blocks"])
    say(f"读取计划 ({len(about['blocks'])} 次请求): {plan}")
    for name, option in about["options"].items():
        choices = "; ".join(f"{choice} = {text}" for choice, text in option["choices"].items())
        say(f"选项 {name} (默认 {option['default']}): {choices}")
    for heading, lines in (("警告", "warnings"), ("说明", "notes"), ("来源", "sources")):
        for line in about[lines]:
            say(f"{heading}: {line}")


@meter.command()
def schema() -> None:
    """The JSON Schema of a model's file, for an editor."""
    say_json(model_schema())


@meter.command()
def read(  # noqa: PLR0913 - each is an option of the command line
    model: str,
    url: Annotated[str, typer.Argument(help="the bus, with the unit: tcp://host:502?unit=1")],
    *,
    option: Annotated[list[str] | None, typer.Option("--option", help="name=choice")] = None,
    ct: Annotated[float, typer.Option("--ct", help="current transformers' ratio")] = 1,
    pt: Annotated[float, typer.Option("--pt", help="voltage transformers' ratio")] = 1,
    applied_by: Annotated[str, typer.Option("--applied-by", help="gateway or meter")] = "gateway",
    direction: Annotated[str, typer.Option("--direction", help="import or export")] = "import",
    raw: Annotated[bool, typer.Option("--raw", help="addresses and words too")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Read one meter once, as the gateway would; exit 1 if anything is missing or implausible."""
    entry = {
        "id": model,
        "model": model,
        "unit": _unit(url),
        "ratio": {"ct": ct, "pt": pt, "applied_by": applied_by},
        "direction": direction,
        "options": _options(option or []),
    }
    contents = _usage(library, config)
    (one,) = _usage(build_meters, {"url": url, "meters": [entry]}, contents)
    others = variants(model, contents[model])
    result = asyncio.run(_read(url, one, others))
    if json:
        say_json(reading_values(one, url, result))
    else:
        say_reading(one, result, raw=raw)
    if not result.is_sound:
        raise typer.Exit(FOUND)


async def _read(url: str, one: Meter, others: Sequence[Variant]) -> OneReading:
    clock = SystemClock()
    bus = open_bus(url, clock, one.model.limits.connect_pause_ms)
    try:
        return await read_once(bus, one, clock, others)
    finally:
        await bus.close()


def _unit(url: str) -> int:
    unit = _usage(parse_bus_url, url).unit
    if unit is None:
        _refuse(f"{url}: which meter? add the unit, as in tcp://192.168.1.20:502?unit=1")
    return int(unit)


def _options(given: list[str]) -> dict[str, str]:
    options = {}
    for each in given:
        name, equals, choice = each.partition("=")
        if not equals:
            _refuse(f"--option {each!r}: name=choice is needed")
        options[name] = choice
    return options


@meter.command()
def probe(  # noqa: PLR0913 - each is an option of the command line
    url: Annotated[str, typer.Argument(help="the bus: tcp://host:502, serial:///dev/ttyUSB0")],
    *,
    units: Annotated[str, typer.Option("--units", help="1-247, 1,5,8-12")] = f"1-{HIGHEST_UNIT}",
    baudrates: Annotated[str, typer.Option("--baudrates")] = ",".join(map(str, BAUDRATES)),
    parities: Annotated[str, typer.Option("--parities")] = ",".join(PARITIES),
    model: Annotated[list[str] | None, typer.Option("--model", help="only these models")] = None,
    watch_s: Annotated[float, typer.Option("--watch-s", help="how long counters may rise")] = 10,
    timeout_ms: Annotated[int | None, typer.Option("--timeout-ms", help="of the search")] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Find who is on a bus and which models fit; exit 1 unless each that answers has one."""
    contents = _usage(chosen, _usage(library, config), model or [])
    task = _usage(
        task_of,
        url,
        {"units": units, "baudrates": baudrates, "parities": parities},
        contents,
        named=bool(model),
        waits=(watch_s, timeout_ms),
    )
    try:
        findings = _probe(task)
    except LineClosed as error:
        _no_line(url, str(error), json=json)
    if json:
        say_json(findings_values(url, findings))
    else:
        say_findings(findings)
    if not findings.is_settled:
        raise typer.Exit(FOUND)


def _no_line(url: str, error: str, *, json: bool) -> NoReturn:
    if json:
        say_json({"url": url, "settled": False, "error": error, "found": []})
    else:
        say(f"✗ {advice(Fault.DISCONNECTED)} ({error})")
    raise typer.Exit(FOUND)


def _probe(task: Task) -> Findings:
    clock = SystemClock()
    with Bar() as bar:
        return asyncio.run(probe_bus(task, lambda url: open_bus(url, clock), bar))


def _usage(ask: Any, *given: Any, **more: Any) -> Any:
    """What `ask` makes of what was given; what is wrong with it is the caller's to correct."""
    try:
        return ask(*given, **more)
    except PermanentError as error:
        _refuse(str(error))


def _refuse(message: str) -> NoReturn:
    say_error(message)
    raise typer.Exit(USAGE)
