"""Store: what the collector asks of a time-series store, and what a store answers.

The port `ReadingStore`, its values, its errors, and the one rule that every store keeps, as pure
functions: **a reading is known by its meter and its instant, and of two values for one quantity of
one reading the first stays**. The same again changes nothing, a quantity that comes late is added,
another value is kept beside as a rejection. So a delivery may come twice, in pieces, in any order.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from math import isfinite
from typing import Protocol

from msgspec import Struct, structs

from metering.errors import PermanentError, TransientError
from metering.quantity import QUANTITIES
from metering.reading import Reading

CONFLICT = "conflict"  # the reason under which a store keeps the value that came second
WHOLE_READING = "*"  # the quantity of a rejection that concerns all of a reading
LAST_AT_MS = 2**42 - 1  # the year 2109; a store packs meter and instant into one 64-bit key
_TAKES_NO_INSTANT = f"its at_ms is outside 0 to {LAST_AT_MS}"


class Tags(Struct, frozen=True, kw_only=True, cache_hash=True):
    """Where a meter stands; one value per fleet entry, shared by all its rows.

    They say how a reading may be looked up, never which reading it is: a meter that moves to
    another circuit is not counted twice.
    """

    district: str
    sector: str
    institution: str
    building: str
    circuit: str
    meter: str
    energy: str
    gateway: str


class Row(Struct, frozen=True, kw_only=True, gc=False):
    """One reading as it is stored.

    Attributes:
        meter: the meter's id; the same as `tags.meter`.
        at_ms: when the meter answered, epoch milliseconds UTC, 0 to `LAST_AT_MS`.
        values: finite numbers by quantity name; may be empty when `fault` is set.
        fault: why values are missing, if any are.
        tags: from the fleet entry valid at `at_ms`.
    """

    meter: str
    at_ms: int
    values: dict[str, float]
    fault: str | None = None
    tags: Tags


class Level(StrEnum):
    """How bad a rejection is."""

    REJECTED = "rejected"  # the value is kept only here
    SUSPECT = "suspect"  # the value is stored as well


class Rejection(Struct, frozen=True, kw_only=True):
    """One value that a gate flagged, kept beside the readings.

    Attributes:
        quantity: its name, or `WHOLE_READING`.
        value: the number, None if there was none or it was not finite.
        raw: what came, as text.
        reason: why; a metric's label.
    """

    meter: str
    at_ms: int
    quantity: str
    value: float | None
    raw: str
    reason: str
    level: Level
    gateway: str


class Refusal(Struct, frozen=True, kw_only=True):
    """A row that the store will never take, and what it said."""

    row: Row
    message: str


class WriteOutcome(Struct, frozen=True, kw_only=True):
    """What one write did.

    Attributes:
        stored_values: values that are in the store since this call.
        duplicate_values: values that were there already. A store that overwrites counts them as
            stored, unless it was told that the rows may be `overlapping`.
        conflicts: losers against a stored value; already written as rejections.
        refused: rows that were left out; all others are stored.
    """

    stored_values: int
    duplicate_values: int
    conflicts: tuple[Rejection, ...] = ()
    refused: tuple[Refusal, ...] = ()


class StoreIdentity(Struct, frozen=True, kw_only=True):
    """Which store this is, and how often it was restored; kept in the store itself."""

    id: str
    generation: int


class Window(Struct, frozen=True, kw_only=True):
    """What a quantity did in `[start_ms, start_ms + width)`; `count` is at least one."""

    start_ms: int
    count: int
    lowest: float
    highest: float
    mean: float
    first: float
    last: float


class Count(Struct, frozen=True, kw_only=True):
    """How much a store holds."""

    readings: int
    values: int


class StoreAway(TransientError):
    """The store does not answer, or not now: hold the rows and try again.

    Attributes:
        retry_after_s: how long the store asked to be left alone, if it said so.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreFull(TransientError):
    """There is no room: hold the rows; somebody has to make room."""


class StoreRefused(PermanentError):
    """The store will not do this, however often it is asked."""


class ReadingStore(Protocol):
    """Where readings stay.

    One thread writes; any thread reads beside it. Every call may raise `StoreAway` or `StoreFull`
    (nothing is lost, ask again) or `StoreRefused`.
    """

    def write(
        self,
        rows: Sequence[Row],
        rejections: Sequence[Rejection] = (),
        *,
        overlapping: bool = False,
    ) -> WriteOutcome:
        """Keep all of it, in one durable step: on return it survives a power cut.

        Args:
            rows: any order, any mix of meters and times; few large calls are far cheaper than
                many small ones. A row with neither values nor a fault says nothing and is not
                kept.
            rejections: the same one again changes nothing.
            overlapping: the caller knows that rows may meet stored ones with *other* values (two
                gateways claim one meter, a spool was restored). A store that overwrites then looks
                first; a store that always looks ignores it.
        """
        ...

    def latest(self, meters: Sequence[str] | None = None) -> list[Reading]:
        """Return the newest reading with values of each meter (None: all), ordered by meter."""
        ...

    def readings(
        self, meters: Sequence[str], quantities: Sequence[str] | None, start_ms: int, end_ms: int
    ) -> list[Reading]:
        """Return what the meters said in `[start_ms, end_ms)`, ordered by (meter, at_ms).

        With `quantities`, readings that hold none of them and had no fault are left out.
        """
        ...

    def windows(
        self, meter: str, quantity: str, start_ms: int, end_ms: int, width_ms: int
    ) -> list[Window]:
        """Summarise `[start_ms, end_ms)` in windows aligned to the epoch, labelled by their start.

        In order of time; an empty window has no entry: missing is never zero.
        """
        ...

    def rejections(self, start_ms: int, end_ms: int) -> list[Rejection]:
        """Return what was kept beside in `[start_ms, end_ms)`, ordered by (at_ms, meter, ...)."""
        ...

    def count(self) -> Count:
        """Count everything; for tests and reports, not for the hot path."""
        ...

    def identify(self) -> StoreIdentity | None:
        """Return which store this is; None for one that is new."""
        ...

    def declare(self, identity: StoreIdentity) -> None:
        """Give the store its identity; the newest declaration counts."""
        ...

    def close(self) -> None:
        """Let go of it; calling twice is fine."""
        ...


class Unfit(Exception):
    """Among the rows is one that no store may take; which one is for `screen` to say."""


class Overlay(Struct, frozen=True, kw_only=True):
    """What a row adds to the reading already known under its key."""

    addition: Row | None
    same: int
    conflicts: tuple[Rejection, ...]


class Folded(Struct, frozen=True, kw_only=True):
    """Rows with one row per key, in order of first appearance, and what that left over."""

    rows: list[Row]
    same: int
    conflicts: list[Rejection]


def why_refused(row: Row) -> str | None:
    """Return why no store may take this row; None if it may."""
    if row.meter != row.tags.meter:
        return f"it is meter {row.meter}'s, but its tags are meter {row.tags.meter}'s"
    if not 0 <= row.at_ms <= LAST_AT_MS:
        return _TAKES_NO_INSTANT
    for name, value in row.values.items():
        if name not in QUANTITIES:
            return f"{name} is not a known quantity"
        if not _is_finite_number(value):
            return f"{name} is not a finite number: {value!r}"
    return None


def _is_finite_number(value: object) -> bool:
    """What is typed as float may still be anything when a row is made by hand."""
    return isinstance(value, float | int) and not isinstance(value, bool) and isfinite(value)


def screen(rows: Iterable[Row]) -> tuple[list[Row], list[Refusal]]:
    """Part the rows that a store may take from those it never will."""
    fit: list[Row] = []
    refused: list[Refusal] = []
    for row in rows:
        message = why_refused(row)
        if message is None:
            fit.append(row)
        else:
            refused.append(Refusal(row=row, message=message))
    return fit, refused


def overlay(values: dict[str, float], fault: str | None, row: Row) -> Overlay:
    """Compare a row with the `values` and `fault` known under its key: the first wins."""
    if row.values == values and row.fault == fault:  # a delivery that came twice
        return Overlay(addition=None, same=len(values), conflicts=())
    late = {name: value for name, value in row.values.items() if name not in values}
    losers = {q: v for q, v in row.values.items() if q in values and values[q] != v}
    conflicts = [_loser(row, q, v, repr(v)) for q, v in losers.items()]
    if fault and row.fault and row.fault != fault:
        conflicts.append(_loser(row, WHOLE_READING, None, row.fault))
    new_fault = row.fault if fault is None else None
    addition = structs.replace(row, values=late, fault=new_fault) if late or new_fault else None
    same = len(row.values) - len(late) - len(losers)
    return Overlay(addition=addition, same=same, conflicts=tuple(conflicts))


def fold(rows: Iterable[Row]) -> Folded:
    """Fold rows of one key into one row each: the first wins, late quantities join it."""
    first: dict[tuple[str, int], Row] = {}
    same = 0
    conflicts: list[Rejection] = []
    for row in rows:
        key = (row.meter, row.at_ms)
        known = first.get(key)
        if known is None:
            first[key] = row
            continue
        meeting = overlay(known.values, known.fault, row)
        same += meeting.same
        conflicts.extend(meeting.conflicts)
        if meeting.addition:
            first[key] = joined(known, meeting.addition)
    return Folded(rows=list(first.values()), same=same, conflicts=conflicts)


def joined(known: Row, addition: Row) -> Row:
    """Return the known row with an overlay's addition in it."""
    values = known.values | addition.values
    return structs.replace(known, values=values, fault=known.fault or addition.fault)


def storable(rejection: Rejection) -> Rejection:
    """Return it with a value that every store can hold: what is not finite stays in `raw`."""
    if rejection.value is None or isfinite(rejection.value):
        return rejection
    return structs.replace(rejection, value=None, raw=rejection.raw or repr(rejection.value))


def _loser(row: Row, quantity: str, value: float | None, raw: str) -> Rejection:
    return Rejection(
        meter=row.meter,
        at_ms=row.at_ms,
        quantity=quantity,
        value=value,
        raw=raw,
        reason=CONFLICT,
        level=Level.REJECTED,
        gateway=row.tags.gateway,
    )
