"""What only the InfluxDB interval store promises: what a dashboard sees, and what a server says."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from msgspec import structs

from collector.adapters.influx import InfluxReadingStore
from collector.adapters.influx_intervals import InfluxIntervalStore
from collector.intervals import Figure, Intervals, Subject
from collector.settle.cells import Cells, Width
from collector.settle.rule import Rule, mask
from collector.store import StoreAway, StoreRefused, Tags
from tests.servers.influx import InfluxServer, influx_server  # noqa: F401  a fixture
from tests.servers.influx_proxy import InfluxProxy, error_2x

pytestmark = pytest.mark.server

JUNE_MS = 1_780_272_000_000  # 2026-06-01T00:00:00Z
QUARTER_MS = 900_000
EVER = (0, 2**41)
TAGS = Tags(
    district="120101",
    sector="hospital",
    institution="e001",
    building="e001-b1",
    circuit="总进线",
    meter="m",
    energy="01000",
    gateway="gw",
)


def intervals(values: list[int], known: list[bool], rules: int = 0) -> Intervals:
    count = len(values)
    share = np.array(known, np.float64)
    cells = Cells(
        start_ms=JUNE_MS + QUARTER_MS * np.arange(count, dtype=np.int64),
        value=np.array(values, np.int64),
        known=np.array(known, np.bool_),
        measured=share,
        estimated=np.zeros(count),
        edited=np.zeros(count),
        missing=1 - share,
        rules=np.full(count, rules, np.int64),
    )
    version = np.ones(count, np.int64)
    return Intervals(
        meter="m", quantity="volume_m3", width=Width.QUARTER, cells=cells, version=version
    )


@pytest.fixture
def readings(
    influx_server: InfluxServer,  # noqa: F811  the fixture
) -> Iterator[InfluxReadingStore]:
    influx_server.proxy.forget()
    with closing(influx_server.new_store()) as opened:
        yield opened
    influx_server.proxy.forget()


@pytest.fixture
def store(readings: InfluxReadingStore) -> InfluxIntervalStore:
    return InfluxIntervalStore(readings.bucket)


@pytest.fixture
def proxy(influx_server: InfluxServer) -> InfluxProxy:  # noqa: F811  the fixture
    return influx_server.proxy


def test_a_point_says_what_the_data_contract_says(
    store: InfluxIntervalStore, proxy: InfluxProxy
) -> None:
    rules = mask(Rule.LINEAR, Rule.ROLLOVER)
    store.write_intervals(TAGS, [intervals([1_500_000, 0], [True, False], rules)])
    store.write_figures(
        [Figure(subject=Subject.GATEWAY, id="gw", day_ms=JUNE_MS, name="drift_s", value=2)]
    )

    place = (
        "district=120101,sector=hospital,institution=e001,building=e001-b1,circuit=总进线,"
        "meter=m,energy=01000,width=15m,quantity=volume_m3"
    )
    rest = f'rules="linear,rollover",rule_bits={rules}i,version=1i'
    assert b"\n".join(proxy.writes).decode().split("\n") == [
        (
            f"interval,{place} known=true,value=1.5,value_millionths=1500000i,measured=1.0,"
            f"estimated=0.0,edited=0.0,missing=0.0,{rest} {JUNE_MS}"
        ),
        (
            f"interval,{place} known=false,measured=0.0,"
            f"estimated=0.0,edited=0.0,missing=1.0,{rest} {JUNE_MS + QUARTER_MS}"
        ),
        f"quality,subject=gateway,id=gw,name=drift_s value=2.0 {JUNE_MS}",
    ]


def test_no_dashboard_sees_a_value_that_is_not_known_any_more(
    store: InfluxIntervalStore, readings: InfluxReadingStore
) -> None:
    store.write_intervals(TAGS, [intervals([1, 2, 3, 4, 5], [True] * 5)])

    store.write_intervals(TAGS, [intervals([1, 0, 0, 4, 0], [True, False, False, True, False])])

    (seen,) = readings.bucket.ask('select "value" from "interval"')
    (counted,) = readings.bucket.ask('select count("missing") from "interval"')
    assert [value for _, value in seen.values] == [1e-6, 4e-6]
    assert counted.values[0][1] == 5


def test_a_server_that_is_away_takes_nothing_and_the_same_call_completes_it(
    store: InfluxIntervalStore, proxy: InfluxProxy
) -> None:
    written = intervals([7], [True])
    proxy.next.append(error_2x(503, "unavailable", "try later", Retry_After="3"))

    with pytest.raises(StoreAway) as away:
        store.write_intervals(TAGS, [written])
    store.write_intervals(TAGS, [written])

    assert away.value.retry_after_s == 3.0
    assert [one.cells.value.tolist() for one in store.intervals(["m"], Width.QUARTER, *EVER)] == [
        [7]
    ]


def test_a_server_that_fell_is_away_for_reading(
    store: InfluxIntervalStore, readings: InfluxReadingStore, proxy: InfluxProxy
) -> None:
    proxy.down()
    try:
        with pytest.raises(StoreAway):
            store.intervals(["m"], Width.QUARTER, *EVER)
        with pytest.raises(StoreAway):
            readings.columns(["m"], ["volume_m3"], *EVER)
    finally:
        proxy.up()


def test_an_answer_that_speaks_of_an_error_is_away(
    influx_server: InfluxServer,  # noqa: F811  the fixture
) -> None:
    with closing(influx_server.new_store(bucket="nowhere")) as readings:
        store = InfluxIntervalStore(readings.bucket)

        with pytest.raises(StoreAway, match="database not found"):
            store.intervals(["m"], Width.QUARTER, *EVER)


@pytest.mark.parametrize("text", ["a\nb", "a\\"])
def test_a_name_that_no_line_can_hold_is_refused(store: InfluxIntervalStore, text: str) -> None:
    bad = Figure(subject=Subject.METER, id=text, day_ms=JUNE_MS, name="x_share", value=1.0)

    with pytest.raises(StoreRefused):
        store.write_intervals(structs.replace(TAGS, circuit=text), [intervals([1], [True])])
    with pytest.raises(StoreRefused):
        store.write_figures([bad])

    assert store.intervals(["m"], Width.QUARTER, *EVER) == []


def test_a_point_that_the_server_refuses_is_named(
    store: InfluxIntervalStore, proxy: InfluxProxy
) -> None:
    said = "partial write: points beyond retention policy dropped=1"
    proxy.judge = lambda body: error_2x(422, "unprocessable", said) if body else None

    with pytest.raises(StoreRefused, match="volume_m3"):
        store.write_intervals(TAGS, [intervals([1], [True])])
