"""Supply: a folder, or none -> the clean stretches that are run; the same seed, the same ones."""

from pathlib import Path

import numpy as np
from msgspec import structs

from benchmarks.truth.measured import DAY_HOURS, Stretch, beside, load_folder, stretches
from collector.settle.cells import DAY_MS, HOUR_MS, SHANGHAI_MS
from gateways.simulator.chance import seeded
from gateways.simulator.load import CurveLoad
from gateways.simulator.shape import Consumer, Sector, Use

_FIRST_DAY = 20_454  # 2026-01-01
_YEAR = 365
_CIRCUITS = (Use.GENERAL, Use.COOLING, Use.STEADY, Use.GENERAL, Use.STEADY)  # of a house
_SHORTEST = 31  # days of a series that has no longer clean stretch


def measured(folder: Path, days: int, buildings: int, seed: int) -> list[Stretch]:
    """One stretch each of so many series (0: of all) that have one, drawn by the seed."""
    chance = np.random.default_rng(seed)
    everything = load_folder(folder)
    found = []
    for series in everything:
        clean = stretches(series, days) or stretches(series, min(days, _SHORTEST))
        if clean:
            found.append((clean[int(chance.integers(len(clean)))], series.kind))
    order = chance.permutation(len(found))[: buildings or None]
    drawn = [found[place] for place in sorted(order.tolist())]
    return [
        structs.replace(stretch, beside=beside(stretch, kind, everything))
        for stretch, kind in drawn
    ]


def simulated(days: int, buildings: int, seed: int) -> list[Stretch]:
    """Load curves of the simulator: every sector and use in turn."""
    chance = np.random.default_rng(seed)
    uses = [(sector, use) for use in Use for sector in Sector]
    order = chance.permutation(len(uses)).tolist()
    made = []
    for number in range(buildings or len(uses)):
        sector, use = uses[order[number % len(uses)]]
        name = f"{sector}_{use}_{number}"
        peak = float(10 ** chance.uniform(0.7, 3))
        day = _FIRST_DAY + int(chance.integers(_YEAR))
        consumer = Consumer(sector=sector, use=use, peak=peak, seed=seeded(seed, name))
        drawn = _drawn(name, consumer, day, days)
        others = [
            _drawn(f"{name}_beside_{number}", _neighbour(consumer, use, name, number), day, days)
            for number, use in enumerate(_CIRCUITS)
        ]
        made.append(structs.replace(drawn, beside=tuple(others)))
    return [one for one in made if (one.energy > 0).mean() > 0.1]


def _neighbour(consumer: Consumer, use: Use, name: str, number: int) -> Consumer:
    """Another circuit of the same house."""
    return structs.replace(consumer, use=use, seed=seeded(name, number))


def _drawn(name: str, consumer: Consumer, day: int, days: int) -> Stretch:
    start_ms = day * DAY_MS - SHANGHAI_MS
    load = CurveLoad(consumer, start_ms)
    edges = [load.taken(start_ms + hour * HOUR_MS) for hour in range(days * DAY_HOURS + 1)]
    return Stretch(name=name, start_ms=start_ms, energy=np.diff(edges))
