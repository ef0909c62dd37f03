"""Chain: pieces of readings -> the cheapest story that leads through them.

Pieces are unbroken stretches between odd steps. A story keeps some pieces, leaves out the others,
and says what happened between those that it keeps. The cheapest one is found by dynamic programming
over (piece, power of ten). A piece of three days that moves is never left out: it holds the stories
on its two sides apart, so what is decided at one fault does not hang on another far away, nor on
how much was loaded.
"""

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from collector.settle.bounds import DAY_MS, HOUR_MS, Bound, bound_of, pieces_of
from collector.settle.register import Register
from collector.settle.series import Ints
from collector.settle.steps import Steps, stands_still
from collector.settle.turns import Brink, Turn, turns

_ANCHOR_MS = 3 * DAY_MS
_ANCHOR_READINGS = 8
_MOST_APART = 400  # pieces left out in a row
_ABSURD = 100.0  # no story leaves out that much in a row
_WHOLE_PIECE = 6.0
_SOON = 24  # readings after a turn that must go on as it says
_STANDING_PIECE = 3.0  # says less than one that moves


class Piece(Struct, frozen=True, kw_only=True):
    """Readings `first` to `last`, both included; `price`: of leaving them out."""

    first: int
    last: int
    price: float
    anchor: bool


class Link(Struct, frozen=True, kw_only=True):
    """A piece that is kept: `turn` leads to it from the kept one before (None: the first)."""

    piece: Piece
    turn: Turn | None
    power: int


class _Best(Struct, frozen=True):
    price: float
    turn: Turn | None
    before: tuple[int, int] | None  # (piece, power)


class _Readings(Struct, frozen=True):
    at_ms: Ints
    value: Ints
    since_ms: Ints


def chain(at_ms: Ints, value: Ints, steps: Steps, register: Register) -> list[Link]:
    """The kept pieces in order; at least one where there is any reading."""
    pieces = [_piece(at_ms, value, *ends) for ends in pieces_of(steps.odd)]
    readings = _Readings(at_ms, value, at_ms[stands_still(value)])
    bounds = _Bounds(at_ms, value, steps, register)
    best: list[dict[int, _Best]] = []
    for place in range(len(pieces)):
        best.append(_reach(place, pieces, best, readings, bounds))
    return _traced(pieces, best)


class _Bounds:
    """The bound that holds at a piece, computed once for pieces that touch."""

    def __init__(self, at_ms: Ints, value: Ints, steps: Steps, register: Register) -> None:
        self.register = register
        self._arguments = (at_ms, value, steps, register)
        self._by_day: dict[int, Bound] = {}

    def at(self, place: int) -> Bound:
        at_ms = self._arguments[0]
        day = int(at_ms[place]) // DAY_MS
        if day not in self._by_day:
            # One bound a day: whatever else is loaded, the same day has the same one.
            first = int(np.searchsorted(at_ms, day * DAY_MS))
            last = int(np.searchsorted(at_ms, (day + 1) * DAY_MS))
            self._by_day[day] = bound_of(*self._arguments, slice(first, last))
        return self._by_day[day]


def _piece(at_ms: Ints, value: Ints, first: int, last: int) -> Piece:
    span_ms = int(at_ms[last] - at_ms[first])
    moves = bool(value[last] > value[first])
    count = last - first + 1
    moving = min(count, _WHOLE_PIECE) + span_ms / HOUR_MS / 4
    standing = min(count, _STANDING_PIECE) + span_ms / DAY_MS / 4
    return Piece(
        first=first,
        last=last,
        price=moving if moves else standing,
        anchor=moves and span_ms >= _ANCHOR_MS and last - first + 1 >= _ANCHOR_READINGS,
    )


def _reach(
    place: int,
    pieces: list[Piece],
    best: list[dict[int, _Best]],
    readings: _Readings,
    bounds: _Bounds,
) -> dict[int, _Best]:
    """The cheapest way to each power of ten of the piece at `place`."""
    found: dict[int, _Best] = {}
    left_out = 0.0
    for before in range(place - 1, max(-1, place - 1 - _MOST_APART), -1):
        for power, reached in best[before].items():
            floor = reached.price + left_out
            for turn in _turns(pieces, before, place, power, readings, bounds):
                _keep(found, _Best(floor + turn.price, turn, (before, power)), turn.power)
        if pieces[before].anchor or left_out > _ABSURD:
            return found
        left_out += pieces[before].price
    if place <= _MOST_APART:
        power = bounds.register.power_of_ten
        _keep(found, _Best(left_out, None, None), power)
    return found


def _keep(found: dict[int, _Best], one: _Best, power: int) -> None:
    known = found.get(power)
    if known is None or one.price < known.price:
        found[power] = one


def _turns(
    pieces: list[Piece],
    before: int,
    place: int,
    power: int,
    readings: _Readings,
    bounds: _Bounds,
) -> Iterator[Turn]:
    last, first = pieces[before].last, pieces[place].first
    left, right = int(readings.value[last]), int(readings.value[first])
    soon = min(pieces[place].last, first + _SOON)
    brink = Brink(
        left_ms=int(readings.at_ms[last]),
        since_ms=int(readings.since_ms[last]),
        left=left,
        right_ms=int(readings.at_ms[first]),
        right=right,
        power=power,
        next_gain=int(readings.value[soon]) - right,
        next_ms=int(readings.at_ms[soon] - readings.at_ms[first]),
    )
    return turns(brink, bounds.at(first), bounds.register)


def _traced(pieces: list[Piece], best: list[dict[int, _Best]]) -> list[Link]:
    """From the cheapest end back to the start."""
    left_out = 0.0
    ends: list[tuple[float, int, int]] = []
    for place in range(len(pieces) - 1, -1, -1):
        ends += [(one.price + left_out, place, power) for power, one in best[place].items()]
        if pieces[place].anchor:
            break
        left_out += pieces[place].price
    links: list[Link] = []
    at: tuple[int, int] | None = min(ends, key=lambda end: (end[0], -end[1], abs(end[2])))[1:]
    while at is not None:
        place, power = at
        one = best[place][power]
        links.append(Link(piece=pieces[place], turn=one.turn, power=power))
        at = one.before
    return links[::-1]
