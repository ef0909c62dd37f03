"""Meter: energy by the hour -> what was consumed until any instant, and when it is read.

Inside an hour the energy follows its neighbours, with noise; each hour keeps its sum. The meter
answers a few seconds after the full step, never quite at the same one.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from benchmarks.truth.measured import Floats, Stretch
from collector.settle.cells import HOUR_MS, QUARTER_MS

Ints = NDArray[np.int64]

MINUTE_MS = 60_000
STEPS = {"1m": MINUTE_MS, "15m": QUARTER_MS, "1h": HOUR_MS}
FLOAT32 = 0.0  # as a resolution: whatever a 32-bit float can tell

_NOISE = {"1m": 0.25, "15m": 0.1, "1h": 0.1}
_ANSWERS_WITHIN_MS = 20_000
_JITTER_MS = 2_000
LATE_MS = _ANSWERS_WITHIN_MS + _JITTER_MS  # after the full step, at most
_HEADROOM = 1.2  # the circuit's rating above the highest step


class Truth(Struct, frozen=True, kw_only=True):
    """What one meter should have counted.

    Attributes:
        edges_ms, total: m + 1 instants and the energy until then; linear in between.
        at_ms: n instants at which the meter is read.
        rated_per_hour: of its circuit, in the unit: a fifth above the highest step.
    """

    name: str
    step_ms: int
    start_ms: int
    end_ms: int
    edges_ms: Ints
    total: Floats
    at_ms: Ints
    rated_per_hour: float

    def until(self, at_ms: Ints | int) -> Floats:
        return np.asarray(np.interp(at_ms, self.edges_ms, self.total))

    def between(self, from_ms: int, to_ms: int) -> float:
        return float(self.until(to_ms) - self.until(from_ms))


def generator(*parts: str | int) -> np.random.Generator:
    """Chance of its own for everything that has a name."""
    return np.random.default_rng(crc32("/".join(map(str, parts)).encode()))


def meter_of(stretch: Stretch, step: str, seed: int) -> Truth:
    chance = generator(seed, "meter", stretch.name, step)
    step_ms = STEPS[step]
    inner_ms = min(step_ms, QUARTER_MS)
    energy = _inside(stretch.energy, HOUR_MS // inner_ms, _NOISE[step], chance)
    edges_ms = stretch.start_ms + np.arange(len(energy) + 1, dtype=np.int64) * inner_ms
    total = np.concatenate(([0.0], np.cumsum(energy)))
    return _read(stretch.name, step_ms, edges_ms, total, chance)


def main_of(name: str, parts: Sequence[Truth], seed: int) -> Truth:
    """A meter of all that goes through others; it answers at moments of its own."""
    first = parts[0]
    chance = generator(seed, "main", *(part.name for part in parts), str(first.step_ms))
    total = np.sum([part.total for part in parts], axis=0)
    return _read(name, first.step_ms, first.edges_ms, total, chance)


def _read(
    name: str, step_ms: int, edges_ms: Ints, total: Floats, chance: np.random.Generator
) -> Truth:
    start_ms, end_ms = int(edges_ms[0]), int(edges_ms[-1])
    count = (end_ms - start_ms) // step_ms
    delay = chance.integers(_ANSWERS_WITHIN_MS) + chance.integers(_JITTER_MS, size=count)
    at_ms = start_ms + np.arange(count, dtype=np.int64) * step_ms + delay
    # Read at the very beginning and once more at the very end, so that these days are whole.
    at_ms[0] = start_ms
    at_ms = np.append(at_ms, end_ms)
    rates = np.diff(np.interp(at_ms, edges_ms, total)) / np.diff(at_ms) * HOUR_MS
    return Truth(
        name=name,
        step_ms=step_ms,
        start_ms=start_ms,
        end_ms=end_ms,
        edges_ms=edges_ms,
        total=total,
        at_ms=at_ms,
        rated_per_hour=float(f"{_HEADROOM * rates.max():.2g}") + 0.1,
    )


def _inside(hours: Floats, parts: int, noise: float, chance: np.random.Generator) -> Floats:
    """Each hour cut into parts that follow the hours around, with noise; sums stay."""
    place = (np.arange(len(hours) * parts) + 0.5) / parts - 0.5
    weight = np.interp(place, np.arange(len(hours)), hours).reshape(-1, parts)
    weight = np.maximum(weight, 0.2 * hours[:, None])  # a neighbour at zero takes nothing away
    weight = weight * np.maximum(0.05, chance.normal(1.0, noise, weight.shape))
    whole = weight.sum(axis=1, keepdims=True)
    share = np.divide(weight, whole, out=np.full_like(weight, 1 / parts), where=whole > 0)
    return (share * hours[:, None]).ravel()


def as_displayed(standing: Floats, resolution: float) -> Floats:
    """A register counts on when its last digit is full; a float is the nearest one."""
    if resolution == FLOAT32:
        return standing.astype(np.float32).astype(np.float64)
    return np.round(np.floor(standing / resolution + 1e-6) * resolution, 6)


def finest(standing: float, resolution: float) -> float:
    """The step of the last digit at that standing."""
    return float(np.spacing(np.float32(standing))) if resolution == FLOAT32 else resolution
