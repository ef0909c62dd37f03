"""Lay, stand-in: linear between readings, until the product's own is there."""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Cells
from collector.settle.series import Course


class Settled(Struct, frozen=True, kw_only=True):
    quarters: Cells
    hours: Cells
    days: Cells


def lay(
    course: Course, start_ms: int, end_ms: int, *, until_ms: int, shapes: Mapping[object, object]
) -> Settled:
    del until_ms, shapes
    quarters, hours, days = (
        _cells(course, start_ms, end_ms, width) for width in (QUARTER_MS, HOUR_MS, DAY_MS)
    )
    return Settled(quarters=quarters, hours=hours, days=days)


def _cells(course: Course, start_ms: int, end_ms: int, width_ms: int) -> Cells:
    edges = np.arange(start_ms, end_ms + 1, width_ms, dtype=np.int64)
    total = np.concatenate(([0], np.cumsum(course.energy)))
    value = np.diff(np.rint(np.interp(edges, course.at_ms, total)).astype(np.int64))
    leg = np.clip(np.searchsorted(course.at_ms, edges, side="right"), 1, len(course.at_ms) - 1)
    span, into = np.diff(course.at_ms)[leg - 1], edges - course.at_ms[leg - 1]
    blurred = (span > 2 * QUARTER_MS) & (np.minimum(into, span - into) > 60_000)
    unknown = ~course.known[leg - 1]
    estimated = (blurred[:-1] | blurred[1:]).astype(np.float64)
    missing = (unknown[:-1] | unknown[1:]).astype(np.float64)
    return Cells(
        start_ms=edges[:-1],
        value=value,
        known=missing == 0,
        measured=1 - estimated,
        estimated=estimated,
        edited=np.zeros(len(value)),
        missing=missing,
        rules=np.zeros(len(value), np.int64),
    )
