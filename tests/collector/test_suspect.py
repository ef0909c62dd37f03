"""A meter's newest reading against the one before it: what live alerts do not see."""

import csv
import gzip
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collector.fleet.index import Direction, Fleet, MeterEntry, Sector, Tolerances
from collector.store import WHOLE_READING, Level, Rejection, Row
from collector.suspect import Looked, Suspect, Suspects
from collector.validate import Gate, Reason, tags_of
from metering.reading import Reading
from tests.fakes.link import GATEWAY, batch

NOW_MS = 1_780_272_000_000
MINUTE_MS = 60_000
CHANGED_MS = NOW_MS - 30 * MINUTE_MS  # from here on `changed` has other transformers
DATA = Path(__file__).parents[3] / "shared" / "data"


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
        rated={"active_power_kw": 120.0},
        cycle_s=60,
        valid_from_ms=0,
        valid_to_ms=None,
        steps={"energy_import_kwh": 0.01},
    )
    return structs.replace(plain, **changed)


METERS = {
    "main": (entry("main"),),
    "unrated": (entry("unrated", rated={}),),
    "rolls": (entry("rolls", rolls_over_at={"energy_import_kwh": 10_000.0}),),
    "rolls-unrated": (
        entry("rolls-unrated", rated={}, rolls_over_at={"energy_import_kwh": 10_000.0}),
    ),
    "water": (entry("water", energy="02000", rated={"flow_m3_h": 60.0}, steps={}),),
    "changed": (
        entry("changed", valid_to_ms=CHANGED_MS),
        entry("changed", valid_from_ms=CHANGED_MS),
    ),
}
FLEET = Fleet(
    stores={},
    institutions={},
    buildings={},
    gateways={},
    meters=METERS,
    virtual_meters={},
    tolerances=Tolerances(jumps={"supply_temperature_c": (60.0, 900.0)}),
)


def row(minute: float, meter: str = "main", fault: str | None = None, **values: float) -> Row:
    """A reading so many minutes before NOW_MS, or after."""
    at_ms = NOW_MS + round(minute * MINUTE_MS)
    tags = tags_of(METERS[meter][0])
    return Row(meter=meter, at_ms=at_ms, values=values, fault=fault, tags=tags)


def counted(minute: float, kwh: float, meter: str = "main") -> Row:
    return row(minute, meter, energy_import_kwh=kwh)


def look(*rows: Row, suspects: Suspects | None = None) -> Looked:
    return (suspects or Suspects(FLEET)).look(rows, now_ms=NOW_MS)


def reasons(*rows: Row) -> list[tuple[float, str, str]]:
    """What is suspect of rows that come one by one: minute, quantity, reason."""
    suspects = Suspects(FLEET)
    return [
        ((one.at_ms - NOW_MS) / MINUTE_MS, one.quantity, one.reason)
        for each in rows
        for one in look(each, suspects=suspects).suspects
    ]


def kwh(minute: float, reason: Reason) -> tuple[float, str, str]:
    return (minute, "energy_import_kwh", reason)


# -- a counter ---------------------------------------------------------------------------------
# 120 kW make 2 kWh a minute; a register may be 15 s old, which is half a kWh more.


@pytest.mark.parametrize(
    ("gain", "reason"),
    [
        (0.0, None),
        (2.5, None),
        (2.51, None),  # one step of the register
        (2.53, Reason.SOFT_LIMIT),
        (5.0, Reason.SOFT_LIMIT),
        (5.01, Reason.SOFT_LIMIT),
        (5.03, Reason.INCREMENT),
        (2000.0, Reason.INCREMENT),
        (-0.01, None),
        (-0.03, Reason.FALL),
        (-100.0, Reason.FALL),
    ],
)
def test_a_counter_gains_at_most_twice_its_rated_power(gain: float, reason: Reason | None) -> None:
    found = reasons(counted(-2, 100.0), counted(-1, 100.0 + gain))

    assert found == ([kwh(-1, reason)] if reason else [])


def test_in_more_time_it_may_gain_more() -> None:
    assert reasons(counted(-60, 100.0), counted(-1, 218.0)) == []
    assert reasons(counted(-60, 100.0), counted(-1, 336.0)) == [kwh(-1, Reason.SOFT_LIMIT)]
    assert reasons(counted(-60, 100.0), counted(-1, 340.0)) == [kwh(-1, Reason.INCREMENT)]


def test_every_minute_is_looked_at_however_usual_the_ones_before_were() -> None:
    usual = [counted(minute - 100, 100.0 + minute) for minute in range(90)]

    assert reasons(*usual, counted(-10, 195.0)) == [kwh(-10, Reason.INCREMENT)]
    assert reasons(*usual, counted(-10, 192.0)) == [kwh(-10, Reason.SOFT_LIMIT)]
    assert reasons(*usual, counted(-10, 188.0)) == [kwh(-10, Reason.FALL)]
    assert reasons(*usual, counted(-10.98, 191.5)) == [kwh(-10.98, Reason.INCREMENT)]


def test_without_a_rated_power_it_may_only_not_fall() -> None:
    assert reasons(
        counted(-3, 100.0, "unrated"), counted(-2, 9e6, "unrated"), counted(-1, 8e6, "unrated")
    ) == [kwh(-1, Reason.FALL)]


@pytest.mark.parametrize("meter", ["rolls", "rolls-unrated"])
def test_rolling_over_is_no_fall(meter: str) -> None:
    assert reasons(counted(-2, 9_999.0, meter), counted(-1, 1.0, meter)) == []
    assert reasons(counted(-2, 5_000.0, meter), counted(-1, 1.0, meter)) == [kwh(-1, Reason.FALL)]


def test_what_a_counter_gains_by_rolling_over_has_to_be_possible() -> None:
    assert reasons(counted(-2, 9_999.0, "rolls"), counted(-1, 50.0, "rolls")) == [
        kwh(-1, Reason.FALL)
    ]


def test_a_water_meter_may_be_five_minutes_behind() -> None:
    """60 m³/h are one a minute."""
    first = row(-2, "water", volume_m3=10.0)

    assert reasons(first, row(-1, "water", volume_m3=16.0)) == []
    assert reasons(first, row(-1, "water", volume_m3=16.1)) == [(-1, "volume_m3", "soft_limit")]
    assert reasons(first, row(-1, "water", volume_m3=22.1)) == [(-1, "volume_m3", "increment")]


# -- a gauge -----------------------------------------------------------------------------------


def test_a_power_jumps_by_at_most_twice_the_rated() -> None:
    first = row(-2, active_power_kw=10.0)

    assert reasons(first, row(-1, active_power_kw=250.0)) == []
    assert reasons(first, row(-1, active_power_kw=250.1)) == [(-1, "active_power_kw", "jump")]
    assert reasons(first, row(-1, active_power_kw=-230.1)) == [(-1, "active_power_kw", "jump")]
    assert reasons(row(-2, active_power_l2_kw=0.0), row(-1, active_power_l2_kw=241.0)) == [
        (-1, "active_power_l2_kw", "jump")
    ]


def test_a_temperature_jumps_only_where_readings_are_close_together() -> None:
    hot = row(-1, "water", supply_temperature_c=85.0)

    assert reasons(row(-16, "water", supply_temperature_c=20.0), hot) == [
        (-1, "supply_temperature_c", "jump")
    ]
    assert reasons(row(-17, "water", supply_temperature_c=20.0), hot) == []


def test_what_nobody_bounds_may_move_as_it_likes() -> None:
    assert reasons(row(-2, voltage_l1_v=230.0), row(-1, voltage_l1_v=0.0)) == []
    assert (
        reasons(row(-2, "unrated", active_power_kw=1.0), row(-1, "unrated", active_power_kw=9e4))
        == []
    )


# -- who is wrong ------------------------------------------------------------------------------


def test_a_spike_does_not_move_what_is_believed() -> None:
    assert reasons(
        counted(-5, 100.0), counted(-4, 9_000.0), counted(-3, 104.0), counted(-2, 106.0)
    ) == [kwh(-4, Reason.INCREMENT)]


def test_after_three_that_agree_the_last_is_believed_no_more() -> None:
    assert reasons(
        counted(-9, 5_000.0),
        counted(-8, 1.0),
        counted(-7, 2.0),
        counted(-6, 3.0),
        counted(-5, 4.0),
        counted(-4, 0.0),
    ) == [
        kwh(-8, Reason.FALL),
        kwh(-7, Reason.FALL),
        kwh(-6, Reason.FALL),
        kwh(-4, Reason.FALL),
    ]


def test_three_that_do_not_agree_with_each_other_move_nothing() -> None:
    wild = [9_000.0, 400.0, 70_000.0, 800.0, 90_000.0]
    said = [counted(-9 + n, value) for n, value in enumerate(wild)]

    assert len(reasons(counted(-10, 100.0), *said)) == 5
    assert reasons(counted(-10, 100.0), *said, counted(-4, 110.0))[5:] == []


def test_between_two_that_disagree_a_good_one_begins_the_count_anew() -> None:
    said = [counted(-9, 5.0), counted(-8, 5.1), counted(-7, 104.0), counted(-6, 5.2)]

    found = reasons(counted(-10, 100.0), *said, counted(-5, 106.0))

    assert [minute for minute, _, _ in found] == [-9, -8, -6]


def test_one_quantity_in_doubt_leaves_the_others_alone() -> None:
    said = Suspects(FLEET)
    look(row(-2, energy_import_kwh=100.0, active_power_kw=60.0, voltage_l1_v=230.0), suspects=said)

    looked = look(
        row(-1, energy_import_kwh=50.0, active_power_kw=61.0, voltage_l1_v=231.0), suspects=said
    )

    assert [one.values for one in looked.rows] == [{"active_power_kw": 61.0, "voltage_l1_v": 231.0}]
    assert looked.suspects == [
        Suspect(
            meter="main",
            at_ms=NOW_MS - MINUTE_MS,
            quantity="energy_import_kwh",
            value=50.0,
            reason=Reason.FALL,
            last=100.0,
            last_ms=NOW_MS - 2 * MINUTE_MS,
        )
    ]


def test_a_row_is_not_edited() -> None:
    said = Suspects(FLEET)
    given_row = counted(-1, 50.0)
    look(counted(-2, 100.0), suspects=said)

    look(given_row, suspects=said)

    assert given_row.values == {"energy_import_kwh": 50.0}


def test_quantities_may_be_read_at_different_times() -> None:
    """A gauge every second, a counter every minute: each is compared with its own last value."""
    said = []
    for second in range(180):
        values = {"active_power_kw": 60.0 + second % 7}
        if second % 60 == 0:
            values["energy_import_kwh"] = 100.0 + second / 60
        said.append(row(-10 + second / 60, **values))

    assert reasons(*said, counted(-7, 103.0)) == []
    assert reasons(*said, counted(-7, 108.0)) == [kwh(-7, Reason.INCREMENT)]


def test_with_another_entry_nothing_came_before() -> None:
    before = counted(-31, 1_000.0, "changed")

    assert reasons(before, counted(-30, 10.0, "changed"), counted(-29, 11.0, "changed")) == []
    assert reasons(before, counted(-30.5, 10.0, "changed")) == [kwh(-30.5, Reason.FALL)]


# -- standing still ----------------------------------------------------------------------------


def test_power_that_is_never_counted_is_frozen() -> None:
    said = [row(minute - 30, energy_import_kwh=100.0, active_power_kw=60.0) for minute in range(18)]

    found = reasons(*said)

    assert {minute for minute, _, _ in found} == {-15, -14, -13}
    assert {(quantity, reason) for _, quantity, reason in found} == {
        ("active_power_kw", Reason.FROZEN),
        ("energy_import_kwh", Reason.FROZEN),
    }


@pytest.mark.parametrize(
    "said",
    [
        {"active_power_kw": 0.0},  # off
        {"active_power_kw": 0.05},  # in a quarter of an hour 0.0125 kWh: about one step
        {"active_power_kw": -60.0},  # given: counted elsewhere
    ],
)
def test_a_meter_that_has_nothing_to_count_is_not_frozen(said: dict[str, float]) -> None:
    assert (
        reasons(*(row(minute - 30, energy_import_kwh=100.0, **said) for minute in range(17))) == []
    )


def test_a_meter_that_goes_on_counting_is_not_frozen() -> None:
    said = [
        row(minute - 30, energy_import_kwh=100.0 + minute, active_power_kw=60.0)
        for minute in range(25)
    ]

    assert reasons(*said) == []


# -- time --------------------------------------------------------------------------------------


def test_only_the_newest_reading_is_compared() -> None:
    said = [counted(-5, 100.0), counted(-9, 5_000.0), counted(-6, 0.0), counted(-4, 101.0)]

    assert reasons(*said) == []


def test_a_group_is_looked_at_in_order_of_time() -> None:
    looked = look(counted(-1, 104.0), counted(-3, 100.0), counted(-2, 102.0))

    assert [one.at_ms for one in looked.rows] == [NOW_MS - n * MINUTE_MS for n in (3, 2, 1)]
    assert looked.suspects == []


def test_another_value_for_the_newest_instant_is_suspect_and_what_comes_late_is_not() -> None:
    first = row(-1, active_power_kw=60.0, voltage_l1_v=230.0)
    second = row(-1, active_power_kw=61.0, voltage_l1_v=230.0, frequency_hz=50.0)

    assert reasons(first, second) == [(-1, "active_power_kw", Reason.SECOND_VALUE)]
    assert reasons(first, first) == []
    assert reasons(first, row(-1, frequency_hz=50.0), second) == [
        (-1, "active_power_kw", Reason.SECOND_VALUE)
    ]
    assert reasons(first, second, row(-1, frequency_hz=51.0)) == [
        (-1, "active_power_kw", Reason.SECOND_VALUE),
        (-1, "frequency_hz", Reason.SECOND_VALUE),
    ]


def test_a_reading_from_ahead_is_held_back_until_three_agree_that_its_clock_is_so() -> None:
    said = Suspects(FLEET)

    def looked(late_minutes: float) -> tuple[list[str], list[dict[str, float]]]:
        """A reading stamped 61 s after the collector's now, as many minutes on."""
        now_ms = NOW_MS + round(late_minutes * MINUTE_MS)
        one = row(late_minutes + 61 / 60, active_power_kw=60.0)
        found = said.look([one], now_ms=now_ms)
        return [f"{s.quantity} {s.reason}" for s in found.suspects], [r.values for r in found.rows]

    held = ([f"{WHOLE_READING} {Reason.CLOCK_DRIFT}"], [{}])
    assert [looked(minute) for minute in range(5)] == [
        held,
        held,
        held,
        ([], [{"active_power_kw": 60.0}]),
        ([], [{"active_power_kw": 60.0}]),
    ]


def test_a_minute_ahead_is_not_ahead_and_late_is_never_wrong() -> None:
    assert look(counted(1, 100.0)).suspects == []
    assert look(counted(-1_000_000, 100.0)).suspects == []


def test_what_was_held_back_for_its_time_makes_the_next_no_late_one() -> None:
    assert reasons(counted(-2, 100.0), counted(1.5, 100.5), counted(-1, 9_000.0)) == [
        (1.5, WHOLE_READING, Reason.CLOCK_DRIFT),
        kwh(-1, Reason.INCREMENT),
    ]


# -- beginning ---------------------------------------------------------------------------------


def test_it_begins_with_what_the_store_has() -> None:
    latest = Reading(
        meter="main", at_ms=NOW_MS - 2 * MINUTE_MS, values={"energy_import_kwh": 100.0}
    )
    gone = structs.replace(latest, meter="sold")

    said = Suspects(FLEET, [latest, gone])

    assert [one.reason for one in look(counted(-1, 50.0), suspects=said).suspects] == [Reason.FALL]
    assert look(counted(-3, 50.0), suspects=said).suspects == []


def test_without_anything_before_it_a_reading_is_believed() -> None:
    assert look(counted(-1, 1e9)).suspects == []


def test_faults_say_nothing_and_pass() -> None:
    said = Suspects(FLEET)
    look(counted(-3, 100.0), suspects=said)

    looked = look(row(-2, fault="timeout"), counted(-1, 50.0), suspects=said)

    assert [one.fault for one in looked.rows] == ["timeout", None]
    assert [one.reason for one in looked.suspects] == [Reason.FALL]


# -- what is kept beside -----------------------------------------------------------------------


def beside(quantity: str, level: Level = Level.SUSPECT) -> Rejection:
    return Rejection(
        meter="main",
        at_ms=NOW_MS - MINUTE_MS,
        quantity=quantity,
        value=60.0,
        raw="60.0",
        reason=Reason.PHASE_SUM,
        level=level,
        gateway=GATEWAY,
    )


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (beside("active_power_kw"), {"frequency_hz": 50.0}),
        (beside(WHOLE_READING), {}),
        (
            beside("active_power_kw", Level.REJECTED),
            {"active_power_kw": 60.0, "frequency_hz": 50.0},
        ),
    ],
)
def test_what_is_suspect_in_itself_is_left_out_as_well(
    told: Rejection, left: dict[str, float]
) -> None:
    suspects = Suspects(FLEET)
    one = row(-1, active_power_kw=60.0, frequency_hz=50.0)

    looked = suspects.look([one], now_ms=NOW_MS, beside=[told])

    assert looked.rows[0].values == left
    assert len(looked.suspects) == len(suspects.recent) == (told.level is Level.SUSPECT)


def test_what_was_seen_lately_is_kept_and_no_more_than_that() -> None:
    suspects = Suspects(FLEET)
    for n in range(10_010):
        one = structs.replace(beside("active_power_kw"), at_ms=n)
        suspects.look([], now_ms=NOW_MS, beside=[one])

    assert len(suspects.recent) == 10_000
    assert suspects.recent[-1].at_ms == 10_009


# -- any order ---------------------------------------------------------------------------------

told_rows = st.builds(
    row,
    st.integers(-60, 0),
    st.sampled_from(["main", "rolls", "changed"]),
    st.sampled_from([None, "late"]),
    energy_import_kwh=st.sampled_from([0.0, 5.0, 100.0, 101.0, 103.0, 5_000.0, 9_999.0]),
    active_power_kw=st.sampled_from([0.0, 60.0, 130.0, 900.0]),
)


@given(said=st.lists(told_rows, max_size=30), data=st.data())
def test_nothing_gets_lost_and_nothing_is_added_in_any_order(
    said: list[Row], data: st.DataObject
) -> None:
    """What alerts see and what is suspect are together what came, quantity by quantity."""
    shuffled = data.draw(st.permutations(said))
    cuts = data.draw(st.lists(st.integers(0, len(said)), max_size=3).map(sorted))
    suspects = Suspects(FLEET)
    rows, found = [], []
    for start, end in pairwise([0, *cuts, len(said)]):
        looked = suspects.look(shuffled[start:end], now_ms=NOW_MS)
        rows += looked.rows
        found += looked.suspects

    seen = [(one.meter, one.at_ms, *pair) for one in rows for pair in one.values.items()]
    held = [(one.meter, one.at_ms, one.quantity, one.value) for one in found]
    came = [(one.meter, one.at_ms, *pair) for one in said for pair in one.values.items()]
    # Both quantities of a reading may be named by one check only: no value is named twice.
    assert sorted(seen + held) == sorted(came)


steady_rows = st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True)


@given(minutes=steady_rows, data=st.data())
def test_a_meter_that_runs_as_it_may_is_never_suspect(
    minutes: list[int], data: st.DataObject
) -> None:
    """Whichever of its readings come, in whatever order."""
    loads = data.draw(st.lists(st.floats(0, 1), min_size=61, max_size=61))
    register = [sum(loads[:n]) * 2.0 for n in range(61)]
    said = [counted(minute - 61, round(1_000 + register[minute], 2)) for minute in minutes]

    assert reasons(*data.draw(st.permutations(said))) == []


# -- measured buildings ------------------------------------------------------------------------


def measured(name: str) -> dict[str, list[float | None]]:
    """kWh of each hour by column."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        lines = csv.reader(file)
        columns = next(lines)[1:]
        cells = list(zip(*lines, strict=True))[1:]
    return {
        column: [float(cell) if cell else None for cell in series]
        for column, series in zip(columns, cells, strict=True)
    }


def labelled() -> set[str]:
    """Buildings whose series has a fault that somebody labelled with some confidence."""
    with (DATA / "labels_weak.csv").open(encoding="utf-8") as file:
        return {
            line["building_id"]
            for line in csv.DictReader(file)
            if line["kind"] in {"spike", "level_shift", "catch_up"}
        }


@pytest.mark.skipif(not DATA.is_dir(), reason="measured series are not there")
@pytest.mark.parametrize(
    "name", ["bdg2_electricity_raw.csv.gz", "cambridge_elec_gas_2018_2019.csv.gz"]
)
def test_clean_measured_series_pass(name: str) -> None:
    values = marked = 0
    for column, hours in measured(name).items():
        known = [kwh for kwh in hours if kwh is not None]
        rated = 1.5 * max(known, default=0.0)
        if not rated or column.split("__")[0] in labelled():
            continue
        meter = entry("main", rated={"active_power_kw": rated})
        fleet = structs.replace(FLEET, meters={"main": (meter,)})
        gate, suspects = Gate(fleet), Suspects(fleet)
        total, said = 0.0, []
        for hour, used in enumerate(hours):
            if used is not None:
                total += used
                values_there = {"energy_import_kwh": round(total, 2), "active_power_kw": used}
                said.append(Reading(meter="main", at_ms=hour * 60 * MINUTE_MS, values=values_there))
        verdict = gate.judge([batch(*said)], now_ms=NOW_MS)
        looked = suspects.look(verdict.rows, now_ms=NOW_MS)
        values += 2 * len(said)
        marked += len(looked.suspects) + len(verdict.rejections)

    assert values > 100_000
    assert marked / values <= 0.0001, f"{marked} of {values}"
