"""Hours: settled intervals of a main and of the meters right below it -> aligned days of hours.

An hour is there only where every meter's is known and mostly measured, and where nothing that its
register did makes it doubtful: what is compared has to be the same time, truly counted.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from msgspec import Struct, structs

from collector.intervals import Intervals
from collector.settle.cells import DAY_MS, HOUR_MS, Cells
from collector.settle.rule import Rule, mask
from collector.settle.series import PER_UNIT, Floats, Ints, Mask

DAY_HOURS = 24
_MOSTLY = 0.5  # of an hour's time, measured or entered
# What a register did here says nothing of how it counts.
DOUBTFUL = mask(
    Rule.RESET,
    Rule.UNIT,
    Rule.JUMP,
    Rule.GLITCH,
    Rule.SPIKE,
    Rule.CLOCK,
    Rule.FROZEN,
    Rule.ZERO_RUN,
    Rule.LIKE_DAY,
)


class FamilyHours(Struct, frozen=True, kw_only=True):
    """A main and k meters below it over n days that follow each other.

    Attributes:
        main, subs: their ids.
        start_ms: the first day's start in Shanghai.
        rest_day: n; days of rest go like each other, not like workdays.
        energy: (1 + k, n, 24), the main first, in the counter's unit; 0 where not `there`.
        there: (n, 24); which hours can be compared.
        step: 1 + k; the last digit of each register, in the unit; 0 where it is not known.
    """

    main: str
    subs: tuple[str, ...]
    start_ms: int
    rest_day: Mask
    energy: Floats
    there: Mask
    step: Floats

    def between(self, first: int, beyond: int) -> "FamilyHours":
        """Some of its days, by their places."""
        return structs.replace(
            self,
            start_ms=self.day_ms(first),
            rest_day=self.rest_day[first:beyond],
            energy=self.energy[:, first:beyond],
            there=self.there[first:beyond],
        )

    def day_ms(self, place: int) -> int:
        """The start of a day."""
        return self.start_ms + place * DAY_MS

    def place(self, day_ms: int) -> int:
        """The place of a day, by its start."""
        return (day_ms - self.start_ms) // DAY_MS


def family_hours(
    main: str,
    subs: Sequence[str],
    settled: Mapping[str, Intervals],
    span: tuple[int, int],
    is_rest_day: Callable[[int], bool],
    steps: Mapping[str, float],
) -> FamilyHours:
    """Put the hours of a family side by side.

    Args:
        settled: hours by meter, of the counter that counts; who has none is nowhere there.
        span: from the start of a day in Shanghai to that of another.
        is_rest_day: by the start of a day.
        steps: the last digit of registers by meter, in the unit, as far as it is known.
    """
    start_ms, end_ms = span
    meters = (main, *subs)
    days = range(start_ms, end_ms, DAY_MS)
    energy = np.zeros((len(meters), len(days) * DAY_HOURS))
    there = np.ones(len(days) * DAY_HOURS, np.bool_)
    for place, meter in enumerate(meters):
        mine = np.zeros(len(there), np.bool_)
        if meter in settled:
            hours, value = _sound(settled[meter].cells, start_ms, end_ms)
            energy[place, hours] = value
            mine[hours] = True
        there &= mine
    energy[:, ~there] = 0.0
    return FamilyHours(
        main=main,
        subs=tuple(subs),
        start_ms=start_ms,
        rest_day=np.array([is_rest_day(day) for day in days], np.bool_),
        energy=energy.reshape(len(meters), len(days), DAY_HOURS),
        there=there.reshape(len(days), DAY_HOURS),
        step=np.array([steps.get(meter, 0.0) for meter in meters]),
    )


def _sound(cells: Cells, start_ms: int, end_ms: int) -> tuple[Ints, Floats]:
    """Places of the hours that can be believed, and their energy."""
    good = cells.known & (cells.measured + cells.edited >= _MOSTLY) & (cells.rules & DOUBTFUL == 0)
    good &= (cells.start_ms >= start_ms) & (cells.start_ms < end_ms)
    places = (cells.start_ms[good] - start_ms) // HOUR_MS
    return places, cells.value[good] / PER_UNIT


def last_digit(values: Floats, known: Collection[float] = ()) -> float:
    """The step of a register's last digit, from what it said, in its unit; 0 if it never moved.

    Args:
        known: what its model says of it; the coarser one counts.
    """
    rises = np.diff(np.unique(np.rint(values * PER_UNIT).astype(np.int64)))
    seen = int(np.gcd.reduce(rises)) / PER_UNIT if len(rises) else 0.0
    return max((seen, *known))
