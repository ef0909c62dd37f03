"""Verification: a day -> its figures of data quality, and findings by institution (日校核).

Looks at what settlement made of the day, at what was refused, at how much came and when; writes the
figures as series and the findings in place of an earlier list of the same day. Repeatable.
"""

from collections.abc import Sequence

import numpy as np
import structlog
from msgspec import Struct

from collector.arrivals import Arrivals, Tally
from collector.entries import Entry, EntryBook, EntryKind
from collector.epoch_book import EpochBook
from collector.findings import Finding, FindingBook, FindingKind
from collector.fleet.index import Fleet, MeterEntry
from collector.intervals import Figure, Intervals, IntervalStore, Subject
from collector.quality.figures import (
    MeterDay,
    deviation,
    group_figures,
    meter_figures,
    shares_of,
)
from collector.quality.find import DayFacts, find
from collector.quality.thresholds import Thresholds
from collector.settle.cells import DAY_MS, Width, month_start_ms
from collector.settle.gauge import completeness
from collector.settle.series import PER_UNIT, whole
from collector.settlement.service import Progress, Unwatched
from collector.store import Level, ReadingStore
from collector.tree.check import SumCheck, check_sums
from collector.tree.derive import main_counters
from collector.tree.family import Family, family_at
from metering.quantity import QUANTITIES, Kind

log = structlog.get_logger()

_AT_ONCE = 200  # meters
# A meter answered if any of these came.
_SIGNS = (
    *(name for name, one in QUANTITIES.items() if one.kind is Kind.COUNTER),
    "active_power_kw",
    "flow_m3_h",
    "heat_power_kw",
    "temperature_c",
)
_DELAY, _READINGS, _ON_TIME = "clock_drift_s", "arrived_count", "on_time_count"


class Parts(Struct, frozen=True, kw_only=True):
    """What the verification works with; `app` wires it."""

    store: ReadingStore
    intervals: IntervalStore
    entries: EntryBook
    epochs: EpochBook
    findings: FindingBook
    fleet: Fleet
    arrivals: Arrivals
    thresholds: Thresholds = Thresholds()


class Verification:
    """One at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def verify_day(self, day_ms: int, progress: Progress | None = None) -> list[Finding]:
        """Verify a day in Shanghai by its start; return what was found and kept."""
        watch = progress or Unwatched()
        self.keep_arrivals()
        parts = self._parts
        family = family_at(parts.fleet, day_ms + DAY_MS - 1)
        meters = sorted(family.entries)
        facts = _Facts(days=[], months={}, residuals={}, figures=[])
        for first in range(0, len(meters), _AT_ONCE):
            if watch.stopping:
                break
            self._look_at(meters[first : first + _AT_ONCE], day_ms, family, facts)
            watch.step(min(first + _AT_ONCE, len(meters)), len(meters), "日校核")
        sums = self._sums(family, day_ms)
        facts.figures += group_figures(facts.days, day_ms)
        facts.figures += _sum_figures(sums, day_ms)
        parts.intervals.write_figures(facts.figures)
        found = find(
            DayFacts(
                day_ms=day_ms,
                days=facts.days,
                sums=sums,
                months=facts.months,
                residuals=facts.residuals,
                clocks_s=self._clocks(day_ms),
                since=self._since(day_ms),
            ),
            parts.fleet,
            parts.thresholds,
        )
        parts.findings.replace_findings(day_ms, found)
        log.info("verification.done", day_ms=day_ms, meters=len(meters), findings=len(found))
        return found

    def check_sums(self, start_ms: int, end_ms: int) -> list[SumCheck]:
        """Every main against what is right below it over a span, by hours (总分校核)."""
        return self._check(family_at(self._parts.fleet, end_ms - 1), start_ms, end_ms)

    def keep_arrivals(self) -> None:
        """Add what came since to the figures of its days."""
        tally = self._parts.arrivals.take()
        days = {day for _, day in (*tally.readings, *tally.delays_ms)}
        if not days:
            return
        span = min(days), max(days) + 1
        known = {
            (one.subject, one.id, one.day_ms, one.name): one.value
            for subject in (Subject.METER, Subject.GATEWAY)
            for one in self._parts.intervals.figures(subject, *span)
        }
        self._parts.intervals.write_figures(_added(tally, known))

    # ---- meters

    def _look_at(self, meters: Sequence[str], day_ms: int, family: Family, facts: "_Facts") -> None:
        parts, end_ms = self._parts, day_ms + DAY_MS
        stamps: dict[str, list[np.ndarray]] = {}
        for column in parts.store.columns(meters, _SIGNS, day_ms, end_ms):
            stamps.setdefault(column.meter, []).append(column.at_ms)
        day_rows = main_counters(
            family, parts.intervals.intervals(meters, Width.DAY, day_ms, end_ms)
        )
        quarters = main_counters(
            family, parts.intervals.intervals(meters, Width.QUARTER, day_ms, end_ms)
        )
        month_ms = month_start_ms(day_ms)
        months = main_counters(
            family, parts.intervals.intervals(meters, Width.DAY, month_ms, end_ms)
        )
        outages = self._outages(meters, day_ms)
        rejected = self._rejected(set(meters), day_ms)
        on_time = self._on_time(meters, day_ms)
        for meter in meters:
            entry = family.entries[meter]
            at_ms = np.unique(np.concatenate(stamps.get(meter, [np.empty(0, np.int64)])))
            settled, cells = day_rows.get(meter), quarters.get(meter)
            expected, answered = _cycles(entry, at_ms, day_ms, outages.get(meter, ()))
            day = MeterDay(
                entry=entry,
                expected=expected,
                answered=answered,
                on_time=on_time.get(meter),
                shares=None if settled is None else shares_of(settled.cells),
                rejected=rejected.get(meter, {}),
                rules=0 if cells is None else int(np.bitwise_or.reduce(cells.cells.rules)),
            )
            facts.days.append(day)
            facts.figures += meter_figures(day, day_ms)
            self._compare(meter, (settled, cells, months.get(meter)), day_ms, facts)

    def _compare(
        self,
        meter: str,
        rows: tuple[Intervals | None, Intervals | None, Intervals | None],
        day_ms: int,
        facts: "_Facts",
    ) -> None:
        """Quarters against the day, days against the register's month."""
        settled, quarters, month = rows
        if settled is not None and quarters is not None:
            off = int(settled.cells.value.sum()) - int(quarters.cells.value.sum())
            facts.note(meter, day_ms, "law_residual_millionths", float(off))
            if off:
                facts.residuals[meter] = off / PER_UNIT
        if month is None:
            return
        register = self._register(month, month_start_ms(day_ms), day_ms + DAY_MS)
        if register is not None:
            share = deviation(int(month.cells.value.sum()), register)
            if share is not None:
                facts.note(meter, day_ms, "daily_against_monthly_share", share)
                facts.months[meter] = share

    def _register(self, rows: Intervals, start_ms: int, end_ms: int) -> int | None:
        """What the register itself gained, in millionths: last - first + closed epochs.

        None where people's corrections, or another unit, make it another number.
        """
        store, key = self._parts.store, (rows.meter, rows.quantity)
        if (rows.cells.edited > 0).any():
            return None
        first = store.nearest(*key, start_ms, later=True, most=1)
        last = store.nearest(*key, end_ms, later=False, most=1)
        if first is None or last is None or first.at_ms[0] >= last.at_ms[0]:
            return None
        opened, total = int(whole(first.values)[0]), 0
        for one in self._parts.epochs.breaks(*key, int(first.at_ms[0]) + 1, int(last.at_ms[0]) + 1):
            if one.multiplier != 1.0:
                return None
            total += one.closed - opened
            opened = one.opened
        return total + int(whole(last.values)[0]) - opened

    # ---- around

    def _outages(self, meters: Sequence[str], day_ms: int) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        entries = self._parts.entries.entries(
            meters=meters, start_ms=day_ms, end_ms=day_ms + DAY_MS, in_force=True
        )
        for entry in entries:
            if entry.kind is EntryKind.OUT_OF_SERVICE:
                found.setdefault(entry.meter, []).append(entry)
        return found

    def _rejected(self, meters: set[str], day_ms: int) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for one in self._parts.store.rejections(day_ms, day_ms + DAY_MS):
            if one.meter in meters and one.level is Level.REJECTED:
                reasons = found.setdefault(one.meter, {})
                reasons[one.reason] = reasons.get(one.reason, 0) + 1
        return found

    def _on_time(self, meters: Sequence[str], day_ms: int) -> dict[str, int]:
        """Readings that came in time; of meters whose arrivals were counted at all."""
        found: dict[str, int] = {}
        for one in self._parts.intervals.figures(Subject.METER, day_ms, day_ms + 1, meters):
            if one.name == _READINGS:
                found.setdefault(one.id, 0)
            elif one.name == _ON_TIME:
                found[one.id] = int(one.value)
        return found

    def _sums(self, family: Family, day_ms: int) -> list[SumCheck]:
        return self._check(family, day_ms, day_ms + DAY_MS)

    def _check(self, family: Family, start_ms: int, end_ms: int) -> list[SumCheck]:
        meters = sorted(
            {*family.children, *(m for below in family.children.values() for m in below)}
        )
        if not meters:
            return []
        bounds = self._parts.thresholds
        return check_sums(
            family,
            self._parts.intervals.intervals(meters, Width.HOUR, start_ms, end_ms),
            tolerance=bounds.sub_meters.value,
            least_judged=bounds.comparable.value,
        )

    def _clocks(self, day_ms: int) -> dict[str, float]:
        return {
            one.id: one.value
            for one in self._parts.intervals.figures(Subject.GATEWAY, day_ms, day_ms + 1)
            if one.name == _DELAY
        }

    def _since(self, day_ms: int) -> dict[tuple[str, FindingKind, str], int]:
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


def _cycles(
    entry: MeterEntry, at_ms: np.ndarray, day_ms: int, outages: Sequence[Entry]
) -> tuple[int, int]:
    """Cycles of the day that should have brought a reading, and those that did."""
    end_ms = day_ms + DAY_MS
    start_ms = max(day_ms, entry.valid_from_ms)
    if entry.valid_to_ms is not None:
        end_ms = min(end_ms, entry.valid_to_ms)
    # Counters are read once a minute at most, whatever the cycle of the gauges.
    every_ms = max(60, entry.cycle_s) * 1000
    due = max(0, end_ms - start_ms) / every_ms
    out_ms = sum(
        max(0, min(end_ms, one.end_ms or end_ms) - max(start_ms, one.start_ms)) for one in outages
    )
    share = 1 - min(1.0, out_ms / max(1, end_ms - start_ms))
    expected = round(due * share)
    answered = round(completeness(at_ms, start_ms, end_ms, every_ms) * due) if due >= 1 else 0
    return expected, min(expected, answered)


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


def _added(tally: Tally, known: dict[tuple[Subject, str, int, str], float]) -> list[Figure]:
    found: list[Figure] = []
    for name, counted in ((_READINGS, tally.readings), (_ON_TIME, tally.on_time)):
        for (meter, day_ms), number in counted.items():
            before = known.get((Subject.METER, meter, day_ms, name), 0.0)
            found.append(
                Figure(
                    subject=Subject.METER, id=meter, day_ms=day_ms, name=name, value=before + number
                )
            )
    for (gateway, day_ms), delay_ms in tally.delays_ms.items():
        before = known.get((Subject.GATEWAY, gateway, day_ms, _DELAY), delay_ms / 1000)
        found.append(
            Figure(
                subject=Subject.GATEWAY,
                id=gateway,
                day_ms=day_ms,
                name=_DELAY,
                value=min(before, delay_ms / 1000),
            )
        )
    return found
