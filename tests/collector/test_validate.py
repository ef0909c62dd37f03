"""Gate 1: what is refused, why, and what stays."""

import time
from collections import Counter
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collector.fleet.index import Direction, Fleet, MeterEntry, Sector
from collector.store import WHOLE_READING, Level, Rejection
from collector.validate import AHEAD_LIMIT_MS, SENTINELS, Gate, Reason, Verdict
from metering.quantity import QUANTITIES
from metering.reading import Reading
from tests.fakes.link import GATEWAY, batch

NOW_MS = 1_780_272_000_000
VALID_FROM_MS = NOW_MS - 1_000_000
MOVED_MS = NOW_MS - 500_000  # from here on `moved` is another gateway's
ENDED_MS = NOW_MS - 100_000  # from here on `ended` is no more


def entry(meter: str, **changed: object) -> MeterEntry:
    plain = MeterEntry(
        meter=meter,
        gateway=GATEWAY,
        district="120101",
        institution="e001",
        sector=Sector.HOSPITAL,
        building="e001-b1",
        circuit="总进线",
        energy="01000",
        parent=None,
        model="eastron_sdm630_v2",
        direction=Direction.IMPORT,
        limits={},
        rated={},
        cycle_s=60,
        valid_from_ms=VALID_FROM_MS,
        valid_to_ms=None,
    )
    return structs.replace(plain, **changed)


FLEET = Fleet(
    stores={"120101": "heping-1"},
    institutions={},
    buildings={},
    gateways={},
    meters={
        "main": (entry("main"),),
        "narrow": (entry("narrow", limits={"frequency_hz": (49.5, 50.5)}),),
        "wide": (entry("wide", limits={"frequency_hz": (0.0, 1000.0)}),),
        "foreign": (entry("foreign", gateway="gw-a001"),),
        "ended": (entry("ended", valid_to_ms=ENDED_MS),),
        "moved": (
            entry("moved", circuit="一层", valid_to_ms=MOVED_MS),
            entry("moved", circuit="二层", gateway="gw-a001", valid_from_ms=MOVED_MS),
        ),
    },
    virtual_meters={},
)
GATE = Gate(FLEET)


def reading(
    meter: str = "main", at_ms: int = NOW_MS, fault: str | None = None, **values: float
) -> Reading:
    return Reading(meter=meter, at_ms=at_ms, values=values, fault=fault)


def judge(*readings: Reading) -> Verdict:
    return GATE.judge([batch(*readings)], now_ms=NOW_MS)


def reasons(verdict: Verdict) -> list[tuple[str, str]]:
    return [(rejection.quantity, rejection.reason) for rejection in verdict.rejections]


# -- what is good ------------------------------------------------------------------------------


def test_a_good_reading_becomes_a_row_with_the_tags_of_its_entry() -> None:
    verdict = judge(reading(voltage_l1_v=230.5, energy_import_kwh=12.25))

    (row,) = verdict.rows
    assert (row.meter, row.at_ms, row.fault) == ("main", NOW_MS, None)
    assert row.values == {"voltage_l1_v": 230.5, "energy_import_kwh": 12.25}
    assert (row.tags.institution, row.tags.circuit, row.tags.gateway) == ("e001", "总进线", GATEWAY)
    assert verdict.rejections == []


@pytest.mark.parametrize("name", QUANTITIES)
def test_the_ends_of_every_quantitys_range_belong_to_it(name: str) -> None:
    quantity = QUANTITIES[name]

    verdict = judge(
        reading(**{name: quantity.lowest}), reading(at_ms=NOW_MS - 1, **{name: quantity.highest})
    )

    assert len(verdict.rows) == 2
    assert verdict.rejections == []


def test_a_fault_without_values_passes() -> None:
    verdict = judge(reading(fault="timeout"))

    assert [(row.values, row.fault) for row in verdict.rows] == [({}, "timeout")]
    assert verdict.rejections == []


def test_a_reading_that_says_nothing_is_not_kept() -> None:
    assert judge(reading()) == Verdict(rows=[], rejections=[])


# -- a whole reading is refused ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (reading("nobody", voltage_l1_v=230.0), Reason.UNKNOWN_METER),
        (reading("", voltage_l1_v=230.0), Reason.UNKNOWN_METER),
        (reading("foreign", voltage_l1_v=230.0), Reason.FOREIGN_METER),
        (reading("moved", NOW_MS, voltage_l1_v=230.0), Reason.FOREIGN_METER),
        (reading("main", VALID_FROM_MS - 1, voltage_l1_v=230.0), Reason.NOT_IN_FORCE),
        (reading("main", 0, voltage_l1_v=230.0), Reason.NOT_IN_FORCE),
        (reading("main", -1, voltage_l1_v=230.0), Reason.NOT_IN_FORCE),
        (reading("ended", ENDED_MS, voltage_l1_v=230.0), Reason.NOT_IN_FORCE),
        (reading("main", NOW_MS + AHEAD_LIMIT_MS + 1, voltage_l1_v=230.0), Reason.AHEAD_OF_TIME),
        (reading("main", 2**53, voltage_l1_v=230.0), Reason.AHEAD_OF_TIME),
    ],
)
def test_a_whole_reading_is_refused_with_its_raw_value(refused: Reading, reason: Reason) -> None:
    verdict = judge(refused)

    assert verdict.rows == []
    assert verdict.rejections == [
        Rejection(
            meter=refused.meter,
            at_ms=refused.at_ms,
            quantity="voltage_l1_v",
            value=230.0,
            raw="230.0",
            reason=reason,
            level=Level.REJECTED,
            gateway=GATEWAY,
        )
    ]


def test_two_minutes_ahead_is_not_yet_too_far() -> None:
    assert AHEAD_LIMIT_MS == 120_000
    assert len(judge(reading(at_ms=NOW_MS + 120_000, voltage_l1_v=230.0)).rows) == 1


def test_an_entry_counts_from_its_first_instant_to_the_last_before_its_end() -> None:
    verdict = judge(
        reading("main", VALID_FROM_MS, voltage_l1_v=230.0),
        reading("ended", ENDED_MS - 1, voltage_l1_v=230.0),
    )

    assert len(verdict.rows) == 2


def test_the_entry_in_force_at_the_reading_counts_not_the_present_one() -> None:
    verdict = judge(reading("moved", MOVED_MS - 1, voltage_l1_v=230.0))

    assert [row.tags.circuit for row in verdict.rows] == ["一层"]


def test_every_value_of_a_refused_reading_is_kept_beside() -> None:
    verdict = judge(reading("nobody", voltage_l1_v=230.0, frequency_hz=50.0))

    assert reasons(verdict) == [
        ("voltage_l1_v", Reason.UNKNOWN_METER),
        ("frequency_hz", Reason.UNKNOWN_METER),
    ]


def test_a_refused_fault_is_kept_beside_as_a_whole_reading() -> None:
    (rejection,) = judge(reading("nobody", fault="timeout")).rejections

    assert (rejection.quantity, rejection.value, rejection.raw) == (WHOLE_READING, None, "timeout")


# -- one value is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "reason", "kept", "raw"),
    [
        ("voltage_l9_v", 230.0, Reason.UNKNOWN_QUANTITY, 230.0, "230.0"),
        ("电压", 230.0, Reason.UNKNOWN_QUANTITY, 230.0, "230.0"),
        ("voltage_l2_v", nan, Reason.NOT_FINITE, None, "nan"),
        ("voltage_l2_v", inf, Reason.NOT_FINITE, None, "inf"),
        ("voltage_l2_v", -inf, Reason.NOT_FINITE, None, "-inf"),
        ("nobody_knows_v", nan, Reason.UNKNOWN_QUANTITY, None, "nan"),
        ("voltage_l2_v", 3.4028234663852886e38, Reason.SENTINEL, 3.4028234663852886e38, None),
        ("energy_import_kwh", 4294967295.0, Reason.SENTINEL, 4294967295.0, "4294967295.0"),
        ("energy_import_kwh", 2147483647.0, Reason.SENTINEL, 2147483647.0, "2147483647.0"),
        ("active_power_kw", -2147483648.0, Reason.SENTINEL, -2147483648.0, "-2147483648.0"),
        ("voltage_l2_v", 50_000.5, Reason.OUT_OF_RANGE, 50_000.5, "50000.5"),
        ("voltage_l2_v", -0.001, Reason.OUT_OF_RANGE, -0.001, "-0.001"),
        ("energy_import_kwh", -1.0, Reason.OUT_OF_RANGE, -1.0, "-1.0"),
    ],
)
def test_a_bad_value_is_kept_beside_and_the_good_ones_stay(
    name: str, value: float, reason: Reason, kept: float | None, raw: str | None
) -> None:
    verdict = judge(reading(voltage_l1_v=230.0, **{name: value}, frequency_hz=50.0))

    (row,) = verdict.rows
    (rejection,) = verdict.rejections
    assert row.values == {"voltage_l1_v": 230.0, "frequency_hz": 50.0}
    assert (rejection.quantity, rejection.reason, rejection.value) == (name, reason, kept)
    assert rejection.raw == (raw or repr(value))


@pytest.mark.parametrize("sentinel", sorted(SENTINELS))
@pytest.mark.parametrize("name", QUANTITIES)
def test_no_quantity_takes_a_sentinel(name: str, sentinel: float) -> None:
    verdict = judge(reading(**{name: sentinel}))

    assert (verdict.rows, reasons(verdict)) == ([], [(name, Reason.SENTINEL)])


@pytest.mark.parametrize("beside", [2147483646.0, 2147483646.5, 2147483647.5, 4294967294.0])
def test_a_counter_may_pass_by_a_sentinel(beside: float) -> None:
    assert judge(reading(energy_import_kwh=beside)).rejections == []


def test_a_reading_of_bad_values_alone_leaves_no_row_but_its_fault_does() -> None:
    verdict = judge(
        reading(voltage_l1_v=nan), reading(at_ms=NOW_MS - 1, fault="not_finite", voltage_l1_v=nan)
    )

    assert [(row.values, row.fault) for row in verdict.rows] == [({}, "not_finite")]
    assert len(verdict.rejections) == 2


@pytest.mark.parametrize(("hertz", "stays"), [(49.5, True), (50.5, True), (50.6, False)])
def test_the_fleets_limits_narrow_the_range(hertz: float, stays: bool) -> None:
    verdict = judge(reading("narrow", frequency_hz=hertz))

    assert reasons(verdict) == ([] if stays else [("frequency_hz", Reason.OUT_OF_RANGE)])


def test_the_fleets_limits_cannot_widen_the_range() -> None:
    assert reasons(judge(reading("wide", frequency_hz=80.0))) == [
        ("frequency_hz", Reason.OUT_OF_RANGE)
    ]


def test_a_reading_is_not_edited() -> None:
    values = {"voltage_l1_v": 230.0, "frequency_hz": nan}
    given_reading = Reading(meter="main", at_ms=NOW_MS, values=values)

    judge(given_reading)

    assert list(given_reading.values) == ["voltage_l1_v", "frequency_hz"]


def test_a_million_values_cost_less_than_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed so that a change is seen; the bound is wide, machines differ."""
    names = [name for name in QUANTITIES if name.startswith(("voltage_l", "current_l"))]
    said = [reading(at_ms=NOW_MS - n, **dict.fromkeys(names, 1.0)) for n in range(5_000)]
    together = [batch(*said)]

    began_s = time.process_time()
    verdict = GATE.judge(together, now_ms=NOW_MS)
    took_s = time.process_time() - began_s

    values = sum(len(row.values) for row in verdict.rows)
    with capsys.disabled():
        print(f"\ngate: {took_s / values * 1e6:.3f} CPU-seconds per million values")
    assert values == 5_000 * len(names)
    assert took_s / values * 1e6 < 1.0


# -- the verdict does not depend on the company -----------------------------------------------

readings = st.builds(
    Reading,
    meter=st.sampled_from(["main", "narrow", "foreign", "ended", "moved", "nobody"]),
    at_ms=st.sampled_from(
        [0, VALID_FROM_MS, MOVED_MS - 1, MOVED_MS, ENDED_MS, NOW_MS, NOW_MS + 999_999]
    )
    | st.integers(VALID_FROM_MS, NOW_MS),
    values=st.dictionaries(
        st.sampled_from(["voltage_l1_v", "frequency_hz", "energy_import_kwh", "nonsense"]),
        st.floats() | st.sampled_from([50.0, 4294967295.0]),
        max_size=4,
    ),
    fault=st.sampled_from([None, "timeout"]),
)


@given(said=st.lists(readings, max_size=12), data=st.data())
def test_the_verdict_depends_neither_on_order_nor_on_batching(
    said: list[Reading], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(said))
    cuts = data.draw(st.lists(st.integers(0, len(said)), max_size=3).map(sorted))
    batches = [
        batch(*shuffled[start:end], sequence=number)
        for number, (start, end) in enumerate(pairwise([0, *cuts, len(said)]), 1)
    ]

    together = GATE.judge([batch(*said)], now_ms=NOW_MS)
    apart = GATE.judge(batches, now_ms=NOW_MS)

    assert Counter(map(repr, apart.rows)) == Counter(map(repr, together.rows))
    assert Counter(apart.rejections) == Counter(together.rejections)


@given(said=readings)
def test_every_value_is_either_stored_or_kept_beside(said: Reading) -> None:
    verdict = judge(said)

    stored = [name for row in verdict.rows for name in row.values]
    beside = [one.quantity for one in verdict.rejections if one.quantity != WHOLE_READING]
    assert sorted(stored + beside) == sorted(said.values)
