"""Chain: pieces of readings -> the cheapest story that leads through them.

Pieces are unbroken stretches between odd steps. A story keeps some pieces, leaves out the others,
and says what happened between those that it keeps. The cheapest one is found by dynamic programming
over (piece, power of ten). A piece of three days that moves is never left out: it holds the stories
on its two sides apart, so what is decided at one fault does not hang on another far away, nor on
how much was loaded.
"""

from math import ceil, log10
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from collector.settle.bounds import DAY_MS, HOUR_MS, Bound, bound_of, pieces_of
from collector.settle.pace import Pace, Paces, shift
from collector.settle.register import Register
from collector.settle.relation import POWERS, gauges
from collector.settle.rule import Rule
from collector.settle.series import Ints
from collector.settle.steps import Steps, stands_still
from collector.settle.turn import LARGEST, Brink, Turn
from collector.settle.turns import turns

_ANCHOR_MS = 3 * DAY_MS
_ANCHOR_READINGS = 8
_ABSURD = 40.0  # no story leaves out that much in a row
_WHOLE_PIECE = 6.0
_STANDING_PIECE = 3.0  # says less than one that moves
_UNDONE = 1.0  # a day at the end of what is known, that nothing after it undoes
_FASTEST = 3  # so many steps are faster than a piece can run, and it cannot


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
    """`doubt` is the part of `price` that is given back if the unit changes back."""

    price: float
    doubt: float
    turn: Turn | None
    before: tuple[int, int] | None  # (piece, power)


class _End(Struct, frozen=True):
    """Where a piece begins and ends, as plain numbers: they are looked at many times."""

    first_ms: int
    first: int
    last_ms: int
    last: int
    since_ms: int


def chain(at_ms: Ints, value: Ints, steps: Steps, register: Register) -> list[Link]:
    """The kept pieces in order; none if the counter only ran backwards."""
    sinks = np.concatenate(([0], np.cumsum(steps.sinking)))
    spans = pieces_of(steps.odd)
    pieces = [
        _piece(at_ms, value, first, last, sinks=bool(sinks[last] > sinks[first]))
        for first, last in spans
    ]
    since_ms = at_ms[stands_still(value)]
    ends = [_end(at_ms, value, since_ms, piece) for piece in pieces]
    limits = _Limits(at_ms, value, steps, register, spans)
    best: list[dict[int, _Best]] = []
    for place, piece in enumerate(pieces):
        way = _Way(pieces, ends, best, limits, register)
        best.append({} if piece.sinks else way.to(place))
    return _traced(pieces, ends, best)


def _end(at_ms: Ints, value: Ints, since_ms: Ints, piece: Piece) -> _End:
    first, last = piece.first, piece.last
    return _End(
        int(at_ms[first]),
        int(value[first]),
        int(at_ms[last]),
        int(value[last]),
        int(since_ms[last]),
    )


class _Limits:
    """What a piece can be, and what it tells of its pace; looked at when it is asked for."""

    def __init__(
        self,
        at_ms: Ints,
        value: Ints,
        steps: Steps,
        register: Register,
        spans: list[tuple[int, int]],
    ) -> None:
        self._at_ms, self._value, self._steps, self._register = at_ms, value, steps, register
        self._spans = spans
        self._gauges = gauges(value, spans, steps.resolution)
        lengths = [last - first + 1 for first, last in spans]
        self._gauge = np.repeat(self._gauges, lengths) if self._gauges.any() else None
        self._paces = Paces(at_ms, value, steps.odd, steps.resolution)
        self._bounds: dict[tuple[int, int], Bound] = {}
        self._lowest: dict[int, int] = {}
        self._before: dict[int, Pace | None] = {}
        self._after: dict[int, Pace | None] = {}

    def bound(self, place: int) -> Bound:
        """As the readings of this piece are read."""
        day = int(self._at_ms[self._spans[place][0]]) // DAY_MS
        power = int(self._gauges[place])
        if (day, power) not in self._bounds:
            # One bound a day: whatever else is loaded, the same day has the same one.
            first = int(np.searchsorted(self._at_ms, day * DAY_MS))
            last = int(np.searchsorted(self._at_ms, (day + 1) * DAY_MS))
            self._bounds[day, power] = bound_of(
                self._at_ms,
                self._value,
                self._steps,
                self._register,
                slice(first, last),
                None if self._gauge is None else (self._gauge, power),
            )
        return self._bounds[day, power]

    def lowest(self, place: int) -> int:
        """The lowest power of ten in which a piece does not run faster than it can."""
        if place not in self._lowest:
            self._lowest[place] = self._lowest_of(place)
        return self._lowest[place]

    def _lowest_of(self, place: int) -> int:
        first, last = self._spans[place]
        bound = self.bound(place)
        least = log10(max(1, int(self._value[last] - self._value[first])) / LARGEST)
        if bound.rated and last - first >= _FASTEST:
            there = slice(first, last + 1)
            rates = (np.diff(self._value[there]) - bound.slack) / np.diff(self._at_ms[there])
            fastest = float(np.partition(rates, -_FASTEST)[-_FASTEST])
            least = max(least, log10(fastest / bound.per_ms) if fastest > 0 else least)
        return max(-POWERS[-1], min(0, ceil(least)))

    def before(self, place: int) -> Pace | None:
        if place not in self._before:
            self._before[place] = self._paces.before(*self._spans[place])
        return self._before[place]

    def after(self, place: int) -> Pace | None:
        if place not in self._after:
            self._after[place] = self._paces.after(*self._spans[place])
        return self._after[place]


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
    limits: _Limits
    register: Register

    def to(self, place: int) -> dict[int, _Best]:
        found: dict[int, _Best] = {}
        left_out = 0.0
        for before in range(place - 1, -1, -1):
            for power, reached in self.best[before].items():
                price = reached.price + left_out
                known = found.get(power)
                # Else no story from here is cheaper.
                if known is None or price - reached.doubt < known.price:
                    self._try(found, (before, power), place, (price, reached.doubt))
            if self.pieces[before].anchor or left_out > _ABSURD:
                return found
            left_out += self.pieces[before].price
        _keep(found, _Best(left_out, 0.0, None, None), self.register.power_of_ten)
        return found

    def _try(
        self,
        found: dict[int, _Best],
        before: tuple[int, int],
        place: int,
        so_far: tuple[float, float],
    ) -> None:
        left, right = self.ends[before[0]], self.ends[place]
        brink = Brink(
            left_ms=left.last_ms,
            since_ms=left.since_ms,
            left=left.last,
            right_ms=right.first_ms,
            right=right.first,
            power=before[1],
            readings=self.pieces[place].last - self.pieces[place].first + 1,
            lowest=self.limits.lowest(place),
        )
        for turn in turns(
            brink,
            (self.limits.bound(before[0]), self.limits.bound(place)),
            self.register,
            lambda: shift(self.limits.before(before[0]), self.limits.after(place)),
        ):
            price, doubt = so_far
            price += turn.price + turn.doubt
            if turn.rule is Rule.UNIT and not turn.power:
                price -= doubt
            doubt = doubt + turn.doubt if turn.power else 0.0
            _keep(found, _Best(price, doubt, turn, before), turn.power)


def _keep(found: dict[int, _Best], one: _Best, power: int) -> None:
    known = found.get(power)
    if known is None or one.price < known.price:
        found[power] = one


def _traced(pieces: list[Piece], ends: list[_End], best: list[dict[int, _Best]]) -> list[Link]:
    """From the cheapest end back to the start."""
    left_out = 0.0
    last: list[tuple[float, int, int]] = []
    for place in range(len(pieces) - 1, -1, -1):
        last += [(one.price + left_out, place, power) for power, one in best[place].items()]
        if pieces[place].anchor:
            break
        days = (ends[place].last_ms - ends[place].first_ms) / DAY_MS
        left_out += pieces[place].price + _UNDONE * days
    links: list[Link] = []
    if not last:
        return []
    at: tuple[int, int] | None = min(last, key=lambda end: (end[0], -end[1], abs(end[2])))[1:]
    while at is not None:
        place, power = at
        one = best[place][power]
        links.append(Link(piece=pieces[place], turn=one.turn, power=power))
        at = one.before
    return links[::-1]
