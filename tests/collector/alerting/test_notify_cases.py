"""Mistakes in `notify.yaml`: each folder holds a file and the exact words that answer it."""

from pathlib import Path

import pytest

from collector.alerting.notify.check import Known, check_notify, load_notify, places_of
from collector.alerting.severity import Severity
from collector.fleet.check import load_fleet

ROOT = Path(__file__).parents[3]
CASES = sorted(file.parent for file in (ROOT / "tests" / "cases" / "notify").glob("*/notify.yaml"))
KNOWN = Known(
    places={"institution": {"e001"}},
    groups={"voltage-unbalance", "gateway-offline", "meter-silent"},
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_answered_in_exactly_these_words(case, monkeypatch) -> None:
    monkeypatch.chdir(case)
    expected = Path("error.txt").read_text(encoding="utf-8")

    findings = check_notify(Path(), KNOWN)

    assert "".join(f"{finding}\n" for finding in findings) == expected
    assert expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 40


def test_a_folder_without_the_file_tells_nobody(tmp_path: Path) -> None:
    assert load_notify(tmp_path) is None
    assert check_notify(tmp_path) == ()


def test_the_example_knows_its_fleet_and_tells_red_at_once() -> None:
    known = Known(places=places_of(load_fleet(ROOT / "config")))

    settings = load_notify(ROOT / "config", known)

    assert settings is not None
    assert settings.route.wait_ms[Severity.RED] == 0
    assert settings.route.routes[1].wait_ms[Severity.RED] == 0
    assert {receiver.role for receiver in settings.receivers.values()} == {
        "",
        "bureau",
        "department",
        "facility-manager",
        "institution",
    }


def test_a_route_has_what_its_parent_said_and_a_pace_its_own_colours() -> None:
    settings = load_notify(ROOT / "config")

    assert settings is not None
    budgets = next(route for route in settings.route.routes if route.name == "budgets")
    gateways = next(route for route in settings.route.routes if route.name == "gateways")
    assert budgets.escalation == ""
    assert gateways.escalation == "on-site"
    assert gateways.group_by == ("institution",)
    assert gateways.repeat_ms == settings.route.repeat_ms
