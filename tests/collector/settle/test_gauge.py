from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS
from collector.settle.gauge import completeness, demand, gauge_windows
from collector.settle.lay import lay
from collector.settle.series import Course

DAY = int(datetime.fromisoformat("2026-03-10 00:00+08:00").timestamp() * 1000)
MINUTE_MS = 60_000


def windows(seconds, values, width_ms=QUARTER_MS, days=1):
    at_ms = DAY + np.array(seconds, np.int64) * 1000
    return gauge_windows(at_ms, np.array(values, np.float64), width_ms, DAY, DAY + days * DAY_MS)


# Windows


def test_a_window_has_lowest_mean_highest_and_count():
    found = windows([0, 300, 600, 900], [1, 5, 3, 7])

    assert found.start_ms.tolist() == [DAY, DAY + QUARTER_MS]
    assert found.count.tolist() == [3, 1]
    assert found.lowest.tolist() == [1, 7]
    assert found.mean.tolist() == [3, 7]
    assert found.highest.tolist() == [5, 7]


def test_a_reading_weighs_until_the_next_one():
    # 60 s of 10, then 240 s of 20: the step is 60 s often enough.
    found = windows([0, 60, 120, 180, 240, 840], [10, 20, 20, 20, 20, 0])

    # 60 * 10, 3 * 60 * 20, 120 * 20 (600 s were silent), 60 * 0.
    assert found.mean.tolist() == [pytest.approx((600 + 3600 + 2400) / 420)]


def test_a_windows_last_reading_weighs_to_its_end_at_most():
    found = windows([0, 890, 910, 1790], [10, 20, 30, 40])

    assert found.mean[0] == pytest.approx((890 * 10 + 10 * 20) / 900)


def test_windows_without_a_reading_have_no_row():
    found = windows([0, 7200], [1, 2], HOUR_MS)

    assert found.start_ms.tolist() == [DAY, DAY + 2 * HOUR_MS]
    assert windows([], []).start_ms.size == 0
    assert windows([-1, 86_400], [1, 2]).count.size == 0


def test_negative_values_and_a_single_reading_are_fine():
    found = windows([5], [-3.5], DAY_MS)

    assert (found.lowest[0], found.mean[0], found.highest[0]) == (-3.5, -3.5, -3.5)


@given(
    st.lists(
        st.tuples(st.integers(0, 3 * 86_400 - 1), st.floats(-1e12, 1e12)),
        unique_by=lambda reading: reading[0],
        max_size=40,
    ),
    st.sampled_from([QUARTER_MS, HOUR_MS, DAY_MS]),
)
def test_windows_do_not_depend_on_how_days_are_cut(readings, width_ms):
    readings.sort()
    at_ms = DAY + np.array([second for second, _ in readings], np.int64) * 1000
    values = np.array([value for _, value in readings], np.float64)

    whole = gauge_windows(at_ms, values, width_ms, DAY, DAY + 3 * DAY_MS)
    parts = [
        gauge_windows(at_ms, values, width_ms, day, day + DAY_MS)
        for day in range(DAY, DAY + 3 * DAY_MS, DAY_MS)
    ]

    for name in ("start_ms", "count", "lowest", "highest"):
        assert (
            getattr(whole, name).tolist()
            == np.concatenate([getattr(part, name) for part in parts]).tolist()
        )
    assert whole.mean == pytest.approx(np.concatenate([part.mean for part in parts]), rel=1e-9)
    assert whole.count.sum() == len(readings)
    assert (whole.lowest <= whole.mean).all()
    assert (whole.mean <= whole.highest).all()


# Demand


def quarters(energy_by_quarter, minutes=15):
    count = len(energy_by_quarter)
    course = Course(
        at_ms=DAY + minutes * MINUTE_MS * np.arange(count + 1, dtype=np.int64),
        energy=np.array(energy_by_quarter, np.int64),
        known=np.ones(count, np.bool_),
        rules=np.zeros(count, np.int64),
    )
    return lay(course, DAY, DAY + 2 * DAY_MS, until_ms=DAY * 2, shapes={}).quarters


def test_demand_is_the_energy_of_a_quarter_over_a_quarter_of_an_hour():
    # 25 kWh in 15 minutes are 100 kW.
    found = demand(quarters([25_000_000] * 3 + [50_000_000, 10_000_000, 50_000_000] + [0] * 92))

    assert found.kw[:4].tolist() == [100, 100, 100, 200]
    assert found.day_ms.tolist() == [DAY, DAY + DAY_MS]
    assert found.highest_kw.tolist() == [200, 0]
    assert found.highest_at_ms.tolist() == [DAY + 3 * QUARTER_MS, DAY + DAY_MS]


def test_a_quarter_that_was_laid_out_by_rule_has_no_demand():
    found = demand(quarters([40_000_000] * 24, minutes=60))

    assert found.kw.size == 0
    assert found.day_ms.size == 0


# Completeness


def test_completeness_counts_each_cycle_once():
    at_ms = DAY + np.array([0, 100, 60_000, 179_999, 240_000, 300_000])

    assert completeness(at_ms, DAY, DAY + 300_000, 60_000) == 0.8


def test_a_cycle_longer_than_the_span_is_one():
    assert completeness(np.array([DAY + 5]), DAY, DAY + HOUR_MS, DAY_MS) == 1
    assert completeness(np.array([], np.int64), DAY, DAY + HOUR_MS, DAY_MS) == 0
