"""Scored on truth: the benchmark itself is sound, and a small run of it meets its floors.

Load curves of the simulator, not measured data: the same on every machine.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from benchmarks.truth.canvas import Canvas
from benchmarks.truth.case import Case, play
from benchmarks.truth.family import told
from benchmarks.truth.flags import Flag
from benchmarks.truth.gates import METER, judge
from benchmarks.truth.label import ACCEPTS, GAIN, GAIN_EITHER, Fault, Kind, Trap
from benchmarks.truth.measured import load_folder, stretches
from benchmarks.truth.meter import as_displayed
from benchmarks.truth.run import FAULTS, Settings, run
from benchmarks.truth.score import episodes_of, hits_of, score
from benchmarks.truth.supply import simulated
from benchmarks.truth.tally import Line, lines_of
from benchmarks.truth.verify import Said
from collector.settle.cells import DAY_MS
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


# ---- families


def family(what: str, seed: int = 7) -> Case:
    stretch = simulated(92, 1, 1)[0]
    return Case(what=what, stretch=stretch, rate=0.0, step="1h", resolution=0.01, seed=seed)


def said(start_day: int, *meters: str) -> Said:
    at_ms = start_day * DAY_MS
    word = GAIN if len(meters) == 1 else GAIN_EITHER
    return Said(meters, Flag(word, at_ms, at_ms + DAY_MS, "verification"))


@pytest.mark.parametrize("seed", range(6))
def test_a_main_counts_what_its_sub_meters_do_and_a_rest_of_a_twentieth_to_a_fifth(
    seed: int,
) -> None:
    canvas = play(family(Trap.FAMILY, seed))
    assert canvas.company is not None
    main, *others = canvas.company.others

    subs = canvas.truth.total + sum(other.truth.total for other in others)
    rest = main.truth.total - subs

    assert np.diff(rest).min() >= -1e-6
    assert 0.05 <= rest[-1] / main.truth.total[-1] <= 0.2


def test_the_load_of_a_sub_meter_that_grows_goes_through_its_main_as_well() -> None:
    canvas = play(family(Trap.FAMILY_LOAD))
    assert canvas.company is not None
    main = canvas.company.others[0]
    half = len(canvas.truth.total) // 4

    grown = canvas.truth.total[-half:][-1] - canvas.truth.total[-half]
    before = canvas.truth.total[half] - canvas.truth.total[0]

    assert grown > 1.4 * before
    assert main.truth.total[-1] - main.truth.total[-half] > grown


def scored_with(*sayings: Said) -> tuple[bool, bool, list[bool]]:
    """Whether a drift from day 30 to 90 was found, rightly named; and which episodes are true."""
    canvas = play(family(Trap.FAMILY))
    moved = [
        Said(one.meters, structs.replace(one.flag, start_ms=start, end_ms=start + DAY_MS))
        for one in sayings
        for start in (one.flag.start_ms + canvas.truth.start_ms,)
    ]
    span = canvas.truth.start_ms + 30 * DAY_MS, canvas.truth.end_ms
    canvas.label(Kind.GAIN_DRIFT, "less", span, "made up")
    result = score(canvas, judge(canvas, rated=True), moved)
    (hit,) = result.hits
    return hit.found, hit.right, [episode.true for episode in result.episodes]


def test_a_finding_that_names_the_meter_while_it_drifts_finds_it() -> None:
    assert scored_with(said(60, METER)) == (True, True, [True])


def test_a_finding_that_names_another_one_as_well_finds_it_without_naming_it_rightly() -> None:
    assert scored_with(said(60, "beside-0", METER)) == (True, False, [True])


def test_a_finding_before_the_drift_or_about_another_meter_is_false() -> None:
    assert scored_with(said(20, METER)) == (False, False, [False])
    assert scored_with(said(60, "beside-1")) == (False, False, [False])
    assert scored_with(said(60, METER), said(60, "beside-1")) == (True, True, [True, False])


def test_a_drift_that_a_lively_rest_hides_is_not_asked_for() -> None:
    canvas = play(family(Trap.FAMILY))
    assert canvas.company is not None
    canvas.company = structs.replace(canvas.company, power_kw=None)

    assert told(canvas, 0.4).is_told
    assert not told(canvas, 0.001).is_told


@cache
def families_run() -> dict[str, Line]:
    report = run(
        Settings(
            buildings=3,
            days=92,
            seed=4,
            steps=("1h",),
            rates=(4.0,),
            whats=(Kind.GAIN_DRIFT, Trap.FAMILY, Trap.FAMILY_LOAD, Trap.FAMILY_REST),
            rated=(True,),
            simulate=True,
        )
    )
    return {line.what: line for line in report.modes[0].lines}


def test_drifts_are_found_in_families_and_nobody_else_is_named() -> None:
    line = families_run()[Kind.GAIN_DRIFT]

    assert line.faults >= 2
    assert line.found >= line.faults - 1
    assert line.false == 0


@pytest.mark.parametrize("trap", [Trap.FAMILY, Trap.FAMILY_LOAD, Trap.FAMILY_REST])
def test_nothing_is_said_of_families_in_which_no_meter_drifts(trap: Trap) -> None:
    line = families_run()[trap]

    assert line.readings > 2000
    assert line.false == 0


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
