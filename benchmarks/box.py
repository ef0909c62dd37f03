"""Box: whole gateway processes: many meters, a simulated week, from the plug to the database."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.figure import Figure, Result
from benchmarks.observe import Observer
from benchmarks.process import rss_mb
from benchmarks.scale import Scale
from benchmarks.world import World, staged
from nenghao.demo.stage import Pace

_MEMORY_AIM = 64.0
_FLAT_AIM_MB = 1.0
_SETTLE_S = 4.0
_WEEK_S = 7 * 86_400
_WEEKS_CYCLE_S = 600
_PLUGGED_S = 30.0
_VALUES = 20


def measure(scale: Scale) -> Result:
    figures: list[Figure] = []
    for meters in scale.many:
        figures += _many(meters, scale.many_s)
    if scale.week_s:
        figures += _week(scale.week_s)
    figures += _plugged_in()
    return Result(figures=tuple(figures))


def _many(meters: int, seconds: float) -> Iterator[Figure]:
    """So many meters by twenty values, once a second, fifty on a bus."""
    section = f"Modbus TCP, {meters} meters once a second"
    with _world(meters) as (world, observer):
        time.sleep(_SETTLE_S)
        first = _readings(observer)
        watch = world.watch()
        time.sleep(seconds)
        usage = watch.look()["gateway"]
        readings = _readings(observer) - first
        overruns = world.gateway_log().count("bus.overrun")
    yield Figure(
        section=section,
        what="采集速率 values read",
        value=readings * _VALUES / usage.wall_s,
        unit="values/s",
        digits=0,
        aim=meters * _VALUES * 0.98,
        at_least=True,
        note=f"{readings:,} readings in {usage.wall_s:.0f} s, {overruns} overruns",
    )
    yield Figure(
        section=section,
        what="每百万值 per million values",
        value=usage.per_million(readings * _VALUES),
        unit="CPU-s/M",
        digits=1,
        note=f"{usage.share:.1f} % of a core",
    )
    yield Figure(
        section=section, what="内存峰值 peak memory", value=usage.peak_mb, unit="MB", digits=1
    )


def _week(seconds: float) -> Iterator[Figure]:
    """Fifty meters through a week of ten-minute cycles: what the process holds, day by day."""
    pace = Pace(
        cycle_s=_WEEKS_CYCLE_S,
        start=datetime(2026, 3, 2, tzinfo=UTC),
        anchor=datetime.now(UTC) + timedelta(seconds=5),
        speed=_WEEK_S / seconds,
    )
    held: list[float] = []
    with _world(50, pace) as (world, observer):
        time.sleep(5 + seconds / 7)
        for _day in range(7):
            held.append(rss_mb(world.gateway.pid))
            time.sleep(seconds / 7)
        readings = _readings(observer)
    section = "a simulated week, 50 meters"
    yield Figure(
        section=section,
        what="内存 memory at its end",
        value=held[-1],
        unit="MB",
        digits=1,
        aim=_MEMORY_AIM,
        note=f"{readings:,} readings; after one day {held[0]:.1f} MB",
    )
    yield Figure(
        section=section,
        what="内存增长 growth from the first day to the seventh",
        value=held[-1] - held[0],
        unit="MB",
        aim=_FLAT_AIM_MB,
        note=", ".join(f"{mb:.1f}" for mb in held),
    )


def _plugged_in() -> Iterator[Figure]:
    """From the start of the process, cycle of a minute, to the first reading in the database."""
    with _world(50, Pace(cycle_s=60), start_gateway=False) as (world, observer):
        began_s = time.monotonic()
        world.gateway.start()
        while not any(batch.stored_ms for batch in observer.batches()):
            if time.monotonic() - began_s > _PLUGGED_S:
                raise RuntimeError(f"nothing was stored: {world.last_words()}")
            time.sleep(0.01)
        took_s = time.monotonic() - began_s
    yield Figure(
        section="from the plug to the database",
        what="首条读数入库 first reading stored",
        value=took_s,
        unit="s",
        aim=5.0,
        note="process start, 50 meters, cycle of a minute; the commit seen by a third party",
    )


@contextmanager
def _world(
    meters: int, pace: Pace | None = None, *, start_gateway: bool = True
) -> Iterator[tuple[World, Observer]]:
    """A world that runs, watched at its broker."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        staged(Path(name), meters=meters, pace=pace or Pace(cycle_s=1)) as world,
        world.observed() as observer,
    ):
        world.district.start(gateways=start_gateway)
        yield world, observer


def _readings(observer: Observer) -> int:
    return sum(len(batch.at_ms) for batch in observer.batches())
