"""Trees change: meters come, go and move. What is made of them does not depend on when."""

from typing import Any

import numpy as np
import pytest
from msgspec import structs

from collector.fleet.index import Direction
from collector.settle.cells import DAY_MS, Width
from collector.tree.family import families, family_at
from tests.fakes.settling import START_MS, Settling, hourly, meter

COMES_MS = START_MS + 5 * DAY_MS
DAYS = 10


def town_of(*entries: Any) -> Settling:
    return Settling(*entries, now_ms=START_MS + DAYS * DAY_MS)


def put_all(town: Settling) -> None:
    at_ms, values = hourly(DAYS * 24 + 1)
    town.put("main", at_ms, values * 3)
    town.put("old", at_ms, values)
    there = at_ms >= COMES_MS
    town.put("new", at_ms[there], values[there])


def a_sub_meter_comes() -> Settling:
    return town_of(
        meter("main"),
        meter("old", parent="main"),
        meter("new", parent="main", valid_from_ms=COMES_MS),
    )


def daily(town: Settling, name: str) -> list[int]:
    cells = town.rows(name, Width.DAY).cells
    assert cells.known.all()
    return cells.value.tolist()


def test_before_a_sub_meter_came_the_remainder_has_its_energy() -> None:
    town = a_sub_meter_comes()
    put_all(town)

    town.settlement.settle_dirty()

    main, old, new = (daily(town, name) for name in ("main", "old", "new"))
    new = [0] * 5 + new
    assert daily(town, "main-rest") == [m - o - n for m, o, n in zip(main, old, new, strict=True)]


def test_a_month_of_a_remainder_is_its_days_even_if_sub_meters_came_in_it() -> None:
    town = a_sub_meter_comes()
    put_all(town)

    town.settlement.settle_dirty()

    month = town.rows("main-rest", Width.MONTH).cells
    assert month.value.tolist() == [sum(daily(town, "main-rest"))]
    assert month.measured[0] == pytest.approx(town.rows("main", Width.MONTH).cells.measured[0])


def test_settled_day_by_day_or_at_once_a_remainder_is_the_same() -> None:
    at_once, by_day = a_sub_meter_comes(), a_sub_meter_comes()
    put_all(at_once)
    put_all(by_day)
    at_once.settlement.settle_dirty()
    by_day.settlement.settle_dirty()

    for day in np.random.default_rng(3).permutation(DAYS).tolist():
        start_ms = START_MS + day * DAY_MS
        by_day.settlement.settle(["old"], start_ms, start_ms + DAY_MS)

    for width in (Width.HOUR, Width.DAY, Width.MONTH):
        assert by_day.table("main-rest", width) == at_once.table("main-rest", width)


def test_what_generates_behind_a_main_is_no_part_of_what_the_main_measures() -> None:
    town = town_of(
        meter("main"),
        meter("light", parent="main"),
        meter("pv", parent="main", direction=Direction.EXPORT),
    )

    assert family_at(town.fleet, START_MS).children == {"main": ("light",)}


def test_a_span_is_cut_where_the_fleet_changes_and_nowhere_else() -> None:
    other = meter("old", parent="main", valid_from_ms=START_MS + 3 * DAY_MS, multiplier=2.0)
    town = town_of(
        meter("main"),
        meter("old", parent="main", valid_to_ms=START_MS + 3 * DAY_MS),
        other,
        meter("new", parent="main", valid_from_ms=COMES_MS),
    )
    end_ms = START_MS + DAYS * DAY_MS

    found = families(town.fleet, START_MS, end_ms)

    # Another ratio makes no other tree.
    assert [span for span, _ in found] == [(START_MS, COMES_MS), (COMES_MS, end_ms)]
    assert found[0][1].children == {"main": ("old",)}
    assert found[1][1].children == {"main": ("new", "old")}
    assert found[1][1].entries["old"] == structs.replace(other)
