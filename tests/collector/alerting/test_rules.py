"""Rules: a pleasant file becomes strict values; whom they concern; what they say in Chinese."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from collector.alerting.names import BUDGET_MEASURES, DERIVED, FIGURES, MEASURES, SIGNS
from collector.alerting.rule import (
    Above,
    Below,
    Budget,
    Consumed,
    Outside,
    Quality,
    Rate,
    Rule,
    Scope,
    Silent,
    System,
    When,
)
from collector.alerting.rules.concern import concern
from collector.alerting.rules.describe import describe, describe_scope, describe_when
from collector.alerting.rules.folder import load_rules, read_rules
from collector.alerting.severity import Severity
from collector.alerting.subject import SubjectKind
from collector.fleet.check import load_fleet
from collector.fleet.index import Fleet, Sector
from collector.settle.day_class import DayClass
from documents.finding import DocumentInvalid
from metering.quantity import QUANTITIES

CONFIG = Path(__file__).parents[3] / "config"


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return load_fleet(CONFIG)


def written(folder: Path, text: str, name: str = "rules.yaml") -> Path:
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / name).write_text(text, encoding="utf-8")
    return folder


def a_rule(condition: str, levels: str, more: str = "") -> str:
    lines = [
        "rules:",
        "- id: matter",
        "  title: 事项",
        f"  {condition}",
        f"  levels: {levels}",
        *(f"  {line}" for line in more.splitlines()),
        "  advice: 先查电源",
        "  source: engineering default",
    ]
    return "\n".join(lines) + "\n"


def compiled(folder: Path, fleet: Fleet, *said: str) -> tuple[Rule, ...]:
    return load_rules(written(folder, a_rule(*said)), fleet)


# ---- levels


def test_levels_of_one_matter_become_rules_that_share_a_group(tmp_path, fleet):
    mild, bad = compiled(
        tmp_path,
        fleet,
        "above: {quantity: voltage_unbalance_pct, hysteresis: 0.3}",
        "{orange: {limit: 4, for: 5m, title: 严重事项, page: true}, yellow: 2}",
        "for: 30m\nkeep: 10m",
    )

    assert (mild.id, mild.group, mild.severity) == ("matter-yellow", "matter", Severity.YELLOW)
    assert (bad.id, bad.group, bad.severity) == ("matter-orange", "matter", Severity.ORANGE)
    assert mild.condition == Above(quantity="voltage_unbalance_pct", limit=2, resolves=1.7)
    assert bad.condition == Above(quantity="voltage_unbalance_pct", limit=4, resolves=3.7)
    assert (mild.for_ms, mild.keep_ms, mild.title, mild.page) == (1_800_000, 600_000, "事项", False)
    assert (bad.for_ms, bad.keep_ms, bad.title, bad.page) == (300_000, 600_000, "严重事项", True)


def test_the_only_level_of_a_rule_has_the_rules_own_id(tmp_path, fleet):
    (rule,) = compiled(tmp_path, fleet, "system: {sign: jobs_failing}", "{yellow: 0}")

    assert (rule.id, rule.group) == ("matter", "matter")


@pytest.mark.parametrize(
    ("condition", "levels", "expected"),
    [
        (
            "below: {quantity: power_factor, hysteresis: 0.02}",
            "{blue: 0.85}",
            Below(quantity="power_factor", limit=0.85, resolves=0.87),
        ),
        (
            "above: {quantity: active_power_kw, share_of_rated: true}",
            "{red: {limit: 1.1, resolves: 0.95}}",
            Above(quantity="active_power_kw", limit=1.1, resolves=0.95, share_of_rated=True),
        ),
        (
            "outside: {quantity: frequency_hz, hysteresis: 0.05}",
            "{orange: [49.8, 50.2]}",
            Outside(quantity="frequency_hz", low=49.8, high=50.2, margin=0.05),
        ),
        (
            "rate: {quantity: supply_temperature_c, within: 10m}",
            "{yellow: 20}",
            Rate(quantity="supply_temperature_c", limit=20, within_ms=600_000),
        ),
        (
            "silent: {of: gateway, at_least: 5m}",
            "{yellow: 3}",
            Silent(of="gateway", cycles=3, at_least_ms=300_000),
        ),
        (
            "consumed: {measure: night_flow, baseline_days: 14, least: 0.1, in_a_row: 2}",
            "{yellow: {limit: 3, times: 1.5}}",
            Consumed(
                measure="night_flow",
                limit=3,
                times=1.5,
                baseline_days=14,
                least=0.1,
                in_a_row=2,
            ),
        ),
        (
            "consumed: {measure: year_on_year, falls: true}",
            "{blue: -0.3}",
            Consumed(measure="year_on_year", limit=-0.3, falls=True),
        ),
        (
            "quality: {of: meter, figure: completeness_share, falls: true}",
            "{blue: {limit: 0.9, in_a_row: 3}}",
            Quality(of="meter", figure="completeness_share", limit=0.9, falls=True, in_a_row=3),
        ),
        ("budget: {measure: forecast}", "{yellow: 1.0}", Budget(measure="forecast", limit=1.0)),
        ("system: {sign: store_away_s}", "{red: 900}", System(sign="store_away_s", limit=900)),
    ],
)
def test_each_condition_is_compiled(tmp_path, fleet, condition, levels, expected):
    (rule,) = compiled(tmp_path, fleet, condition, levels)

    assert rule.condition == expected


def test_scope_and_hours_are_compiled(tmp_path, fleet):
    (rule,) = compiled(
        tmp_path,
        fleet,
        "below: {quantity: power_factor, hysteresis: 0.02}",
        "{blue: 0.85}",
        'scope: {sectors: [school, government], energies: ["01"], mains_only: true, phases: 3}\n'
        'when: {days: [workday], from: "22:00", to: "06:30"}',
    )

    assert rule.scope == Scope(
        sectors=frozenset({Sector.SCHOOL, Sector.GOVERNMENT}),
        energies=("01",),
        mains_only=True,
        phases=3,
    )
    assert rule.when == When(days=frozenset({DayClass.WORKDAY}), from_min=1320, to_min=390)


# ---- versions


def test_a_version_changes_with_what_the_rule_says_and_with_nothing_else(tmp_path, fleet):
    said = ("above: {quantity: frequency_hz, hysteresis: 0.1}", "{yellow: 50.2}")
    scoped = "scope: {sectors: [hospital, school, government]}"
    other_order = "scope: {sectors: [government, school, hospital]}"

    (first,) = compiled(tmp_path, fleet, *said, scoped)
    (again,) = compiled(tmp_path, fleet, *said, f"{other_order} # a remark")
    (other,) = compiled(tmp_path, fleet, said[0], "{yellow: 50.3}", scoped)

    assert first.version == again.version
    assert first.version != other.version
    assert len(first.version) == 12


def test_a_version_is_the_same_in_every_process(tmp_path):
    sectors = "scope: {sectors: [hospital, school, government], exempt: [school, hospital]}"
    said = a_rule("system: {sign: jobs_failing}", "{yellow: 0}", sectors)
    folder = written(tmp_path, said)
    program = (
        "from pathlib import Path\n"
        "from collector.alerting.rules.folder import read_rules\n"
        f"print(read_rules(Path({str(folder)!r}), None).rules[0].version)"
    )

    versions = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(CONFIG.parent)},
        ).stdout
        for seed in ("1", "2", "3")  # a set of words is ordered by it
    }

    assert len(versions) == 1


# ---- folders


def test_a_folder_without_rules_has_none(tmp_path, fleet):
    assert load_rules(tmp_path, fleet) == ()


def test_a_mistake_in_one_file_refuses_them_all_and_a_warning_does_not(tmp_path, fleet):
    written(tmp_path, a_rule("system: {sign: jobs_failing}", "{yellow: 0}"))
    nobody = a_rule("above: {quantity: current_thd_l1_pct, hysteresis: 1}", "{yellow: 20}")
    written(tmp_path, nobody.replace("matter", "nobody"), "warned.yaml")

    rules = load_rules(tmp_path, fleet)
    written(tmp_path, "rules: []\n", "wrong.yml")

    assert [rule.id for rule in rules] == ["matter", "nobody"]
    with pytest.raises(DocumentInvalid, match=r"wrong\.yml:1: rules: entries"):
        load_rules(tmp_path, fleet)


def test_without_a_fleet_rules_are_looked_at_alone(tmp_path):
    said = a_rule("system: {sign: jobs_failing}", "{yellow: 0}", "scope: {meters: [nowhere]}")

    assert read_rules(written(tmp_path, said), None).findings == ()


# ---- whom they concern


def concerned(tmp_path: Path, fleet: Fleet, *said: str) -> tuple[str, ...]:
    (rule, *_) = compiled(tmp_path, fleet, *said)
    return concern(rule, fleet).subjects


def test_a_reading_concerns_the_meters_that_have_it(tmp_path, fleet):
    flow = "above: {quantity: flow_m3_h, hysteresis: 1}"

    assert concerned(tmp_path, fleet, flow, "{yellow: 50}", 'scope: {energies: ["02"]}') == (
        "a001-water",
        "d001-water",
        "e001-water",
    )


def test_a_load_concerns_the_meters_whose_circuit_has_a_rated_value(tmp_path, fleet):
    load = "above: {quantity: load_share, hysteresis: 0.1}"

    mains = concerned(tmp_path, fleet, load, "{red: 1}", "scope: {mains_only: true}")

    # Water and gas are rated by their flow, which is no load.
    assert mains == ("a001-main", "d001-main", "d001-pv", "e001-main")


def test_what_has_no_rated_value_or_is_no_longer_there_is_not_concerned(tmp_path, fleet):
    (load,) = compiled(
        tmp_path,
        fleet,
        "above: {quantity: load_share, hysteresis: 0.1}",
        "{red: 1}",
        "scope: {meters: [e001-main, d001-main, a001-main]}",
    )
    unrated, ended = fleet.meters["e001-main"][-1], fleet.meters["d001-main"][-1]
    other = msgspec.structs.replace(
        fleet,
        meters=fleet.meters
        | {
            "e001-main": (msgspec.structs.replace(unrated, rated={"frequency_hz": 51}),),
            "d001-main": (msgspec.structs.replace(ended, valid_to_ms=ended.valid_from_ms + 1),),
        },
    )

    assert concern(load, fleet).subjects == ("a001-main", "d001-main", "e001-main")
    assert concern(load, other).subjects == ("a001-main",)


def test_a_power_factor_may_be_made_of_powers(tmp_path, fleet):
    (rule,) = compiled(
        tmp_path,
        fleet,
        "below: {quantity: power_factor, hysteresis: 0.02}",
        "{blue: 0.85}",
        "scope: {meters: [e001-main]}",
    )
    entry = fleet.meters["e001-main"][-1]

    def reading(*quantities: str) -> tuple[str, ...]:
        changed = msgspec.structs.replace(entry, quantities=frozenset(quantities))
        meters = fleet.meters | {"e001-main": (changed,)}
        return concern(rule, msgspec.structs.replace(fleet, meters=meters)).subjects

    assert reading("active_power_kw", "reactive_power_kvar") == ("e001-main",)
    assert reading("active_power_kw") == ()


def test_three_phases_are_told_from_one_by_what_the_meter_reads(fleet):
    entries = {meter: entries[-1] for meter, entries in fleet.meters.items()}

    assert entries["e001-main"].phases == 3
    assert entries["e001-water"].phases is None


def test_what_is_above_the_meters_is_concerned_once(tmp_path, fleet):
    quality = "quality: {of: building, figure: completeness_share, falls: true}"
    silent = "silent: {of: gateway, at_least: 5m}"
    hospitals = "scope: {sectors: [hospital]}"

    assert concerned(tmp_path, fleet, quality, "{blue: 0.9}", hospitals) == ("e001-b1",)
    assert concerned(tmp_path, fleet, silent, "{blue: 3}") == ("gw-a001", "gw-d001", "gw-e001")


def test_main_against_sub_concerns_meters_that_others_stand_below(tmp_path, fleet):
    tree = "consumed: {measure: tree_deviation}"

    assert concerned(tmp_path, fleet, tree, "{blue: 0.05}", "scope: {sectors: [hospital]}") == (
        "e001-light",
        "e001-main",
    )


def test_a_budget_concerns_who_has_one(tmp_path, fleet):
    (rule,) = compiled(tmp_path, fleet, "budget: {measure: used}", "{blue: 0.8}")

    assert concern(rule, fleet).subjects == ("a001", "d001", "e001")
    assert concern(rule, fleet, ["d001"]).subjects == ("d001",)


def test_the_centre_concerns_no_meter(tmp_path, fleet):
    (rule,) = compiled(tmp_path, fleet, "system: {sign: store_away_s}", "{red: 60}")

    assert concern(rule, fleet).kind is SubjectKind.SYSTEM
    assert not concern(rule, fleet).is_empty


# ---- words


@pytest.mark.parametrize(
    ("condition", "levels", "more", "expected"),
    [
        (
            "outside: {quantity: voltage_deviation_pct, hysteresis: 0.5}",
            "{yellow: [-10, 7]}",
            "for: 10m",
            "电压偏差超出 -10～7 %，持续 10 分钟",
        ),
        (
            "below: {quantity: power_factor, hysteresis: 0.02}",
            "{blue: 0.85}",
            "for: 2h",
            "功率因数低于 0.85，持续 2 小时",
        ),
        (
            "above: {quantity: active_power_kw, hysteresis: 0.1, share_of_rated: true}",
            "{red: 1.1}",
            "",
            "有功功率高于额定值的 110 %",
        ),
        (
            "rate: {quantity: supply_temperature_c, within: 90s}",
            "{yellow: 20}",
            "",
            "供水温度在 90 秒内变化超过 20 °C",
        ),
        (
            "silent: {of: meter, at_least: 15m}",
            "{blue: 3}",
            "for: 1d",
            "仪表超过 3 个周期且 15 分钟无数据，持续 1 天",
        ),
        (
            "consumed: {measure: night_flow, least: 0.1, in_a_row: 2}",
            "{yellow: {times: 1.5}}",
            "",
            "夜间最小流量高于近 28 天中位数的 1.5 倍（不足 0.1 m³/h 不计），连续 2 天",
        ),
        ("consumed: {measure: year_on_year}", "{yellow: 0.15}", "", "同比高于 +15 %"),
        (
            "consumed: {measure: year_on_year, falls: true}",
            "{yellow: -0.3}",
            "",
            "同比低于 -30 %",
        ),
        (
            "quality: {of: meter, figure: completeness_share, falls: true}",
            "{blue: {limit: 0.9, in_a_row: 3}}",
            "",
            "仪表的数据完整率低于 90 %，连续 3 天",
        ),
        ("budget: {measure: used}", "{red: 1.1}", "", "预算已用比例超过 110 %"),
        ("system: {sign: store_away_s}", "{red: 900}", "", "数据库不可用超过 15 分钟"),
        ("system: {sign: spool_share}", "{red: 0.95}", "", "网关缓存占用超过 95 %"),
        ("system: {sign: jobs_failing}", "{yellow: 0}", "", "后台任务失败"),
    ],
)
def test_a_rule_says_what_it_watches(tmp_path, fleet, condition, levels, more, expected):
    (rule,) = compiled(tmp_path, fleet, condition, levels, more)

    assert describe(rule) == expected


def test_a_rule_says_where_and_when():
    scope = Scope(
        sectors=frozenset({Sector.SCHOOL}),
        exempt=frozenset({Sector.HOSPITAL}),
        meters=frozenset({"b", "a"}),
        energies=("01", "02"),
        mains_only=True,
        phases=3,
    )
    when = When(
        days=frozenset({DayClass.REST_DAY, DayClass.HOLIDAY}),
        from_min=1320,
        to_min=390,
        heating=False,
        term=True,
    )

    assert describe_scope(scope) == "学校；医院除外；仪表 a, b；能耗编码 01, 02；仅总表；三相"
    assert describe_when(when) == "休息日、节假日；22:00–06:30；非供暖季；学期内"
    assert (describe_scope(Scope()), describe_when(When())) == ("", "")


# ---- names


def test_every_name_stands_under_itself_and_has_a_title():
    for registry in (DERIVED, MEASURES, FIGURES, BUDGET_MEASURES, SIGNS):
        for name, one in registry.items():
            assert one.name == name
            assert one.title


def test_what_is_derived_is_made_of_quantities_that_there_are():
    for one in DERIVED.values():
        assert one.name not in QUANTITIES
        for needed in one.needs:
            assert needed <= QUANTITIES.keys()


# ---- the default rules


def test_the_default_rules_hold_for_the_example_and_say_whence_every_number_is(fleet):
    book = read_rules(CONFIG, fleet)

    assert book.errors == ()
    assert len(book.rules) >= 40
    assert all(rule.source and rule.advice and rule.version for rule in book.rules)


def test_no_night_rule_holds_for_hospitals(fleet):
    night = {
        rule.group: {fleet.institutions[one].sector for one in concern(rule, fleet).institutions}
        for rule in load_rules(CONFIG, fleet)
        if rule.group in {"night-base-load", "night-share", "holiday-load"}
    }

    assert set(night) == {"night-base-load", "night-share", "holiday-load"}
    assert all(sectors == {Sector.SCHOOL, Sector.GOVERNMENT} for sectors in night.values())


def test_what_wakes_somebody_is_red(fleet):
    paging = [rule for rule in load_rules(CONFIG, fleet) if rule.page]

    assert {rule.severity for rule in paging} == {Severity.RED}
