"""Bus time: what the reads of a bus take, against what there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.bus_url import Serial, parse_bus_url
from gateways.line.timing import request_ms
from gateways.reading.budget import (
    assumed_turnaround_ms,
    bus_budget,
    serial_of,
)
from gateways.reading.meter import build_meters

NAMES = [
    *(f"voltage_l{n}_v" for n in (1, 2, 3)),
    *(f"current_l{n}_a" for n in (1, 2, 3)),
    *(f"active_power_l{n}_kw" for n in (1, 2, 3)),
    *(f"reactive_power_l{n}_kvar" for n in (1, 2, 3)),
    *(f"apparent_power_l{n}_kva" for n in (1, 2, 3)),
    *(f"power_factor_l{n}" for n in (1, 2, 3)),
    "frequency_hz",
    "active_power_kw",
]  # twenty of two registers each
SLOW = (Serial(device="/dev/x", baudrate=9600), 20.0)


def model(every=(), **more):
    """Twenty float32 side by side; `every` are the first ones' periods."""
    periods = [*every, *[0] * (len(NAMES) - len(every))]
    registers = [
        {"address": 2 * place, "quantity": name, "every_s": periods[place]}
        for place, name in enumerate(NAMES)
    ]
    about = {"name": "m", "maker": "m", "measures": "electricity", "confidence": "high"}
    return {**about, "sources": ["s"], "table": "input", "registers": registers, **more}


def meters(content, count=1):
    entries = [{"id": f"m{unit}", "model": "m", "unit": unit} for unit in range(1, count + 1)]
    return build_meters({"url": "tcp://h", "meters": entries}, {"m": content})


def budget(content, count=1, cycle_s=60, line=SLOW, measured=None):
    return bus_budget("serial:///dev/x", cycle_s, meters(content, count), line, measured)


def test_forty_registers_at_9600_baud_take_124_ms_in_one_read_and_900_ms_in_twenty():
    one, twenty = model(), model(limits={"registers": 2})

    assert round(budget(one).cost.average_ms) == 124
    assert round(budget(twenty).cost.average_ms) == 900
    assert round(budget(one, count=32).cost.average_ms) == 3973
    assert round(budget(twenty, count=32).cost.average_ms) == 28800


def test_a_parity_bit_and_a_slower_line_cost_their_time():
    even = (Serial(device="/dev/x", baudrate=2400, parity="E"), 20.0)

    assert round(budget(model(), line=even).cost.average_ms) == 478


def test_a_register_read_once_a_minute_costs_a_ten_second_cycle_a_sixth_of_its_time():
    far = model(every=[60])
    far["registers"][0]["address"] = 1000  # a request of its own

    cost = budget(far, cycle_s=10).cost

    own_ms, rest_ms = 45.0, 121.8 - 1.7 + 0  # two registers alone; nineteen values together
    assert cost.worst_ms == pytest.approx(own_ms + rest_ms, abs=0.3)
    assert cost.average_ms == pytest.approx(own_ms / 6 + rest_ms, abs=0.3)


def test_the_worst_cycle_may_be_one_in_which_less_is_due_and_holes_end_requests():
    own = budget(model(every=[0, 20, 0, 20]), cycle_s=10)

    everything_ms = 124.2
    assert own.meters[0].periods == {10: 18, 20: 2}
    assert len(own.meters[0].blocks) == 1
    assert own.cost.worst_ms == pytest.approx(197.5, abs=0.1)  # 2, 2 and 32 registers
    assert own.cost.average_ms == pytest.approx((everything_ms + own.cost.worst_ms) / 2, abs=0.1)


def test_with_fill_the_holes_are_read_over_and_the_worst_cycle_is_the_full_one():
    own = budget(model(every=[0, 20, 0, 20], fill=2), cycle_s=10)

    assert own.cost.worst_ms == pytest.approx(124.2, abs=0.1)
    assert own.cost.average_ms == pytest.approx(124.2, abs=0.1)


@given(st.lists(st.sampled_from([0, 10, 15, 20, 30, 40, 60]), min_size=1, max_size=20))
def test_the_average_is_that_of_the_cycles_as_they_come(every):
    content = model(every=every, fill=0)
    (meter,) = meters(content)
    rounds = 24  # all the rates above come together again after so many cycles

    average_ms = budget(content, cycle_s=10).cost.average_ms

    total_ms = 0.0
    for cycle in range(rounds):
        due = [r for r in meter.model.registers if cycle % max(1, -(-r.every_s // 10)) == 0]
        total_ms += sum(
            request_ms(SLOW[0], count) + 20.0
            for count in runs_of([r.parts[0].address for r in due])
        )
    assert average_ms == pytest.approx(total_ms / rounds)


def runs_of(addresses):
    """The lengths in registers of runs of float32 that lie side by side."""
    runs, before = [], None
    for address in sorted(addresses):
        if before is not None and address == before + 2:
            runs[-1] += 2
        else:
            runs.append(2)
        before = address
    return runs


def test_periods_that_never_meet_again_are_not_counted_too_low():
    own = budget(model(every=[86_399, 86_371, 3_599]), cycle_s=1)

    assert own.cost.average_ms == pytest.approx(111.7, abs=0.1)  # 34 registers; the rest is rare
    assert own.cost.worst_ms == pytest.approx(160.8, abs=0.1)  # 2 registers, a hole, 36


def test_the_holes_that_are_read_over_are_counted():
    sparse = model(fill=10)
    sparse["registers"][1]["address"] = 46  # 2, 3 are empty now; 40 to 45 before it too

    (meter,) = budget(sparse).meters

    assert (meter.registers, meter.read_over) == (40, 8)


def test_dozens_of_meters_on_a_slow_line_meet_the_cycle_or_the_overrun_is_reported():
    enough = budget(model(), count=32, cycle_s=6)
    tight = budget(model(), count=32, cycle_s=5)
    hopeless = budget(model(), count=32, cycle_s=3)

    assert (enough.is_enough, round(enough.share, 2)) == (True, 0.74)
    assert (tight.is_enough, round(tight.share, 2)) == (False, 0.88)
    assert (hopeless.is_enough, round(hopeless.share, 2)) == (False, 1.47)


def test_a_worst_cycle_that_does_not_fit_is_refused_however_low_the_average():
    rare = model(every=[3600] * 20)

    own = budget(rare, count=32, cycle_s=2)

    assert own.share < 0.01
    assert round(own.worst_share, 1) == 2.2
    assert not own.is_enough


def test_a_tenth_of_the_cycle_is_kept_for_dead_meters():
    assert budget(model(), cycle_s=60).available_ms == 54_000


def test_what_was_measured_goes_before_what_is_assumed():
    own = budget(model(), count=2, measured={"m2": 100.0})

    assert [(m.turnaround_ms, m.measured) for m in own.meters] == [(20.0, False), (100.0, True)]
    assert round(own.cost.average_ms) == 124 + 204


@pytest.mark.parametrize(
    ("url", "turnaround_ms", "baudrate"),
    [
        ("tcp://h", 5.0, None),
        ("rtu+tcp://h:4001", 20.0, 9600),
        ("serial:///dev/x?baudrate=19200", 20.0, 19200),
    ],
)
def test_each_transport_has_its_own_assumptions(url, turnaround_ms, baudrate):
    parsed = parse_bus_url(url)
    serial = serial_of(parsed)

    assert assumed_turnaround_ms(parsed) == turnaround_ms
    assert (serial.baudrate if serial else None) == baudrate


def test_over_a_network_only_the_turnaround_counts():
    own = budget(model(limits={"registers": 2}), line=(None, 5.0))

    assert own.cost.average_ms == 100.0
