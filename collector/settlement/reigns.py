"""Reigns: a meter's fleet entries -> from when to when rows carry the tags of each."""

from collections.abc import Iterator, Sequence

from collector.fleet.index import MeterEntry
from collector.store import Tags
from collector.validate import tags_of

_NEVER_MS = 1 << 62


def reigns(entries: Sequence[MeterEntry]) -> Iterator[tuple[Tags, int, int]]:
    """(tags, start_ms, end_ms), half-open, without a hole: the first entry's from the beginning.

    An entry reigns until the next one begins, even if it ended before: late readings are its own.
    """
    for place, entry in enumerate(entries):
        start_ms = entry.valid_from_ms if place else -_NEVER_MS
        end_ms = entries[place + 1].valid_from_ms if place + 1 < len(entries) else _NEVER_MS
        yield tags_of(entry), start_ms, end_ms
