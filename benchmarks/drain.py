"""Drain: a day's backlog goes out while fresh readings keep arriving in time."""

import random
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from benchmarks.figure import Figure, Result
from benchmarks.fleet import METERS, quantities
from benchmarks.load import minute_of_readings
from benchmarks.observe import Observer, quantile
from benchmarks.process import Usage
from benchmarks.scale import Scale
from benchmarks.world import GATEWAY, World, staged
from gateways.adapters.sqlite import SqliteSpool
from gateways.spool.seal import Sealer
from metering.batch import BatchKey, ClockState
from metering.ulid import ulid

_MINUTE_MS = 60_000
_AGE_MS = 30 * _MINUTE_MS  # of the newest batch of the backlog
_LONGEST_S = 180.0
_TAIL_S = 2.5
_AIM_MS = 2000


class Drained(Struct, frozen=True, kw_only=True):
    """What the drain took, and what fresh readings took meanwhile."""

    batches: int
    seconds: float
    fresh: list[int]
    usage: dict[str, Usage]


def measure(scale: Scale) -> Result:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, staged(Path(name)) as world:
        epoch = fill(world.spool, scale.backlog)
        with world.observed(skipped=(epoch,)) as observer:
            found = _drained(world, observer, epoch, scale.backlog)
    return Result(figures=tuple(_figures(found)))


def fill(folder: Path, batches: int) -> str:
    """Seal a backlog into a spool under an epoch of its own, as a past run of the gateway would."""
    now_ms = time.time_ns() // 1_000_000
    first_ms = now_ms - now_ms % _MINUTE_MS - _AGE_MS - batches * _MINUTE_MS
    epoch = ulid(first_ms, secrets.token_bytes(10))
    spool, sealer, chance = SqliteSpool(folder), Sealer(GATEWAY), random.Random(1)  # noqa: S311
    spool.mint(epoch)
    for minute in range(batches):
        at_ms = first_ms + minute * _MINUTE_MS
        readings = minute_of_readings(1, at_ms, chance)
        for sealed, _ in sealer.seal(
            readings, BatchKey(epoch, minute), at_ms=at_ms, clock=ClockState.SYNCED
        ):
            spool.append(sealed, sealed_at_ms=at_ms)
    spool.close()
    return epoch


def _drained(world: World, observer: Observer, epoch: str, batches: int) -> Drained:
    """The gateway starts last: its first word to the collector is the backlog."""
    parts = world.district
    parts.simulator.start()
    parts.collector.start()
    parts.await_simulator()
    parts.await_collector()
    world.gateway.start()
    while not observer.batches():
        time.sleep(0.01)
    watch = world.watch()
    began_s, from_ms = time.monotonic(), time.time_ns() // 1_000_000
    while observer.committed(epoch) < batches:
        parts.check()
        if time.monotonic() - began_s > _LONGEST_S:
            break
        time.sleep(0.05)
    seconds, to_ms = time.monotonic() - began_s, time.time_ns() // 1_000_000
    usage = watch.look()
    time.sleep(_TAIL_S)
    return Drained(
        batches=observer.committed(epoch),
        seconds=seconds,
        fresh=observer.latencies_ms(from_ms, to_ms),
        usage=usage,
    )


def _figures(found: Drained) -> Iterator[Figure]:
    values = found.batches * METERS * len(quantities())
    yield Figure(
        section="drain",
        what="补传一日 drain of the backlog",
        value=found.seconds,
        unit="s",
        digits=1,
        note=f"{found.batches:,} batches, {values / 1e6:.2f} M values",
    )
    yield Figure(
        section="drain",
        what="补传速率 drain rate",
        value=values / found.seconds,
        unit="values/s",
        digits=0,
        note=f"{found.batches / found.seconds:.0f} batches/s, four under way at most",
    )
    yield Figure(
        section="drain",
        what="期间新读数 fresh readings meanwhile, p99",
        value=quantile(found.fresh, 0.99),
        unit="ms",
        digits=0,
        aim=_AIM_MS,
        note=f"p50 {quantile(found.fresh, 0.5):.0f} ms, slowest "
        f"{quantile(found.fresh, 1):.0f} ms, of {len(found.fresh):,}",
    )
    for part in ("collector", "gateway"):
        usage = found.usage[part]
        yield Figure(
            section="drain",
            what=f"{part}",
            value=usage.share,
            unit="% of a core",
            note=f"{usage.per_million(values):.1f} CPU-s/M, peak {usage.peak_mb:.0f} MB",
        )
