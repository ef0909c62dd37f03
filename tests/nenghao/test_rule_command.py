"""`nenghao rule check` and `nenghao fleet check`: what is shown, what is refused."""

import shutil
from pathlib import Path

import pytest

from tests.nenghao.process import run, typed

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    shutil.copytree(CONFIG, folder)
    return folder


def changed(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_default_rules_are_shown_with_what_where_and_whence():
    done = run("rule", "check", CONFIG, columns=300)

    assert done.code == 0
    assert "voltage-unbalance-orange" in done.out
    assert "三相电压不平衡度高于 4 %，持续 5 分钟" in done.out
    assert "3 块表，3 个单位" in done.out
    assert "[unverified: high]" in done.out  # no style of the terminal's
    assert "采集中心" in done.out
    assert "警告：no meter in scope reads 'voltage_thd_l1_pct'" in done.out


def test_a_program_is_told_the_same():
    document = typed("rule", "check", CONFIG, "--json").document
    rules = {rule["id"]: rule for rule in document["rules"]}

    assert document["fleet_is_right"] is True
    assert [finding["warning"] for finding in document["findings"]] == [True, True]
    assert rules["gateway-offline-red"] | {"version": "", "source": ""} == {
        "id": "gateway-offline-red",
        "group": "gateway-offline",
        "severity": "red",
        "title": "网关离线超过三天",
        "condition": "网关超过 3 个周期且 5 分钟无数据，持续 3 天",
        "scope": "",
        "when": "",
        "source": "",
        "version": "",
        "kind": "gateway",
        "subjects": 3,
        "meters": 32,
        "institutions": 3,
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("rules/data.yaml", "of: meter", "of: metre", "rules[0].silent.of"),
        ("budgets/heping.yaml", "institution: d001", "institution: d01", "did you mean 'd001'?"),
        ("severity.yaml", "blue:", "bleu:", "unknown key; did you mean 'blue'?"),
    ],
)
def test_a_mistake_ends_both_checks_with_1(config, file, old, new, message):
    changed(config / file, old, new)

    for words in (("rule", "check"), ("fleet", "check")):
        done = typed(*words, config, "--json")

        assert done.code == 1
        assert any(message in f"{one['key']} {one['message']}" for one in done.document["findings"])


@pytest.mark.parametrize(
    ("file", "old", "new", "key"),
    [
        ("calendars/heating.yaml", '"03-15"', '"12-32"', "usual.within[0].to"),
        ("calendars/terms.yaml", "unverified: true", "unverifed: true", "usual.unverifed"),
    ],
)
def test_the_fleets_check_looks_at_seasons(config, file, old, new, key):
    changed(config / file, old, new)

    done = typed("fleet", "check", config, "--json")

    assert done.code == 1
    assert done.document["findings"][0]["key"] == key


def test_rules_are_checked_though_the_fleet_is_wrong(config):
    changed(config / "fleet" / "heping.yaml", "sector: hospital", "sector: clinic")

    done = typed("rule", "check", config, "--json")

    assert done.code == 0
    assert done.document["fleet_is_right"] is False
    assert done.document["rules"][0]["subjects"] is None


def test_a_meter_model_that_is_no_yaml_is_found_by_the_fleets_check(config):
    (config / "meters" / "acrel_adl3000.yaml").write_text("a: [", encoding="utf-8")

    done = typed("fleet", "check", config, "--json")

    assert done.code == 1
    (found,) = done.document["findings"]
    assert found["file"].endswith("meters/acrel_adl3000.yaml")


def test_a_folder_that_is_not_there_is_a_mistake_of_usage(tmp_path):
    assert typed("rule", "check", tmp_path / "nowhere").code == 2


def test_warnings_alone_pass_the_fleets_check():
    done = typed("fleet", "check", CONFIG)

    assert done.code == 0
    assert "配置无误" in done.out
