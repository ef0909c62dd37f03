from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, day_start_ms
from collector.settle.lay import Shape, lay, month, nothing
from collector.settle.rule import Rule, bit, mask, rules_in
from collector.settle.series import Course

MINUTE_MS = 60_000
LATER = 2_000_000_000_000 - 2_000_000_000_000 % QUARTER_MS


def at(text):
    return int(datetime.fromisoformat(f"{text}+08:00").timestamp() * 1000)


DAY = at("2026-03-10 00:00")


def course(*legs, first):
    """`legs`: (minutes until the next point, energy or None if nobody knows, rules)."""
    points = [first]
    for minutes, *_ in legs:
        points.append(points[-1] + int(minutes * MINUTE_MS))
    return Course(
        at_ms=np.array(points, np.int64),
        energy=np.array([leg[1] or 0 for leg in legs], np.int64),
        known=np.array([leg[1] is not None for leg in legs], np.bool_),
        rules=np.array([leg[2] if len(leg) > 2 else 0 for leg in legs], np.int64),
    )


def every(minutes, energy, count, first=DAY):
    return course(*[(minutes, energy)] * count, first=first)


def laid(course, start_ms=DAY, end_ms=DAY + DAY_MS, *, until_ms=LATER, shapes=None, outages=()):
    return lay(course, start_ms, end_ms, until_ms=until_ms, shapes=shapes or {}, outages=outages)


def row(cells, start_ms):
    [place] = np.flatnonzero(cells.start_ms == start_ms)
    return {
        "value": cells.value[place] if cells.known[place] else None,
        "measured": round(float(cells.measured[place]), 9),
        "estimated": round(float(cells.estimated[place]), 9),
        "edited": round(float(cells.edited[place]), 9),
        "missing": round(float(cells.missing[place]), 9),
        "rules": rules_in(int(cells.rules[place])),
    }


def measured(value):
    return {
        "value": value,
        "measured": 1,
        "estimated": 0,
        "edited": 0,
        "missing": 0,
        "rules": (),
    }


def one(**changes):
    return {**measured(0), "measured": 0, **changes}


# Energy


def test_a_reading_every_minute_is_measured_at_every_width():
    settled = laid(every(1, 1_000, 1440))

    assert row(settled.quarters, DAY) == measured(15_000)
    assert row(settled.hours, DAY + 23 * HOUR_MS) == measured(60_000)
    assert row(settled.days, DAY) == measured(1_440_000)
    assert [cells.start_ms.size for cells in (settled.quarters, settled.hours, settled.days)] == [
        96,
        24,
        1,
    ]


def test_an_edge_inside_a_leg_takes_its_share_by_time_to_the_nearest_millionth():
    settled = laid(course((10, 100), (15, 100), (15, 0), first=DAY))

    # 5 of the second leg's 15 minutes: 33.33 of its 100.
    assert [row(settled.quarters, DAY + i * QUARTER_MS)["value"] for i in range(3)] == [133, 67, 0]


def test_a_halfway_edge_loses_nothing():
    settled = laid(course((30, 1_001), first=DAY + 5 * MINUTE_MS))

    values = settled.quarters.value[:3]
    assert values.tolist() == [334, 500, 167]  # 333.67, 834.17 -> 334, 834
    assert values.sum() == 1_001


def test_energy_beyond_a_doubles_digits_is_kept_to_the_last_millionth():
    settled = laid(course((20, 10**18 - 1), (25, 10**18 + 1), first=DAY))

    assert settled.quarters.value[:3].sum() == 2 * 10**18


def test_a_leg_of_no_length_at_a_replacement_changes_nothing_but_the_rules():
    replaced = bit(Rule.REPLACEMENT)
    settled = laid(course((10, 100), (0, 0, replaced), (20, 200), first=DAY))

    assert row(settled.quarters, DAY) == {**measured(150), "rules": (Rule.REPLACEMENT,)}
    assert row(settled.quarters, DAY + QUARTER_MS) == measured(150)


def test_a_leg_of_no_length_belongs_to_the_interval_that_ends_there_or_to_the_first():
    reset, closed = bit(Rule.RESET), bit(Rule.REPLACEMENT)
    settled = laid(course((0, 7, reset), (15, 100), (0, 3, closed), (15, 200), first=DAY))

    both = (Rule.RESET, Rule.REPLACEMENT)
    assert row(settled.quarters, DAY) == {**measured(110), "rules": both}
    assert row(settled.quarters, DAY + QUARTER_MS) == measured(200)


# Sharp and blurred edges


def test_a_meter_that_answers_on_the_hour_has_estimated_quarters_and_measured_hours():
    settled = laid(every(60, 4_000, 24))

    assert row(settled.quarters, DAY + QUARTER_MS) == one(
        value=1_000, estimated=1, rules=(Rule.LINEAR,)
    )
    assert row(settled.hours, DAY) == measured(4_000)
    assert row(settled.days, DAY) == measured(96_000)


def test_a_meter_that_answers_at_half_past_has_estimated_hours_and_an_all_but_measured_day():
    settled = laid(every(60, 4_000, 26, first=DAY - 30 * MINUTE_MS))

    assert row(settled.hours, DAY) == one(value=4_000, estimated=1, rules=(Rule.LINEAR,))
    assert row(settled.days, DAY) == one(
        value=96_000,
        measured=round(23 / 24, 9),
        estimated=round(1 / 24, 9),
        rules=(Rule.LINEAR,),
    )


@pytest.mark.parametrize(
    ("seconds", "share"), [(0, 0), (60, 0), (60.001, 1), (-60, 0), (-60.001, 1)]
)
def test_a_reading_within_a_minute_of_midnight_is_the_days(seconds, share):
    settled = laid(course((1440, 96_000), (1440, 96_000), first=DAY + int(seconds * 1000)))
    before = laid(
        course((1440, 96_000), (1440, 96_000), first=DAY - DAY_MS + int(seconds * 1000)),
        DAY - DAY_MS,
        DAY,
    )

    later = settled if seconds <= 0 else before
    [day] = later.days.start_ms[-1:]
    assert row(later.days, day)["estimated"] == pytest.approx(share, abs=1e-3)
    assert (row(later.days, day)["rules"] == (Rule.LINEAR,)) == bool(share)


@pytest.mark.parametrize(("minutes", "rules"), [(30, ()), (30.5, (Rule.LINEAR,))])
def test_a_leg_of_two_cells_blurs_no_edge(minutes, rules):
    settled = laid(course((minutes, 1_000), first=DAY + 5 * MINUTE_MS))

    assert row(settled.quarters, DAY + QUARTER_MS)["rules"] == rules


def test_a_gap_wholly_inside_an_hour_leaves_the_hour_measured():
    legs = [(5, 500), (45, 4_500), (10, 1_000)]
    settled = laid(course(*legs, first=DAY))

    assert row(settled.hours, DAY) == measured(6_000)
    assert row(settled.quarters, DAY) == one(
        value=1_500,
        measured=round(5 / 15, 9),
        estimated=round(10 / 15, 9),
        rules=(Rule.LINEAR,),
    )
    assert row(settled.quarters, DAY + 3 * QUARTER_MS)["measured"] == round(10 / 15, 9)


def test_a_gap_over_an_hours_edge_is_estimated_as_far_as_it_reaches():
    settled = laid(course((45, 4_500), (45, 9_000), (30, 3_000), first=DAY))

    assert row(settled.hours, DAY) == one(
        value=7_500, measured=0.75, estimated=0.25, rules=(Rule.LINEAR,)
    )
    assert row(settled.hours, DAY + HOUR_MS) == one(
        value=9_000, measured=0.5, estimated=0.5, rules=(Rule.LINEAR,)
    )
    assert row(settled.days, DAY)["rules"] == ()


# What is missing


def test_what_nobody_knows_is_missing_and_never_zero():
    jump = bit(Rule.JUMP)
    settled = laid(course((15, 1_000), (30, None, jump), (15, 2_000), first=DAY))

    assert row(settled.quarters, DAY + QUARTER_MS) == one(value=None, missing=1, rules=(Rule.JUMP,))
    assert row(settled.hours, DAY) == one(
        value=3_000, measured=0.5, missing=0.5, rules=(Rule.JUMP,)
    )


def test_a_known_zero_is_a_value():
    assert row(laid(every(1, 0, 1440)).days, DAY) == measured(0)


def test_before_the_first_point_there_is_no_row_and_its_cell_is_missing_in_part():
    settled = laid(every(1, 1_000, 2000, first=DAY + 6 * HOUR_MS + 5 * MINUTE_MS))

    assert settled.quarters.start_ms[0] == DAY + 6 * HOUR_MS
    assert settled.hours.start_ms[0] == DAY + 6 * HOUR_MS
    assert row(settled.quarters, DAY + 6 * HOUR_MS) == one(
        value=10_000, measured=round(10 / 15, 9), missing=round(5 / 15, 9)
    )
    assert row(settled.days, DAY)["missing"] == round((6 * 60 + 5) / 1440, 9)


def test_after_the_last_point_there_are_rows_without_a_value_as_far_as_now():
    settled = laid(every(1, 1_000, 60), until_ms=DAY + 2 * HOUR_MS + 14 * MINUTE_MS)

    assert settled.quarters.start_ms.size == 8
    assert row(settled.quarters, DAY + HOUR_MS) == one(value=None, missing=1)
    assert row(settled.hours, DAY + HOUR_MS) == one(value=None, missing=1)
    assert row(settled.days, DAY) == one(value=60_000, measured=0.5, missing=0.5)


def test_today_so_far_is_told_of_what_has_passed():
    settled = laid(every(1, 1_000, 1440), until_ms=DAY + 90 * MINUTE_MS)

    assert settled.hours.start_ms.size == 2
    assert row(settled.hours, DAY + HOUR_MS) == measured(30_000)
    assert row(settled.days, DAY) == measured(90_000)


def test_a_course_of_no_point_has_no_row_and_one_of_one_point_only_missing_ones():
    empty = np.zeros(0, np.int64)
    no_point = Course(at_ms=empty, energy=empty, known=empty.astype(np.bool_), rules=empty)
    one_point = Course(
        at_ms=np.array([DAY + HOUR_MS]), energy=empty, known=empty.astype(np.bool_), rules=empty
    )

    assert laid(no_point).days.start_ms.size == 0
    assert laid(one_point).quarters.start_ms.size == 92
    assert row(laid(one_point).days, DAY) == one(value=None, missing=1)
    assert laid(one_point, until_ms=DAY + HOUR_MS).quarters.start_ms.size == 0


def test_a_window_before_the_course_has_no_row():
    assert laid(every(1, 1_000, 60, first=DAY + 2 * DAY_MS)).days.start_ms.size == 0


# What people said


def test_time_between_readings_of_people_is_edited():
    manual = bit(Rule.MANUAL)
    settled = laid(course((60, 1_000), (180, 9_000, manual), (60, 500), first=DAY))

    assert row(settled.hours, DAY + HOUR_MS) == one(
        value=3_000, edited=1, rules=(Rule.LINEAR, Rule.MANUAL)
    )
    assert row(settled.hours, DAY) == measured(1_000)
    assert row(settled.days, DAY)["edited"] == 0.125


def test_a_declared_outage_adds_its_rule_and_nothing_else():
    legs = every(1, 1_000, 1440)
    span = (DAY + QUARTER_MS, DAY + 50 * MINUTE_MS)

    settled, plain = laid(legs, outages=[span]), laid(legs)

    out = {**measured(15_000), "rules": (Rule.OUT_OF_SERVICE,)}
    assert [row(settled.quarters, DAY + i * QUARTER_MS) for i in range(5)] == [
        measured(15_000),
        *[out] * 3,
        measured(15_000),
    ]
    assert row(settled.hours, DAY + HOUR_MS) == measured(60_000)
    assert np.array_equal(settled.days.value, plain.days.value)


# Like-day


def morning(start_ms, end_ms):
    """Everything in the first half of the leg."""
    return Shape(
        at_ms=np.array([start_ms, (start_ms + end_ms) // 2, end_ms]), share=np.array([0.0, 1, 1])
    )


def test_a_long_leg_goes_along_its_shape():
    span = (DAY + HOUR_MS, DAY + 5 * HOUR_MS)
    settled = laid(
        course((60, 1_000), (240, 8_000), (60, 1_000), first=DAY), shapes={span: morning(*span)}
    )

    values = [row(settled.hours, DAY + i * HOUR_MS)["value"] for i in range(6)]
    assert values == [1_000, 4_000, 4_000, 0, 0, 1_000]
    assert row(settled.hours, DAY + 2 * HOUR_MS) == one(
        value=4_000, estimated=1, rules=(Rule.LIKE_DAY,)
    )
    assert row(settled.days, DAY)["rules"] == ()


@pytest.mark.parametrize("minutes", [60, 120])
def test_a_leg_of_two_hours_is_linear_whatever_shape_there_is(minutes):
    span = (DAY, DAY + minutes * MINUTE_MS)
    settled = laid(course((minutes, 1_200), first=DAY), shapes={span: morning(*span)})

    assert row(settled.quarters, DAY)["value"] == 1_200 * 15 // minutes
    assert row(settled.quarters, DAY)["rules"] == (Rule.LINEAR,)


def test_a_shape_of_another_leg_is_left_aside():
    span = (DAY, DAY + 5 * HOUR_MS)
    settled = laid(course((240, 8_000), first=DAY), shapes={span: morning(*span)})

    assert row(settled.hours, DAY)["value"] == 2_000


def test_a_shape_never_takes_more_than_its_leg_has():
    span = (DAY, DAY + 4 * HOUR_MS)
    energy = 10**18 + 65  # the nearest double is 63 more
    settled = laid(course((240, energy), first=DAY), shapes={span: morning(*span)})

    assert settled.hours.value[2:4].tolist() == [0, 0]
    assert settled.hours.value.sum() == energy


# Laws

STEPS_MS = [
    0,
    1,
    250,
    MINUTE_MS,
    15 * MINUTE_MS,
    31 * MINUTE_MS,
    HOUR_MS,
    3 * HOUR_MS,
    30 * HOUR_MS,
]


@st.composite
def courses(draw):
    count = draw(st.integers(0, 25))
    first = DAY + draw(st.integers(0, 2 * DAY_MS))
    steps = draw(
        st.lists(
            st.sampled_from(STEPS_MS) | st.integers(0, 5 * HOUR_MS), min_size=count, max_size=count
        )
    )
    energy = draw(
        st.lists(
            # 25 of the greatest still fit 64 bits.
            st.just(0) | st.integers(0, 10**7) | st.integers(0, 3 * 10**17),
            min_size=count,
            max_size=count,
        )
    )
    known = draw(st.lists(st.booleans() | st.just(True), min_size=count, max_size=count))
    rules = draw(
        st.lists(
            st.sampled_from([0, 0, bit(Rule.MANUAL), bit(Rule.RESET)]),
            min_size=count,
            max_size=count,
        )
    )
    known = np.array(known, np.bool_)
    steps = np.array(steps, np.int64)
    return Course(
        at_ms=first + np.concatenate(([0], np.cumsum(steps))).astype(np.int64),
        energy=np.where(known, np.array(energy, np.int64), 0),
        known=known,
        rules=np.array(rules, np.int64),
    )


@st.composite
def shaped(draw):
    legs = draw(courses())
    shapes = {}
    for start, end in zip(legs.at_ms[:-1].tolist(), legs.at_ms[1:].tolist(), strict=True):
        if end - start > 2 * HOUR_MS and draw(st.booleans()):
            through = np.cumsum(draw(st.lists(st.integers(1, 9), min_size=4, max_size=4)))
            shapes[start, end] = Shape(
                at_ms=np.linspace(start, end, 5).astype(np.int64),
                share=np.concatenate(([0], through / through[-1])),
            )
    return legs, shapes


def everything(legs):
    return DAY, day_start_ms(int(legs.at_ms[-1])) + 2 * DAY_MS


def columns(cells):
    return [
        (name, getattr(cells, name).tolist())
        for name in ("start_ms", "value", "known", "measured", "estimated", "edited", "missing")
    ] + [("rules", cells.rules.tolist())]


@given(shaped())
@settings(deadline=None, max_examples=150)
def test_intervals_sum_to_the_legs_at_every_width_exactly(case):
    legs, shapes = case
    settled = laid(legs, *everything(legs), shapes=shapes)

    for cells in (settled.quarters, settled.hours, settled.days):
        assert sum(cells.value.tolist()) == sum(legs.energy.tolist())
        assert (cells.value >= 0).all()
        assert not cells.value[~cells.known].any()


@given(shaped())
@settings(deadline=None, max_examples=100)
def test_wider_intervals_are_the_sum_of_their_quarters(case):
    legs, shapes = case
    settled = laid(legs, *everything(legs), shapes=shapes)

    for cells, width in ((settled.hours, HOUR_MS), (settled.days, DAY_MS)):
        for start, value in zip(cells.start_ms, cells.value, strict=True):
            inside = (settled.quarters.start_ms >= start) & (
                settled.quarters.start_ms < start + width
            )
            assert value == settled.quarters.value[inside].sum()


@given(shaped(), st.integers(0, 4 * DAY_MS))
@settings(deadline=None, max_examples=150)
def test_shares_sum_to_one_and_none_is_negative(case, now):
    legs, shapes = case
    settled = laid(legs, *everything(legs), shapes=shapes, until_ms=DAY + now)

    for cells in (settled.quarters, settled.hours, settled.days):
        shares = np.stack((cells.measured, cells.estimated, cells.edited, cells.missing))
        assert (shares >= 0).all()
        assert shares.sum(axis=0) == pytest.approx(1, abs=1e-12)
        assert (cells.known | (cells.missing == 1)).all()
        layout = (cells.rules & mask(Rule.LINEAR, Rule.LIKE_DAY)) != 0
        assert (layout | (cells.estimated == 0)).all()


@given(shaped(), st.integers(0, 4 * DAY_MS))
@settings(deadline=None, max_examples=100)
def test_a_window_cut_into_days_gives_the_same_rows(case, now):
    legs, shapes = case
    start, end = everything(legs)
    whole = laid(legs, start, end, shapes=shapes, until_ms=DAY + now)

    parts = [
        laid(legs, day, day + DAY_MS, shapes=shapes, until_ms=DAY + now)
        for day in range(start, end, DAY_MS)
    ]

    for width in ("quarters", "hours", "days"):
        joined = [columns(getattr(part, width)) for part in parts]
        for place, (name, values) in enumerate(columns(getattr(whole, width))):
            assert [value for part in joined for value in part[place][1]] == values, name


@given(shaped(), st.data())
@settings(deadline=None, max_examples=100)
def test_points_away_from_the_window_change_nothing(case, data):
    legs, shapes = case
    start, end = everything(legs)
    day = data.draw(st.sampled_from(range(start, end, DAY_MS)))
    first = max(0, int(np.searchsorted(legs.at_ms, day, side="left")) - 1)
    beyond = int(np.searchsorted(legs.at_ms, day + DAY_MS, side="right")) + 1
    near = Course(
        at_ms=legs.at_ms[first:beyond],
        energy=legs.energy[first : beyond - 1],
        known=legs.known[first : beyond - 1],
        rules=legs.rules[first : beyond - 1],
    )

    some = laid(near, day, day + DAY_MS, shapes=shapes)
    every_point = laid(legs, day, day + DAY_MS, shapes=shapes)

    assert columns(some.quarters) == columns(every_point.quarters)
    assert columns(some.hours) == columns(every_point.hours)
    assert columns(some.days) == columns(every_point.days)


# Months

MARCH = at("2026-03-01 00:00")


def test_a_month_is_the_sum_of_its_days_and_their_shares_by_time():
    days = laid(
        every(60, 1_000, 24 * 62, first=at("2026-02-15 00:30")),
        at("2026-02-01 00:00"),
        at("2026-05-01 00:00"),
    ).days

    march = month(days, MARCH, until_ms=LATER)

    assert row(march, MARCH) == one(
        value=31 * 24_000,
        measured=round(23 / 24, 9),
        estimated=round(1 / 24, 9),
        rules=(Rule.LINEAR,),
    )


def test_a_month_in_progress_counts_what_has_passed_since_its_first_row():
    now = at("2026-03-11 12:00")
    days = laid(
        every(15, 1_000, 96 * 3, first=at("2026-03-09 00:00")),
        MARCH,
        at("2026-04-01 00:00"),
        until_ms=now,
    ).days

    assert row(month(days, MARCH, until_ms=now), MARCH) == measured(96_000 * 2 + 48_000)


def test_a_day_without_a_row_is_missing_in_its_month():
    days = laid(every(15, 1_000, 96 * 31, first=MARCH), MARCH, MARCH + 31 * DAY_MS).days
    kept = np.arange(31) != 10
    holed = type(days)(**{name: getattr(days, name)[kept] for name in days.__struct_fields__})

    assert row(month(holed, MARCH, until_ms=LATER), MARCH) == one(
        value=30 * 96_000, measured=round(30 / 31, 9), missing=round(1 / 31, 9)
    )


def test_a_month_is_known_if_any_of_its_days_is():
    days = laid(
        course((60, 5_000), (30 * 1440, None), first=MARCH), MARCH, MARCH + 31 * DAY_MS
    ).days

    assert row(month(days, MARCH, until_ms=LATER), MARCH)["value"] == 5_000
    assert month(nothing(), MARCH, until_ms=LATER).start_ms.size == 0


@given(shaped())
@settings(deadline=None, max_examples=50)
def test_months_sum_to_the_legs_too(case):
    legs, shapes = case
    days = laid(legs, *everything(legs), shapes=shapes).days

    months = [month(days, start, until_ms=LATER) for start in (MARCH, at("2026-04-01 00:00"))]

    assert sum(int(cells.value.sum()) for cells in months) == sum(legs.energy.tolist())
    for cells in months:
        shares = cells.measured + cells.estimated + cells.edited + cells.missing
        assert shares == pytest.approx(1, abs=1e-12)
