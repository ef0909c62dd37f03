"""Verification: a day -> its figures of data quality, and findings by institution (日校核).

Looks at what settlement made of the day, at what was refused, at how much came and when; writes the
figures as series and the findings in place of an earlier list of the same day. Repeatable.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Lock

import numpy as np
import structlog
from msgspec import Struct, structs

from collector.arrivals import CAME, DRIFT, IN_TIME, Arrivals, counted
from collector.dirty import DirtyBook
from collector.entries import EntryBook, EntryKind
from collector.epoch_book import EpochBook
from collector.findings import Finding, FindingBook, FindingKind
from collector.fleet.index import Fleet, MeterEntry
from collector.gain_check import DayGains, GainParts, check_gains
from collector.intervals import Figure, Intervals, IntervalStore, Subject
from collector.quality.cycles import cycles
from collector.quality.figures import (
    MeterDay,
    deviation,
    group_figures,
    meter_figures,
    shares_of,
)
from collector.quality.find import DayFacts, Key, find
from collector.quality.month import UNSURE, gained
from collector.quality.thresholds import Thresholds
from collector.settle.cells import DAY_MS, Width, month_start_ms
from collector.settle.counters import counter_of
from collector.settle.day_class import Calendar, DayClass
from collector.settle.series import PER_UNIT, Ints, Mask
from collector.settlement.change import picked
from collector.settlement.service import Progress, Unwatched
from collector.store import Level, ReadingStore
from collector.tree.check import SumCheck, check_sums
from collector.tree.derive import main_counters
from collector.tree.family import Family, families, family_at
from metering.clock import Clock
from metering.errors import NenghaoError, PermanentError
from metering.quantity import QUANTITIES, Kind

log = structlog.get_logger()

EVERYBODY = "*"  # in place of a meter's id: the figures of all of a day are new
_AT_ONCE = 200  # meters
_MOST_AGAIN = 31  # days
# A meter answered if any of these came.
_SIGNS = (
    *(name for name, one in QUANTITIES.items() if one.kind is Kind.COUNTER),
    "active_power_kw",
    "flow_m3_h",
    "heat_power_kw",
    "temperature_c",
)

Rejected = Mapping[str, Mapping[str, int]]  # by meter and reason


class DayNotOver(PermanentError):
    """Only a day that is over can be verified."""


class Parts(Struct, frozen=True, kw_only=True):
    """What the verification works with; `app` wires it.

    Attributes:
        settled: where days are marked whose figures are new, under `EVERYBODY`; None: nobody looks.
    """

    store: ReadingStore
    intervals: IntervalStore
    entries: EntryBook
    epochs: EpochBook
    findings: FindingBook
    fleet: Fleet
    arrivals: Arrivals
    clock: Clock
    thresholds: Thresholds = Thresholds()
    classify: Callable[[int], DayClass] = Calendar(years=frozenset(), days={}).classify
    settled: DirtyBook | None = None


class Verification:
    """Threads may share it: they take turns."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._alone = Lock()
        self._changed: set[int] = set()  # days that readings came to

    def verify_day(self, day_ms: int, progress: Progress | None = None) -> list[Finding]:
        """Verify a day in Shanghai by its start; return what was found and kept.

        Raises:
            DayNotOver: it is not over yet.
        """
        if day_ms + DAY_MS > self._parts.clock.now_ms():
            raise DayNotOver("这一天还没有结束，结束并结算后才能校核")
        with self._alone:
            self._keep_arrivals()
            return self._verify(day_ms, progress or Unwatched())

    def verify_changed(self, before_ms: int, progress: Progress | None = None) -> list[int]:
        """Verify again the days before one to which readings came since; return them.

        A gateway's backlog makes a day complete that was not. At most the newest month of them;
        which they are is forgotten with the process.
        """
        watch = progress or Unwatched()
        with self._alone:
            self._keep_arrivals()
            days = sorted(day for day in self._changed if day < before_ms)[-_MOST_AGAIN:]
            for day_ms in days:
                if not watch.stopping:
                    self._verify(day_ms, watch)
            if not watch.stopping:
                self._changed = {day for day in self._changed if day >= before_ms}
        return days

    def check_sums(self, start_ms: int, end_ms: int, width: Width = Width.HOUR) -> list[SumCheck]:
        """Every main against what is right below it over a span (总分校核)."""
        return self._check(families(self._parts.fleet, start_ms, end_ms), start_ms, end_ms, width)

    def keep_arrivals(self) -> None:
        """Add what came since to the figures of its days; what cannot be kept waits."""
        with self._alone:
            self._keep_arrivals()

    def _keep_arrivals(self) -> None:
        tally = self._parts.arrivals.take()
        days = {day for _, day in (*tally.readings, *tally.delays_ms)}
        if not days:
            return
        try:
            known = {
                (one.subject, one.id, one.day_ms, one.name): one.value
                for subject in (Subject.METER, Subject.GATEWAY)
                for one in self._parts.intervals.figures(subject, min(days), max(days) + 1)
            }
            self._parts.intervals.write_figures(counted(tally, known))
        except NenghaoError:
            self._parts.arrivals.give_back(tally)
            raise
        self._changed |= {day for _, day in tally.readings}

    def _verify(self, day_ms: int, watch: Progress) -> list[Finding]:
        parts = self._parts
        family = family_at(parts.fleet, day_ms)
        meters = sorted(family.entries)
        rejected = self._rejected(day_ms)
        facts = _Facts(days=[], months={}, residuals={}, figures=[])
        for first in range(0, len(meters), _AT_ONCE):
            if watch.stopping:
                return []  # half a list is none: the day is verified again
            self._look_at(meters[first : first + _AT_ONCE], day_ms, family, rejected, facts)
            watch.step(min(first + _AT_ONCE, len(meters)), len(meters), "日校核")
        days = self._with_last(facts.days, day_ms)
        span = (day_ms, day_ms + DAY_MS)
        sums = self._check([(span, family)], *span, Width.HOUR)
        since = self._since(day_ms)
        gains = self._gains(family, day_ms, since)
        facts.figures += group_figures(days, day_ms)
        facts.figures += _sum_figures(sums, day_ms) + gains.figures
        parts.intervals.write_figures(facts.figures)
        if parts.settled is not None:
            parts.settled.mark_dirty([(EVERYBODY, day_ms)])
        found = find(
            DayFacts(
                day_ms=day_ms,
                days=days,
                sums=sums,
                months=facts.months,
                residuals=facts.residuals,
                clocks_s=self._clocks(day_ms),
                since=since,
                gains=gains.departures,
            ),
            parts.fleet,
            parts.thresholds,
        )
        parts.findings.replace_findings(day_ms, found)
        self._changed.discard(day_ms)
        log.info("verification.done", day_ms=day_ms, meters=len(meters), findings=len(found))
        return found

    # ---- meters

    def _look_at(
        self,
        meters: Sequence[str],
        day_ms: int,
        family: Family,
        rejected: Rejected,
        facts: "_Facts",
    ) -> None:
        parts, end_ms = self._parts, day_ms + DAY_MS
        stamps = self._stamps(meters, day_ms)
        rows = parts.intervals.intervals
        days = main_counters(family, rows(meters, Width.DAY, month_start_ms(day_ms), end_ms))
        quarters = main_counters(family, rows(meters, Width.QUARTER, day_ms, end_ms))
        outages = self._outages(meters, day_ms)
        arrived = self._arrived(meters, day_ms)
        for meter in meters:
            entry = family.entries[meter]
            expected, answered = cycles(entry, stamps[meter], day_ms, outages.get(meter, ()))
            came, on_time = arrived.get(meter, (None, None))
            settled = _Settled(month=days.get(meter), quarters=quarters.get(meter), day_ms=day_ms)
            day = MeterDay(
                entry=entry,
                expected=expected,
                answered=answered,
                arrived=came,
                on_time=on_time,
                shares=settled.shares(),
                rejected=dict(rejected.get(meter, {})),
                rules=settled.rules(),
            )
            facts.days.append(day)
            facts.figures += meter_figures(day, day_ms)
            self._compare(settled, day_ms, facts)

    def _stamps(self, meters: Sequence[str], day_ms: int) -> dict[str, Ints]:
        found: dict[str, list[Ints]] = {meter: [np.empty(0, np.int64)] for meter in meters}
        for column in self._parts.store.columns(meters, _SIGNS, day_ms, day_ms + DAY_MS):
            found[column.meter].append(column.at_ms)
        return {meter: np.unique(np.concatenate(many)) for meter, many in found.items()}

    def _compare(self, settled: "_Settled", day_ms: int, facts: "_Facts") -> None:
        """Quarters against the day, days against the register's month."""
        month = settled.month
        if month is None:
            return
        residual = settled.residual()
        if residual is not None:
            facts.note(month.meter, day_ms, "law_residual_millionths", float(residual))
            if residual:
                facts.residuals[month.meter] = residual / PER_UNIT
        edges = int(month.cells.rules[0] | month.cells.rules[-1])
        if (month.cells.edited > 0).any() or edges & UNSURE:
            return
        span = (month_start_ms(day_ms), day_ms + DAY_MS)
        register = gained(
            self._parts.store, self._parts.epochs, (month.meter, month.quantity), *span
        )
        share = None if register is None else deviation(int(month.cells.value.sum()), register)
        if share is not None:
            facts.note(month.meter, day_ms, "daily_against_monthly_share", share)
            facts.months[month.meter] = share

    def _with_last(self, days: Sequence[MeterDay], day_ms: int) -> list[MeterDay]:
        """Silent meters know when they last spoke."""
        silent = [day.entry for day in days if day.expected and not day.answered]
        last = self._last(silent, day_ms) if silent else {}
        return [structs.replace(day, last_ms=last.get(day.entry.meter)) for day in days]

    def _last(self, silent: Sequence[MeterEntry], day_ms: int) -> dict[str, int]:
        store = self._parts.store
        latest = store.latest([entry.meter for entry in silent])
        found = {one.meter: one.at_ms for one in latest if one.at_ms < day_ms}
        spoke_since = {one.meter: one.values for one in latest if one.at_ms >= day_ms}
        for entry in silent:
            if entry.meter in spoke_since:
                counter = counter_of(entry, spoke_since[entry.meter])
                column = store.nearest(entry.meter, counter, day_ms, later=False, most=1)
                if column is not None:
                    found[entry.meter] = int(column.at_ms[0])
        return found

    # ---- around

    def _outages(self, meters: Sequence[str], day_ms: int) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        end_ms = day_ms + DAY_MS
        entries = self._parts.entries.entries(
            meters=meters, start_ms=day_ms, end_ms=end_ms, in_force=True
        )
        for entry in entries:
            if entry.kind is EntryKind.OUT_OF_SERVICE:
                open_end = end_ms if entry.end_ms is None else entry.end_ms
                found.setdefault(entry.meter, []).append((entry.start_ms, open_end))
        return found

    def _rejected(self, day_ms: int) -> Rejected:
        found: dict[str, dict[str, int]] = {}
        for one in self._parts.store.rejections(day_ms, day_ms + DAY_MS):
            if one.level is Level.REJECTED:
                reasons = found.setdefault(one.meter, {})
                reasons[one.reason] = reasons.get(one.reason, 0) + 1
        return found

    def _arrived(self, meters: Sequence[str], day_ms: int) -> dict[str, tuple[int, int]]:
        """Readings that were counted as they came, and those in time."""
        names: dict[str, dict[str, int]] = {}
        for one in self._parts.intervals.figures(Subject.METER, day_ms, day_ms + 1, meters):
            names.setdefault(one.id, {})[one.name] = round(one.value)
        return {
            meter: (named[CAME], named.get(IN_TIME, 0))
            for meter, named in names.items()
            if CAME in named
        }

    def _check(
        self,
        trees: Sequence[tuple[tuple[int, int], Family]],
        start_ms: int,
        end_ms: int,
        width: Width,
    ) -> list[SumCheck]:
        meters: Collection[str] = {
            meter
            for _, family in trees
            for main, below in family.children.items()
            for meter in (main, *below)
        }
        if not meters:
            return []
        bounds = self._parts.thresholds
        return check_sums(
            trees,
            self._parts.intervals.intervals(sorted(meters), width, start_ms, end_ms),
            tolerance=bounds.sub_meters.value,
            least_judged=bounds.comparable.value,
        )

    def _gains(self, family: Family, day_ms: int, since: Mapping[Key, int]) -> DayGains:
        parts = self._parts
        known = {meter: at for (_, kind, meter), at in since.items() if kind is FindingKind.GAIN}
        return check_gains(
            GainParts(
                store=parts.store,
                intervals=parts.intervals,
                fleet=parts.fleet,
                thresholds=parts.thresholds,
                classify=parts.classify,
            ),
            family,
            day_ms,
            known,
        )

    def _clocks(self, day_ms: int) -> dict[str, float]:
        return {
            one.id: one.value
            for one in self._parts.intervals.figures(Subject.GATEWAY, day_ms, day_ms + 1)
            if one.name == DRIFT
        }

    def _since(self, day_ms: int) -> dict[Key, int]:
        """Since when what was found the day before has been so."""
        return {
            (one.institution, one.kind, one.meter): one.since_ms
            for one in self._parts.findings.findings(day_ms - DAY_MS, day_ms)
        }


class _Facts(Struct, kw_only=True):
    """What is gathered meter by meter."""

    days: list[MeterDay]
    months: dict[str, float]
    residuals: dict[str, float]
    figures: list[Figure]

    def note(self, meter: str, day_ms: int, name: str, value: float) -> None:
        self.figures.append(
            Figure(subject=Subject.METER, id=meter, day_ms=day_ms, name=name, value=value)
        )


class _Settled(Struct, frozen=True, kw_only=True):
    """What settlement made of a meter's day, and of the days of the month up to it."""

    month: Intervals | None
    quarters: Intervals | None
    day_ms: int

    def _day(self) -> Mask:
        assert self.month is not None
        return np.equal(self.month.cells.start_ms, self.day_ms)

    def rules(self) -> int:
        return 0 if self.quarters is None else int(np.bitwise_or.reduce(self.quarters.cells.rules))

    def shares(self) -> tuple[float, float, float, float] | None:
        if self.month is None or not self._day().any():
            return None
        quarters = None if self.quarters is None else self.quarters.cells
        return shares_of(picked(self.month.cells, self._day()), quarters)

    def residual(self) -> int | None:
        """The day less its quarters, in millionths; None where one of both is not there."""
        if self.month is None or self.quarters is None or not self._day().any():
            return None
        day = int(self.month.cells.value[self._day()].sum())
        return day - int(self.quarters.cells.value.sum())


def _sum_figures(sums: Sequence[SumCheck], day_ms: int) -> list[Figure]:
    return [
        Figure(
            subject=Subject.METER,
            id=one.meter,
            day_ms=day_ms,
            name="main_against_sub_share",
            value=one.share,
        )
        for one in sums
        if one.share is not None
    ]
