"""A year in minutes: simulated loads in replayed time, and what they look like in the store.

The example district lives a week in twenty seconds in CI, a year in ten minutes as torture.
Only what is stored is looked at: counters, mains against what is behind them, the shapes of day,
week and sun.
"""

import json
import re
from bisect import bisect_left
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest
from msgspec import Struct

from documents.settings import ReplaySettings, clock_of
from documents.tree import read_mapping
from gateways.simulator.document import make_clock, read_document
from metering.clock import SystemClock
from metering.reading import Reading
from tests.e2e.replayed import ReplayedWorld
from tests.torture.world import FOREVER_MS

DOCS = Path(__file__).parents[2] / "docs" / "replay.md"
SHANGHAI = timezone(timedelta(hours=8))
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

# What a main counts and nothing behind it does, by the simulator's design: see its `district`.
LOSSES = (0.01, 0.03)
MAINS = {
    "e001-main": (
        *("e001-light", "e001-chiller", "e001-ahu3", "e001-lift", "e001-pump"),
        *("e001-it", "e001-kitchen", "e001-imaging"),
    ),
    "e001-light": ("e001-ward-light", "e001-emergency-light"),
    "d001-main": ("d001-light", "d001-air", "d001-pump", "d001-canteen", "d001-lab"),
    "a001-main": ("a001-light", "a001-vrf", "a001-lift", "a001-it", "a001-canteen"),
}
COUNTERS = ("energy_import_kwh", "energy_export_kwh", "volume_m3", "heat_energy_gj")


class Lived(Struct, frozen=True, kw_only=True):
    """What a replayed time left in the store."""

    start: datetime
    end: datetime
    speed: float
    readings: dict[str, list[Reading]]

    def counted(self, meter: str, quantity: str, begin_ms: int, end_ms: int) -> float:
        """What a counter rose in a time, between the readings on both sides of its edges."""
        return self._at(meter, quantity, end_ms) - self._at(meter, quantity, begin_ms)

    def _at(self, meter: str, quantity: str, at_ms: int) -> float:
        readings = self.readings[meter]
        right = bisect_left(readings, at_ms, key=lambda reading: reading.at_ms)
        right = min(max(right, 1), len(readings) - 1)
        before, after = readings[right - 1], readings[right]
        share = (at_ms - before.at_ms) / (after.at_ms - before.at_ms)
        low, high = before.values[quantity], after.values[quantity]
        return low + (high - low) * share

    def days(self) -> list[datetime]:
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days)]

    def power(self, meter: str, days: list[datetime], hours: tuple[int, int]) -> float:
        """Mean of the counter's rise per hour between two hours of the local days."""
        first, last = hours
        rises = []
        for day in days:
            begin_ms = round(day.timestamp() * 1000) + first * HOUR_MS
            end_ms = begin_ms + (last - first) * HOUR_MS
            rises.append(self.counted(meter, "energy_import_kwh", begin_ms, end_ms))
        return mean(rises) / (last - first)


def live(folder: Path, *, start: datetime, days: int, speed: float) -> Lived:
    """Let the example district live; everything that was served must be stored once."""
    end = start + timedelta(days=days)
    world = ReplayedWorld(folder, start=start, speed=speed)
    try:
        world.start()
        world.live_until(end)
        status, views = world.ask("/status"), world.ask("/gateways")
        world.parts.collector.stop()
        world.parts.simulator.stop()
        audit = world.audited()
        store = world.open_store()
        try:
            meters = [reading.meter for reading in store.latest()]
            stored = store.readings(meters, None, 0, FOREVER_MS)
            count, rejections = store.count().readings, store.rejections(0, FOREVER_MS)
        finally:
            store.close()
    finally:
        world.stop()
    assert audit.missing == audit.doubled == audit.wrong == 0, audit
    assert sum(view["state"]["polled"] for view in views) == count
    assert rejections == []
    assert status["latency_p99_ms"] < 15_000
    readings = {meter: [r for r in stored if r.meter == meter] for meter in meters}
    return Lived(start=start, end=end, speed=speed, readings=readings)


def check_counters(lived: Lived) -> None:
    assert len(lived.readings) == 32
    hours = (lived.end - lived.start) / timedelta(hours=1)
    for meter, readings in lived.readings.items():
        # A busy machine leaves cycles out; what is there must be right all the same.
        assert len(readings) > 0.5 * hours, meter
        last: dict[str, float] = {}  # a reading may hold some of a meter's quantities only
        for reading in readings:
            for name in COUNTERS:
                if name in reading.values:
                    assert reading.values[name] >= last.get(name, 0.0), (meter, name, reading)
                    last[name] = reading.values[name]
    for main in MAINS:
        ends = lived.readings[main][0], lived.readings[main][-1]
        assert ends[1].values["energy_import_kwh"] > ends[0].values["energy_import_kwh"]


def check_mains(lived: Lived) -> None:
    """A main is what is behind it, and losses, over all of the time and over each day of it."""
    begin_ms, end_ms = (round(at.timestamp() * 1000) for at in (lived.start, lived.end))
    # The first and the last day are left out: their edges need readings on both sides.
    for main, behind in MAINS.items():
        whole = losses(lived, main, behind, begin_ms + DAY_MS, end_ms - DAY_MS)
        assert LOSSES[0] - 0.005 < whole < LOSSES[1] + 0.005, (main, whole)
        for day in lived.days()[1:-1]:
            day_ms = round(day.timestamp() * 1000)
            share = losses(lived, main, behind, day_ms, day_ms + DAY_MS)
            assert abs(share - whole) < 0.08, (main, day, share)


def losses(lived: Lived, main: str, behind: tuple[str, ...], begin_ms: int, end_ms: int) -> float:
    name = "energy_import_kwh"
    parts = sum(lived.counted(part, name, begin_ms, end_ms) for part in behind)
    return lived.counted(main, name, begin_ms, end_ms) / parts - 1


def check_shapes(lived: Lived) -> None:
    days = lived.days()[1:-1]
    work = [day for day in days if day.weekday() < 5]
    rest = [day for day in days if day.weekday() >= 5]
    night, day = (1, 5), (9, 17)
    for main, most in (("e001-main", 0.75), ("d001-main", 0.5), ("a001-main", 0.6)):
        assert lived.power(main, work, night) < most * lived.power(main, work, day), main
    for main, most in (("e001-main", 0.95), ("d001-main", 0.5), ("a001-main", 0.6)):
        assert lived.power(main, rest, day) < most * lived.power(main, work, day), main


def check_sun(lived: Lived) -> None:
    """Nothing at night, something at noon of every day, all of it exported."""
    night, noon = {22, 23, 0, 1, 2, 3}, {11, 12, 13}
    readings = [(local_hour(reading), reading) for reading in lived.readings["d001-pv"]]
    dark = [reading for hour, reading in readings if hour in night]
    bright = [reading for hour, reading in readings if hour in noon]
    assert min(len(dark), len(bright)) > len(lived.days())
    assert all(reading.values["active_power_kw"] == 0 for reading in dark)
    assert all(reading.values["active_power_kw"] < 0 for reading in bright)
    for before, after in pairwise(dark):
        rise = after.values["energy_export_kwh"] - before.values["energy_export_kwh"]
        assert rise == 0 or after.at_ms - before.at_ms > 8 * HOUR_MS, after


def local_hour(reading: Reading) -> int:
    return datetime.fromtimestamp(reading.at_ms / 1000, SHANGHAI).hour


def test_the_clock_in_the_docs_is_the_same_time_to_all_three(tmp_path: Path) -> None:
    text = DOCS.read_text(encoding="utf-8")
    block, *_ = re.findall(r"^```yaml\n(clock:.*?)^```", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "clock.yaml").write_text(block)
    entry = read_mapping(tmp_path / "clock.yaml")["clock"]

    document = read_document({"fleet": "config", "clock": entry})
    simulator = make_clock(document.clock, SystemClock())
    others = clock_of(ReplaySettings.model_validate_json(json.dumps(entry)))

    assert abs(simulator.now_ms() - others.now_ms()) < 100 * document.clock.speed
    assert simulator.real_s(3_600_000) == others.real_s(3_600_000) == 1.0


@pytest.mark.server
@pytest.mark.timeout(120)
def test_a_week_passes_in_twenty_seconds(tmp_path: Path) -> None:
    lived = live(
        tmp_path, start=datetime(2025, 3, 3, tzinfo=SHANGHAI), days=8, speed=8 * 86_400 / 22
    )

    check_counters(lived)
    check_mains(lived)
    check_shapes(lived)
    check_sun(lived)


@pytest.mark.server
@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_a_year_passes_in_ten_minutes(tmp_path: Path) -> None:
    lived = live(
        tmp_path, start=datetime(2025, 1, 10, tzinfo=SHANGHAI), days=365, speed=365 * 86_400 / 600
    )

    check_counters(lived)
    check_mains(lived)
    check_shapes(lived)
    check_sun(lived)
    check_seasons(lived)


def check_seasons(lived: Lived) -> None:
    """Heat in winter and none in summer, cooling the other way round; the sun stays longer."""

    def month(number: int) -> tuple[int, int]:
        begin = datetime(2025, number, 2, tzinfo=SHANGHAI)
        end = datetime(2025, number + 1, 1, tzinfo=SHANGHAI)
        return round(begin.timestamp() * 1000), round(end.timestamp() * 1000)

    winter, summer = month(2), month(7)
    assert lived.counted("e001-heat", "heat_energy_gj", *summer) == 0
    assert lived.counted("e001-heat", "heat_energy_gj", *winter) > 0
    for meter, quantity in (
        ("e001-chiller", "energy_import_kwh"),
        ("d001-pv", "energy_export_kwh"),
    ):
        least = 1.3 * lived.counted(meter, quantity, *winter)
        assert lived.counted(meter, quantity, *summer) > least, meter
