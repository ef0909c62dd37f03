"""Measure: meters that answer -> the turnaround of each, from their own blocks. Reads only."""

import asyncio
from collections.abc import Callable, Sequence
from statistics import median

from gateways.bus_url import Serial
from gateways.reading.budget import wire_ms
from gateways.reading.meter import Meter
from gateways.reading.poll import Bus
from metering.errors import NenghaoError

_ROUNDS = 3


async def measure_turnarounds(
    bus: Bus, meters: Sequence[Meter], serial: Serial | None, step: Callable[[int], None]
) -> dict[str, float]:
    """The turnaround of each meter that answered, in ms; the wire's own time is taken off.

    Args:
        bus: the line they are on.
        meters: whom to ask.
        serial: what paces the line.
        step: told each meter.
    """
    measured: dict[str, float] = {}
    for meter in meters:
        turnarounds = await _of_meter(bus, meter, serial)
        if turnarounds:
            measured[meter.id] = max(0.0, median(turnarounds))
        step(1)
    return measured


async def _of_meter(bus: Bus, meter: Meter, serial: Serial | None) -> list[float]:
    now = asyncio.get_running_loop().time
    turnarounds = []
    # The first answer also opens the bus, and is not counted.
    for number in range(_ROUNDS * len(meter.blocks) + 1):
        block = meter.blocks[number % len(meter.blocks)]
        from_s = now()
        try:
            await bus.read(meter.unit, block.table, block.address, block.count)
        except NenghaoError:
            if not number:
                return []  # silent: its timeouts are what the reserve is for
            continue
        if number:
            turnarounds.append((now() - from_s) * 1000 - wire_ms(serial, block))
    return turnarounds
