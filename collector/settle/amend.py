"""Amend: people's corrections over settled cells -> settled again.

A correction says what was consumed between two instants: an hour, or the month of a bill. Its value
goes onto the quarters of its whole span along the shape that the register tells, and hours and days
follow. For a span longer than the window the shape of all of it is needed: then each quarter gets
the same value whichever window is being settled.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Cells
from collector.settle.lay import Settled
from collector.settle.rule import Rule, bit
from collector.settle.series import Floats, Ints, Mask

C = TypeVar("C", np.int64, np.float64, np.bool_)


class Correction(Struct, frozen=True, kw_only=True):
    """What a person says was consumed in `[start_ms, end_ms)`: whole cells of the past.

    Attributes:
        value: in millionths of the unit.
        number: the entry's; where corrections overlap, the higher one wins.
    """

    start_ms: int
    end_ms: int
    value: int
    number: int


class _Grid(Struct, frozen=True, kw_only=True):
    """Every interval of the window, with or without a row, and how far people corrected it.

    Attributes:
        present: it has a row.
        corrected: the share of its time, of what has passed of it.
    """

    cells: Cells
    present: Mask
    corrected: Floats


def amend(settled: Settled, corrections: Sequence[Correction], shape: Cells) -> Settled:
    """Lay corrections over what was settled; with none that touches the window it stays as it is.

    What a correction covers is *edited* throughout and has a row even where the register has none.
    In an hour or a day that is covered in part, the rest keeps its shares; *estimated* is an upper
    bound there.

    Args:
        settled: before any correction.
        corrections: in any order; those outside the window are left aside.
        shape: the quarters, as settled before any correction, of at least the whole span of every
            correction that touches the window; `settled.quarters` where none is longer. A quarter
            without a row counts as not known.
    """
    touching = [
        correction
        for correction in sorted(corrections, key=lambda correction: correction.number)
        if correction.start_ms < min(settled.end_ms, settled.until_ms)
        and correction.end_ms > settled.start_ms
    ]
    if not touching:
        return settled
    quarters = _corrected(_grid(settled, settled.quarters, QUARTER_MS), touching, shape, settled)
    return Settled(
        start_ms=settled.start_ms,
        end_ms=settled.end_ms,
        until_ms=settled.until_ms,
        quarters=_rows(quarters),
        hours=_rows(_widened(quarters, settled, settled.hours, HOUR_MS)),
        days=_rows(_widened(quarters, settled, settled.days, DAY_MS)),
    )


def spread(correction: Correction, shape: Cells) -> Ints:
    """The correction's value on each quarter of its span; they sum to it exactly.

    Along the known quarters of `shape`; a quarter that is not known weighs as much as the known
    ones on average. Evenly by time where nothing is known or nothing was consumed.
    """
    weight = _weights(correction, shape)
    through = np.cumsum(weight)
    laid: Ints = np.rint(correction.value * (through / through[-1])).astype(np.int64)
    laid = np.minimum(laid, correction.value)
    laid[-1] = correction.value  # exactly, also beyond the 53 bits of a double
    laid[1:] -= laid[:-1].copy()
    return laid


def _weights(correction: Correction, shape: Cells) -> Floats:
    weight = np.full((correction.end_ms - correction.start_ms) // QUARTER_MS, np.nan)
    of_it = (
        shape.known & (shape.start_ms >= correction.start_ms) & (shape.start_ms < correction.end_ms)
    )
    weight[(shape.start_ms[of_it] - correction.start_ms) // QUARTER_MS] = shape.value[of_it]
    if not of_it.any() or np.nansum(weight) <= 0:
        return np.ones(weight.size)
    return np.where(np.isnan(weight), np.nanmean(weight), weight)


def _grid(settled: Settled, cells: Cells, width_ms: int) -> _Grid:
    count = (settled.end_ms - settled.start_ms) // width_ms
    place = (cells.start_ms - settled.start_ms) // width_ms
    present = np.zeros(count, np.bool_)
    present[place] = True

    def dense(column: NDArray[C]) -> NDArray[C]:
        full = np.zeros(count, column.dtype)
        full[place] = column
        return full

    return _Grid(
        cells=Cells(
            start_ms=settled.start_ms + width_ms * np.arange(count, dtype=np.int64),
            value=dense(cells.value),
            known=dense(cells.known),
            measured=dense(cells.measured),
            estimated=dense(cells.estimated),
            edited=dense(cells.edited),
            missing=dense(cells.missing),
            rules=dense(cells.rules),
        ),
        present=present,
        corrected=np.zeros(count),
    )


def _corrected(
    grid: _Grid, corrections: Sequence[Correction], shape: Cells, settled: Settled
) -> _Grid:
    """The quarters, each correction laid over those before it."""
    start_ms = settled.start_ms
    value, corrected = grid.cells.value.copy(), np.zeros(grid.present.size, np.bool_)
    for correction in corrections:
        first_ms = max(correction.start_ms, start_ms)
        last_ms = min(correction.end_ms, settled.end_ms, settled.until_ms)
        here = slice((first_ms - start_ms) // QUARTER_MS, (last_ms - start_ms) // QUARTER_MS)
        skipped = (first_ms - correction.start_ms) // QUARTER_MS
        laid = spread(correction, shape)
        value[here] = laid[skipped : skipped + here.stop - here.start]
        corrected[here] = True
    cells = grid.cells
    return _Grid(
        cells=Cells(
            start_ms=cells.start_ms,
            value=value,
            known=cells.known | corrected,
            measured=np.where(corrected, 0, cells.measured),
            estimated=np.where(corrected, 0, cells.estimated),
            edited=np.where(corrected, 1, cells.edited),
            missing=np.where(corrected, 0, cells.missing),
            rules=cells.rules | np.where(corrected, bit(Rule.CORRECTED), 0),
        ),
        present=grid.present | corrected,
        corrected=corrected.astype(np.float64),
    )


def _widened(quarters: _Grid, settled: Settled, cells: Cells, width_ms: int) -> _Grid:
    """Hours or days of corrected quarters; those that no correction touches stay as they are.

    Edited and missing time are the same at every width and are summed. Estimated is not: it stays
    what the wider interval had, as far as its quarters still have that much.
    """
    before = _grid(settled, cells, width_ms)
    count = width_ms // QUARTER_MS
    gone = (settled.until_ms - before.cells.start_ms) // QUARTER_MS
    passed = np.clip(gone, 1, count)

    def share(column: Floats) -> Floats:
        summed: Floats = column.reshape(-1, count).sum(axis=1)
        return summed / passed

    narrow, old = quarters.cells, before.cells
    corrected = share(quarters.corrected)
    touched = corrected > 0
    edited = share(narrow.edited)
    # Quarters without a row are missing in a wider interval that has one.
    known = share(narrow.measured + narrow.estimated + narrow.edited)
    estimated = np.minimum(old.estimated, share(narrow.estimated))
    return _Grid(
        cells=Cells(
            start_ms=old.start_ms,
            value=narrow.value.reshape(-1, count).sum(axis=1),
            known=np.logical_or.reduce(narrow.known.reshape(-1, count), axis=1),
            measured=np.where(touched, np.maximum(known - edited - estimated, 0), old.measured),
            estimated=np.where(touched, estimated, old.estimated),
            edited=np.where(touched, edited, old.edited),
            missing=np.where(touched, np.maximum(1 - known, 0), old.missing),
            rules=old.rules | np.where(touched, bit(Rule.CORRECTED), 0),
        ),
        present=before.present | touched,
        corrected=corrected,
    )


def _rows(grid: _Grid) -> Cells:
    cells, present = grid.cells, grid.present
    return Cells(
        start_ms=cells.start_ms[present],
        value=cells.value[present],
        known=cells.known[present],
        measured=cells.measured[present],
        estimated=cells.estimated[present],
        edited=cells.edited[present],
        missing=cells.missing[present],
        rules=cells.rules[present],
    )
