"""A `ReadingStore` in memory, held to the same contract as the real ones."""

from collections.abc import Sequence

import numpy as np

from collector.overlay import fold, joined, overlay, screen, storable
from collector.store import (
    Column,
    Count,
    Rejection,
    Row,
    StoreAway,
    StoreIdentity,
    Window,
    WriteOutcome,
)
from metering.reading import Reading


class FakeReadingStore:
    """Keeps rows in a dict.

    `away` makes every call raise `StoreAway`; `writes` are the calls' sizes, refused ones not.
    """

    def __init__(self) -> None:
        self.away: StoreAway | None = None
        self.writes: list[int] = []
        self.rows: dict[tuple[str, int], Row] = {}
        self._rejections: dict[Rejection, None] = {}
        self._identity: StoreIdentity | None = None

    def write(
        self,
        rows: Sequence[Row],
        rejections: Sequence[Rejection] = (),
        *,
        overlapping: bool = False,
    ) -> WriteOutcome:
        del overlapping
        self._answer()
        fit, refused = screen(row for row in rows if row.values or row.fault)
        folded = fold(fit)
        stored, same, conflicts = 0, folded.same, list(folded.conflicts)
        for row in folded.rows:
            key = (row.meter, row.at_ms)
            known = self.rows.get(key)
            if known is None:
                self.rows[key] = row
                stored += len(row.values)
                continue
            meeting = overlay(known.values, known.fault, row)
            same += meeting.same
            conflicts += meeting.conflicts
            if meeting.addition:
                self.rows[key] = joined(known, meeting.addition)
                stored += len(meeting.addition.values)
        self._rejections |= dict.fromkeys(map(storable, [*rejections, *conflicts]))
        self.writes.append(len(rows))
        return WriteOutcome(
            stored_values=stored,
            duplicate_values=same,
            conflicts=tuple(conflicts),
            refused=tuple(refused),
        )

    def latest(self, meters: Sequence[str] | None = None) -> list[Reading]:
        self._answer()
        newest: dict[str, Reading] = {}
        for reading in self._ordered():
            if reading.values and (meters is None or reading.meter in meters):
                newest[reading.meter] = reading
        return list(newest.values())

    def readings(
        self, meters: Sequence[str], quantities: Sequence[str] | None, start_ms: int, end_ms: int
    ) -> list[Reading]:
        self._answer()
        found = []
        for reading in self._ordered():
            if reading.meter in meters and start_ms <= reading.at_ms < end_ms:
                values = {
                    name: value
                    for name, value in reading.values.items()
                    if quantities is None or name in quantities
                }
                if values or reading.fault:
                    found.append(
                        Reading(
                            meter=reading.meter,
                            at_ms=reading.at_ms,
                            values=values,
                            fault=reading.fault,
                        )
                    )
        return found

    def columns(
        self, meters: Sequence[str], quantities: Sequence[str], start_ms: int, end_ms: int
    ) -> list[Column]:
        held: dict[tuple[str, str], dict[int, float]] = {}
        for reading in self.readings(meters, quantities, start_ms, end_ms):
            for name, value in reading.values.items():
                held.setdefault((reading.meter, name), {})[reading.at_ms] = value
        return [_column(*key, list(found.items())) for key, found in sorted(held.items())]

    def nearest(
        self, meter: str, quantity: str, at_ms: int, *, later: bool, most: int
    ) -> Column | None:
        self._answer()
        found = [
            (reading.at_ms, reading.values[quantity])
            for reading in self._ordered()
            if reading.meter == meter
            and quantity in reading.values
            and (reading.at_ms >= at_ms) == later
        ]
        chosen = found[:most] if later else found[-most:]
        return _column(meter, quantity, chosen) if chosen else None

    def windows(
        self, meter: str, quantity: str, start_ms: int, end_ms: int, width_ms: int
    ) -> list[Window]:
        windows: dict[int, list[float]] = {}
        for reading in self.readings([meter], [quantity], start_ms, end_ms):
            if quantity in reading.values:
                start = reading.at_ms // width_ms * width_ms
                windows.setdefault(start, []).append(reading.values[quantity])
        return [
            Window(
                start_ms=start,
                count=len(values),
                lowest=min(values),
                highest=max(values),
                mean=sum(values) / len(values),
                first=values[0],
                last=values[-1],
            )
            for start, values in windows.items()
        ]

    def rejections(self, start_ms: int, end_ms: int) -> list[Rejection]:
        self._answer()
        within = [kept for kept in self._rejections if start_ms <= kept.at_ms < end_ms]
        return sorted(within, key=lambda one: (one.at_ms, one.meter, one.quantity, one.reason))

    def count(self) -> Count:
        self._answer()
        values = sum(len(row.values) for row in self.rows.values())
        return Count(readings=len(self.rows), values=values)

    def identify(self) -> StoreIdentity | None:
        self._answer()
        return self._identity

    def declare(self, identity: StoreIdentity) -> None:
        self._answer()
        self._identity = identity

    def close(self) -> None:
        """Nothing is open."""

    def _ordered(self) -> list[Reading]:
        return [
            Reading(
                meter=row.meter,
                at_ms=row.at_ms,
                values={name: float(value) for name, value in row.values.items()},
                fault=row.fault,
            )
            for _, row in sorted(self.rows.items())
        ]

    def _answer(self) -> None:
        if self.away:
            raise self.away


def _column(meter: str, quantity: str, found: list[tuple[int, float]]) -> Column:
    at_ms, values = zip(*found, strict=True)
    return Column(
        meter=meter,
        quantity=quantity,
        at_ms=np.array(at_ms, np.int64),
        values=np.array(values, np.float64),
    )
