"""Lay: a register's course -> quarter hours, hours and days, with shares and rules.

**Energy** at an edge is the register's cumulative there: linear in time between two readings, or
along a shape where one is given, rounded to a millionth relative to the leg's own start. So it does
not depend on the window, and the differences add up exactly: hours and days are read off the same
cumulative as their quarters.

**Shares** are told at each width from the legs, not from the narrower cells. An edge is *sharp*
where a reading stands within a minute of it, or the leg over it lasts at most half an hour, or no
leg is over it. What a leg over an edge that is not sharp covers of an interval is *estimated*;
everything else between readings is *measured*: a gap wholly inside an hour does not touch what the
hour consumed. So a meter that answers once an hour has estimated quarters and measured hours.

**Which intervals there are**: those that end after the course's first point and begin before now,
floored to a cell. Quarters are always whole. An hour or a day still in progress has a row that ends
now: its value and its shares are those of the part that has passed.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct

from collector.settle.cells import (
    DAY_MS,
    HOUR_MS,
    QUARTER_MS,
    Cells,
    next_month_ms,
)
from collector.settle.rule import Rule, bit, mask
from collector.settle.series import Course, Floats, Ints, Mask

LINEAR_MS = 2 * HOUR_MS  # a longer leg may have a shape
SHARP_MS = 60_000  # how near a reading stands to an edge to be the edge's (the daily cut's minute)
SHARP_LEG_MS = 2 * QUARTER_MS  # a leg that cannot smear an edge

_BY_PEOPLE = mask(Rule.MANUAL, Rule.CORRECTED)

Span = tuple[int, int]  # [start, end) in epoch ms


class Shape(Struct, frozen=True, kw_only=True):
    """How a leg's energy goes in time.

    Attributes:
        at_ms: n instants, increasing, from the leg's start to its end.
        share: n shares of the leg's energy that are through by then: from 0 to 1, not decreasing.
    """

    at_ms: Ints
    share: Floats


class Settled(Struct, frozen=True, kw_only=True):
    """One counter, settled over `[start_ms, end_ms)` as far as `until_ms` (a cell's edge)."""

    start_ms: int
    end_ms: int
    until_ms: int
    quarters: Cells
    hours: Cells
    days: Cells


class _Legs(Struct, frozen=True, kw_only=True):
    """The course's legs, with a leg of no length and nothing known before and after them.

    Leg j lies between the points j - 1 and j, so that of the instants `j = searchsorted(points)`.
    """

    first_ms: int
    points: Ints
    begin: Ints
    end: Ints
    energy: Ints
    before: Ints  # energy of all legs before
    known: Mask
    by_people: Mask
    measured_before: Ints  # ms
    edited_before: Ints  # ms
    rules: Ints
    shapes: dict[int, Shape]


class _Edges(Struct, frozen=True, kw_only=True):
    """The m + 1 edges of m intervals, and what is known at each.

    Attributes:
        leg: the leg that goes on from the edge.
        blurred: a known leg is over the edge, and the edge is not sharp.
        energy, measured, edited: cumulative: millionths, ms, ms.
    """

    at_ms: Ints
    leg: Ints
    blurred: Mask
    energy: Ints
    measured: Ints
    edited: Ints


def lay(
    course: Course,
    start_ms: int,
    end_ms: int,
    *,
    until_ms: int,
    shapes: Mapping[Span, Shape],
    outages: Sequence[Span] = (),
) -> Settled:
    """Lay a course onto the grid.

    Args:
        course: with the points around the window; those further away change nothing. Where it
            begins, the series begins. What a leg of no length has belongs to the interval that
            ends there; where the course begins, to the one that begins there.
        start_ms: the start of a day in Shanghai.
        end_ms: the end of a day in Shanghai.
        until_ms: now; what begins at or after it, floored to a cell, has no row.
        shapes: by the leg's start and end; only legs longer than `LINEAR_MS` take one.
        outages: spans that were declared out of service; they add a rule and change nothing else.
    """
    until_ms -= until_ms % QUARTER_MS
    window = (start_ms, min(end_ms, until_ms))
    legs = _legs_of(course, shapes) if course.at_ms.size else None
    quarters, hours, days = (
        _intervals(legs, window, width_ms, outages) for width_ms in (QUARTER_MS, HOUR_MS, DAY_MS)
    )
    return Settled(
        start_ms=start_ms,
        end_ms=end_ms,
        until_ms=until_ms,
        quarters=quarters,
        hours=hours,
        days=days,
    )


def month(days: Cells, start_ms: int, *, until_ms: int) -> Cells:
    """The month that starts at `start_ms`, from its days; others are left aside.

    Its value is the exact sum. Its shares are those of the days by time, over what has passed of it
    since its first row, days without a row counting as missing. That is **conservative**: a leg
    over midnight makes its part of both days estimated although the month knows it.

    Args:
        days: as `lay` made them, or as they are stored.
        start_ms: the start of a month in Shanghai.
        until_ms: now, floored to a cell here.

    Returns:
        One interval, or none if the month has no day.
    """
    end_ms = min(next_month_ms(start_ms), until_ms - until_ms % QUARTER_MS)
    inside = (days.start_ms >= start_ms) & (days.start_ms < end_ms)
    if not inside.any():
        return nothing()
    starts = days.start_ms[inside]
    lasted = np.minimum(starts + DAY_MS, end_ms) - starts
    passed = int(end_ms - starts[0])
    measured, estimated, edited, missing = (
        np.array([(share[inside] * lasted).sum()])
        for share in (days.measured, days.estimated, days.edited, days.missing)
    )
    return Cells(
        start_ms=np.array([start_ms], np.int64),
        value=days.value[inside].sum(keepdims=True),
        known=np.array([days.known[inside].any()]),
        measured=measured / passed,
        estimated=estimated / passed,
        edited=edited / passed,
        missing=(missing + (passed - lasted.sum())) / passed,
        rules=np.bitwise_or.reduce(days.rules[inside], keepdims=True),
    )


def nothing() -> Cells:
    """No interval at all."""
    ints, floats = np.zeros(0, np.int64), np.zeros(0)
    return Cells(
        start_ms=ints,
        value=ints,
        known=np.zeros(0, np.bool_),
        measured=floats,
        estimated=floats,
        edited=floats,
        missing=floats,
        rules=ints,
    )


def _legs_of(course: Course, shapes: Mapping[Span, Shape]) -> _Legs:
    at = course.at_ms
    begin, end = np.concatenate((at[:1], at)), np.concatenate((at, at[-1:]))
    energy, rules, known = (
        np.pad(course.energy, 1),
        np.pad(course.rules, 1),
        np.pad(course.known, 1),
    )
    by_people = known & ((rules & _BY_PEOPLE) != 0)
    lasts = end - begin
    return _Legs(
        first_ms=int(at[0]),
        points=at,
        begin=begin,
        end=end,
        energy=energy,
        before=_sum_before(energy),
        known=known,
        by_people=by_people,
        measured_before=_sum_before(np.where(known & ~by_people, lasts, 0)),
        edited_before=_sum_before(np.where(by_people, lasts, 0)),
        rules=rules,
        shapes=_shapes_by_leg(at, known, shapes),
    )


def _sum_before(column: Ints) -> Ints:
    # Beyond 64 bits this wraps round; the differences, which are all that is asked for, do not.
    return np.cumsum(column) - column


def _shapes_by_leg(at: Ints, known: Mask, shapes: Mapping[Span, Shape]) -> dict[int, Shape]:
    by_leg: dict[int, Shape] = {}
    for (start_ms, end_ms), shape in shapes.items():
        leg = int(np.searchsorted(at, start_ms, side="right"))
        is_one = 0 < leg < at.size and at[leg - 1] == start_ms and at[leg] == end_ms
        if is_one and known[leg] and end_ms - start_ms > LINEAR_MS:
            by_leg[leg] = shape
    return by_leg


def _intervals(legs: _Legs | None, window: Span, width_ms: int, outages: Sequence[Span]) -> Cells:
    if legs is None:
        return nothing()
    start_ms, end_ms = window
    start_ms += max(0, (legs.first_ms - start_ms) // width_ms) * width_ms
    if start_ms >= end_ms:
        return nothing()
    starts = np.arange(start_ms, end_ms, width_ms, dtype=np.int64)
    edges = _edges(legs, np.append(starts, end_ms))
    return _cells(legs, edges, _out_of_service(edges.at_ms, outages))


def _edges(legs: _Legs, at_ms: Ints) -> _Edges:
    leg = np.searchsorted(legs.points, at_ms, side="right")
    into = at_ms - legs.begin[leg]
    left = legs.end[leg] - at_ms
    inside = legs.known[leg] & (into > 0)
    sharp = (np.minimum(into, left) <= SHARP_MS) | (into + left <= SHARP_LEG_MS)
    return _Edges(
        at_ms=at_ms,
        leg=leg,
        blurred=inside & ~sharp,
        energy=_energy_at(legs, leg, at_ms),
        measured=legs.measured_before[leg] + np.where(inside & ~legs.by_people[leg], into, 0),
        edited=legs.edited_before[leg] + np.where(inside & legs.by_people[leg], into, 0),
    )


def _energy_at(legs: _Legs, leg: Ints, at_ms: Ints) -> Ints:
    begin, energy = legs.begin[leg], legs.energy[leg]
    fraction = (at_ms - begin) / np.maximum(legs.end[leg] - begin, 1)
    for number, shape in legs.shapes.items():
        along = leg == number
        if along.any():
            fraction[along] = np.interp(at_ms[along], shape.at_ms, shape.share)
    # A double may round up what is longer than its 53 bits: never more than the leg has.
    through = np.minimum(np.rint(energy * fraction).astype(np.int64), energy)
    # At the first point nothing was counted yet, even if a leg of no length stands there.
    return np.where(at_ms <= legs.first_ms, 0, legs.before[leg] + through)


def _cells(legs: _Legs, edges: _Edges, out_of_service: Ints) -> Cells:
    lasted = np.diff(edges.at_ms)
    value = np.diff(edges.energy)
    known_ms, edited = np.diff(edges.measured), np.diff(edges.edited)
    estimated = _estimated_ms(legs, edges)
    return Cells(
        start_ms=edges.at_ms[:-1],
        value=value,
        known=(known_ms + edited > 0) | (value != 0),
        measured=(known_ms - estimated) / lasted,
        estimated=estimated / lasted,
        edited=edited / lasted,
        missing=(lasted - known_ms - edited) / lasted,
        rules=_rules(legs, edges) | out_of_service,
    )


def _estimated_ms(legs: _Legs, edges: _Edges) -> Ints:
    """What legs over blurred edges cover of each interval, those of people left out."""
    blurred = edges.blurred & ~legs.by_people[edges.leg]
    starts, ends = edges.at_ms[:-1], edges.at_ms[1:]
    over_start, over_end = edges.leg[:-1], edges.leg[1:]
    first = np.where(blurred[:-1], np.minimum(legs.end[over_start], ends) - starts, 0)
    last = np.where(blurred[1:], ends - np.maximum(legs.begin[over_end], starts), 0)
    counted = blurred[:-1] & (over_start == over_end)  # one leg over both edges: once
    return first + np.where(counted, 0, last)


def _rules(legs: _Legs, edges: _Edges) -> Ints:
    """Rules of the legs that each interval overlaps, and how its blurred edges were laid out.

    A leg of no length belongs where its energy does.
    """
    first = np.where(edges.at_ms <= legs.first_ms, 0, edges.leg)[:-1]
    last = edges.leg[1:]
    beyond = last + (legs.begin[last] < edges.at_ms[1:])
    ranges = np.stack((first, beyond), axis=1).ravel()
    of_legs: Ints = np.bitwise_or.reduceat(np.append(legs.rules, 0), ranges)[::2]
    laid = np.where(edges.blurred, np.int64(bit(Rule.LINEAR)), np.int64(0))
    laid[edges.blurred & np.isin(edges.leg, list(legs.shapes))] = bit(Rule.LIKE_DAY)
    return of_legs | laid[:-1] | laid[1:]


def _out_of_service(edges_ms: Ints, outages: Sequence[Span]) -> Ints:
    rules = np.zeros(edges_ms.size - 1, np.int64)
    for start_ms, end_ms in outages:
        overlaps = (edges_ms[:-1] < end_ms) & (edges_ms[1:] > start_ms)
        rules[overlaps] |= bit(Rule.OUT_OF_SERVICE)
    return rules
