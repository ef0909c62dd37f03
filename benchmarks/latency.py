"""Latency: from a meter's answer to the durable store, at one-second polls."""

from collections.abc import Iterator

from benchmarks.figure import Figure, Result
from benchmarks.live import PACKED, PLAIN, Lived, lived
from benchmarks.scale import Scale


def measure(scale: Scale) -> Result:
    plain = lived(PLAIN, scale.live_s, scale.profile_s, scale.idle_s)
    packed = lived(PACKED, scale.live_s, scale.profile_s, 0)
    return Result(figures=(*_figures("DuckDB", plain), *_figures("InfluxDB", packed)))


def _figures(name: str, found: Lived) -> Iterator[Figure]:
    section = f"latency → {name}"
    note = f"{found.readings:,} readings, until a third party sees the commit"
    yield Figure(
        section=section,
        what="读表到入库 poll to stored, p50",
        value=found.p50_ms,
        unit="ms",
        digits=0,
    )
    yield Figure(
        section=section,
        what="读表到入库 poll to stored, p99",
        value=found.p99_ms,
        unit="ms",
        digits=0,
        aim=1000,
        note=note,
    )
    yield Figure(
        section=section,
        what="采集中心自报 the collector's own, p99",
        value=found.own_p99_ms,
        unit="ms",
        digits=0,
        note=f"p50 {found.own_p50_ms:.0f} ms; until the database has it",
    )
