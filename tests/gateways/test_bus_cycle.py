import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.bus_cycle import poll_cycle
from gateways.meter import build_meters
from gateways.patience import DEAD_SHARE, PROBE_SHARE, Heard, Patience
from gateways.poll import BusDisconnected, MeterSilent
from metering.reading import Fault
from tests.fakes.bus import FakeBus
from tests.fakes.clock import FakeClock

MODEL = {
    "name": "M1",
    "maker": "Maker",
    "measures": "electricity",
    "confidence": "high",
    "sources": ["a document"],
    "table": "holding",
    "format": "uint16",
    "registers": [{"address": 10, "quantity": "voltage_l1_v"}],
}
ANSWER_MS = 20
TIMEOUT_MS = 1000


class Line:
    """A bus with meters 1..n whose answers take 20 ms and whose silences take 1 s."""

    def __init__(self, meters, *, cycle_s=60, speed=1.0):
        entries = [{"id": f"m{unit}", "model": "m1", "unit": unit} for unit in range(1, meters + 1)]
        self.meters = build_meters({"url": "tcp://h", "meters": entries}, {"m1": MODEL})
        self.bus = FakeBus()
        self.clock = FakeClock(speed=speed)
        self.bus.on_read = self._take_time
        self.cycle_ms = cycle_s * 1000
        self.patience = Patience(cycle_ms=self.cycle_ms)
        self.cycles = []

    def silence(self, *units):
        for unit in units:
            self.bus.wrong[unit] = lambda: MeterSilent("nothing came")

    def _take_time(self):
        silent = self.bus.asked[-1][0] in self.bus.wrong
        real_ms = TIMEOUT_MS if silent else ANSWER_MS
        self.clock.pass_ms(round(real_ms * self.clock.speed))

    def run(self, cycles=1):
        """Faults and answers per cycle, as {meter: fault}."""
        for _ in range(cycles):
            told = []
            result = asyncio.run(
                poll_cycle(self.bus, self.meters, self.clock, self.patience, told.append)
            )
            assert tuple(told) == result.readings
            self.patience = result.patience
            self.cycles.append({reading.meter: reading.fault for reading in result.readings})
        return self.cycles[-1]

    def real_ms(self):
        return self.clock.monotonic_ms()


def test_every_meter_is_asked_in_the_order_of_the_cut():
    line = Line(3)
    line.run()

    assert [unit for unit, *_ in line.bus.asked] == [1, 2, 3]


def test_a_dead_meter_leaves_the_others_on_schedule():
    line = Line(10, cycle_s=1)
    line.silence(4)
    line.run(600)

    well = [f"m{unit}" for unit in range(1, 11) if unit != 4]
    assert all(cycle[meter] is None for cycle in line.cycles for meter in well)


def test_a_dead_meters_cost_is_bounded():
    line = Line(10, cycle_s=1)
    line.silence(4)
    line.run(600)

    asked = sum("m4" in cycle for cycle in line.cycles)
    assert 600 * DEAD_SHARE <= asked <= 600 * DEAD_SHARE + 8  # the pauses grow to it first


def test_a_silent_meter_is_asked_after_all_others():
    line = Line(3)
    line.silence(1)
    line.run(2)

    assert [unit for unit, *_ in line.bus.asked] == [1, 2, 3, 2, 3, 1]


def test_pauses_grow_and_one_answer_ends_them():
    line = Line(1, cycle_s=1)
    line.silence(1)
    line.run(30)
    asked = [number for number, cycle in enumerate(line.cycles) if cycle]
    line.bus.wrong.clear()
    line.run(40)

    assert asked == [0, 1, 3, 6, 11, 20]
    assert line.cycles[37] == {"m1": None}
    assert all(cycle == {"m1": None} for cycle in line.cycles[37:])


def test_when_all_are_silent_probes_take_a_share_of_the_cycle_and_everyone_has_a_turn():
    line = Line(32, cycle_s=8)
    line.silence(*range(1, 33))
    line.run()
    from_ms = line.real_ms()
    line.run(100)

    assert line.real_ms() - from_ms <= 100 * 8000 * PROBE_SHARE
    assert set().union(*line.cycles[1:]) == {meter.id for meter in line.meters}


def test_on_a_full_bus_one_probe_is_made():
    line = Line(2, cycle_s=1)
    line.silence(1, 2)
    line.run()

    assert len(line.run()) == 1


def test_a_fallen_bus_is_no_meters_silence():
    line = Line(3)
    for unit in (1, 2, 3):
        line.bus.wrong[unit] = lambda: BusDisconnected("no route")

    faults = line.run()

    assert set(faults.values()) == {Fault.DISCONNECTED}
    assert line.patience.silent == frozenset()


def test_a_fallen_bus_does_not_end_a_silence_either():
    line = Line(2)
    line.silence(1)
    line.run()
    for unit in (1, 2):
        line.bus.wrong[unit] = lambda: BusDisconnected("no route")
    line.run()

    assert line.patience.silent == {"m1"}


def test_a_clock_too_fast_for_any_probe_still_makes_one():
    line = Line(2, cycle_s=1, speed=10_000)
    line.silence(1, 2)
    line.run()

    assert len(line.run()) == 1


def test_a_faster_clock_makes_timeouts_no_cheaper():
    # 60 s pass in 1 s, so a silence takes a whole cycle.
    line = Line(1, cycle_s=60, speed=60)
    line.silence(1)
    line.run(200)

    assert sum(bool(cycle) for cycle in line.cycles) <= 12


@pytest.mark.parametrize("times", range(1, 40))
def test_a_silent_meter_is_never_forgotten(times):
    patience = Patience(cycle_ms=1000)
    for _ in range(times):
        patience = patience.after({"m1": Heard(answered=False, took_ms=1000)}, 1000)
    waited = 0
    while not patience.turn(["m1"]).probes:
        patience = patience.after({}, 1000)
        waited += 1

    assert waited <= 60


@given(st.lists(st.sets(st.sampled_from(["a", "b", "c", "d"])), max_size=60))
def test_nobody_is_asked_twice_and_only_the_silent_are_left_out(silent_by_cycle):
    everyone = ["a", "b", "c", "d"]
    patience = Patience(cycle_ms=1000)
    for silent in silent_by_cycle:
        turn = patience.turn(everyone)
        asked = [*turn.regular, *turn.probes]
        left_out = set(everyone) - set(asked)
        assert len(asked) == len(set(asked))
        assert left_out <= patience.silent
        heard = {m: Heard(answered=m not in silent, took_ms=1000) for m in asked}
        patience = patience.after(heard, 1000)
