"""Findings: each folder holds what is known of a day, and the exact list that people read.

Run as a program it writes the lists anew: read what changed.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from collector.findings import FindingKind
from collector.fleet.codes import SHANGHAI
from collector.fleet.index import Fleet, GatewayEntry
from collector.gain.departure import Departure
from collector.quality.figures import MeterDay
from collector.quality.find import DayFacts, find
from collector.quality.thresholds import Thresholds
from collector.settle.cells import DAY_MS
from collector.settle.rule import Rule, mask
from collector.tree.check import SumCheck
from documents.tree import read_mapping
from tests.fakes.settling import fleet_of, meter

FOLDER = Path(__file__).parents[1] / "cases" / "findings"
CASES = sorted(file.parent for file in FOLDER.glob("*/day.yaml"))
DAY_MS_OF = 1_793_376_000_000  # 2026-10-31 in Shanghai
CYCLES = 10_000


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp() * 1000)


def day_of(name: str, said: dict[str, Any]) -> MeterDay:
    estimated, missing = said.get("estimated", 0.0), said.get("missing", 0.0)
    arrived, late = CYCLES, said.get("late", 0.0)
    return MeterDay(
        entry=meter(
            name,
            circuit=said["circuit"],
            gateway=said.get("gateway", "gw-e001"),
            institution=said.get("institution", "e001"),
            energy=said.get("energy", "01000"),
        ),
        expected=said.get("expected", CYCLES),
        answered=round(said.get("completeness", 1) * CYCLES),
        arrived=arrived,
        on_time=round(arrived * (1 - late)),
        shares=(1 - estimated - missing, estimated, 0.0, missing),
        rejected={"out_of_range": said["rejected"]} if "rejected" in said else {},
        rules=mask(*map(Rule, said.get("rules", ()))),
        last_ms=instant(said["last"]) if "last" in said else None,
    )


def check_of(said: dict[str, Any]) -> SumCheck:
    main, parts = float(said["main"]), float(said["parts"])
    return SumCheck(
        meter=said["meter"],
        quantity=said.get("quantity", "energy_import_kwh"),
        below=tuple(said["below"]),
        silent=(),
        main=main,
        parts=parts,
        share=(main - parts) / main if main else None,
        judged_share=1.0,
        agrees=said["agrees"],
    )


def departure_of(said: dict[str, Any]) -> Departure:
    began = said.get("began")
    return Departure(
        meter=said["meter"],
        change=said["change"],
        error=said["error"],
        since_ms=None if began is None else DAY_MS_OF - began * DAY_MS,
        main=said.get("main"),
        other=said.get("other"),
        ratio=said.get("ratio"),
        usual=said.get("usual"),
    )


def fleet_with(days: list[MeterDay]) -> Fleet:
    fleet = fleet_of(*(day.entry for day in days))
    for day in days:
        fleet.gateways[day.entry.gateway] = GatewayEntry(
            id=day.entry.gateway,
            district="120101",
            building="",
            institution=day.entry.institution,
            meters=(),
            digest="",
        )
    return fleet


def told(case: Path) -> str:
    said = read_mapping(case / "day.yaml")
    days = [day_of(name, one) for name, one in said["meters"].items()]
    where = {day.entry.meter: day.entry.institution for day in days}
    facts = DayFacts(
        day_ms=DAY_MS_OF,
        days=days,
        sums=[check_of(one) for one in said.get("sums", ())],
        months=said.get("months", {}),
        residuals=said.get("residuals", {}),
        clocks_s=said.get("clocks_s", {}),
        since={
            (where[name], FindingKind(kind), name): DAY_MS_OF - ago * DAY_MS
            for kind, name, ago in said.get("since", ())
        },
        gains=[departure_of(one) for one in said.get("gains", ())],
    )
    found = find(facts, fleet_with(days), Thresholds())
    return "".join(
        f"{one.institution} {one.kind} {one.meter}\n  {one.text}\n  {one.advice}\n" for one in found
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_day_is_told_in_exactly_these_words(case: Path) -> None:
    assert told(case) == (case / "findings.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_line_says_which_meter_and_every_advice_is_something_to_do(case: Path) -> None:
    for line in told(case).split("\n  "):
        assert line.strip() or not told(case)
        assert "{" not in line
        assert "None" not in line


def test_every_kind_of_finding_has_a_case() -> None:
    lists = "".join((case / "findings.txt").read_text(encoding="utf-8") for case in CASES)

    unheard = {kind for kind in FindingKind if f" {kind} " not in lists}

    assert unheard == set()


def test_every_kind_of_finding_is_explained_to_those_who_read_the_list() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "verification.md").read_text(encoding="utf-8")

    assert [kind for kind in FindingKind if f"`{kind}`" not in docs] == []


if __name__ == "__main__":
    for one in CASES:
        (one / "findings.txt").write_text(told(one), encoding="utf-8")
