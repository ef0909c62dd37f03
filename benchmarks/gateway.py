"""Gateway: what an edge box pays for 50 meters by 20 values at one-second polls."""

from collections.abc import Iterator

from benchmarks.figure import Figure, Result
from benchmarks.live import PACKED, PLAIN, WORST, Lived, lived
from benchmarks.scale import Scale

_SHARE_AIM = 5.0
_MEMORY_AIM = 64.0


def measure(scale: Scale) -> Result:
    plain = lived(PLAIN, scale.live_s, scale.profile_s, scale.idle_s)
    packed = lived(PACKED, scale.live_s, scale.profile_s, 0)
    figures = [
        *_figures("gateway", plain, aimed=True),
        *_figures("gateway, zstd", packed, aimed=True),
    ]
    if scale.worst_s:
        worst = lived(WORST, scale.worst_s, 0, 0)
        figures += _figures("gateway, 7 requests a meter", worst, aimed=False)
    if plain.idle is not None:
        figures.append(
            Figure(
                section="gateway",
                what="空闲 between two polls",
                value=plain.idle.share,
                unit="% of a core",
                note="a cycle of one hour",
            )
        )
    figures += _others(plain)
    profiles = [found.profile for found in (plain, packed) if found.profile]
    return Result(figures=tuple(figures), profiles=tuple(profiles))


def _figures(section: str, found: Lived, *, aimed: bool) -> Iterator[Figure]:
    usage = found.usage["gateway"]
    yield Figure(
        section=section,
        what="处理器 processor",
        value=usage.share,
        unit="% of a core",
        aim=_SHARE_AIM if aimed else None,
        note=f"{found.readings:,} readings in {usage.wall_s:.0f} s",
    )
    yield Figure(
        section=section,
        what="每百万值 per million values",
        value=usage.per_million(found.values),
        unit="CPU-s/M",
        digits=1,
    )
    yield Figure(
        section=section,
        what="内存峰值 peak memory",
        value=usage.peak_mb,
        unit="MB",
        digits=1,
        aim=_MEMORY_AIM,
    )
    yield Figure(
        section=section,
        what="每批 a batch as sent",
        value=found.batch_bytes,
        unit="bytes",
        digits=0,
        note=f"{found.batch_readings:.0f} readings",
    )


def _others(found: Lived) -> Iterator[Figure]:
    """What the same second costs elsewhere."""
    for part in ("collector", "broker", "simulator"):
        usage = found.usage[part]
        yield Figure(
            section="at one-second polls",
            what=f"{part}",
            value=usage.share,
            unit="% of a core",
            note=f"peak {usage.peak_mb:.0f} MB",
        )
