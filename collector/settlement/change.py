"""Change: cells as they are settled now, and rows as they are stored -> the rows to be written.

Only what differs is written, one version higher: settling twice changes nothing.
"""

import numpy as np

from collector.intervals import Intervals
from collector.settle.cells import Cells, Width
from collector.settle.series import Mask

_FIELDS = ("start_ms", "value", "known", "measured", "estimated", "edited", "missing", "rules")


def changed(
    meter: str, quantity: str, width: Width, cells: Cells, stored: Intervals | None
) -> Intervals | None:
    """What is new or different, None if nothing is.

    A stored row that the cells no longer have (its readings were voided) becomes missing: it is
    neither left as it was nor taken away.
    """
    if stored is None:
        version = np.ones(len(cells.start_ms), np.int64)
        return _intervals(meter, quantity, width, cells, version)
    cells = _with_gone(cells, stored)
    place = np.searchsorted(stored.cells.start_ms, cells.start_ms)
    there = np.minimum(place, len(stored.version) - 1)
    known = stored.cells.start_ms[there] == cells.start_ms
    same = known & _alike(cells, picked(stored.cells, there))
    version = np.where(known, stored.version[there] + 1, 1)
    return _intervals(meter, quantity, width, picked(cells, ~same), version[~same])


def picked(cells: Cells, chosen: np.ndarray) -> Cells:
    """The chosen intervals: a mask, or places."""
    return Cells(**{name: getattr(cells, name)[chosen] for name in _FIELDS})


def within(found: Intervals, span_ms: tuple[int, int]) -> Intervals | None:
    """The rows that start in a span."""
    there = (found.cells.start_ms >= span_ms[0]) & (found.cells.start_ms < span_ms[1])
    if not there.any():
        return None
    return Intervals(
        meter=found.meter,
        quantity=found.quantity,
        width=found.width,
        cells=picked(found.cells, there),
        version=found.version[there],
    )


def joined(*parts: Cells) -> Cells:
    """Intervals of all parts in order of time; of one start the last part's counts."""
    whole = {n: np.concatenate([getattr(part, n) for part in parts]) for n in _FIELDS}
    backwards = whole["start_ms"][::-1]
    _, last = np.unique(backwards, return_index=True)
    places = len(backwards) - 1 - last
    return Cells(**{name: column[places] for name, column in whole.items()})


def missing(start_ms: np.ndarray) -> Cells:
    """Intervals of which nothing is known."""
    count = len(start_ms)
    none, nothing = np.zeros(count), np.zeros(count, np.int64)
    return Cells(
        start_ms=start_ms,
        value=nothing,
        known=np.zeros(count, np.bool_),
        measured=none,
        estimated=none,
        edited=none,
        missing=np.ones(count),
        rules=nothing,
    )


def _with_gone(cells: Cells, stored: Intervals) -> Cells:
    gone = stored.cells.start_ms[~np.isin(stored.cells.start_ms, cells.start_ms)]
    return joined(cells, missing(gone)) if len(gone) else cells


def _alike(one: Cells, other: Cells) -> Mask:
    value = (one.value == other.value) | ~one.known
    same = value & (one.known == other.known) & (one.rules == other.rules)
    for name in ("measured", "estimated", "edited", "missing"):
        same &= np.abs(getattr(one, name) - getattr(other, name)) < _SHARE
    return np.asarray(same)


_SHARE = 1e-9


def _intervals(
    meter: str, quantity: str, width: Width, cells: Cells, version: np.ndarray
) -> Intervals | None:
    if not len(version):
        return None
    return Intervals(meter=meter, quantity=quantity, width=width, cells=cells, version=version)
