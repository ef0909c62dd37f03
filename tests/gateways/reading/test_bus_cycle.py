import asyncio
from itertools import pairwise

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateways.library.model import IdentityName
from gateways.reading.bus_cycle import BusCycle
from gateways.reading.memory import Notebook, Remembered
from gateways.reading.meter import build_meters
from gateways.reading.patience import DEAD_SHARE, Heard, Patience
from gateways.reading.poll import AnswerSuspect, BusDisconnected, MeterRefused, MeterSilent
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

    def __init__(self, meters, *, cycle_s=60, speed=1.0, model=MODEL, entries=None, kept=None):
        entries = entries or [
            {"id": f"m{unit}", "model": "m1", "unit": unit} for unit in range(1, meters + 1)
        ]
        self.meters = build_meters({"url": "tcp://h", "meters": entries}, {"m1": model})
        self.bus = FakeBus()
        self.clock = FakeClock(speed=speed)
        self.bus.on_read = self._take_time
        self.answer_ms = dict.fromkeys(range(1, 256), ANSWER_MS)
        self.cycle_ms = cycle_s * 1000
        self.notebook = Notebook(kept or Remembered())
        self.cycle = self.begin()
        self.cycles = []
        self.readings = []
        self.late_ms = []  # how much too late each cycle began, in real time
        self.start_ms = self.clock.now_ms() - self.clock.now_ms() % self.cycle_ms

    def begin(self):
        return BusCycle(
            self.bus, self.meters, self.clock, cycle_ms=self.cycle_ms, notebook=self.notebook
        )

    def silence(self, *units):
        for unit in units:
            self.bus.wrong[unit] = lambda: MeterSilent("nothing came")

    def _take_time(self):
        unit = self.bus.asked[-1][0]
        real_ms = TIMEOUT_MS if unit in self.bus.wrong else self.answer_ms[unit]
        self.clock.pass_ms(round(real_ms * self.clock.speed))

    def run(self, cycles=1):
        """Faults and answers per cycle, as {meter: fault}; the clock goes on to each start."""
        for _ in range(cycles):
            self.start_ms += self.cycle_ms
            self.clock.pass_ms(max(0, self.start_ms - self.clock.now_ms()))
            self.late_ms.append(self.clock.real_s(self.clock.now_ms() - self.start_ms) * 1000)
            told = []
            asyncio.run(self._cycle(told))
            self.readings += told
            self.cycles.append({reading.meter: reading.fault for reading in told})
        return self.cycles[-1]

    async def _cycle(self, told):
        self.result = await self.cycle.run(self.start_ms, told.append)

    @property
    def silent(self):
        return self.cycle._patience.silent

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
    line = Line(10, cycle_s=2)
    line.silence(4)
    line.run(600)

    asked = sum("m4" in cycle for cycle in line.cycles)
    assert 600 * 2 * DEAD_SHARE <= asked <= 600 * 2 * DEAD_SHARE + 8  # the pauses grow to it first


def test_a_silent_meter_is_asked_after_all_others():
    line = Line(3)
    line.silence(1)
    line.run(2)

    assert [unit for unit, *_ in line.bus.asked] == [1, 2, 3, 2, 3, 1]


def test_pauses_grow_and_one_answer_ends_them():
    line = Line(2, cycle_s=20)
    line.silence(1)
    line.run(30)
    asked = [number for number, cycle in enumerate(line.cycles) if "m1" in cycle]
    line.bus.wrong.clear()
    line.run(4)

    assert asked == [0, 1, 3, 6, 10, 14, 18, 22, 26]  # one second of eighty, in the end
    assert [cycle["m1"] for cycle in line.cycles[30:]] == [None] * 4


def test_when_all_are_silent_one_is_asked_a_cycle_and_everyone_has_a_turn():
    line = Line(32, cycle_s=8)
    line.silence(*range(1, 33))
    line.run()
    asked = len(line.bus.asked)
    line.run(500)

    assert 500 <= len(line.bus.asked) - asked <= 520
    assert set().union(*line.cycles[1:]) == {meter.id for meter in line.meters}


def test_when_a_line_is_back_all_of_its_meters_are_within_cycles_not_minutes():
    line = Line(32, cycle_s=8)
    line.silence(*range(1, 33))
    line.run(40)
    line.bus.wrong.clear()
    line.run(3)

    back = set().union(*({m for m, fault in c.items() if fault is None} for c in line.cycles[-3:]))
    assert back == {meter.id for meter in line.meters}


@pytest.mark.usefixtures("uncounted")
def test_five_dead_meters_of_32_leave_the_others_on_schedule_and_are_still_probed():
    line = Line(32, cycle_s=4)
    line.silence(3, 9, 17, 20, 31)
    line.run(1000)

    well = [f"m{unit}" for unit in range(1, 33) if unit not in (3, 9, 17, 20, 31)]
    assert all(cycle[meter] is None for cycle in line.cycles for meter in well)
    assert max(line.late_ms[3:]) == 0  # the first silences cost what they cost
    assert all(sum(f"m{unit}" in c for c in line.cycles) > 30 for unit in (3, 9, 17, 20, 31))


def test_a_probe_that_would_delay_the_others_waits_for_room_two_minutes_at_most():
    line = Line(3, cycle_s=1)  # 60 ms of answers leave 940 ms, a silence takes 1,000
    line.silence(2)
    line.run(600)

    probes = [number for number, cycle in enumerate(line.cycles) if "m2" in cycle]
    gaps = [after - before for before, after in pairwise(probes[2:])]
    assert set(gaps) <= {120, 121}
    assert sum(late > 0 for late in line.late_ms[3:]) <= 6


def test_a_fallen_bus_is_no_meters_silence():
    line = Line(3)
    for unit in (1, 2, 3):
        line.bus.wrong[unit] = lambda: BusDisconnected("no route")

    faults = line.run()

    assert set(faults.values()) == {Fault.DISCONNECTED}
    assert line.silent == frozenset()


def test_a_fallen_bus_does_not_end_a_silence_either():
    line = Line(2)
    line.silence(1)
    line.run()
    for unit in (1, 2):
        line.bus.wrong[unit] = lambda: BusDisconnected("no route")
    line.run()

    assert line.silent == {"m1"}


def test_where_no_probe_ever_fits_the_allowance_alone_decides():
    line = Line(2, cycle_s=60, speed=600)  # a cycle of 100 ms; a silence takes ten of them
    line.silence(1, 2)
    line.run(2_500)

    assert all(sum(meter in cycle for cycle in line.cycles) >= 10 for meter in ("m1", "m2"))
    assert sum(map(bool, line.cycles)) * TIMEOUT_MS <= 2_500 * 100 * 0.1 + 3 * TIMEOUT_MS


def test_a_faster_clock_makes_timeouts_no_cheaper():
    # 60 s pass in 1 s, so a silence takes a whole cycle.
    line = Line(2, cycle_s=60, speed=60)
    line.silence(1)
    line.run(200)

    assert sum("m1" in cycle for cycle in line.cycles) <= 12


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


# ---- holes


WIDE = {
    **MODEL,
    "fill": 4,
    "registers": [
        {"address": address, "quantity": quantity}
        for address, quantity in (
            (10, "voltage_l1_v"),
            (12, "voltage_l2_v"),
            (14, "voltage_l3_v"),
            (16, "frequency_hz"),
        )
    ],
}


def test_a_hole_that_two_meters_have_is_never_asked_for_again_by_any_of_their_kind():
    line = Line(3, model=WIDE)
    for unit in (1, 2, 3):
        line.bus.holes[unit] = {13}
    line.run(3)

    whole = {"voltage_l1_v": 10.0, "voltage_l2_v": 12.0, "voltage_l3_v": 14.0, "frequency_hz": 16.0}
    assert all(reading.values == whole for reading in line.readings)
    refused = [asked for asked in line.bus.asked if 13 in range(asked[2], asked[2] + asked[3])]
    assert refused == [(1, "holding", 10, 7), (2, "holding", 10, 7)]  # once each, not by the third
    assert line.cycles[-1] == {"m1": None, "m2": None, "m3": None}


def test_what_was_learnt_is_known_after_a_restart():
    line = Line(1, model=WIDE)
    line.bus.holes[1] = {13}
    line.run(13)  # found, and found again when it was doubted after ten minutes
    asked = len(line.bus.asked)

    line.cycle = line.begin()
    line.run()

    assert [(start, count) for _, _, start, count in line.bus.asked[asked:]] == [(10, 3), (14, 3)]


def test_a_hole_is_asked_again_after_a_week():
    line = Line(1, model=WIDE, cycle_s=3600)
    line.bus.holes[1] = {13}
    line.run(2)
    assert line.notebook.remembered.terrains["m1"].holes
    line.bus.holes.clear()

    line.run(6 * 24)
    assert line.bus.asked[-1][2:] == (14, 3)
    line.run(3 * 24)
    assert line.bus.asked[-1][2:] == (10, 7)


def test_a_passing_refusal_takes_nothing_from_meters_that_answer_and_little_from_its_own():
    line = Line(2, model=WIDE)
    line.run(2)
    line.bus.holes[1] = {12}
    line.run(2)
    line.bus.holes.clear()
    line.run(13)

    whole = {"voltage_l1_v", "voltage_l2_v", "voltage_l3_v", "frequency_hz"}
    assert all(set(r.values) == whole for r in line.readings if r.meter == "m2")
    assert set(line.readings[-2].values) == whole  # asked again after ten minutes
    assert line.notebook.remembered == Remembered()


def test_a_meter_that_has_answered_a_register_is_not_told_that_it_cannot():
    line = Line(3, model=WIDE)
    line.run(2)
    for unit in (1, 2):
        line.bus.holes[unit] = {13}
    line.run(2)

    assert line.notebook.remembered.terrains["m1"].holes
    assert line.bus.asked[-1] == (3, "holding", 10, 7)


def test_what_one_bus_learnt_does_not_erase_what_another_did():
    line = Line(2, model=WIDE)
    other = line.begin()
    for unit in (1, 2):
        line.bus.holes[unit] = {13}
    line.run()
    line.cycle, line.bus.holes = other, {1: {11}, 2: {11}}
    line.run()

    holes = line.notebook.remembered.terrains["m1"].holes
    assert [hole.address for hole in holes] == [11, 13]


def test_a_meter_that_is_mute_at_one_place_is_read_at_the_others():
    model = {
        **MODEL,
        "registers": [
            {"address": 10, "quantity": "voltage_l1_v"},
            {"address": 50, "quantity": "frequency_hz"},
        ],
    }
    line = Line(2, model=model, cycle_s=5)
    line.bus.refused[(1, 50)] = lambda: MeterSilent("nothing came")
    line.run(100)

    assert sum("m1" in cycle for cycle in line.cycles) >= 95
    assert all(cycle["m2"] is None for cycle in line.cycles)


def test_a_bus_that_was_crowded_once_is_not_so_for_ever():
    low = {**MODEL["registers"][0], "address": 90, "quantity": "power_factor", "priority": "low"}
    line = Line(10, model={**MODEL, "registers": [*MODEL["registers"], low]}, cycle_s=10)
    line.answer_ms = dict.fromkeys(range(1, 256), 600)
    line.run(2)
    assert line.result.is_crowded

    line.answer_ms = dict.fromkeys(range(1, 256), 70)
    line.run(20)
    assert not line.result.is_crowded
    assert all("power_factor" in r.values for r in line.readings[-10:])


def test_a_counter_that_falls_has_its_meter_asked_who_it_is():
    model = {
        **NAMED,
        "every_s": {"gauge": 0, "counter": 0},
        "registers": [{"address": 10, "quantity": "energy_import_kwh"}],
    }
    line = Line(1, model=model)
    named(line, 1, 7001)
    line.bus.words[(1, 10)] = 5000
    line.run(2)
    named(line, 1, 9009)  # swapped between two polls
    line.bus.words[(1, 10)] = 3

    assert line.run() == {"m1": Fault.IDENTITY}


def test_a_device_that_is_too_busy_to_say_who_it_is_is_asked_again_at_once():
    line = Line(1, model=NAMED)
    named(line, 1, 7001)
    line.run()
    line.silence(1)
    line.run(2)
    line.bus.wrong.clear()
    named(line, 1, 9009)
    for address in (90, 91):
        line.bus.refused[(1, address)] = lambda: MeterRefused("exception 6 came", 6)
    line.run()
    line.bus.refused.clear()

    assert line.run() == {"m1": Fault.IDENTITY}


def test_a_meter_that_refuses_everything_teaches_nothing():
    line = Line(1, model=WIDE)
    line.bus.holes[1] = set(range(100))
    line.run(2)
    line.bus.holes.clear()

    assert line.notebook.remembered == Remembered()
    assert line.cycles[-1] == {"m1": Fault.EXCEPTION}
    assert line.run() == {"m1": None}


def test_a_register_that_is_refused_is_left_out_and_named_in_the_standing():
    line = Line(1, model=WIDE)
    line.bus.holes[1] = {12}
    line.run(2)

    assert set(line.readings[-1].values) == {"voltage_l1_v", "voltage_l3_v", "frequency_hz"}
    holes = line.cycle.standings()["m1"].meter.terrain.holes
    assert [str(hole) for hole in holes] == ["holding 12"]


# ---- who answers there


NAMED = {
    **MODEL,
    "identity": {
        "serial": {"address": 90, "format": "uint16"},
        "firmware": {"address": 91, "format": "uint16"},
    },
}


def named(line, unit, serial, firmware=1):
    line.bus.words[(unit, 90)] = serial
    line.bus.words[(unit, 91)] = firmware


def test_a_device_says_who_it_is_once_a_day():
    line = Line(1, model=NAMED, cycle_s=3600)
    named(line, 1, 7001)
    line.run(51)

    asked = [address for _, _, address, _ in line.bus.asked]
    assert asked.count(90) == 3
    assert line.notebook.remembered.identities == {"m1": {"serial": "7001", "firmware": "1"}}


def test_a_swapped_meter_is_reported_and_its_readings_are_held_apart():
    line = Line(2, model=NAMED)
    named(line, 1, 7001)
    named(line, 2, 7002)
    line.run(2)
    line.silence(1)  # somebody takes it off the wall …
    line.run(2)
    line.bus.wrong.clear()
    named(line, 1, 9009)  # … and hangs up another one
    with structlog.testing.capture_logs() as logs:
        line.run(3)

    assert [cycle.get("m1") for cycle in line.cycles[-2:]] == [Fault.IDENTITY] * 2
    assert all(cycle["m2"] is None for cycle in line.cycles)
    assert line.readings[-1].values or line.readings[-2].values  # they are kept, beside
    (said,) = [one for one in logs if one["event"] == "meter.other_device"]
    assert (said["meter"], said["expected"]) == ("m1", "serial 7001")
    assert line.cycle.standings()["m1"].meeting.expected == "serial 7001"


def test_what_a_stranger_said_before_it_fell_silent_is_held_apart_too():
    kept = Remembered().knows("m1", {IdentityName.SERIAL: "7001"})
    model = {
        **NAMED,
        "registers": [
            {"address": 10, "quantity": "voltage_l1_v"},
            {"address": 50, "quantity": "frequency_hz"},
        ],
    }
    line = Line(1, model=model, kept=kept)
    named(line, 1, 9009)
    line.bus.refused[(1, 50)] = lambda: MeterSilent("nothing came")

    assert line.run() == {"m1": Fault.IDENTITY}
    assert line.readings[-1].values == {"voltage_l1_v": 10.0}


def test_a_stranger_teaches_nothing_about_the_model():
    kept = Remembered().knows("m1", {IdentityName.SERIAL: "7001"})
    line = Line(1, model={**WIDE, "identity": NAMED["identity"]}, kept=kept)
    named(line, 1, 9009)
    line.bus.holes[1] = {13}
    line.run(2)

    assert line.notebook.remembered == kept


def test_a_serial_number_that_is_kept_back_for_once_is_not_forgotten():
    line = Line(1, model=NAMED)
    named(line, 1, 7001, firmware=1)
    line.run()
    line.silence(1)
    line.run(2)
    line.bus.wrong.clear()
    line.bus.holes[1] = {90}  # the serial number is refused this time
    named(line, 1, 7001, firmware=2)
    line.run(2)

    known = {IdentityName.SERIAL: "7001", IdentityName.FIRMWARE: "2"}
    assert line.notebook.remembered.identities["m1"] == known


def test_a_name_that_may_be_anothers_is_asked_again_before_any_value_is_believed():
    line = Line(1, model=NAMED)
    named(line, 1, 7001)
    line.bus.refused[(1, 90)] = lambda: AnswerSuspect("it may be of the request before", [9009])

    assert line.run() == {"m1": Fault.LATE}
    assert line.readings[-1].values == {}
    assert line.notebook.remembered.identities == {}

    del line.bus.refused[(1, 90)]
    assert line.run() == {"m1": None}
    assert line.notebook.remembered.identities["m1"][IdentityName.SERIAL] == "7001"


def test_a_person_accepts_a_swapped_meter_by_its_serial_number_in_the_fleet():
    kept = Remembered().knows("m1", {IdentityName.SERIAL: "7001"})
    entries = [{"id": "m1", "model": "m1", "unit": 1, "serial": "9009"}]
    line = Line(1, model=NAMED, kept=kept, entries=entries)
    named(line, 1, 9009)

    assert line.run() == {"m1": None}
    assert line.notebook.remembered.identities["m1"][IdentityName.SERIAL] == "9009"


def test_on_ports_that_changed_their_numbers_each_finds_whose_meter_it_is():
    kept = Remembered()
    kept = kept.knows("m1", {IdentityName.SERIAL: "7001", IdentityName.FIRMWARE: "1"})
    kept = kept.knows("other-bus-m1", {IdentityName.SERIAL: "7555", IdentityName.FIRMWARE: "1"})
    line = Line(1, model=NAMED, kept=kept)
    named(line, 1, 7555)
    with structlog.testing.capture_logs() as logs:
        faults = line.run()

    assert faults == {"m1": Fault.IDENTITY}
    assert logs[0]["meant"] == "other-bus-m1"


def test_a_device_that_refuses_to_say_who_it_is_is_read_like_others():
    line = Line(1, model=NAMED)
    line.bus.holes[1] = {90, 91}

    assert line.run() == {"m1": None}
    assert line.run() == {"m1": None}
    assert [address for _, _, address, _ in line.bus.asked] == [90, 91, 10, 10]


def test_holes_belong_to_a_firmware():
    line = Line(2, model={**WIDE, "identity": NAMED["identity"]})
    named(line, 1, 7001, firmware=1)
    named(line, 2, 7002, firmware=2)
    line.bus.holes[1] = {13}
    line.run(3)

    reads = [(start, count) for unit, _, start, count in line.bus.asked if unit == 2 and start < 90]
    assert reads == [(10, 7)] * 3


# ---- late answers


def test_an_answer_that_may_be_late_is_kept_under_suspicion_and_counted():
    line = Line(1)
    line.bus.wrong[1] = lambda: AnswerSuspect("it may be of the request before", [230])
    faults = line.run()

    assert faults == {"m1": Fault.LATE}
    assert line.readings[-1].values == {"voltage_l1_v": 230.0}
    assert line.cycle.standings()["m1"].suspect == 1
