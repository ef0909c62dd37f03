"""What every `IntervalStore` does: one suite on the fake, on DuckDB, on a real InfluxDB."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from collector.adapters.duckdb import DuckDbReadingStore
from collector.adapters.duckdb_intervals import DuckDbIntervalStore
from collector.adapters.influx_intervals import InfluxIntervalStore
from collector.intervals import Figure, GaugeWindows, Intervals, IntervalStore, Subject
from collector.settle.cells import Cells, Width
from collector.settle.rule import Rule, mask
from collector.store import StoreRefused, Tags
from tests.fakes.intervals import FakeIntervalStore
from tests.servers.influx import InfluxServer, influx_server  # noqa: F401  a fixture

JUNE_MS = 1_780_272_000_000  # 2026-06-01T00:00:00Z
QUARTER_MS = 900_000
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
EVER = (0, 2**41)
UNKNOWN = None


def tags(meter: str = "m", **other: str) -> Tags:
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


def intervals(
    values: Sequence[int | None],
    meter: str = "m",
    *,
    start_ms: int = JUNE_MS,
    step_ms: int = QUARTER_MS,
    **other: object,
) -> Intervals:
    """Intervals one after the other, measured where there is a value."""
    known = np.array([value is not None for value in values], np.bool_)
    share = known.astype(np.float64)
    cells = Cells(
        start_ms=start_ms + step_ms * np.arange(len(values), dtype=np.int64),
        value=np.array([value or 0 for value in values], np.int64),
        known=known,
        measured=share,
        estimated=np.zeros(len(values)),
        edited=np.zeros(len(values)),
        missing=1 - share,
        rules=np.zeros(len(values), np.int64),
    )
    whole = Intervals(
        meter=meter,
        quantity="energy_import_kwh",
        width=Width.QUARTER,
        cells=cells,
        version=np.ones(len(values), np.int64),
    )
    return structs.replace(whole, **other)


def gauge(means: Sequence[float], meter: str = "m", **other: object) -> GaugeWindows:
    mean = np.array(means, np.float64)
    windows = GaugeWindows(
        meter=meter,
        quantity="active_power_kw",
        width=Width.HOUR,
        start_ms=JUNE_MS + 3_600_000 * np.arange(len(means), dtype=np.int64),
        count=np.full(len(means), 60, np.int64),
        lowest=mean - 0.1,
        mean=mean,
        highest=mean + 0.1,
    )
    return structs.replace(windows, **other)


def figure(day: int = 0, **other: object) -> Figure:
    one = Figure(
        subject=Subject.METER,
        id="m",
        day_ms=JUNE_MS - 8 * 3_600_000 + day * DAY_MS,
        name="completeness_share",
        value=0.9975,
    )
    return structs.replace(one, **other)


def plain(found: Sequence[Intervals] | Sequence[GaugeWindows]) -> list[object]:
    """As lists, with the types of their arrays."""
    return [_plain(structs.asdict(one)) for one in found]


def _plain(fields: dict[str, object]) -> dict[str, object]:
    return {
        name: (value.dtype.name, value.tolist())
        if isinstance(value, np.ndarray)
        else _plain(structs.asdict(value))
        if isinstance(value, Cells)
        else value
        for name, value in fields.items()
    }


def values(found: Sequence[Intervals]) -> list[tuple[str, str, list[int | None]]]:
    return [
        (
            one.meter,
            one.quantity,
            [
                value if known else UNKNOWN
                for value, known in zip(
                    one.cells.value.tolist(), one.cells.known.tolist(), strict=True
                )
            ],
        )
        for one in found
    ]


@pytest.fixture(params=["fake", "duckdb", pytest.param("influx", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IntervalStore]:
    if request.param == "fake":
        yield FakeIntervalStore()
    elif request.param == "duckdb":
        with closing(DuckDbReadingStore(tmp_path / "readings.duckdb")) as readings:
            yield DuckDbIntervalStore(readings.file)
    else:
        server: InfluxServer = request.getfixturevalue("influx_server")
        with closing(server.new_store()) as readings:
            yield InfluxIntervalStore(readings.bucket)


# -- what is forgotten -------------------------------------------------------------------------


def test_quarters_of_months_that_ended_are_forgotten_and_all_else_stays(
    store: IntervalStore,
) -> None:
    may_ms, july_ms = JUNE_MS - DAY_MS, JUNE_MS + 35 * DAY_MS
    for start_ms in (may_ms, JUNE_MS, july_ms):
        for width in (Width.QUARTER, Width.HOUR, Width.DAY, Width.MONTH):
            store.write_intervals(tags(), [intervals([5], start_ms=start_ms, width=width)])
            starts = np.array([start_ms], np.int64)
            store.write_gauges(tags(), [gauge([5.0], start_ms=starts, width=width)])
    store.write_figures([figure(), figure(-40)])

    kept = store.drop_quarters(JUNE_MS + 20 * DAY_MS)
    again = store.drop_quarters(JUNE_MS + 20 * DAY_MS)

    assert (kept, again) == (JUNE_MS, JUNE_MS)
    for width in (Width.QUARTER, Width.HOUR, Width.DAY, Width.MONTH):
        left = [JUNE_MS, july_ms] if width is Width.QUARTER else [may_ms, JUNE_MS, july_ms]
        (rows,) = store.intervals(["m"], width, *EVER)
        (windows,) = store.gauges(["m"], width, *EVER)
        assert (rows.cells.start_ms.tolist(), windows.start_ms.tolist()) == (left, left)
    assert len(store.figures(Subject.METER, *EVER)) == 2


def test_a_quarter_of_a_forgotten_month_may_be_written_again(store: IntervalStore) -> None:
    may = intervals([5], start_ms=JUNE_MS - DAY_MS)
    store.write_intervals(tags(), [may])
    store.drop_quarters(JUNE_MS)

    store.write_intervals(tags(), [may])

    assert plain(store.intervals(["m"], Width.QUARTER, *EVER)) == plain([may])


# -- what goes in comes out --------------------------------------------------------------------


def test_intervals_come_back_as_they_were(store: IntervalStore) -> None:
    written = intervals([1_500_000, 0, 123])
    written = structs.replace(
        written,
        version=np.array([1, 7, 70_000], np.int64),
        cells=structs.replace(
            written.cells,
            measured=np.array([1.0, 1 / 3, 0.0]),
            estimated=np.array([0.0, 0.1, 0.0]),
            edited=np.array([0.0, 2 / 3 - 0.1, 0.7]),
            missing=np.array([0.0, 0.0, 0.1 + 0.2]),
            rules=np.array([0, mask(Rule.LINEAR, Rule.OUT_OF_SERVICE), mask(*Rule)]),
        ),
    )

    store.write_intervals(tags(), [written])

    assert plain(store.intervals(["m"], Width.QUARTER, *EVER)) == plain([written])


def test_a_new_store_is_empty_and_answers_every_question(store: IntervalStore) -> None:
    assert store.intervals(["m"], Width.QUARTER, *EVER) == []
    assert store.gauges(["m"], Width.HOUR, *EVER) == []
    assert store.figures(Subject.METER, *EVER) == []


def test_a_write_of_nothing_changes_nothing(store: IntervalStore) -> None:
    store.write_intervals(tags(), [])
    store.write_intervals(tags(), [intervals([])])
    store.write_gauges(tags(), [])
    store.write_figures([])

    assert store.intervals(["m"], Width.QUARTER, *EVER) == []


def test_what_is_not_known_is_never_zero(store: IntervalStore) -> None:
    store.write_intervals(tags(), [intervals([5, UNKNOWN, 0, UNKNOWN])])

    (found,) = store.intervals(["m"], Width.QUARTER, *EVER)

    assert found.cells.known.tolist() == [True, False, True, False]
    assert found.cells.value.tolist() == [5, 0, 0, 0]
    assert found.cells.missing.tolist() == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "value", [1, 2**53 + 1, 9_007_199_254_740_993, 10**18, 10**18 + 1, 2**63 - 1, -3]
)
def test_a_value_is_exact_to_the_last_millionth(store: IntervalStore, value: int) -> None:
    store.write_intervals(tags(), [intervals([value, UNKNOWN, value - 1])])

    found = store.intervals(["m"], Width.QUARTER, *EVER)

    assert values(found) == [("m", "energy_import_kwh", [value, UNKNOWN, value - 1])]


@pytest.mark.parametrize("circuit", ["总进线", "a b", "a,b", 'a"b', "", "🏥", "'; drop"])
@pytest.mark.parametrize("meter", ["m", "总表 1", "a,b=c", "o'hara"])
def test_names_may_hold_any_character(store: IntervalStore, meter: str, circuit: str) -> None:
    where = tags(meter, circuit=circuit)
    store.write_intervals(where, [intervals([1], meter)])
    store.write_gauges(where, [gauge([1.0], meter)])
    store.write_figures([figure(id=meter)])

    assert values(store.intervals([meter], Width.QUARTER, *EVER)) == [
        (meter, "energy_import_kwh", [1])
    ]
    assert len(store.gauges([meter], Width.HOUR, *EVER)) == 1
    assert store.figures(Subject.METER, *EVER, ids=[meter]) == [figure(id=meter)]


def test_intervals_of_another_meter_than_the_tags_are_refused(store: IntervalStore) -> None:
    with pytest.raises(StoreRefused, match="other"):
        store.write_intervals(tags(), [intervals([1], "other")])
    with pytest.raises(StoreRefused, match="other"):
        store.write_gauges(tags(), [gauge([1.0], "other")])

    assert store.intervals(["m", "other"], Width.QUARTER, *EVER) == []


# -- replacing -----------------------------------------------------------------------------------


def test_the_same_key_again_replaces_and_its_neighbours_stay(store: IntervalStore) -> None:
    store.write_intervals(tags(), [intervals([1, 2, 3, 4])])

    again = intervals([20, 30], start_ms=JUNE_MS + QUARTER_MS, version=np.array([2, 3]))
    store.write_intervals(tags(), [again])

    (found,) = store.intervals(["m"], Width.QUARTER, *EVER)
    assert found.cells.value.tolist() == [1, 20, 30, 4]
    assert found.version.tolist() == [1, 2, 3, 1]


def test_only_the_keys_that_come_are_replaced_not_what_lies_between(store: IntervalStore) -> None:
    store.write_intervals(tags(), [intervals([1, 2, 3, 4, 5])])

    store.write_intervals(tags(), [intervals([10, 30, 50], step_ms=2 * QUARTER_MS)])

    assert values(store.intervals(["m"], Width.QUARTER, *EVER)) == [
        ("m", "energy_import_kwh", [10, 2, 30, 4, 50])
    ]


def test_the_same_write_again_changes_nothing(store: IntervalStore) -> None:
    written = [intervals([1, UNKNOWN, 3]), intervals([9], quantity="volume_m3")]
    store.write_intervals(tags(), written)
    before = plain(store.intervals(["m"], Width.QUARTER, *EVER))

    store.write_intervals(tags(), written)

    assert plain(store.intervals(["m"], Width.QUARTER, *EVER)) == before


def test_what_was_known_may_become_unknown_and_known_again(store: IntervalStore) -> None:
    store.write_intervals(tags(), [intervals([1, 2, 3, 4, 5, 6])])

    store.write_intervals(tags(), [intervals([1, UNKNOWN, UNKNOWN, 4, UNKNOWN, 6])])
    unknown = values(store.intervals(["m"], Width.QUARTER, *EVER))
    store.write_intervals(tags(), [intervals([1, 2, UNKNOWN, 4, 5, 6])])
    known = values(store.intervals(["m"], Width.QUARTER, *EVER))

    assert unknown == [("m", "energy_import_kwh", [1, UNKNOWN, UNKNOWN, 4, UNKNOWN, 6])]
    assert known == [("m", "energy_import_kwh", [1, 2, UNKNOWN, 4, 5, 6])]


def test_older_intervals_may_come_after_newer_ones(store: IntervalStore) -> None:
    store.write_intervals(tags(), [intervals([3, 4], start_ms=JUNE_MS + 2 * QUARTER_MS)])
    store.write_intervals(tags(), [intervals([1, 2])])
    store.write_intervals(tags(), [intervals([10])])

    assert values(store.intervals(["m"], Width.QUARTER, *EVER)) == [
        ("m", "energy_import_kwh", [10, 2, 3, 4])
    ]


def test_of_two_under_one_key_in_one_call_the_later_stands(store: IntervalStore) -> None:
    store.write_intervals(tags(), [intervals([1, 2]), intervals([10])])

    assert values(store.intervals(["m"], Width.QUARTER, *EVER)) == [
        ("m", "energy_import_kwh", [10, 2])
    ]


def test_widths_quantities_and_meters_do_not_replace_one_another(store: IntervalStore) -> None:
    store.write_intervals(
        tags(),
        [
            intervals([1]),
            intervals([4], width=Width.HOUR),
            intervals([96], width=Width.DAY),
            intervals([2900], width=Width.MONTH),
            intervals([5], quantity="volume_m3"),
        ],
    )
    store.write_intervals(tags("other"), [intervals([7], "other")])

    def stored(width: Width) -> list[tuple[str, str, list[int | None]]]:
        return values(store.intervals(["other", "m"], width, *EVER))

    assert stored(Width.QUARTER) == [
        ("m", "energy_import_kwh", [1]),
        ("m", "volume_m3", [5]),
        ("other", "energy_import_kwh", [7]),
    ]
    assert stored(Width.HOUR) == [("m", "energy_import_kwh", [4])]
    assert stored(Width.DAY) == [("m", "energy_import_kwh", [96])]
    assert stored(Width.MONTH) == [("m", "energy_import_kwh", [2900])]


def test_an_interval_of_a_meter_that_moved_stands_once_and_the_newest_version_counts(
    store: IntervalStore,
) -> None:
    store.write_intervals(tags(), [intervals([1, 2, 3])])
    moved = tags(building="e001-b2", circuit="二号线")
    store.write_intervals(
        moved,
        [intervals([20, UNKNOWN, 40], start_ms=JUNE_MS + QUARTER_MS, version=np.full(3, 2))],
    )

    once = values(store.intervals(["m"], Width.QUARTER, *EVER))
    store.write_intervals(tags(), [intervals([100, 200], version=np.full(2, 3))])
    back = values(store.intervals(["m"], Width.QUARTER, *EVER))

    assert once == [("m", "energy_import_kwh", [1, 20, UNKNOWN, 40])]
    assert back == [("m", "energy_import_kwh", [100, 200, UNKNOWN, 40])]


# -- asking ------------------------------------------------------------------------------------


def test_a_range_holds_its_start_and_not_its_end(store: IntervalStore) -> None:
    store.write_intervals(tags(), [intervals([1, 2, 3, 4])])
    quarter = JUNE_MS + QUARTER_MS

    found = store.intervals(["m"], Width.QUARTER, quarter, quarter + 2 * QUARTER_MS)

    assert values(found) == [("m", "energy_import_kwh", [2, 3])]
    assert store.intervals(["m"], Width.QUARTER, quarter, quarter) == []
    assert store.intervals(["m"], Width.QUARTER, quarter + 1, quarter) == []


def test_only_what_is_asked_for_comes(store: IntervalStore) -> None:
    store.write_intervals(tags(), [intervals([1]), intervals([5], quantity="volume_m3")])

    def stored(*quantities: str) -> list[tuple[str, str, list[int | None]]]:
        return values(store.intervals(["m", "unknown"], Width.QUARTER, *EVER, quantities))

    assert stored("volume_m3", "heat_energy_gj") == [("m", "volume_m3", [5])]
    assert stored("heat_energy_gj") == []
    assert stored() == []
    assert store.intervals([], Width.QUARTER, *EVER) == []


@pytest.mark.parametrize(
    ("width", "start_ms", "step_ms"),
    [
        (Width.QUARTER, JUNE_MS - 2 * QUARTER_MS, QUARTER_MS),
        (Width.HOUR, JUNE_MS - 2 * 3_600_000, 3_600_000),
        (Width.DAY, JUNE_MS - 8 * 3_600_000 - 200 * DAY_MS, 100 * DAY_MS),
        (Width.MONTH, JUNE_MS - YEAR_MS, YEAR_MS),
    ],
)
def test_intervals_come_in_order_across_months_and_years(
    store: IntervalStore, width: Width, start_ms: int, step_ms: int
) -> None:
    late = intervals([3, UNKNOWN], start_ms=start_ms + 2 * step_ms, step_ms=step_ms, width=width)
    early = intervals([1, 2], start_ms=start_ms, step_ms=step_ms, width=width)
    store.write_intervals(tags(), [late])
    store.write_intervals(tags(), [early])

    (found,) = store.intervals(["m"], width, *EVER)

    assert found.cells.start_ms.tolist() == [start_ms + step_ms * place for place in range(4)]
    assert values([found]) == [("m", "energy_import_kwh", [1, 2, 3, UNKNOWN])]
    assert values(store.intervals(["m"], width, start_ms + 1, start_ms + 2 * step_ms + 1)) == [
        ("m", "energy_import_kwh", [2, 3])
    ]


def test_a_long_write_comes_back_whole(store: IntervalStore) -> None:
    numbers = [place if place % 7 else UNKNOWN for place in range(25_000)]
    store.write_intervals(tags(), [intervals(numbers)])

    assert values(store.intervals(["m"], Width.QUARTER, *EVER)) == [
        ("m", "energy_import_kwh", numbers)
    ]


def test_many_meters_are_answered_at_once(store: IntervalStore) -> None:
    meters = [f"m{number:03}" for number in range(250)]
    for number, meter in enumerate(meters):
        store.write_intervals(tags(meter), [intervals([number], meter)])

    found = store.intervals(meters[::-1], Width.QUARTER, *EVER)

    assert values(found) == [
        (meter, "energy_import_kwh", [number]) for number, meter in enumerate(meters)
    ]


# -- gauges and figures ------------------------------------------------------------------------


def test_gauges_come_back_as_they_were_and_the_same_key_replaces(store: IntervalStore) -> None:
    store.write_gauges(tags(), [gauge([0.1, -1 / 3, 1e300]), gauge([50], quantity="frequency_hz")])
    before = plain(store.gauges(["m"], Width.HOUR, *EVER))
    again = gauge([7.5], start_ms=np.array([JUNE_MS + 3_600_000]), count=np.array([61]))
    store.write_gauges(tags(), [again])

    (found,) = store.gauges(["m"], Width.HOUR, *EVER, ["active_power_kw"])

    assert before == plain([gauge([0.1, -1 / 3, 1e300]), gauge([50], quantity="frequency_hz")])
    assert found.mean.tolist() == [0.1, 7.5, 1e300]
    assert found.count.tolist() == [60, 61, 60]
    assert store.gauges(["m"], Width.DAY, *EVER) == []
    assert [one.mean.tolist() for one in store.gauges(["m"], Width.HOUR, 0, JUNE_MS + 1)] == [
        [0.1],
        [50.0],
    ]


def test_a_gauge_of_a_meter_that_moved_stands_once(store: IntervalStore) -> None:
    store.write_gauges(tags(), [gauge([1.0, 2.0])])
    store.write_gauges(tags(circuit="二号线"), [gauge([5.0], count=np.array([61]))])

    assert [one.mean.tolist() for one in store.gauges(["m"], Width.HOUR, *EVER)] == [[5.0, 2.0]]


def test_figures_come_in_order_and_the_same_key_replaces(store: IntervalStore) -> None:
    store.write_figures(
        [
            figure(1),
            figure(0, name="coverage_share", value=1),
            figure(0, id="a"),
            figure(0),
            figure(0, subject=Subject.GATEWAY, name="clock_drift_s", value=-0.25),
        ]
    )
    store.write_figures([figure(1, value=0.5), figure(1, value=0.75)])

    assert store.figures(Subject.METER, *EVER) == [
        figure(0, id="a"),
        figure(0),
        figure(0, name="coverage_share", value=1.0),
        figure(1, value=0.75),
    ]
    assert store.figures(Subject.METER, *EVER, ids=["a", "b"]) == [figure(0, id="a")]
    assert store.figures(Subject.METER, *EVER, ids=[]) == []
    assert store.figures(Subject.METER, figure(1).day_ms, figure(1).day_ms + 1, ids=["m"]) == [
        figure(1, value=0.75)
    ]
    assert store.figures(Subject.GATEWAY, *EVER) == [
        figure(0, subject=Subject.GATEWAY, name="clock_drift_s", value=-0.25)
    ]
    assert store.figures(Subject.BUILDING, *EVER) == []


# -- any writes in any order -------------------------------------------------------------------

CELLS_OF = st.lists(st.one_of(st.none(), st.integers(0, 10**18)), max_size=6)
WRITES = st.lists(
    st.tuples(
        st.sampled_from(("总进线", "二号线")),
        st.sampled_from(("energy_import_kwh", "volume_m3")),
        st.sampled_from((Width.QUARTER, Width.DAY)),
        st.integers(-3, 3),
        CELLS_OF,
    ),
    max_size=8,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(WRITES, st.integers(1, 9))
def test_duckdb_holds_what_the_fake_holds_after_any_writes(
    light_folder: Path, writes: list[tuple[str, str, Width, int, list[int | None]]], most_rows: int
) -> None:
    file = light_folder / "any.duckdb"
    file.unlink(missing_ok=True)
    fake = FakeIntervalStore()
    with closing(DuckDbReadingStore(file)) as readings:
        real = DuckDbIntervalStore(readings.file, most_rows=most_rows)
        for version, (circuit, quantity, width, place, numbers) in enumerate(writes):
            written = intervals(
                numbers,
                start_ms=JUNE_MS + place * QUARTER_MS,
                quantity=quantity,
                width=width,
                version=np.full(len(numbers), version),
            )
            for one in (fake, real):
                one.write_intervals(tags(circuit=circuit), [written, written])
        for width in Width:
            assert plain(real.intervals(["m"], width, *EVER)) == plain(
                fake.intervals(["m"], width, *EVER)
            )
