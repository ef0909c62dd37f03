"""Rules on figures of data quality, and on budgets."""

from datetime import date

import pytest

from collector.alerting.budgets.budget import Budget, period_days
from collector.alerting.observation import Verdict
from collector.alerting.place import Places
from collector.alerting.rule import Budget as BudgetCondition
from collector.alerting.rule import Quality, Rule, Scope
from collector.alerting.severity import Severity
from collector.alerting.subject import Subject, SubjectKind
from collector.fleet.index import Direction, Sector
from tests.fakes.figures import Town, day, verdicts
from tests.fakes.settling import meter

SHARE = "completeness_share"


def quality(**changed: object) -> Rule:
    condition = Quality(of="meter", figure=SHARE, limit=0.9, falls=True, **changed)
    return Rule(id="q", title="数据完整率不足", severity=Severity.BLUE, condition=condition)


def budget_rule(measure: str, limit: float, **changed: object) -> Rule:
    condition = BudgetCondition(measure=measure, limit=limit)
    return Rule(id=measure, title="预算", severity=Severity.BLUE, condition=condition, **changed)


def budget(period: str = "2026-06", amount: float = 3000, energy: str = "01") -> Budget:
    first, last = period_days(period)
    return Budget(
        institution="e001",
        energy=energy,
        period=period,
        first=first,
        last=last,
        amount=amount,
        unit="kWh",
        source="test",
    )


# ---- quality


def test_a_day_below_the_limit_is_met_and_one_without_a_figure_is_not_told_of():
    town = Town()
    town.put_figure("2026-06-01", [1.0, 0.5, None, 0.95], SHARE)

    seen = town.rules(quality()).quality_of([day(f"2026-06-0{n}") for n in (1, 2, 3, 4)])

    assert verdicts(seen) == ["c", "M", "c"]
    assert seen[1].at_ms == day("2026-06-03")
    assert seen[1].subject == Subject(SubjectKind.METER, "m1")
    assert (seen[1].value, seen[1].limit, seen[1].unit) == (0.5, 0.9, "1")


def test_a_row_of_days_reaches_back_to_before_the_day_that_is_asked_for():
    town = Town()
    town.put_figure("2026-06-01", [0.5, 0.5, 0.5], SHARE)

    (seen,) = town.rules(quality(in_a_row=3)).quality_of([day("2026-06-03")])

    assert seen.verdict is Verdict.MET


def test_a_short_row_after_an_unknown_day_is_left_as_it_was():
    town = Town()
    town.put_figure("2026-06-01", [0.5, 0.5, None, 0.5], SHARE)

    (seen,) = town.rules(quality(in_a_row=2)).quality_of([day("2026-06-04")])

    assert seen.verdict is Verdict.BETWEEN


# ---- budgets


def test_each_budget_of_an_institution_is_a_subject_of_its_own():
    town = Town(meter("m1"), meter("w", energy="02000"))
    town.put_days("2026-06-01", [100.0] * 10)
    town.put_days("2026-06-01", [1.0] * 10, "w", quantity="volume_m3")
    rules = town.rules(
        budget_rule("used", 0.2), budgets=[budget(), budget("2026"), budget(energy="02", amount=20)]
    )

    seen = [one for b in rules.budgets for one in rules.budget_of(b, [day("2026-06-10")])]

    assert [one.subject.id for one in seen] == [
        *("e001/01/2026-06", "e001/01/2026", "e001/02/2026-06")
    ]
    assert {one.subject.kind for one in seen} == {SubjectKind.BUDGET}
    assert [round(one.value, 4) for one in seen] == [0.3333, 0.3333, 0.5]


def test_what_is_used_beyond_the_limit_is_told_in_the_budgets_unit():
    town = Town()
    town.put_days("2026-06-01", [150.0] * 20)
    rules = town.rules(budget_rule("used", 0.9), budgets=[budget()])

    seen = rules.budget_of(budget(), [day("2026-06-17"), day("2026-06-20")])

    assert verdicts(seen) == ["c", "M"]
    assert seen[1].at_ms == day("2026-06-21")
    assert seen[1].energy_so_far == pytest.approx(300)
    assert (seen[1].unit, seen[1].energy_unit) == ("1", "kWh")


def test_each_kilowatt_hour_counts_once_and_generation_does_not_count():
    town = Town(
        meter("m1"),
        meter("sub", parent="m1", energy="01B00"),
        meter("pv", energy="01000", direction=Direction.EXPORT),
        meter("other", institution="e002"),
    )
    for name, value in (("m1", 100.0), ("sub", 60.0), ("other", 500.0)):
        town.put_days("2026-06-01", [value] * 10, name)
    town.put_days("2026-06-01", [40.0] * 10, "pv", quantity="energy_export_kwh")
    rules = town.rules(budget_rule("used", 0.9), budgets=[budget(), budget(energy="01B")])

    whole, air = (rules.budget_of(b, [day("2026-06-10")])[0].value for b in rules.budgets)

    assert (round(whole, 4), round(air, 4)) == (0.3333, 0.2)


def test_a_day_of_which_a_meter_is_missing_is_not_counted_as_little():
    town = Town(meter("m1"), meter("m2"))
    town.put_days("2026-06-01", [100.0] * 10)
    town.put_days("2026-06-01", [100.0] * 9 + [None], "m2")
    rules = town.rules(budget_rule("progress", 1.1), budgets=[budget(amount=5400)])

    (seen,) = rules.budget_of(budget(amount=5400), [day("2026-06-10")])

    assert seen.value == pytest.approx(200 / 180)  # of nine days
    assert seen.verdict is Verdict.MET


def test_a_day_of_which_an_hour_is_missing_is_not_counted_either():
    town = Town()
    town.put_days("2026-06-01", [100.0] * 9)
    town.put_days("2026-06-10", [96.0], missing=1 / 24)
    rules = town.rules(budget_rule("used", 0.1), budgets=[budget()])

    (seen,) = rules.budget_of(budget(), [day("2026-06-10")])

    assert seen.value == pytest.approx(0.3)


def test_a_pace_is_not_judged_by_the_first_days():
    town = Town()
    town.put_days("2026-06-01", [500.0] * 7)
    rules = town.rules(budget_rule("progress", 1.1), budgets=[budget()])

    assert rules.budget_of(budget(), [day("2026-06-06")]) == []
    assert len(rules.budget_of(budget(), [day("2026-06-07")])) == 1


def test_days_outside_of_the_period_are_not_told_of():
    town = Town()
    town.put_days("2026-05-25", [100.0] * 60)
    rules = town.rules(budget_rule("used", 0.5), budgets=[budget()])

    seen = rules.budget_of(budget(), [day("2026-05-31"), day("2026-06-30"), day("2026-07-01")])

    assert [one.at_ms for one in seen] == [day("2026-07-01")]


def test_a_scope_says_whose_budgets_and_of_which_energy():
    town = Town()
    town.put_days("2026-06-01", [100.0] * 10)

    def count(scope: Scope) -> int:
        rules = town.rules(budget_rule("used", 0.9, scope=scope), budgets=[budget()])
        return len(rules.budget_of(budget(), [day("2026-06-10")]))

    assert count(Scope(energies=("01",))) == 1
    assert count(Scope(energies=("02",))) == 0
    assert count(Scope(institutions=frozenset({"e001"}))) == 1
    assert count(Scope(sectors=frozenset({Sector.SCHOOL}))) == 0
    assert count(Scope(meters=frozenset({"m1"}))) == 0


def test_a_budgets_alert_has_a_place_until_a_month_after_its_period():
    town = Town()
    places = Places(town.fleet, {"e001/01/2026-06"})
    subject = Subject(SubjectKind.BUDGET, "e001/01/2026-06")

    place = places.place(subject, day("2026-07-20"))

    assert place is not None
    assert (place.institution, place.energy, place.district) == ("e001", "01", "120101")
    assert places.place(subject, day("2026-08-10")) is None
    assert Places(town.fleet, set()).place(subject, day("2026-06-20")) is None


def test_a_budget_laid_over_the_year_before_follows_its_shape():
    town = Town()
    start = date(2025, 1, 1)
    town.put_days("2025-01-01", [100.0 if _month(start, n) != 7 else 300.0 for n in range(365)])
    town.put_days("2026-01-01", [100.0] * 181)
    yearly = budget("2026", amount=100.0 * 334 + 300 * 31)
    rules = town.rules(budget_rule("progress", 1.1), budgets=[yearly])

    (seen,) = rules.budget_of(yearly, [day("2026-06-30")])

    assert seen.value == pytest.approx(1.0)


def _month(start: date, days: int) -> int:
    return date.fromordinal(start.toordinal() + days).month


def test_figures_of_a_meter_that_was_taken_away_in_between_are_judged():
    town = Town(meter("m1", valid_to_ms=day("2026-06-03")))
    town.put_figure("2026-06-01", [1.0, 0.5], SHARE)

    seen = town.rules(quality()).quality_of([day(f"2026-06-0{n}") for n in range(1, 9)])

    assert verdicts(seen) == ["c", "M"]
