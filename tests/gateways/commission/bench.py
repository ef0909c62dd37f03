"""A bench for commissioning: the library, and devices of it, or bent ones, on loopback."""

from contextlib import asynccontextmanager
from pathlib import Path

from gateways.commission.probe import Task
from gateways.commission.sweep import PING
from gateways.commission.variants import variants
from gateways.library.folder import load_models
from gateways.simulator.district import build_simulation
from gateways.simulator.fault import read_fault
from gateways.simulator.serve import serving
from metering.clock import Replay, ReplayClock, SystemClock

MODELS = load_models(Path(__file__).parents[3] / "config" / "meters")
URL = "tcp://127.0.0.1:15999"  # only a name: the real port is a free one


def bent(model, *, offset=0, word_order=None, table=None):
    """The content of a device that does not keep to its model's file."""
    content = MODELS[model]
    registers = [
        {**register, "address": register["address"] + offset} for register in content["registers"]
    ]
    changes = {"registers": registers}
    if word_order:
        changes["word_order"] = word_order
    if table:
        changes["table"] = table
    return {**content, **changes}


class QuietWatcher:
    """Keeps what it is told."""

    def __init__(self):
        self.stages = []

    def begin(self, what, steps):
        self.stages.append([what, steps, 0])

    def step(self, steps):
        self.stages[-1][2] += steps


NOON_MS = 1_784_001_600_000  # 2026-07-14 12:00 +08:00, a Tuesday


@asynccontextmanager
async def devices(*entries, models=None, faults=(), speed=1.0):
    """Serve meters; gives their bus's URL.

    Args:
        entries: (unit, model) or (unit, model, more of the entry).
        models: contents that differ from the library's.
        speed: wall seconds per second, so that counters rise soon.
    """
    meters = [
        {"id": f"m{unit}", "unit": unit, "model": model, **(more[0] if more else {})}
        for unit, model, *more in entries
    ]
    cut = {"buses": [{"url": URL, "meters": meters}], "models": {**MODELS, **(models or {})}}
    # Always the same working day's noon: what a meter shows must not depend on when tests run.
    clock = ReplayClock(Replay(start_ms=NOON_MS, anchor_ms=SystemClock().now_ms(), speed=speed))
    simulation = build_simulation([cut], clock, faults=[read_fault(fault) for fault in faults])
    async with serving(simulation, {URL: 0}) as urls:
        yield urls[URL]


def task(url, *, units=(1,), models=None, watch_s=0, timeout_ms=150, read_timeout_ms=1000):
    return Task(
        url=url,
        units=tuple(units),
        baudrates=(9600,),
        parities=("N",),
        candidates=tuple(variants(name, MODELS[name]) for name in models or MODELS),
        named=bool(models),
        pings=(PING,),
        watch_s=watch_s,
        timeout_ms=timeout_ms,
        read_timeout_ms=read_timeout_ms,
    )
