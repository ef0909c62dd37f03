"""Alerting: a minute's readings of a district through twenty rules; what that costs, with growth.

What is measured is what alerting adds to the pipeline: rows -> observations -> steps, and keeping
how far each gateway is judged. Twenty rules are what a district has on the readings of a meter:
voltage, unbalance, load, power factor, frequency, harmonics, some of them in levels.
"""

import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct, structs

from benchmarks.figure import Figure, Result
from benchmarks.fleet import METERS, gateway_id, meter_id, quantities, write_config
from benchmarks.gate import SHOWN
from benchmarks.scale import Scale
from collector.adapters.sql import SqlSmallState
from collector.alerting.evaluate.heard import Heard
from collector.alerting.evaluate.readings import Readings
from collector.alerting.evaluate.silence import Silence
from collector.alerting.lifecycle import AlertBook
from collector.alerting.place import Places
from collector.alerting.rule import Above, Below, Outside, Rule, Silent
from collector.alerting.service import judge_readings
from collector.alerting.severity import Severity
from collector.fleet.check import load_fleet
from collector.fleet.index import Fleet
from collector.small_state import Record
from collector.store import Row
from collector.validate import tags_of
from metering.clock import SystemClock
from metering.quantity import QUANTITIES, Kind

RULES = 20
_DISTRICTS = (1_000, 3_000, 10_000)
_START_MS = 1_780_272_000_000
_MINUTE_MS = 60_000
_GROUP = 1_000  # readings of a group: twenty batches of fifty
_HALF_A_CORE_S = 30.0  # of a minute
_UNUSUAL = 0.01  # of the readings
_SEED = 5


class Cost(Struct, frozen=True, kw_only=True):
    """What a minute cost; `values` is how many it had, `steps` what alerts did in it."""

    evaluate_s: float
    record_s: float
    silence_s: float
    values: int
    steps: int


def measure(scale: Scale) -> Result:
    costs = {meters: run(meters, scale.alert_minutes) for meters in _DISTRICTS}
    return Result(figures=tuple(_figures(costs)))


def run(meters: int, minutes: int) -> Cost:
    """So many minutes of a district; the mean of one."""
    with TemporaryDirectory(prefix="bench-") as folder:
        fleet = load_fleet(write_config(Path(folder), gateways=meters // METERS))
        with closing(SqlSmallState(f"sqlite:///{folder}/state.sqlite")) as state:
            return _run(fleet, state, minutes)


def _run(fleet: Fleet, state: SqlSmallState, minutes: int) -> Cost:
    readings = Readings(rules(), fleet, lambda *_: True)
    book = AlertBook(rules(), Places(fleet))
    rng = random.Random(_SEED)  # noqa: S311 - the same load each time
    evaluate_s = record_s = 0.0
    values = steps = 0
    for minute in range(minutes + 1):  # the first makes the plans and is not counted
        now_ms = _START_MS + minute * _MINUTE_MS
        for group in _minute(fleet, now_ms, rng):
            began_s = time.process_time()
            turn = judge_readings(book, readings, group, now_ms)
            judged = readings.judged(sorted({row.tags.gateway for row in group}))
            looked_s = time.process_time()
            state.record(Record(steps=turn.steps, standing=turn.standing, judged=judged))
            if minute:
                evaluate_s += looked_s - began_s
                record_s += time.process_time() - looked_s
                values += sum(len(row.values) for row in group)
                steps += len(turn.steps)
    return Cost(
        evaluate_s=evaluate_s / minutes,
        record_s=record_s / minutes,
        silence_s=60 * _look_s(fleet, book),
        values=values // minutes,
        steps=steps // minutes,
    )


def _look_s(fleet: Fleet, book: AlertBook) -> float:
    """One look of the watch at the silence of every meter."""
    clock = SystemClock()
    silence = Silence(rules(), fleet, clock)
    heard = Heard(clock.monotonic_ms(), dict.fromkeys(fleet.meters, _START_MS))
    began_s = time.process_time()
    for _ in range(10):
        assert not list(silence.look(heard, book.watching))
    return (time.process_time() - began_s) / 10


def _minute(fleet: Fleet, at_ms: int, rng: random.Random) -> Iterator[list[Row]]:
    """One reading of every meter, in groups as the pipeline takes them; a few are unusual."""
    group: list[Row] = []
    for gateway in range(1, len(fleet.gateways) + 1):
        for number in range(1, METERS + 1):
            (entry,) = fleet.meters[meter_id(gateway, number)]
            row = Row(meter=entry.meter, at_ms=at_ms, values=_values(rng), tags=tags_of(entry))
            assert row.tags.gateway == gateway_id(gateway)
            group.append(row)
        if len(group) >= _GROUP:
            yield group
            group = []
    if group:
        yield group


def _values(rng: random.Random) -> dict[str, float]:
    load = rng.uniform(0.5, 0.9)
    odd = rng.random() < _UNUSUAL
    values = {}
    for name, _ in quantities():
        if QUANTITIES[name].kind is Kind.COUNTER:
            values[name] = 1_000.0
        elif name.startswith("voltage"):
            values[name] = SHOWN[name] * (0.9 if odd else 1.0)
        else:
            values[name] = SHOWN[name] * (load if name.endswith(("_a", "_kw", "_kva")) else 1.0)
    if odd:
        values["active_power_kw"] *= 2
    return values


def rules() -> tuple[Rule, ...]:
    """Twenty on readings, and one on silence."""
    conditions = [
        *(Above(quantity=f"voltage_l{n}_v", limit=235.4, resolves=234.0) for n in (1, 2, 3)),
        *(Below(quantity=f"voltage_l{n}_v", limit=198.0, resolves=200.0) for n in (1, 2, 3)),
        *(Above(quantity=f"current_l{n}_a", limit=20.0, resolves=18.0) for n in (1, 2, 3)),
        *(
            Above(quantity="active_power_kw", limit=limit, resolves=0.7, share_of_rated=True)
            for limit in (0.8, 0.9, 1.0, 1.1)
        ),
        Outside(quantity="frequency_hz", low=49.8, high=50.2, margin=0.05),
        Below(quantity="power_factor", limit=0.9, resolves=0.92),
        Below(quantity="power_factor", limit=0.85, resolves=0.88),
        Above(quantity="voltage_unbalance_pct", limit=2.0, resolves=1.5),
        Above(quantity="voltage_unbalance_pct", limit=4.0, resolves=3.0),
        Above(quantity="current_unbalance_pct", limit=25.0, resolves=20.0),
        Outside(quantity="voltage_deviation_pct", low=-10.0, high=7.0, margin=0.5),
    ]
    assert len(conditions) == RULES
    plain = Rule(id="r", title="", severity=Severity.BLUE, condition=conditions[0])
    silence = Silent(of="meter", cycles=3, at_least_ms=180_000)
    return tuple(
        structs.replace(plain, id=f"r{number}", condition=condition, for_ms=300_000 * (number % 2))
        for number, condition in enumerate([*conditions, silence])
    )


def _figures(costs: dict[int, Cost]) -> Iterator[Figure]:
    for meters, cost in costs.items():
        whole_s = cost.evaluate_s + cost.record_s + cost.silence_s
        is_aim = meters == _DISTRICTS[-1]
        yield Figure(
            section="告警 alerting",
            what=f"{meters:,} 块表 × {RULES} 条规则, 每分钟 a minute of one-minute readings",
            value=whole_s,
            unit="CPU-s",
            aim=_HALF_A_CORE_S if is_aim else None,
            note=f"rules {cost.evaluate_s:.2f}, recording {cost.record_s:.2f}, "
            f"silence {cost.silence_s:.2f}; {cost.steps} steps",
        )
    largest = costs[_DISTRICTS[-1]]
    yield Figure(
        section="告警 alerting",
        what="对入库的附加成本 what it adds to storing a value",
        value=(largest.evaluate_s + largest.record_s) / largest.values * 1e6,
        unit="CPU-s/M",
        note="20 values a reading",
    )
