"""docs/rules.md says what the rules' files may say, and what the default ones do.

`python -m tests.test_rule_docs` writes its tables anew.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from collector.alerting.meaning import load_meanings
from collector.alerting.names import BUDGET_MEASURES, DERIVED, FIGURES, MEASURES, SIGNS, Name
from collector.alerting.rules.conditions import CONDITIONS, ConditionKeys
from collector.alerting.rules.describe import describe, describe_scope, describe_when
from collector.alerting.rules.document import RulesDocument, RuleSpec, ScopeSpec, WhenSpec
from collector.alerting.rules.folder import read_rules
from collector.alerting.rules.levels import LevelSpec
from documents.load import load
from documents.nearest import known_keys
from tests.test_docs import between

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config"
DOC = ROOT / "docs" / "rules.md"


def names() -> str:
    lines = ["| of | name | unit | is |", "|---|---|---|---|"]
    kinds: tuple[tuple[str, Mapping[str, Name]], ...] = (
        ("`quantity`, derived", DERIVED),
        ("`measure` of `consumed`", MEASURES),
        ("`figure`", FIGURES),
        ("`measure` of `budget`", BUDGET_MEASURES),
        ("`sign`", SIGNS),
    )
    for kind, registry in kinds:
        lines += [
            f"| {kind} | `{one.name}` | {one.unit or 'kWh, m³, GJ'} | {one.title} |"
            for one in registry.values()
        ]
    return table(lines)


def colours() -> str:
    lines = ["| colour | word | means | who acts | how soon |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.severity.colour} `{one.severity.value}` | {one.word} | {one.meaning} "
        f"| {one.who} | {one.within} |"
        for one in load_meanings(CONFIG).values()
    ]
    return table(lines)


def rules() -> str:
    lines = ["| rule | | says | where and when | source |", "|---|---|---|---|---|"]
    for rule in read_rules(CONFIG, None).rules:
        place = "；".join(filter(None, (describe_scope(rule.scope), describe_when(rule.when))))
        source = " ".join(rule.source.split())
        lines.append(
            f"| `{rule.id}` | {rule.severity.colour} | {rule.title}：{describe(rule)} "
            f"| {place} | {source} |"
        )
    return table(lines)


def table(lines: list[str]) -> str:
    return "\n" + "\n".join(lines) + "\n"


TABLES = {"names": names, "colours": colours, "rules": rules}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_fresh(name: str) -> None:
    stale = "run .venv/bin/python -m tests.test_rule_docs"

    assert between(DOC.read_text(encoding="utf-8"), name) == TABLES[name](), stale


def keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name


def test_every_key_of_a_rule_is_explained() -> None:
    explained = set(re.findall(r"`([a-z_]+)(?:: true)?`", DOC.read_text(encoding="utf-8")))
    known = {*keys(RuleSpec), *keys(LevelSpec), *keys(ScopeSpec), *keys(WhenSpec)}
    for condition in CONDITIONS:
        known |= known_keys(ConditionKeys, (condition,))

    assert known - explained == set()


def test_the_example_in_the_docs_is_a_rule(tmp_path: Path) -> None:
    (example,) = re.findall(
        r"^```yaml\n(.*?)^```", DOC.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    file = tmp_path / "rules.yaml"
    file.write_text(example, encoding="utf-8")

    (rule,) = load(file, RulesDocument).rules

    assert rule.id == "voltage-unbalance"


def write() -> None:
    content = DOC.read_text(encoding="utf-8")
    for name, make in TABLES.items():
        content = content.replace(
            f"<!-- {name} -->{between(content, name)}<!-- end -->",
            f"<!-- {name} -->{make()}<!-- end -->",
        )
    DOC.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write()
