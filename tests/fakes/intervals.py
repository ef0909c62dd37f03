"""An `IntervalStore` in memory, held to the same contract as the real ones."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from collector.adapters.columns import month_of_ms
from collector.intervals import Figure, GaugeWindows, Intervals, Subject
from collector.settle.cells import Cells, Width
from collector.store import StoreAway, StoreRefused, Tags

_CELLS = Cells.__struct_fields__
_WINDOWS = ("start_ms", "count", "lowest", "mean", "highest")

Key = tuple[str, str, Width, int]  # meter, quantity, width, start


class FakeIntervalStore:
    """Keeps rows in dicts.

    `away` makes every call raise `StoreAway`; `writes` are the calls' sizes in rows, refused ones
    not; `tags` are the last ones by meter.
    """

    def __init__(self) -> None:
        self.away: StoreAway | None = None
        self.writes: list[int] = []
        self.tags: dict[str, Tags] = {}
        self._intervals: dict[Key, tuple[Any, ...]] = {}
        self._gauges: dict[Key, tuple[Any, ...]] = {}
        self._figures: dict[tuple[Subject, str, int, str], Figure] = {}

    def write_intervals(self, tags: Tags, intervals: Sequence[Intervals]) -> None:
        self._answer()
        _demand_own(tags, intervals)
        written = 0
        for one in intervals:
            value = np.where(one.cells.known, one.cells.value, 0)
            columns = [value if n == "value" else getattr(one.cells, n) for n in _CELLS]
            rows = list(zip(*columns, one.version, strict=True))
            self._intervals |= {
                (one.meter, one.quantity, one.width, int(row[0])): row for row in rows
            }
            written += len(rows)
        self._note(tags, written)

    def write_meters(self, written: Sequence[tuple[Tags, Sequence[Intervals]]]) -> None:
        for tags, intervals in written:
            _demand_own(tags, intervals)
        for tags, intervals in written:
            self.write_intervals(tags, intervals)

    def intervals(
        self,
        meters: Sequence[str],
        width: Width,
        start_ms: int,
        end_ms: int,
        quantities: Sequence[str] | None = None,
    ) -> list[Intervals]:
        self._answer()
        found = []
        for (meter, quantity), rows in _chosen(
            self._intervals, (meters, quantities), width, (start_ms, end_ms)
        ):
            *cells, version = (np.array(column) for column in zip(*rows, strict=True))
            found.append(
                Intervals(
                    meter=meter,
                    quantity=quantity,
                    width=width,
                    cells=Cells(**dict(zip(_CELLS, cells, strict=True))),
                    version=version,
                )
            )
        return found

    def write_gauges(self, tags: Tags, windows: Sequence[GaugeWindows]) -> None:
        self._answer()
        _demand_own(tags, windows)
        written = 0
        for one in windows:
            rows = list(zip(*(getattr(one, name) for name in _WINDOWS), strict=True))
            self._gauges |= {(one.meter, one.quantity, one.width, int(row[0])): row for row in rows}
            written += len(rows)
        self._note(tags, written)

    def write_meters_gauges(self, written: Sequence[tuple[Tags, Sequence[GaugeWindows]]]) -> None:
        for tags, windows in written:
            _demand_own(tags, windows)
        for tags, windows in written:
            self.write_gauges(tags, windows)

    def gauges(
        self,
        meters: Sequence[str],
        width: Width,
        start_ms: int,
        end_ms: int,
        quantities: Sequence[str] | None = None,
    ) -> list[GaugeWindows]:
        self._answer()
        found = []
        for (meter, quantity), rows in _chosen(
            self._gauges, (meters, quantities), width, (start_ms, end_ms)
        ):
            columns = dict(zip(_WINDOWS, map(np.array, zip(*rows, strict=True)), strict=True))
            found.append(GaugeWindows(meter=meter, quantity=quantity, width=width, **columns))
        return found

    def drop_quarters(self, before_ms: int) -> int:
        self._answer()
        until_ms = month_of_ms(before_ms)
        for rows in (self._intervals, self._gauges):
            for key in [key for key in rows if key[2] is Width.QUARTER and key[3] < until_ms]:
                del rows[key]
        return until_ms

    def write_figures(self, figures: Sequence[Figure]) -> None:
        self._answer()
        for one in figures:
            self._figures[one.subject, one.id, one.day_ms, one.name] = one
        self.writes.append(len(figures))

    def figures(
        self, subject: Subject, start_ms: int, end_ms: int, ids: Sequence[str] | None = None
    ) -> list[Figure]:
        self._answer()
        found = [
            one
            for one in self._figures.values()
            if one.subject == subject
            and start_ms <= one.day_ms < end_ms
            and (ids is None or one.id in ids)
        ]
        return sorted(found, key=lambda one: (one.id, one.day_ms, one.name))

    def _note(self, tags: Tags, rows: int) -> None:
        self.tags[tags.meter] = tags
        self.writes.append(rows)

    def _answer(self) -> None:
        if self.away:
            raise self.away


def _demand_own(tags: Tags, written: Sequence[Intervals] | Sequence[GaugeWindows]) -> None:
    for one in written:
        if one.meter != tags.meter:
            raise StoreRefused(f"intervals of {one.meter} came with the tags of {tags.meter}")


def _chosen(
    rows: dict[Key, tuple[Any, ...]],
    names: tuple[Sequence[str], Sequence[str] | None],
    width: Width,
    span: tuple[int, int],
) -> list[tuple[tuple[str, str], list[tuple[Any, ...]]]]:
    meters, quantities = names
    keys = sorted(
        key
        for key in rows
        if key[0] in meters
        and (quantities is None or key[1] in quantities)
        and key[2] == width
        and span[0] <= key[3] < span[1]
    )
    return [
        (owner, [rows[key] for key in group]) for owner, group in groupby(keys, lambda key: key[:2])
    ]
