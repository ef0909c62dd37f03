"""What the centre tells of itself, and the rules that it begins with."""

from pathlib import Path

import pytest

from collector.alerting.rule import Above, Scope
from collector.alerting.severity import Severity
from collector.settings import RuleSettings
from collector.watching import CentreSigns, RulesInvalid, all_rules, load_rules, rule_of
from tests.acceptance.centre import MoodyStore, spoken
from tests.fakes.centre import Centre, example_fleet


def signs_of(centre: Centre) -> CentreSigns:
    return CentreSigns(
        link=centre.link,
        pipeline=centre.pipeline,
        patience=centre.patience,
        clock=centre.clock,
        failing=lambda: {"settlement": "数据库没有回答"},
        delivery_failing_s=lambda: 7.0,
    )


def test_a_broker_is_away_since_it_was_first_seen_so() -> None:
    centre = Centre()
    signs = signs_of(centre)
    assert (signs.broker_away_s(), signs.is_deaf()) == (0.0, False)

    centre.link.is_up = False
    first = signs.broker_away_s()
    centre.clock.pass_ms(30_000)

    assert 0 < first < 0.01
    assert signs.broker_away_s() == pytest.approx(30.0, abs=0.01)
    assert signs.is_deaf()
    centre.link.is_up = True
    assert (signs.broker_away_s(), signs.is_deaf()) == (0.0, False)


def test_a_database_is_away_while_a_group_waits_for_it() -> None:
    store = MoodyStore(times=2)
    centre = Centre(store=store)
    signs = signs_of(centre)
    told: list[tuple[float, bool]] = []

    def pause() -> None:
        centre.clock.pass_ms(6_000)
        told.append((signs.store_away_s(), signs.is_deaf()))

    centre.stopping.on_pause = pause
    centre.take(spoken(centre, 1.0))

    assert [deaf for _, deaf in told] == [True, True]
    assert [round(away_s) for away_s, _ in told] == [6, 12]
    assert (signs.store_away_s(), signs.is_deaf()) == (0.0, False)


def test_jobs_and_deliveries_that_fail_are_told() -> None:
    signs = signs_of(Centre())

    assert (signs.jobs_failing(), signs.delivery_failing_s()) == (1, 7.0)


HOT = RuleSettings(id="hot", quantity="active_power_kw", fires_above=500, resolves_below=400)


def test_a_threshold_of_the_collectors_own_file_is_a_rule_like_any_other() -> None:
    rule = rule_of(HOT)

    assert rule.condition == Above(quantity="active_power_kw", limit=500.0, resolves=400.0)
    assert (rule.scope, rule.severity, rule.for_ms) == (Scope(), Severity.YELLOW, 0)
    assert rule.title == "active_power_kw 超过 500"
    assert rule.version == rule_of(HOT).version
    assert rule.version != rule_of(HOT.model_copy(update={"fires_above": 501})).version


def test_some_meters_are_its_scope() -> None:
    rule = rule_of(HOT.model_copy(update={"meters": ("e001-main",)}))

    assert rule.scope == Scope(meters=frozenset({"e001-main"}))


def test_without_a_folder_there_are_only_the_collectors_own(tmp_path: Path) -> None:
    assert load_rules(tmp_path, example_fleet()) == ()
    assert all_rules((), tmp_path, example_fleet()) == ()
    assert [rule.id for rule in all_rules([HOT], tmp_path, example_fleet())] == ["hot"]


def test_two_rules_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RulesInvalid, match="规则编号重复：hot"):
        all_rules([HOT, HOT], tmp_path, example_fleet())
