"""Family: a series and those beside it -> a main, sub-meters and an unmetered rest, or a gauge.

The main is the exact sum of its sub-meters and of a rest that nobody measures: another measured
series, a twentieth to a fifth of the main. Every meter has a last digit and moments of its own.
"""

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from msgspec import Struct, structs

from benchmarks.truth.canvas import Canvas, Company
from benchmarks.truth.label import Trap
from benchmarks.truth.measured import DAY_HOURS, Floats, Stretch
from benchmarks.truth.meter import Truth, as_displayed, main_of, meter_of
from collector.settle.cells import DAY_MS, HOUR_MS

_SIBLINGS = (2, 3)
_SIZE = (0.25, 4.0)  # of a sibling, against the meter that it stands beside
_REST = (0.05, 0.2)  # of the main
_LOUDER = (1.5, 3.0)
_GROWS = 1.5
_NOISE = (0.02, 0.15)  # of a gauge at one instant, against the mean around it
_GAUGED = "15m"  # read more seldom a gauge tells no mean
_GAUGE_STEP = 0.001  # of the rated power
_TOLD_DAYS = 70  # five weeks before, four after, and a week to be sure
_TOLD = 0.15  # of what the rest does from hour to hour

Resolution = Callable[[float, np.random.Generator], float]


class Form(StrEnum):
    """Who tells that a meter drifts."""

    SUB = "sub"  # its main
    MAIN = "main"  # its sub-meters
    GAUGE = "gauge"  # its own power gauge


_FORMS = (Form.SUB, Form.SUB, Form.MAIN, Form.GAUGE)


def household(
    stretch: Stretch,
    step: str,
    seed: int,
    trap: Trap | None,
    resolution: Resolution,
    chance: np.random.Generator,
) -> Canvas:
    """Put a series among others, nothing wrong with any of them yet.

    Args:
        trap: what happens that is no fault; None: nothing.
        resolution: the last digit of a meter with that energy in an hour.
    """
    enough = len(stretch.beside) > _SIBLINGS[0]
    form = _FORMS[int(chance.integers(len(_FORMS)))] if enough else Form.GAUGE
    if trap is not None:
        form = Form.SUB if enough else Form.GAUGE
    since = int(chance.integers(*_middle(stretch))) * DAY_HOURS
    if trap is Trap.FAMILY_LOAD:
        stretch = structs.replace(stretch, energy=_more(stretch, since, chance.uniform(*_LOUDER)))
    if form is Form.GAUGE:
        step = _GAUGED
    own = meter_of(stretch, step, seed)
    others: list[Truth] = []
    if form is not Form.GAUGE:
        siblings, rest = _drawn(stretch, chance)
        if trap is Trap.FAMILY_REST:
            rest = structs.replace(rest, energy=_more(rest, since, _GROWS))
        subs = [own, *(meter_of(one, step, seed) for one in siblings)]
        main = main_of("main", [*subs, meter_of(rest, step, seed)], seed)
        others = [main, *subs[1:]]
        if form is Form.MAIN:
            own, others = main, subs
    digit = resolution(_hourly(own), chance)
    canvas = Canvas(own, digit, chance)
    beside = [Canvas(truth, resolution(_hourly(truth), chance), chance) for truth in others]
    for other in beside:
        other.read()
    gauged = form is Form.GAUGE or trap is not None
    canvas.company = Company(
        main=form is Form.MAIN,
        others=tuple(beside),
        power_kw=_gauge(own, chance) if gauged else None,
    )
    return canvas


def _middle(stretch: Stretch) -> tuple[int, int]:
    days = len(stretch.energy) // DAY_HOURS
    return days * 3 // 10, days * 6 // 10


def _more(stretch: Stretch, since: int, times: float) -> Floats:
    return np.where(np.arange(len(stretch.energy)) >= since, times, 1.0) * stretch.energy


def _drawn(stretch: Stretch, chance: np.random.Generator) -> tuple[list[Stretch], Stretch]:
    """Siblings of their sizes, and the rest that nobody measures."""
    count = min(int(chance.integers(_SIBLINGS[0], _SIBLINGS[1] + 1)), len(stretch.beside) - 1)
    order = chance.permutation(len(stretch.beside))[: count + 1].tolist()
    *picked, rest = (stretch.beside[place] for place in order)
    mean = float(stretch.energy.mean())
    siblings = [_sized(one, mean * _logarithmic(chance, *_SIZE)) for one in picked]
    whole = mean + sum(float(one.energy.mean()) for one in siblings)
    share = float(chance.uniform(*_REST))
    return siblings, _sized(rest, whole * share / (1 - share))


def _sized(stretch: Stretch, mean: float) -> Stretch:
    return structs.replace(stretch, energy=stretch.energy * (mean / float(stretch.energy.mean())))


def _logarithmic(chance: np.random.Generator, lowest: float, highest: float) -> float:
    return float(np.exp(chance.uniform(np.log(lowest), np.log(highest))))


def _hourly(truth: Truth) -> float:
    return float(truth.total[-1]) * HOUR_MS / (truth.end_ms - truth.start_ms)


def _gauge(truth: Truth, chance: np.random.Generator) -> Floats:
    """The power at each reading, with the noise of a gauge and its last digit."""
    place = np.searchsorted(truth.edges_ms, truth.at_ms, side="right") - 1
    place = np.clip(place, 0, len(truth.edges_ms) - 2)
    power = np.diff(truth.total)[place] / np.diff(truth.edges_ms)[place] * HOUR_MS
    noisy = power * chance.normal(1.0, _logarithmic(chance, *_NOISE), len(power))
    digit = 10.0 ** np.floor(np.log10(_GAUGE_STEP * truth.rated_per_hour))
    return np.asarray(np.round(np.maximum(noisy, 0.0) / digit) * digit)


# ---- what can be told


class Told(Struct, frozen=True):
    """Whether a drift could be seen at all, and in which form of company."""

    is_told: bool
    about: str


def told(canvas: Canvas, off: float) -> Told:
    """Look at what a drift of this size does to what can be compared.

    Ten weeks are needed, and then a gauge always tells. In a family what is counted wrong has to
    change from hour to hour by at least a tenth of what the rest changes by, as the registers show
    it before anything drifts.
    """
    company = canvas.company
    if company is None:
        return Told(is_told=False, about="alone")
    long = canvas.truth.end_ms - canvas.truth.start_ms >= _TOLD_DAYS * DAY_MS
    if company.power_kw is not None:
        return Told(is_told=long, about=Form.GAUGE)
    mine, others = _shown(canvas), [_shown(other) for other in company.others]
    rest = mine - sum(others) if company.main else others[0] - mine - sum(others[1:])
    wrong = abs(off) * _changes(_each_hour(canvas, canvas.consumed)) / _changes(rest)
    form = Form.MAIN if company.main else Form.SUB
    return Told(is_told=long and wrong >= _TOLD, about=f"{form}, {wrong:.2f} of the rest's changes")


def _shown(canvas: Canvas) -> Floats:
    return _each_hour(canvas, as_displayed(canvas.standing, canvas.resolution))


def _each_hour(canvas: Canvas, standing: Floats) -> Floats:
    return np.diff(standing[:: canvas.steps(HOUR_MS)])


def _changes(energy: Floats) -> float:
    return float(np.sqrt(np.mean(np.diff(energy) ** 2)))
