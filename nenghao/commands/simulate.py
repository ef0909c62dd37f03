"""`nenghao simulate`: simulated meters on real Modbus, on a network or on a line."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
import structlog
import typer

from documents.tree import read_mapping
from gateways.simulator.district import Simulation, build_simulation
from gateways.simulator.document import (
    Place,
    SimulationDocument,
    make_clock,
    make_stamps,
    read_document,
)
from gateways.simulator.load import ReplayedLoad
from gateways.simulator.replay import read_replay
from gateways.simulator.serve import serve
from gateways.strict import ContentInvalid
from metering.clock import SystemClock
from nenghao.district import described_cuts

log = structlog.get_logger()


def simulate(
    file: Path,
    *,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="measured series, CSV or CSV.gz")
    ] = None,
    ready: Annotated[
        Path | None, typer.Option("--ready", help="write the served URLs here as JSON")
    ] = None,
) -> None:
    """Serve the meters of FILE until SIGINT or SIGTERM."""
    document = read_document(read_mapping(file))
    simulation = make_simulation(document, file.parent, replay)

    def tell(urls: Mapping[str, str]) -> None:
        for asked, served in urls.items():
            log.info("simulator.bus", url=asked, served=served)
        if ready is not None:
            temporary = ready.with_suffix(".tmp")
            temporary.write_bytes(msgspec.json.encode(dict(urls)))
            temporary.replace(ready)

    asyncio.run(_serve_until_told(simulation, document.ports, tell))


async def _serve_until_told(
    simulation: Simulation, ports: Mapping[str, Place], tell: Callable[[Mapping[str, str]], None]
) -> None:
    """SIGTERM ends it as Ctrl-C does: with the last lines of the log on disk."""
    serving = asyncio.ensure_future(serve(simulation, ports, tell))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serving


def make_simulation(
    document: SimulationDocument, folder: Path, replay: Path | None = None
) -> Simulation:
    """The simulation that a file asks for; its paths are relative to `folder`."""
    now = SystemClock()
    simulation = build_simulation(
        _cuts(document, folder),
        make_clock(document.clock, now),
        seed=document.seed,
        log=folder / document.log if document.log else None,
        faults=document.faults,
        replays=_replays(document, folder, replay),
    )
    return msgspec.structs.replace(simulation, stamps=make_stamps(document.clock, now))


def _replays(
    document: SimulationDocument, folder: Path, given: Path | None
) -> dict[str, ReplayedLoad]:
    """The measured loads; a file given on the command line goes before the one written down."""
    entry = document.replay
    if entry is None and given is None:
        return {}
    if entry is None:
        message = "--replay needs the column of each meter: series: {METER: COLUMN}"
        raise ContentInvalid("simulation", ("replay",), message)
    if given is None and entry.file is None:
        raise ContentInvalid("simulation", ("replay", "file"), "a file is needed, or --replay FILE")
    return read_replay(given or folder / str(entry.file), entry.series)


def _cuts(document: SimulationDocument, folder: Path) -> list[dict[str, Any]]:
    if document.fleet is not None:
        return described_cuts(folder / document.fleet)
    return [
        cut if isinstance(cut, dict) else msgspec.json.decode((folder / cut).read_bytes())
        for cut in document.cuts
    ]
