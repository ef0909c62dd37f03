"""Register faults: what happens in the meter itself, before it is read.

Faults of one register build on each other, so all places are found first, and then they happen in
order of time. A fault that nobody could see, however wise, is not put in: a register that stands
still at night, a new meter that happens to stand where the old one did.
"""

from collections.abc import Callable

import numpy as np
from msgspec import Struct

from benchmarks.truth.canvas import Canvas, Loss
from benchmarks.truth.family import told
from benchmarks.truth.label import Kind
from collector.settle.cells import DAY_MS, HOUR_MS

_CLEAR_MS = 30 * HOUR_MS
_OUTAGE_MS = (HOUR_MS, 12 * HOUR_MS)  # around a break, if there is one
_VISIBLE = 20  # steps of the last digit, at least
_STILL_TIMES = 3  # as long as the series itself ever stands still
_STUCK_MS = (6 * HOUR_MS, 14 * DAY_MS)
_DIGITS = (4, 5, 6, 7, 8)
_BITS_32 = 2.0**32
_ROLLS_ONCE = 2.0  # widths of at least so many times the whole consumption
_JUST_AFTER_MS = 1_000
_HIGH = 1e7  # no used meter stands far above that
_OPENINGS = {"zero": (0.0, 0.0), "new": (0.0, 5.0), "lower": (0.05, 0.5), "higher": (0.05, 4.0)}

Site = tuple[int, int]


class Break(Struct, frozen=True):
    """Between the readings `before` and `after`, at `at_ms`, another standing begins."""

    before: int
    after: int
    at_ms: int


class Register(Struct, frozen=True):
    """A kind of fault.

    Attributes:
        site: where one may be put, as first and last reading; None: nowhere.
        happen: puts it there; those of a register happen in order of time.
    """

    site: Callable[[Canvas], Site | None]
    happen: Callable[[Canvas, Site], None]


def _breaks(outage_share: float, *, moving: bool = False) -> Callable[[Canvas], Site | None]:
    """Somewhere, sometimes with an outage of some hours before the break.

    Args:
        moving: only where something is consumed at the time.
    """

    def site(canvas: Canvas) -> Site | None:
        def fits(first: int, last: int) -> bool:
            moves = canvas.consumed_in(first - 1, last) > 4 * canvas.digit
            return _alive(canvas, first) and (moves or not moving)

        gap = 0
        if canvas.chance.random() < outage_share:
            gap = canvas.steps(canvas.between(*_OUTAGE_MS))
        return canvas.place(gap + 1, _CLEAR_MS, fits)

    return site


def _break(canvas: Canvas, site: Site, *, at_once: bool = False) -> Break:
    first, after = site
    before = first - 1
    if after > first:
        canvas.lose(first, after - 1)
    low_ms, high_ms = int(canvas.at_ms[before]), int(canvas.at_ms[after])
    at_ms = low_ms + _JUST_AFTER_MS
    if not at_once:
        at_ms = int(canvas.chance.integers(low_ms + 1, high_ms))
    return Break(before, after, at_ms)


def _alive(canvas: Canvas, place: int) -> bool:
    day = canvas.steps(DAY_MS)
    low, high = max(0, place - day), min(len(canvas.at_ms) - 1, place + day)
    return bool(canvas.consumed_in(low, high) > _VISIBLE * canvas.digit)


def _span(canvas: Canvas, found: Break) -> tuple[int, int]:
    return int(canvas.at_ms[found.before]), int(canvas.at_ms[found.after])


def _nearly_full(standing: float) -> bool:
    """Just below a width that registers have."""
    return any(0.94 * 10.0**digits <= standing <= 10.0**digits for digits in range(2, 10))


def _stand_at(canvas: Canvas, found: Break, opening: float) -> float:
    """The register stands at `opening` at the break; where it stood until then."""
    at_break = canvas.truth.until(found.at_ms)
    closing = float(canvas.base + at_break + canvas.offset[found.after])
    canvas.offset[found.after :] = opening - canvas.base - float(at_break)
    return closing


def _reset(canvas: Canvas, site: Site) -> None:
    """To 0 or a small number; right after a reading, or some time between two."""
    small = canvas.chance.random() < 0.4
    standing = float(canvas.standing[site[0] - 1])
    day = canvas.consumed_in(max(0, site[0] - canvas.steps(DAY_MS)), site[0])
    opening = round(canvas.between(0.5, max(1.0, 0.002 * standing)), 2) if small else 0.0
    gained = canvas.consumed_in(site[0] - 1, site[1])
    if standing < 5 * day + 20 * opening + 2 * gained + _VISIBLE * canvas.digit:
        return  # too little stands there to be missed
    if _nearly_full(standing):
        return  # nobody could tell it from a rollover
    found = _break(canvas, site, at_once=canvas.chance.random() < 0.6)
    _stand_at(canvas, found, opening)
    lost = canvas.truth.between(int(canvas.at_ms[found.before]), found.at_ms)
    canvas.losses.append(Loss(*_span(canvas, found), lost + opening))
    form = "small" if small else "zero"
    about = f"{standing:.2f} -> {opening:g}, {lost:.2f} consumed before unseen"
    canvas.label(Kind.RESET, form, _span(canvas, found), about)


def _rollover(canvas: Canvas, site: Site) -> None:
    """Once in the series, at a width that meters have."""
    unit = canvas.resolution or 1.0
    whole = float(canvas.consumed[-1])
    widths = [10.0**digits for digits in _DIGITS] + [_BITS_32 * unit, _BITS_32 / 1000]
    fits = [width for width in widths if _ROLLS_ONCE * whole <= width <= 1e4 * whole]
    if not fits:
        return
    found = _break(canvas, site)
    width = fits[int(canvas.chance.integers(len(fits)))]
    canvas.width = width
    share = canvas.chance.uniform(0.05, 0.95)
    gained = canvas.consumed_in(found.before, found.after)
    canvas.base = width - float(canvas.consumed[found.before]) - share * gained
    about = f"at {width:.12g}"
    canvas.label(Kind.ROLLOVER, f"{width:.6g}", _span(canvas, found), about)


def _replacement(canvas: Canvas, site: Site) -> None:
    """With an entry: closing and opening exact, its time sometimes hours off."""
    found = _break(canvas, site)
    standing = float(canvas.standing[found.before])
    form, opening = _opening(canvas, ("zero", "lower", "higher"), standing)
    closing = canvas.displayed(_stand_at(canvas, found, opening))
    apart = abs(opening - closing)
    told_ms = found.at_ms
    if canvas.chance.random() < 0.3 and apart > 50 * canvas.truth.rated_per_hour:
        told_ms += int(canvas.chance.uniform(-6, 6) * HOUR_MS)
    canvas.replaced(told_ms, closing, opening)
    begin, end = _span(canvas, found)
    about = f"{closing:.2f} -> {opening:.2f}, told {(told_ms - found.at_ms) / HOUR_MS:+.1f} h off"
    span = (min(begin, told_ms), max(end, told_ms))
    canvas.label(Kind.REPLACEMENT, form, span, about)


def _silent_replacement(canvas: Canvas, site: Site) -> None:
    """Nobody says so: what was consumed between the last and the first reading is lost."""
    found = _break(canvas, site)
    standing = float(canvas.standing[found.before])
    form, opening = _opening(canvas, ("new", "lower", "higher"), standing)
    _stand_at(canvas, found, opening)
    lost = canvas.consumed_in(found.before, found.after)
    known_small = opening if form == "new" else 0.0
    canvas.losses.append(Loss(*_span(canvas, found), lost + known_small))
    about = f"{standing:.2f} -> {opening:.2f}"
    canvas.label(Kind.SILENT_REPLACEMENT, form, _span(canvas, found), about)


def _opening(canvas: Canvas, forms: tuple[str, ...], standing: float) -> tuple[str, float]:
    """What the new meter stands at: nothing, a test's few units, or a used one's total."""
    chance = canvas.chance
    form = str(chance.choice(forms))
    # Far enough that no consumption looks like it, even after hours of silence.
    far = 400 * canvas.truth.rated_per_hour
    if standing < 2 * far or _nearly_full(standing):
        form = "higher"
    elif form == "higher" and standing > _HIGH:
        form = "lower"
    low, high = _OPENINGS[form]
    if form == "new":
        return form, canvas.displayed(chance.uniform(low, high))
    begin = standing + far if form == "higher" else 0.0
    return form, canvas.displayed(begin + standing * chance.uniform(low, high))


def _stuck_site(canvas: Canvas) -> Site | None:
    count = canvas.steps(canvas.between(*_STUCK_MS)) + 1
    still = canvas.longest_still()

    def fits(first: int, last: int) -> bool:
        seen = canvas.consumed_in(first, last) > _VISIBLE * canvas.digit
        return seen and count > max(4, _STILL_TIMES * still)

    return canvas.place(count, _CLEAR_MS, fits) if canvas.stands(count) else None


def _stuck(canvas: Canvas, site: Site) -> None:
    """The register stands, and goes on from there: what went through is lost."""
    first, last = site
    lost = canvas.consumed[first : last + 1] - canvas.consumed[first]
    canvas.offset[first : last + 1] -= lost
    canvas.offset[last + 1 :] -= lost[-1]
    begin, end = int(canvas.at_ms[first]), int(canvas.at_ms[last])
    canvas.losses.append(Loss(begin, end, float(lost[-1])))
    about = f"{(end - begin) / HOUR_MS:.1f} h, {lost[-1]:.2f} lost"
    canvas.label(Kind.STUCK_METER, "", (begin, end), about)
    canvas.sound[first + 1 : last] = False


def _drift_site(canvas: Canvas) -> Site | None:
    """Begins in the middle of the series, once."""
    count = len(canvas.at_ms)
    first = int(canvas.chance.uniform(0.3, 0.5) * count)
    return first, first + int(canvas.chance.uniform(0.1, 0.3) * count)


def _drift(canvas: Canvas, site: Site) -> None:
    """Over weeks the register comes to count 15 to 40 % too little or too much, and stays so."""
    first, last = site
    ramp = last - first
    off = float(canvas.chance.uniform(0.15, 0.4) * canvas.chance.choice([-1, 1]))
    visible = told(canvas, off)
    steps = np.arange(len(canvas.at_ms) - 1)
    wrong = np.clip((steps - first) / ramp, 0, 1) * off * np.diff(canvas.consumed)
    extra = np.concatenate(([0.0], np.cumsum(wrong)))
    canvas.offset += extra
    begin, end = int(canvas.at_ms[first]), int(canvas.at_ms[-1])
    for place in range(first, len(extra) - 1, canvas.steps(DAY_MS)):
        after = min(place + canvas.steps(DAY_MS), len(extra) - 1)
        there = int(canvas.at_ms[place]), int(canvas.at_ms[after])
        canvas.losses.append(Loss(*there, abs(float(extra[after] - extra[place]))))
    days = ramp * canvas.truth.step_ms / DAY_MS
    about = f"{off:+.0%} within {days:.0f} days; {visible.about}"
    form = "more" if off > 0 else "less"
    canvas.label(Kind.GAIN_DRIFT, form, (begin, end), about, counts=visible.is_told)


ROLLOVER = Register(_breaks(0.25, moving=True), _rollover)
GAIN_DRIFT = Register(_drift_site, _drift)
STUCK_METER = Register(_stuck_site, _stuck)
RESET = Register(_breaks(0.3), _reset)
REPLACEMENT = Register(_breaks(0.4), _replacement)
SILENT_REPLACEMENT = Register(_breaks(0.3), _silent_replacement)
