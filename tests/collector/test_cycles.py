"""Cycles that were due, and those that were answered."""

import numpy as np
import pytest

from collector.quality.cycles import cycles
from collector.settle.cells import DAY_MS, HOUR_MS
from tests.fakes.settling import START_MS, meter

MINUTE_MS = 60_000
EVERY_MINUTE = START_MS + np.arange(1440) * MINUTE_MS + 17_250


def test_each_minute_that_was_heard_counts_once() -> None:
    twice = np.concatenate([EVERY_MINUTE, EVERY_MINUTE[:10] + 5_000])

    assert cycles(meter("m", cycle_s=60), twice, START_MS, ()) == (1440, 1440)


def test_a_faster_cycle_counts_as_a_minute_and_a_slower_as_it_is() -> None:
    assert cycles(meter("m", cycle_s=5), EVERY_MINUTE, START_MS, ()) == (1440, 1440)
    assert cycles(meter("m", cycle_s=900), EVERY_MINUTE[:30], START_MS, ()) == (96, 2)
    assert cycles(meter("m", cycle_s=86_400), EVERY_MINUTE[480:481], START_MS, ()) == (1, 1)


def test_a_cycle_that_does_not_divide_the_day_is_not_missed_at_its_end() -> None:
    every_ms = 7_000_000
    at_ms = np.arange(START_MS, START_MS + 12 * every_ms, every_ms)

    assert cycles(meter("m", cycle_s=7_000), at_ms, START_MS, ()) == (12, 12)


@pytest.mark.parametrize(
    ("outages", "expected"),
    [
        ([(START_MS, START_MS + 6 * HOUR_MS)], (18 * 60, 18 * 60)),
        # A cycle that an outage touches is not due.
        ([(START_MS + 90_000, START_MS + 150_001)], (1438, 1438)),
        ([(START_MS - DAY_MS, START_MS + 2 * DAY_MS)], (0, 0)),
        ([(0, START_MS), (START_MS + DAY_MS, START_MS + 2 * DAY_MS)], (1440, 1440)),
    ],
)
def test_time_out_of_service_is_neither_due_nor_answered(
    outages: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    assert cycles(meter("m", cycle_s=60), EVERY_MINUTE, START_MS, outages) == expected


def test_nothing_is_due_before_the_entry_holds_or_after_it() -> None:
    noon = START_MS + 12 * HOUR_MS
    begins = meter("m", cycle_s=60, valid_from_ms=noon)
    ends = meter("m", cycle_s=60, valid_to_ms=noon)

    assert cycles(begins, EVERY_MINUTE, START_MS, ()) == (720, 720)
    assert cycles(ends, EVERY_MINUTE[:100], START_MS, ()) == (720, 100)
    assert cycles(ends, EVERY_MINUTE, START_MS + DAY_MS, ()) == (0, 0)
