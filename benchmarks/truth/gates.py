"""Gates: readings as they arrive -> both gates' verdicts and the settled intervals.

The one place that calls the product. Between the gates stands what the store does: of two values
for the same instant the first one stays.
"""

import numpy as np
from msgspec import Struct

from benchmarks.truth.canvas import Canvas, arrival_order
from benchmarks.truth.meter import Ints
from collector.fleet.index import Direction, Fleet, MeterEntry, Sector
from collector.settle.follow import follow
from collector.settle.lay import Settled, lay
from collector.settle.rate import rated_per_hour
from collector.settle.register import Register
from collector.settle.series import PER_UNIT, Course, Series, whole
from collector.store import Rejection, Row
from collector.validate import Gate
from metering.batch import Batch
from metering.reading import Reading

METER, GATEWAY, QUANTITY = "truth-main", "gw-truth", "energy_import_kwh"
_TOGETHER = 96  # readings in a batch, where the order of arrival does not matter


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a canvas.

    Attributes:
        series: what the store has.
        repeated, others: instants that came again with the same value, and with another.
        settled: in quarters, hours and days.
    """

    rejections: list[Rejection]
    repeated: list[int]
    others: list[int]
    series: Series
    course: Course
    settled: Settled


def judge(canvas: Canvas, *, rated: bool) -> Outcome:
    """Run both gates.

    Args:
        rated: whether the fleet knows the circuit's rated power and the register's width.
    """
    entry = _entry(canvas, rated=rated)
    rows, rejections = _gate_1(canvas, entry)
    series, repeated, others = _stored(rows)
    width = canvas.width if rated else None
    register = Register(
        rated_per_hour=rated_per_hour(entry, QUANTITY),
        rolls_over_at=None if width is None else round(width * PER_UNIT),
        replacements=tuple(sorted(canvas.replacements, key=lambda event: event.at_ms)),
    )
    course = follow(series, register)
    truth = canvas.truth
    settled = lay(course, truth.start_ms, truth.end_ms, until_ms=truth.end_ms, shapes={})
    return Outcome(
        rejections=rejections,
        repeated=repeated,
        others=others,
        series=series,
        course=course,
        settled=settled,
    )


def settled_of(canvas: Canvas) -> Outcome:
    """A meter with nothing wrong, settled; no gate refuses any of it."""
    return judge(canvas, rated=True)


def _entry(canvas: Canvas, *, rated: bool) -> MeterEntry:
    power = {"active_power_kw": canvas.truth.rated_per_hour} if rated else {}
    rolls = {QUANTITY: canvas.width} if rated and canvas.width else {}
    return MeterEntry(
        meter=METER,
        gateway=GATEWAY,
        district="truth",
        institution="truth",
        sector=Sector.SCHOOL,
        building="truth-b1",
        circuit="总进线",
        energy="01000",
        parent=None,
        model="any",
        direction=Direction.IMPORT,
        limits={},
        rated=power,
        cycle_s=canvas.truth.step_ms // 1000,
        valid_from_ms=0,
        valid_to_ms=None,
        rolls_over_at=rolls,
    )


def _gate_1(canvas: Canvas, entry: MeterEntry) -> tuple[list[Row], list[Rejection]]:
    fleet = Fleet(
        stores={}, institutions={}, buildings={}, gateways={}, meters={METER: (entry,)},
        virtual_meters={},
    )  # fmt: skip
    gate = Gate(fleet)
    stamps, values, arrives = arrival_order(canvas)
    readings = [
        Reading(meter=METER, at_ms=at_ms, values={QUANTITY: value})
        for at_ms, value in zip(stamps.tolist(), values.tolist(), strict=True)
    ]
    size = 1 if canvas.one_by_one else _TOGETHER
    rows: list[Row] = []
    rejections: list[Rejection] = []
    for first in range(0, len(readings), size):
        some = tuple(readings[first : first + size])
        now_ms = int(arrives[first + len(some) - 1])
        verdict = gate.judge([_batch(some, first)], now_ms=now_ms)
        rows += verdict.rows
        rejections += verdict.rejections
    return rows, rejections


def _batch(readings: tuple[Reading, ...], number: int) -> Batch:
    return Batch(
        v=1,
        gateway=GATEWAY,
        epoch="truth",
        sequence=number + 1,
        sealed_at_ms=max(reading.at_ms for reading in readings) + 1_000,
        clock="synced",
        readings=readings,
    )


def _stored(rows: list[Row]) -> tuple[Series, list[int], list[int]]:
    at_ms: Ints = np.array([row.at_ms for row in rows if row.values], np.int64)
    value = np.array([row.values[QUANTITY] for row in rows if row.values], np.float64)
    order = np.argsort(at_ms, kind="stable")
    at_ms, value = at_ms[order], value[order]
    again = np.concatenate(([False], np.diff(at_ms) == 0))
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(at_ms))))
    same = value == value[first]
    series = Series(
        at_ms=at_ms[~again],
        value=whole(value[~again]),
        rules=np.zeros(int((~again).sum()), np.int64),
    )
    return series, at_ms[again & same].tolist(), at_ms[again & ~same].tolist()
