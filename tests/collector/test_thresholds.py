"""The verification's thresholds: a strict file, every number with its mark."""

from pathlib import Path

import pytest

from collector.quality.thresholds import Thresholds, load_thresholds
from documents.finding import DocumentInvalid
from documents.tree import read_mapping

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"


def values(thresholds: Thresholds) -> dict[str, float]:
    return {name: getattr(thresholds, name).value for name in Thresholds.model_fields}


def test_the_example_names_every_threshold_and_has_the_built_in_values() -> None:
    assert set(read_mapping(CONFIG / "verification.yaml")) == set(Thresholds.model_fields)
    assert values(load_thresholds(CONFIG)) == values(Thresholds())


def test_the_docs_say_the_values_of_the_example() -> None:
    text = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")

    for name, value in values(Thresholds()).items():
        assert f"| `{name}` | {value:g} |" in text


def test_a_folder_without_the_file_has_the_built_in_values(tmp_path: Path) -> None:
    assert load_thresholds(tmp_path) == Thresholds()


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("completeness: {value: 0.9}", "completeness.source"),
        ("completeness: {value: 90, source: x}", "completeness.value"),
        ("completness: {value: 0.9, source: x}", "completness"),
        ("rejected: {value: 0.5, source: x}", "rejected.value"),
        ("clock_s: {value: 0, source: x}", "clock_s.value"),
        ("late: {value: .nan, source: x}", "late.value"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(tmp_path: Path, line: str, key: str) -> None:
    (tmp_path / "verification.yaml").write_text(f"# thresholds\n{line}\n", encoding="utf-8")

    with pytest.raises(DocumentInvalid) as raised:
        load_thresholds(tmp_path)

    assert [(one.line, one.key) for one in raised.value.findings] == [(2, key)]
