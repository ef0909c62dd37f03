"""计量漂移 through the daily verification: figures, and a line that asks a person."""

import numpy as np
import pytest
from msgspec import structs

from collector.arrivals import Arrivals
from collector.findings import Finding, FindingKind
from collector.fleet.index import MeterEntry
from collector.intervals import GaugeWindows, Intervals, Subject
from collector.settle.cells import DAY_MS, HOUR_MS, Cells, Width
from collector.settle.series import PER_UNIT
from collector.validate import tags_of
from collector.verification import Parts, Verification
from tests.fakes.findings import FakeFindingBook
from tests.fakes.households import MAIN, START_MS, Household
from tests.fakes.settling import ENERGY, Settling, meter

LAST = START_MS + 97 * DAY_MS


def entries(subs: int, **changes: dict[str, object]) -> list[MeterEntry]:
    main = meter(MAIN, circuit="总进线", **changes.get(MAIN, {}))
    return [
        main,
        *(
            meter(
                f"s{place}", circuit=f"{place + 1}层", parent=MAIN, **changes.get(f"s{place}", {})
            )
            for place in range(subs)
        ),
    ]


def hourly(name: str, energy: np.ndarray, width: Width = Width.HOUR) -> Intervals:
    """Settled intervals, all measured."""
    count, width_ms = energy.size, HOUR_MS if width is Width.HOUR else DAY_MS
    return Intervals(
        meter=name,
        quantity=ENERGY,
        width=width,
        version=np.ones(count, np.int64),
        cells=Cells(
            start_ms=START_MS + np.arange(count) * width_ms,
            value=np.rint(energy.ravel() * PER_UNIT).astype(np.int64),
            known=np.ones(count, np.bool_),
            measured=np.ones(count),
            estimated=np.zeros(count),
            edited=np.zeros(count),
            missing=np.zeros(count),
            rules=np.zeros(count, np.int64),
        ),
    )


class Town:
    """A household whose hours are settled already, and its verification."""

    def __init__(self, house: Household, *fleet: MeterEntry) -> None:
        self.town = Settling(*fleet, now_ms=START_MS + (house.days + 1) * DAY_MS)
        self.findings = FakeFindingBook()
        hours = house.hours()
        for place, name in enumerate((MAIN, *hours.subs)):
            self.write(name, hourly(name, hours.energy[place]))
            self.write(name, hourly(name, hours.energy[place].sum(axis=1), Width.DAY))
        self.verification = Verification(
            Parts(
                store=self.town.store,
                intervals=self.town.intervals,
                entries=self.town.entries,
                epochs=self.town.epochs,
                findings=self.findings,
                fleet=self.town.fleet,
                arrivals=Arrivals(),
                clock=self.town.clock,
            )
        )

    def write(self, name: str, rows: Intervals) -> None:
        self.town.intervals.write_intervals(tags_of(self.town.fleet.meters[name][-1]), [rows])

    def gauge(self, name: str, kw: np.ndarray) -> None:
        windows = GaugeWindows(
            meter=name,
            quantity="active_power_kw",
            width=Width.DAY,
            start_ms=START_MS + np.arange(len(kw)) * DAY_MS,
            count=np.full(len(kw), 288),
            lowest=kw * 0.5,
            mean=kw,
            highest=kw * 2,
        )
        self.town.intervals.write_gauges(tags_of(self.town.fleet.meters[name][-1]), [windows])

    def gains(self, day_ms: int = LAST) -> list[Finding]:
        found = self.verification.verify_day(day_ms)
        return [one for one in found if one.kind is FindingKind.GAIN]

    def figures(self, name: str, day_ms: int = LAST) -> dict[str, float]:
        return {
            one.name: one.value
            for one in self.town.intervals.figures(Subject.METER, day_ms, day_ms + 1, [name])
        }


def drifting(days: int = 98) -> Household:
    house = Household(40, 30, 20, days=days)
    house.counts(2, 0.75, 50, within=7)
    return house


def test_a_meter_that_drifts_is_said_with_how_much_since_when_and_what_to_do() -> None:
    town = Town(drifting(), *entries(3))

    (found,) = town.gains()

    assert found.meter == "s1"
    assert found.value == pytest.approx(-0.25, abs=0.03)
    assert abs(found.since_ms - (START_MS + 50 * DAY_MS)) <= 7 * DAY_MS
    assert found.text == (
        "2层（s1）自2026年2月21日前后起计数比以前少计约 24%（±2%），"
        "由总表 main 与各分表逐时对照得出"
    )
    assert found.advice == (
        "到现场核对该表互感器（CT）、接线和变比，必要时送检；如有负荷改接到表外，请说明。"
        "用量仍按表计原样计入，未作任何更正"
    )


def test_the_energy_stays_as_it_was_registered() -> None:
    town = Town(drifting(), *entries(3))
    before = town.town.table("s1", Width.DAY)

    assert town.gains() != []

    assert town.town.table("s1", Width.DAY) == before


def test_what_is_known_of_each_meter_is_a_figure_and_what_is_not_has_none() -> None:
    house = drifting()
    house.subs[2][:] = 20.0
    town = Town(house, *entries(3, s2={"steps": {ENERGY: 1.0}}))

    town.gains()

    assert town.figures("s1")["gain_change_share"] == pytest.approx(-0.25, abs=0.03)
    assert 0 < town.figures("s1")["gain_change_error_share"] < 0.03
    assert town.figures("s0")["gain_change_share"] == pytest.approx(0, abs=0.05)
    assert "gain_change_share" not in town.figures("s2")


def test_a_clean_household_has_figures_and_no_finding() -> None:
    town = Town(Household(40, 30, 20), *entries(3))

    assert town.gains() == []
    assert set(town.figures("s0")) >= {"gain_change_share", "gain_change_error_share"}


def test_a_finding_of_the_day_before_keeps_its_first_day_and_outlives_the_lookback() -> None:
    town = Town(drifting(days=240), *entries(3))
    (first,) = town.gains(LAST)
    town.findings.replace_findings(
        START_MS + 238 * DAY_MS, [structs.replace(first, day_ms=START_MS + 238 * DAY_MS)]
    )

    (later,) = town.gains(START_MS + 239 * DAY_MS)

    assert later.meter == "s1"
    assert later.since_ms == first.since_ms
    assert later.value == pytest.approx(-0.25, abs=0.03)


def test_nobody_is_held_against_days_before_another_ratio_or_another_tree() -> None:
    house = drifting()
    changed_ms = START_MS + 45 * DAY_MS
    old = meter("s1", parent=MAIN, valid_to_ms=changed_ms)
    new = meter("s1", parent=MAIN, valid_from_ms=changed_ms, multiplier=30.0)
    others = [one for one in entries(3) if one.meter != "s1"]

    town = Town(house, *others, old, new)

    assert town.gains() == []
    assert "gain_change_share" not in town.figures("s1")


def test_a_meter_that_came_below_the_main_later_is_no_change_of_the_others() -> None:
    house = Household(40, 30, 20)
    late = meter("s2", parent=MAIN, valid_from_ms=START_MS + 60 * DAY_MS)
    others = [one for one in entries(3) if one.meter != "s2"]

    assert Town(house, *others, late).gains() == []


def test_a_register_that_leaves_its_own_power_is_said_with_both_ratios() -> None:
    house = Household(40, 30, 20)
    kw = house.subs[0].sum(axis=1) / 24
    house.counts(1, 1.3, 60)
    town = Town(house, *[structs.replace(one, parent=None) for one in entries(3)])
    town.gauge("s0", kw)

    (found,) = town.gains()

    assert found.meter == "s0"
    assert found.text == (
        "1层（s0）自2026年3月2日前后起计数比以前多计约 30%（±1%）："
        "电量与平均功率×小时数之比由 1.00 变为 1.30"
    )
    assert found.advice == (
        "核对该表变比、脉冲常数和功率显示设置，必要时送检；用量仍按表计原样计入，未作任何更正"
    )
    assert town.figures("s0")["energy_against_power_share"] == pytest.approx(1.3)


def test_sums_are_not_held_against_a_meter_that_drifts() -> None:
    house = Household(60, 30, 20, rest=2)
    house.counts(1, 1.4, 50)
    town = Town(house, *entries(3))

    found = town.verification.verify_day(LAST)

    assert [(one.kind, one.meter) for one in found if one.kind is FindingKind.GAIN] == [
        (FindingKind.GAIN, "s0")
    ]
    assert FindingKind.SUM not in {one.kind for one in found}
