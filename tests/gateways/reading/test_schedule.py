import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.reading.schedule import next_start, start_after

MINUTE = 60_000
NOON = 1_763_784_000_000  # 2025-11-22 12:00:00 +08:00


@pytest.mark.parametrize(
    ("now_ms", "offset_ms", "expected"),
    [
        (NOON + 1, 0, NOON + MINUTE),
        (NOON, 0, NOON + MINUTE),
        (NOON - 1, 0, NOON),
        (NOON, 5_000, NOON + 5_000),
        (NOON + 5_000, 5_000, NOON + 5_000 + MINUTE),
    ],
)
def test_starts_are_aligned_to_the_wall_clock(now_ms, offset_ms, expected):
    assert next_start(now_ms, MINUTE, offset_ms) == expected


def test_a_cycle_on_time_misses_nothing():
    start = start_after(NOON, NOON + 8_000, MINUTE)

    assert (start.at_ms, start.missed) == (NOON + MINUTE, 0)


def test_a_timer_that_woke_early_does_not_use_a_start_twice():
    assert start_after(NOON, NOON - 2, MINUTE).at_ms == NOON + MINUTE


def test_an_overrun_is_counted_and_realigned():
    start = start_after(NOON, NOON + 2 * MINUTE + 7_000, MINUTE)

    assert (start.at_ms, start.missed) == (NOON + 3 * MINUTE, 2)


def test_after_a_suspend_missed_starts_are_not_replayed():
    start = start_after(NOON, NOON + 8 * 3_600_000 + 1, MINUTE)

    assert (start.at_ms, start.missed) == (NOON + 8 * 3_600_000 + MINUTE, 480)


def test_a_clock_set_back_does_not_silence_the_bus():
    start = start_after(NOON, NOON - 3_600_000, MINUTE)

    assert (start.at_ms, start.missed) == (NOON - 3_600_000 + MINUTE, 0)


instants = st.integers(0, 4_000_000_000_000)
cycles = st.integers(1, 3_600).map(lambda seconds: seconds * 1000)


@given(instants, cycles, st.integers(0, 3_600_000))
def test_the_next_start_is_the_first_aligned_instant_ahead(now_ms, cycle_ms, offset_ms):
    start_ms = next_start(now_ms, cycle_ms, offset_ms)

    assert now_ms < start_ms <= now_ms + cycle_ms
    assert (start_ms - offset_ms) % cycle_ms == 0


@given(instants, cycles, st.lists(st.integers(0, 10_000_000), max_size=20))
def test_used_and_missed_starts_are_all_starts(now_ms, cycle_ms, durations):
    first_ms = start_ms = next_start(now_ms, cycle_ms)
    counted = 0
    for duration_ms in durations:
        start = start_after(start_ms, start_ms + duration_ms, cycle_ms)
        counted += 1 + start.missed
        start_ms = start.at_ms

    assert start_ms == first_ms + counted * cycle_ms
