"""Counter: one counter and a stretch of days -> its intervals as they should be stored.

Reads what it needs through `Supply`, judges (`settle.follow`), lays onto the grid (`settle.lay`),
lays people's corrections over it (`settle.amend`). How far it has to look and what it has to settle
along is decided here: a leg across the stretch's edge takes the days that it covers with it, a
correction its whole span, a doubt a week to both sides.
"""

from collections.abc import Callable
from math import log10

import numpy as np
from msgspec import Struct

from collector.epoch_book import EpochBook
from collector.fleet.index import MeterEntry
from collector.intervals import Intervals
from collector.settle.amend import amend
from collector.settle.breaks import Break, breaks_of
from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, Cells, Width, day_start_ms
from collector.settle.day_class import DayClass
from collector.settle.follow import FAR_MS, NEAR_MS, REACH_MS, doubts, follow
from collector.settle.lay import Settled, Shape, lay
from collector.settle.rate import rated_per_hour
from collector.settle.register import Register
from collector.settle.rule import Rule, bit
from collector.settle.said import Said
from collector.settle.series import PER_UNIT, Course
from collector.settle.shape import HISTORY_DAYS, long_legs, shape
from collector.settlement.change import changed, joined
from collector.settlement.supply import Key, Span, Supply

Classify = Callable[[int], DayClass]


class Kin(Struct, frozen=True, kw_only=True):
    """What a counter is settled with.

    Attributes:
        entries: of its meter in the fleet, by time; at least one.
        until_ms: now, floored to a cell.
    """

    supply: Supply
    epochs: EpochBook
    entries: tuple[MeterEntry, ...]
    classify: Classify
    until_ms: int


class Outcome(Struct, frozen=True, kw_only=True):
    """What settling a counter found.

    Attributes:
        span: the days that were settled: at least those asked for.
        written: rows that are new or different.
        breaks: those in the span, if they differ from what was remembered; else None.
        measured_changed: rows of quarters whose energy was measured are among the new.
        unit_changed: from the span on, readings are to be told in another unit than before.
        doubts: days of the span whose judgement hangs on the week around them.
    """

    span: Span
    written: tuple[Intervals, ...]
    breaks: tuple[Break, ...] | None
    measured_changed: bool
    unit_changed: bool
    doubts: frozenset[int]


def settle_counter(key: Key, span: Span, said: Said, kin: Kin) -> Outcome:
    """Settle whole days `span` of the counter `key` (meter, quantity)."""
    core = span = _with_corrections(span, said)
    margin_ms = NEAR_MS
    while True:
        loaded = (span[0] - margin_ms, span[1] + margin_ms)
        series = kin.supply.series(key, loaded, span, said)
        register = _register(key, loaded[0], said, kin)
        found = doubts(series, register)
        if margin_ms == NEAR_MS and found:
            margin_ms = FAR_MS
            core = span = _with_corrections(_around(span, kin.until_ms), said)
            continue
        course = follow(series, register)
        wider = _with_corrections(_with_legs(core, course, kin.until_ms), said)
        wider = (min(wider[0], span[0]), max(wider[1], span[1]))
        if wider == span:
            break
        span = wider
    settled = _laid(key, span, course, said, kin)
    return _compared(key, span, settled, course, found, kin)


def _around(span: Span, until_ms: int) -> Span:
    """The days that one doubt may decide about; none of them lies ahead."""
    tomorrow_ms = day_start_ms(until_ms) + DAY_MS
    end_ms = min(span[1] + REACH_MS, max(tomorrow_ms, span[1]))
    return span[0] - REACH_MS, end_ms


def _register(key: Key, from_ms: int, said: Said, kin: Kin) -> Register:
    meter, quantity = key
    entry = kin.entries[-1]
    last = kin.epochs.last_break(meter, quantity, from_ms)
    rolls_over = entry.rolls_over_at.get(quantity)
    return Register(
        rated_per_hour=rated_per_hour(entry, quantity),
        rolls_over_at=None if rolls_over is None else round(rolls_over * PER_UNIT),
        ratios=tuple((one.valid_from_ms, one.multiplier) for one in kin.entries),
        replacements=said.replacements,
        power_of_ten=0 if last is None else -round(log10(last.multiplier)),
    )


def _with_corrections(span: Span, said: Said) -> Span:
    """A correction is laid over all of its span: its quarters do not depend on the window."""
    start_ms, end_ms = span
    for one in said.corrections:
        if one.start_ms < end_ms and one.end_ms > start_ms:
            start_ms = min(start_ms, day_start_ms(one.start_ms))
            end_ms = max(end_ms, day_start_ms(one.end_ms - 1) + DAY_MS)
    return start_ms, end_ms


def _with_legs(core: Span, course: Course, until_ms: int) -> Span:
    """Days change with the readings of `core` that lie under a leg from or to one of them."""
    start_ms, end_ms = core
    at_ms = course.at_ms
    if not len(at_ms):
        return core
    left = int(np.searchsorted(at_ms, start_ms)) - 1
    if 0 <= left < len(at_ms) - 1:
        start_ms = day_start_ms(int(at_ms[left]))
    right = int(np.searchsorted(at_ms, end_ms))
    if right == len(at_ms):
        end_ms = max(end_ms, day_start_ms(until_ms - 1) + DAY_MS)  # nothing came since
    elif right > 0:
        end_ms = max(end_ms, day_start_ms(int(at_ms[right]) - 1) + DAY_MS)
    return start_ms, end_ms


def _laid(key: Key, span: Span, course: Course, said: Said, kin: Kin) -> Settled:
    def laid(shapes: dict[Span, Shape]) -> Settled:
        return lay(
            course,
            *span,
            until_ms=kin.until_ms,
            shapes=shapes,
            outages=said.outages,
        )

    settled = laid({})
    legs = long_legs(course, *span)
    if legs:
        shapes = _shapes(key, span, legs, settled, kin)
        settled = laid(shapes) if shapes else settled
    return amend(settled, said.corrections, settled.quarters) if said.corrections else settled


def _shapes(
    key: Key, span: Span, legs: tuple[Span, ...], settled: Settled, kin: Kin
) -> dict[Span, Shape]:
    """Like-day shapes, told by the measured days before each leg: stored ones, and these."""
    since_ms = day_start_ms(min(leg[0] for leg in legs)) - HISTORY_DAYS * DAY_MS
    found: dict[Span, Shape] = {}
    for width, width_ms, own in (
        (Width.QUARTER, QUARTER_MS, settled.quarters),
        (Width.HOUR, HOUR_MS, settled.hours),
    ):
        open_legs = [leg for leg in legs if leg not in found]
        if not open_legs:
            break
        history = _history(key, width, (since_ms, span[0]), own, kin)
        for leg in open_legs:
            told = shape(history, leg, kin.classify, width_ms)
            if told is not None:
                found[leg] = told
    return found


def _history(key: Key, width: Width, before: Span, own: Cells, kin: Kin) -> Cells:
    stored = kin.supply.stored(key, width, before) if before[0] < before[1] else None
    return own if stored is None else joined(stored.cells, own)


def _compared(
    key: Key, span: Span, settled: Settled, course: Course, found: frozenset[int], kin: Kin
) -> Outcome:
    written: list[Intervals] = []
    measured = False
    for width, cells in (
        (Width.QUARTER, settled.quarters),
        (Width.HOUR, settled.hours),
        (Width.DAY, settled.days),
    ):
        rows = changed(*key, width, cells, kin.supply.stored(key, width, span))
        if rows is not None:
            written.append(rows)
            measured |= width is Width.QUARTER and _was_measured(rows.cells)
    breaks = [one for one in breaks_of(course) if span[0] <= one.at_ms < span[1]]
    known = kin.epochs.breaks(*key, *span)
    same = breaks == known
    return Outcome(
        span=span,
        written=tuple(written),
        breaks=None if same else tuple(breaks),
        measured_changed=measured,
        unit_changed=not same and _multiplier(breaks) != _multiplier(known),
        doubts=frozenset(day for day in found if span[0] <= day < span[1]),
    )


def _was_measured(cells: Cells) -> bool:
    return bool((cells.rules & bit(Rule.LIKE_DAY) == 0).any())


def _multiplier(breaks: list[Break]) -> float:
    return breaks[-1].multiplier if breaks else 1.0
