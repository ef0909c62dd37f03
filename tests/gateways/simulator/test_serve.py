"""From the simulated register to the Reading, over real sockets."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from gateways.adapters.modbus import open_bus
from gateways.library.folder import load_models
from gateways.library.model import Table
from gateways.reading.bus_cycle import BusCycle
from gateways.reading.memory import Notebook, Remembered
from gateways.reading.meter import build_meters
from gateways.reading.poll import MeterRefused, poll_meter
from gateways.simulator.bus.network import BusUnavailable
from gateways.simulator.district import build_simulation
from gateways.simulator.fault import read_fault
from gateways.simulator.load import HOUR_MS, ReplayedLoad
from gateways.simulator.serve import serve, serving
from metering.clock import SystemClock
from metering.reading import Fault

MODELS = load_models(Path(__file__).parents[3] / "config" / "meters")
URL = "tcp://127.0.0.1:15020"
CLOCK = SystemClock()


def entry(unit, model="eastron_sdm630_v2", **more):
    ratio = {"ct": 40, "pt": 1, "applied_by": "gateway"}
    return {"id": f"m{unit}", "unit": unit, "model": model, "ratio": ratio, **more}


def cut(*entries, url=URL):
    return {"buses": [{"url": url, "meters": list(entries)}], "models": MODELS}


def simulation(*entries, **more):
    faults = [read_fault(fault) for fault in more.pop("faults", ())]
    return build_simulation([cut(*entries)], CLOCK, faults=faults, **more)


def run(scenario, *entries, timeout_ms=200, **more):
    """Run `scenario(bus, meters)` against the simulated entries."""

    async def inside():
        async with serving(simulation(*entries, **more), {URL: 0}) as urls:
            bus = open_bus(f"{urls[URL]}?timeout_ms={timeout_ms}", CLOCK)
            meters = build_meters({"url": URL, "meters": list(entries)}, MODELS)
            try:
                return await scenario(bus, meters)
            finally:
                await bus.close()

    return asyncio.run(inside())


async def poll_all(bus, meters):
    return [await poll_meter(bus, meter, CLOCK) for meter in meters]


async def poll_twice(bus, meters):
    return [(await poll_all(bus, meters))[0] for _ in range(2)]


def test_what_is_polled_is_exactly_what_was_served(tmp_path):
    log = tmp_path / "served.jsonl"
    entries = [
        entry(unit, model, direction=direction)
        for unit, (model, direction) in enumerate(
            ((m, d) for m in MODELS for d in ("import", "export")), start=1
        )
    ]

    readings = run(poll_all, *entries, log=log, timeout_ms=5000)

    served = {}
    for line in map(json.loads, log.read_text().splitlines()):
        served.setdefault(line["meter"], {}).update(line["values"])
    assert [reading.fault for reading in readings] == [None] * len(entries)
    assert {reading.meter: reading.values for reading in readings} == served


def test_the_log_is_on_disk_while_the_simulation_runs(tmp_path):
    log = tmp_path / "served.jsonl"

    async def scenario(bus, meters):
        await poll_all(bus, meters)
        async with asyncio.timeout(2):
            while not log.read_bytes():  # noqa: ASYNC110 - another end of the file is awaited
                await asyncio.sleep(0.01)
        return json.loads(log.read_text().splitlines()[0])

    line = run(scenario, entry(1), log=log)

    assert line["meter"] == "m1"
    assert 0 <= CLOCK.now_ms() - line["at"] < 60_000


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "silence"}, Fault.TIMEOUT),
        ({"kind": "exception", "code": 4}, Fault.EXCEPTION),
        ({"kind": "short"}, Fault.SHORT),
        ({"kind": "wrong_unit"}, Fault.FOREIGN),
        ({"kind": "late", "seconds": 0.4}, Fault.TIMEOUT),
    ],
)
def test_a_fault_of_one_meter_is_its_fault_alone(fault, expected):
    faults = [{"meter": "m2", **fault}]

    before, faulty, after = run(poll_all, entry(1), entry(2), entry(3), faults=faults)

    assert (faulty.fault, faulty.values) == (expected, {})
    assert before.fault is after.fault is None
    assert len(before.values) == len(after.values) == 37


def test_a_slow_answer_within_the_timeout_is_an_answer():
    faults = [{"meter": "m1", "kind": "delay", "seconds": 0.05}]

    (reading,) = run(poll_all, entry(1), faults=faults, timeout_ms=5000)

    assert reading.fault is None


def test_nan_is_left_out_of_reading_and_log(tmp_path):
    log = tmp_path / "served.jsonl"
    faults = [{"meter": "m1", "kind": "nan", "quantities": ["frequency_hz"]}]

    (reading,) = run(poll_all, entry(1), faults=faults, log=log)

    assert reading.fault == Fault.NOT_FINITE
    assert "frequency_hz" not in reading.values
    assert "frequency_hz" not in log.read_text()


def test_an_hour_that_was_not_measured_is_silence():
    hour_ms = CLOCK.now_ms() // HOUR_MS * HOUR_MS
    replays = {"m1": ReplayedLoad(hour_ms, [None, None]), "m2": ReplayedLoad(hour_ms, [5.0, 5.0])}

    silent, measured = run(poll_all, entry(1), entry(2), replays=replays)

    assert silent.fault == Fault.TIMEOUT
    assert measured.fault is None
    assert measured.values["active_power_kw"] == 5.0


def test_a_unit_that_nobody_has_is_silent():
    async def scenario(bus, _meters):
        stranger = build_meters({"url": URL, "meters": [entry(99)]}, MODELS)
        return await poll_all(bus, stranger)

    (reading,) = run(scenario, entry(1))

    assert reading.fault == Fault.TIMEOUT


def test_a_register_that_the_model_lacks_is_refused():
    async def scenario(bus, _meters):
        other = build_meters({"url": URL, "meters": [entry(1, "abb_b23_b24")]}, MODELS)
        return await poll_all(bus, other)

    (reading,) = run(scenario, entry(1))

    assert reading.fault == Fault.EXCEPTION


def test_a_table_that_the_meter_does_not_have_is_refused():
    async def scenario(bus, _meters):
        await bus.read(1, Table.HOLDING, 0, 2)

    with pytest.raises(MeterRefused) as caught:
        run(scenario, entry(1))

    assert caught.value.code == 2


def test_a_dead_meter_does_not_keep_the_others_from_their_cycles():
    faults = [{"meter": "m2", "kind": "silence"}]

    async def scenario(bus, meters):
        cycle = BusCycle(bus, meters, CLOCK, cycle_ms=1000, notebook=Notebook(Remembered()))
        cycles = []
        for _ in range(10):
            told = []
            result = await cycle.run(CLOCK.now_ms(), told.append)
            cycles.append((result.took_ms, [reading.meter for reading in told]))
        return cycles

    cycles = run(scenario, entry(1), entry(2), entry(3), faults=faults)

    assert all({"m1", "m3"} <= set(asked) for _, asked in cycles)
    # A silence takes a fifth of a cycle or more, and a tenth is allowed.
    assert 2 <= sum("m2" in asked for _, asked in cycles) <= 5
    assert max(took for took, asked in cycles if "m2" not in asked) < 200


def test_a_meter_that_comes_back_is_read_again():
    back_ms = CLOCK.now_ms() + 700
    until = {"to": iso(back_ms)}
    faults = [{"meter": "m1", "kind": "silence", **until}]

    first, second = run(poll_twice_around(back_ms), entry(1), faults=faults)

    assert first.fault == Fault.TIMEOUT
    assert second.fault is None


def iso(at_ms):
    seconds, millis = divmod(at_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{millis:03}+00:00"


def poll_twice_around(at_ms):
    async def scenario(bus, meters):
        first = await poll_meter(bus, meters[0], CLOCK)
        await asyncio.sleep(max(0, at_ms - CLOCK.now_ms()) / 1000 + 0.01)
        return first, await poll_meter(bus, meters[0], CLOCK)

    return scenario


def test_several_buses_are_served_by_one_process_and_one_bus_by_several_gateways():
    other_url = "tcp://127.0.0.1:15021"
    cuts = [cut(entry(1)), cut(entry(2)), cut(entry(1) | {"id": "n1"}, url=other_url)]

    async def inside():
        simulated = build_simulation(cuts, CLOCK)
        async with serving(simulated, {URL: 0, other_url: 0}) as urls:
            faults = {}
            for url, unit in ((URL, 1), (URL, 2), (other_url, 1), (other_url, 2)):
                bus = open_bus(f"{urls[url]}?timeout_ms=200", CLOCK)
                meters = build_meters({"url": url, "meters": [entry(unit)]}, MODELS)
                ((reading),) = await poll_all(bus, meters)
                faults[url, unit] = reading.fault
                await bus.close()
            return faults

    assert asyncio.run(inside()) == {
        (URL, 1): None,
        (URL, 2): None,
        (other_url, 1): None,
        (other_url, 2): Fault.TIMEOUT,
    }


def test_serving_says_when_it_is_ready_and_ends_when_it_is_cancelled():
    async def inside():
        ready = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(serve(simulation(entry(1)), {URL: 0}, ready.set_result))
        urls = await ready
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return urls

    assert asyncio.run(inside())[URL].startswith("tcp://127.0.0.1:")


def test_a_port_that_is_taken_is_named():
    async def inside():
        async with serving(simulation(entry(1)), {URL: 0}) as urls:
            port = int(urls[URL].rpartition(":")[2])
            async with serving(simulation(entry(1)), {URL: port}):
                pass

    with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1:\d+ cannot be served"):
        asyncio.run(inside())
