"""Validate: a batch -> rows for the store, and rejections with a reason. Gate 1, pure, HOT PATH.

Looks at one reading, at once, and rejects only by what needs no neighbour, so the verdict on what
is stored does not depend on the order of arrival. A rejected value is kept beside, with its raw
text; nothing is edited. What makes a stored value suspect is said by `coherence` and `suspect`; the
reasons stand here.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from math import isfinite

from msgspec import Struct

from collector.fleet.index import Fleet, MeterEntry
from collector.store import WHOLE_READING, Level, Rejection, Row, Tags
from metering.batch import Batch, ClockState
from metering.quantity import QUANTITIES
from metering.reading import Fault, Reading

AHEAD_LIMIT_MS = 120_000
SEALED_LIMIT_MS = 60_000  # a reading later than its batch by so much: the clock was set back
# What meters and gateways say for "no value": the extremes of the registers' formats.
SENTINELS = frozenset(
    {3.4028234663852886e38, -3.4028234663852886e38, 4294967295.0, 2147483647.0, -2147483648.0}
)
_LOWEST_SENTINEL = 2147483647.0  # among those that fall inside a counter's range

Bounds = dict[str, tuple[float, float]]


class Reason(StrEnum):
    """Why a value or a reading was rejected or is suspect; the metric's label."""

    # Rejected: needs no neighbour.
    UNKNOWN_METER = "unknown_meter"
    FOREIGN_METER = "foreign_meter"  # in the fleet, but another gateway's
    NOT_IN_FORCE = "not_in_force"  # before `valid_from`, or after `valid_to`
    AHEAD_OF_TIME = "ahead_of_time"
    OTHER_DEVICE = "other_device"  # its gateway says that another device answered there
    UNKNOWN_QUANTITY = "unknown_quantity"
    NOT_FINITE = "not_finite"
    SENTINEL = "sentinel"
    OUT_OF_RANGE = "out_of_range"  # 量程
    STORE_REFUSED = "store_refused"
    # Suspect against itself: told by the reading alone, kept beside it in the store.
    PHASE_SUM = "phase_sum"  # Σ phases is not the total
    POWER_TRIANGLE = "power_triangle"  # voltage x current x power factor is not the power
    LATE_ANSWER = "late_answer"  # its gateway says that it may answer an older question
    # Suspect against the meter's last reading (二次验证 and its kin): for live alerts only.
    INCREMENT = "increment"  # a counter went further than twice the rated power takes it
    SOFT_LIMIT = "soft_limit"  # further than the rated power itself does
    FALL = "fall"
    JUMP = "jump"
    FROZEN = "frozen"  # power and counter stand still, while that power had to be counted
    SECOND_VALUE = "second_value"  # another value for the instant of the last reading
    # Suspect against a clock: the batch's own (kept in the store), or the collector's (not).
    CLOCK_DRIFT = "clock_drift"


class Verdict(Struct, kw_only=True):
    """What the gate decided about a group of batches; rows and rejections go to the store."""

    rows: list[Row]
    rejections: list[Rejection]


class _InForce(Struct, frozen=True, kw_only=True):
    """A fleet entry, compiled for the gate.

    `inside` is the range in which a value needs no second look; `bounds` the range that counts.
    """

    gateway: str
    from_ms: int
    to_ms: int
    tags: Tags
    inside: Bounds
    bounds: Bounds


class Gate:
    """Gate 1 for one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._entries: dict[str, tuple[_InForce, ...]] = {
            meter: tuple(_compile(entry) for entry in reversed(entries))
            for meter, entries in fleet.meters.items()
        }

    def judge(self, batches: Iterable[Batch], *, now_ms: int) -> Verdict:
        """Judge every reading of `batches`; `now_ms` is the collector's wall clock."""
        rows: list[Row] = []
        rejections: list[Rejection] = []
        keep, reject = rows.append, rejections.extend
        latest_ms = now_ms + AHEAD_LIMIT_MS
        for batch in batches:
            gateway = batch.gateway
            before = len(rows)
            for reading in batch.readings:
                at_ms = reading.at_ms
                entry = self._entry(reading.meter, at_ms)
                if entry is None or entry.gateway != gateway or at_ms > latest_ms:
                    reject(self._refuse(reading, gateway, latest_ms))
                    continue
                inside = entry.inside
                values = reading.values
                if reading.fault == Fault.IDENTITY and values:
                    reject(_held_apart(reading, gateway))
                    values = {}
                for name, value in values.items():
                    bound = inside.get(name)
                    if bound is None or not bound[0] <= value <= bound[1]:
                        values, refused = _sift(reading, entry, gateway)
                        reject(refused)
                        break
                if values or reading.fault:
                    keep(
                        Row(
                            meter=reading.meter,
                            at_ms=at_ms,
                            values=values,
                            fault=reading.fault,
                            tags=entry.tags,
                        )
                    )
            reject(_out_of_time(rows[before:], batch))
        return Verdict(rows=rows, rejections=rejections)

    def _entry(self, meter: str, at_ms: int) -> _InForce | None:
        for entry in self._entries.get(meter, ()):
            if entry.from_ms <= at_ms < entry.to_ms:
                return entry
        return None

    def _refuse(self, reading: Reading, gateway: str, latest_ms: int) -> list[Rejection]:
        """A whole reading is refused: each of its values is kept beside."""
        reason = self._why(reading, latest_ms)
        if not reading.values:
            return [_rejection(reading, gateway, reason, WHOLE_READING, None)]
        return [
            _rejection(reading, gateway, reason, name, value)
            for name, value in reading.values.items()
        ]

    def _why(self, reading: Reading, latest_ms: int) -> Reason:
        entries = self._entries.get(reading.meter)
        if entries is None:
            return Reason.UNKNOWN_METER
        if reading.at_ms > latest_ms:
            return Reason.AHEAD_OF_TIME
        if self._entry(reading.meter, reading.at_ms) is None:
            return Reason.NOT_IN_FORCE
        return Reason.FOREIGN_METER


def tags_of(entry: MeterEntry) -> Tags:
    """Where a fleet entry's meter stands."""
    return Tags(
        district=entry.district,
        sector=entry.sector,
        institution=entry.institution,
        building=entry.building,
        circuit=entry.circuit,
        meter=entry.meter,
        energy=entry.energy,
        gateway=entry.gateway,
    )


def _compile(entry: MeterEntry) -> _InForce:
    bounds, inside = _ranges(frozenset(entry.limits.items()), frozenset(entry.ranges.items()))
    return _InForce(
        gateway=entry.gateway,
        from_ms=entry.valid_from_ms,
        to_ms=_END_OF_TIME_MS if entry.valid_to_ms is None else entry.valid_to_ms,
        tags=tags_of(entry),
        inside=inside,
        bounds=bounds,
    )


_END_OF_TIME_MS = 1 << 62

Limits = frozenset[tuple[str, tuple[float, float]]]


@lru_cache(maxsize=4096)
def _ranges(limits: Limits, ranges: Limits) -> tuple[Bounds, Bounds]:
    """What counts, and what needs no second look, of a meter with these limits and ranges.

    Most meters have the same: one copy for all stays in the processor's cache, which is worth more
    than half of the gate's time.
    """
    said, known = dict(limits), dict(ranges)
    bounds = {name: _narrowed(name, said, known) for name in QUANTITIES}
    just_below = _LOWEST_SENTINEL - 1
    return bounds, {name: (low, min(high, just_below)) for name, (low, high) in bounds.items()}


def _narrowed(name: str, said: Bounds, known: Bounds) -> tuple[float, float]:
    """The fleet's limits, and what is known besides, narrow the quantity's own range."""
    quantity = QUANTITIES[name]
    own = (quantity.lowest, quantity.highest)
    ends = (own, said.get(name, own), known.get(name, own))
    return max(low for low, _ in ends), min(high for _, high in ends)


def _out_of_time(rows: list[Row], batch: Batch) -> list[Rejection]:
    """Answered after they were sealed: the clock was set back in between. They are stored, too."""
    if batch.clock != ClockState.SYNCED:
        return []
    latest_ms = batch.sealed_at_ms + SEALED_LIMIT_MS
    return [
        Rejection(
            meter=row.meter,
            at_ms=row.at_ms,
            quantity=WHOLE_READING,
            value=None,
            raw=f"sealed_at {batch.sealed_at_ms}",
            reason=Reason.CLOCK_DRIFT,
            level=Level.SUSPECT,
            gateway=batch.gateway,
        )
        for row in rows
        if row.at_ms > latest_ms and row.values
    ]


def _held_apart(reading: Reading, gateway: str) -> list[Rejection]:
    """A stranger's values are kept, but never as the meter's own."""
    return [
        _rejection(reading, gateway, Reason.OTHER_DEVICE, name, value)
        for name, value in reading.values.items()
    ]


def _sift(
    reading: Reading, entry: _InForce, gateway: str
) -> tuple[dict[str, float], list[Rejection]]:
    """The values that stay and the rejections of those that do not; the slow path."""
    kept: dict[str, float] = {}
    refused: list[Rejection] = []
    for name, value in reading.values.items():
        reason = _fault_of(name, value, entry.bounds)
        if reason is None:
            kept[name] = value
        else:
            refused.append(_rejection(reading, gateway, reason, name, value))
    return kept, refused


def _fault_of(name: str, value: float, bounds: Bounds) -> Reason | None:
    bound = bounds.get(name)
    if bound is None:
        return Reason.UNKNOWN_QUANTITY
    if not isfinite(value):
        return Reason.NOT_FINITE
    if value in SENTINELS:
        return Reason.SENTINEL
    return None if bound[0] <= value <= bound[1] else Reason.OUT_OF_RANGE


def _rejection(
    reading: Reading, gateway: str, reason: Reason, quantity: str, value: float | None
) -> Rejection:
    finite = value is not None and isfinite(value)
    return Rejection(
        meter=reading.meter,
        at_ms=reading.at_ms,
        quantity=quantity,
        value=value if finite else None,
        raw=(reading.fault or "") if value is None else repr(value),
        reason=reason,
        level=Level.REJECTED,
        gateway=gateway,
    )
