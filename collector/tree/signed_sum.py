"""Signed sum: settled intervals of several meters, each with a factor -> intervals of their sum.

**Rounding.** Each part is its value times its factor, to the nearest millionth of the unit (exact
where the factor is a whole number); the sum is exact from there on. **Missing is never zero**:
where a part is not known, the sum is not. **Shares** are those of the weakest part: a sum is no
surer than what it is made of.
"""

from collections.abc import Sequence

import numpy as np

from collector.settle.cells import Cells, month_start_ms
from collector.settle.lay import month, nothing
from collector.settle.series import Floats, Ints, Mask

Part = tuple[Cells | None, float]

_COLUMNS = Cells.__struct_fields__


def signed_sum(parts: Sequence[Part]) -> Cells:
    """Add n parts, over every start that any of them has; a part may have no rows at all."""
    there = [cells.start_ms for cells, _ in parts if cells is not None]
    starts = np.unique(np.concatenate(there)) if there else np.empty(0, np.int64)
    count = len(starts)
    value, rules = np.zeros(count, np.int64), np.zeros(count, np.int64)
    known = np.ones(count, np.bool_)
    measured, edited, missing = np.ones(count), np.zeros(count), np.zeros(count)
    for cells, factor in parts:
        place, has = _places(starts, cells)
        if cells is None or not has.any():
            known[:] = False
            continue
        known &= has & cells.known[place]
        value += np.where(has, _times(cells.value[place], factor), 0)
        rules |= np.where(has, cells.rules[place], 0)
        measured = np.minimum(measured, np.where(has, cells.measured[place], 0.0))
        edited = np.maximum(edited, np.where(has, cells.edited[place], 0.0))
        missing = np.maximum(missing, np.where(has, cells.missing[place], 1.0))
    return _cells(starts, value, known, rules, (measured, edited, missing))


def joined(parts: Sequence[Cells]) -> Cells:
    """Cells of spans that follow each other."""
    if not parts:
        return nothing()
    return Cells(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in _COLUMNS})


def by_month(days: Cells, *, until_ms: int) -> Cells:
    """Months of a sum, from its days as those of a meter are: trees change in the middle of them.

    Args:
        until_ms: now, or the end of what was asked for.
    """
    starts = {month_start_ms(at_ms) for at_ms in days.start_ms.tolist()}
    return joined([month(days, start_ms, until_ms=until_ms) for start_ms in sorted(starts)])


def _times(value: Ints, factor: float) -> Ints:
    if float(factor).is_integer():
        exact: Ints = value * int(factor)
        return exact
    rounded: Ints = np.rint(value * factor).astype(np.int64)
    return rounded


def _places(starts: Ints, cells: Cells | None) -> tuple[Ints, Mask]:
    if cells is None or not len(cells.start_ms):
        return np.zeros(len(starts), np.int64), np.zeros(len(starts), np.bool_)
    place = np.minimum(np.searchsorted(cells.start_ms, starts), len(cells.start_ms) - 1)
    return place, np.asarray(cells.start_ms[place] == starts)


def _cells(
    starts: Ints, value: Ints, known: Mask, rules: Ints, shares: tuple[Floats, Floats, Floats]
) -> Cells:
    measured, edited, missing = shares
    missing = np.where(known, missing, 1.0)
    edited = np.minimum(edited, 1 - missing)
    measured = np.minimum(measured, 1 - missing - edited)
    return Cells(
        start_ms=starts,
        value=np.where(known, value, 0),
        known=known,
        measured=measured,
        estimated=np.maximum(1 - measured - edited - missing, 0.0),
        edited=edited,
        missing=missing,
        rules=rules,
    )
