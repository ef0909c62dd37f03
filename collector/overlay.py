"""Overlay: two rows under one key -> what the second adds, and what it contradicts.

The one rule that every store keeps, as pure functions: **a reading is known by its meter and its
instant, and of two values for one quantity of one reading the first stays**. The same again changes
nothing, a quantity that comes late is added, another value is kept beside as a rejection. So a
delivery may come twice, in pieces, in any order.
"""

from collections.abc import Iterable
from math import isfinite

from msgspec import Struct, structs

from collector.store import (
    CONFLICT,
    LAST_AT_MS,
    WHOLE_READING,
    Level,
    Refusal,
    Rejection,
    Row,
)
from metering.quantity import QUANTITIES


class Unfit(Exception):
    """Among the rows is one that no store may take; which one is for `screen` to say."""


class Overlay(Struct, frozen=True, kw_only=True):
    """What a row adds to the reading already known under its key."""

    addition: Row | None
    same: int
    conflicts: tuple[Rejection, ...]


class Folded(Struct, frozen=True, kw_only=True):
    """Rows with one row per key, in order of first appearance, and what that left over."""

    rows: list[Row]
    same: int
    conflicts: list[Rejection]


def why_refused(row: Row) -> str | None:
    """Return why no store may take this row; None if it may."""
    if row.meter != row.tags.meter:
        return f"it is meter {row.meter}'s, but its tags are meter {row.tags.meter}'s"
    if not 0 <= row.at_ms <= LAST_AT_MS:
        return f"its at_ms is outside 0 to {LAST_AT_MS}: {row.at_ms}"
    for name, value in row.values.items():
        if name not in QUANTITIES:
            return f"{name} is not a known quantity"
        if not _is_finite_number(value):
            return f"{name} is not a finite number: {value!r}"
    return None


def _is_finite_number(value: object) -> bool:
    """What is typed as float may still be anything when a row is made by hand."""
    return isinstance(value, float | int) and not isinstance(value, bool) and isfinite(value)


def screen(rows: Iterable[Row]) -> tuple[list[Row], list[Refusal]]:
    """Part the rows that a store may take from those it never will."""
    fit: list[Row] = []
    refused: list[Refusal] = []
    for row in rows:
        message = why_refused(row)
        if message is None:
            fit.append(row)
        else:
            refused.append(Refusal(row=row, message=message))
    return fit, refused


def overlay(values: dict[str, float], fault: str | None, row: Row) -> Overlay:
    """Compare a row with the `values` and `fault` known under its key: the first wins."""
    if row.values == values and row.fault == fault:  # a delivery that came twice
        return Overlay(addition=None, same=len(values), conflicts=())
    late = {name: value for name, value in row.values.items() if name not in values}
    losers = {q: v for q, v in row.values.items() if q in values and values[q] != v}
    conflicts = [_loser(row, q, v, repr(v)) for q, v in losers.items()]
    if fault and row.fault and row.fault != fault:
        conflicts.append(_loser(row, WHOLE_READING, None, row.fault))
    new_fault = row.fault if fault is None else None
    addition = structs.replace(row, values=late, fault=new_fault) if late or new_fault else None
    same = len(row.values) - len(late) - len(losers)
    return Overlay(addition=addition, same=same, conflicts=tuple(conflicts))


def fold(rows: Iterable[Row]) -> Folded:
    """Fold rows of one key into one row each: the first wins, late quantities join it."""
    first: dict[tuple[str, int], Row] = {}
    same = 0
    conflicts: list[Rejection] = []
    for row in rows:
        key = (row.meter, row.at_ms)
        known = first.get(key)
        if known is None:
            first[key] = row
            continue
        meeting = overlay(known.values, known.fault, row)
        same += meeting.same
        conflicts.extend(meeting.conflicts)
        if meeting.addition:
            first[key] = joined(known, meeting.addition)
    return Folded(rows=list(first.values()), same=same, conflicts=conflicts)


def joined(known: Row, addition: Row) -> Row:
    """Return the known row with an overlay's addition in it."""
    values = known.values | addition.values
    return structs.replace(known, values=values, fault=known.fault or addition.fault)


def storable(rejection: Rejection) -> Rejection:
    """Return it with a value that every store can hold: what is not finite stays in `raw`."""
    if rejection.value is None or isfinite(rejection.value):
        return rejection
    return structs.replace(rejection, value=None, raw=rejection.raw or repr(rejection.value))


def _loser(row: Row, quantity: str, value: float | None, raw: str) -> Rejection:
    return Rejection(
        meter=row.meter,
        at_ms=row.at_ms,
        quantity=quantity,
        value=value,
        raw=raw,
        reason=CONFLICT,
        level=Level.REJECTED,
        gateway=row.tags.gateway,
    )
