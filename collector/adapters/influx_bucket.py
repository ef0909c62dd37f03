"""InfluxDB bucket: lines -> a server, and questions -> its answers; one client for all stores.

**Writes** go through influxdb-client's v2 API, one request at a time, nothing queued here: the
client's batching drops points after its retries without a word (influxdata/influxdb-client-python
#198), and the collector's queue is the one that may hold data.

**Reads** are InfluxQL over `/query`, which 1.8, 2.x and 3 all answer. In 2.x the bucket needs a
mapping to a database of the same name (2.x makes a virtual one itself). Long answers are asked for
in chunks: each is a JSON document on a line of its own, so that memory holds one at a time.

**A line the server refuses** is found by halving the request: the answer's own `dropped=0` can be
wrong, and some answers do not say which line it was. Nothing else loses a row: what looks like
wrong settings (401, 403, 404, a 400 for every line) is `StoreAway` with the server's words, because
somebody can put it right.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import httpx
import msgspec
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient  # noqa: TID251  this is the one adapter that speaks it
from influxdb_client.client.write_api import SYNCHRONOUS  # noqa: TID251  the same
from influxdb_client.rest import ApiException  # noqa: TID251  the same

from collector.adapters.influxql import Answer, Series
from collector.store import StoreAway, StoreFull

Precision = Literal["ms", "ns"]

_MOST_LINES = 5_000
_MOST_BYTES = 4_000_000
_CHUNK = 10_000  # rows of one answer that are held as objects at once
_REFUSES_A_LINE = (400, 422)
_TOO_LARGE = 413
_SPEAKS_OF_A_LINE = ("unable to parse", "partial write", "field type", "retention policy")
_ALL_DROPPED = re.compile(r"dropped=(\d+)")


class _Refused(Exception):
    """The server takes at least one line of a request not; `all_of_it` if it said so."""

    def __init__(self, message: str, lines: int) -> None:
        super().__init__(message)
        dropped = _ALL_DROPPED.search(message)
        self.all_of_it = lines == 1 or (dropped is not None and int(dropped[1]) == lines)


class _TooLarge(Exception):
    """The server wants smaller requests."""


class InfluxBucket:
    """A bucket of a server; any thread may write and read.

    Args:
        url: of the server.
        token: of a user who may read and write the bucket; empty where none is asked for.
        org: the organisation; 1.x ignores it.
        bucket: where to write; the database of the same name is read.
        timeout_s: for one request.
        gzip: whether requests are compressed: worth it on a thin line, not on loopback.
    """

    def __init__(
        self, *, url: str, token: str, org: str, bucket: str, timeout_s: float, gzip: bool
    ) -> None:
        self._bucket = bucket
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

    def close(self) -> None:
        self._writer.close()  # type: ignore[no-untyped-call]  # its signatures are partial
        self._client.close()  # type: ignore[no-untyped-call]  # the same
        self._reader.close()

    def send(self, lines: Sequence[bytes], precision: Precision) -> dict[int, str]:
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

    def ask(self, statements: str) -> list[Series]:
        """Ask in InfluxQL; return the series of all statements."""
        query = {"db": self._bucket, "epoch": "ms"}
        try:
            response = self._reader.post("/query", params=query, data={"q": statements})
        except httpx.TransportError as error:
            raise StoreAway(f"cannot read: {error!r}") from error
        if response.status_code != httpx.codes.OK:
            raise _away("read", response.status_code, response.text, response.headers)
        return _series_in(response.content, statements)

    def stream(self, statements: str) -> Iterator[Series]:
        """Ask in InfluxQL; yield pieces of series as they come, in order."""
        query = {"db": self._bucket, "epoch": "ms", "chunked": "true", "chunk_size": str(_CHUNK)}
        form = {"q": statements}
        try:
            with self._reader.stream("POST", "/query", params=query, data=form) as response:
                if response.status_code != httpx.codes.OK:
                    said = response.read().decode(errors="replace")
                    raise _away("read", response.status_code, said, response.headers)
                for line in _lines_in(response.iter_bytes()):
                    yield from _series_in(line, statements)
        except httpx.TransportError as error:
            raise StoreAway(f"cannot read: {error!r}") from error


def _lines_in(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Cut what comes at its line ends; `splitlines` would cut inside texts as well."""
    rest: list[bytes] = []
    for piece in pieces:
        *lines, last = piece.split(b"\n")
        for line in lines:
            yield b"".join([*rest, line])
            rest.clear()
        rest.append(last)
    yield b"".join(rest)


def _series_in(document: bytes, statements: str) -> list[Series]:
    if not document.strip():
        return []
    try:
        answer = msgspec.json.decode(document, type=Answer)
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
