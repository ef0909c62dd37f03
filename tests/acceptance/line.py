"""A simulated bus and the gateway's own poller on it: real sockets, real time, no spool."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateways.adapters.modbus import open_bus
from gateways.library.folder import load_models
from gateways.polled_bus import PolledBus, Taken
from gateways.reading.memory import Notebook, Remembered
from gateways.reading.meter import build_meters
from gateways.simulator.district import build_simulation
from gateways.simulator.fault import read_fault
from gateways.simulator.serve import serving
from gateways.timekeeper import Timekeeper
from metering.batch import ClockState
from metering.clock import SystemClock
from metering.reading import Reading

MODELS = load_models(Path(__file__).parents[2] / "config" / "meters")
TCP = "tcp://127.0.0.1:15020?timeout_ms=300"
CLOCK = SystemClock()


class Polled:
    """What came of polling a line for a while.

    Attributes:
        readings: in the order they came.
        served: what the simulator says that a correct reader must have seen.
        bus: the polled bus, for what it knows of its meters.
    """

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.served: list[dict[str, Any]] = []
        self.notebook = Notebook(Remembered())
        self.bus: PolledBus

    def of(self, meter: str) -> list[Reading]:
        return [reading for reading in self.readings if reading.meter == meter]

    def by_cycle(self, cycle_ms: int) -> dict[int, dict[str, Reading]]:
        """The readings of each cycle, by its number and the meter."""
        cycles: dict[int, dict[str, Reading]] = {}
        for reading in self.readings:
            cycles.setdefault(reading.at_ms // cycle_ms, {})[reading.meter] = reading
        return cycles


def entries(count: int, model: str = "eastron_sdm630_v2", **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"m{n}", "unit": n, "model": model, **more} for n in range(1, count + 1)]


def poll(
    meters: Sequence[dict[str, Any]],
    *,
    seconds: float,
    cycle_s: float = 1.0,
    url: str = TCP,
    faults: Sequence[dict[str, Any]] = (),
    ports: dict[str, Any] | None = None,
    log: Path | None = None,
    notebook: Notebook | None = None,
) -> Polled:
    """Simulate `meters` on one bus and poll them for so many seconds, as the agent does."""
    polled = Polled()
    if notebook is not None:
        polled.notebook = notebook
    content = {"buses": [{"url": url, "meters": list(meters)}], "models": MODELS}
    simulation = build_simulation(
        [content], CLOCK, faults=[read_fault(fault) for fault in faults], log=log
    )

    async def scenario() -> None:
        async with serving(simulation, ports or {url: 0}) as urls:
            served = urls[url]
            timeout = url.partition("?")[2]
            place = served if "?" in served or not timeout else f"{served}?{timeout}"
            bus = open_bus(place, CLOCK)
            polled.bus = PolledBus(
                place,
                bus,
                build_meters(content["buses"][0], MODELS),
                cycle_ms=round(cycle_s * 1000),
                offset_ms=0,
            )
            time = Timekeeper(CLOCK, lambda: ClockState.SYNCED)

            def tell(taken: Taken) -> None:
                polled.readings.append(taken.reading)

            task = asyncio.create_task(polled.bus.poll(time, polled.notebook, tell, 0.2))
            try:
                await asyncio.sleep(seconds)
                polled.bus.stopping.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(5):
                        await task
            finally:
                task.cancel()
                await bus.close()

    asyncio.run(scenario())
    return polled
