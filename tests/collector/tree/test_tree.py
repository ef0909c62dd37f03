"""Signed sums, remainders, 总分校核 and totals, with the example district's shape in small."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collector.fleet.index import (
    BuildingEntry,
    Direction,
    Fleet,
    InstitutionEntry,
    Sector,
    VirtualMeter,
)
from collector.intervals import Intervals
from collector.settle.cells import HOUR_MS, Cells, Width
from collector.settle.series import PER_UNIT
from collector.tree.check import check_sums
from collector.tree.derive import derive, derived_of
from collector.tree.family import families, family_at
from collector.tree.signed_sum import signed_sum
from collector.tree.totals import totals
from tests.fakes.settling import ENERGY, START_MS, fleet_of, meter


def cells(*values: float | None, start: int = 0, **shares: float) -> Cells:
    count = len(values)
    known = np.array([value is not None for value in values], np.bool_)
    columns = {"measured": 1.0, "estimated": 0.0, "edited": 0.0, "missing": 0.0} | shares
    return Cells(
        start_ms=START_MS + (start + np.arange(count)) * HOUR_MS,
        value=np.array([round((value or 0) * PER_UNIT) for value in values], np.int64),
        known=known,
        **{
            name: np.where(known, share, 1.0 if name == "missing" else 0.0)
            for name, share in columns.items()
        },
        rules=np.zeros(count, np.int64),
    )


def rows(name: str, found: Cells, quantity: str = ENERGY) -> Intervals:
    return Intervals(
        meter=name,
        quantity=quantity,
        width=Width.HOUR,
        cells=found,
        version=np.ones(len(found.start_ms), np.int64),
    )


def district(*more: Any) -> Fleet:
    fleet = fleet_of(
        meter("main"),
        meter("light", parent="main", energy="01A00"),
        meter("hvac", parent="main", energy="01B00"),
        meter("chiller", parent="hvac", energy="01B10"),
        meter("pv", direction=Direction.EXPORT, energy="13000"),
        meter("water", energy="02000"),
        *more,
    )
    return structs.replace(
        fleet,
        institutions={
            "e001": InstitutionEntry(
                id="e001",
                name="示例医院",
                sector=Sector.HOSPITAL,
                district="120101",
                buildings=("e001-b1",),
            )
        },
        buildings={
            "e001-b1": BuildingEntry(
                id="e001-b1", institution="e001", code="120101E001", area_m2=1.0, built=None
            )
        },
        virtual_meters={
            "half": VirtualMeter(
                id="half", energy="01000", circuit="", parts=(("main", 0.5), ("light", -1.0))
            )
        },
    )


HOURS_MS = 1_000 * HOUR_MS


def trees(fleet: Fleet) -> Any:
    return families(fleet, START_MS, START_MS + HOURS_MS)


def test_a_sum_is_known_only_where_all_its_parts_are() -> None:
    total = signed_sum([(cells(10, None, 30), 1.0), (cells(1, 2, start=0), -1.0)])

    assert total.known.tolist() == [True, False, False]
    assert total.value.tolist() == [9 * PER_UNIT, 0, 0]
    assert total.missing.tolist() == [0, 1, 1]


def test_a_sum_is_no_surer_than_its_weakest_part() -> None:
    sure = cells(10)
    guessed = cells(5, measured=0.25, estimated=0.25, edited=0.25, missing=0.25)

    total = signed_sum([(sure, 1.0), (guessed, 1.0)])

    found = [
        float(one[0]) for one in (total.measured, total.estimated, total.edited, total.missing)
    ]
    assert found == [0.25, 0.25, 0.25, 0.25]


@given(
    st.lists(st.lists(st.integers(0, 10**15), min_size=3, max_size=3), min_size=1, max_size=6),
)
def test_a_main_is_its_sub_meters_and_the_rest_exactly(values: list[list[int]]) -> None:
    columns = [
        structs.replace(cells(0, 0, 0), value=np.array(column, np.int64)) for column in values
    ]
    main, *below = columns
    rest = signed_sum([(main, 1.0), *((one, -1.0) for one in below)])

    again = signed_sum([(rest, 1.0), *((one, 1.0) for one in below)])

    assert again.value.tolist() == main.value.tolist()


def test_the_remainder_and_virtual_meters_are_made_of_their_parts() -> None:
    fleet = district()
    family = family_at(fleet, START_MS)
    settled = [
        rows("main", cells(100, 120)),
        rows("light", cells(30, 20)),
        rows("hvac", cells(50, 60)),
    ]

    found = {one.meter: derive(one, family, settled) for one in derived_of(fleet, family)}

    assert set(found) == {"half", "main-rest", "hvac-rest"}
    assert found["main-rest"][1].value.tolist() == [20 * PER_UNIT, 40 * PER_UNIT]
    assert found["half"][1].value.tolist() == [20 * PER_UNIT, 40 * PER_UNIT]
    assert not found["hvac-rest"][1].known.any()


def test_only_what_hangs_on_a_changed_meter_is_made_anew() -> None:
    fleet = district()
    family = family_at(fleet, START_MS)

    assert [one.meter for one in derived_of(fleet, family, ["chiller"])] == ["hvac-rest"]
    assert [one.meter for one in derived_of(fleet, family, ["water"])] == []


@pytest.mark.parametrize(
    ("light", "agrees"), [((30.0, 20.0), True), ((60.0, 70.0), False), ((52.0, 63.0), True)]
)
def test_sub_meters_that_say_more_than_their_main_disagree(
    light: tuple[float, float], agrees: bool
) -> None:
    settled = [
        rows("main", cells(100, 120)),
        rows("light", cells(*light)),
        rows("hvac", cells(50, 60)),
    ]

    check, unjudged = sorted(
        check_sums(trees(district()), settled, tolerance=0.05, least_judged=0.8),
        key=lambda one: one.meter,
        reverse=True,
    )

    assert (unjudged.meter, unjudged.agrees) == ("hvac", None)
    assert check.meter == "main"
    assert check.agrees is agrees
    assert check.main == 220
    assert check.parts == sum(light) + 110
    assert check.share == pytest.approx((110 - sum(light)) / 220)


def test_a_main_whose_sub_meter_is_silent_is_not_judged() -> None:
    settled = [rows("main", cells(100, 120)), rows("light", cells(90, 110))]

    (check,) = check_sums(trees(district()), settled, tolerance=0.05, least_judged=0.8)

    assert check.silent == ("hvac",)
    assert check.agrees is None


def test_every_kilowatt_hour_counts_once_and_generation_stands_apart() -> None:
    fleet = district()
    settled = [
        rows("main", cells(100)),
        rows("light", cells(30)),
        rows("hvac", cells(50)),
        rows("chiller", cells(40)),
        rows("pv", cells(7), "energy_export_kwh"),
        rows("water", cells(3), "volume_m3"),
    ]

    found = {
        (one.code, one.generation): (one.meters, int(one.cells.value[0]) / PER_UNIT, one.unit)
        for one in totals(fleet, trees(fleet), settled)
        if one.id == "e001"
    }

    assert found == {
        ("01", False): (("main",), 100, "kWh"),
        ("01A", False): (("light",), 30, "kWh"),
        ("01B", False): (("hvac",), 50, "kWh"),
        ("02", False): (("water",), 3, "m³"),
        ("13", True): (("pv",), 7, "kWh"),
    }


def test_a_total_with_a_meter_that_says_nothing_is_not_known_and_names_it() -> None:
    fleet = district(meter("second"))

    (total,) = [
        one
        for one in totals(fleet, trees(fleet), [rows("main", cells(100))])
        if one.id == "e001" and one.code == "01"
    ]

    assert total.absent == ("second",)
    assert not total.cells.known.any()


@given(
    st.lists(
        st.tuples(
            st.integers(-(10**12), 10**12),
            st.floats(-2, 2, allow_nan=False),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_sum_with_percentages_is_off_by_half_a_millionth_for_each_part_at_most(
    parts: list[tuple[int, float]],
) -> None:
    total = signed_sum(
        [
            (structs.replace(cells(0), value=np.array([value], np.int64)), factor)
            for value, factor in parts
        ]
    )

    exact = sum(Fraction(value) * Fraction(factor) for value, factor in parts)
    # A double's product may be off by its last digit before it is rounded.
    slack = Fraction(len(parts), 2) + Fraction(len(parts), 1000)
    assert abs(int(total.value[0]) - exact) <= slack


def test_whole_factors_are_exact_beyond_what_a_double_holds() -> None:
    large = structs.replace(cells(0), value=np.array([2**60 + 1], np.int64))

    total = signed_sum([(large, 1.0), (large, -1.0), (large, 1.0)])

    assert total.value.tolist() == [2**60 + 1]


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.lists(st.floats(0, 1), max_size=3))
def test_shares_of_a_sum_are_shares(one: list[float], other: list[float]) -> None:
    def shared(weights: list[float]) -> Cells:
        four = [*weights, 0.1] if len(weights) == 3 else [0.25] * 4
        whole = sum(four)
        names = ("measured", "estimated", "edited", "missing")
        return cells(1, **{n: weight / whole for n, weight in zip(names, four, strict=True)})

    total = signed_sum([(shared(one), 1.0), (shared(other), -0.35)])

    four = [total.measured[0], total.estimated[0], total.edited[0], total.missing[0]]
    assert all(0 <= share <= 1 for share in four)
    assert sum(four) == pytest.approx(1)


def test_what_was_laid_out_by_rule_is_not_judged_hour_by_hour() -> None:
    guessed = {"measured": 0.4, "estimated": 0.6}
    settled = [
        rows("main", cells(100, 120)),
        rows("light", cells(90, 110, **guessed)),
        rows("hvac", cells(50, 60)),
    ]

    (check,) = (
        one
        for one in check_sums(trees(district()), settled, tolerance=0.05, least_judged=0.8)
        if one.meter == "main"
    )

    assert (check.agrees, check.judged_share, check.share) == (None, 0, None)


@pytest.mark.parametrize(("light", "agrees"), [(0.4, True), (0.6, False)])
def test_a_main_that_counts_nothing_disagrees_once_its_sub_meters_counted_a_unit(
    light: float, agrees: bool
) -> None:
    settled = [
        rows("main", cells(0, 0)),
        rows("light", cells(light, 0)),
        rows("hvac", cells(0, 0.5)),
    ]

    checks = check_sums(trees(district()), settled, tolerance=0.05, least_judged=0.8)

    (check,) = (one for one in checks if one.meter == "main")
    assert (check.agrees, check.share) == (agrees, None)
    assert (check.main, check.parts) == (0, light + 0.5)
