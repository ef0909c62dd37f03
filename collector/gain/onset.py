"""Onset: how a share went day by day -> on which day it began to change."""

import numpy as np

from collector.settle.series import Floats

_RAMPS_DAYS = (1, 7, 14, 28)  # a broken transformer, and a drift
_EDGE_DAYS = 7  # known on each side at least


def onset(product: Floats, moment: Floats) -> int:
    """The day from which a step or a slope explains most, by weighted least squares.

    Args:
        product, moment: n days; the share of a day is moment / product, its weight product.
    """
    days = np.arange(len(product), dtype=np.float64)
    best, found = -np.inf, 0
    for ramp in _RAMPS_DAYS:
        for start in range(_EDGE_DAYS, max(_EDGE_DAYS + 1, len(days) - _EDGE_DAYS)):
            came = np.clip((days - start + 1) / ramp, 0, 1)
            explained = _explained(product, moment, came)
            if explained > best:
                best, found = explained, start
    return found


def _explained(product: Floats, moment: Floats, came: Floats) -> float:
    """By a constant share and one that came, what both take off the squares."""
    whole = np.array(
        [
            [product.sum(), (product * came).sum()],
            [(product * came).sum(), (product * came**2).sum()],
        ]
    )
    value = np.array([moment.sum(), (moment * came).sum()])
    if np.linalg.det(whole) <= 1e-12 * whole[0, 0] * max(whole[1, 1], 1e-300):
        return -np.inf
    return float(value @ np.linalg.solve(whole, value))
