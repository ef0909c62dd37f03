"""Line protocol: rows and rejections -> the lines that InfluxDB takes.

Built by hand because the client's `Point` costs some fifteen times as much per value: what does
not change (tags, names) is escaped once and kept.

Source: InfluxDB line protocol reference, "special characters" and "string" (v1.8 and v2 agree).
"""

from collections.abc import Sequence
from zlib import crc32

import msgspec

from collector.overlay import Unfit
from collector.store import (
    LAST_AT_MS,
    Rejection,
    Row,
    StoreIdentity,
    Tags,
)
from metering.quantity import QUANTITIES

READING, FAULT, REJECTION, IDENTITY = "reading", "fault", "rejection", "store_identity"
# The gateway is no tag: a meter that changes its gateway would begin a second series, and a
# reading that both of them sent would be counted twice.
READING_TAGS = ("district", "sector", "institution", "building", "circuit", "meter", "energy")
_NS_PER_MS = 1_000_000
_MOST_KEPT = 100_000  # more fleet entries than one collector has
_SPECIAL = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_STRING = str.maketrans({"\\": "\\\\", '"': '\\"'})
_BREAKS = str.maketrans({"\n": " ", "\r": " ", "\\": "/"})

_numbers = msgspec.json.Encoder().encode


class Lines:
    """Writes the lines of rows; what it has escaped it remembers. Not shared between threads."""

    def __init__(self) -> None:
        self._places: dict[Tags, bytes] = {}
        self._templates: dict[tuple[str, ...], bytes] = {}

    def of_rows(self, rows: Sequence[Row]) -> list[bytes]:
        """Return one entry per row, in order, times in ms; a fault is a second line in it.

        Raises:
            Unfit: a row is one that `why_refused` or `why_unwritable` refuses.
        """
        try:
            return [self._of_row(row) for row in rows]
        except (TypeError, ValueError) as error:
            raise Unfit from error

    def _of_row(self, row: Row) -> bytes:
        tags = row.tags
        place = self._places.get(tags) or self._place(tags)
        if row.meter != tags.meter or not 0 <= row.at_ms <= LAST_AT_MS:
            raise Unfit
        if row.fault:
            return self._with_fault(row, place)
        return b"reading%b %b %d" % (place, self._fields(row.values), row.at_ms)

    def _with_fault(self, row: Row, place: bytes) -> bytes:
        fault = escaped(row.fault or "").encode()
        line = b"fault%b,fault=%b count=1 %d" % (place, fault, row.at_ms)
        if not row.values:
            return line
        return b"reading%b %b %d\n%b" % (place, self._fields(row.values), row.at_ms, line)

    def _fields(self, values: dict[str, float]) -> bytes:
        names = tuple(values)
        template = self._templates.get(names) or self._template(names)
        # JSON's numbers are valid field values, twice as fast as repr and as exact; what is not
        # finite becomes `null`; that, `true`, `false` and strings have one of these characters.
        numbers = _numbers(list(values.values()))[1:-1]
        if b"u" in numbers or b"l" in numbers or b'"' in numbers:
            raise Unfit
        return template % tuple(numbers.split(b","))

    def _template(self, names: tuple[str, ...]) -> bytes:
        if not names or not QUANTITIES.keys() >= set(names):
            raise Unfit
        template = ",".join(f"{name}=%b" for name in names).encode()
        if len(self._templates) < _MOST_KEPT:
            self._templates[names] = template
        return template

    def _place(self, tags: Tags) -> bytes:
        if why_untaggable(tags):
            raise Unfit
        place = place_of(tags).encode()
        if len(self._places) < _MOST_KEPT:
            self._places[tags] = place
        return place


def place_of(tags: Tags) -> str:
    """Write where a meter stands, as tags of a line.

    An empty tag may not be written; InfluxDB reads an absent one as empty.
    """
    present = [(name, getattr(tags, name)) for name in READING_TAGS]
    return "".join(f",{name}={escaped(text)}" for name, text in present if text)


def escaped(text: str) -> str:
    """Escape a tag's value."""
    return text.translate(_SPECIAL)


def quoted(text: str) -> str:
    """Write a string field."""
    return f'"{text.translate(_STRING)}"'


def why_untaggable(tags: Tags) -> str | None:
    """Return why these tags cannot be written: the protocol has no escape for such text."""
    for name in READING_TAGS:
        text: str = getattr(tags, name)
        if is_untaggable(text):
            return f"{name} cannot be a tag: {text!r}"
    return None


def is_untaggable(text: str) -> bool:
    return "\n" in text or "\r" in text or text.endswith("\\")


def of_rejection(rejection: Rejection) -> bytes:
    """Write a rejection, its time in **nanoseconds**.

    Two losers under one key would overwrite each other; what tells them apart is put below the
    millisecond, where no reading has anything, so that series stay few and the same rejection
    again is the same point again.
    """
    tags = {
        "meter": rejection.meter,
        "quantity": rejection.quantity,
        "reason": rejection.reason,
        "level": rejection.level.value,
    }
    places = "".join(f",{q}={_label(text)}" for q, text in tags.items() if text)
    fields = [f"raw={quoted(rejection.raw)}", f"gateway={quoted(rejection.gateway)}"]
    if rejection.value is not None:
        fields.append(f"value={float(rejection.value)!r}")
    text = ",".join(fields)
    at_ns = rejection.at_ms * _NS_PER_MS + crc32(text.encode()) % _NS_PER_MS
    return f"{REJECTION}{places} {text} {at_ns}".encode()


def of_identity(identity: StoreIdentity) -> bytes:
    """Write the identity; the server stamps it, so that the newest declaration is the last."""
    return f"{IDENTITY} id={quoted(identity.id)},generation={identity.generation:d}".encode()


def _label(text: str) -> str:
    """A tag from outside: what has no escape is replaced, a rejection must not be refused."""
    return escaped(text.translate(_BREAKS))
