"""What every `ReadingStore` does: one suite on the fake, on DuckDB, on a real InfluxDB.

The real InfluxDB is Debian's 1.6.7 behind a proxy that turns `/api/v2/write` into `/write`: real
engine, real InfluxQL. What only 2.x answers is injected, in `tests/collector/test_influx_store.py`.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from collector.adapters.duckdb import DuckDbReadingStore
from collector.store import (
    CONFLICT,
    Column,
    Count,
    Level,
    ReadingStore,
    Rejection,
    Row,
    StoreIdentity,
    Tags,
    Window,
)
from metering.quantity import QUANTITIES
from metering.reading import Reading
from tests.fakes.store import FakeReadingStore
from tests.servers.influx import InfluxServer, influx_server  # noqa: F401  a fixture

JUNE_MS = 1_780_272_000_000  # 2026-06-01T00:00:00Z
MINUTE_MS = 60_000
DAY_MS = 86_400_000
EVER = (0, 2**41)


def tags(meter: str = "e001-main", **other: str) -> Tags:
    where = {
        "district": "120101",
        "sector": "hospital",
        "institution": "e001",
        "building": "e001-b1",
        "circuit": "总进线",
        "energy": "01000",
        "gateway": "gw-e001",
    }
    return Tags(**(where | {"meter": meter} | other))


def row(
    minute: float = 0,
    meter: str = "e001-main",
    fault: str | None = None,
    where: Tags | None = None,
    **values: float,
) -> Row:
    return Row(
        meter=meter,
        at_ms=JUNE_MS + int(minute * MINUTE_MS),
        values=values,
        fault=fault,
        tags=where or tags(meter),
    )


def reading(
    minute: float = 0, meter: str = "e001-main", fault: str | None = None, **values: float
) -> Reading:
    at_ms = JUNE_MS + int(minute * MINUTE_MS)
    return Reading(meter=meter, at_ms=at_ms, values=values, fault=fault)


def rejection(minute: float = 0, **other: object) -> Rejection:
    kept = Rejection(
        meter="e001-main",
        at_ms=JUNE_MS + int(minute * MINUTE_MS),
        quantity="voltage_l1_v",
        value=99_999.5,
        raw="99999.5",
        reason="out_of_range",
        level=Level.REJECTED,
        gateway="gw-e001",
    )
    return structs.replace(kept, **other)


@pytest.fixture(params=["fake", "duckdb", pytest.param("influx", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadingStore]:
    opened: ReadingStore
    if request.param == "fake":
        opened = FakeReadingStore()
    elif request.param == "duckdb":
        opened = DuckDbReadingStore(tmp_path / "readings.duckdb")
    else:
        server: InfluxServer = request.getfixturevalue("influx_server")
        opened = server.new_store()
    with closing(opened):
        yield opened


# -- what goes in comes out --------------------------------------------------------------------


def test_a_row_comes_back_as_the_reading_it_was(store: ReadingStore) -> None:
    outcome = store.write([row(1, voltage_l1_v=230.1, active_power_kw=-12.5)])

    assert outcome.stored_values == 2
    assert store.readings(["e001-main"], None, *EVER) == [
        reading(1, voltage_l1_v=230.1, active_power_kw=-12.5)
    ]


def test_a_new_store_is_empty_and_answers_every_question(store: ReadingStore) -> None:
    assert store.latest() == []
    assert store.latest(["e001-main"]) == []
    assert store.readings(["e001-main"], None, *EVER) == []
    assert store.windows("e001-main", "voltage_l1_v", 0, DAY_MS, MINUTE_MS) == []
    assert store.rejections(*EVER) == []
    assert store.count() == Count(readings=0, values=0)
    assert store.identify() is None


def test_a_write_of_nothing_changes_nothing(store: ReadingStore) -> None:
    outcome = store.write([], [])

    assert (outcome.stored_values, outcome.duplicate_values) == (0, 0)
    assert store.count() == Count(readings=0, values=0)


@pytest.mark.parametrize(
    "value", [0.0, -0.5, 5e-324, 1.7976931348623157e308, 0.1, 123456789.123456789, 1e16, 1e-7]
)
def test_a_value_comes_back_to_the_last_bit(store: ReadingStore, value: float) -> None:
    store.write([row(active_power_kw=value)])

    assert store.readings(["e001-main"], None, *EVER)[0].values == {"active_power_kw": value}


def test_an_integer_first_value_does_not_fix_the_type(store: ReadingStore) -> None:
    store.write([row(0, voltage_l1_v=230)])
    store.write([row(1, voltage_l1_v=230.5)])

    found = store.readings(["e001-main"], None, *EVER)

    assert [one.values["voltage_l1_v"] for one in found] == [230.0, 230.5]
    assert all(isinstance(one.values["voltage_l1_v"], float) for one in found)


def test_every_quantity_of_the_table_can_be_stored(store: ReadingStore) -> None:
    values = {name: float(place) for place, name in enumerate(QUANTITIES)}
    store.write([row(**values)])

    assert store.readings(["e001-main"], None, *EVER) == [reading(**values)]


def test_meters_with_different_quantities_share_a_call(store: ReadingStore) -> None:
    store.write(
        [
            row(0, "e001-main", voltage_l1_v=230.0, frequency_hz=50.0),
            row(0, "e001-water", volume_m3=12.5),
            row(1, "e001-main", frequency_hz=49.5, voltage_l1_v=231.0),
        ]
    )

    assert store.readings(["e001-main", "e001-water"], None, *EVER) == [
        reading(0, voltage_l1_v=230.0, frequency_hz=50.0),
        reading(1, voltage_l1_v=231.0, frequency_hz=49.5),
        reading(0, "e001-water", volume_m3=12.5),
    ]


def test_a_fault_without_values_is_kept(store: ReadingStore) -> None:
    outcome = store.write([row(0, fault="timeout")])

    assert outcome.stored_values == 0
    assert store.readings(["e001-main"], None, *EVER) == [reading(0, fault="timeout")]


def test_a_fault_with_values_keeps_both(store: ReadingStore) -> None:
    store.write([row(0, fault="short", voltage_l1_v=230.0), row(1, voltage_l1_v=231.0)])

    assert store.readings(["e001-main"], None, *EVER) == [
        reading(0, fault="short", voltage_l1_v=230.0),
        reading(1, voltage_l1_v=231.0),
    ]


def test_a_row_that_says_nothing_is_not_kept(store: ReadingStore) -> None:
    outcome = store.write([row()])

    assert outcome.refused == ()
    assert store.count() == Count(readings=0, values=0)


@pytest.mark.parametrize(
    "circuit",
    ["总进线", "a b", "a,b", "a=b", 'a"b', "a\\b", "", " ", "，、", "a\\,b= c", "🏥", "'; drop"],
)
def test_names_may_hold_any_character(store: ReadingStore, circuit: str) -> None:
    where = tags(circuit=circuit, institution=circuit + "x")
    outcome = store.write([row(0, where=where, voltage_l1_v=230.0)])

    assert outcome.refused == ()
    assert store.latest() == [reading(0, voltage_l1_v=230.0)]


@pytest.mark.parametrize("meter", ["总表 1", "a,b=c", "o'hara", 'a"b', "a\\b"])
def test_a_meter_may_have_any_name(store: ReadingStore, meter: str) -> None:
    store.write([row(0, meter, voltage_l1_v=230.0), row(0, "other", voltage_l1_v=1.0)])

    assert store.latest([meter]) == [reading(0, meter, voltage_l1_v=230.0)]
    assert store.readings([meter], None, *EVER) == [reading(0, meter, voltage_l1_v=230.0)]
    assert len(store.windows(meter, "voltage_l1_v", *EVER, DAY_MS)) == 1


# -- the same again ----------------------------------------------------------------------------


def test_the_same_row_again_changes_nothing(store: ReadingStore) -> None:
    rows = [row(0, voltage_l1_v=230.0), row(1, voltage_l1_v=231.0, fault="short")]
    store.write(rows)
    before = store.readings(["e001-main"], None, *EVER)

    outcome = store.write(rows, overlapping=True)

    assert (outcome.stored_values, outcome.duplicate_values) == (0, 2)
    assert outcome.conflicts == ()
    assert store.readings(["e001-main"], None, *EVER) == before


def test_the_same_row_again_needs_no_word_of_it(store: ReadingStore) -> None:
    rows = [row(0, voltage_l1_v=230.0), row(1, fault="timeout")]
    store.write(rows)
    store.write(rows)

    assert store.count() == Count(readings=2, values=1)


def test_the_same_row_twice_in_one_call_is_stored_once(store: ReadingStore) -> None:
    same = row(0, voltage_l1_v=230.0)

    outcome = store.write([same, same, structs.replace(same)])

    assert (outcome.stored_values, outcome.duplicate_values) == (1, 2)
    assert store.count() == Count(readings=1, values=1)


def test_a_late_quantity_joins_its_reading(store: ReadingStore) -> None:
    store.write([row(0, voltage_l1_v=230.0), row(1, voltage_l1_v=231.0)])

    outcome = store.write([row(0, frequency_hz=50.0)])

    assert outcome.stored_values == 1
    assert store.readings(["e001-main"], None, *EVER) == [
        reading(0, voltage_l1_v=230.0, frequency_hz=50.0),
        reading(1, voltage_l1_v=231.0),
    ]


def test_late_quantities_of_many_readings_join_theirs(store: ReadingStore) -> None:
    store.write([row(minute, voltage_l1_v=230.0) for minute in range(50)])

    outcome = store.write(
        [row(m, voltage_l1_v=230.0, frequency_hz=50.0 + m / 100) for m in range(0, 50, 7)]
        + [row(m, volume_m3=float(m)) for m in range(45, 55)],
        overlapping=True,
    )

    assert (outcome.stored_values, outcome.duplicate_values) == (18, 8)
    assert store.count() == Count(readings=55, values=68)
    assert store.readings(["e001-main"], ["frequency_hz"], *EVER)[1] == reading(
        7, frequency_hz=50.07
    )


def test_a_late_quantity_joins_within_one_call(store: ReadingStore) -> None:
    outcome = store.write([row(0, voltage_l1_v=230.0), row(0, frequency_hz=50.0)])

    assert outcome.stored_values == 2
    assert store.readings(["e001-main"], None, *EVER) == [
        reading(0, voltage_l1_v=230.0, frequency_hz=50.0)
    ]


def test_values_may_come_after_the_fault(store: ReadingStore) -> None:
    store.write([row(0, fault="short")])
    store.write([row(0, voltage_l1_v=230.0)], overlapping=True)

    assert store.readings(["e001-main"], None, *EVER) == [
        reading(0, fault="short", voltage_l1_v=230.0)
    ]
    assert store.latest() == [reading(0, fault="short", voltage_l1_v=230.0)]


def test_the_fault_may_come_after_the_values(store: ReadingStore) -> None:
    store.write([row(0, voltage_l1_v=230.0)])
    store.write([row(0, fault="short")], overlapping=True)

    assert store.readings(["e001-main"], None, *EVER) == [
        reading(0, fault="short", voltage_l1_v=230.0)
    ]


# -- another value under the same key ----------------------------------------------------------


@pytest.mark.parametrize("told", [True, False])
def test_the_first_value_wins_and_the_second_is_kept_beside(
    store: ReadingStore, *, told: bool
) -> None:
    store.write([row(0, voltage_l1_v=230.0, frequency_hz=50.0)])

    outcome = store.write([row(0, voltage_l1_v=999.0, frequency_hz=50.0)], overlapping=told)

    loser = rejection(0, value=999.0, raw="999.0", reason=CONFLICT)
    assert outcome.conflicts == (loser,)
    assert (outcome.stored_values, outcome.duplicate_values) == (0, 1)
    assert store.rejections(*EVER) == [loser]
    assert store.readings(["e001-main"], None, *EVER) == [
        reading(0, voltage_l1_v=230.0, frequency_hz=50.0)
    ]


def test_the_first_value_wins_within_one_call(store: ReadingStore) -> None:
    outcome = store.write([row(0, voltage_l1_v=230.0), row(0, voltage_l1_v=999.0)])

    assert [one.value for one in outcome.conflicts] == [999.0]
    assert store.rejections(*EVER) == list(outcome.conflicts)
    assert store.readings(["e001-main"], None, *EVER) == [reading(0, voltage_l1_v=230.0)]


def test_two_losers_under_one_key_are_both_kept(store: ReadingStore) -> None:
    store.write([row(0, voltage_l1_v=230.0)])
    for value in (998.0, 999.0, 998.0):
        store.write([row(0, voltage_l1_v=value)], overlapping=True)

    assert sorted(one.value or 0.0 for one in store.rejections(*EVER)) == [998.0, 999.0]


def test_another_fault_under_the_same_key_is_kept_beside(store: ReadingStore) -> None:
    store.write([row(0, fault="timeout")])

    outcome = store.write([row(0, fault="exception")], overlapping=True)

    assert [(one.quantity, one.raw) for one in outcome.conflicts] == [("*", "exception")]
    assert store.readings(["e001-main"], None, *EVER) == [reading(0, fault="timeout")]


def test_a_meter_that_moved_is_not_counted_twice(store: ReadingStore) -> None:
    store.write([row(0, voltage_l1_v=230.0)])
    moved = tags(circuit="二号线", gateway="gw-e002")

    outcome = store.write([row(0, where=moved, voltage_l1_v=230.0)], overlapping=True)
    store.write([row(1, where=moved, voltage_l1_v=231.0)])

    assert outcome.duplicate_values == 1
    assert store.readings(["e001-main"], None, *EVER) == [
        reading(0, voltage_l1_v=230.0),
        reading(1, voltage_l1_v=231.0),
    ]
    assert store.count() == Count(readings=2, values=2)
    assert store.latest() == [reading(1, voltage_l1_v=231.0)]


# -- what no store takes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (row(1, voltage_l1_v=float("nan")), "voltage_l1_v is not a finite number"),
        (row(1, voltage_l1_v=230.0, frequency_hz=float("inf")), "frequency_hz is not a finite"),
        (row(1, spin_rate=1.0), "spin_rate is not a known quantity"),
        (row(-1e12, voltage_l1_v=1.0), "at_ms"),
        (row(1e12, voltage_l1_v=1.0), "at_ms"),
        (row(1, where=tags("another"), voltage_l1_v=1.0), "another"),
    ],
    ids=["nan", "infinity", "unknown", "before 1970", "after 2109", "tags of another meter"],
)
def test_a_row_no_store_takes_is_refused_and_the_rest_is_stored(
    store: ReadingStore, bad: Row, word: str
) -> None:
    outcome = store.write([row(0, voltage_l1_v=230.0), bad, row(2, voltage_l1_v=232.0)])

    assert [one.row for one in outcome.refused] == [bad]
    assert word in outcome.refused[0].message
    assert outcome.stored_values == 2
    assert store.count() == Count(readings=2, values=2)


# -- reading -----------------------------------------------------------------------------------


def test_a_range_holds_its_start_and_not_its_end(store: ReadingStore) -> None:
    store.write([row(minute, voltage_l1_v=230.0 + minute) for minute in range(4)])

    found = store.readings(["e001-main"], None, JUNE_MS + MINUTE_MS, JUNE_MS + 3 * MINUTE_MS)

    assert found == [reading(1, voltage_l1_v=231.0), reading(2, voltage_l1_v=232.0)]


def test_an_empty_or_reversed_range_holds_nothing(store: ReadingStore) -> None:
    store.write([row(0, voltage_l1_v=230.0)])

    assert store.readings(["e001-main"], None, JUNE_MS, JUNE_MS) == []
    assert store.readings(["e001-main"], None, JUNE_MS + 1, JUNE_MS) == []
    assert store.readings([], None, *EVER) == []


def test_readings_come_ordered_across_months_and_meters(store: ReadingStore) -> None:
    minutes = [0, -1, 44_000, 5, -50_000]
    store.write([row(m, meter, voltage_l1_v=1.0) for m in minutes for meter in ("b", "a")])

    found = store.readings(["b", "a", "unknown"], None, *EVER)

    assert [(one.meter, (one.at_ms - JUNE_MS) // MINUTE_MS) for one in found] == [
        *(("a", minute) for minute in sorted(minutes)),
        *(("b", minute) for minute in sorted(minutes)),
    ]


def test_only_the_asked_quantities_come_and_readings_without_them_are_left_out(
    store: ReadingStore,
) -> None:
    store.write(
        [
            row(0, voltage_l1_v=230.0, frequency_hz=50.0),
            row(1, voltage_l1_v=231.0),
            row(2, fault="timeout"),
        ]
    )

    assert store.readings(["e001-main"], ["frequency_hz", "volume_m3"], *EVER) == [
        reading(0, frequency_hz=50.0),
        reading(2, fault="timeout"),
    ]


def test_the_latest_is_the_newest_with_values_and_late_data_does_not_replace_it(
    store: ReadingStore,
) -> None:
    store.write([row(5, voltage_l1_v=235.0), row(6, fault="timeout")])
    store.write([row(1, voltage_l1_v=231.0), row(-60_000, voltage_l1_v=200.0)])
    store.write([row(3, "e001-water", volume_m3=1.0, fault="short")])

    assert store.latest() == [
        reading(5, voltage_l1_v=235.0),
        reading(3, "e001-water", volume_m3=1.0, fault="short"),
    ]
    assert store.latest(["e001-water", "unknown"]) == [
        reading(3, "e001-water", volume_m3=1.0, fault="short")
    ]
    assert store.latest([]) == []


def test_windows_are_aligned_half_open_and_labelled_by_their_start(store: ReadingStore) -> None:
    store.write(
        [
            row(1, voltage_l1_v=230.0),
            row(14.999, voltage_l1_v=226.0),
            row(7, voltage_l1_v=240.0),
            row(15, voltage_l1_v=1.0),
            row(46, voltage_l1_v=3.0),
        ]
    )

    found = store.windows(
        "e001-main", "voltage_l1_v", JUNE_MS + MINUTE_MS, JUNE_MS + 60 * MINUTE_MS, 15 * MINUTE_MS
    )

    def window(minute: int, **values: float) -> Window:
        return Window(start_ms=JUNE_MS + minute * MINUTE_MS, **values)  # type: ignore[arg-type]

    one, three = (dict.fromkeys(("lowest", "highest", "mean", "first", "last"), v) for v in (1, 3))
    assert found == [
        window(0, count=3, lowest=226.0, highest=240.0, mean=232.0, first=230.0, last=226.0),
        window(15, count=1, **one),
        window(45, count=1, **three),
    ]


def test_windows_reach_across_months_and_leave_out_other_meters(store: ReadingStore) -> None:
    store.write([row(-1, voltage_l1_v=1.0), row(1, voltage_l1_v=2.0), row(2, "b", voltage_l1_v=9)])
    store.write([row(2, frequency_hz=50.0)])

    found = store.windows(
        "e001-main", "voltage_l1_v", JUNE_MS - DAY_MS, JUNE_MS + DAY_MS, 12 * 60 * MINUTE_MS
    )

    assert [(one.start_ms, one.count, one.last) for one in found] == [
        (JUNE_MS - DAY_MS // 2, 1, 1.0),
        (JUNE_MS, 1, 2.0),
    ]


def test_windows_of_a_quantity_nobody_has_are_none(store: ReadingStore) -> None:
    store.write([row(0, voltage_l1_v=230.0)])

    assert store.windows("e001-main", "volume_m3", *EVER, DAY_MS) == []
    assert store.windows("unknown", "voltage_l1_v", *EVER, DAY_MS) == []


# -- columns -----------------------------------------------------------------------------------


def plain(columns: list[Column]) -> list[tuple[str, str, list[float], list[float]]]:
    """Columns as lists, instants in minutes."""
    return [
        (
            one.meter,
            one.quantity,
            ((one.at_ms - JUNE_MS) / MINUTE_MS).tolist(),
            one.values.tolist(),
        )
        for one in columns
    ]


def test_columns_come_by_meter_and_quantity_without_what_is_absent(store: ReadingStore) -> None:
    store.write(
        [
            row(2, "b", voltage_l1_v=232.0, volume_m3=0.0),
            row(0, "b", voltage_l1_v=230.0),
            row(1, "b", fault="timeout"),
            row(3, "b", frequency_hz=50.0),
            row(0, "a", volume_m3=7.25),
            row(1, "c", volume_m3=9.0),
        ]
    )

    found = store.columns(["b", "a", "unknown", "b"], ["volume_m3", "voltage_l1_v"], *EVER)

    assert plain(found) == [
        ("a", "volume_m3", [0], [7.25]),
        ("b", "voltage_l1_v", [0, 2], [230.0, 232.0]),
        ("b", "volume_m3", [2], [0.0]),
    ]
    assert {(one.at_ms.dtype.name, one.values.dtype.name) for one in found} == {
        ("int64", "float64")
    }


def test_columns_reach_across_months_in_order(store: ReadingStore) -> None:
    minutes = [0, -1, 44_000, 5, -50_000]
    store.write([row(m, meter, volume_m3=float(m)) for m in minutes for meter in ("b", "a")])
    store.write([row(1, voltage_l1_v=1.0)])

    found = store.columns(["b", "a"], ["volume_m3"], JUNE_MS - DAY_MS, JUNE_MS + 40 * DAY_MS)

    assert plain(found) == [
        ("a", "volume_m3", [-1, 0, 5, 44_000], [-1.0, 0.0, 5.0, 44_000.0]),
        ("b", "volume_m3", [-1, 0, 5, 44_000], [-1.0, 0.0, 5.0, 44_000.0]),
    ]


def test_columns_hold_their_start_and_not_their_end(store: ReadingStore) -> None:
    store.write([row(minute, volume_m3=float(minute)) for minute in range(4)])

    found = store.columns(
        ["e001-main"], ["volume_m3"], JUNE_MS + MINUTE_MS, JUNE_MS + 3 * MINUTE_MS
    )

    assert plain(found) == [("e001-main", "volume_m3", [1, 2], [1.0, 2.0])]


def test_columns_of_what_nobody_has_are_none(store: ReadingStore) -> None:
    store.write([row(0, voltage_l1_v=230.0)])

    assert store.columns(["e001-main"], ["volume_m3"], *EVER) == []
    assert store.columns(["unknown"], ["voltage_l1_v"], *EVER) == []
    assert store.columns([], ["voltage_l1_v"], *EVER) == []
    assert store.columns(["e001-main"], [], *EVER) == []
    assert store.columns(["e001-main"], ["voltage_l1_v"], JUNE_MS, JUNE_MS) == []
    assert store.columns(["e001-main"], ["voltage_l1_v"], JUNE_MS + 1, JUNE_MS) == []


def test_a_long_column_comes_whole(store: ReadingStore) -> None:
    store.write([row(minute, volume_m3=minute / 8) for minute in range(25_000)])

    (found,) = store.columns(["e001-main"], ["volume_m3"], *EVER)

    assert found.at_ms.tolist() == [JUNE_MS + minute * MINUTE_MS for minute in range(25_000)]
    assert found.values.tolist() == [minute / 8 for minute in range(25_000)]


def test_a_column_holds_an_instant_of_a_meter_that_moved_once(store: ReadingStore) -> None:
    store.write([row(0, volume_m3=1.0), row(2, volume_m3=3.0)])
    moved = tags(circuit="二号线")
    store.write([row(1, where=moved, volume_m3=2.0), row(2, where=moved, volume_m3=3.0)])

    found = store.columns(["e001-main"], ["volume_m3"], *EVER)

    assert plain(found) == [("e001-main", "volume_m3", [0, 1, 2], [1.0, 2.0, 3.0])]
    before = store.nearest("e001-main", "volume_m3", JUNE_MS + DAY_MS, later=False, most=2)
    assert before is not None
    assert plain([before]) == [("e001-main", "volume_m3", [1, 2], [2.0, 3.0])]


@pytest.mark.parametrize(
    ("minute", "later", "most", "minutes"),
    [
        (5, True, 1, [5]),
        (5, False, 1, [4]),
        (5.5, True, 2, [6, 50_000]),
        (5.5, False, 3, [3, 4, 5]),
        (7, True, 2, [50_000, 400_000]),
        (-1, False, 2, [-90_000]),
        (500_000, False, 3, [6, 50_000, 400_000]),
        (400_001, True, 5, []),
        (-90_000, False, 5, []),
        (-100_000, True, 100, [-90_000, 0, 1, 2, 3, 4, 5, 6, 50_000, 400_000]),
    ],
)
def test_the_nearest_readings_are_found_however_far_they_are(
    store: ReadingStore, minute: float, later: bool, most: int, minutes: list[int]
) -> None:
    there = [-90_000, 0, 1, 2, 3, 4, 5, 6, 50_000, 400_000]
    store.write([row(m, volume_m3=float(m)) for m in there])
    store.write([row(m + 0.25, voltage_l1_v=1.0) for m in (4, 5, 6, 7, 60_000)])
    store.write([row(5, "other", volume_m3=0.0), row(600_000, "other", volume_m3=0.0)])

    at_ms = JUNE_MS + int(minute * MINUTE_MS)
    found = store.nearest("e001-main", "volume_m3", at_ms, later=later, most=most)

    expected = [("e001-main", "volume_m3", minutes, [float(m) for m in minutes])]
    assert (plain([found]) if found else []) == (expected if minutes else [])


def test_nothing_is_nearest_where_nothing_is(store: ReadingStore) -> None:
    assert store.nearest("e001-main", "volume_m3", JUNE_MS, later=True, most=1) is None

    store.write([row(0, voltage_l1_v=1.0), row(0, "other", volume_m3=1.0)])

    for later in (True, False):
        assert store.nearest("e001-main", "volume_m3", JUNE_MS, later=later, most=1) is None
        assert store.nearest("unknown", "volume_m3", JUNE_MS, later=later, most=1) is None


# -- beside the readings -----------------------------------------------------------------------


def test_rejections_are_kept_once_with_all_they_say(store: ReadingStore) -> None:
    kept = [
        rejection(0),
        rejection(1, value=None, raw="7fc00000", reason="not_finite", quantity="*"),
        rejection(2, raw='a "quoted", \\ raw = 值\nand a line', level=Level.SUSPECT),
    ]
    store.write([], [*kept, kept[0]])
    store.write([row(0, voltage_l1_v=230.0)], kept)

    assert store.rejections(*EVER) == kept
    assert store.rejections(JUNE_MS + MINUTE_MS, JUNE_MS + 2 * MINUTE_MS) == [kept[1]]
    assert store.count() == Count(readings=1, values=1)


def test_rejections_that_differ_in_value_only_are_all_kept(store: ReadingStore) -> None:
    kept = [rejection(0, value=float(value), raw=str(value)) for value in range(20)]
    store.write([], kept)

    found = store.rejections(*EVER)

    assert sorted(found, key=lambda one: one.value or 0.0) == kept


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_rejected_value_that_is_not_finite_stays_as_raw(
    store: ReadingStore, value: float
) -> None:
    store.write([], [rejection(0, value=value, raw="7fc00000")])
    store.write([], [rejection(0, value=value, raw="7fc00000")])

    assert store.rejections(*EVER) == [rejection(0, value=None, raw="7fc00000")]


def test_a_rejection_may_have_any_text(store: ReadingStore) -> None:
    odd = "a\\"
    store.write([], [rejection(0, reason="bad\nword, x=1", raw=odd, gateway="网关 1")])

    assert [(one.raw, one.gateway) for one in store.rejections(*EVER)] == [(odd, "网关 1")]


def test_a_store_keeps_its_identity_and_the_newest_declaration_counts(store: ReadingStore) -> None:
    store.declare(StoreIdentity(id='heping "1"', generation=1))
    store.declare(StoreIdentity(id="heping-1", generation=2))

    assert store.identify() == StoreIdentity(id="heping-1", generation=2)


def test_a_store_may_be_closed_twice(store: ReadingStore) -> None:
    store.close()
    store.close()


def test_a_large_call_is_stored_whole(store: ReadingStore) -> None:
    rows = [row(minute, voltage_l1_v=float(minute)) for minute in range(12_000)]

    outcome = store.write(rows)

    assert outcome.stored_values == 12_000
    assert store.count() == Count(readings=12_000, values=12_000)


# -- order and pieces do not matter ------------------------------------------------------------

NAMES = ("voltage_l1_v", "frequency_hz", "volume_m3", "energy_import_kwh")


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Row], list[list[Row]]]:
    """Rows without contradictions, and some of them again, in another order, in pieces."""
    keys = st.tuples(st.sampled_from("ab"), st.sampled_from((0, 1, 2, -1, 43_200)))
    truth = draw(st.dictionaries(keys, st.tuples(*(st.floats(-1e9, 1e9) for _ in NAMES))))
    rows = []
    for (meter, minute), numbers in truth.items():
        for _ in range(draw(st.integers(1, 3))):
            chosen = draw(st.sets(st.sampled_from(range(len(NAMES)))))
            fault = draw(st.sampled_from((None, "short")))
            rows.append(
                row(minute, meter, fault, **{NAMES[place]: numbers[place] for place in chosen})
            )
    shuffled = draw(st.permutations(rows + draw(st.lists(st.sampled_from(rows or [row()])))))
    size = draw(st.integers(1, 7))
    pieces = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    return [*rows, *shuffled], pieces


def contents(store: ReadingStore) -> tuple[list[Reading], list[Reading], Count]:
    return store.readings(["a", "b", "e001-main"], None, *EVER), store.latest(), store.count()


def same_in_any_order(new: Callable[[], ReadingStore], rows: list[Row], pieces: list[list[Row]]):
    with closing(new()) as whole, closing(new()) as parts:
        one = whole.write(rows)
        outcomes = [parts.write(piece) for piece in pieces]

        assert contents(parts) == contents(whole)
        assert not one.conflicts
        assert not any(outcome.conflicts for outcome in outcomes)
        stored = sum(outcome.stored_values for outcome in outcomes)
        assert stored == one.stored_values == whole.count().values


@given(deliveries())
def test_any_order_and_any_split_leave_the_same_in_the_fake(
    case: tuple[list[Row], list[list[Row]]],
) -> None:
    same_in_any_order(FakeReadingStore, *case)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(deliveries())
def test_any_order_and_any_split_leave_the_same_in_duckdb(
    light_folder: Path, case: tuple[list[Row], list[list[Row]]]
) -> None:
    def new() -> ReadingStore:
        return DuckDbReadingStore(light_folder / f"{uuid.uuid4().hex}.duckdb")

    same_in_any_order(new, *case)
    for file in light_folder.iterdir():
        file.unlink()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),
                st.sampled_from((0, 1, 43_200)),
                st.sampled_from(NAMES),
                st.sampled_from((1.0, 2.0)),
                st.sampled_from((None, "short", "timeout")),
            ),
            max_size=8,
        ),
        max_size=5,
    )
)
def test_duckdb_does_what_the_fake_does_even_with_contradictions(
    light_folder: Path, calls: list[list[tuple[str, int, str, float, str | None]]]
) -> None:
    path = light_folder / "any.duckdb"
    path.unlink(missing_ok=True)
    with closing(FakeReadingStore()) as fake, closing(DuckDbReadingStore(path)) as real:
        for call in calls:
            rows = [row(m, meter, fault, **{q: value}) for meter, m, q, value, fault in call]
            expected, found = fake.write(rows), real.write(rows)

            assert found.stored_values == expected.stored_values
            assert found.duplicate_values == expected.duplicate_values
            assert set(found.conflicts) == set(expected.conflicts)
        assert contents(real) == contents(fake)
        assert set(real.rejections(*EVER)) == set(fake.rejections(*EVER))
