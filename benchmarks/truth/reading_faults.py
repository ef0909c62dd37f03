"""Reading faults: what happens to readings between the register and the collector.

Each function puts one fault onto the canvas and says whether it found a place.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.truth.canvas import Canvas, Extra
from benchmarks.truth.label import Fault, Kind
from collector.settle.cells import DAY_MS, HOUR_MS
from collector.validate import AHEAD_LIMIT_MS

MINUTE_MS = 60_000
_NEAR_MS = 6 * HOUR_MS
_FAR_MS = 24 * HOUR_MS
_VISIBLE = 20  # steps of the last digit, at least
_STILL_TIMES = 3
_AHEAD = 8  # readings that a wrong value must stand out from
_SHORT_LEG_MS = 30 * MINUTE_MS  # a shorter silence cannot blur a quarter of an hour
_DROP_MS = (5 * MINUTE_MS, 21 * DAY_MS)
_FROZEN_MS = (2 * HOUR_MS, 7 * DAY_MS)
_UNIT_MS = (8 * HOUR_MS, 10 * DAY_MS)
_SHIFTED_MS = (6 * HOUR_MS, 5 * DAY_MS)
_EXTREMES = (
    65535.0, 655.35, 2147483647.0, 4294967295.0, 42949672.95, 4294967.295, 21474836.47, 99999999.0,
)  # fmt: skip
_NO_VALUE = (
    ("nan", np.nan), ("inf", np.inf), ("float_max", 3.4028234663852886e38),
    ("uint32", 4294967295.0), ("int32", 2147483647.0), ("int32_min", -2147483648.0),
    ("negative", -1.0), ("float_max_negative", -3.4028234663852886e38),
)  # fmt: skip


def _at(canvas: Canvas, first: int, last: int) -> tuple[int, int]:
    return int(canvas.at_ms[first]), int(canvas.at_ms[last])


def drop(canvas: Canvas) -> bool:
    longest_ms = min(_DROP_MS[1], (canvas.at_ms[-1] - canvas.at_ms[0]) / 4)
    count = canvas.steps(canvas.between(_DROP_MS[0], longest_ms))
    place = canvas.place(count, _NEAR_MS)
    if place is None:
        return False
    first, last = place
    canvas.lose(first, last)
    begin, end = _at(canvas, first - 1, last + 1)
    canvas.faults.append(
        Fault(
            kind=Kind.DROP,
            form="",
            start_ms=begin,
            end_ms=end,
            about=f"{count} readings, {(end - begin) / HOUR_MS:.2f} h between neighbours",
            counts=end - begin > _SHORT_LEG_MS + canvas.truth.step_ms,
        )
    )
    return True


def spike(canvas: Canvas) -> bool:
    """One to three readings in five stand alone; each form as often."""
    count = int(canvas.chance.choice([1, 1, 1, 2, 3, 5]))
    place = canvas.place(count, canvas.truth.step_ms * 2 * _AHEAD)
    if place is None:
        return False
    first, last = place
    here = float(canvas.value[first])
    # It stands out from more readings than it is itself, on both sides.
    least = canvas.consumed_in(first - 1 - _AHEAD, last + _AHEAD) + _VISIBLE * canvas.digit
    form = ("up", "times", "down", "zero", "extreme")[int(canvas.chance.integers(5))]
    value = _wrong(canvas, form, here, least)
    if form == "extreme":
        form = "up" if value > here else "down"
    if abs(value - here) < least or value < 0:
        return True  # nobody could see it; the place is used up
    beside = canvas.chance.random() < 0.5 and value > 0
    run = canvas.value[first : last + 1] - here if beside else np.zeros(count)
    canvas.spoil(first, last, np.round(value + run, 6))
    about = f"{count} readings, {here:.2f} -> {value:.2f}"
    canvas.label(Kind.SPIKE, form, _at(canvas, first, last), about)
    return True


def _wrong(canvas: Canvas, form: str, here: float, least: float) -> float:
    chance = canvas.chance
    if form == "up":
        return canvas.displayed(here + least * chance.uniform(1.0, 30))
    if form == "times":
        return canvas.displayed(here * chance.uniform(1.3, 200))
    if form == "down":
        near = here - least * chance.uniform(1.0, 30)
        return canvas.displayed(near if near > 0 else here * chance.uniform(0.02, 0.6))
    return 0.0 if form == "zero" else float(chance.choice(_EXTREMES))


def stuck_gateway(canvas: Canvas) -> bool:
    """The same value again and again, then the true one."""
    count = canvas.steps(canvas.between(*_FROZEN_MS)) + 1
    still = canvas.longest_still()

    def fits(first: int, last: int) -> bool:
        seen = canvas.consumed_in(first, last) > _VISIBLE * canvas.digit
        return seen and count > max(4, _STILL_TIMES * still)

    place = canvas.place(count, _FAR_MS, fits) if canvas.stands(count) else None
    if place is None:
        return False
    first, last = place
    canvas.spoil(first + 1, last, canvas.value[first])
    begin, end = _at(canvas, first, last)
    about = f"{(end - begin) / HOUR_MS:.1f} h, {canvas.consumed_in(first, last):.2f} caught up"
    canvas.label(Kind.STUCK_GATEWAY, "", (begin, end), about)
    return True


def duplicate(canvas: Canvas) -> bool:
    """Once more, at once or days later."""
    place = canvas.place(1, canvas.truth.step_ms)
    if place is None:
        return False
    first, _ = place
    late_ms = int(canvas.chance.choice([0, 1_000, canvas.chance.integers(3 * DAY_MS)]))
    arrives_ms = int(canvas.arrives_ms[first]) + late_ms
    canvas.extras.append(Extra(int(canvas.stamp_ms[first]), float(canvas.value[first]), arrives_ms))
    span = _at(canvas, first, first)
    canvas.label(Kind.DUPLICATE, "", span, f"{late_ms / 1000:g} s later")
    return True


def conflict(canvas: Canvas) -> bool:
    """Another value for the same instant; in half of the cases the wrong one comes first."""
    place = canvas.place(1, canvas.truth.step_ms * 2 * _AHEAD)
    if place is None:
        return False
    first, _ = place
    true = float(canvas.value[first])
    far = canvas.consumed_in(first - 1, first + _AHEAD) + _VISIBLE * canvas.digit
    form = ("near", "far")[int(canvas.chance.integers(2))]
    off = canvas.digit * canvas.chance.integers(1, 20) if form == "near" else far * 3
    wrong = canvas.displayed(max(0.0, true + off * canvas.chance.choice([-1, 1])))
    if wrong == true:
        return True
    late_ms = int(canvas.chance.integers(1_000, DAY_MS))
    arrives_ms = int(canvas.arrives_ms[first]) + late_ms
    wrong_first = canvas.chance.random() < 0.5
    canvas.extras.append(
        Extra(int(canvas.stamp_ms[first]), true if wrong_first else wrong, arrives_ms)
    )
    if wrong_first:
        canvas.spoil(first, first, wrong)
    about = f"{true:.2f} and {wrong:.2f}, the {'wrong' if wrong_first else 'true'} one first"
    canvas.label(Kind.CONFLICT, form, _at(canvas, first, first), about)
    return True


def swapped(canvas: Canvas) -> bool:
    def fits(first: int, last: int) -> bool:
        rises = np.diff(canvas.value[first - 1 : last + 2])
        return bool((rises > 2 * canvas.digit).all())

    place = canvas.place(2, canvas.truth.step_ms * 2 * _AHEAD, fits)
    if place is None:
        return False
    first, last = place
    canvas.spoil(first, last, canvas.value[[last, first]])
    low, high = canvas.value[last], canvas.value[first]
    canvas.label(Kind.SWAPPED, "", _at(canvas, first, last), f"{low:.2f} and {high:.2f}")
    return True


def unit(canvas: Canvas) -> bool:
    """A power of ten too much or too little, for a while; sometimes for good."""
    power = int(canvas.chance.choice([-3, -2, -1, 1, 2, 3]))
    for_good = canvas.chance.random() < 0.3
    count = canvas.steps(canvas.between(*_UNIT_MS))
    day = canvas.steps(DAY_MS)

    def fits(first: int, last: int) -> bool:
        # The step into the other unit is far above what a day consumes.
        seen = canvas.value[first] > 20 * canvas.consumed_in(first - day, first + day)
        moves = canvas.consumed_in(first, last) > _VISIBLE * canvas.digit
        after = all(fault.start_ms < canvas.at_ms[first] for fault in canvas.faults)
        return bool(seen and moves and (after or not for_good))

    place = canvas.place(count, _FAR_MS, fits)
    if place is None:
        return False
    first, last = place
    if for_good:
        last = len(canvas.at_ms) - 1
        canvas.block(first, last)
    canvas.spoil(first, last, np.round(canvas.value[first : last + 1] * 10.0**power, 6))
    canvas.sound[first : last + 1] = True  # another unit, but it tells
    begin, end = _at(canvas, first, last)
    about = f"x 10^{power} for {'good' if for_good else f'{(end - begin) / HOUR_MS:.1f} h'}"
    canvas.label(Kind.UNIT, "for_good" if for_good else "run", (begin, end), about)
    return True


def missing(canvas: Canvas) -> bool:
    count = int(canvas.chance.choice([1, 1, 2, 4, 12, 24]))
    place = canvas.place(count, _NEAR_MS)
    if place is None:
        return False
    first, last = place
    form, value = _NO_VALUE[int(canvas.chance.integers(len(_NO_VALUE)))]
    canvas.spoil(first, last, value)
    canvas.label(Kind.MISSING, form, _at(canvas, first, last), f"{count} readings")
    return True


# ---- time


def clock_step(canvas: Canvas) -> bool:
    """Stamps are minutes to hours off for a while; live, or handed over as a backlog."""
    step_ms = canvas.truth.step_ms
    least_ms = max(2.5 * step_ms, 20 * MINUTE_MS)
    shift_ms = int(canvas.between(least_ms, 12 * HOUR_MS) * canvas.chance.choice([-1, 1]))
    count = canvas.steps(max(2 * abs(shift_ms), canvas.between(*_SHIFTED_MS)))
    wide = canvas.steps(abs(shift_ms)) + 1

    def fits(first: int, last: int) -> bool:
        both = (canvas.consumed_in(place, place + wide) for place in (first - wide, last - wide))
        return all(energy > _VISIBLE * canvas.digit for energy in both)

    place = canvas.place(count, abs(shift_ms) + _FAR_MS, fits)
    if place is None:
        return False
    first, last = place
    canvas.stamp_ms[first : last + 1] += shift_ms
    canvas.sound[first : last + 1] = False
    live = canvas.chance.random() < 0.5
    canvas.one_by_one = True
    begin, end = _at(canvas, first, last)
    if not live:
        late = canvas.arrives_ms >= begin
        canvas.arrives_ms[late] = np.maximum(canvas.arrives_ms[late], end + abs(shift_ms))
    span = (min(begin, begin + shift_ms), max(end, end + shift_ms))
    about = f"{shift_ms / HOUR_MS:+.2f} h for {(end - begin) / HOUR_MS:.1f} h, "
    about += "live" if live else "backlog"
    form = f"{'forward' if shift_ms > 0 else 'back'}_{'live' if live else 'backlog'}"
    canvas.label(Kind.CLOCK_STEP, form, span, about)
    return True


def clock_drift(canvas: Canvas) -> bool:
    """A clock without NTP: 5 to 60 seconds a day, from some day on; it is in the stamps."""
    if any(fault.kind is Kind.CLOCK_DRIFT for fault in canvas.faults):
        return False
    first = int(len(canvas.at_ms) * canvas.chance.uniform(0.1, 0.3))
    per_day = float(canvas.between(5, 60) * canvas.chance.choice([-1, 1]))
    days = np.maximum(0, canvas.at_ms - canvas.at_ms[first]) / DAY_MS
    canvas.stamp_ms += np.rint(days * per_day * 1000).astype(np.int64)
    # Gate 1 takes nothing from the future, and says so.
    canvas.sound &= canvas.stamp_ms <= canvas.arrives_ms + AHEAD_LIMIT_MS
    canvas.one_by_one = True
    about = f"{per_day:+.1f} s/day, {days[-1] * per_day / 60:+.1f} min at the end"
    begin, end = _at(canvas, first, len(canvas.at_ms) - 1)
    form = "fast" if per_day > 0 else "slow"
    canvas.label(Kind.CLOCK_DRIFT, form, (begin, max(end, int(canvas.stamp_ms[-1]))), about)
    return True


Inject = Callable[[Canvas], bool]
