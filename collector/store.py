"""Store: what the collector asks of a time-series store, and what a store answers.

The port `ReadingStore`, its values and its errors. The one rule that every store keeps is in
`overlay`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from metering.errors import PermanentError, TransientError
from metering.reading import Reading

CONFLICT = "conflict"  # the reason under which a store keeps the value that came second
WHOLE_READING = "*"  # the quantity of a rejection that concerns all of a reading
LAST_AT_MS = 2**42 - 1  # the year 2109; a store packs meter and instant into one 64-bit key


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
        duplicate_values: values that were there already.
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


class Column(Struct, frozen=True, kw_only=True):
    """What a meter said of one quantity: n readings that hold it, in order of time.

    Attributes:
        at_ms: n instants (int64), strictly increasing.
        values: n finite numbers (float64), in the quantity's unit.
    """

    meter: str
    quantity: str
    at_ms: NDArray[np.int64]
    values: NDArray[np.float64]


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
                gateways claim one meter, a spool was restored): a store that looks only at what is
                not newer than all before then looks at every row.
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

    def columns(
        self, meters: Sequence[str], quantities: Sequence[str], start_ms: int, end_ms: int
    ) -> list[Column]:
        """Return `[start_ms, end_ms)` column by column, ordered by (meter, quantity); none empty.

        What settlement reads: far cheaper than `readings` where there are many.
        """
        ...

    def nearest(
        self, meter: str, quantity: str, at_ms: int, *, later: bool, most: int
    ) -> Column | None:
        """Return up to `most` readings next to an instant, in order of time; None for none.

        Args:
            later: those at or after `at_ms`; otherwise those before it.
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
