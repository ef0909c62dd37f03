"""Configuration mistakes: each folder holds a file and the exact words that answer it."""

from pathlib import Path

import pytest

from collector.fleet.check import check_file
from collector.fleet.limits import load_limits
from documents.finding import DocumentInvalid

CASES = sorted(
    file.parent for file in (Path(__file__).parent / "cases" / "config").glob("*/fleet.yaml")
)
LIMITS = sorted(
    file.parent for file in (Path(__file__).parent / "cases" / "limits").glob("*/limits.yaml")
)
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


def test_there_are_cases():
    assert len(CASES) >= 50
    assert len(LIMITS) >= 5
