from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.simulator.load import (
    HOUR_MS,
    CurveLoad,
    ReplayedLoad,
    SumLoad,
    TurnedLoad,
)
from gateways.simulator.shape import Consumer, Sector, Use

SINCE = 1_767_196_800_000  # 2026-01-01 00:00 +08:00, a Thursday
DAY_MS = 24 * HOUR_MS
JULY = SINCE + 181 * DAY_MS


def curve(use=Use.GENERAL, sector=Sector.HOSPITAL, peak=100.0, seed=1, *, ripples=True):
    consumer = Consumer(sector=sector, use=use, peak=peak, seed=seed)
    return CurveLoad(consumer, SINCE, ripples=ripples)


def sun(peak=80.0):
    return TurnedLoad(curve(Use.SUN, peak=peak, ripples=False))


def summed(load, from_ms, to_ms, step_ms=10_000):
    """The integral of the rate, counted out by the middle of small steps."""
    middles = range(from_ms + step_ms // 2, to_ms, step_ms)
    return sum(load.rate(at) for at in middles) * step_ms / HOUR_MS


def mean(load, day, hours):
    rates = [load.rate(SINCE + day * DAY_MS + hour * HOUR_MS) for hour in hours]
    return sum(rates) / len(rates)


@pytest.mark.parametrize("use", Use)
@pytest.mark.parametrize("offset_ms", [0, 17 * HOUR_MS + 123_456])
def test_a_counter_is_the_integral_of_the_power(use, offset_ms):
    load = curve(use)
    from_ms = SINCE + 40 * DAY_MS + offset_ms

    to_ms = from_ms + DAY_MS + 1_230_000

    counted = load.taken(to_ms) - load.taken(from_ms)

    assert counted == pytest.approx(summed(load, from_ms, to_ms), rel=1e-6, abs=1e-6)


@given(st.integers(0, 400 * DAY_MS), st.integers(0, 10 * DAY_MS))
def test_a_counter_never_falls(at, later):
    load = curve(Use.COOLING)

    assert load.taken(SINCE + at + later) >= load.taken(SINCE + at)


def test_what_a_counter_shows_does_not_depend_on_what_was_asked_before():
    asked = curve()
    for day in (300, 5, 100):
        asked.taken(SINCE + day * DAY_MS)

    assert asked.taken(SINCE + 77 * DAY_MS + 1) == curve().taken(SINCE + 77 * DAY_MS + 1)


def test_before_its_beginning_a_counter_stands():
    assert curve().taken(SINCE - 5 * DAY_MS) == 0.0


def test_a_school_sleeps_at_the_weekend_and_at_night_a_hospital_does_not():
    school, hospital = curve(sector=Sector.SCHOOL), curve(sector=Sector.HOSPITAL)
    monday, sunday = 4 + 7 * 10, 3 + 7 * 10  # in the middle of March

    assert mean(school, sunday, range(9, 16)) < 0.4 * mean(school, monday, range(9, 16))
    assert mean(school, monday, range(4)) < 0.3 * mean(school, monday, range(9, 16))
    assert mean(hospital, monday, range(4)) > 0.4 * mean(hospital, monday, range(9, 16))


def test_seasons_are_seen():
    cooling, heating = curve(Use.COOLING), curve(Use.HEAT)
    january, july = 19, 194

    assert mean(cooling, july, range(24)) > 2 * mean(cooling, january, range(24))
    assert mean(heating, july, range(24)) == 0
    assert mean(heating, january, range(24)) > 30


def test_the_sun_shines_by_day():
    made = sun()

    assert made.rate(JULY) == 0
    assert made.rate(JULY + 12 * HOUR_MS) < -10
    assert made.taken(JULY + DAY_MS) == 0
    assert made.given(JULY + DAY_MS) > made.given(JULY)


def test_a_main_counts_what_is_behind_it_and_the_losses():
    behind = [curve(seed=seed) for seed in range(5)]
    main = SumLoad(behind, 0.02, SINCE)
    at = JULY + 5_000_000

    assert isclose(main.rate(at), 1.02 * sum(load.rate(at) for load in behind))
    assert isclose(main.taken(at), 1.02 * sum(load.taken(at) for load in behind))
    assert main.given(at) == 0


def test_a_main_with_a_generator_counts_both_ways():
    behind = [curve(sector=Sector.SCHOOL, peak=30, ripples=False), sun(90)]
    main = SumLoad(behind, 0.01, SINCE)
    from_ms, to_ms = JULY, JULY + 2 * DAY_MS
    middles = range(from_ms + 5_000, to_ms, 10_000)
    given = sum(max(0.0, -main.rate(at)) for at in middles) * 10_000 / HOUR_MS

    assert main.given(to_ms) - main.given(from_ms) == pytest.approx(given, rel=1e-4)
    taken = main.taken(to_ms) - main.taken(from_ms)
    assert taken - given == pytest.approx(summed(main, from_ms, to_ms), rel=1e-3)


def test_neither_counter_of_such_a_main_ever_falls():
    main = SumLoad([curve(peak=30, ripples=False), sun(90)], 0.01, SINCE)
    instants = range(JULY, JULY + DAY_MS, 61_000)
    taken = [main.taken(at) for at in instants]
    given = [main.given(at) for at in instants]

    assert all(b >= a - 1e-9 for a, b in pairwise(taken))
    assert all(b >= a - 1e-9 for a, b in pairwise(given))


def test_a_replay_counts_exactly_what_was_measured():
    load = ReplayedLoad(SINCE, [12.5, None, 0.0, 7.25])

    assert [load.taken(SINCE + hour * HOUR_MS) for hour in range(5)] == [0, 12.5, 12.5, 12.5, 19.75]
    assert load.taken(SINCE + HOUR_MS // 2) == 6.25
    assert load.rate(SINCE + HOUR_MS // 2) == 12.5


def test_a_replay_is_silent_where_nothing_was_measured():
    load = ReplayedLoad(SINCE, [12.5, None, 0.0])
    hours = range(-1, 4)

    assert [load.is_silent(SINCE + hour * HOUR_MS) for hour in hours] == [
        True,
        False,
        True,
        False,
        True,
    ]
