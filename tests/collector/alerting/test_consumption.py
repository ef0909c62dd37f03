"""Consumption: measures of settled figures, baselines, rows of days, and what nobody knows."""

from datetime import timedelta
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.alerting.evaluate.consumption import judge
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Rule, Scope, When
from collector.alerting.settled import Looked
from collector.fleet.codes import local_day, midnight_ms
from collector.fleet.index import Sector
from collector.fleet.seasons import Season
from collector.settle.cells import DAY_MS
from collector.settle.day_class import DayClass
from tests.fakes.figures import Town, calendar, consumed, day, verdicts
from tests.fakes.settling import meter

WINTER = Season(within=(((11, 15), (3, 15)),), outside=(((3, 16), (11, 14)),))


def look(town: Town, rule: Rule, *days: str, name: str = "m1") -> list[Observation]:
    wanted = frozenset(map(day, days))
    looked = {name: Looked(days=wanted, months=wanted, quarters=wanted)}
    return town.rules(rule).consumption(looked)


def span(first: str, count: int) -> list[str]:
    start = local_day(day(first))
    return [(start + timedelta(days=n)).isoformat() for n in range(count)]


def over_year(town: Town, first: str, last: str, *, work: float, rest: float) -> None:
    """Days from first to last, workdays and others each alike."""
    start, end = local_day(day(first)), local_day(day(last))
    values = []
    for n in range((end - start).days + 1):
        kind = town.hours.kind(midnight_ms(start + timedelta(days=n)), None)
        values.append(work if kind.day_class is DayClass.WORKDAY else rest)
    town.put_days(first, values)


# ---- limits


def test_a_day_above_the_limit_is_met_and_tells_what_the_excess_comes_to():
    town = Town()
    town.put_days("2026-06-01", [900, 1100, 1250, 800])

    seen = look(town, consumed("day", limit=1000), *span("2026-06-01", 4))

    assert verdicts(seen) == ["c", "M", "M", "c"]
    assert [one.energy_so_far for one in seen] == [None, 100, 350, None]
    assert (seen[1].value, seen[1].limit, seen[1].unit, seen[1].energy_unit) == (
        *(1100, 1000),
        *("kWh", "kWh"),
    )
    assert seen[1].at_ms == day("2026-06-03")


def test_water_is_told_in_cubic_metres_and_heat_in_gigajoules():
    town = Town(meter("w", energy="02000"), meter("h", energy="04000"))
    town.put_days("2026-06-01", [12], "w", quantity="volume_m3")
    town.put_days("2026-06-01", [30], "h", quantity="heat_energy_gj")
    rule = consumed("day", limit=10)

    (water,) = look(town, rule, "2026-06-01", name="w")
    (heat,) = look(town, rule, "2026-06-01", name="h")

    assert (water.unit, water.energy_so_far, water.energy_unit) == ("m³", 2, "m³")
    assert (heat.unit, heat.energy_so_far, heat.energy_unit) == ("GJ", 20, "GJ")


def test_a_day_that_is_missing_or_mostly_estimated_is_told_nothing_of():
    town = Town()
    town.put_days("2026-06-01", [None, 5000])
    town.put_days("2026-06-03", [5000], measured=0.89)
    town.put_days("2026-06-04", [5000], measured=0.9)

    seen = look(town, consumed("day", limit=1000), *span("2026-06-01", 4))

    assert [one.at_ms for one in seen] == [day("2026-06-03"), day("2026-06-05")]


def test_a_fall_is_met_from_below_and_says_no_excess():
    town = Town()
    town.put_days("2026-06-01", [900, 100])

    seen = look(town, consumed("day", limit=200, falls=True), *span("2026-06-01", 2))

    assert verdicts(seen) == ["c", "M"]
    assert seen[1].energy_so_far is None


def test_meters_out_of_scope_or_of_another_energy_are_told_nothing_of():
    town = Town(meter("m1"), meter("w", energy="02000"))
    town.put_days("2026-06-01", [9000], "w", quantity="volume_m3")
    town.put_hours("2026-06-01", [9000] * 24, "w", quantity="volume_m3")

    hospitals_exempt = consumed("day", limit=1, scope=Scope(exempt=frozenset({Sector.HOSPITAL})))
    assert look(town, hospitals_exempt, "2026-06-01", name="w") == []
    assert look(town, consumed("night_base", limit=1), "2026-06-01", name="w") == []


# ---- rows


def test_a_row_that_is_long_enough_is_met_and_one_clear_day_ends_it():
    town = Town()
    town.put_days("2026-06-01", [900, 1100, 1100, 900, 1100, 1100, 1100])

    seen = look(town, consumed("day", limit=1000, in_a_row=3), *span("2026-06-01", 7))

    assert verdicts(seen) == ["c", "c", "c", "c", "c", "c", "M"]


def test_a_day_that_nobody_knows_leaves_a_short_row_as_it_was_before():
    town = Town()
    town.put_days("2026-06-01", [900, 1100, 1100, None, 1100, 1100])

    seen = look(town, consumed("day", limit=1000, in_a_row=2), *span("2026-06-01", 6))

    assert verdicts(seen) == ["c", "c", "M", "b", "M"]


def test_days_at_which_a_rule_does_not_look_do_not_break_a_row():
    town = Town()
    town.put_days("2026-06-04", [1100, 1100, 100, 100, 1100])  # Thursday to Monday
    rule = consumed("day", limit=1000, in_a_row=3, when=When(days=frozenset({DayClass.WORKDAY})))

    seen = look(town, rule, *span("2026-06-04", 5))

    assert [local_day(one.at_ms - 1).isoformat() for one in seen] == [
        *("2026-06-04", "2026-06-05", "2026-06-08")
    ]
    assert verdicts(seen) == ["b", "b", "M"]


# ---- baselines


def test_a_night_is_held_against_the_median_of_the_nights_before():
    town = Town()
    town.put_nights("2026-05-01", [10.0] * 28 + [12.9, 13.1, 13.1])

    seen = look(town, consumed("night_base", times=1.3, in_a_row=2), *span("2026-05-29", 3))

    assert verdicts(seen) == ["c", "c", "M"]
    assert seen[2].limit == pytest.approx(13.0)
    assert seen[2].unit == "kW"
    assert seen[2].energy_so_far == pytest.approx(0.1 * 4 * 2)


def test_without_half_of_the_days_nothing_is_usual_yet():
    town = Town()
    town.put_nights("2026-05-15", [10.0] * 13 + [50.0, 50.0])

    seen = look(town, consumed("night_base", times=1.3), *span("2026-05-28", 2))

    assert [local_day(one.at_ms - 1).isoformat() for one in seen] == ["2026-05-29"]


def test_a_leak_of_weeks_does_not_become_what_is_usual_and_one_of_months_does():
    town = Town()
    town.put_nights("2026-01-01", [10.0] * 40 + [20.0] * 80)

    seen = look(town, consumed("night_base", times=1.3), *span("2026-02-10", 80))

    assert verdicts(seen)[:42] == ["M"] * 42
    assert verdicts(seen)[-10:] == ["c"] * 10


def test_what_is_too_little_is_never_said_and_the_least_is_then_the_limit():
    town = Town()
    town.put_nights("2026-05-01", [0.5] * 28 + [1.9, 2.5])

    seen = look(town, consumed("night_base", times=1.3, least=2), *span("2026-05-29", 2))

    assert verdicts(seen) == ["c", "M"]
    assert seen[1].limit == 2


def test_of_limit_and_baseline_the_lower_one_decides():
    town = Town()
    town.put_days("2026-05-01", [100.0] * 28 + [130.0, 160.0])

    seen = look(town, consumed("day", times=2, limit=150), *span("2026-05-29", 2))

    assert verdicts(seen) == ["c", "M"]
    assert seen[1].limit == 150


def test_water_at_night_is_the_least_hour_and_its_excess_runs_all_day():
    town = Town(meter("w", energy="02000"))
    hours = ([1.0] * 2 + [0.2, 0.1] + [1.0] * 20) * 28 + [1.0] * 2 + [0.9, 0.6] + [1.0] * 20
    town.put_hours("2026-05-01", hours, "w", quantity="volume_m3")

    (seen,) = look(town, consumed("night_flow", times=1.5, least=0.1), "2026-05-29", name="w")

    assert (seen.verdict, seen.value, seen.unit) == (Verdict.MET, pytest.approx(0.6), "m³/h")
    assert seen.limit == pytest.approx(0.15)
    assert seen.energy_so_far == pytest.approx(0.45 * 24)


# ---- other measures by day and quarter


def test_the_night_is_held_against_the_working_hours_of_its_day():
    town = Town()
    town.put_nights("2026-06-01", [40.0, 60.0])

    seen = look(town, consumed("night_to_day", limit=0.5), *span("2026-06-01", 2))

    assert [one.value for one in seen] == [pytest.approx(0.4), pytest.approx(0.6)]
    assert verdicts(seen) == ["c", "M"]
    assert seen[1].energy_so_far == pytest.approx(40)


def test_a_holiday_is_held_against_the_workdays_before_it():
    town = Town(days=calendar(_2026_06_19=DayClass.HOLIDAY))
    town.put_days("2026-06-08", [100] * 5 + [50, 50] + [100] * 4 + [70])  # to Friday the 19th

    seen = look(town, consumed("holiday_to_workday", limit=0.6), *span("2026-06-13", 7))

    assert [(local_day(one.at_ms - 1).day, one.value) for one in seen] == [
        *((13, 0.5), (14, 0.5), (19, 0.7))
    ]
    assert seen[2].energy_so_far == pytest.approx(10)


def test_a_workday_on_a_saturday_is_no_holiday():
    town = Town(days=calendar(_2026_06_13=DayClass.WORKDAY))
    town.put_days("2026-06-08", [100] * 7)

    seen = look(town, consumed("holiday_to_workday", limit=0.6), *span("2026-06-13", 2))

    assert [local_day(one.at_ms - 1).day for one in seen] == [14]


def test_demand_is_the_power_of_a_quarter():
    town = Town()
    town.put_quarters("2026-06-01", [50, 80, None, 60])

    seen = look(town, consumed("demand_kw", limit=250), "2026-06-01")

    assert [one.value for one in seen] == [200, 320, 240]
    assert verdicts(seen) == ["c", "M", "c"]
    assert seen[1].at_ms == day("2026-06-01") + 30 * 60_000
    assert seen[1].energy_so_far == pytest.approx(17.5)


def test_sub_meters_that_say_more_than_their_main_are_met_and_a_rest_is_not():
    town = Town(meter("m1"), meter("a", parent="m1"), meter("b", parent="m1"))
    town.put_days("2026-06-01", [100, 100, 100])
    town.put_days("2026-06-01", [60, 60, 60], "a")
    town.put_days("2026-06-01", [10, 50, None], "b")

    seen = look(town, consumed("tree_deviation", limit=0.05), *span("2026-06-01", 3))

    assert [round(one.value, 9) for one in seen] == [-0.3, 0.1]
    assert verdicts(seen) == ["c", "M"]


# ---- months


def test_a_month_is_told_only_when_each_of_its_days_is_known():
    town = Town()
    town.put_days("2026-04-01", [10] * 30 + [10] * 30)  # May lacks its last day

    seen = look(town, consumed("month", limit=250), "2026-04-01", "2026-05-01")

    assert [(one.value, one.at_ms) for one in seen] == [(300, day("2026-05-01"))]


def test_the_first_year_says_nothing():
    town = Town()
    over_year(town, "2026-01-01", "2026-06-30", work=100, rest=40)

    assert look(town, consumed("year_on_year", limit=0.15), "2026-06-01") == []


def test_a_month_with_more_workdays_than_last_year_is_no_increase():
    town = Town()  # May 2025 has 22 weekdays, May 2026 has 21; June has 21 and 22
    over_year(town, "2025-01-01", "2026-06-30", work=100, rest=20)

    seen = look(town, consumed("year_on_year", limit=0.15), "2026-05-01", "2026-06-01")

    assert [one.value for one in seen] == [pytest.approx(0.0), pytest.approx(0.0)]


def test_a_month_of_which_days_are_missing_is_compared_by_those_that_are_known():
    town = Town()
    over_year(town, "2025-06-01", "2026-06-30", work=100, rest=20)
    town.put_days("2026-06-01", [120, 120, 120, 120, 120, 24, 24])
    town.put_days("2026-06-08", [120, 120, 120, 120, 120, 24, 24])
    town.put_days("2026-06-15", [120, 120, 120, 120, 120, 24, 24])
    town.put_days("2026-06-22", [None, None, None, 120, 120, 24, 24, 120, 120])

    (seen,) = look(town, consumed("year_on_year", limit=0.15), "2026-06-01")

    assert seen.value == pytest.approx(0.2)
    assert seen.energy_so_far == pytest.approx(0.05 * (19 * 100 + 8 * 20))

    town.put_days("2026-06-15", [None] * 7)

    assert look(town, consumed("year_on_year", limit=0.15), "2026-06-01") == []


def test_a_spring_festival_that_moves_makes_no_difference_by_itself():
    festival = {f"_2025_01_{n}": DayClass.HOLIDAY for n in range(28, 32)}
    festival |= {f"_2025_02_0{n}": DayClass.HOLIDAY for n in range(1, 5)}
    festival |= {f"_2026_02_{n}": DayClass.HOLIDAY for n in range(15, 24)}
    town = Town(days=calendar(**festival), heating=WINTER)
    over_year(town, "2024-12-01", "2026-02-28", work=100, rest=20)

    seen = look(town, consumed("year_on_year", limit=0.15), "2026-01-01", "2026-02-01")

    assert [one.value for one in seen] == [pytest.approx(0.0), pytest.approx(0.0)]


def test_a_month_is_not_held_against_one_of_another_season():
    town = Town(heating=WINTER)
    over_year(town, "2026-03-16", "2026-07-31", work=100, rest=20)

    seen = look(town, consumed("month_on_month", limit=0.3), *(f"2026-0{n}-01" for n in (5, 6, 7)))

    assert [local_day(one.at_ms - 1).month for one in seen] == [5, 7]  # June begins to cool
    assert [one.value for one in seen] == [pytest.approx(0.0), pytest.approx(0.0)]


def test_with_last_years_months_the_season_is_no_increase():
    town = Town(heating=WINTER)
    over_year(town, "2025-05-01", "2025-05-31", work=100, rest=20)
    over_year(town, "2025-06-01", "2025-06-30", work=160, rest=32)
    over_year(town, "2026-05-01", "2026-05-31", work=110, rest=22)
    over_year(town, "2026-06-01", "2026-06-30", work=176, rest=35.2)

    (seen,) = look(town, consumed("month_on_month", limit=0.3), "2026-06-01")

    assert seen.value == pytest.approx(0.0)


# ---- whatever the figures


@given(
    values=st.lists(
        st.one_of(st.none(), st.floats(min_value=0, max_value=1000)), min_size=1, max_size=60
    ),
    in_a_row=st.integers(min_value=1, max_value=4),
)
def test_a_rule_is_met_only_by_so_many_known_days_beyond_the_limit(values, in_a_row):
    town = Town()
    town.put_days("2026-01-01", values)
    rule = consumed("day", limit=500, in_a_row=in_a_row)
    last = day("2026-01-01") + (len(values) - 1) * DAY_MS
    ((past, _),) = town.rules(rule).pasts((rule,), {"m1": [day("2026-01-01"), last]})

    for one in judge(rule, past, town.hours):
        row = past.days[max(0, one.day - in_a_row + 1) : one.day + 1]
        beyond = len(row) == in_a_row and bool(np.all(np.nan_to_num(row, nan=-1) > 500))
        assert (one.verdict is Verdict.MET) == beyond
        if isnan(one.value):
            assert one.verdict is Verdict.UNKNOWN


def test_a_meter_that_was_taken_away_in_between_is_judged_by_its_own_days():
    gone = meter("m1", valid_to_ms=day("2026-06-03"))
    town = Town(gone)
    town.put_days("2026-06-01", [900, 1100])

    seen = look(town, consumed("day", limit=1000), *span("2026-06-01", 9))

    assert verdicts(seen) == ["c", "M"]
