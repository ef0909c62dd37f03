"""Said: people's entries of a meter -> what they mean for one of its counters."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from collector.entries import Entry, EntryKind
from collector.settle.amend import Correction
from collector.settle.register import Replacement
from collector.settle.rule import Rule, bit
from collector.settle.series import PER_UNIT, Floats, Ints, Series, whole

EVERY_QUANTITY = "*"  # of a VOID or OUT_OF_SERVICE entry that concerns all of a meter
_OPEN_MS = 2**53

Span = tuple[int, int]


class Said(Struct, frozen=True, kw_only=True):
    """What holds for one counter.

    Attributes:
        readings: (instant, standing in millionths), by time; of one instant the last entry counts.
        voids, outages: half-open spans.
        replacements: by time.
    """

    readings: tuple[tuple[int, int], ...] = ()
    voids: tuple[Span, ...] = ()
    outages: tuple[Span, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    corrections: tuple[Correction, ...] = ()


def said_of(entries: Sequence[Entry], quantity: str) -> Said:
    """What entries in force, by number, say about a counter."""
    mine = [entry for entry in entries if entry.quantity in (quantity, EVERY_QUANTITY)]
    readings = {
        entry.start_ms: _whole(entry.value)
        for entry in mine
        if entry.kind is EntryKind.READING and entry.value is not None
    }
    return Said(
        readings=tuple(sorted(readings.items())),
        voids=_spans(mine, EntryKind.VOID),
        outages=_spans(mine, EntryKind.OUT_OF_SERVICE),
        replacements=tuple(
            sorted(
                (
                    Replacement(
                        at_ms=entry.start_ms,
                        closing=_whole(entry.closing),
                        opening=_whole(entry.value),
                    )
                    for entry in mine
                    if entry.kind is EntryKind.REPLACEMENT
                ),
                key=lambda event: event.at_ms,
            )
        ),
        corrections=tuple(
            Correction(
                start_ms=entry.start_ms,
                end_ms=entry.end_ms,
                value=_whole(entry.value),
                number=entry.number,
            )
            for entry in mine
            if entry.kind is EntryKind.INTERVAL and entry.end_ms is not None
        ),
    )


def series_of(at_ms: Ints, values: Floats, said: Said, span_ms: Span) -> Series:
    """Readings as the store has them, in a half-open span, with what people said laid over them.

    A voided reading is left out; an entered one is MANUAL, or CORRECTED where it stands in the
    place of one that was voided.
    """
    standing = whole(values)
    keep = np.ones(len(at_ms), np.bool_)
    for start_ms, end_ms in said.voids:
        keep &= (at_ms < start_ms) | (at_ms >= end_ms)
    entered = [(at, value) for at, value in said.readings if span_ms[0] <= at < span_ms[1]]
    if not entered:
        rules = np.zeros(int(keep.sum()), np.int64)
        return Series(at_ms=at_ms[keep], value=standing[keep], rules=rules)
    new_ms = np.array([at for at, _ in entered], np.int64)
    keep &= ~np.isin(at_ms, new_ms)
    corrected = np.isin(new_ms, at_ms)
    times = np.concatenate((at_ms[keep], new_ms))
    order = np.argsort(times, kind="stable")
    bits = np.where(corrected, bit(Rule.CORRECTED), bit(Rule.MANUAL))
    return Series(
        at_ms=times[order],
        value=np.concatenate((standing[keep], [value for _, value in entered]))[order],
        rules=np.concatenate((np.zeros(int(keep.sum()), np.int64), bits))[order],
    )


def _spans(entries: Sequence[Entry], kind: EntryKind) -> tuple[Span, ...]:
    return tuple(
        (entry.start_ms, _OPEN_MS if entry.end_ms is None else entry.end_ms)
        for entry in entries
        if entry.kind is kind
    )


def _whole(value: float | None) -> int:
    return round((value or 0.0) * PER_UNIT)
