from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.settle.amend import Correction, amend, spread
from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS
from collector.settle.lay import lay
from collector.settle.rule import Rule, rules_in
from collector.settle.series import Course

DAY = int(datetime.fromisoformat("2026-03-10 00:00+08:00").timestamp() * 1000)
MINUTE_MS = 60_000
LATER = DAY * 2 - DAY * 2 % QUARTER_MS


def settled(minutes, energy, *, days=1, first=DAY, start_ms=DAY, until_ms=LATER):
    """A meter that answers every so many minutes; None: nobody knows."""
    course = Course(
        at_ms=first + minutes * MINUTE_MS * np.arange(len(energy) + 1, dtype=np.int64),
        energy=np.array([value or 0 for value in energy], np.int64),
        known=np.array([value is not None for value in energy], np.bool_),
        rules=np.zeros(len(energy), np.int64),
    )
    return lay(course, start_ms, start_ms + days * DAY_MS, until_ms=until_ms, shapes={})


def said(first_quarter, quarters, value, number=1, day=DAY):
    start_ms = day + first_quarter * QUARTER_MS
    return Correction(
        start_ms=start_ms, end_ms=start_ms + quarters * QUARTER_MS, value=value, number=number
    )


def shares(cells, place=0):
    return tuple(
        round(float(column[place]), 9)
        for column in (cells.measured, cells.estimated, cells.edited, cells.missing)
    )


def amended(before, *corrections, shape=None):
    return amend(before, corrections, before.quarters if shape is None else shape)


# Values


def test_a_corrections_value_goes_along_what_the_register_said():
    before = settled(15, [100, 300, 0, 600] + [500] * 92)

    after = amended(before, said(0, 4, 2_000))

    assert after.quarters.value[:5].tolist() == [200, 600, 0, 1_200, 500]
    assert after.hours.value[:2].tolist() == [2_000, 2_000]
    assert after.days.value.tolist() == [2_000 + 92 * 500]


def test_it_goes_evenly_where_nothing_is_known_or_nothing_was_consumed():
    before = settled(15, [0] * 4 + [None] * 4 + [500] * 88)

    after = amended(before, said(0, 4, 10), said(4, 4, 400))

    assert after.quarters.value[:8].tolist() == [2, 3, 3, 2, 100, 100, 100, 100]


def test_a_quarter_that_is_not_known_weighs_as_the_known_ones_on_average():
    before = settled(15, [100, 300, None, None] + [500] * 92)

    after = amended(before, said(0, 4, 800))

    assert after.quarters.value[:4].tolist() == [100, 300, 200, 200]


def test_the_later_correction_wins_where_two_overlap():
    before = settled(15, [100] * 96)

    after = amended(before, said(2, 4, 4_000, number=8), said(0, 4, 800, number=7))

    assert after.quarters.value[:7].tolist() == [200, 200, 1_000, 1_000, 1_000, 1_000, 100]


@pytest.mark.parametrize("value", [10**18 - 1, 10**18 + 1])
def test_a_value_beyond_a_doubles_digits_is_kept_to_the_last_millionth(value):
    laid = spread(said(0, 96, value), settled(15, [7] * 96).quarters)

    assert sum(laid.tolist()) == value
    assert (laid >= 0).all()


# Shares, rules, rows


def test_what_a_correction_covers_is_edited_and_the_rest_keeps_its_shares():
    before = settled(60, [4_000] * 24)  # quarters estimated, hours measured

    after = amended(before, said(2, 4, 9_000))

    assert [shares(after.quarters, place) for place in (1, 2, 5, 6)] == [
        (0, 1, 0, 0),
        (0, 0, 1, 0),
        (0, 0, 1, 0),
        (0, 1, 0, 0),
    ]
    assert [shares(after.hours, place) for place in (0, 1, 2)] == [
        (0.5, 0, 0.5, 0),
        (0.5, 0, 0.5, 0),
        (1, 0, 0, 0),
    ]
    assert shares(after.days) == (round(1 - 1 / 24, 9), 0, round(1 / 24, 9), 0)
    assert rules_in(int(after.hours.rules[0])) == (Rule.CORRECTED,)
    assert rules_in(int(after.days.rules[0])) == (Rule.CORRECTED,)
    assert after.hours.rules[2] == 0


def test_a_correction_of_what_was_missing_leaves_nothing_missing():
    before = settled(15, [100] * 48 + [None] * 24 + [100] * 24)

    after = amended(before, said(48, 24, 2_400))

    assert shares(before.days) == (0.75, 0, 0, 0.25)
    assert shares(after.days) == (0.75, 0, 0.25, 0)
    assert after.quarters.known.all()


def test_a_bill_of_a_time_before_the_meter_makes_rows():
    before = settled(15, [100] * 24, first=DAY + 18 * HOUR_MS)

    after = amended(before, said(0, 8, 800))

    assert before.quarters.start_ms[0] == DAY + 18 * HOUR_MS
    assert after.quarters.start_ms.size == 8 + 24
    assert after.hours.start_ms[:3].tolist() == [DAY, DAY + HOUR_MS, DAY + 18 * HOUR_MS]
    assert after.days.value.tolist() == [800 + 2_400]
    assert shares(after.days) == (0.25, 0, round(2 / 24, 9), round(16 / 24, 9))


def test_today_so_far_is_corrected_as_far_as_it_has_passed():
    before = settled(15, [100] * 96, until_ms=DAY + 6 * QUARTER_MS)

    after = amended(before, said(4, 2, 1_000))

    assert after.hours.value.tolist() == [400, 1_000]
    assert shares(after.hours, 1) == (0, 0, 1, 0)
    assert shares(after.days) == (round(4 / 6, 9), 0, round(2 / 6, 9), 0)


def test_a_correction_makes_no_row_of_the_future():
    before = settled(15, [100] * 96, until_ms=DAY + 6 * QUARTER_MS)

    after = amended(before, said(4, 8, 800))

    assert after.quarters.value.tolist() == [100, 100, 100, 100, 100, 100]
    assert after.hours.start_ms.tolist() == [DAY, DAY + HOUR_MS]


def test_a_correction_elsewhere_changes_nothing():
    before = settled(15, [100] * 96)

    assert amended(before, said(0, 4, 1, day=DAY + DAY_MS), said(92, 4, 1, day=DAY - DAY_MS)) == (
        before
    )


# Laws


@st.composite
def cases(draw):
    energy = draw(st.lists(st.none() | st.integers(0, 10**9), min_size=1, max_size=90))
    minutes = draw(st.sampled_from([15, 20, 60, 95]))
    first = DAY + draw(st.integers(0, DAY_MS))
    corrections = draw(
        st.lists(
            st.builds(
                said,
                st.integers(0, 380),
                st.integers(1, 100),
                st.integers(0, 10**12),
                st.integers(1, 10**6),
            ),
            unique_by=lambda correction: correction.number,
            max_size=4,
        )
    )
    return minutes, energy, first, corrections


@given(cases())
@settings(deadline=None, max_examples=100)
def test_widths_agree_and_shares_sum_to_one(case):
    minutes, energy, first, corrections = case
    before = settled(minutes, energy, first=first, days=5)

    after = amended(before, *corrections)

    for cells, width in ((after.hours, HOUR_MS), (after.days, DAY_MS)):
        for start, value in zip(cells.start_ms, cells.value, strict=True):
            of_it = (after.quarters.start_ms >= start) & (after.quarters.start_ms < start + width)
            assert value == after.quarters.value[of_it].sum()
    for cells in (after.quarters, after.hours, after.days):
        every = np.stack((cells.measured, cells.estimated, cells.edited, cells.missing))
        assert (every >= 0).all()
        assert every.sum(axis=0) == pytest.approx(1, abs=1e-9)
        assert not cells.value[~cells.known].any()


@given(cases())
@settings(deadline=None, max_examples=100)
def test_the_last_correction_has_its_value_exactly(case):
    minutes, energy, first, corrections = case
    before = settled(minutes, energy, first=first, days=5)

    after = amended(before, *corrections)

    if corrections:
        last = max(corrections, key=lambda correction: correction.number)
        of_it = (after.quarters.start_ms >= last.start_ms) & (after.quarters.start_ms < last.end_ms)
        assert after.quarters.value[of_it].sum() == last.value
        assert (after.quarters.edited[of_it] == 1).all()


@given(cases())
@settings(deadline=None, max_examples=60)
def test_a_correction_gives_the_same_values_whichever_day_is_settled(case):
    minutes, energy, first, corrections = case
    whole = settled(minutes, energy, first=first, days=5)
    shape = whole.quarters

    after = amended(whole, *corrections)
    parts = [
        amended(settled(minutes, energy, first=first, start_ms=day), *corrections, shape=shape)
        for day in range(DAY, DAY + 5 * DAY_MS, DAY_MS)
    ]

    for width in ("quarters", "hours", "days"):
        for name in getattr(after, width).__struct_fields__:
            joined = [getattr(getattr(part, width), name) for part in parts]
            assert np.concatenate(joined) == pytest.approx(getattr(getattr(after, width), name))
