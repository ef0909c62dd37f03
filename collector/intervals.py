"""Intervals: the port to where settled figures stay: intervals, gauges, data quality.

The same database as the readings; another port, because others ask. Everything here can be computed
again from readings and entries: writing the same key again replaces what was there.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from collector.settle.cells import Cells, Width
from collector.settle.series import Floats, Ints
from collector.store import Tags


class Intervals(Struct, frozen=True, kw_only=True):
    """Settled intervals of one counter and one width.

    Attributes:
        meter: a meter's id, or a virtual meter's.
        quantity: the counter; for a virtual meter that of its parts.
        cells: n intervals.
        version: n; 1 when first settled, one more each time that anything in the row changed.
    """

    meter: str
    quantity: str
    width: Width
    cells: Cells
    version: Ints


class GaugeWindows(Struct, frozen=True, kw_only=True):
    """What one gauge did in n windows of one width, in order of time, in the gauge's unit.

    Attributes:
        count: readings with a value; windows without any have no row.
        mean: weighted by time between readings, not by their number.
    """

    meter: str
    quantity: str
    width: Width
    start_ms: Ints
    count: Ints
    lowest: Floats
    mean: Floats
    highest: Floats


class Subject(StrEnum):
    """Whom a figure of data quality is about."""

    METER = "meter"
    BUILDING = "building"
    INSTITUTION = "institution"
    GATEWAY = "gateway"


class Figure(Struct, frozen=True, kw_only=True):
    """One figure of data quality of one day.

    Attributes:
        day_ms: the start of the day in Shanghai.
        name: what, with its unit at the end: `completeness_share`, `clock_drift_s`.
        value: finite. A figure that cannot be told has no row.
    """

    subject: Subject
    id: str
    day_ms: int
    name: str
    value: float


class IntervalStore(Protocol):
    """One thread at a time writes; any thread reads. Errors as in `ReadingStore`."""

    def write_intervals(self, tags: Tags, intervals: Sequence[Intervals]) -> None:
        """Keep all of it durably, in place of what stands under (meter, quantity, width, start).

        Args:
            tags: where the meter stands, from the fleet entry in force.
        """
        ...

    def write_meters(self, written: Sequence[tuple[Tags, Sequence[Intervals]]]) -> None:
        """Do what `write_intervals` does for many meters: far cheaper per meter."""
        ...

    def intervals(
        self,
        meters: Sequence[str],
        width: Width,
        start_ms: int,
        end_ms: int,
        quantities: Sequence[str] | None = None,
    ) -> list[Intervals]:
        """Intervals that start in `[start_ms, end_ms)`, by (meter, quantity); none empty."""
        ...

    def write_gauges(self, tags: Tags, windows: Sequence[GaugeWindows]) -> None:
        """Keep all of it durably, in place of what stands under the same keys."""
        ...

    def write_meters_gauges(self, written: Sequence[tuple[Tags, Sequence[GaugeWindows]]]) -> None:
        """Do what `write_gauges` does for many meters: far cheaper per meter."""
        ...

    def gauges(
        self,
        meters: Sequence[str],
        width: Width,
        start_ms: int,
        end_ms: int,
        quantities: Sequence[str] | None = None,
    ) -> list[GaugeWindows]:
        """Windows that start in `[start_ms, end_ms)`, by (meter, quantity); none empty."""
        ...

    def drop_quarters(self, before_ms: int) -> int:
        """Forget 15-minute rows, of counters and gauges, of months (UTC) that ended by then.

        Hours, days, months and figures stay for good. Returns the start of the oldest month that
        is kept; no quarter before it is left.
        """
        ...

    def write_figures(self, figures: Sequence[Figure]) -> None:
        """Keep all of it durably, in place of what stands under (subject, id, day, name)."""
        ...

    def figures(
        self, subject: Subject, start_ms: int, end_ms: int, ids: Sequence[str] | None = None
    ) -> list[Figure]:
        """Figures of days that start in `[start_ms, end_ms)`, by (id, day, name)."""
        ...
