"""What is read of a meter in a cycle: what is due, as far as there is time."""

import pytest

from gateways.reading.agenda import Agenda
from gateways.reading.meter import build_meters

MINUTE_MS = 60_000
START_MS = 1_763_800_020_000 - 1_763_800_020_000 % MINUTE_MS
REGISTERS = [
    {"address": 10, "quantity": "active_power_kw", "priority": "high"},
    {"address": 20, "quantity": "voltage_l1_v"},
    {"address": 30, "quantity": "current_thd_l1_pct", "priority": "low"},
    {"address": 40, "quantity": "energy_import_kwh"},
]
MODEL = {
    "name": "M1",
    "maker": "Maker",
    "measures": "electricity",
    "confidence": "high",
    "sources": ["a document"],
    "table": "holding",
    "format": "uint16",
    "registers": REGISTERS,
}


def build(count=1, **entry):
    entries = [{"id": f"m{n}", "model": "m1", "unit": n, **entry} for n in range(1, count + 1)]
    return build_meters({"url": "tcp://h", "meters": entries}, {"m1": MODEL})


def quantities(meter, task):
    if task is None:
        return set()
    return {r.quantity for place in task.groups for r in meter.groups[place].registers}


def live(agenda, meters, cycles, *, cycle_ms=1_000, spare_ms=1e9, request_ms=0.0, from_ms=START_MS):
    """Cycle by cycle, what was read of each meter."""
    read = []
    for number in range(cycles):
        start_ms = from_ms + number * cycle_ms
        in_cycle = {}
        left_ms = spare_ms
        for meter in agenda.order(meters):
            task = agenda.task(meter, start_ms, left_ms)
            if task:
                plan = meter.plan(task.groups)
                took_ms = request_ms * len(plan.blocks)
                left_ms -= took_ms
                agenda.done(meter, task.groups, start_ms)
                agenda.took(meter, plan.blocks, took_ms)
            in_cycle[meter.id] = quantities(meter, task)
        agenda.close(meters, spare_ms - left_ms)
        read.append(in_cycle)
    return read


FAST = {"active_power_kw", "voltage_l1_v", "current_thd_l1_pct"}


def test_power_is_read_every_cycle_and_energy_every_minute_aligned_to_it():
    meters = build()
    agenda = Agenda(cycle_ms=1_000, real_cycle_ms=1_000)

    read = live(agenda, meters, 130, from_ms=START_MS + 10_000)

    energy = [n for n, cycle in enumerate(read) if "energy_import_kwh" in cycle["m1"]]
    assert energy == [0, 50, 110]
    assert all(cycle["m1"] >= FAST for cycle in read)


@pytest.mark.parametrize(
    ("entry", "every"),
    [
        ({"every_s": {"energy_import_kwh": 10}}, 10),
        ({"every_s": {"energy_import_kwh": 0}}, 1),
        ({"cycle_s": 300}, 300),
    ],
)
def test_a_period_can_be_another_for_one_meter(entry, every):
    meters = build(**entry)
    agenda = Agenda(cycle_ms=1_000, real_cycle_ms=1_000)

    # Five-minute periods are those of the clock, too.
    read = live(agenda, meters, 601, from_ms=START_MS - START_MS % 300_000)

    energy = [n for n, cycle in enumerate(read) if "energy_import_kwh" in cycle["m1"]]
    assert energy == list(range(0, 601, every))


def test_a_clock_that_was_set_back_makes_everything_due():
    (meter,) = meters = build()
    agenda = Agenda(cycle_ms=1_000, real_cycle_ms=1_000)
    live(agenda, meters, 1)

    assert "energy_import_kwh" in quantities(meter, agenda.task(meter, START_MS - 86_400_000, 1e9))


def test_what_was_not_answered_stays_due():
    (meter,) = build()
    agenda = Agenda(cycle_ms=1_000, real_cycle_ms=1_000)
    agenda.task(meter, START_MS, 1e9)

    assert "energy_import_kwh" in quantities(meter, agenda.task(meter, START_MS + 1_000, 1e9))


def test_counters_that_fall_due_together_are_read_over_the_cycles_that_follow():
    # A request takes 20 ms: fast 3 x 20 x 10 meters = 600 ms, with energy 800, of 750.
    meters = build(10)
    agenda = Agenda(cycle_ms=1_000, real_cycle_ms=1_000)
    live(agenda, meters, 60, spare_ms=750, request_ms=20)

    read = live(agenda, meters, 60, spare_ms=750, request_ms=20, from_ms=START_MS + MINUTE_MS)

    counted = [sum("energy_import_kwh" in got for got in cycle.values()) for cycle in read]
    assert counted[0] < 10
    assert sum(counted) == 10
    assert counted[5:] == [0] * 55
    assert all(got >= {"active_power_kw", "voltage_l1_v"} for c in read for got in c.values())


def test_on_a_bus_that_is_too_full_what_is_urgent_is_read_and_the_rest_in_turn():
    # Three requests of 20 ms by 30 meters: 1,800 ms, of 900; the urgent third fits.
    meters = build(30)
    agenda = Agenda(cycle_ms=1_000, real_cycle_ms=1_000)

    read = live(agenda, meters, 100, spare_ms=900, request_ms=20)

    assert all("active_power_kw" in got for cycle in read for got in cycle.values())
    for quantity in ("voltage_l1_v", "current_thd_l1_pct", "energy_import_kwh"):
        times = [sum(quantity in c[m.id] for c in read) for m in meters]
        assert min(times) >= 1
    assert agenda.is_crowded
    assert 1_800 <= agenda.needs_ms(meters) <= 2_000


def test_a_slow_meter_on_a_crowded_bus_pauses_and_takes_a_tenth_at_most():
    meters = build(11)
    agenda = Agenda(cycle_ms=1_000, real_cycle_ms=1_000)
    slow_ms, others_ms, asked = 800.0, 50.0, 0

    for number in range(200):
        start_ms = START_MS + number * 1_000
        took_ms = 0.0
        for meter in agenda.order(meters):
            task = agenda.task(meter, start_ms, 1e9)
            if task is None:
                continue
            request_ms = slow_ms if meter.id == "m1" else others_ms
            asked += meter.id == "m1"
            took_ms += request_ms
            agenda.done(meter, task.groups, start_ms)
            agenda.took(meter, meter.plan(task.groups).blocks, request_ms)
        agenda.close(meters, took_ms)

    assert "m1" in agenda.slow
    assert asked * slow_ms <= 200 * 1_000 * 0.10 + 3 * slow_ms  # the first ones were not known


def test_a_slow_meter_on_a_bus_with_time_is_read_every_cycle():
    meters = build(3)
    agenda = Agenda(cycle_ms=60_000, real_cycle_ms=60_000)

    read = live(agenda, meters, 10, cycle_ms=60_000, spare_ms=54_000, request_ms=900)

    assert all(all(cycle.values()) for cycle in read)
    assert agenda.slow == frozenset()


def test_a_meter_that_takes_longer_than_a_cycle_is_read_all_the_same():
    meters = build(2)
    agenda = Agenda(cycle_ms=1_000, real_cycle_ms=1_000)

    read = live(agenda, meters, 20, spare_ms=900, request_ms=500)

    for meter in meters:
        assert sum(cycle[meter.id] >= FAST for cycle in read) >= 9
