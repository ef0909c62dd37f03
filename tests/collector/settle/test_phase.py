"""When a meter answers within its cycle: steadily later or earlier every day is a clock's drift."""

import numpy as np
import pytest

from collector.settle.follow import FAR_MS, NEAR_MS
from collector.settle.phase import doubtful_days, drifting_days

DAY_MS = 86_400_000
START_MS = 1_767_542_400_000  # Monday 2026-01-05 in Shanghai, 0:00
FIRST_DAY = 20_458
MINUTE, QUARTER, HOUR = 60, 900, 3600


def answers(cycle: int, days: int = 30, jitter_ms: int = 2_000, seed: int = 3) -> np.ndarray:
    """Once a cycle of so many seconds, some seconds after the full one."""
    random = np.random.default_rng(seed)
    count = days * 86_400 // cycle
    return START_MS + np.arange(count) * cycle * 1000 + random.integers(0, jitter_ms, count)


def drifting(at_ms: np.ndarray, per_day: float, since: int = 10) -> np.ndarray:
    """Stamps of a clock that runs away by so many seconds a day, from a day on."""
    days = np.clip((at_ms - START_MS) / DAY_MS - since, 0, None)
    return at_ms + np.rint(days * per_day * 1000).astype(np.int64)


def found(at_ms: np.ndarray) -> list[int]:
    """Days from the start on."""
    days, drifts = drifting_days(at_ms)
    return (days[drifts] - FIRST_DAY).tolist()


@pytest.mark.parametrize("cycle", [MINUTE, QUARTER, HOUR], ids=["minutes", "quarters", "hours"])
@pytest.mark.parametrize("per_day", [-60, -17, -5, 5, 31, 60])
def test_a_clock_that_runs_away_is_named_from_its_first_day_on(cycle: int, per_day: float) -> None:
    at_ms = drifting(answers(cycle, days=31), per_day)

    drifts = found(at_ms)

    assert drifts[0] in (9, 10, 11)
    assert set(drifts) >= set(range(drifts[0], 30))


def test_a_slow_clock_that_goes_through_a_whole_minute_every_day_is_named() -> None:
    """Day by day it answers at the same seconds; within each day it goes through all of them."""
    at_ms = drifting(answers(MINUTE, jitter_ms=1), -60, since=0)

    assert len(found(at_ms)) == 30


@pytest.mark.parametrize("cycle", [MINUTE, QUARTER, HOUR], ids=["minutes", "quarters", "hours"])
@pytest.mark.parametrize("jitter_ms", [1, 2_000, 25_000])
def test_answers_at_any_second_of_a_steady_clock_are_no_drift(cycle: int, jitter_ms: int) -> None:
    assert found(answers(cycle, days=200, jitter_ms=jitter_ms)) == []


def test_a_clock_that_was_set_once_is_no_drift() -> None:
    at_ms = answers(MINUTE)
    at_ms[at_ms > START_MS + 12 * DAY_MS] += 20_000

    assert found(at_ms) == []


def test_a_drift_is_followed_through_a_night_without_readings() -> None:
    at_ms = drifting(answers(MINUTE), -40)
    hour = (at_ms - START_MS) // 3_600_000 % 24

    assert found(at_ms[(hour >= 6) | (hour < 1)])[-1] == 29


def test_polling_that_waits_after_each_answer_lags_by_more_than_any_clock() -> None:
    random = np.random.default_rng(8)
    at_ms = START_MS + np.cumsum(60_000 + random.integers(100, 400, 30 * 1440))

    assert found(at_ms) == []


def test_a_drift_is_told_of_days_that_were_seen_in_part() -> None:
    """By turns until one o'clock and from eleven on: half a day and one and a half apart."""
    at_ms = drifting(answers(QUARTER), 20)
    hour, day = (at_ms - START_MS) // 3_600_000 % 24, (at_ms - START_MS) // DAY_MS
    seen = np.where(day % 2 == 0, hour < 13, hour >= 11)

    assert set(found(at_ms[seen])) >= set(range(12, 30))


@pytest.mark.parametrize("seed", range(5))
def test_a_meter_without_a_schedule_does_not_drift(seed: int) -> None:
    random = np.random.default_rng(seed)
    at_ms = START_MS + np.cumsum(random.integers(40_000, 80_000, 200 * 1440))

    assert found(at_ms) == []


@pytest.mark.parametrize("cycle", [MINUTE, HOUR], ids=["minutes", "hours"])
@pytest.mark.parametrize("per_day", [-45, 3])
def test_each_day_alone_is_judged_as_in_the_whole_history(cycle: int, per_day: float) -> None:
    at_ms = drifting(answers(cycle, days=60), per_day, since=22)
    history = found(at_ms)

    for day in range(15, 44):
        begin_ms = START_MS + day * DAY_MS
        far = (at_ms >= begin_ms - FAR_MS) & (at_ms < begin_ms + DAY_MS + FAR_MS)
        near = (at_ms >= begin_ms - NEAR_MS) & (at_ms < begin_ms + DAY_MS + NEAR_MS)
        assert (day in found(at_ms[far])) == (day in history)
        assert doubtful_days(at_ms[near]).size or day not in history
