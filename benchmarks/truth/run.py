"""Run: stretches, kinds and rates -> lines of figures, with and without the fleet's ratings."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks.truth.case import MIXED, Case, plan, play
from benchmarks.truth.explain import problems
from benchmarks.truth.gates import judge
from benchmarks.truth.label import SOFT, Kind, Trap
from benchmarks.truth.measured import SHARED, Stretch
from benchmarks.truth.score import Scored, score
from benchmarks.truth.supply import measured, simulated
from benchmarks.truth.tally import Line, lines_of, overall
from benchmarks.truth.verify import said_of

FAULTS: tuple[str, ...] = (*Kind, MIXED)
TRAPS: tuple[str, ...] = tuple(Trap)


class Settings(Struct, frozen=True, kw_only=True):
    """What is run.

    Attributes:
        data: None for the folder beside the project, or the simulator where there is none.
        simulate: the simulator's load curves whatever there is.
        explain: how many texts about what went wrong.
    """

    data: Path | None = None
    simulate: bool = False
    buildings: int = 8
    days: int = 92
    seed: int = 4
    steps: tuple[str, ...] = ("15m", "1h", "1m")
    rates: tuple[float, ...] = (1.0, 4.0, 12.0)
    whats: tuple[str, ...] = (*FAULTS, *TRAPS)
    rated: tuple[bool, ...] = (True, False)
    only: str = ""
    explain: int = 0


class Mode(Struct, frozen=True, kw_only=True):
    """All lines of one state of knowledge: whether the fleet knows the circuit's rating."""

    rated: bool
    lines: list[Line]
    overall: list[dict[str, float | str]]


class Report(Struct, frozen=True, kw_only=True):
    """What came out.

    Attributes:
        source: where the series come from, and how many there are.
        met: whether every aim is met.
        explained: texts, as many as were asked for.
    """

    source: str
    seed: int
    cases: int
    cpu_s: float
    modes: list[Mode]
    met: bool
    explained: list[str]


def run(settings: Settings, tell: Callable[[str], None] = lambda _: None) -> Report:
    began = time.process_time()
    stretches, source = supply(settings)
    found: dict[tuple[bool, str], list[Scored]] = {}
    explained: list[str] = []
    count = 0
    cases = plan(stretches, settings.whats, settings.rates, settings.steps, settings.seed)
    for case in cases:
        if settings.only not in case.name:
            continue
        count += 1
        for rated, scored, texts in _run(case, settings, len(explained) < settings.explain):
            found.setdefault((rated, case.what), []).append(scored)
            explained += texts[: settings.explain - len(explained)]
        tell(case.name)
    modes = [_mode(rated, found) for rated in settings.rated]
    return Report(
        source=source,
        seed=settings.seed,
        cases=count,
        cpu_s=time.process_time() - began,
        modes=modes,
        met=not any(line.missed for mode in modes for line in mode.lines),
        explained=explained,
    )


def supply(settings: Settings) -> tuple[list[Stretch], str]:
    folder = settings.data or SHARED
    if settings.simulate or (settings.data is None and not folder.is_dir()):
        made = simulated(settings.days, settings.buildings, settings.seed)
        return made, f"simulator, {len(made)} load curves of {settings.days} days"
    found = measured(folder, settings.days, settings.buildings, settings.seed)
    if not found:
        raise SystemExit(f"{folder}: no file with a `timestamp…` column has a clean stretch")
    return found, f"{folder.name}, {len(found)} measured series of {settings.days} days"


def _run(
    case: Case,
    settings: Settings,
    explains: bool,  # noqa: FBT001 - whether more texts are wanted
) -> list[tuple[bool, Scored, list[str]]]:
    canvas = play(case)
    results = []
    for rated in settings.rated:
        outcome = judge(canvas, rated=rated)
        scored = score(canvas, outcome, said_of(canvas, outcome))
        head = f"[{case.name}] {'rated' if rated else 'rating unknown'}"
        texts = list(problems(canvas, outcome, scored, head)) if explains else []
        results.append((rated, scored, texts))
    return results


def _mode(rated: bool, found: dict[tuple[bool, str], list[Scored]]) -> Mode:  # noqa: FBT001
    lines = [
        line
        for (mode, what), some in found.items()
        if mode is rated
        for line in lines_of(what, some)
    ]
    soft = [kind for kind in Kind if kind in SOFT]
    hard = [kind for kind in Kind if kind not in SOFT]
    return Mode(
        rated=rated,
        lines=lines,
        overall=[overall(lines, hard, "hard"), overall(lines, soft, "soft")],
    )


def kinds_of(words: Sequence[str]) -> tuple[str, ...]:
    """`--fault` as it is written: names of kinds or traps."""
    return tuple(word for word in (*FAULTS, *TRAPS) if word in words)
