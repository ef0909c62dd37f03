"""Live: 50 meters by 20 values, once a second, from simulated registers to the database.

`latency` and `gateway` look at the same runs: one into DuckDB with plain JSON, one into InfluxDB
with compressed batches, and one with meters that need seven requests each.
"""

import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from benchmarks.figure import Profile
from benchmarks.fleet import SEVEN_REQUESTS, TWO_REQUESTS
from benchmarks.observe import quantile
from benchmarks.process import Usage, Watch
from benchmarks.profile import profile
from benchmarks.world import World, staged

_SETTLE_S = 4.0  # after the start: connections, first batches, caches
_TAIL_S = 1.5  # until the last readings of the window are committed


class Way(Struct, frozen=True):
    """One run's way: which database, which meters, how batches are sent."""

    store: str
    model: str
    compress: bool


PLAIN = Way("duckdb", TWO_REQUESTS, compress=False)
PACKED = Way("influxdb", TWO_REQUESTS, compress=True)
WORST = Way("duckdb", SEVEN_REQUESTS, compress=False)


class Lived(Struct, frozen=True, kw_only=True):
    """What one run showed.

    Attributes:
        readings: answered in the watched seconds.
        p50_ms: of every reading, from its answer until its commit is seen by a third party.
        own_p50_ms: the collector's own, until its database has the batch's first reading.
        batch_bytes: as sent, on average; `batch_readings` likewise.
    """

    usage: dict[str, Usage]
    readings: int
    values: int
    p50_ms: float
    p99_ms: float
    own_p50_ms: float
    own_p99_ms: float
    batch_bytes: float
    batch_readings: float
    idle: Usage | None
    profile: Profile | None


@cache
def lived(way: Way, seconds: float, profile_s: float, idle_s: float) -> Lived:
    """Run it once, however many measurements ask."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with (
            staged(folder, store=way.store, model=way.model, compress=way.compress) as world,
            world.observed() as observer,
        ):
            world.district.start()
            time.sleep(_SETTLE_S)
            from_ms = time.time_ns() // 1_000_000
            watch = world.watch()
            time.sleep(seconds)
            usage = watch.look()
            to_ms = time.time_ns() // 1_000_000
            time.sleep(_TAIL_S)
            latencies = observer.latencies_ms(from_ms, to_ms)
            batches = [b for b in observer.batches() if b.at_ms and b.at_ms[0] >= from_ms]
            if not latencies:
                raise RuntimeError(f"no reading came: {world.last_words()}")
            own = _status(world)
            seen = _profile(world, way, profile_s, folder)
            return Lived(
                usage=usage,
                readings=len(latencies),
                values=len(latencies) * 20,
                p50_ms=quantile(latencies, 0.5),
                p99_ms=quantile(latencies, 0.99),
                own_p50_ms=own["latency_p50_ms"],
                own_p99_ms=own["latency_p99_ms"],
                batch_bytes=sum(b.size for b in batches) / max(1, len(batches)),
                batch_readings=sum(len(b.at_ms) for b in batches) / max(1, len(batches)),
                idle=_idle(world, idle_s),
                profile=seen,
            )


def _status(world: World) -> dict[str, Any]:
    answer = httpx.get(f"{world.stage.api_url}/status", timeout=10, trust_env=False)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def _profile(world: World, way: Way, seconds: float, folder: Path) -> Profile | None:
    if not seconds:
        return None
    what = "gateway, zstd" if way.compress else "gateway"
    return profile(what, world.gateway.pid, seconds, folder)


def _idle(world: World, seconds: float) -> Usage | None:
    """The same gateway with an hour between two polls."""
    if not seconds:
        return None
    world.gateway.stop()
    world.slow_down(3600)
    world.gateway.start()
    time.sleep(_SETTLE_S)
    watch = Watch({"gateway": world.gateway.pid})
    time.sleep(seconds)
    return watch.look()["gateway"]
