"""InfluxDB store: the port `ReadingStore` on an InfluxDB 2.x server (reads also 1.8 and 3).

**The first wins** only as far as this store is told to look: InfluxDB overwrites. Within one call
it always wins; against what is stored it does when the caller says `overlapping`, at the price of
reading the keys first. The same row again is the same points again.
"""

# ruff: noqa: S608  what comes from outside is quoted by `influxql`; the rest is our own

from collections.abc import Sequence

import numpy as np
from msgspec import convert, structs

from collector.adapters.columns import spans_of
from collector.adapters.influx_bucket import InfluxBucket
from collector.adapters.influx_columns import read_columns, read_nearest
from collector.adapters.influxql import (
    Series,
    any_of,
    faults_in,
    faults_of,
    readings_in,
    rejection_in,
    within,
)
from collector.adapters.line_protocol import (
    FAULT,
    IDENTITY,
    READING,
    REJECTION,
    Lines,
    of_identity,
    of_rejection,
    why_untaggable,
)
from collector.overlay import Folded, Unfit, fold, overlay, screen, storable
from collector.store import (
    Column,
    Count,
    Refusal,
    Rejection,
    Row,
    StoreIdentity,
    StoreRefused,
    Window,
    WriteOutcome,
)
from metering.reading import Reading

_COLUMNS = ("count", "lowest", "highest", "mean", "first", "last")


class InfluxReadingStore:
    """A `ReadingStore` on a server.

    Args:
        url: of the server.
        token: of a user who may read and write the bucket; empty where none is asked for.
        org: the organisation; 1.x ignores it.
        bucket: where to write; the database of the same name is read.
        timeout_s: for one request.
        gzip: whether requests are compressed: worth it on a thin line, not on loopback.
    """

    def __init__(
        self,
        *,
        url: str,
        token: str,
        org: str,
        bucket: str,
        timeout_s: float = 10.0,
        gzip: bool = False,
    ) -> None:
        self.bucket = InfluxBucket(
            url=url, token=token, org=org, bucket=bucket, timeout_s=timeout_s, gzip=gzip
        )
        self._lines = Lines()
        self._newest: dict[str, int] = {}  # by meter, of what was written since the start

    # -- writing ---------------------------------------------------------------------------------

    def write(
        self,
        rows: Sequence[Row],
        rejections: Sequence[Rejection] = (),
        *,
        overlapping: bool = False,
    ) -> WriteOutcome:
        """See `ReadingStore`. Not one step, but the same call again completes it."""
        saying = [row for row in rows if row.values or row.fault]
        lines, saying, refused = self._lines_of(saying)
        met = fold(saying)
        if overlapping or any(self._may_meet(row) for row in met.rows):
            met = self._against_stored(met, all_of_them=overlapping)
            lines = self._lines.of_rows(met.rows)
        elif len(met.rows) < len(saying):
            lines = self._lines.of_rows(met.rows)
        # Losers first: should the server fall silent in between, the same call finds them again.
        self._keep_beside([*rejections, *met.conflicts])
        bad = self.bucket.send(lines, "ms")
        refused += [Refusal(row=met.rows[place], message=said) for place, said in bad.items()]
        for row in saying:
            self._newest[row.meter] = max(row.at_ms, self._newest.get(row.meter, 0))
        stored = sum(len(row.values) for row in met.rows)
        return WriteOutcome(
            stored_values=stored - sum(len(met.rows[place].values) for place in bad),
            duplicate_values=met.same,
            conflicts=tuple(met.conflicts),
            refused=tuple(refused),
        )

    def declare(self, identity: StoreIdentity) -> None:
        bad = self.bucket.send([of_identity(identity)], "ms")
        if bad:
            raise StoreRefused(f"the server does not take the store's identity: {bad[0]}")

    def close(self) -> None:
        self.bucket.close()

    def _lines_of(self, rows: list[Row]) -> tuple[list[bytes], list[Row], list[Refusal]]:
        try:
            return self._lines.of_rows(rows), rows, []
        except Unfit:
            fit, refused = screen(rows)
        for row in [row for row in fit if why_untaggable(row.tags)]:
            fit.remove(row)
            refused.append(Refusal(row=row, message=why_untaggable(row.tags) or ""))
        return self._lines.of_rows(fit), fit, refused

    def _may_meet(self, row: Row) -> bool:
        """Whether a reading may be stored at that instant already.

        What is newer than all that was written of its meter is new. Of a meter not written since
        the start nobody knows.
        """
        newest_ms = self._newest.get(row.meter)
        return newest_ms is None or row.at_ms <= newest_ms

    def _against_stored(self, met: Folded, *, all_of_them: bool) -> Folded:
        """Leave only what the stored readings lack."""
        doubtful = [row for row in met.rows if all_of_them or self._may_meet(row)]
        if not doubtful:
            return met
        stored = {
            (reading.meter, reading.at_ms): reading
            for start_ms, last_ms in spans_of(np.array([row.at_ms for row in doubtful], np.int64))
            for reading in self.readings(
                sorted({row.meter for row in doubtful if start_ms <= row.at_ms <= last_ms}),
                None,
                start_ms,
                last_ms + 1,
            )
        }
        rows: list[Row] = []
        same, conflicts = met.same, list(met.conflicts)
        for row in met.rows:
            known = stored.get((row.meter, row.at_ms))
            if known is None:
                rows.append(row)
                continue
            meeting = overlay(known.values, known.fault, row)
            same += meeting.same
            conflicts += meeting.conflicts
            if meeting.addition:
                rows.append(meeting.addition)
        return Folded(rows=rows, same=same, conflicts=conflicts)

    def _keep_beside(self, rejections: Sequence[Rejection]) -> None:
        lines = [of_rejection(storable(rejection)) for rejection in rejections]
        bad = self.bucket.send(lines, "ns")
        if bad:
            place, said = next(iter(bad.items()))
            raise StoreRefused(f"the server does not take {rejections[place]}: {said}")

    # -- reading ---------------------------------------------------------------------------------

    def latest(self, meters: Sequence[str] | None = None) -> list[Reading]:
        if meters is not None and not meters:
            return []
        where = "" if meters is None else f" where {any_of(meters)}"
        newest = self.bucket.ask(
            f'select *::field from "{READING}"{where} group by "meter" order by time desc limit 1'
        )
        found = {reading.meter: reading for reading in readings_in(newest)}
        if not found:
            return []
        spans = spans_of(np.array([one.at_ms for one in found.values()], np.int64))
        faults = faults_in(
            self.bucket.ask(";".join(faults_of(list(found), low, high + 1) for low, high in spans))
        )
        return [
            structs.replace(reading, fault=faults.get((meter, reading.at_ms)))
            for meter, reading in sorted(found.items())
        ]

    def readings(
        self, meters: Sequence[str], quantities: Sequence[str] | None, start_ms: int, end_ms: int
    ) -> list[Reading]:
        if not meters or end_ms <= start_ms:
            return []
        fields = "*::field" if quantities is None else ", ".join(f'"{q}"' for q in quantities)
        valued: list[Series] = []
        if fields:
            valued = self.bucket.ask(
                f'select {fields} from "{READING}" where {any_of(meters)}'
                f' and {within(start_ms, end_ms)} group by "meter"'
            )
        faults = faults_in(self.bucket.ask(faults_of(meters, start_ms, end_ms)))
        found: dict[tuple[str, int], Reading] = {}
        for reading in readings_in(valued):
            key = (reading.meter, reading.at_ms)
            known = found.get(key)  # the same instant in two series: the tags changed between
            values = known.values | reading.values if known else reading.values
            found[key] = structs.replace(reading, values=values, fault=faults.get(key))
        for meter, at_ms in faults.keys() - found.keys():
            found[meter, at_ms] = Reading(meter=meter, at_ms=at_ms, fault=faults[meter, at_ms])
        return [reading for _, reading in sorted(found.items())]

    def columns(
        self, meters: Sequence[str], quantities: Sequence[str], start_ms: int, end_ms: int
    ) -> list[Column]:
        return read_columns(self.bucket, meters, quantities, (start_ms, end_ms))

    def nearest(
        self, meter: str, quantity: str, at_ms: int, *, later: bool, most: int
    ) -> Column | None:
        return read_nearest(self.bucket, meter, quantity, at_ms, later=later, most=most)

    def windows(
        self, meter: str, quantity: str, start_ms: int, end_ms: int, width_ms: int
    ) -> list[Window]:
        if end_ms <= start_ms:
            return []
        functions = zip(("count", "min", "max", "mean", "first", "last"), _COLUMNS, strict=True)
        wanted = ", ".join(f'{function}("{quantity}") as "{name}"' for function, name in functions)
        series = self.bucket.ask(
            f'select {wanted} from "{READING}" where {any_of([meter])}'
            f" and {within(start_ms, end_ms)} group by time({int(width_ms)}ms) fill(none)"
        )
        return [
            convert({"start_ms": at_ms} | dict(zip(_COLUMNS, cells, strict=True)), Window)
            for one in series
            for at_ms, *cells in one.values
        ]

    def rejections(self, start_ms: int, end_ms: int) -> list[Rejection]:
        if end_ms <= start_ms:
            return []
        series = self.bucket.ask(f'select * from "{REJECTION}" where {within(start_ms, end_ms)}')
        found = [
            rejection_in(dict(zip(one.columns, cells, strict=True)))
            for one in series
            for cells in one.values
        ]
        return sorted(found, key=lambda one: (one.at_ms, one.meter, one.quantity, one.reason))

    def count(self) -> Count:
        """Count by reading everything: for tests."""
        valued = readings_in(self.bucket.ask(f'select *::field from "{READING}" group by "meter"'))
        faults = faults_in(
            self.bucket.ask(f'select "count" from "{FAULT}" group by "meter", "fault"')
        )
        values: dict[tuple[str, int], int] = {}
        for reading in valued:
            key = (reading.meter, reading.at_ms)
            values[key] = max(values.get(key, 0), len(reading.values))
        return Count(readings=len(values.keys() | faults.keys()), values=sum(values.values()))

    def identify(self) -> StoreIdentity | None:
        series = self.bucket.ask(
            f'select "id", "generation" from "{IDENTITY}" order by time desc limit 1'
        )
        for one in series:
            for _, name, generation in one.values:
                return StoreIdentity(id=str(name), generation=int(generation or 0))
        return None
