"""The daily verification on the fakes: figures as series, and a short true list in Chinese."""

import numpy as np
import pytest
from msgspec import structs

from collector.arrivals import Arrivals
from collector.entries import Entry, EntryKind
from collector.findings import FindingKind
from collector.fleet.index import GatewayEntry
from collector.intervals import Subject
from collector.settle.cells import DAY_MS, Width
from collector.store import Level, Rejection
from collector.validate import tags_of
from collector.verification import Parts, Verification
from tests.fakes.findings import FakeFindingBook
from tests.fakes.settling import ENERGY, HOUR_MS, START_MS, Settling, hourly, meter

DAY = START_MS + 30 * DAY_MS


class House:
    """A settled house of some meters, and its verification."""

    def __init__(self, *names: str) -> None:
        self.town = Settling(*(meter(name) for name in names), now_ms=START_MS + 40 * DAY_MS)
        gateway = GatewayEntry(
            id="gw-1",
            district="120101",
            building="e001-b1",
            institution="e001",
            meters=names,
            digest="",
        )
        fleet = structs.replace(self.town.fleet, gateways={"gw-1": gateway})
        self.arrivals = Arrivals()
        self.findings = FakeFindingBook()
        self.verification = Verification(
            Parts(
                store=self.town.store,
                intervals=self.town.intervals,
                entries=self.town.entries,
                epochs=self.town.epochs,
                findings=self.findings,
                fleet=fleet,
                arrivals=self.arrivals,
            )
        )

    def put(self, name: str, *, gone: slice | None = None, change=None) -> None:
        at_ms, values = hourly(40 * 24)
        if change is not None:
            values = change(values.copy())
        keep = np.ones(len(at_ms), np.bool_)
        if gone is not None:
            keep[gone] = False
        self.town.put(name, at_ms[keep], values[keep])

    def verify(self, day_ms: int = DAY) -> list[tuple[str, str]]:
        self.town.settlement.settle_dirty()
        found = self.verification.verify_day(day_ms)
        kept = self.findings.findings(day_ms, day_ms + 1)
        assert sorted(found, key=str) == sorted(kept, key=str)
        return [(str(one.kind), one.meter) for one in found]

    def figures(self, subject: Subject, name: str) -> dict[str, float]:
        return {
            one.name: one.value
            for one in self.town.intervals.figures(subject, DAY, DAY + 1)
            if one.id == name
        }


@pytest.fixture
def house() -> House:
    return House("m1", "m2")


def test_a_clean_day_has_figures_and_no_finding(house: House) -> None:
    house.put("m1")
    house.put("m2")

    assert house.verify() == []

    figures = house.figures(Subject.METER, "m1")
    assert figures["completeness_share"] == 1
    assert figures["measured_share"] == 1
    assert figures["law_residual_millionths"] == 0
    assert figures["daily_against_monthly_share"] < 0.002
    assert house.figures(Subject.BUILDING, "e001-b1")["completeness_share"] == 1
    assert house.figures(Subject.GATEWAY, "gw-1")["estimated_share"] == 0


def test_a_silent_meter_is_said_once_and_since_when_it_is_silent(house: House) -> None:
    house.put("m1")
    house.put("m2", gone=slice(29 * 24, None))

    assert house.verify(DAY - DAY_MS) == [("silent", "m2")]
    assert house.verify(DAY) == [("silent", "m2")]

    (finding,) = house.findings.findings(DAY, DAY + 1)
    assert finding.since_ms == DAY - DAY_MS
    assert finding.text == "总进线（m2）自2026年1月30日起没有任何读数"
    assert finding.advice == "先看网关是否在线，再查该表供电、接线和通信地址"


def test_a_silent_gateway_hides_its_meters(house: House) -> None:
    house.put("m1", gone=slice(29 * 24, None))
    house.put("m2", gone=slice(29 * 24, None))

    assert house.verify() == [("silent", "gw-1")]


def test_an_incomplete_day_is_below_the_norm(house: House) -> None:
    house.put("m1", gone=slice(30 * 24 + 5, 30 * 24 + 10))
    house.put("m2")

    assert house.verify() == [("incomplete", "m1")]
    assert house.figures(Subject.METER, "m1")["completeness_share"] == pytest.approx(19 / 24)
    (finding,) = house.findings.findings(DAY, DAY + 1)
    assert finding.text == "总进线（m1）数据完整率 79.2%，低于标准 90%"


def test_a_meter_out_of_service_is_not_missed(house: House) -> None:
    house.put("m1")
    house.put("m2", gone=slice(29 * 24, None))
    house.town.entries.add_entries(
        [
            Entry(
                kind=EntryKind.OUT_OF_SERVICE,
                meter="m2",
                quantity="*",
                start_ms=START_MS + 29 * DAY_MS,
                author="王工",
                reason="停用",
                made_ms=START_MS + 39 * DAY_MS,
                source="test",
            )
        ]
    )

    assert house.verify() == []


def frozen(values: np.ndarray) -> np.ndarray:
    values[30 * 24 + 8 : 30 * 24 + 16] = values[30 * 24 + 8]
    return values


def jumped(values: np.ndarray) -> np.ndarray:
    values[30 * 24 + 8 :] += 50_000
    return values


@pytest.mark.parametrize(
    ("change", "kind"), [(frozen, FindingKind.FROZEN), (jumped, FindingKind.JUMP)]
)
def test_what_settlement_saw_is_told(house: House, change, kind: FindingKind) -> None:
    house.put("m1", change=change)
    house.put("m2")

    assert (str(kind), "m1") in house.verify()
    assert ("law", "m1") not in house.verify()


def test_refused_values_are_counted_by_reason_and_told_when_there_are_many(house: House) -> None:
    house.put("m1")
    house.put("m2")
    beside = [
        Rejection(
            meter="m1",
            at_ms=DAY + place * HOUR_MS,
            quantity=ENERGY,
            value=1e13,
            raw="1e13",
            reason="out_of_range",
            level=Level.REJECTED,
            gateway="gw-1",
        )
        for place in range(11)
    ]
    house.town.store.write([], beside)

    assert house.verify() == [("rejected", "m1")]
    assert house.figures(Subject.METER, "m1")["rejected_out_of_range_count"] == 11
    assert house.figures(Subject.GATEWAY, "gw-1")["rejected_out_of_range_count"] == 11


def test_late_readings_and_a_wrong_clock_are_told(house: House) -> None:
    from tests.collector.test_arrivals import batch, row  # noqa: PLC0415

    house.put("m1")
    house.put("m2")
    tags = tags_of(meter("m1"))
    rows = [structs.replace(row(DAY + place * HOUR_MS), tags=tags) for place in range(24)]
    house.arrivals.note(rows, [], DAY + 20 * HOUR_MS)
    house.arrivals.note([], [batch(DAY + 5 * HOUR_MS)], DAY + 5 * HOUR_MS - 90_000)

    assert house.verify() == [("late", "m1"), ("clock", "gw-1")]
    texts = {one.text for one in house.findings.findings(DAY, DAY + 1)}
    assert "网关 gw-1 的时钟偏差 -90 秒" in texts
    assert house.figures(Subject.GATEWAY, "gw-1")["clock_drift_s"] == -90
    assert house.figures(Subject.METER, "m1")["on_time_share"] == pytest.approx(4 / 24)


def test_verifying_again_changes_nothing(house: House) -> None:
    house.put("m1", change=frozen)
    house.put("m2")
    first = house.verify()

    assert house.verify() == first


def test_the_days_of_a_remainder_add_up_to_its_month_where_a_part_fell_silent() -> None:
    town = Settling(meter("main"), meter("sub", parent="main"), now_ms=START_MS + 31 * DAY_MS)
    at_ms, values = hourly(31 * 24)
    town.put("main", at_ms, values * 2)
    town.put("sub", at_ms[: 10 * 24], values[: 10 * 24])

    town.settlement.settle_dirty()

    days = town.rows("main-rest", Width.DAY).cells
    (month,) = town.rows("main-rest", Width.MONTH).cells.value
    assert days.known.sum() == 10
    assert month == days.value[days.known].sum()


def test_remainders_are_settled_with_their_main() -> None:
    town = Settling(meter("main"), meter("sub", parent="main"), now_ms=START_MS + 10 * DAY_MS)
    at_ms, values = hourly(10 * 24)
    town.put("main", at_ms, values * 2)
    town.put("sub", at_ms, values)

    town.settlement.settle_dirty()

    main, sub, rest = (town.rows(name, Width.DAY).cells for name in ("main", "sub", "main-rest"))
    assert rest.value.tolist() == (main.value - sub.value).tolist()
    assert town.rows("main-rest", Width.MONTH).cells.known.all()
    assert town.settlement.settle(None, START_MS, START_MS + 10 * DAY_MS).written == 0
