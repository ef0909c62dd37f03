"""InfluxDB store: the port `ReadingStore` on an InfluxDB 2.x server (reads also 1.8 and 3).

**Writes** go through influxdb-client's v2 API, one request at a time, nothing queued here: the
client's batching drops points after its retries without a word (influxdata/influxdb-client-python
#198), and the collector's queue is the one that may hold data.

**Reads** are InfluxQL over `/query`, which 1.8, 2.x and 3 all answer. In 2.x the bucket needs a
mapping to a database of the same name (2.x makes a virtual one itself).

**The first wins** only as far as this store is told to look: InfluxDB overwrites. Within one call
it always wins; against what is stored it does when the caller says `overlapping`, at the price of
reading the keys first. The same row again is the same points again.

**A line the server refuses** is found by halving the request: the answer's own `dropped=0` can be
wrong, and some answers do not say which line it was. Nothing else loses a row: what looks like
wrong settings (401, 403, 404, a 400 for every line) is `StoreAway` with the server's words, because
somebody can put it right.
"""

# ruff: noqa: S608  what comes from outside is quoted by `influxql`; the rest is our own

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import httpx
import msgspec
import numpy as np
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient  # noqa: TID251  this is the one adapter that speaks it
from influxdb_client.client.write_api import SYNCHRONOUS  # noqa: TID251  the same
from influxdb_client.rest import ApiException  # noqa: TID251  the same
from msgspec import convert, structs

from collector.adapters.columns import spans_of
from collector.adapters.influxql import (
    Answer,
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
    Count,
    Refusal,
    Rejection,
    Row,
    StoreAway,
    StoreFull,
    StoreIdentity,
    StoreRefused,
    Window,
    WriteOutcome,
)
from metering.reading import Reading

Precision = Literal["ms", "ns"]

_MOST_LINES = 5_000
_MOST_BYTES = 4_000_000
_REFUSES_A_LINE = (400, 422)
_TOO_LARGE = 413
_SPEAKS_OF_A_LINE = ("unable to parse", "partial write", "field type", "retention policy")
_COLUMNS = ("count", "lowest", "highest", "mean", "first", "last")
_ALL_DROPPED = re.compile(r"dropped=(\d+)")


class _Refused(Exception):
    """The server takes at least one line of a request not; `all_of_it` if it said so."""

    def __init__(self, message: str, lines: int) -> None:
        super().__init__(message)
        dropped = _ALL_DROPPED.search(message)
        self.all_of_it = lines == 1 or (dropped is not None and int(dropped[1]) == lines)


class _TooLarge(Exception):
    """The server wants smaller requests."""


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
        self._bucket = bucket
        self._lines = Lines()
        self._newest: dict[str, int] = {}  # by meter, of what was written since the start
        self._client = InfluxDBClient(
            url, token, org=org, timeout=int(timeout_s * 1000), enable_gzip=gzip, retries=False
        )
        self._writer = self._client.write_api(write_options=SYNCHRONOUS)
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Token {token}"
        self._reader = httpx.Client(
            base_url=url, headers=headers, timeout=timeout_s, trust_env=False
        )

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
        bad = self._send(lines, "ms")
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
        bad = self._send([of_identity(identity)], "ms")
        if bad:
            raise StoreRefused(f"the server does not take the store's identity: {bad[0]}")

    def close(self) -> None:
        self._writer.close()  # type: ignore[no-untyped-call]  # its signatures are partial
        self._client.close()  # type: ignore[no-untyped-call]  # the same
        self._reader.close()

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
        bad = self._send(lines, "ns")
        if bad:
            place, said = next(iter(bad.items()))
            raise StoreRefused(f"the server does not take {rejections[place]}: {said}")

    def _send(self, lines: Sequence[bytes], precision: Precision) -> dict[int, str]:
        """Write the lines; return what the server said of those that it does not take."""
        bad: dict[int, str] = {}
        for start in range(0, len(lines), _MOST_LINES):
            places = range(start, min(start + _MOST_LINES, len(lines)))
            found = self._send_some(lines, places, precision)
            _doubt(found, len(places))
            bad.update(found)
        return bad

    def _send_some(
        self, lines: Sequence[bytes], places: range, precision: Precision
    ) -> dict[int, str]:
        """Write the lines at the places, halving until each request is taken or is one line."""
        body = b"\n".join([lines[place] for place in places])
        try:
            if len(body) <= _MOST_BYTES or len(places) == 1:
                self._post(body, len(places), precision)
                return {}
        except _Refused as refusal:
            if refusal.all_of_it:
                return dict.fromkeys(places, str(refusal))
        except _TooLarge as refusal:
            if len(places) == 1:
                return {places[0]: str(refusal)}
        half = len(places) // 2
        first = self._send_some(lines, places[:half], precision)
        return first | self._send_some(lines, places[half:], precision)

    def _post(self, body: bytes, lines: int, precision: Precision) -> None:
        asked = f"write {lines} lines"
        try:
            self._writer.write(
                self._bucket,
                record=body,
                write_precision=precision,  # type: ignore[arg-type]  # a str in truth
            )
        except ApiException as error:
            said = _said(error)
            if error.status in _REFUSES_A_LINE:
                raise _Refused(said, lines) from error
            if error.status == _TOO_LARGE:
                raise _TooLarge(said) from error
            headers: Mapping[str, str] = error.headers or {}
            raise _away(asked, error.status or 0, said, headers) from error
        except (urllib3.exceptions.HTTPError, UnicodeDecodeError) as error:
            # The client decodes any body as UTF-8, even the error page of a proxy in between.
            raise StoreAway(f"cannot {asked}: {error}") from error

    # -- reading ---------------------------------------------------------------------------------

    def latest(self, meters: Sequence[str] | None = None) -> list[Reading]:
        if meters is not None and not meters:
            return []
        where = "" if meters is None else f" where {any_of(meters)}"
        newest = self._ask(
            f'select *::field from "{READING}"{where} group by "meter" order by time desc limit 1'
        )
        found = {reading.meter: reading for reading in readings_in(newest)}
        if not found:
            return []
        spans = spans_of(np.array([one.at_ms for one in found.values()], np.int64))
        faults = faults_in(
            self._ask(";".join(faults_of(list(found), low, high + 1) for low, high in spans))
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
            valued = self._ask(
                f'select {fields} from "{READING}" where {any_of(meters)}'
                f' and {within(start_ms, end_ms)} group by "meter"'
            )
        faults = faults_in(self._ask(faults_of(meters, start_ms, end_ms)))
        found: dict[tuple[str, int], Reading] = {}
        for reading in readings_in(valued):
            key = (reading.meter, reading.at_ms)
            known = found.get(key)  # the same instant in two series: the tags changed between
            values = known.values | reading.values if known else reading.values
            found[key] = structs.replace(reading, values=values, fault=faults.get(key))
        for meter, at_ms in faults.keys() - found.keys():
            found[meter, at_ms] = Reading(meter=meter, at_ms=at_ms, fault=faults[meter, at_ms])
        return [reading for _, reading in sorted(found.items())]

    def windows(
        self, meter: str, quantity: str, start_ms: int, end_ms: int, width_ms: int
    ) -> list[Window]:
        if end_ms <= start_ms:
            return []
        functions = zip(("count", "min", "max", "mean", "first", "last"), _COLUMNS, strict=True)
        wanted = ", ".join(f'{function}("{quantity}") as "{name}"' for function, name in functions)
        series = self._ask(
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
        series = self._ask(f'select * from "{REJECTION}" where {within(start_ms, end_ms)}')
        found = [
            rejection_in(dict(zip(one.columns, cells, strict=True)))
            for one in series
            for cells in one.values
        ]
        return sorted(found, key=lambda one: (one.at_ms, one.meter, one.quantity, one.reason))

    def count(self) -> Count:
        """Count by reading everything: for tests."""
        valued = readings_in(self._ask(f'select *::field from "{READING}" group by "meter"'))
        faults = faults_in(self._ask(f'select "count" from "{FAULT}" group by "meter", "fault"'))
        values: dict[tuple[str, int], int] = {}
        for reading in valued:
            key = (reading.meter, reading.at_ms)
            values[key] = max(values.get(key, 0), len(reading.values))
        return Count(readings=len(values.keys() | faults.keys()), values=sum(values.values()))

    def identify(self) -> StoreIdentity | None:
        series = self._ask(
            f'select "id", "generation" from "{IDENTITY}" order by time desc limit 1'
        )
        for one in series:
            for _, name, generation in one.values:
                return StoreIdentity(id=str(name), generation=int(generation or 0))
        return None

    def _ask(self, statements: str) -> list[Series]:
        """Ask in InfluxQL; return the series of all statements."""
        query = {"db": self._bucket, "epoch": "ms"}
        try:
            response = self._reader.post("/query", params=query, data={"q": statements})
        except httpx.TransportError as error:
            raise StoreAway(f"cannot read: {error!r}") from error
        if response.status_code != httpx.codes.OK:
            raise _away("read", response.status_code, response.text, response.headers)
        try:
            answer = msgspec.json.decode(response.content, type=Answer)
        except msgspec.DecodeError as error:
            raise StoreAway(f"cannot read: no answer of InfluxDB's: {error}") from error
        for failure in (answer.error, *(result.error for result in answer.results)):
            if failure:
                raise StoreAway(f"cannot read: {failure}; asked {statements[:200]}")
        return [series for result in answer.results for series in result.series]


def _doubt(bad: Mapping[int, str], lines: int) -> None:
    """When the server takes no line at all, believe it only if it speaks of lines."""
    if len(bad) < lines or not bad:
        return
    said = next(iter(bad.values()))
    if not any(word in said for word in _SPEAKS_OF_A_LINE):
        raise StoreAway(f"the server takes nothing, so its settings or ours are wrong: {said}")


def _away(asked: str, status: int, said: str, headers: Mapping[str, str]) -> StoreAway | StoreFull:
    message = f"cannot {asked}: status {status}: {said[:500]}"
    if "no space left" in said:
        return StoreFull(message)
    return StoreAway(message, _seconds(headers.get("Retry-After")))


def _seconds(text: str | None) -> float | None:
    """Read Retry-After; a date instead of seconds is as good as nothing."""
    return float(text) if text and text.strip().isdecimal() else None


def _said(error: ApiException) -> str:
    return str(error.body or error.reason or "nothing")[:1000]
