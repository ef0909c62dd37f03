"""Gate: a batch's readings through gate 1 alone; what a million values cost."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from benchmarks.figure import Figure, Result
from benchmarks.fleet import gateway_id, meter_id, quantities, write_config
from benchmarks.scale import Scale
from collector.coherence import Coherence
from collector.fleet.check import load_fleet
from collector.suspect import Suspects
from collector.validate import Gate
from metering.batch import VERSION, Batch
from metering.quantity import QUANTITIES, Kind
from metering.reading import Reading

T = TypeVar("T")

GATEWAYS, METERS = 20, 50
_START_MS = 1_780_272_000_000
_CYCLE_MS = 60_000
_AIM = 1.0
# A circuit of 8.7 kW, as a meter shows it.
SHOWN = {
    "voltage_l1_v": 230.1,
    "voltage_l2_v": 229.8,
    "voltage_l3_v": 230.4,
    "current_l1_a": 13.2,
    "current_l2_a": 12.9,
    "current_l3_a": 13.4,
    "active_power_l1_kw": 2.911,
    "active_power_l2_kw": 2.838,
    "active_power_l3_kw": 2.962,
    "active_power_kw": 8.711,
    "reactive_power_kvar": 2.3,
    "apparent_power_kva": 9.012,
    "power_factor": 0.967,
    "frequency_hz": 50.01,
}


def measure(scale: Scale) -> Result:
    with TemporaryDirectory(prefix="bench-") as folder:
        fleet = load_fleet(write_config(Path(folder), gateways=GATEWAYS))
    rounds = max(2, scale.gate_values // (GATEWAYS * METERS * len(quantities())))
    groups = [_group(n) for n in range(rounds)]
    gate, coherence, suspects = Gate(fleet), Coherence(fleet), Suspects(fleet)
    now_ms = _START_MS + rounds * _CYCLE_MS
    judged, judge_s = _timed(lambda: [gate.judge(one, now_ms=now_ms).rows for one in groups])
    _, coherence_s = _timed(lambda: [coherence.judge(rows) for rows in judged])
    _, look_s = _timed(lambda: [suspects.look(rows, now_ms=now_ms) for rows in judged])
    assert not suspects.recent
    values = sum(len(row.values) for rows in judged for row in rows)
    return Result(figures=tuple(_figures(values, judge_s, coherence_s, look_s)))


def _timed(act: Callable[[], T]) -> tuple[T, float]:
    began_s = time.process_time()
    done = act()
    return done, time.process_time() - began_s


def _group(cycle: int) -> list[Batch]:
    """Twenty batches of fifty readings of twenty values, as the pipeline takes them."""
    at_ms = _START_MS + cycle * _CYCLE_MS
    return [
        Batch(
            v=VERSION,
            gateway=gateway_id(number),
            epoch="01JD0000000000000000000000",
            sequence=cycle + 1,
            sealed_at_ms=at_ms + 1000,
            clock="synced",
            readings=tuple(
                Reading(meter=meter_id(number, meter), at_ms=at_ms, values=_values(cycle, meter))
                for meter in range(1, METERS + 1)
            ),
        )
        for number in range(1, GATEWAYS + 1)
    ]


def _values(cycle: int, meter: int) -> dict[str, float]:
    load = 1 + (cycle * 7 + meter) % 13 / 100  # no two cycles are alike
    values = {}
    for name, decimals in quantities():
        if QUANTITIES[name].kind is Kind.COUNTER:
            values[name] = round(1000.0 * meter + cycle * SHOWN["active_power_kw"] / 60, decimals)
        elif name.startswith(("current", "active", "reactive", "apparent")):
            values[name] = round(SHOWN[name] * load, decimals)
        else:
            values[name] = SHOWN[name]
    return values


def _figures(values: int, judge_s: float, coherence_s: float, look_s: float) -> Iterator[Figure]:
    def figure(what: str, seconds: float, aim: float | None = None, note: str = "") -> Figure:
        return Figure(
            section="校核一 gate 1",
            what=what,
            value=seconds / values * 1e6,
            unit="CPU-s/M",
            aim=aim,
            note=note,
        )

    note = f"{values / 1e6:.1f} M values, 20 a reading, {GATEWAYS * METERS:,} meters"
    yield figure("量程 judge alone", judge_s, note=note)
    yield figure("自相矛盾 coherence", coherence_s)
    yield figure("与上次比较 against the last reading", look_s)
    yield figure("合计 judge and suspects", judge_s + coherence_s + look_s, aim=_AIM)
