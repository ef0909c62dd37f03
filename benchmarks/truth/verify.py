"""Verify: a meter and its company, settled -> what the daily verification says of each, by day.

What `collector.verification` does every night with the days before: the same hours, the same
functions, one day after the other, and what was known the day before is known.
"""

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from benchmarks.truth.canvas import Canvas, Company
from benchmarks.truth.flags import Flag
from benchmarks.truth.gates import METER, QUANTITY, Outcome, settled_of
from benchmarks.truth.label import GAIN, GAIN_EITHER
from collector.gain.hours import family_hours, last_digit
from collector.gain.power import Bounds, Moved, power_days, ratio_of
from collector.gain.whose import LOOKBACK_DAYS, Standing, gains_of
from collector.intervals import GaugeWindows, Intervals
from collector.quality.thresholds import Thresholds
from collector.settle.cells import DAY_MS, SHANGHAI_MS, Cells, Width
from collector.settle.gauge import gauge_windows
from collector.settle.series import PER_UNIT

_SATURDAY, _FIRST_WEEKDAY = 5, 3  # 1970-01-01 was a Thursday
_BOUNDS = Thresholds()


class Said(Struct, frozen=True):
    """A flag about one of the family, or about two of which it is one: then it finds either."""

    meters: tuple[str, ...]
    flag: Flag


def said_of(canvas: Canvas, outcome: Outcome) -> list[Said]:
    """Everything that the verification says; the canvas's own meter is `METER`."""
    company = canvas.company
    if company is None:
        return []
    found: list[Said] = []
    if company.others:
        found += _of_family(canvas, company, outcome)
    if company.power_kw is not None:
        found += _of_power(canvas, company, outcome)
    return found


def _of_family(canvas: Canvas, company: Company, outcome: Outcome) -> Iterator[Said]:
    named = {METER: outcome} | {
        f"beside-{place}": settled_of(other) for place, other in enumerate(company.others)
    }
    main, *subs = named if company.main else ("beside-0", METER, *list(named)[2:])
    span = canvas.truth.start_ms, canvas.truth.end_ms
    hours = {
        meter: _intervals(meter, Width.HOUR, one.settled.hours) for meter, one in named.items()
    }
    steps = {meter: last_digit(one.series.value / PER_UNIT) for meter, one in named.items()}
    every = family_hours(main, subs, hours, span, _is_rest_day, steps)
    known_ms = None
    for days in range(1, len(every.there) + 1):
        cut = every.between(max(0, days - LOOKBACK_DAYS), days)
        changed = [
            one
            for one in gains_of(cut, _BOUNDS.gain.value, known_ms)
            if one.standing is Standing.CHANGED
        ]
        known_ms = min((one.since_ms for one in changed if one.since_ms is not None), default=None)
        for one in changed:
            about = f"{one.change:+.1%} ± {one.error:.1%}, by the family"
            meters = (one.meter,) if one.other is None else (one.meter, one.other)
            word = GAIN if one.other is None else GAIN_EITHER
            yield Said(meters, _flag(word, cut.day_ms(len(cut.there) - 1), about))


def _of_power(canvas: Canvas, company: Company, outcome: Outcome) -> Iterator[Said]:
    assert company.power_kw is not None
    start_ms, end_ms = canvas.truth.start_ms, canvas.truth.end_ms
    windows = gauge_windows(canvas.at_ms, company.power_kw, DAY_MS, start_ms, end_ms)
    gauge = GaugeWindows(
        meter=METER,
        quantity="active_power_kw",
        width=Width.DAY,
        start_ms=windows.start_ms,
        count=windows.count,
        lowest=windows.lowest,
        mean=windows.mean,
        highest=windows.highest,
    )
    days = power_days(
        _intervals(METER, Width.DAY, outcome.settled.days),
        gauge,
        last_digit(outcome.series.value / PER_UNIT),
        last_digit(company.power_kw),
    )
    bounds = Bounds(_BOUNDS.gain_power.value, _BOUNDS.power_off.value)
    known_ms = None
    for day_ms in range(start_ms, end_ms, DAY_MS):
        ratio = ratio_of(days, day_ms, bounds, known_ms)
        known_ms = ratio.since_ms
        if ratio.moved in {Moved.CHANGED, Moved.OFF}:
            about = f"{ratio.change:+.1%} ± {ratio.error:.1%}, by its gauge, {ratio.moved}"
            yield Said((METER,), _flag(GAIN, day_ms, about))


def _flag(word: str, day_ms: int, about: str) -> Flag:
    return Flag(word, day_ms, day_ms + DAY_MS, about)


def _intervals(meter: str, width: Width, cells: Cells) -> Intervals:
    version = np.ones(len(cells.start_ms), np.int64)
    return Intervals(meter=meter, quantity=QUANTITY, width=width, cells=cells, version=version)


def _is_rest_day(day_ms: int) -> bool:
    """The measured buildings stand where no calendar of ours holds: weekdays decide."""
    return ((day_ms + SHANGHAI_MS) // DAY_MS + _FIRST_WEEKDAY) % 7 >= _SATURDAY
