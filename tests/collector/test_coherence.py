"""What of one reading contradicts itself, whatever came before it."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collector.coherence import Coherence
from collector.fleet.index import Fleet
from collector.store import Level, Rejection, Row
from collector.validate import Gate, Reason
from metering.reading import Reading
from tests.fakes.centre import example_fleet
from tests.fakes.link import SEALED_MS, batch

# 80 kW on a circuit of 1200 kW, whose registers count in 0.4 kW and 4 A.
SOUND = {
    "voltage_l1_v": 230.0,
    "voltage_l2_v": 231.0,
    "voltage_l3_v": 229.0,
    "current_l1_a": 400.0,
    "current_l2_a": 404.0,
    "current_l3_a": 396.0,
    "power_factor_l1": 0.95,
    "power_factor_l2": 0.95,
    "power_factor_l3": 0.95,
    "active_power_l1_kw": 87.4,
    "active_power_l2_kw": 88.7,
    "active_power_l3_kw": 86.2,
    "active_power_kw": 262.3,
    "apparent_power_kva": 276.1,
    "power_factor": 0.95,
    "energy_import_kwh": 1000.0,
}
TRIANGLE = ["active_power_l1_kw", "current_l1_a", "power_factor_l1", "voltage_l1_v"]


def reading(meter: str = "e001-main", fault: str | None = None, **values: float) -> Reading:
    return Reading(meter=meter, at_ms=SEALED_MS, values=values, fault=fault)


def rows(*said: Reading, fleet: Fleet | None = None) -> list[Row]:
    return Gate(fleet or example_fleet()).judge([batch(*said)], now_ms=SEALED_MS).rows


def marks(*said: Reading) -> list[Rejection]:
    return Coherence(example_fleet()).judge(rows(*said))


def named(*said: Reading) -> list[tuple[str, str]]:
    return [(one.reason, one.quantity) for one in marks(*said)]


def test_what_agrees_is_not_suspect() -> None:
    assert marks(reading(**SOUND)) == []


def test_a_suspect_value_is_kept_beside_as_it_came() -> None:
    marked = marks(reading(**SOUND | {"active_power_kw": 26.2, "apparent_power_kva": 27.6}))

    assert marked[0] == Rejection(
        meter="e001-main",
        at_ms=SEALED_MS,
        quantity="active_power_kw",
        value=26.2,
        raw="26.2",
        reason=Reason.PHASE_SUM,
        level=Level.SUSPECT,
        gateway="gw-e001",
    )
    assert {one.quantity for one in marked} == {
        "active_power_kw",
        "active_power_l1_kw",
        "active_power_l2_kw",
        "active_power_l3_kw",
    }


def test_phases_may_be_added_with_their_signs_or_without() -> None:
    powers = {"active_power_l1_kw": 300.0, "active_power_l2_kw": -200.0, "active_power_l3_kw": 50.0}

    assert named(reading(active_power_kw=150.0, **powers)) == []
    assert named(reading(active_power_kw=550.0, **powers)) == []
    assert {reason for reason, _ in named(reading(active_power_kw=350.0, **powers))} == {
        Reason.PHASE_SUM
    }


def test_a_little_apart_is_not_apart() -> None:
    """A tenth (30), a fiftieth of the rated (24), a step of each register (1.6), and 0.02 kW."""
    powers = {f"active_power_l{phase}_kw": 100.0 for phase in (1, 2, 3)}

    assert named(reading(active_power_kw=244.5, **powers)) == []
    assert named(reading(active_power_kw=244.3, **powers)) != []


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"current_l1_a": 40.0}, TRIANGLE),
        ({"voltage_l1_v": 2300.0}, TRIANGLE),
        ({"power_factor_l1": 0.2}, TRIANGLE),
        ({"power_factor_l1": -0.95}, []),  # makers disagree on the sign
        ({"current_l1_a": -400.0}, []),
        ({"power_factor": 0.3}, ["active_power_kw", "apparent_power_kva", "power_factor"]),
        (
            {"apparent_power_kva": 2761.0},
            ["active_power_kw", "apparent_power_kva", "power_factor"],
        ),
    ],
)
def test_a_power_has_to_be_what_makes_it(changed: dict[str, float], names: list[str]) -> None:
    assert named(reading(**SOUND | changed)) == [(Reason.POWER_TRIANGLE, name) for name in names]


@pytest.mark.parametrize("missing", ["voltage_l1_v", "current_l1_a", "power_factor_l1"])
def test_where_something_is_missing_nothing_is_said(missing: str) -> None:
    left = {name: value for name, value in SOUND.items() if name != missing}

    assert named(reading(**left | {"active_power_l1_kw": 87.4})) == []


def test_an_idle_circuit_contradicts_nothing() -> None:
    idle = dict.fromkeys(SOUND, 0.0) | {"voltage_l1_v": 230.0, "power_factor_l1": 1.0}

    assert named(reading(**idle | {"current_l1_a": 4.0})) == []


def test_values_that_may_answer_an_older_question_are_suspect() -> None:
    assert named(reading(fault="late", voltage_l1_v=230.0, frequency_hz=50.0)) == [
        (Reason.LATE_ANSWER, "voltage_l1_v"),
        (Reason.LATE_ANSWER, "frequency_hz"),
    ]


def test_a_batch_sealed_before_its_readings_were_answered_is_out_of_time() -> None:
    said = [
        Reading(meter="e001-main", at_ms=SEALED_MS + ahead_ms, values={"frequency_hz": 50.0})
        for ahead_ms in (0, 60_000, 60_001)
    ]
    sealed = batch(*said)
    verdict = Gate(example_fleet()).judge([sealed], now_ms=SEALED_MS + 60_001)

    assert len(verdict.rows) == 3
    assert [(r.at_ms - SEALED_MS, r.reason, r.level, r.raw) for r in verdict.rejections] == [
        (60_001, Reason.CLOCK_DRIFT, Level.SUSPECT, f"sealed_at {SEALED_MS}")
    ]


def test_of_a_clock_that_nobody_vouches_for_nothing_is_said() -> None:
    said = Reading(meter="e001-main", at_ms=SEALED_MS + 90_000, values={"frequency_hz": 50.0})
    sealed = structs.replace(batch(said), clock="unsynced")

    assert Gate(example_fleet()).judge([sealed], now_ms=SEALED_MS + 90_000).rejections == []


values = st.dictionaries(
    st.sampled_from(sorted(SOUND)), st.sampled_from([0.0, 0.9, 230.0, 88.0, 400.0, 262.0])
)
readings = st.builds(
    Reading,
    meter=st.sampled_from(["e001-main", "e001-light", "d001-main"]),
    at_ms=st.integers(SEALED_MS - 9, SEALED_MS),
    values=values,
    fault=st.sampled_from([None, "late"]),
)


@given(said=st.lists(readings, max_size=10), data=st.data())
def test_what_is_kept_beside_depends_on_neither_order_nor_batching(
    said: list[Reading], data: st.DataObject
) -> None:
    coherence = Coherence(example_fleet())
    together = rows(*said)
    shuffled = data.draw(st.permutations(together))
    cuts = data.draw(st.lists(st.integers(0, len(shuffled)), max_size=3).map(sorted))

    apart = [
        mark
        for start, end in pairwise([0, *cuts, len(shuffled)])
        for mark in coherence.judge(shuffled[start:end])
    ]

    assert Counter(apart) == Counter(coherence.judge(together))
