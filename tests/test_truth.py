"""Scored on truth: the benchmark itself is sound, and a small run of it meets its floors.

Load curves of the simulator, not measured data: the same on every machine.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.truth.canvas import Canvas
from benchmarks.truth.case import Case, play
from benchmarks.truth.flags import Flag
from benchmarks.truth.gates import judge
from benchmarks.truth.label import ACCEPTS, Fault, Kind, Trap
from benchmarks.truth.measured import load_folder, stretches
from benchmarks.truth.meter import as_displayed
from benchmarks.truth.run import FAULTS, Settings, run
from benchmarks.truth.score import episodes_of, hits_of, score
from benchmarks.truth.supply import simulated
from benchmarks.truth.tally import Line, lines_of
from collector.settle.rule import Rule


def case(what: str, rate: float = 4.0, step: str = "15m") -> Case:
    return Case(
        what=what,
        stretch=simulated(62, 1, 1)[0],
        rate=rate,
        step=step,
        resolution=0.01,
        seed=7,
    )


@pytest.mark.parametrize("what", FAULTS)
def test_the_same_seed_injects_the_same_faults(what: str) -> None:
    once, again = play(case(what)), play(case(what))

    assert once.faults == again.faults
    assert once.faults != []
    assert np.array_equal(once.value, again.value, equal_nan=True)
    assert np.array_equal(once.stamp_ms, again.stamp_ms)


VALUES = (
    Kind.SPIKE,
    Kind.STUCK_GATEWAY,
    Kind.STUCK_METER,
    Kind.RESET,
    Kind.SILENT_REPLACEMENT,
    Kind.SWAPPED,
    Kind.UNIT,
)


@pytest.mark.parametrize("kind", VALUES)
def test_within_each_label_readings_are_not_what_the_meter_consumed(kind: Kind) -> None:
    canvas = play(case(kind))
    sound = as_displayed(canvas.base + canvas.consumed, canvas.resolution)

    for fault in canvas.faults:
        inside = (canvas.at_ms >= fault.start_ms) & (canvas.at_ms <= fault.end_ms)
        assert (canvas.value[inside] != sound[inside]).any(), fault


def untouched(canvas: Canvas) -> np.ndarray:
    away = np.ones(len(canvas.at_ms), np.bool_)
    for fault in canvas.faults:
        away &= (canvas.at_ms < fault.start_ms) | (canvas.at_ms > fault.end_ms)
    return away


@pytest.mark.parametrize("kind", [Kind.SPIKE, Kind.STUCK_GATEWAY, Kind.SWAPPED, Kind.UNIT])
def test_outside_of_labels_readings_are_what_the_meter_consumed(kind: Kind) -> None:
    canvas = play(case(kind))
    sound = as_displayed(canvas.base + canvas.consumed, canvas.resolution)
    away = untouched(canvas)

    assert np.array_equal(canvas.value[away], sound[away])
    assert away.mean() > 0.3


@pytest.mark.parametrize("trap", [Trap.PLAIN, Trap.WEEKENDS, Trap.NIGHTS, Trap.SHUFFLED])
@pytest.mark.parametrize("step", ["15m", "1h"])
def test_a_clean_series_settles_to_what_was_consumed_and_nothing_is_said(
    trap: Trap, step: str
) -> None:
    canvas = play(case(trap, rate=0.0, step=step))

    scored = score(canvas, judge(canvas, rated=True))

    assert scored.flags == ()
    assert [month.error for month in scored.months] == [0.0] * len(scored.months)
    assert scored.months


def test_a_verdict_that_comes_for_nothing_is_an_episode_that_is_false() -> None:
    canvas = play(case(Kind.RESET))
    outcome = judge(canvas, rated=True)
    canvas.faults.clear()

    scored = score(canvas, outcome)

    assert scored.episodes
    assert not any(episode.true for episode in scored.episodes)


HOUR = 3_600_000
STUCK = Fault(kind=Kind.STUCK_METER, form="", start_ms=100 * HOUR, end_ms=130 * HOUR, about="30 h")


def about_stuck(word: str, start_h: float, end_h: float) -> tuple[bool, bool]:
    """Whether the fault is found, and whether the verdict is true."""
    flags = [Flag(word, round(start_h * HOUR), round(end_h * HOUR), "test")]
    (hit,) = hits_of([STUCK], flags, HOUR)
    (episode,) = episodes_of([STUCK], flags, HOUR)
    return hit.found, episode.true


@pytest.mark.parametrize(
    ("word", "start_h", "end_h", "found", "true"),
    [
        (Rule.FROZEN, 100, 130, True, True),
        (Rule.ZERO_RUN, 110, 111, True, True),
        (Rule.FROZEN, 131, 135, True, False),  # four hours, of which none lies in the fault
        (Rule.FROZEN, 132, 133, False, False),
        (Rule.FROZEN, 0, 300, True, False),  # everything is flagged: no verdict on this fault
        (Rule.GLITCH, 115, 115, False, False),  # another word, in the middle
        (Rule.GLITCH, 130, 130, False, True),  # at its end: about it, but not what it is
    ],
)
def test_a_verdict_counts_by_its_word_and_its_span(
    word: str, start_h: float, end_h: float, found: bool, true: bool
) -> None:
    assert about_stuck(word, start_h, end_h) == (found, true)


def test_many_verdicts_about_one_fault_count_once() -> None:
    canvas = play(case(Kind.MISSING, rate=1.0))
    scored = score(canvas, judge(canvas, rated=True))

    (line,) = lines_of(Kind.MISSING, [scored])

    assert line.true == line.faults == len(canvas.faults)
    assert len(scored.flags) > line.true


def test_every_kind_says_which_words_find_it() -> None:
    assert set(ACCEPTS) == set(Kind)
    assert all(accepts.right <= accepts.found for accepts in ACCEPTS.values())


def test_stretches_hold_neither_gaps_nor_what_stands_still(tmp_path: Path) -> None:
    hours = 24 * 60
    energy = [str(10 + hour % 7) for hour in range(hours)]
    energy[300:330] = [""] * 30
    energy[700:720] = ["12.5"] * 20
    start = np.datetime64("2026-01-01T00", "h")
    lines = [f"{start + hour}:00:00,{energy[hour]},{hour % 24 - 30}" for hour in range(hours)]
    text = "timestamp_local,a_school,air_temp_c\n" + "\n".join(lines)
    (tmp_path / "energy.csv").write_text(text, encoding="utf-8")

    (series,) = load_folder(tmp_path)
    found = stretches(series, 14)

    assert series.name == "a_school"
    days = [(one.start_ms - series.first_ms) // 86_400_000 for one in found]
    assert days == [14, 15, *range(30, 47)]


def test_a_folder_without_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no file with a `timestamp"):
        run(Settings(data=tmp_path))


# ---- floors: a step below what is reached; they rise, they never fall

HARD = {
    Kind.DROP: 1.0,
    Kind.RESET: 0.97,
    Kind.ROLLOVER: 1.0,
    Kind.REPLACEMENT: 1.0,
    Kind.DUPLICATE: 1.0,
    Kind.CONFLICT: 0.97,
    Kind.SWAPPED: 0.97,
    Kind.MISSING: 1.0,
}


@cache
def small_run() -> dict[str, Line]:
    report = run(
        Settings(
            buildings=3,
            days=62,
            seed=11,
            steps=("15m", "1h"),
            rates=(4.0,),
            whats=(*HARD, Trap.PLAIN, Trap.HOLIDAY, Trap.HIGHER_LOAD, Trap.COARSE),
            rated=(True,),
            simulate=True,
        )
    )
    return {line.what: line for line in report.modes[0].lines}


@pytest.mark.parametrize(("kind", "floor"), HARD.items())
def test_hard_faults_are_found_and_little_else(kind: Kind, floor: float) -> None:
    line = small_run()[kind]

    assert line.faults >= 2
    assert line.recall is not None
    assert line.recall >= floor
    assert line.precision is not None
    assert line.precision >= floor
    assert line.rightly_named is not None
    assert line.rightly_named >= 0.9


@pytest.mark.parametrize("kind", HARD)
def test_months_that_readings_tell_are_right_within_a_thousandth(kind: Kind) -> None:
    line = small_run()[kind]

    assert line.told + line.untold > 0
    assert line.told_worst <= 0.001


@pytest.mark.parametrize("trap", [Trap.PLAIN, Trap.HOLIDAY, Trap.HIGHER_LOAD, Trap.COARSE])
def test_nothing_is_said_of_what_only_looks_odd(trap: Trap) -> None:
    line = small_run()[trap]

    assert line.readings > 2000
    assert line.false == 0
