"""Follow: a counter's readings -> its course: what counts, what was consumed, what was left out.

The one judge of what a register did (校核): falls are rollover, reset, replacement, a change of
unit or ratio, or a glitch; rises that cannot be are spikes or jumps; a register that stood still
and caught up was frozen. A clean stretch, which is nearly all there is, is recognised at once.

A pure function of what is handed in, and local: decisions look a week around and no further past a
sound stretch of three days (`chain`), so any window loaded with `FAR_MS` to both sides is judged as
the whole history would be.
"""

from itertools import pairwise

import numpy as np
from msgspec import Struct, structs

from collector.settle.bounds import DAY_MS
from collector.settle.cells import SHANGHAI_MS, day_start_ms
from collector.settle.chain import Link, chain
from collector.settle.limit import flag_limit
from collector.settle.phase import doubtful_days, flag_drift
from collector.settle.register import Register, Replacement
from collector.settle.rule import Rule, bit
from collector.settle.series import Course, Dropped, Ending, Ints, Mask, RegisterEpoch, Series
from collector.settle.standstill import doubtful_standstills, flag_standstills
from collector.settle.steps import Steps, steps_of
from collector.settle.turn import scaled

NEAR_MS = DAY_MS
_FEW = 2  # readings of a kept piece between two left-out ones of another clock
_TURNS = 3
FAR_MS = 15 * DAY_MS
REACH_MS = 8 * DAY_MS  # days to both sides that one doubt may decide about, and that decide it


def doubts(series: Series, register: Register) -> frozenset[int]:
    """Days (their starts) on which something needs `FAR_MS` of readings around to be judged.

    What is said of them can change with any reading of a week to both sides, so whoever settles
    remembers them.
    """
    at_ms = series.at_ms
    if len(at_ms) < 2:  # noqa: PLR2004 - a step has two ends
        return frozenset()
    steps, _ = _told(series, register)
    odd = np.flatnonzero(steps.odd | steps.sinking)
    spans = [(step, step + 1) for step in odd.tolist()]
    spans += doubtful_standstills(at_ms, series.value)
    days = {(day * DAY_MS) - SHANGHAI_MS for day in doubtful_days(at_ms).tolist()}
    for first, last in spans:
        start_ms, end_ms = day_start_ms(int(at_ms[first])), int(at_ms[last])
        days.update(range(start_ms, end_ms + 1, DAY_MS))
    return frozenset(days)


def follow(series: Series, register: Register) -> Course:
    """Judge a counter's readings.

    Args:
        series: n readings, n may be 0.
        register: what is known of the counter.

    Returns:
        The course; its law is in `Course`. With fewer than two readings that count it has no leg.
    """
    if not len(series.at_ms):
        return _empty()
    steps, register = _told(series, register)
    if steps.odd.any() or steps.sinking.any():
        course = _course(series, chain(series.at_ms, series.value, steps, register))
    else:
        course = _plain(series, register)
    return flag_drift(flag_limit(flag_standstills(course, series), steps, register))


def _told(series: Series, register: Register) -> tuple[Steps, Register]:
    """What people and the fleet say happened is looked at even where the counter simply goes on."""
    steps = steps_of(series.at_ms, series.value, register.rated_per_hour)
    leap = steps.leap.copy()
    events: list[Replacement] = []
    for event in register.replacements:
        step = _step_of(event, series, steps)
        if step is not None:
            leap[step] = True
            low_ms, high_ms = series.at_ms[step] + 1, series.at_ms[step + 1]
            events.append(structs.replace(event, at_ms=int(np.clip(event.at_ms, low_ms, high_ms))))
    for since_ms, _ in register.ratios[1:]:
        if series.at_ms[0] < since_ms <= series.at_ms[-1]:
            leap[int(np.searchsorted(series.at_ms, since_ms)) - 1] = True
    return structs.replace(steps, leap=leap), structs.replace(register, replacements=tuple(events))


def _step_of(event: Replacement, series: Series, steps: Steps) -> int | None:
    """The step at which a meter was replaced: a person's time may be a day off.

    Of the steps that its readings fit the one with least consumption in between; else the one at
    the time that was told. None if it lies outside of the series.
    """
    at_ms, value = series.at_ms, series.value
    near = np.abs(at_ms[1:] - event.at_ms) <= DAY_MS
    there = np.flatnonzero(near & (steps.fall | steps.leap))
    told = int(np.searchsorted(at_ms, event.at_ms)) - 1
    beside = [step for step in (told, told + 1) if 0 <= step < len(at_ms) - 1]
    slack = 2 * steps.resolution
    fits = [
        (int(event.closing - value[step]) + int(value[step + 1] - event.opening), step)
        for step in dict.fromkeys([*beside, *there.tolist()])
        if value[step] <= event.closing + slack and value[step + 1] >= event.opening - slack
    ]
    if fits:
        return min(fits)[1]
    return told if 0 <= told < len(at_ms) - 1 else None


def _empty() -> Course:
    none = np.empty(0, np.int64)
    return Course(at_ms=none, energy=none, known=np.empty(0, np.bool_), rules=none)


def _plain(series: Series, register: Register) -> Course:
    first, last = int(series.value[0]), int(series.value[-1])
    if register.power_of_ten:
        energy = np.diff(_scaled(series.value - first, register.power_of_ten))
    else:
        energy = np.diff(series.value)
    unit = bit(Rule.UNIT) if register.power_of_ten else 0
    return Course(
        at_ms=series.at_ms,
        energy=energy,
        known=np.ones(len(energy), np.bool_),
        rules=series.rules[:-1] | series.rules[1:] | unit,
        epochs=(
            RegisterEpoch(
                from_ms=int(series.at_ms[0]),
                to_ms=int(series.at_ms[-1]),
                opened=first,
                closed=last,
                multiplier=10.0**-register.power_of_ten,
            ),
        ),
    )


def _scaled(difference: Ints, power: int) -> Ints:
    """From the epoch's opening on, so that rounding does not add up."""
    if power > 0:
        return np.asarray(np.rint(difference / 10.0**power).astype(np.int64))
    return np.asarray(difference * np.int64(10.0**-power))


class _Legs(Struct, kw_only=True):
    """What is gathered along the chain."""

    at_ms: list[Ints]
    energy: list[Ints]
    known: list[Mask]
    rules: list[Ints]

    def turn(self, energy: int, *, known: bool, rules: int) -> None:
        self.energy.append(np.array([energy], np.int64))
        self.known.append(np.array([known]))
        self.rules.append(np.array([rules], np.int64))


def _course(series: Series, links: list[Link]) -> Course:
    if not links:
        return structs.replace(_empty(), dropped=tuple(_left_out(series, None, None)))
    legs = _Legs(at_ms=[], energy=[], known=[], rules=[])
    befores: list[Link | None] = [None, *links]
    gone = [_left_out(series, *ends) for ends in zip(befores, [*links, None], strict=True)]
    gone = _interleaved(gone, links)
    for before, link, out in zip(befores, links, gone, strict=False):
        if before is not None:
            _add_turn(legs, series, before, link, out)
        _add_piece(legs, series, link)
    return Course(
        at_ms=np.concatenate(legs.at_ms),
        energy=np.concatenate(legs.energy),
        known=np.concatenate(legs.known),
        rules=np.concatenate(legs.rules),
        epochs=_epochs(series, links),
        dropped=tuple(one for out in gone for one in out),
    )


def _interleaved(gone: list[list[Dropped]], links: list[Link]) -> list[list[Dropped]]:
    """Left-out readings that take turns with kept ones, both rising: two clocks, not glitches.

    Args:
        gone: what was left out before each of `links`, and after the last.
    """
    named = list(gone)
    start = 0
    for place in range(len(gone)):
        last = place == len(gone) - 1
        alternates = not last and gone[place + 1] and _is_short(links[place])
        if not (gone[place] and alternates):
            _rename(named, start, place + 1)
            start = place + 1
    return named


def _is_short(link: Link) -> bool:
    return link.piece.last - link.piece.first < _FEW


def _rename(named: list[list[Dropped]], start: int, end: int) -> None:
    values = [one.value for out in named[start:end] for one in out]
    falls = sum(after < before for before, after in pairwise(values))
    if end - start >= _TURNS and falls <= 1:
        for place in range(start, end):
            named[place] = [structs.replace(one, rule=Rule.CLOCK) for one in named[place]]


def _add_piece(legs: _Legs, series: Series, link: Link) -> None:
    span = slice(link.piece.first, link.piece.last + 1)
    value, rules = series.value[span], series.rules[span]
    if link.power:
        value = _scaled(value - value[0], link.power)
    unit = bit(Rule.UNIT) if link.power else 0
    legs.at_ms.append(series.at_ms[span])
    legs.energy.append(np.diff(value))
    legs.known.append(np.ones(len(value) - 1, np.bool_))
    legs.rules.append(rules[:-1] | rules[1:] | unit)


def _add_turn(legs: _Legs, series: Series, before: Link, link: Link, out: list[Dropped]) -> None:
    turn = link.turn
    assert turn is not None
    last, first = before.piece.last, link.piece.first
    rules = int(series.rules[last] | series.rules[first])
    for one in out:
        rules |= bit(one.rule)
    if turn.rule is not None:
        rules |= bit(turn.rule)
    if turn.replaced is None:
        legs.turn(turn.energy, known=turn.known, rules=rules)
        return
    event = turn.replaced
    at_ms = min(max(event.at_ms, int(series.at_ms[last])), int(series.at_ms[first]))
    closing = scaled(turn.closed - int(series.value[last]), before.power)
    legs.turn(closing, known=True, rules=rules)
    legs.at_ms.append(np.array([at_ms, at_ms], np.int64))
    legs.turn(0, known=True, rules=0)
    legs.turn(int(series.value[first]) - turn.opened, known=True, rules=rules)


def _left_out(series: Series, before: Link | None, after: Link | None) -> list[Dropped]:
    """Why readings between two kept pieces do not count."""
    first = 0 if before is None else before.piece.last + 1
    last = len(series.at_ms) if after is None else after.piece.first
    if first >= last:
        return []
    values = series.value[first:last]
    left = None if before is None else int(series.value[before.piece.last])
    right = None if after is None else int(series.value[after.piece.first])
    if last - first == 1 and _swapped(series.value, first):
        return [Dropped(at_ms=int(series.at_ms[first]), value=int(values[0]), rule=Rule.SWAPPED)]
    return [
        Dropped(at_ms=int(at), value=int(value), rule=_why(int(value), left, right))
        for at, value in zip(series.at_ms[first:last].tolist(), values.tolist(), strict=True)
    ]


def _swapped(value: Ints, place: int) -> bool:
    """Whether a reading fits once it changes places with a neighbour."""
    around = value[max(0, place - 2) : place + 3].copy()
    here = min(place, 2)
    for other in (here - 1, here + 1):
        if 0 <= other < len(around):
            tried = around.copy()
            tried[[here, other]] = tried[[other, here]]
            if len(around) == _FIVE and (np.diff(tried) >= 0).all():
                return True
    return False


_FIVE = 5


def _why(value: int, left: int | None, right: int | None) -> Rule:
    if left is not None and value < left:
        return Rule.GLITCH
    if right is not None and value > right:
        return Rule.SPIKE
    if left is None or right is None:
        return Rule.SPIKE if right is None else Rule.GLITCH
    return Rule.CLOCK


def _epochs(series: Series, links: list[Link]) -> tuple[RegisterEpoch, ...]:
    epochs: list[RegisterEpoch] = []
    start = links[0]
    from_ms, opened = int(series.at_ms[start.piece.first]), int(series.value[start.piece.first])
    for before, link in pairwise(links):
        turn = link.turn
        if turn is None or turn.ending is None:
            continue
        to_ms = int(series.at_ms[before.piece.last])
        next_ms = int(series.at_ms[link.piece.first])
        if turn.replaced is not None:
            to_ms = next_ms = turn.replaced.at_ms
        epochs.append(
            RegisterEpoch(
                from_ms=from_ms,
                to_ms=to_ms,
                opened=opened,
                closed=turn.closed,
                multiplier=10.0**-before.power,
                ending=turn.ending,
            )
        )
        from_ms, opened = next_ms, turn.opened
    end = links[-1]
    epochs.append(
        RegisterEpoch(
            from_ms=from_ms,
            to_ms=int(series.at_ms[end.piece.last]),
            opened=opened,
            closed=int(series.value[end.piece.last]),
            multiplier=10.0**-end.power,
        )
    )
    return tuple(epochs)


__all__ = ["FAR_MS", "NEAR_MS", "REACH_MS", "Ending", "doubts", "follow"]
