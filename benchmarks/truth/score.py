"""Score: labels and flags of one case -> what was found, what was said for nothing, months' errors.

A fault is found if a word that its kind accepts is said within its span, two readings around
allowed. An **episode** is a stretch of flags that touch each other, a step between them allowed. It
is true if one of its flags touches a fault that accepts its word, or an end of any fault, and does
not for the most part lie outside of faults; otherwise it is false. Estimated and missing shares
find gaps only, and are false only where no reading was missing.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from benchmarks.truth.canvas import Canvas
from benchmarks.truth.flags import Flag, flags_of
from benchmarks.truth.gates import METER, Outcome
from benchmarks.truth.label import ESTIMATED, Fault
from benchmarks.truth.meter import LATE_MS
from benchmarks.truth.verify import Said
from collector.settle.cells import DAY_MS, HOUR_MS, QUARTER_MS, month_start_ms, next_month_ms
from collector.settle.series import PER_UNIT

AROUND_STEPS = 2
TOLD = 0.0002  # of a month: what no reading tells may be so much, and it still counts as told
_SHORTEST_MONTH_MS = 7 * DAY_MS
_LEG_STEPS = 1.5
_DIGITS = 3  # of the register: what its rounding may cost a month, two edges and some


class Hit(Struct, frozen=True):
    """One fault, and whether it was found and rightly named."""

    fault: Fault
    found: bool
    right: bool


class Episode(Struct, frozen=True):
    """Flags that belong together; `faults` are those, by their places, that make it true."""

    start_ms: int
    end_ms: int
    words: tuple[str, ...]
    faults: frozenset[int]

    @property
    def true(self) -> bool:
        return bool(self.faults)


class Month(Struct, frozen=True):
    """A month in Shanghai, as far as it was played, in the counter's unit.

    Attributes:
        truth, settled: what was consumed, and what came out.
        unknowable: how much of it no reading tells, or not on which side of the month's edge.
        rounding: what the register's last digit may cost, and the seconds between the month's
            edges and the readings there.
    """

    start_ms: int
    truth: float
    settled: float
    unknowable: float
    rounding: float

    @property
    def told(self) -> bool:
        return self.unknowable <= TOLD * self.truth

    @property
    def error(self) -> float:
        """Relative, beyond what the register's last digit costs."""
        return max(0.0, abs(self.settled - self.truth) - self.rounding) / self.truth

    @property
    def excess(self) -> float:
        """Relative, beyond what nobody can know."""
        off = abs(self.settled - self.truth) - self.rounding - self.unknowable
        return max(0.0, off) / self.truth


class Scored(Struct, frozen=True, kw_only=True):
    """One case.

    Attributes:
        readings, cells: how many there were.
        flagged, blurred: how many readings, and cells, false episodes cover.
    """

    hits: tuple[Hit, ...]
    episodes: tuple[Episode, ...]
    months: tuple[Month, ...]
    flags: tuple[Flag, ...]
    readings: int
    flagged: int
    cells: int
    blurred: int


def score(canvas: Canvas, outcome: Outcome, said: Sequence[Said] = ()) -> Scored:
    """Hold what was said against what was done.

    Args:
        said: by the daily verification, of the meter and of those beside it: with those there is
            nothing wrong.
    """
    step_ms = canvas.truth.step_ms
    mine = [one.flag for one in said if METER in one.meters]
    flags = sorted(
        [*flags_of(outcome, step_ms), *mine], key=lambda flag: (flag.start_ms, flag.end_ms)
    )
    around_ms = AROUND_STEPS * step_ms
    hits = hits_of(canvas.faults, flags, around_ms)
    episodes = episodes_of(canvas.faults, flags, around_ms)
    for meters in sorted({one.meters for one in said if METER not in one.meters}):
        episodes += episodes_of((), [one.flag for one in said if one.meters == meters], around_ms)
    fine = outcome.settled.quarters if step_ms < HOUR_MS else outcome.settled.hours
    return Scored(
        hits=hits,
        episodes=episodes,
        months=_months(canvas, outcome),
        flags=tuple(flags),
        readings=len(canvas.at_ms),
        flagged=_covered(canvas, [one for one in episodes if ESTIMATED not in one.words]),
        cells=len(fine.start_ms),
        blurred=sum(
            int(((fine.start_ms >= one.start_ms) & (fine.start_ms < one.end_ms)).sum())
            for one in episodes
            if not one.true and one.words == (ESTIMATED,)
        ),
    )


def _covered(canvas: Canvas, episodes: Sequence[Episode]) -> int:
    return sum(
        max(1, int(((canvas.at_ms >= one.start_ms) & (canvas.at_ms <= one.end_ms)).sum()))
        for one in episodes
        if not one.true
    )


# ---- faults


def hits_of(faults: Sequence[Fault], flags: Sequence[Flag], around_ms: int) -> tuple[Hit, ...]:
    starts = np.array([flag.start_ms for flag in flags], np.int64)
    ends = np.array([flag.end_ms for flag in flags], np.int64)
    hits = []
    for fault in faults:
        if fault.counts:
            near = (starts <= fault.end_ms + around_ms) & (ends >= fault.start_ms - around_ms)
            words = {flags[place].word for place in np.flatnonzero(near).tolist()}
            found = bool(words & fault.found)
            hits.append(Hit(fault, found, found and bool(words & fault.right)))
    return tuple(hits)


# ---- what was said


def episodes_of(
    faults: Sequence[Fault], flags: Sequence[Flag], around_ms: int
) -> tuple[Episode, ...]:
    said = [flag for flag in flags if flag.word != ESTIMATED]
    guessed = [flag for flag in flags if flag.word == ESTIMATED]
    cell_ms = max(QUARTER_MS, around_ms // AROUND_STEPS)  # a whole one, for a minute of it
    return tuple(
        Episode(
            start_ms=some[0].start_ms,
            end_ms=max(flag.end_ms for flag in some),
            words=tuple(sorted({flag.word for flag in some})),
            faults=frozenset().union(
                *(_made_true(flag, faults, around_ms + cell_ms * _is_guess(flag)) for flag in some)
            ),
        )
        for some in (*_together(said, around_ms // AROUND_STEPS), *([flag] for flag in guessed))
    )


def _together(flags: Sequence[Flag], apart_ms: int) -> list[list[Flag]]:
    groups: list[list[Flag]] = []
    end_ms = 0
    for flag in flags:
        if groups and flag.start_ms <= end_ms + apart_ms:
            groups[-1].append(flag)
        else:
            groups.append([flag])
            end_ms = 0
        end_ms = max(end_ms, flag.end_ms)
    return groups


def _is_guess(flag: Flag) -> bool:
    return flag.word == ESTIMATED


def _made_true(flag: Flag, faults: Sequence[Fault], around_ms: int) -> set[int]:
    """The faults that a flag is about; none if it is false."""
    touched = {
        place: fault
        for place, fault in enumerate(faults)
        if flag.start_ms <= fault.end_ms + around_ms and flag.end_ms >= fault.start_ms - around_ms
    }
    if _goes_beyond(flag, list(touched.values()), around_ms):
        return set()
    return {
        place
        for place, fault in touched.items()
        if flag.word in fault.true or _is_guess(flag) or _at_an_end(flag, fault, around_ms)
    }


def _goes_beyond(flag: Flag, faults: Sequence[Fault], around_ms: int) -> bool:
    """Whether most of what was flagged lies outside of the faults that it touches."""
    inside, until_ms = 0, flag.start_ms
    for fault in sorted(faults, key=lambda fault: fault.start_ms):
        begin = max(until_ms, fault.start_ms - around_ms)
        end = min(flag.end_ms, fault.end_ms + around_ms)
        inside += max(0, end - begin)
        until_ms = max(until_ms, end)
    lasts = flag.end_ms - flag.start_ms
    return lasts - inside > max(around_ms, lasts / 2)


def _at_an_end(flag: Flag, fault: Fault, around_ms: int) -> bool:
    return any(
        flag.start_ms <= edge_ms + around_ms and flag.end_ms >= edge_ms - around_ms
        for edge_ms in (fault.start_ms, fault.end_ms)
    )


# ---- months


def _months(canvas: Canvas, outcome: Outcome) -> tuple[Month, ...]:
    truth, days = canvas.truth, outcome.settled.days
    first_ms = int(canvas.at_ms[0])
    # No reading stands at the very edge: some seconds of a rate that changes there.
    uneven = truth.rated_per_hour * LATE_MS / HOUR_MS
    months = []
    start_ms = month_start_ms(truth.start_ms)
    while start_ms < truth.end_ms:
        end_ms = next_month_ms(start_ms)
        begin, end = max(start_ms, first_ms), min(end_ms, truth.end_ms)
        consumed = truth.between(begin, end)
        if end - begin >= _SHORTEST_MONTH_MS and consumed > 100 * canvas.digit:
            inside = (days.start_ms >= start_ms) & (days.start_ms < end_ms)
            months.append(
                Month(
                    start_ms=start_ms,
                    truth=consumed,
                    settled=float(days.value[inside].sum()) / PER_UNIT,
                    unknowable=_unknowable(canvas, begin, end),
                    rounding=_DIGITS * canvas.digit + uneven,
                )
            )
        start_ms = end_ms
    return tuple(months)


def _unknowable(canvas: Canvas, begin_ms: int, end_ms: int) -> float:
    lost = sum(
        loss.energy for loss in canvas.losses if loss.start_ms < end_ms and loss.end_ms > begin_ms
    )
    return lost + _at_edge(canvas, begin_ms) + _at_edge(canvas, end_ms)


def _at_edge(canvas: Canvas, at_ms: int) -> float:
    """What readings around an instant leave open: on which side it was consumed."""
    sound = np.flatnonzero(canvas.sound & canvas.present)
    stamps = canvas.at_ms[sound]
    place = int(np.searchsorted(stamps, at_ms))
    if place == len(sound):  # nothing tells until the end
        return canvas.consumed_in(int(sound[-1]), len(canvas.at_ms) - 1)
    if place == 0:
        return canvas.consumed_in(0, int(sound[0]))
    before, after = int(sound[place - 1]), int(sound[place])
    off_ms = int(max(abs(canvas.stamp_ms[one] - canvas.at_ms[one]) for one in (before, after)))
    wide = canvas.truth.between(at_ms - off_ms, at_ms + off_ms) if off_ms else 0.0
    leg_ms = int(canvas.at_ms[after] - canvas.at_ms[before])
    long = leg_ms > _LEG_STEPS * canvas.truth.step_ms
    return wide + (canvas.consumed_in(before, after) if long else 0.0)
