"""A counter that stands still: broken, or nothing to count. The same hours of other days tell."""

from collections.abc import Callable

import numpy as np
import pytest

from collector.settle.follow import FAR_MS, NEAR_MS, doubts, follow
from collector.settle.register import Register
from collector.settle.rule import Rule, rules_in
from collector.settle.series import PER_UNIT, Course, Ending, Series, whole
from collector.settle.week import SEEN_MS

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_767_542_400_000  # Monday 2026-01-05 in Shanghai, 0:00

Loads = np.ndarray


def school(days: int, per_hour: int = 1, seed: int = 7) -> Loads:
    """What each step consumes: about 20 kWh an hour at night, 90 by day, half on weekends."""
    steps = np.arange(days * 24 * per_hour)
    hour = (steps / per_hour) % 24
    by_day = np.where((hour >= 7) & (hour < 18), 90.0, 20.0)
    weekend = (steps // (24 * per_hour)) % 7 >= 5
    noise = 1 + 0.1 * np.random.default_rng(seed).standard_normal(len(steps)).clip(-3, 3)
    return by_day * np.where(weekend, 0.5, 1.0) * noise / per_hour


def read(loads: Loads, digits: int = 2) -> Series:
    """The readings of a register, the first one before anything is consumed."""
    count = len(loads) + 1
    step_ms = round(DAY_MS / (len(loads) / round_days(loads)))
    value = 5_000 + np.concatenate(([0.0], np.cumsum(loads)))
    shown = np.floor(value * 10**digits + 1e-6) / 10**digits
    return Series(
        at_ms=START_MS + np.arange(count) * step_ms,
        value=whole(shown),
        rules=np.zeros(count, np.int64),
    )


def round_days(loads: Loads) -> int:
    """Loads are by the hour or by the minute, for less than two years."""
    return len(loads) // 1440 if len(loads) >= 24 * 730 else len(loads) // 24


def stuck(loads: Loads, first: int, count: int) -> Loads:
    """The register stands; what went through is lost."""
    loads = loads.copy()
    loads[first : first + count] = 0
    return loads


def repeated(loads: Loads, first: int, count: int) -> Loads:
    """The gateway says the same for so long; the step after holds it all."""
    loads = loads.copy()
    loads[first + count] += loads[first : first + count].sum()
    loads[first : first + count] = 0
    return loads


def judged(loads: Loads, digits: int = 2) -> Course:
    return follow(read(loads, digits), Register())


def flagged(course: Course) -> dict[Rule, list[tuple[int, int]]]:
    """Of each rule the stretches it is said of, in whole hours from the start."""
    found: dict[Rule, list[tuple[int, int]]] = {}
    for leg, bits in enumerate(course.rules.tolist()):
        for rule in rules_in(bits):
            begin = int(course.at_ms[leg] - START_MS) // HOUR_MS
            end = -(-int(course.at_ms[leg + 1] - START_MS) // HOUR_MS)
            spans = found.setdefault(rule, [])
            if spans and spans[-1][1] >= begin:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((begin, end))
    return found


def total(course: Course) -> float:
    return round(int(course.energy[course.known].sum()) / PER_UNIT, 2)


# ---- the register stood


@pytest.mark.parametrize(
    ("first", "count"),
    [(15 * 24 + 9, 7), (15 * 24 + 22, 8), (19 * 24 + 5, 20), (16 * 24, 62), (15 * 24 + 3, 12 * 24)],
    ids=["a working day", "a night", "into a weekend", "days", "twelve days"],
)
def test_a_register_that_stood_in_hours_in_which_it_moves_was_frozen(
    first: int, count: int
) -> None:
    loads = stuck(school(40), first, count)

    course = judged(loads)

    assert flagged(course) == {Rule.FROZEN: [(first, first + count)]}
    assert total(course) == pytest.approx(loads.sum(), abs=0.02)
    assert course.dropped == ()


def test_what_broke_once_may_break_again_in_the_same_fortnight() -> None:
    loads = school(45)
    breaks = [(13 * 24 + 8, 30), (17 * 24 + 2, 26), (21 * 24 + 6, 60), (26 * 24 + 20, 9)]
    for first, count in breaks:
        loads = stuck(loads, first, count)

    course = judged(loads)

    assert flagged(course) == {Rule.FROZEN: [(first, first + count) for first, count in breaks]}


def test_a_few_hours_are_enough_for_a_counter_that_never_rests() -> None:
    loads = school(30)

    once = judged(stuck(loads, 15 * 24 + 9, 4))
    twice = judged(stuck(stuck(loads, 15 * 24 + 9, 4), 17 * 24 + 11, 4))

    assert flagged(once) == {Rule.FROZEN: [(369, 373)]}
    assert flagged(twice) == {}


def test_a_counter_that_rests_every_night_and_stood_for_a_day_was_frozen() -> None:
    loads = school(30)
    loads[np.arange(len(loads)) % 24 < 5] = 0

    course = judged(stuck(loads, 15 * 24 + 8, 24))

    assert flagged(course) == {Rule.FROZEN: [(368, 392)]}


def test_a_stretch_whose_unit_is_wrong_for_good_is_compared_with_itself() -> None:
    loads = stuck(school(60), 40 * 24 + 9, 20)
    said = read(loads)
    value = said.value.copy()
    value[20 * 24 :] *= 1000
    series = Series(at_ms=said.at_ms, value=value, rules=said.rules)

    course = follow(series, Register())

    assert course.epochs[-2].ending is Ending.UNIT
    assert flagged(course)[Rule.FROZEN] == [(969, 989)]


# ---- nothing to count


def weekly(loads: Loads) -> Loads:
    """Nothing on weekends."""
    return np.where(np.arange(len(loads)) // 24 % 7 >= 5, 0, loads)


def by_day_only(loads: Loads) -> Loads:
    hour = np.arange(len(loads)) % 24
    return np.where((hour >= 7) & (hour < 18), loads, 0)


def now_and_then(loads: Loads) -> Loads:
    """A boiler in spring: on and off, for hours each."""
    random = np.random.default_rng(5)
    on, place = np.zeros(len(loads), np.bool_), 0
    while place < len(loads):
        runs, rests = random.integers(2, 20), random.integers(1, 14)
        on[place : place + runs] = True
        place += runs + rests
    return np.where(on, loads, 0)


def from_a_day_on(loads: Loads) -> Loads:
    """Heating: a test in the third week, and from the fifth on the season."""
    hours = np.arange(len(loads))
    return np.where((hours >= 28 * 24) | ((hours >= 380) & (hours < 382)), loads, 0)


def until_a_day(loads: Loads) -> Loads:
    return np.where(np.arange(len(loads)) < 20 * 24 + 7, loads, 0)


def a_season_apart(loads: Loads) -> Loads:
    return stuck(loads, 10 * 24, 14 * 24)


def snow(loads: Loads) -> Loads:
    return stuck(by_day_only(loads), 15 * 24, 3 * 24)


def an_early_evening(loads: Loads) -> Loads:
    """Rests for seven hours every night, and once from the morning on."""
    loads = np.where(np.arange(len(loads)) % 24 < 7, 0, loads)
    return stuck(loads, 15 * 24 + 8, 15)


def pauses(loads: Loads) -> Loads:
    """Two hours by day now and then, and once half a day."""
    for first, count in ((12, 2), (17, 2), (15, 12)):
        loads = stuck(loads, first * 24 + 9, count)
    return loads


def just_installed(loads: Loads) -> Loads:
    return stuck(loads, 8, 5 * 24)


@pytest.mark.parametrize(
    "habit",
    [
        weekly, by_day_only, now_and_then, from_a_day_on, until_a_day, a_season_apart, snow,
        an_early_evening, pauses, just_installed,
    ],
    ids=[
        "weekends", "nights", "now and then", "first heating day", "last heating day",
        "two weeks off", "three days of snow on a roof", "an early evening", "pauses",
        "just installed",
    ],
)  # fmt: skip
def test_a_counter_that_has_nothing_to_count_is_not_frozen(habit: Callable[[Loads], Loads]) -> None:
    loads = habit(school(50))

    course = judged(loads)

    assert flagged(course) == {}
    assert course.dropped == ()


def test_a_rest_eight_times_as_long_as_any_other_is_asked_about() -> None:
    loads = stuck(by_day_only(school(40)), 14 * 24, 7 * 24)

    course = judged(loads)

    assert flagged(course) == {Rule.ZERO_RUN: [(330, 511)]}


def test_hours_within_a_gap_do_not_say_that_a_counter_moves_at_night() -> None:
    said = read(by_day_only(school(40)))
    there = np.ones(len(said.at_ms), np.bool_)
    there[12 * 24 : 19 * 24] = False
    there[20 * 24 : 27 * 24] = False

    course = follow(
        Series(at_ms=said.at_ms[there], value=said.value[there], rules=said.rules[there]),
        Register(),
    )

    assert not course.rules.any()


def test_a_coarse_register_that_steps_once_in_hours_is_not_frozen() -> None:
    loads = school(40, per_hour=60) / 40

    course = judged(loads, digits=0)

    assert not course.rules.any()


# ---- the step after made up for it


def test_what_a_coarse_register_made_up_for_is_laid_over_the_time_it_stood() -> None:
    loads = repeated(school(20, per_hour=60) / 4, 10 * 1440 + 9 * 60, 5 * 60)

    course = judged(loads, digits=0)

    assert flagged(course) == {Rule.FROZEN: [(248, 255)]}
    assert {one.rule for one in course.dropped} == {Rule.FROZEN}
    assert total(course) == pytest.approx(loads.sum(), abs=1)
    legs = np.diff(course.at_ms)
    assert 5 * HOUR_MS <= legs.max() <= 5 * HOUR_MS + 10 * MINUTE_MS


def test_what_was_made_up_for_at_night_need_not_be_above_the_day() -> None:
    loads = repeated(school(30), 15 * 24, 3)
    assert loads[15 * 24 + 3] < 1.1 * loads[15 * 24 + 9]

    course = judged(loads)

    assert flagged(course) == {Rule.FROZEN: [(360, 364)]}
    assert np.diff(course.at_ms).max() == 4 * HOUR_MS


def test_a_busy_hour_after_a_rest_made_up_for_nothing() -> None:
    """A boiler heats up on Monday: three hours' worth in the first."""
    loads = weekly(school(50))
    loads[np.arange(len(loads)) % 168 == 0] *= 12

    course = judged(loads)

    assert flagged(course) == {}


# ---- local


def broken_often(random: np.random.Generator) -> Series:
    loads = school(150, seed=int(random.integers(100)))
    for first in range(20 * 24, 135 * 24, 18 * 24):
        count = int(np.exp(random.uniform(np.log(4), np.log(13 * 24))))
        put = repeated if random.random() < 0.4 else stuck
        loads = put(loads, first + int(random.integers(72)), count)
    return read(loads)


def cut(series: Series, begin_ms: int, end_ms: int) -> Series:
    near = (series.at_ms >= begin_ms) & (series.at_ms < end_ms)
    return Series(at_ms=series.at_ms[near], value=series.value[near], rules=series.rules[near])


def legs_of(course: Course, begin_ms: int) -> list[tuple[int, int, int]]:
    there = (course.at_ms[1:] > begin_ms) & (course.at_ms[:-1] < begin_ms + DAY_MS)
    return [
        (int(course.at_ms[leg]), int(course.energy[leg]), int(course.rules[leg]))
        for leg in np.flatnonzero(there)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_each_day_alone_is_judged_as_in_the_whole_history(seed: int) -> None:
    series = broken_often(np.random.default_rng(seed))
    history = follow(series, Register())
    assert len(flagged(history)[Rule.FROZEN]) >= 5

    for day in range(17, 133):
        begin_ms = START_MS + day * DAY_MS
        part = follow(cut(series, begin_ms - FAR_MS, begin_ms + DAY_MS + FAR_MS), Register())
        assert legs_of(part, begin_ms) == legs_of(history, begin_ms), day


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_flagged_is_in_doubt_by_the_readings_of_a_day_around(seed: int) -> None:
    series = broken_often(np.random.default_rng(seed))
    history = follow(series, Register())

    for day in range(17, 133):
        begin_ms = START_MS + day * DAY_MS
        if any(rules for _, _, rules in legs_of(history, begin_ms)):
            near = cut(series, begin_ms - NEAR_MS, begin_ms + DAY_MS + NEAR_MS)
            assert doubts(near, Register()), day


def test_a_standstill_looks_no_further_than_a_day_in_doubt_is_settled_with() -> None:
    assert SEEN_MS == FAR_MS
