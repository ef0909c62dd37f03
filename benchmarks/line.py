"""Line: what the poller makes of a bus: its time on a slow wire, and beside dead meters.

The simulator is a process of its own; the poller is the agent's, without spool and broker.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure, Result
from benchmarks.fleet import MODELS as FOLDER
from benchmarks.observe import quantile
from benchmarks.scale import Scale
from gateways.adapters.modbus import open_bus
from gateways.bus_url import Serial, parse_bus_url
from gateways.library.folder import load_models
from gateways.line.timing import request_ms
from gateways.polled_bus import PolledBus, Taken
from gateways.reading.bus_cycle import BusCycle
from gateways.reading.memory import Notebook, Remembered
from gateways.reading.meter import Meter, build_meters
from gateways.timekeeper import Timekeeper
from metering.batch import ClockState
from metering.clock import SystemClock
from metering.reading import Fault

_MODELS = load_models(FOLDER)
_READY_S = 20.0
_WIRE_AIM = 1.05
_AIMED_AT = 9600
_LATE_AIM_MS = 100.0
_TIMEOUT_MS = 1000
_FOUND_OUT_S = 15  # until then the dead ones are found out
_CLOCK = SystemClock()


def measure(scale: Scale) -> Result:
    figures = [
        *_wire("serial:///dev/ttyS8?baudrate=9600", scale.wire_cycles),
        *_wire("serial:///dev/ttyS8?baudrate=19200&stopbits=2", scale.wire_cycles),
        *_dead(scale.dead_s),
    ]
    return Result(figures=tuple(figures))


# ---- the wire's time


def _wire(url: str, cycles: int) -> Iterator[Figure]:
    models = ("eastron_sdm630_v2", "acrel_adl3000", "chint_dtsu666", "schneider_iem3155")
    meters = [{"id": f"m{n}", "unit": n, "model": model} for n, model in enumerate(models, 1)]
    with simulated(url, meters, "paced_pty") as served:
        took_ms, requests, wire_ms, cpu = asyncio.run(_cycles(served, meters, cycles))
    serial = parse_bus_url(url).serial
    assert serial is not None
    form = f"{serial.baudrate} {serial.bytesize}{serial.parity}{serial.stopbits}"
    yield Figure(
        section=f"bus, RTU {form}",
        what="总线时间比线路下限 bus time against the wire's minimum",
        value=took_ms / wire_ms,
        unit="x",
        digits=3,
        aim=_WIRE_AIM if serial.baudrate == _AIMED_AT else None,
        note=f"{len(models)} meters, {requests} requests: {took_ms:.0f} ms, wire {wire_ms:.0f} ms",
    )
    yield Figure(
        section=f"bus, RTU {form}",
        what="处理器 processor of the poller",
        value=cpu / (took_ms * cycles / 1000) * 100,
        unit="% of a core",
    )


async def _cycles(
    url: str, entries: Sequence[dict[str, Any]], cycles: int
) -> tuple[float, int, float, float]:
    """Mean ms of a cycle that reads everything, its requests, the wire's ms, all CPU seconds."""
    meters = _build(entries)
    bus = open_bus(url, _CLOCK)
    # No period: each cycle reads everything, as the wire's minimum is reckoned.
    cycle = BusCycle(bus, meters, _CLOCK, cycle_ms=3_600_000, notebook=Notebook(Remembered()))
    await cycle.run(0, lambda _: None)  # connects, and asks who they are
    came: list[Fault | str | None] = []
    began_s, began_cpu = time.perf_counter(), time.process_time()
    for number in range(1, cycles + 1):
        await cycle.run(number * 3_600_000, lambda reading: came.append(reading.fault))
    took_s, cpu = time.perf_counter() - began_s, time.process_time() - began_cpu
    await bus.close()
    if set(came) != {None}:
        raise RuntimeError(f"the line was not sound: {set(came)}")
    blocks = [block for meter in meters for block in meter.blocks]
    serial = parse_bus_url(url).serial or Serial(device="")
    wire_ms = sum(request_ms(serial, block.count) for block in blocks)
    return took_s * 1000 / cycles, len(blocks), wire_ms, cpu


# ---- dead meters


def _dead(seconds: float) -> Iterator[Figure]:
    """32 meters once a second; the others' lateness against what it is with no meter dead."""
    usual: dict[str, float] = {}
    for dead in (0, 1, 5):
        late = asyncio.run(_lateness(dead, seconds, usual))
        steady = sorted(ms for second, ms in late if second >= _FOUND_OUT_S)
        worst = max(ms for _, ms in late)
        yield Figure(
            section="32 meters, once a second",
            what=f"{dead} 表失联时其余表迟到 lateness of the others, {dead} dead, p99",
            value=quantile(steady, 0.99),
            unit="ms",
            digits=0,
            aim=_LATE_AIM_MS if dead else None,
            note=f"{len(steady):,} polls from second {_FOUND_OUT_S} on, latest {steady[-1]} ms; "
            f"while a silence of {_TIMEOUT_MS} ms each is found out {worst} ms",
        )


async def _lateness(dead: int, seconds: float, usual: dict[str, float]) -> list[tuple[int, int]]:
    """Of each second and live meter: how long after its usual place a reading of it came.

    A second without a reading counts until the next one has one.
    """
    url = f"tcp://127.0.0.1:15020?timeout_ms={_TIMEOUT_MS}"
    entries = [{"id": f"m{n}", "unit": n, "model": "eastron_sdm630_v2"} for n in range(1, 33)]
    faults = [{"meter": f"m{4 * n + 2}", "kind": "silence"} for n in range(dead)]
    taken: list[Taken] = []
    with simulated(url, entries, 0, faults) as served:
        bus = open_bus(f"{served}?timeout_ms={_TIMEOUT_MS}", _CLOCK)
        polled = PolledBus("line", bus, _build(entries), cycle_ms=1000, offset_ms=0)
        clock = Timekeeper(_CLOCK, lambda: ClockState.SYNCED)
        begun_ms = _CLOCK.now_ms()
        polling = asyncio.create_task(polled.poll(clock, Notebook(Remembered()), taken.append, 1.0))
        await asyncio.sleep(seconds)
        polled.stopping.set()
        await polling
        await bus.close()
    came: dict[str, list[int]] = {}
    for one in taken:
        if one.reading.values:
            came.setdefault(one.reading.meter, []).append(one.reading.at_ms)
    if not dead:
        usual |= {
            name: quantile(sorted(at % 1000 for at in ats), 0.5) for name, ats in came.items()
        }
    first = begun_ms // 1000 + 1
    return [
        (number, max(0, round(min(at for at in ats if at >= start) - start - usual[name])))
        for name, ats in came.items()
        for number in range(int(seconds) - 2)
        if (start := (first + number) * 1000) <= ats[-1]
    ]


def _build(entries: Sequence[dict[str, Any]]) -> tuple[Meter, ...]:
    return build_meters({"url": "line", "meters": list(entries)}, _MODELS)


@contextmanager
def simulated(
    url: str,
    meters: Sequence[dict[str, Any]],
    place: str | int,
    faults: Sequence[dict[str, Any]] = (),
) -> Iterator[str]:
    """A simulator process with one bus; gives the URL that it is served on."""
    models = {meter["model"]: _MODELS[meter["model"]] for meter in meters}
    cut = {"buses": [{"url": url, "meters": list(meters)}], "models": models}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        file, ready = Path(name) / "simulate.json", Path(name) / "ready.json"
        content = {"cuts": [cut], "ports": {url: place}, "faults": list(faults)}
        file.write_text(json.dumps(content), encoding="utf-8")
        command = [sys.executable, "-m", "nenghao", "simulate", str(file), "--ready", str(ready)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                until = time.monotonic() + _READY_S
                while not ready.exists():
                    if time.monotonic() > until or process.poll() is not None:
                        raise RuntimeError(f"the simulator did not start on {url}")
                    time.sleep(0.05)
                yield json.loads(ready.read_bytes())[url]
            finally:
                process.terminate()
                process.wait(10)
