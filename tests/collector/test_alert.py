"""One threshold: fires, resolves, and lets the past rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.alert import AlertBook, Rule
from collector.small_state import AlertEntry
from collector.store import Row, Tags

MINUTE_MS = 60_000
RULE = Rule(id="hot", quantity="active_power_kw", fires_above=500.0, resolves_below=400.0)


def row(minute: int, kilowatts: float | None, meter: str = "e001-main") -> Row:
    tags = Tags(
        district="120101",
        sector="hospital",
        institution="e001",
        building="e001-b1",
        circuit="总进线",
        meter=meter,
        energy="01000",
        gateway="gw-e001",
    )
    values = {"voltage_l1_v": 230.0} if kilowatts is None else {"active_power_kw": kilowatts}
    return Row(meter=meter, at_ms=minute * MINUTE_MS, values=values, tags=tags)


def told(entries: list[AlertEntry]) -> list[tuple[str, str, int]]:
    return [(entry.meter, entry.state, entry.at_ms // MINUTE_MS) for entry in entries]


@pytest.fixture
def book() -> AlertBook:
    return AlertBook([RULE], {})


def test_it_fires_above_and_resolves_below(book: AlertBook) -> None:
    entries = book.observe([row(1, 500.1), row(2, 399.9)], now_ms=7)

    assert entries == [
        AlertEntry(
            rule="hot",
            meter="e001-main",
            state="firing",
            at_ms=MINUTE_MS,
            value=500.1,
            bound=500.0,
            recorded_ms=7,
        ),
        AlertEntry(
            rule="hot",
            meter="e001-main",
            state="resolved",
            at_ms=2 * MINUTE_MS,
            value=399.9,
            bound=400.0,
            recorded_ms=7,
        ),
    ]
    assert book.firing == ()


@pytest.mark.parametrize("between", [400.0, 450.0, 500.0])
def test_between_the_bounds_nothing_changes(book: AlertBook, between: float) -> None:
    assert book.observe([row(1, between)], now_ms=0) == []
    book.observe([row(2, 501.0)], now_ms=0)

    assert book.observe([row(3, between)], now_ms=0) == []
    assert len(book.firing) == 1


def test_what_fires_already_does_not_fire_again(book: AlertBook) -> None:
    entries = book.observe([row(1, 501.0), row(2, 900.0)], now_ms=0)

    assert told(entries) == [("e001-main", "firing", 1)]


def test_older_readings_change_nothing(book: AlertBook) -> None:
    book.observe([row(10, 501.0)], now_ms=0)

    assert book.observe([row(9, 1.0), row(10, 1.0)], now_ms=0) == []
    assert told(list(book.firing)) == [("e001-main", "firing", 10)]
    assert told(book.observe([row(11, 1.0)], now_ms=0)) == [("e001-main", "resolved", 11)]
    assert book.observe([row(10, 900.0), row(11, 900.0)], now_ms=0) == []


def test_a_restart_keeps_what_fires_and_how_far_it_was_judged(book: AlertBook) -> None:
    book.observe([row(10, 501.0)], now_ms=0)
    again = AlertBook([RULE], {(one.rule, one.meter): one for one in book.firing})

    assert again.observe([row(9, 1.0)], now_ms=0) == []
    assert again.observe([row(11, 900.0)], now_ms=0) == []
    assert told(again.observe([row(12, 1.0)], now_ms=0)) == [("e001-main", "resolved", 12)]


def test_two_meters_stand_apart(book: AlertBook) -> None:
    book.observe([row(10, 501.0)], now_ms=0)

    assert told(book.observe([row(5, 501.0, "e001-light")], now_ms=0)) == [
        ("e001-light", "firing", 5)
    ]
    assert told(book.observe([row(11, 1.0)], now_ms=0)) == [("e001-main", "resolved", 11)]
    assert [entry.meter for entry in book.firing] == ["e001-light"]


def test_a_rule_for_some_meters_concerns_no_other() -> None:
    some = Rule(
        id="hot",
        quantity="active_power_kw",
        fires_above=500.0,
        resolves_below=400.0,
        meters=frozenset({"e001-light"}),
    )

    entries = AlertBook([some], {}).observe([row(1, 900.0), row(1, 900.0, "e001-light")], now_ms=0)

    assert told(entries) == [("e001-light", "firing", 1)]


def test_two_rules_on_one_quantity_are_judged_each_by_itself() -> None:
    hotter = Rule(id="hotter", quantity="active_power_kw", fires_above=800.0, resolves_below=700.0)
    book = AlertBook([RULE, hotter], {})

    entries = book.observe([row(1, 600.0), row(2, 900.0), row(3, 600.0)], now_ms=0)

    assert [(entry.rule, entry.state) for entry in entries] == [
        ("hot", "firing"),
        ("hotter", "firing"),
        ("hotter", "resolved"),
    ]


def test_a_row_without_the_quantity_is_no_judgement(book: AlertBook) -> None:
    assert book.observe([row(10, None)], now_ms=0) == []
    assert told(book.observe([row(9, 501.0)], now_ms=0)) == [("e001-main", "firing", 9)]


@given(values=st.lists(st.floats(0, 1000), max_size=20), data=st.data())
def test_the_order_within_a_group_does_not_matter_and_the_record_alternates(
    values: list[float], data: st.DataObject
) -> None:
    rows = [row(minute, value) for minute, value in enumerate(values)]

    straight = AlertBook([RULE], {}).observe(rows, now_ms=0)
    shuffled = AlertBook([RULE], {}).observe(data.draw(st.permutations(rows)), now_ms=0)

    assert shuffled == straight
    states = [entry.state for entry in straight]
    assert states == ["firing", "resolved"] * (len(states) // 2) + ["firing"] * (len(states) % 2)
