"""Budgets: a line of the file, its days, and how it stands: what is missing is never zero."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.alerting.budgets.budget import Budget, months_of, period_days
from collector.alerting.budgets.folder import load_budgets
from collector.alerting.budgets.progress import Shape, progress, weigh
from collector.fleet.check import load_fleet
from collector.settle.day_class import DayClass
from documents.finding import DocumentInvalid

CONFIG = Path(__file__).parents[3] / "config"
YEAR = tuple(date(2026, 1, 1) + timedelta(days=n) for n in range(365))
BEFORE = tuple(date(2025, 1, 1) + timedelta(days=n) for n in range(365))


def by_weekday(day: date) -> DayClass:
    return DayClass.REST_DAY if day.weekday() >= 5 else DayClass.WORKDAY


def a_budget(period: str = "2026", amount: float = 365_000, **more) -> Budget:
    first, last = period_days(period)
    return Budget(
        institution="e001",
        energy="01",
        period=period,
        first=first,
        last=last,
        amount=amount,
        unit="kWh",
        source="x",
        **more,
    )


# ---- the file


@pytest.mark.parametrize(
    ("period", "first", "last", "months"),
    [
        ("2026", date(2026, 1, 1), date(2026, 12, 31), 12),
        ("2026-Q1", date(2026, 1, 1), date(2026, 3, 31), 3),
        ("2026-Q4", date(2026, 10, 1), date(2026, 12, 31), 3),
        ("2028-02", date(2028, 2, 1), date(2028, 2, 29), 1),
        ("2026-12", date(2026, 12, 1), date(2026, 12, 31), 1),
    ],
)
def test_a_period_has_its_days(period, first, last, months):
    assert period_days(period) == (first, last)
    assert len(months_of(period)) == months


def test_the_example_is_in_the_unit_of_settled_days():
    budgets = load_budgets(CONFIG, load_fleet(CONFIG))

    said = {one.key: (one.amount, one.unit) for one in budgets}
    assert said == {
        ("e001", "01", "2026"): (5_200_000, "kWh"),
        ("e001", "02", "2026"): (95_000, "m³"),
        ("d001", "01", "2026"): (900_000, "kWh"),
        ("a001", "01", "2026"): (620_000, "kWh"),
    }
    assert budgets[0].profile[6] == (date(2026, 7, 1), 560_000)


def test_a_folder_without_budgets_has_none_and_a_mistake_is_told(tmp_path):
    fleet = load_fleet(CONFIG)

    assert load_budgets(tmp_path, fleet) == ()
    (tmp_path / "budgets").mkdir()
    (tmp_path / "budgets" / "x.yaml").write_text("budgets: []\n", encoding="utf-8")
    with pytest.raises(DocumentInvalid, match="at least 1 needed"):
        load_budgets(tmp_path, fleet)


def test_two_files_do_not_give_one_budget(tmp_path):
    (tmp_path / "budgets").mkdir()
    for name in ("a.yaml", "b.yaml"):
        text = (CONFIG / "budgets" / "heping.yaml").read_text(encoding="utf-8")
        (tmp_path / "budgets" / name).write_text(text, encoding="utf-8")

    with pytest.raises(DocumentInvalid) as raised:
        load_budgets(tmp_path, load_fleet(CONFIG))

    assert len(raised.value.findings) == 4
    assert "the budget of 'e001', 01, 2026 stands in" in raised.value.findings[0].message


# ---- how it stands


def test_a_steady_institution_stands_where_the_year_stands():
    settled = dict.fromkeys(YEAR[:73], 1_000.0)

    stands = progress(a_budget(), settled, YEAR[73], by_weekday)

    assert stands.used == 73_000
    assert stands.used_share == pytest.approx(0.2)
    assert stands.progress == pytest.approx(1.0)
    assert (stands.settled, stands.missing) == (73, ())
    assert stands.forecast is None  # a quarter of the year is not over, and no season is known


def test_after_a_quarter_its_pace_gives_a_forecast():
    settled = dict.fromkeys(YEAR[:92], 1_100.0)

    stands = progress(a_budget(), settled, YEAR[92], by_weekday)

    assert stands.shape is Shape.WORKDAYS
    assert stands.forecast == pytest.approx(401_500)
    assert stands.forecast_share == pytest.approx(1.1)
    assert stands.progress == pytest.approx(1.1)


def test_days_that_are_missing_are_said_and_compared_with_nothing():
    settled = dict.fromkeys((*YEAR[:40], *YEAR[60:120]), 1_000.0)

    stands = progress(a_budget(), settled, YEAR[120], by_weekday)

    assert stands.missing == YEAR[40:60]
    assert stands.used == 100_000
    assert stands.progress == pytest.approx(1.0, abs=0.01)
    assert stands.forecast == pytest.approx(365_000)


def test_before_any_day_is_settled_nothing_is_told():
    stands = progress(a_budget(), {}, YEAR[10], by_weekday)

    assert (stands.used, stands.prorated, stands.progress, stands.forecast) == (0, None, None, None)
    assert len(stands.missing) == 10


def test_before_the_period_no_day_is_missing():
    stands = progress(a_budget(), {}, date(2025, 12, 31), by_weekday)

    assert (stands.settled, stands.missing, stands.used_share) == (0, (), 0)


def test_days_outside_of_the_period_and_days_that_are_not_over_do_not_count():
    settled = dict.fromkeys((*BEFORE, *YEAR), 1_000.0)

    stands = progress(a_budget("2026-02", 28_000), settled, date(2026, 2, 11), by_weekday)

    assert (stands.used, stands.settled) == (10_000, 10)


def test_when_the_period_is_over_the_forecast_is_what_was_used():
    settled = {day: 900.0 + day.day for day in YEAR}

    stands = progress(a_budget(), settled, date(2027, 3, 1), by_weekday)

    assert stands.forecast == stands.used == pytest.approx(sum(settled.values()))


def winter_and_summer(day: date) -> float:
    busy = 2_000.0 if day.month in (1, 2, 7, 8, 12) else 500.0
    return busy if by_weekday(day) is DayClass.WORKDAY else busy / 4


def test_last_years_shape_knows_the_season():
    last_year = {day: winter_and_summer(day) for day in BEFORE}
    settled = {day: 1.2 * winter_and_summer(day) for day in YEAR[:31]}
    whole = sum(map(winter_and_summer, YEAR))

    stands = progress(a_budget(amount=whole), settled, YEAR[31], by_weekday, last_year)

    assert stands.shape is Shape.LAST_YEAR
    assert stands.forecast == pytest.approx(1.2 * whole, rel=1e-6)
    assert stands.progress == pytest.approx(1.2, rel=1e-6)


def test_a_last_year_with_a_month_of_holes_is_not_believed():
    last_year = {day: winter_and_summer(day) for day in BEFORE if day.month != 6}
    settled = {day: winter_and_summer(day) for day in YEAR[:31]}

    stands = progress(a_budget(), settled, YEAR[31], by_weekday, last_year)

    assert stands.shape is Shape.WORKDAYS
    assert stands.forecast is None


def test_planned_months_go_before_last_year():
    january, *others = months_of("2026")
    plan = ((january, 100_000.0), *((month, 20_000.0) for month in others))
    budget = a_budget(amount=320_000, profile=plan)
    last_year = dict.fromkeys(BEFORE, 1_000.0)
    settled = dict.fromkeys(YEAR[:31], 100_000 / 31)

    stands = progress(budget, settled, YEAR[31], by_weekday, last_year)

    assert stands.shape is Shape.PROFILE
    assert stands.prorated == pytest.approx(100_000)
    assert stands.progress == pytest.approx(1.0)
    assert stands.forecast == pytest.approx(320_000)


def test_spring_festival_in_another_month_is_no_rise():
    # 2025 it was in January, 2026 in February: the shape follows the class of the day.
    off = {date(2025, 1, 28) + timedelta(days=n) for n in range(8)}
    off |= {date(2026, 2, 15) + timedelta(days=n) for n in range(9)}

    def classify(day: date) -> DayClass:
        return DayClass.HOLIDAY if day in off else by_weekday(day)

    def used(day: date) -> float:
        return 1_000.0 if classify(day) is DayClass.WORKDAY else 300.0

    last_year = {day: used(day) for day in BEFORE}
    settled = {day: used(day) for day in YEAR[:59]}

    stands = progress(a_budget(amount=sum(map(used, YEAR))), settled, YEAR[59], classify, last_year)

    assert stands.progress == pytest.approx(1.0, rel=1e-6)


amounts = st.floats(1, 1e6)


@given(
    st.lists(st.none() | amounts, min_size=1, max_size=90),
    st.sampled_from(["2026", "2026-Q1", "2026-01"]),
    st.booleans(),
    st.floats(0.1, 100),
)
def test_whatever_is_missing_shares_sum_and_scale(values, period, has_last_year, times):
    budget = a_budget(period)
    settled = {day: value for day, value in zip(YEAR, values, strict=False) if value is not None}
    today = YEAR[len(values)]
    last_year = {day: winter_and_summer(day) for day in BEFORE} if has_last_year else {}
    in_period = {day: value for day, value in settled.items() if day <= budget.last}

    _, weights = weigh(budget, in_period, by_weekday, last_year)
    stands = progress(budget, settled, today, by_weekday, last_year)
    scaled = progress(
        budget,
        {day: value * times for day, value in settled.items()},
        today,
        by_weekday,
        last_year,
    )

    assert sum(weights.values()) == pytest.approx(1.0)
    assert min(weights.values()) > 0
    over = min(len(values), len(budget.days()))
    assert stands.settled + len(stands.missing) == over
    assert stands.used == pytest.approx(sum(in_period.values()))
    assert scaled.used_share == pytest.approx(times * stands.used_share)
    if stands.progress is not None and scaled.progress is not None:
        assert scaled.progress == pytest.approx(times * stands.progress)
    if stands.forecast is not None:
        assert stands.forecast >= stands.used * (1 - 1e-9)
