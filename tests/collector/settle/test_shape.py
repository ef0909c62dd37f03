from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Cells
from collector.settle.day_class import Calendar, DayClass
from collector.settle.lay import lay
from collector.settle.rule import Rule, bit
from collector.settle.series import Course
from collector.settle.shape import long_legs, shape

WEEKDAYS = Calendar(years=frozenset(), days={})


def at(text):
    return int(datetime.fromisoformat(f"{text}+08:00").timestamp() * 1000)


MONDAY = at("2026-03-30 00:00")


def course(points, energy, known=None):
    legs = len(points) - 1
    return Course(
        at_ms=np.array(points, np.int64),
        energy=np.array(energy, np.int64),
        known=np.ones(legs, np.bool_) if known is None else np.array(known, np.bool_),
        rules=np.zeros(legs, np.int64),
    )


def history(days, value_of, width_ms=HOUR_MS, **changes):
    """Measured cells of the `days` days before MONDAY; `value_of(day number, slot)`, 1 = Sunday."""
    slots = DAY_MS // width_ms
    numbers = [(day, slot) for day in range(days, 0, -1) for slot in range(slots)]
    count = len(numbers)
    columns = {
        "start_ms": np.array([MONDAY - day * DAY_MS + slot * width_ms for day, slot in numbers]),
        "value": np.array([value_of(day, slot) for day, slot in numbers], np.int64),
        "known": np.ones(count, np.bool_),
        "measured": np.ones(count),
        "estimated": np.zeros(count),
        "edited": np.zeros(count),
        "missing": np.zeros(count),
        "rules": np.zeros(count, np.int64),
    }
    cells = Cells(**columns)
    for name, (place, value) in changes.items():
        getattr(cells, name)[place] = value
    return cells


def by_hour(found):
    """What went through in each hour of the shape, in per cent."""
    hours = np.arange(found.at_ms[0], found.at_ms[-1] + 1, HOUR_MS)
    return np.round(np.diff(np.interp(hours, found.at_ms, found.share)) * 100, 6).tolist()


# Which legs


def test_long_legs_are_known_longer_than_two_hours_and_touch_the_window():
    legs = course(
        [MONDAY + hours * HOUR_MS for hours in (0, 3, 5, 8, 12, 15)],
        [1, 1, 1, 0, 1],
        [True, True, True, False, True],
    )

    assert long_legs(legs, MONDAY, MONDAY + DAY_MS) == (
        (MONDAY, MONDAY + 3 * HOUR_MS),
        (MONDAY + 5 * HOUR_MS, MONDAY + 8 * HOUR_MS),
        (MONDAY + 12 * HOUR_MS, MONDAY + 15 * HOUR_MS),
    )
    assert long_legs(legs, MONDAY + 3 * HOUR_MS, MONDAY + 12 * HOUR_MS) == (
        (MONDAY + 5 * HOUR_MS, MONDAY + 8 * HOUR_MS),
    )
    assert long_legs(course([MONDAY], []), MONDAY, MONDAY + DAY_MS) == ()


# The shape


def test_a_gap_goes_like_the_average_of_the_four_nearest_workdays():
    # Days 3 to 6 before are Friday to Tuesday, day 7 is Monday and one too many.
    rising = {3: 100, 4: 200, 5: 300, 6: 400, 7: 10_000}
    cells = history(28, lambda day, slot: rising.get(day, 0) * (slot in (1, 2)) + (slot == 3) * 250)
    leg = (MONDAY + HOUR_MS, MONDAY + 5 * HOUR_MS)

    found = shape(cells, leg, WEEKDAYS.classify, HOUR_MS)

    assert by_hour(found) == [33.333333, 33.333333, 33.333333, 0]


def test_a_gap_over_days_takes_each_days_class():
    calm = history(28, lambda day, _: 10 if day % 7 in (1, 2) else 30)  # 1, 2: the weekend
    friday = MONDAY + 4 * DAY_MS
    leg = (friday + 22 * HOUR_MS, friday + 26 * HOUR_MS)

    found = shape(calm, leg, WEEKDAYS.classify, HOUR_MS)

    assert by_hour(found) == [37.5, 37.5, 12.5, 12.5]


def test_quarters_tell_more_than_hours():
    cells = history(14, lambda _, slot: 100 * (slot % 4 == 3), QUARTER_MS)
    leg = (MONDAY, MONDAY + 3 * HOUR_MS)

    found = shape(cells, leg, WEEKDAYS.classify, QUARTER_MS)

    assert found.share[:5].tolist() == [0, 0, 0, 0, pytest.approx(1 / 3)]


def test_a_gap_begins_and_ends_inside_a_cell():
    cells = history(14, lambda _, slot: 100 * (slot < 12))
    leg = (MONDAY + 30 * 60_000, MONDAY + 12 * HOUR_MS + 10 * 60_000)

    found = shape(cells, leg, WEEKDAYS.classify, HOUR_MS)

    assert found.at_ms[[0, 1, -1]].tolist() == [leg[0], MONDAY + HOUR_MS, leg[1]]
    assert found.share[1] == pytest.approx(0.5 / 11.5)
    assert found.share[-1] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"measured": (-72 + 5, 0.99)},
        {"rules": (-72 + 5, bit(Rule.OUT_OF_SERVICE))},
        {"rules": (-72 + 5, bit(Rule.FROZEN))},
    ],
)
def test_a_day_that_was_not_measured_throughout_is_no_example(changes):
    # Friday before is the only workday that consumed at night; it is flawed at five.
    cells = history(28, lambda day, slot: 100 + 900 * (day == 3 and slot == 0), **changes)
    clean = history(28, lambda day, slot: 100 + 900 * (day == 3 and slot == 0))
    leg = (MONDAY, MONDAY + 4 * HOUR_MS)

    assert by_hour(shape(cells, leg, WEEKDAYS.classify, HOUR_MS)) == [25, 25, 25, 25]
    assert by_hour(shape(clean, leg, WEEKDAYS.classify, HOUR_MS))[0] > 25


def test_a_day_with_a_hole_is_no_example():
    cells = history(3, lambda *_: 100)
    kept = np.arange(72) != 5
    holed = Cells(**{name: getattr(cells, name)[kept] for name in cells.__struct_fields__})

    assert shape(holed, (MONDAY, MONDAY + 4 * HOUR_MS), WEEKDAYS.classify, HOUR_MS) is None


def test_there_is_no_shape_without_a_like_day_in_four_weeks_or_without_consumption():
    leg = (MONDAY, MONDAY + 4 * HOUR_MS)
    weekend_only = history(2, lambda *_: 100)
    month_ago = history(40, lambda *_: 100)
    old = month_ago.start_ms < MONDAY - 28 * DAY_MS
    too_old = Cells(**{name: getattr(month_ago, name)[old] for name in Cells.__struct_fields__})

    assert shape(weekend_only, leg, WEEKDAYS.classify, HOUR_MS) is None
    assert shape(too_old, leg, WEEKDAYS.classify, HOUR_MS) is None
    assert shape(history(28, lambda *_: 0), leg, WEEKDAYS.classify, HOUR_MS) is None
    assert shape(month_ago, leg, WEEKDAYS.classify, HOUR_MS) is not None


def test_a_holiday_without_another_goes_like_a_rest_day():
    cells = history(28, lambda day, slot: 100 if day % 7 in (1, 2) else 100 * (slot < 2))
    holiday = Calendar(
        years=frozenset({2026}),
        days={datetime.fromisoformat("2026-03-30").date(): DayClass.HOLIDAY},
    )
    leg = (MONDAY, MONDAY + 4 * HOUR_MS)

    assert by_hour(shape(cells, leg, holiday.classify, HOUR_MS)) == [25, 25, 25, 25]
    assert by_hour(shape(cells, leg, WEEKDAYS.classify, HOUR_MS)) == [50, 50, 0, 0]


def test_what_came_after_the_gap_began_changes_nothing():
    leg = (MONDAY + 8 * HOUR_MS, MONDAY + 14 * HOUR_MS)
    past = history(28, lambda _, slot: 1 + slot)
    later = history(28, lambda _, slot: 100 - slot)
    more = Cells(
        **{
            name: np.concatenate(
                (getattr(past, name), getattr(later, name) + (28 * DAY_MS) * (name == "start_ms"))
            )
            for name in Cells.__struct_fields__
        }
    )

    alone = shape(past, leg, WEEKDAYS.classify, HOUR_MS)
    together = shape(more, leg, WEEKDAYS.classify, HOUR_MS)

    assert np.array_equal(alone.share, together.share)


@given(
    st.integers(0, 60_000_000),
    st.integers(2 * HOUR_MS + 1, 5 * DAY_MS),
    st.integers(0, 10**15),
    st.lists(st.integers(0, 10**6), min_size=24, max_size=24),
)
@settings(deadline=None, max_examples=60)
def test_a_like_day_gap_sums_to_its_leg_exactly(begins, lasts, energy, profile):
    leg = (MONDAY + begins, MONDAY + begins + lasts)
    cells = history(28, lambda _, slot: profile[slot])
    found = shape(cells, leg, WEEKDAYS.classify, HOUR_MS)
    shapes = {} if found is None else {leg: found}

    settled = lay(
        course(leg, [energy]), MONDAY, MONDAY + 7 * DAY_MS, until_ms=MONDAY * 2, shapes=shapes
    )

    assert settled.quarters.value.sum() == energy
    assert settled.days.value.sum() == energy
    assert (settled.quarters.value >= 0).all()
