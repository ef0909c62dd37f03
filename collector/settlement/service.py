"""Settlement: marked days -> settled intervals in the store, and the marks are gone.

The order is the promise: read, settle, mark what follows from it, write intervals, months and what
is derived, remember breaks, and only then clear the marks. Whatever dies in between, the marks are
still there, and settling again changes nothing that is right already. A day that is marked anew
meanwhile keeps its mark.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import structlog
from msgspec import Struct, structs

from collector.dirty import DirtyBook, DirtyDay
from collector.entries import Entry, EntryBook
from collector.epoch_book import EpochBook
from collector.fleet.index import Fleet, MeterEntry
from collector.intervals import Intervals, IntervalStore
from collector.marks import DirtyMarks, take
from collector.settle.cells import (
    DAY_MS,
    QUARTER_MS,
    Width,
    day_start_ms,
    month_start_ms,
    next_month_ms,
)
from collector.settle.counters import settled_counters
from collector.settle.day_class import DayClass
from collector.settle.follow import NEAR_MS, REACH_MS
from collector.settle.lay import month
from collector.settle.rule import Rule, mask
from collector.settle.said import said_of
from collector.settle.shape import HISTORY_DAYS
from collector.settlement.change import changed, picked
from collector.settlement.counter import Kin, Outcome, settle_counter
from collector.settlement.derived import settle_derived
from collector.settlement.gauges import GaugeRules, settle_gauges
from collector.settlement.reigns import reigns
from collector.settlement.stretch import (
    Stretch,
    groups,
    reaching_doubts,
    stretches,
)
from collector.settlement.supply import WIDENS_MS, Key, Supply
from collector.store import ReadingStore, Tags
from collector.validate import tags_of
from metering.clock import Clock

log = structlog.get_logger()

_MARKS_AT_ONCE = 100_000
# A meter's, when it is reckoned how many fit into memory.
_COUNTERS_GUESSED = 2.0
_GAUGES_GUESSED = 20.0
_MINUTES_A_DAY = 1440.0


class Parts(Struct, frozen=True, kw_only=True):
    """What settlement works with; `app` wires it.

    Attributes:
        most_readings: of counters held in memory at once; 24 bytes and some each.
        settled: where days are marked whose figures are new, for whoever looks at those; None:
            nobody does.
    """

    store: ReadingStore
    intervals: IntervalStore
    dirty: DirtyBook
    marks: DirtyMarks
    entries: EntryBook
    epochs: EpochBook
    fleet: Fleet
    clock: Clock
    classify: Callable[[int], DayClass]
    gauges: GaugeRules = GaugeRules()
    most_readings: int = 4_000_000
    settled: DirtyBook | None = None


class Progress(Protocol):
    """Whoever watches; `stopping` is asked between groups."""

    @property
    def stopping(self) -> bool: ...

    def step(self, done: int, total: int, what: str) -> None: ...


class Unwatched:
    """Nobody watches, nobody stops it."""

    stopping = False

    def step(self, done: int, total: int, what: str) -> None:
        """Nothing to tell."""


class Report(Struct, frozen=True, kw_only=True):
    """What a settlement did.

    Attributes:
        days: meter-days whose marks were cleared.
        written: rows of intervals that were new or different, all widths.
        raised: rows among them that replaced another value.
        left: marks that are still there.
        unknown: meters with marks that the fleet does not have.
    """

    meters: int = 0
    days: int = 0
    written: int = 0
    raised: int = 0
    left: int = 0
    unknown: tuple[str, ...] = ()
    seconds: float = 0.0


class _Done(Struct, kw_only=True):
    meters: set[str]
    unknown: set[str]
    days: int = 0
    written: int = 0
    raised: int = 0


class Settlement:
    """One at a time: whoever calls sees to it that no other thread does."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def settle(
        self,
        meters: Sequence[str] | None,
        start_ms: int,
        end_ms: int,
        progress: Progress | None = None,
    ) -> Report:
        """Settle whole days again, whatever their marks say; None: every meter."""
        chosen = sorted(self._parts.fleet.meters) if meters is None else list(meters)
        days = range(day_start_ms(start_ms), end_ms, DAY_MS)
        self._parts.dirty.mark_dirty([(meter, day) for meter in chosen for day in days])
        return self.settle_dirty(progress, meters=chosen)

    def settle_dirty(
        self, progress: Progress | None = None, *, meters: Sequence[str] | None = None
    ) -> Report:
        """Settle until nothing is marked, or somebody wants it to stop."""
        watch = progress or Unwatched()
        began = time.monotonic()
        done = _Done(meters=set(), unknown=set())
        parts = self._parts
        while not watch.stopping:
            days = take(parts.dirty, parts.marks, _MARKS_AT_ONCE, meters)
            if not days:
                break
            self._settle_days(days, done, watch)
        return Report(
            meters=len(done.meters),
            days=done.days,
            written=done.written,
            raised=done.raised,
            left=parts.dirty.count_dirty(),
            unknown=tuple(sorted(done.unknown)),
            seconds=round(time.monotonic() - began, 3),
        )

    def _settle_days(self, days: Sequence[DirtyDay], done: _Done, watch: Progress) -> None:
        parts = self._parts
        found = self._with_doubts(stretches(days))
        total = done.days + len(days)
        around_ms = 2 * (WIDENS_MS + NEAR_MS)
        for group in groups(found, self._readings_a_day, parts.most_readings, around_ms=around_ms):
            if watch.stopping:
                return
            self._settle_group(group, done)
            cleared = [day for one in group for day in one.days]
            self._tell({(day.meter, day.day_ms) for day in cleared})
            parts.dirty.clear_dirty(cleared)
            done.days += len(cleared)
            watch.step(done.days, total, group[-1].meter)

    def _with_doubts(self, found: list[Stretch]) -> list[Stretch]:
        meters = sorted({one.meter for one in found})
        start_ms = min(one.start_ms for one in found) - REACH_MS
        end_ms = max(one.end_ms for one in found) + REACH_MS
        return reaching_doubts(found, self._parts.epochs.doubts(meters, start_ms, end_ms))

    def _readings_a_day(self, meter: str) -> float:
        # Counters are read once a minute at most.
        return min(self._cycles_a_day(meter), _MINUTES_A_DAY) * _COUNTERS_GUESSED

    def _cycles_a_day(self, meter: str) -> float:
        entries = self._parts.fleet.meters.get(meter)
        return 86_400 / entries[-1].cycle_s if entries else 1.0

    # ---- a group of stretches

    def _settle_group(self, group: Sequence[Stretch], done: _Done) -> None:
        parts = self._parts
        known = [one for one in group if one.meter in parts.fleet.meters]
        done.unknown.update(one.meter for one in group if one.meter not in parts.fleet.meters)
        if not known:
            return
        now_ms = parts.clock.now_ms()
        meters = sorted({one.meter for one in known})
        span = (min(one.start_ms for one in known), max(one.end_ms for one in known))
        supply = Supply(parts.store, parts.intervals, meters, span, near_ms=NEAR_MS, now_ms=now_ms)
        said = self._entries(meters)
        written: list[tuple[Tags, list[Intervals]]] = []
        outcomes: list[tuple[Key, Outcome]] = []
        for one in known:
            entries = parts.fleet.meters[one.meter]
            kin = Kin(
                supply=supply,
                epochs=parts.epochs,
                entries=entries,
                classify=parts.classify,
                until_ms=now_ms - now_ms % QUARTER_MS,
            )
            rows: list[Intervals] = []
            seen = set(supply.counters(one.meter)) | {e.quantity for e in said.get(one.meter, ())}
            for quantity in settled_counters(entries[-1], seen):
                key = (one.meter, quantity)
                about = said_of(said.get(one.meter, ()), quantity)
                outcome = settle_counter(key, (one.start_ms, one.end_ms), about, kin)
                outcomes.append((key, outcome))
                rows += outcome.written
            written += _tagged(entries, rows)
        self._mark_followers(outcomes, day_start_ms(now_ms))
        beside = _days_beside(outcomes, known)
        self._tell(beside)
        self._write(written, done)
        until_ms = now_ms - now_ms % QUARTER_MS
        self._write_months(outcomes, until_ms, done)
        if outcomes:
            reach = [outcome.span for _, outcome in outcomes]
            spans = min(start for start, _ in reach), max(end for _, end in reach)
            done.written += settle_derived(
                parts.intervals, parts.fleet, meters, spans, until_ms=until_ms
            )
        for (meter, quantity), outcome in outcomes:
            if outcome.breaks is not None:
                parts.epochs.replace_breaks(meter, quantity, outcome.span, outcome.breaks)
        parts.epochs.replace_doubts(
            [(*key, outcome.span, outcome.doubts) for key, outcome in outcomes]
        )
        self._tell(beside)
        self._settle_gauges(known)
        done.meters.update(meters)

    def _settle_gauges(self, known: Sequence[Stretch]) -> None:
        """Some meters with all of their gauges at once: they are rows of one table."""
        parts = self._parts

        def values_a_day(meter: str) -> float:
            return self._cycles_a_day(meter) * _GAUGES_GUESSED

        for some in groups(known, values_a_day, parts.most_readings):
            settle_gauges(parts.store, parts.intervals, parts.fleet, some, parts.gauges)

    def _entries(self, meters: Sequence[str]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in self._parts.entries.entries(meters=meters, in_force=True):
            found.setdefault(entry.meter, []).append(entry)
        return found

    def _write(self, written: Sequence[tuple[Tags, list[Intervals]]], done: _Done) -> None:
        if written:
            self._parts.intervals.write_meters(written)
        for _, many in written:
            for rows in many:
                done.written += len(rows.version)
                done.raised += int((rows.version > 1).sum())

    def _write_months(
        self, outcomes: Iterable[tuple[Key, Outcome]], until_ms: int, done: _Done
    ) -> None:
        """Months from their days, of every counter that was settled.

        Whether a day changed plays no part: whoever died between days and months finds the days
        as they should be, and the months not.
        """
        by_month: dict[int, set[Key]] = {}
        for key, outcome in outcomes:
            for day_ms in range(*outcome.span, DAY_MS):
                by_month.setdefault(month_start_ms(day_ms), set()).add(key)
        for start_ms, keys in sorted(by_month.items()):
            self._write_month(start_ms, keys, until_ms, done)

    def _write_month(self, start_ms: int, keys: set[Key], until_ms: int, done: _Done) -> None:
        parts = self._parts
        meters = sorted({meter for meter, _ in keys})
        end_ms = next_month_ms(start_ms)
        stored = {
            (one.meter, one.quantity): one
            for one in parts.intervals.intervals(meters, Width.MONTH, start_ms, start_ms + 1)
        }
        written: list[tuple[Tags, list[Intervals]]] = []
        for days in parts.intervals.intervals(meters, Width.DAY, start_ms, end_ms):
            key = (days.meter, days.quantity)
            if key not in keys:
                continue
            cells = month(days.cells, start_ms, until_ms=until_ms)
            rows = changed(*key, Width.MONTH, cells, stored.get(key))
            if rows is not None:
                written += _tagged(parts.fleet.meters[days.meter], [rows])
        self._write(written, done)

    def _tell(self, days: Collection[tuple[str, int]]) -> None:
        """Mark what was settled, after it was written: whoever looks finds it.

        What is written beside the days that were asked for is marked before as well: who settles
        again what a crash left finds it unchanged.
        """
        if days and self._parts.settled is not None:
            self._parts.settled.mark_dirty(sorted(days))

    def _mark_followers(self, outcomes: Sequence[tuple[Key, Outcome]], today_ms: int) -> None:
        """Mark what changes with these outcomes, though it was not settled with them.

        Before anything of them is written: whoever settles again what a crash left finds nothing
        changed any more, and would not know.
        """
        more = self._like_days(outcomes, today_ms)
        for (meter, _), outcome in outcomes:
            if outcome.unit_changed:
                more |= {(meter, day) for day in range(outcome.span[1], today_ms + 1, DAY_MS)}
        if more:
            self._parts.dirty.mark_dirty(sorted(more))

    def _like_days(
        self, outcomes: Sequence[tuple[Key, Outcome]], today_ms: int
    ) -> set[tuple[str, int]]:
        """Later days with a gap that is laid out like days that have changed, or now could be.

        Stored ones, and those that are about to be: they were laid out like days as they were.
        """
        ends: dict[Key, int] = {}
        for key, outcome in outcomes:
            if outcome.measured_changed and outcome.span[1] <= today_ms:
                ends[key] = min(ends.get(key, outcome.span[1]), outcome.span[1])
        if not ends:
            return set()
        span = min(ends.values()), max(ends.values()) + HISTORY_DAYS * DAY_MS
        meters = sorted({meter for meter, _ in ends})
        later = self._parts.intervals.intervals(meters, Width.HOUR, *span)
        news = (rows for _, one in outcomes for rows in one.written if rows.width is Width.HOUR)
        found: set[tuple[str, int]] = set()
        for rows in (*later, *news):
            since_ms = ends.get((rows.meter, rows.quantity))
            if since_ms is None:
                continue
            like = (rows.cells.rules & mask(Rule.LIKE_DAY, Rule.LINEAR)) != 0
            starts = rows.cells.start_ms[like & (rows.cells.start_ms >= since_ms)]
            found |= {(rows.meter, day_start_ms(at)) for at in starts.tolist()}
        return found


def _days_beside(
    outcomes: Iterable[tuple[Key, Outcome]], asked: Iterable[Stretch]
) -> set[tuple[str, int]]:
    """Days that are written though nobody asked for them."""
    wanted = {(day.meter, day.day_ms) for one in asked for day in one.days}
    return {
        (meter, day_ms)
        for (meter, _), outcome in outcomes
        for rows in outcome.written
        if rows.width is Width.DAY
        for day_ms in rows.cells.start_ms.tolist()
    } - wanted


def _tagged(
    entries: Sequence[MeterEntry], rows: Sequence[Intervals]
) -> list[tuple[Tags, list[Intervals]]]:
    """Rows by the fleet entry that was in force when they began."""
    if len(entries) == 1:
        return [(tags_of(entries[0]), list(rows))] if rows else []
    found: list[tuple[Tags, list[Intervals]]] = []
    for tags, start_ms, end_ms in reigns(entries):
        mine = [part for one in rows if (part := _between(one, start_ms, end_ms)) is not None]
        if mine:
            found.append((tags, mine))
    return found


def _between(rows: Intervals, start_ms: int, end_ms: int) -> Intervals | None:
    there = (rows.cells.start_ms >= start_ms) & (rows.cells.start_ms < end_ms)
    if not there.any():
        return None
    return structs.replace(rows, cells=picked(rows.cells, there), version=rows.version[there])
