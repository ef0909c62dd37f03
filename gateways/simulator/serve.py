"""Serve: a Simulation -> its buses, each on its own kind of line.

The slaves are our own, for all three transports, and not pymodbus's: a server for testing has to
let a late answer keep the transaction of its own request (pymodbus 3.16 gives every answer that of
the newest one), answer twice, and put any byte anywhere. Besides, gateways read with pymodbus:
whoever reads and answers with the same library agrees with itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import structlog

from gateways.bus_url import BusUrl, Transport, parse_bus_url
from gateways.simulator.bus.line import Line
from gateways.simulator.bus.network import listen_rtu, listen_tcp
from gateways.simulator.bus.terminal import open_device, open_pty
from gateways.simulator.district import Simulation
from gateways.simulator.document import PACED_PTY, PTY, Place
from gateways.simulator.served_log import ServedLog
from gateways.strict import ContentInvalid, nearest

log = structlog.get_logger()


class Port(Protocol):
    """Where a bus is served; `url` says it."""

    url: str

    async def close(self) -> None: ...


async def serve(
    simulation: Simulation,
    ports: Mapping[str, Place] | None = None,
    ready: Callable[[Mapping[str, str]], None] | None = None,
) -> None:
    """Serve until cancelled.

    Args:
        simulation: what to serve.
        ports: see `serving`.
        ready: called with the URL that each bus URL is really served on.
    """
    async with serving(simulation, ports) as urls:
        log.info("simulation.serving", buses=len(urls))
        if ready is not None:
            ready(urls)
        await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def serving(
    simulation: Simulation, ports: Mapping[str, Place] | None = None
) -> AsyncIterator[dict[str, str]]:
    """The same while the context is open; gives the URL that each bus URL is really served on.

    Args:
        simulation: what to serve.
        ports: for a bus URL another port, 0 for any that is free; for a serial one "pty" or
            "paced_pty" instead of the device that it names.

    Raises:
        BusUnavailable: an address is taken or not ours, a device not there.
        ContentInvalid: `ports` names no bus of the simulation, or what its kind cannot be.
    """
    places = ports or {}
    check_places(simulation, places)
    async with AsyncExitStack() as stack:
        served_log = None
        if simulation.log is not None:
            served_log = ServedLog(simulation.log, simulation.stamps)
            stack.callback(served_log.close)
        urls: dict[str, str] = {}
        for bus in simulation.buses:
            line = Line(bus.meters, simulation.clock, served_log)
            stack.callback(line.close)
            port = await _open(line, bus.url, places.get(bus.url))
            stack.push_async_callback(port.close)
            urls[bus.url] = port.url
        yield urls


def check_places(simulation: Simulation, places: Mapping[str, Place]) -> None:
    """Refuse what `ports` says of buses that are none, or cannot be served so."""
    known = [bus.url for bus in simulation.buses]
    for url, place in places.items():
        if url not in known:
            message = f"there is no bus '{url}'{nearest(url, known)}"
            raise ContentInvalid("simulation", ("ports",), message)
        serial = parse_bus_url(url).transport is Transport.SERIAL
        if serial != isinstance(place, str):
            can_be = f"{PTY} or {PACED_PTY}" if serial else "a port number"
            message = f"{url} can be served on {can_be}, {place} came"
            raise ContentInvalid("simulation", ("ports",), message)


async def _open(line: Line, url: str, place: Place | None) -> Port:
    parsed = parse_bus_url(url)
    if parsed.transport is not Transport.SERIAL or parsed.serial is None:
        return await _listen(line, parsed, place if isinstance(place, int) else parsed.port)
    if place is None:
        return open_device(line, url, parsed.serial)
    return open_pty(line, url, parsed.serial, paced=place == PACED_PTY)


async def _listen(line: Line, url: BusUrl, port: int) -> Port:
    listen = listen_tcp if url.transport is Transport.TCP else listen_rtu
    return await listen(line, url.host, port)
