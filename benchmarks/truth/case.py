"""Case: a clean stretch, a fault and a rate -> a canvas with labelled faults; or a trap."""

from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct, structs

from benchmarks.truth import reading_faults as reading
from benchmarks.truth import register_faults as register
from benchmarks.truth.canvas import Canvas
from benchmarks.truth.family import household
from benchmarks.truth.label import FAMILIES, Kind, Trap
from benchmarks.truth.measured import DAY_HOURS, Floats, Stretch
from benchmarks.truth.meter import FLOAT32, Truth, generator, meter_of
from collector.settle.cells import DAY_MS, HOUR_MS, SHANGHAI_MS

MIXED = "mixed"
_MONTH_DAYS = 30
_FINE_DAYS = 31  # of one-minute readings: as many readings as three months of quarters are enough
_RESOLUTIONS = (0.01, 0.01, 0.01, 0.1, 1.0, FLOAT32)
_COARSE_HOURS = 4
_SLOW = ("15m", "1h")  # a drift takes months, of which minutes would be too many

# In the register first, then on the way: (fault, how many at a rate of one a month).
_REGISTER: dict[Kind, tuple[register.Register, float]] = {
    Kind.ROLLOVER: (register.ROLLOVER, 0.0),
    Kind.GAIN_DRIFT: (register.GAIN_DRIFT, 0.0),
    Kind.STUCK_METER: (register.STUCK_METER, 0.5),
    Kind.RESET: (register.RESET, 0.5),
    Kind.REPLACEMENT: (register.REPLACEMENT, 0.5),
    Kind.SILENT_REPLACEMENT: (register.SILENT_REPLACEMENT, 0.5),
}
_READING: dict[Kind, tuple[reading.Inject, float]] = {
    Kind.STUCK_GATEWAY: (reading.stuck_gateway, 0.7),
    Kind.UNIT: (reading.unit, 0.7),
    Kind.CLOCK_STEP: (reading.clock_step, 0.5),
    Kind.DROP: (reading.drop, 1.0),
    Kind.SPIKE: (reading.spike, 4.0),
    Kind.CONFLICT: (reading.conflict, 2.0),
    Kind.SWAPPED: (reading.swapped, 2.0),
    Kind.MISSING: (reading.missing, 2.0),
    Kind.DUPLICATE: (reading.duplicate, 4.0),
    Kind.CLOCK_DRIFT: (reading.clock_drift, 0.0),
}
# What one site may well have in one year, all at once.
_MIXED = (
    Kind.STUCK_METER, Kind.RESET, Kind.REPLACEMENT, Kind.STUCK_GATEWAY, Kind.UNIT, Kind.DROP,
    Kind.SPIKE, Kind.CONFLICT, Kind.SWAPPED, Kind.MISSING, Kind.DUPLICATE,
)  # fmt: skip
_MIXED_SHARE = 0.3


class Case(Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        what: a `Kind`, a `Trap`, or `MIXED`.
        rate: faults a month, before each kind's own factor; 0 for a trap.
    """

    what: str
    stretch: Stretch
    rate: float
    step: str
    resolution: float
    seed: int

    @property
    def name(self) -> str:
        digit = "float32" if self.resolution == FLOAT32 else f"{self.resolution:g}"
        day = np.datetime64(self.stretch.start_ms + SHANGHAI_MS, "ms").astype("datetime64[D]")
        return f"{self.what}/x{self.rate:g}/{self.stretch.name}@{day}/{self.step}/{digit}"

    @property
    def trap(self) -> bool:
        return self.rate == 0


def plan(
    stretches: Sequence[Stretch], whats: Sequence[str], rates: Sequence[float],
    steps: Sequence[str], seed: int,
) -> Iterator[Case]:  # fmt: skip
    """Every fault at every rate on every stretch; steps and resolutions are drawn."""
    for what in whats:
        for rate in (0.0,) if what in list(Trap) else rates:
            for stretch in stretches:
                yield _case(what, stretch, rate, steps, seed)


def _case(what: str, stretch: Stretch, rate: float, steps: Sequence[str], seed: int) -> Case:
    chance = generator(seed, what, stretch.name, str(rate))
    if what in FAMILIES:
        steps = tuple(step for step in steps if step in _SLOW) or _SLOW
    step = steps[int(chance.integers(len(steps)))]
    mean = float(stretch.energy.mean())
    resolution = _digit(mean, chance)
    if what == Trap.COARSE:
        resolution = 10.0 ** np.round(np.log10(max(0.1, _COARSE_HOURS * mean)))
    return Case(
        what=what, stretch=stretch, rate=rate, step=step, resolution=float(resolution), seed=seed
    )


def _digit(mean: float, chance: np.random.Generator) -> float:
    """A last digit that a meter with that energy in an hour may have."""
    resolution = _RESOLUTIONS[int(chance.integers(len(_RESOLUTIONS)))]
    return 0.01 if resolution > mean / 2 else resolution


def play(case: Case) -> Canvas:
    """Put the faults in."""
    chance = generator(case.seed, case.name)
    canvas = _clean(case, chance)
    kinds = _kinds(case)
    happening = [
        (site, fault)
        for kind, (fault, factor) in _REGISTER.items()
        if kind in kinds
        for site in _sites(canvas, fault, _count(case, factor))
    ]
    for site, fault in sorted(happening, key=lambda one: one[0]):
        fault.happen(canvas, site)
    canvas.read()
    for kind, (inject, factor) in _READING.items():
        if kind in kinds:
            _put(canvas, inject, _count(case, factor))
    if case.what == Trap.SHUFFLED:
        _shuffle(canvas)
    return canvas


def _clean(case: Case, chance: np.random.Generator) -> Canvas:
    if case.what not in FAMILIES:
        return Canvas(_truth(case, chance), case.resolution, chance)
    trap = Trap(case.what) if case.trap else None
    return household(case.stretch, case.step, case.seed, trap, _digit, chance)


def _kinds(case: Case) -> frozenset[Kind]:
    if case.trap:
        return frozenset()
    return frozenset(_MIXED) if case.what == MIXED else frozenset({Kind(case.what)})


def _count(case: Case, factor: float) -> int:
    share = _MIXED_SHARE if case.what == MIXED else 1.0
    days = len(case.stretch.energy) / DAY_HOURS
    if case.step == "1m":
        days = min(days, _FINE_DAYS)
    return max(1, round(case.rate * factor * share * days / _MONTH_DAYS))


def _sites(canvas: Canvas, fault: register.Register, count: int) -> Iterator[register.Site]:
    for _ in range(count):
        site = fault.site(canvas)
        if site is not None:
            yield site


def _put(canvas: Canvas, inject: reading.Inject, count: int) -> None:
    for _ in range(count):
        if not inject(canvas):
            return


def _truth(case: Case, chance: np.random.Generator) -> Truth:
    stretch = case.stretch
    if case.step == "1m" and len(stretch.energy) > _FINE_DAYS * DAY_HOURS:
        stretch = structs.replace(stretch, energy=stretch.energy[: _FINE_DAYS * DAY_HOURS])
    if case.trap:
        stretch = structs.replace(stretch, energy=_trapped(Trap(case.what), stretch, chance))
    return meter_of(stretch, case.step, case.seed)


# ---- traps: what really was consumed


def _trapped(trap: Trap, stretch: Stretch, chance: np.random.Generator) -> Floats:
    energy = stretch.energy
    hours = np.arange(len(energy))
    local = (stretch.start_ms + SHANGHAI_MS) // HOUR_MS + hours
    days = len(energy) // DAY_HOURS
    from_day = int(chance.integers(days // 4, days // 2))
    since = hours >= from_day * DAY_HOURS
    factor: Floats | float = 1.0
    if trap is Trap.WEEKENDS:
        factor = ((local // DAY_HOURS + 3) % 7 < 5).astype(np.float64)
    elif trap is Trap.HOLIDAY:
        factor = np.where(since & (hours < (from_day + 9) * DAY_HOURS), 0.25, 1.0)
    elif trap is Trap.HIGHER_LOAD:
        factor = np.where(since, chance.uniform(2, 4), 1.0)
    elif trap is Trap.HEATING:
        factor = since.astype(np.float64)
    elif trap is Trap.NIGHTS:
        factor = np.maximum(0.0, np.sin(np.pi * (local % DAY_HOURS - 6) / 12)).round(6)
    elif trap is Trap.SURGES:
        factor = np.where(chance.random(len(energy)) < 0.01, 4.0, 1.0)
    return np.asarray(energy * factor)


def _shuffle(canvas: Canvas) -> None:
    """Late by up to six hours each, in ten days' parcels of which the newest comes first."""
    late = canvas.chance.integers(0, 6 * HOUR_MS, size=len(canvas.at_ms))
    parcel = (canvas.at_ms[-1] - canvas.at_ms) // (10 * DAY_MS)
    canvas.arrives_ms = canvas.at_ms[-1] + parcel * DAY_MS + late
