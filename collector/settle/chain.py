"""Chain: pieces of readings -> the cheapest story that leads through them.

Pieces are unbroken stretches between odd steps. A story keeps some pieces, leaves out the others,
and says what happened between those that it keeps. The cheapest one is found by dynamic programming
over (piece, power of ten). A piece of three days that moves is never left out: it holds the stories
on its two sides apart, so what is decided at one fault does not hang on another far away, nor on
how much was loaded.
"""

from typing import NamedTuple

import numpy as np
from msgspec import Struct

from collector.settle.bounds import DAY_MS, HOUR_MS, Bound, bound_of, pieces_of
from collector.settle.register import Register
from collector.settle.series import Ints
from collector.settle.steps import Steps, stands_still
from collector.settle.turns import Brink, Turn, change_of_pace, turns

_ANCHOR_MS = 3 * DAY_MS
_ANCHOR_READINGS = 8
_ABSURD = 40.0  # no story leaves out that much in a row
_WHOLE_PIECE = 6.0
_STANDING_PIECE = 3.0  # says less than one that moves


class Piece(Struct, frozen=True, kw_only=True):
    """Readings `first` to `last`, both included.

    Attributes:
        price: of leaving them out.
        anchor: it is never left out.
        sinks: it can only be left out.
    """

    first: int
    last: int
    price: float
    anchor: bool
    sinks: bool


class Link(Struct, frozen=True, kw_only=True):
    """A piece that is kept: `turn` leads to it from the kept one before (None: the first)."""

    piece: Piece
    turn: Turn | None
    power: int


class _Best(Struct, frozen=True):
    price: float
    turn: Turn | None
    before: tuple[int, int] | None  # (piece, power)


class _End(Struct, frozen=True):
    """Where a piece begins and ends, as plain numbers: they are looked at many times."""

    first_ms: int
    first: int
    last_ms: int
    last: int
    since_ms: int
    next_gain: int
    next_ms: int
    prev_gain: int
    prev_ms: int


def chain(at_ms: Ints, value: Ints, steps: Steps, register: Register) -> list[Link]:
    """The kept pieces in order; none if the counter only ran backwards."""
    sinks = np.concatenate(([0], np.cumsum(steps.sinking)))
    pieces = [
        _piece(at_ms, value, first, last, sinks=bool(sinks[last] > sinks[first]))
        for first, last in pieces_of(steps.odd)
    ]
    since_ms = at_ms[stands_still(value)]
    ends = [_end(at_ms, value, since_ms, piece) for piece in pieces]
    bounds = _Bounds(at_ms, value, steps, register)
    highest = int(value.max())
    best: list[dict[int, _Best]] = []
    for place, piece in enumerate(pieces):
        way = _Way(pieces, ends, best, bounds.at(piece.first), register, highest)
        best.append({} if piece.sinks else way.to(place))
    return _traced(pieces, best)


def _end(at_ms: Ints, value: Ints, since_ms: Ints, piece: Piece) -> _End:
    first, last = piece.first, piece.last
    span = at_ms[first : last + 1]
    soon = first + int(np.searchsorted(span, span[0] + DAY_MS, side="right")) - 1
    lately = first + int(np.searchsorted(span, span[-1] - DAY_MS))
    return _End(
        int(at_ms[first]),
        int(value[first]),
        int(at_ms[last]),
        int(value[last]),
        int(since_ms[last]),
        int(value[soon] - value[first]),
        int(at_ms[soon] - at_ms[first]),
        int(value[last] - value[lately]),
        int(at_ms[last] - at_ms[lately]),
    )


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


def _piece(at_ms: Ints, value: Ints, first: int, last: int, *, sinks: bool) -> Piece:
    span_ms = int(at_ms[last] - at_ms[first])
    moves = bool(value[last] > value[first])
    count = last - first + 1
    moving = min(count, _WHOLE_PIECE) + span_ms / HOUR_MS / 4
    standing = min(count, _STANDING_PIECE) + span_ms / DAY_MS / 4
    return Piece(
        first=first,
        last=last,
        price=moving if moves else standing,
        sinks=sinks,
        anchor=moves
        and not sinks
        and span_ms >= _ANCHOR_MS
        and last - first + 1 >= _ANCHOR_READINGS,
    )


class _Way(NamedTuple):
    """The cheapest ways to a piece, one for each power of ten."""

    pieces: list[Piece]
    ends: list[_End]
    best: list[dict[int, _Best]]
    bound: Bound
    register: Register
    highest: int

    def to(self, place: int) -> dict[int, _Best]:
        found: dict[int, _Best] = {}
        left_out = 0.0
        for before in range(place - 1, -1, -1):
            for power, reached in self.best[before].items():
                price = reached.price + left_out
                known = found.get(power)
                if known is None or price < known.price:  # else no story from here is cheaper
                    self._try(found, (before, power), place, price)
            if self.pieces[before].anchor or left_out > _ABSURD:
                return found
            left_out += self.pieces[before].price
        _keep(found, _Best(left_out, None, None), self.register.power_of_ten)
        return found

    def _try(
        self, found: dict[int, _Best], before: tuple[int, int], place: int, price: float
    ) -> None:
        left, right = self.ends[before[0]], self.ends[place]
        brink = Brink(
            left_ms=left.last_ms,
            since_ms=left.since_ms,
            left=left.last,
            right_ms=right.first_ms,
            right=right.first,
            power=before[1],
            next_gain=right.next_gain,
            next_ms=right.next_ms,
            prev_gain=left.prev_gain,
            prev_ms=left.prev_ms,
            readings=self.pieces[place].last - self.pieces[place].first + 1,
            highest=self.highest,
        )
        for turn in turns(brink, self.bound, self.register):
            pace = 0.0 if turn.ending is None else change_of_pace(brink, turn.power)
            whole = price + turn.price + pace
            _keep(found, _Best(whole, turn, before), turn.power)


def _keep(found: dict[int, _Best], one: _Best, power: int) -> None:
    known = found.get(power)
    if known is None or one.price < known.price:
        found[power] = one


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
    if not ends:
        return []
    at: tuple[int, int] | None = min(ends, key=lambda end: (end[0], -end[1], abs(end[2])))[1:]
    while at is not None:
        place, power = at
        one = best[place][power]
        links.append(Link(piece=pieces[place], turn=one.turn, power=power))
        at = one.before
    return links[::-1]
