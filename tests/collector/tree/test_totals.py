"""Totals: items within items, units apart, trees that change, months; and the law of the whole."""

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collector.adapters.http import HttpServer
from collector.doors.quality import quality_door
from collector.fleet.index import BuildingEntry, Direction, Fleet, InstitutionEntry, Sector
from collector.intervals import Intervals, Subject
from collector.known import Names
from collector.settle.cells import DAY_MS, Cells, Width
from collector.settle.series import PER_UNIT
from collector.tree.family import families
from collector.tree.totals import Total, totals
from collector.validate import tags_of
from tests.fakes.clock import FakeClock
from tests.fakes.findings import FakeFindingBook
from tests.fakes.intervals import FakeIntervalStore
from tests.fakes.settling import ENERGY, START_MS, fleet_of, meter
from tests.fakes.store import FakeReadingStore

DAYS = 40
END_MS = START_MS + DAYS * DAY_MS
FEBRUARY_MS = START_MS + 31 * DAY_MS


def fleet_with(*entries: Any) -> Fleet:
    return structs.replace(
        fleet_of(*entries),
        institutions={
            "e001": InstitutionEntry(
                id="e001",
                name="示例医院",
                sector=Sector.HOSPITAL,
                district="120101",
                buildings=("e001-b1", "e001-b2"),
            )
        },
        buildings={
            name: BuildingEntry(id=name, institution="e001", code="", area_m2=1.0, built=None)
            for name in ("e001-b1", "e001-b2")
        },
    )


def days(name: str, *values: float, start: int = 0, quantity: str = ENERGY) -> Intervals:
    count = len(values)
    one, none = np.ones(count), np.zeros(count)
    return Intervals(
        meter=name,
        quantity=quantity,
        width=Width.DAY,
        cells=Cells(
            start_ms=START_MS + (start + np.arange(count)) * DAY_MS,
            value=np.array([round(value * PER_UNIT) for value in values], np.int64),
            known=np.ones(count, np.bool_),
            measured=one,
            estimated=none,
            edited=none,
            missing=none,
            rules=np.zeros(count, np.int64),
        ),
        version=np.ones(count, np.int64),
    )


def summed(fleet: Fleet, *settled: Intervals) -> dict[tuple[str, str, str, bool], Total]:
    found = totals(fleet, families(fleet, START_MS, END_MS), settled)
    keys = [(one.id, one.code, one.unit, one.generation) for one in found]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, found, strict=True))


def values(total: Total) -> list[float | None]:
    cells = total.cells
    return [
        int(value) / PER_UNIT if known else None
        for value, known in zip(cells.value, cells.known, strict=True)
    ]


def test_what_another_item_uses_below_an_item_is_not_counted_for_it() -> None:
    fleet = fleet_with(
        meter("main"),
        meter("light", parent="main", energy="01A00"),
        meter("split", parent="light", energy="01B20"),
        meter("lamp", parent="split", energy="01A10"),
        meter("panel", parent="light"),  # of no item: lighting, as the meter above it
    )

    found = summed(
        fleet, days("main", 100), days("light", 60), days("split", 25), days("lamp", 5),
        days("panel", 9),
    )  # fmt: skip

    light, air = found["e001", "01A", "kWh", False], found["e001", "01B", "kWh", False]
    assert (light.meters, light.less, values(light)) == (("lamp", "light"), ("split",), [40])
    assert (air.meters, air.less, values(air)) == (("split",), ("lamp",), [20])
    assert values(found["e001", "01", "kWh", False]) == [100]


def test_generators_behind_each_other_count_once() -> None:
    export = {"direction": Direction.EXPORT, "energy": "13000"}
    fleet = fleet_with(meter("pv", **export), meter("inverter", parent="pv", **export))

    found = summed(
        fleet,
        days("pv", 7, quantity="energy_export_kwh"),
        days("inverter", 5, quantity="energy_export_kwh"),
    )

    total = found["e001", "13", "kWh", True]
    assert (total.meters, values(total)) == (("pv",), [7])


def test_units_are_not_mixed() -> None:
    # Steam is sold by volume here and by heat there: a class without a counter of its own.
    fleet = fleet_with(meter("a", energy="07000"), meter("b", energy="07000"))

    found = summed(
        fleet, days("a", 7, quantity="volume_m3"), days("b", 3, quantity="heat_energy_gj")
    )

    assert values(found["e001", "07", "m³", False]) == [7]
    assert values(found["e001", "07", "GJ", False]) == [3]


def test_what_generates_behind_the_main_is_not_consumed() -> None:
    fleet = fleet_with(meter("main"), meter("pv", parent="main", direction=Direction.EXPORT))

    found = summed(fleet, days("main", 100), days("pv", 30, quantity="energy_export_kwh"))

    assert values(found["e001", "01", "kWh", False]) == [100]
    assert values(found["e001", "01", "kWh", True]) == [30]


def test_a_main_that_came_later_counts_from_its_day_on_and_the_circuits_before_it() -> None:
    fleet = fleet_with(
        meter("a", valid_to_ms=START_MS + 2 * DAY_MS),
        meter("b", valid_to_ms=START_MS + 2 * DAY_MS),
        meter("a", parent="main", valid_from_ms=START_MS + 2 * DAY_MS),
        meter("b", parent="main", valid_from_ms=START_MS + 2 * DAY_MS),
        meter("main", valid_from_ms=START_MS + 2 * DAY_MS),
    )

    found = summed(
        fleet, days("a", 1, 2, 3, 4), days("b", 10, 20, 30, 40), days("main", 34, 45, start=2)
    )

    total = found["e001", "01", "kWh", False]
    assert values(total) == [11, 22, 34, 45]
    assert total.meters == ("a", "b", "main")
    assert total.absent == ()


def test_a_meter_that_moved_counts_for_each_building_while_it_stood_there() -> None:
    fleet = fleet_with(
        meter("m", valid_to_ms=START_MS + DAY_MS),
        meter("m", building="e001-b2", valid_from_ms=START_MS + DAY_MS),
    )

    found = summed(fleet, days("m", 1, 2, 3))

    assert values(found["e001-b1", "01", "kWh", False]) == [1]
    assert values(found["e001-b2", "01", "kWh", False]) == [2, 3]
    assert values(found["e001", "01", "kWh", False]) == [1, 2, 3]


ITEMS = ("01000", "01A00", "01B00", "01A10", "01C20")


@st.composite
def trees(draw: st.DrawFn) -> tuple[Fleet, list[Intervals]]:
    """A main, and meters of any items anywhere below it, each measuring at least its children."""
    count = draw(st.integers(1, 8))
    entries = [meter("m0")]
    for place in range(1, count + 1):
        above = draw(st.integers(0, place - 1))
        code = draw(st.sampled_from(ITEMS))
        entries.append(meter(f"m{place}", parent=f"m{above}", energy=code))
    own = draw(st.lists(st.integers(0, 10**6), min_size=count + 1, max_size=count + 1))
    whole = dict(zip((entry.meter for entry in entries), own, strict=True))
    for entry in reversed(entries[1:]):
        whole[entry.parent] += whole[entry.meter]
    return fleet_with(*entries), [days(name, value) for name, value in whole.items()]


@given(trees())
def test_items_never_add_up_to_more_than_the_whole(tree: tuple[Fleet, list[Intervals]]) -> None:
    fleet, settled = tree

    found = summed(fleet, *settled)

    (whole,) = values(found["e001", "01", "kWh", False])
    items = [
        value
        for (name, code, *_), total in found.items()
        if name == "e001" and code != "01"
        for value in values(total)
    ]
    assert all(value is not None and value >= 0 for value in items)
    assert sum(items) <= whole  # type: ignore[operator]
    (main,) = (rows.cells for rows in settled if rows.meter == "m0")
    assert whole == int(main.value[0]) / PER_UNIT


@given(trees(), st.randoms(use_true_random=False))
def test_totals_do_not_depend_on_the_order_of_anything(
    tree: tuple[Fleet, list[Intervals]], random: Any
) -> None:
    fleet, settled = tree
    shuffled = list(fleet.meters.items())
    random.shuffle(shuffled)
    other = structs.replace(fleet, meters=dict(shuffled))

    again = summed(other, *random.sample(settled, len(settled)))

    first = summed(fleet, *settled)
    assert {key: values(one) for key, one in again.items()} == {
        key: values(one) for key, one in first.items()
    }


# ---- the door


class NotAsked:
    """No verification is wanted of it."""


@pytest.fixture
def door() -> Iterator[httpx.Client]:
    fleet = fleet_with(
        meter("old", valid_to_ms=START_MS + 10 * DAY_MS),
        meter("new", valid_from_ms=START_MS + 10 * DAY_MS),
    )
    intervals = FakeIntervalStore()
    intervals.write_intervals(tags_of(meter("old")), [days("old", *[1.0] * 10)])
    intervals.write_intervals(tags_of(meter("new")), [days("new", *[2.0] * 25, start=10)])
    api = FastAPI()
    api.include_router(
        quality_door(
            NotAsked(),  # type: ignore[arg-type]
            FakeFindingBook(),
            intervals,
            fleet,
            FakeClock(START_MS + 35 * DAY_MS),
            Names(fleet, FakeReadingStore(), intervals),
        )
    )
    server = HttpServer(api, "127.0.0.1", 0)
    server.start()
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client
    server.stop()


def asked(door: httpx.Client, **params: Any) -> list[tuple[int, float | None, float]]:
    answer = door.get("/totals", params=params)
    assert answer.status_code == 200, answer.text
    return [
        (row["start_ms"], row["value"], round(row["missing"], 3))
        for row in answer.json()
        if row["id"] == "e001" and row["subject"] == Subject.INSTITUTION
    ]


def test_a_month_in_which_a_meter_gave_way_to_another_is_the_sum_of_both(
    door: httpx.Client,
) -> None:
    months = asked(door, start_ms=START_MS, end_ms=END_MS, width="1mo")

    # The month that runs misses nothing of what has passed of it.
    assert months == [(START_MS, 10 + 21 * 2, 0), (FEBRUARY_MS, 8, 0)]


def test_months_are_those_that_begin_in_the_span(door: httpx.Client) -> None:
    assert asked(door, start_ms=START_MS + 1, end_ms=END_MS, width="1mo") == [(FEBRUARY_MS, 8, 0)]
    assert asked(door, start_ms=START_MS + 1, end_ms=FEBRUARY_MS, width="1mo") == []


def test_a_span_without_time_is_refused(door: httpx.Client) -> None:
    answer = door.get("/totals", params={"start_ms": 5, "end_ms": 5})

    assert answer.status_code == 422
