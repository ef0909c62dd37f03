"""Configuration mistakes: each folder holds a file and the exact words that answer it."""

from pathlib import Path

import pytest

from collector.alerting.budgets.folder import read_budgets
from collector.alerting.meaning import check_meanings
from collector.alerting.rules.folder import read_rules
from collector.fleet.calendar import check_calendar
from collector.fleet.check import check_file, load_fleet
from collector.fleet.limits import load_limits
from collector.fleet.seasons import check_seasons
from documents.finding import DocumentInvalid

CASES = sorted(
    file.parent for file in (Path(__file__).parent / "cases" / "config").glob("*/fleet.yaml")
)
LIMITS = sorted(
    file.parent for file in (Path(__file__).parent / "cases" / "limits").glob("*/limits.yaml")
)
RULES = sorted(
    file.parent for file in (Path(__file__).parent / "cases" / "rules").glob("*/error.txt")
)
EXAMPLE = Path(__file__).parents[1] / "config"
MODELS = ("acrel_adl3000", "chint_dtsu666", "eastron_sdm630_v2")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_answered_in_exactly_these_words(case, monkeypatch):
    monkeypatch.chdir(case)
    expected = Path("error.txt").read_text(encoding="utf-8")

    findings = check_file(Path("fleet.yaml"), MODELS)

    assert "".join(f"{finding}\n" for finding in findings) == expected
    assert expected


@pytest.mark.parametrize("case", LIMITS, ids=lambda case: case.name)
def test_a_mistake_in_the_limits_is_answered_in_exactly_these_words(case, monkeypatch):
    monkeypatch.chdir(case)
    expected = Path("error.txt").read_text(encoding="utf-8")

    with pytest.raises(DocumentInvalid) as raised:
        load_limits(Path())

    assert "".join(f"{finding}\n" for finding in raised.value.findings) == expected
    assert expected


@pytest.fixture(scope="module")
def fleet():
    return load_fleet(EXAMPLE)


@pytest.mark.parametrize("case", RULES, ids=lambda case: case.name)
def test_a_mistake_in_what_alerts_rest_on_is_answered_in_exactly_these_words(
    case, fleet, monkeypatch
):
    monkeypatch.chdir(case)
    expected = Path("error.txt").read_text(encoding="utf-8")
    here = Path()

    findings = (
        *read_rules(here, fleet).findings,
        *read_budgets(here, fleet).findings,
        *check_meanings(here),
        *check_calendar(here),
        *check_seasons(here),
    )

    assert "".join(f"{finding}\n" for finding in findings) == expected
    assert expected


def test_there_are_cases():
    assert len(CASES) >= 50
    assert len(LIMITS) >= 5
    assert len(RULES) >= 80
