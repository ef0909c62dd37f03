"""Measured buildings: what was measured is played as Modbus meters, and stored as it was played.

Real hours of real buildings with their gaps, zeros and spikes go through real Modbus frames, a
gateway process per building, Mosquitto, a collector process and InfluxDB, all in one replayed time.
What is then read from the store is compared with the CSV file itself, read here by other code than
the simulator's, and the bounds are what the registers can hold: nothing is allowed for the way.

The data may not be part of the project: it lies beside it, and where it does not, this is skipped.
"""

import csv
import gzip
import shutil
from bisect import bisect_right
from collections import defaultdict
from datetime import UTC, datetime, timedelta, timezone
from itertools import accumulate, pairwise
from math import ulp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import Struct

from collector.adapters.influx_intervals import InfluxIntervalStore
from collector.settle.cells import Cells, Width
from collector.settle.series import PER_UNIT
from gateways.app import load_cut
from gateways.library.model import Format
from gateways.reading.meter import Meter, build_meters
from gateways.reading.wiring import factor
from metering.reading import Reading
from nenghao.demo.audit import Audit, Served, read_served
from tests.e2e.replayed import ReplayedWorld
from tests.torture.world import CONFIG, FOREVER_MS

DATA = Path(__file__).parents[3] / "shared" / "data"
FLEETS = Path(__file__).parents[1] / "cases" / "fleets"
SHANGHAI = timezone(timedelta(hours=8))
HOUR_MS = 3_600_000
COUNTERS = ("energy_import_kwh", "volume_m3")
RATES = {"energy_import_kwh": "active_power_kw", "volume_m3": "flow_m3_h"}

# In CI too, data that is not there is no failure; a server that is not there is one.
pytestmark = (
    [pytest.mark.server, pytest.mark.timeout(240)]
    if DATA.is_dir()
    else pytest.mark.skip(reason=f"no measured data: there is no folder {DATA}")
)


class Case(Struct, frozen=True, kw_only=True):
    """What is played: a file's columns on the meters of a fleet, from `start` for `days`."""

    name: str
    file: str
    series: dict[str, str]
    start: datetime
    days: int
    speed: float


# A wall clock in the file is taken as ours, so the first hour of June is our first hour of June.
# June 2017: gaps of 72, 24 and 1 to 5 hours, 83 hours of zero, one frozen counter.
ELECTRICITY = Case(
    name="measured_electricity",
    file="bdg2_electricity_raw.csv.gz",
    series={
        "e901-main": "Rat_health_Shane",
        "d901-main": "Rat_education_Tania",
        "d901-annex": "Bear_education_Merrill",
        "a901-main": "Rat_office_Avis",
    },
    start=datetime(2017, 6, 1, tzinfo=SHANGHAI),
    days=30,
    speed=57_600,
)
# October 2018: electricity that spikes to ten times its median, 362 hours without gas.
GAS = Case(
    name="measured_gas",
    file="cambridge_elec_gas_2018_2019.csv.gz",
    series={
        "d902-main": "UCam_b119__electricity",
        "d902-gas": "UCam_b119__gas",
        "d903-main": "UCam_b118__electricity",
        "d903-gas": "UCam_b118__gas",
    },
    start=datetime(2018, 10, 8, tzinfo=SHANGHAI),
    days=14,
    speed=57_600,
)


class Measured:
    """One column of a file: what was measured in each hour, and the total until any instant."""

    def __init__(self, file: Path, column: str) -> None:
        with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text))
        clock = "timestamp_utc" if "timestamp_utc" in rows[0] else "timestamp_local"
        zone = UTC if clock == "timestamp_utc" else SHANGHAI
        begins = [datetime.fromisoformat(row[clock]).replace(tzinfo=zone) for row in rows]
        assert all(b - a == timedelta(hours=1) for a, b in pairwise(begins))
        self.first = round(begins[0].timestamp() * 1000) // HOUR_MS
        self.hours = [float(row[column]) if row[column] else None for row in rows]
        self._totals = [0.0, *accumulate(hour or 0.0 for hour in self.hours)]
        # What adding so many numbers up may cost, here and in the simulator.
        self.rounding = 2 * len(rows) * ulp(self._totals[-1])

    def hour(self, number: int) -> float | None:
        return self.hours[number - self.first]

    def total(self, at_ms: int) -> float:
        index, rest_ms = divmod(at_ms - self.first * HOUR_MS, HOUR_MS)
        return self._totals[index] + (self.hours[index] or 0.0) * rest_ms / HOUR_MS

    def between(self, begin: int, end: int) -> float:
        """In the hours `[begin, end)`."""
        return self._totals[end - self.first] - self._totals[begin - self.first]


class Point(Struct, frozen=True, kw_only=True):
    """A stored counter, and the rate stored with it, with the instants at which they were served.

    The store's own `at_ms` is when the last block came. At such a speed minutes lie in between.
    """

    at_ms: int
    counter: float
    counted_ms: int
    rate: float
    rated_ms: int


class Played(Struct, frozen=True, kw_only=True):
    """What a case left behind."""

    case: Case
    audit: Audit
    status: dict[str, Any]
    polled: int
    quarantined: int
    rejected: int
    stored: int
    meters: dict[str, Meter]
    measured: dict[str, Measured]
    readings: dict[str, list[Reading]]
    served: dict[str, list[Served]]
    settled: dict[str, dict[Width, Cells]]

    def counter(self, meter: str) -> str:
        shown = {register.quantity for register in self.meters[meter].model.registers}
        return next(name for name in COUNTERS if name in shown)

    def step(self, meter: str, quantity: str, value: float) -> float:
        """How far from `value` the true one can be, by the register that holds it.

        An integer counter is cut, an integer gauge rounded, a float32 the nearest one.
        """
        made = self.meters[meter]
        register = next(r for r in made.model.registers if r.quantity == quantity)
        (part,) = register.parts
        worth = abs(float(factor(register, made.wiring)))
        if part.format is Format.FLOAT32:
            return worth * float(np.spacing(np.float32(abs(value) / worth))) / 2
        assert not part.format.is_float
        return worth if quantity in COUNTERS else worth / 2

    def points(self, meter: str) -> list[Point]:
        counter = self.counter(meter)
        rate = RATES[counter]
        at = {
            name: [served.at_ms for served in self.served[meter] if name in served.values]
            for name in (counter, rate)
        }
        return [
            Point(
                at_ms=reading.at_ms,
                counter=reading.values[counter],
                counted_ms=latest(at[counter], reading.at_ms),
                rate=reading.values[rate],
                rated_ms=latest(at[rate], reading.at_ms),
            )
            for reading in self.readings[meter]
            if counter in reading.values and rate in reading.values
        ]

    def edges(self, meter: str) -> dict[int, tuple[float, float]]:
        """The stored counter at the full hours: (value, bound); after the hour it grew evenly."""
        counter = self.counter(meter)
        found: dict[int, tuple[float, float]] = {}
        for point in self.points(meter):
            hour, since_ms = divmod(point.counted_ms, HOUR_MS)
            if point.rated_ms // HOUR_MS != hour:
                continue  # the poll went over the full hour
            share = since_ms / HOUR_MS
            bound = (
                self.step(meter, counter, point.counter)
                + self.step(meter, RATES[counter], point.rate) * share
                + self.measured[meter].rounding
            )
            found.setdefault(hour, (point.counter - point.rate * share, bound))
        return found


def latest(instants: list[int], at_ms: int) -> int:
    return instants[bisect_right(instants, at_ms) - 1]


@pytest.fixture(scope="module", params=[ELECTRICITY, GAS], ids=lambda case: case.name)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    case, folder = request.param, tmp_path_factory.mktemp(request.param.name)
    config = folder / "fleet"
    shutil.copytree(FLEETS / case.name, config)
    shutil.copytree(CONFIG / "meters", config / "meters")
    world = ReplayedWorld(
        folder / "world",
        start=case.start,
        speed=case.speed,
        config=config,
        store="influxdb",
        replay=(DATA / case.file, case.series),
    )
    try:
        world.start()
        world.live_until(case.start + timedelta(days=case.days))
        return leftovers(case, world)
    finally:
        world.stop()


def leftovers(case: Case, world: ReplayedWorld) -> Played:
    status, views = world.ask("/status"), world.ask("/gateways")
    quarantined = len(world.ask("/quarantine"))
    world.settle()
    world.parts.collector.stop()
    world.parts.simulator.stop()
    store = world.open_store()
    try:
        readings = store.readings(sorted(case.series), None, 0, FOREVER_MS)
        stored, rejected = store.count().readings, len(store.rejections(0, FOREVER_MS))
        settled = settled_of(InfluxIntervalStore(store.bucket), sorted(case.series))
    finally:
        store.close()
    cuts = [load_cut(world.folder / f"{gateway}.json") for gateway in world.parts.gateways]
    meters = [m for cut in cuts for bus in cut.buses for m in build_meters(bus, cut.models)]
    served = read_served(world.stage.served_log)
    return Played(
        case=case,
        audit=world.audited(),
        status=status,
        polled=sum(view["state"]["polled"] for view in views),
        quarantined=quarantined,
        rejected=rejected,
        stored=stored,
        meters={meter.id: meter for meter in meters},
        measured={m: Measured(DATA / case.file, column) for m, column in case.series.items()},
        readings={m: [r for r in readings if r.meter == m] for m in case.series},
        served={m: [s for s in served if s.meter == m] for m in case.series},
        settled=settled,
    )


def settled_of(intervals: InfluxIntervalStore, meters: list[str]) -> dict[str, dict[Width, Cells]]:
    found: dict[str, dict[Width, Cells]] = defaultdict(dict)
    for width in Width:
        for rows in intervals.intervals(meters, width, 0, FOREVER_MS, COUNTERS):
            found[rows.meter][width] = rows.cells
    return found


def test_every_poll_is_stored_once_with_the_values_that_were_served(played: Played) -> None:
    audit = played.audit

    assert audit.missing == audit.doubled == audit.wrong == 0, audit
    assert played.polled == played.stored
    assert played.rejected == played.quarantined == 0
    assert audit.served > 0.7 * played.case.days * 24 * len(played.case.series)


def test_every_stored_counter_is_the_measured_total_of_its_instant(played: Played) -> None:
    for meter, measured in played.measured.items():
        counter = played.counter(meter)
        for point in played.points(meter):
            expected = measured.total(point.counted_ms)
            bound = played.step(meter, counter, expected) + measured.rounding
            assert abs(point.counter - expected) <= bound, (meter, point, expected)


def test_from_hour_to_hour_the_stored_counter_rises_by_what_was_measured(played: Played) -> None:
    for meter, measured in played.measured.items():
        edges = sorted(played.edges(meter).items())
        single = 0
        for (begin, (low, low_bound)), (end, (high, high_bound)) in pairwise(edges):
            expected = measured.between(begin, end)
            assert abs(high - low - expected) <= low_bound + high_bound, (meter, begin, end)
            single += end == begin + 1
        (first, (low, _)), (last, (high, high_bound)) = edges[0], edges[-1]
        assert abs(high - low - measured.between(first, last)) <= 2 * high_bound, meter

        with_data = sum(measured.hour(hour) is not None for hour in range(first, last))
        assert single > 0.6 * with_data, (meter, single, with_data)


def test_a_rate_is_the_measured_one_at_any_speed(played: Played) -> None:
    for meter, measured in played.measured.items():
        rate = RATES[played.counter(meter)]
        for point in played.points(meter):
            expected = measured.hour(point.rated_ms // HOUR_MS) or 0.0
            bound = played.step(meter, rate, expected)
            assert abs(point.rate - expected) <= bound * (1 + 1e-6), (meter, point, expected)


def test_an_hour_without_data_is_a_silent_meter_and_nothing_else(played: Played) -> None:
    # Between an answer's block and its reading's stamp; what is later than that was invented.
    slowest_ms = max(p.at_ms - p.counted_ms for m in played.meters for p in played.points(m))
    for meter, measured in played.measured.items():
        readings = played.readings[meter]
        seen = range(readings[0].at_ms // HOUR_MS, readings[-1].at_ms // HOUR_MS)
        gaps = {hour for hour in seen if measured.hour(hour) is None}
        for reading in readings:
            hour, since_ms = divmod(reading.at_ms, HOUR_MS)
            in_gap = hour in gaps and (hour - 1 in gaps or since_ms > slowest_ms)
            assert not (reading.values and in_gap), reading

        faults = {reading.fault for reading in readings if reading.fault}
        assert faults == ({"timeout"} if gaps else set()), meter
        assert all(s.at_ms // HOUR_MS not in gaps for s in played.served[meter]), meter


def test_the_hours_are_the_hard_ones(played: Played) -> None:
    """The other tests would pass on a month in which nothing happened."""
    kinds: dict[str, int] = defaultdict(int)
    for meter, measured in played.measured.items():
        edges = sorted(played.edges(meter))
        for hour in range(edges[0], edges[-1]):
            value = measured.hour(hour)
            kinds["gap" if value is None else "zero" if value == 0 else "load"] += 1

    if played.case is ELECTRICITY:
        assert kinds["gap"] >= 72 + 24 + 24
    assert kinds["zero"] >= 60
    assert kinds["load"] >= 600


def test_the_clock_is_fast_and_the_timers_are_real(played: Played) -> None:
    assert 0 < played.status["latency_p50_ms"] < 5_000
    assert played.status["latency_p99_ms"] < 15_000


def test_intervals_of_every_width_sum_to_what_the_register_counted(played: Played) -> None:
    for meter in played.measured:
        counter = played.counter(meter)
        counted = [r.values[counter] for r in played.readings[meter] if counter in r.values]
        difference = round(counted[-1] * PER_UNIT) - round(counted[0] * PER_UNIT)
        for width in Width:
            cells = played.settled[meter][width]
            assert int(cells.value[cells.known].sum()) == difference, (meter, width)


def test_a_settled_day_is_what_was_measured_but_for_its_edges(played: Played) -> None:
    days = 0
    for meter, measured in played.measured.items():
        cells = played.settled[meter][Width.DAY]
        sure = cells.known & (cells.missing == 0) & (cells.measured > 0.9)
        for start_ms, value in zip(cells.start_ms[sure], cells.value[sure], strict=True):
            first = int(start_ms) // HOUR_MS
            hours = [measured.hour(hour) or 0.0 for hour in range(first - 2, first + 26)]
            expected = measured.between(first, first + 24)
            # Between two polls across midnight the counter is taken to grow evenly.
            edges = max(hours[:4]) + max(hours[-4:])
            bound = edges + 2 * played.step(meter, played.counter(meter), 1e6)
            assert abs(value / PER_UNIT - expected) <= bound, (meter, start_ms)
            days += 1
    assert days > 0.4 * played.case.days * len(played.measured)
