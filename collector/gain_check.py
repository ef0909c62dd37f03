"""Gain check: a day -> whether each meter still counts as it did (计量漂移): figures, departures.

Asked of a main and the meters right below it, and of a meter's register and its power gauge, over
the three months before. Energy stays as it was registered: what departs is a question to a person.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from collector.fleet.index import Fleet, MeterEntry
from collector.gain.departure import Departure, one_a_meter
from collector.gain.hours import family_hours, last_digit
from collector.gain.power import GAUGES, Bounds, Moved, PowerDays, power_days, ratio_of
from collector.gain.whose import KNOWN_BEFORE_DAYS, LEAST_DAYS, LOOKBACK_DAYS, Standing, gains_of
from collector.intervals import Figure, Intervals, IntervalStore, Subject
from collector.quality.thresholds import Thresholds
from collector.settle.cells import DAY_MS, Width
from collector.settle.counters import unit_of
from collector.settle.day_class import DayClass
from collector.store import ReadingStore
from collector.tree.derive import main_counters
from collector.tree.family import Family, Span, families

_MOST_BACK_DAYS = 400  # a change that is older than that is what the meter does
_AT_ONCE = 200  # meters

Known = Mapping[str, int]  # by meter, since when it departs, as the day before said


class GainParts(Struct, frozen=True, kw_only=True):
    """What the check works with."""

    store: ReadingStore
    intervals: IntervalStore
    fleet: Fleet
    thresholds: Thresholds
    classify: Callable[[int], DayClass]


class DayGains(Struct, frozen=True, kw_only=True):
    """What a day came to; `departures` has each meter once."""

    departures: list[Departure]
    figures: list[Figure]


def check_gains(parts: GainParts, family: Family, day_ms: int, known: Known) -> DayGains:
    """Look at every family and every gauge, with what was there until the end of a day."""
    check = _Check(parts, family, day_ms, known)
    check.families()
    check.gauges()
    return DayGains(departures=one_a_meter(check.departures), figures=check.figures)


class _Check:
    """One day's."""

    def __init__(self, parts: GainParts, family: Family, day_ms: int, known: Known) -> None:
        self._parts, self._family, self._known = parts, family, known
        self._day_ms, self._end_ms = day_ms, day_ms + DAY_MS
        self.departures: list[Departure] = []
        self.figures: list[Figure] = []

    # ---- families

    def families(self) -> None:
        earliest_ms = self._end_ms - _MOST_BACK_DAYS * DAY_MS
        trees = families(self._parts.fleet, earliest_ms, self._end_ms)
        for main, below in self._family.children.items():
            members = (main, *below)
            start_ms = max(
                self._start_ms(members),
                _unchanged_ms(trees, main, below),
                *(self._family.entries[meter].valid_from_ms for meter in members),
            )
            if self._end_ms - start_ms >= LEAST_DAYS * DAY_MS:
                self._look_at(main, below, start_ms)

    def _start_ms(self, meters: Sequence[str]) -> int:
        """Before a change that is known there has to be enough to hold it against."""
        usual_ms = self._end_ms - LOOKBACK_DAYS * DAY_MS
        known_ms = self._known_ms(meters)
        if known_ms is None:
            return usual_ms
        return max(
            self._end_ms - _MOST_BACK_DAYS * DAY_MS,
            min(usual_ms, known_ms - KNOWN_BEFORE_DAYS * DAY_MS),
        )

    def _known_ms(self, meters: Sequence[str]) -> int | None:
        return min((self._known[meter] for meter in meters if meter in self._known), default=None)

    def _look_at(self, main: str, below: Sequence[str], start_ms: int) -> None:
        members = (main, *below)
        span = (start_ms, self._end_ms)
        settled = main_counters(
            self._family, self._parts.intervals.intervals(members, Width.HOUR, *span)
        )
        if len({unit_of(rows.quantity) for rows in settled.values()}) != 1:
            return
        hours = family_hours(
            main, below, settled, span, self._is_rest_day, self._last_digits(settled)
        )
        for one in gains_of(hours, self._parts.thresholds.gain.value, self._known_ms(members)):
            if one.standing is Standing.UNTOLD:
                continue
            self._note(one.meter, "gain_change_share", one.change)
            self._note(one.meter, "gain_change_error_share", one.error)
            if one.standing is Standing.CHANGED:
                self.departures.append(
                    Departure(
                        meter=one.meter,
                        change=one.change,
                        error=one.error,
                        since_ms=one.since_ms,
                        main=main,
                        other=one.other,
                    )
                )

    def _is_rest_day(self, day_ms: int) -> bool:
        return self._parts.classify(day_ms) is not DayClass.WORKDAY

    def _last_digits(self, settled: Mapping[str, Intervals]) -> dict[str, float]:
        return {
            meter: self._last_digit(self._family.entries[meter], rows.quantity)
            for meter, rows in settled.items()
        }

    def _last_digit(self, entry: MeterEntry, quantity: str) -> float:
        """As its model says, or as it showed on the day."""
        if quantity in entry.steps:
            return entry.steps[quantity]
        columns = self._parts.store.columns([entry.meter], [quantity], self._day_ms, self._end_ms)
        return last_digit(columns[0].values) if columns else 0.0

    # ---- gauges

    def gauges(self) -> None:
        meters = sorted(self._family.entries)
        for first in range(0, len(meters), _AT_ONCE):
            for meter, days in self._power(meters[first : first + _AT_ONCE]):
                self._hold_against_power(meter, days)

    def _power(self, meters: Sequence[str]) -> Iterator[tuple[str, PowerDays]]:
        span = (self._start_ms(meters), self._end_ms)
        intervals = self._parts.intervals
        wanted = sorted({gauge.quantity for gauge in GAUGES.values()})
        gauges = {
            (rows.meter, rows.quantity): rows
            for rows in intervals.gauges(meters, Width.DAY, *span, wanted)
        }
        settled = main_counters(self._family, intervals.intervals(meters, Width.DAY, *span))
        for meter, rows in settled.items():
            gauge = GAUGES.get(rows.quantity)
            if gauge is not None and (meter, gauge.quantity) in gauges:
                entry = self._family.entries[meter]
                yield (
                    meter,
                    power_days(
                        rows,
                        gauges[meter, gauge.quantity],
                        self._last_digit(entry, rows.quantity),
                        self._last_digit(entry, gauge.quantity),
                        since_ms=entry.valid_from_ms,
                    ),
                )

    def _hold_against_power(self, meter: str, days: PowerDays) -> None:
        bounds = self._parts.thresholds
        share = days.share(self._day_ms)
        if share is not None:
            self._note(meter, "energy_against_power_share", share)
        ratio = ratio_of(
            days,
            self._day_ms,
            Bounds(bounds.gain_power.value, bounds.power_off.value),
            self._known.get(meter),
        )
        if ratio.moved in {Moved.CHANGED, Moved.OFF}:
            self.departures.append(
                Departure(
                    meter=meter,
                    change=ratio.change,
                    error=ratio.error,
                    since_ms=ratio.since_ms,
                    ratio=ratio.value,
                    usual=ratio.usual,
                )
            )

    def _note(self, meter: str, name: str, value: float) -> None:
        self.figures.append(
            Figure(subject=Subject.METER, id=meter, day_ms=self._day_ms, name=name, value=value)
        )


def _unchanged_ms(trees: Sequence[tuple[Span, Family]], main: str, below: Sequence[str]) -> int:
    """Since when a main has had just these meters below it."""
    start_ms = trees[-1][0][0]
    for (first_ms, _), family in reversed(trees):
        if family.children.get(main) != tuple(below):
            break
        start_ms = first_ms
    return start_ms
