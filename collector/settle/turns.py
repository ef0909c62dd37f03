"""Turns: the end of one piece of readings and the start of a later one -> what may have happened.

Each possibility has a price; the cheapest story of all pieces together is believed (`chain`). The
prices order what is likely: a counter that simply goes on costs nothing, a person's word nearly so,
a rollover where the width fits little, a change of unit or a reset more, and that it jumped for no
reason at all most. Leaving out readings has a price too, so a fall that recovers is a glitch and
one that stays is a reset.
"""

from collections.abc import Callable, Iterator
from math import log10

from msgspec import Struct, structs

from collector.settle.bounds import DAY_MS, HOUR_MS, Bound
from collector.settle.pace import Shift
from collector.settle.register import Register, Replacement
from collector.settle.rule import Rule
from collector.settle.series import PER_UNIT, Ending
from collector.settle.unit import POWERS, Relation, relation

LARGEST = 1 << 61
_YOUNG = 100 * PER_UNIT  # a register that has just begun
_FEW = 3  # readings in another unit, at least
_EXPLAINED = (Rule.UNIT, Rule.RATIO)  # why the standing is a power of ten higher, or lower
_SURE = 0.001  # off the power of ten, as a share: the same register
_CHANCE = 0.05  # as far off any other register may be
_CHANCE_UNBOUNDED = 0.02  # where nothing says what it may have gained
_RATIO_WITHIN_MS = 3 * DAY_MS
_REPLACED_WITHIN_MS = DAY_MS
_HOURS_GONE_MS = 9 * HOUR_MS  # a clock that was set leaves a rise of so much at most
_NEARLY_NOTHING = 200  # a register that begins anew at less than so much of where it was
_NEAR_FULL = 0.95  # of an inferred width, before it may have rolled over
_AFTER_ROLLOVER = 0.1
# Where registers roll over that nobody described: full decades, and 32 bits of usual resolutions.
_WIDTHS = tuple(10**power * PER_UNIT for power in range(3, 13)) + tuple(
    (1 << 32) * PER_UNIT // 10**places for places in range(4)
)


class Price:
    """What a story costs. A reading left out costs 1, a piece at most 6 and a bit."""

    SAID = 0.2  # a person, or the fleet
    ROLLOVER = 1.2
    ROLLOVER_INFERRED = 1.8
    CAUGHT_UP = 2.5
    HOURS_GONE = 2.6
    UNIT_BACK = 1.0
    UNIT = 3.2
    OFF = 2.0  # each decade farther from the power of ten than `_SURE`
    UNSEEN = 8.0  # in addition, where the pace does not show it and the unit does not change back
    COINCIDENCE = 2.0  # each decade nearer to it than `_CHANCE`, if it is no change of unit
    COINCIDENCE_MOST = 8.0
    RESET = 3.5
    JUMP = 7.0
    DOUBLED = 8.0  # as much as it ever counted, at once, where nothing says what is usual
    PACE = 4.0  # for each time that the pace changed more than is usual
    PACE_MOST = 8.0
    ANOTHER_UNIT = 0.5  # what came after is not in the wrong unit that was before


class Turn(Struct, frozen=True, kw_only=True):
    """One story of what lies between two pieces.

    Attributes:
        doubt: what it costs beyond `price` unless the unit changes back.
        energy: consumed in between, in millionths; not known: 0.
        rule, ending: None if the counter simply went on.
        power: the power of ten by which readings are too high from here on.
        closed, opened: of the register epochs, in millionths as read.
        replaced: the event, where one was.
    """

    price: float
    doubt: float = 0.0
    energy: int
    known: bool = True
    rule: Rule | None = None
    ending: Ending | None = None
    power: int = 0
    closed: int = 0
    opened: int = 0
    replaced: Replacement | None = None


class Brink(Struct, frozen=True, kw_only=True):
    """Where one piece ends and a later one begins.

    Attributes:
        since_ms: since when the counter stood at `left`: what it did since then nobody saw.
        readings: of the later piece.
        lowest: power of ten in which the later piece can be; in a lower one it would run faster
            than it can.
    """

    left_ms: int
    since_ms: int
    left: int
    right_ms: int
    right: int
    power: int
    readings: int = 1
    lowest: int = -POWERS[-1]


def turns(
    brink: Brink, bound: Bound, register: Register, shift: Callable[[], Shift | None] = lambda: None
) -> Iterator[Turn]:
    """Every story that fits, at least one.

    Args:
        bound: of the later piece, as read.
        shift: how the pace changed there; asked for only where a register may have ended.
    """
    event = _replaced(brink, register)
    if event is not None:
        yield _replacement(brink, bound, event)
        return
    close = relation(brink.left, brink.right, bound.slack // 2)
    chance = 0.0 if close is None else _coincidence(close)
    for turn in _stories(brink, bound, register, shift, close):
        pace = shift() if turn.ending is not None else None
        price, doubt = turn.price, turn.doubt
        if turn.rule not in _EXPLAINED:
            price += chance
        if pace is not None:
            odd = min(Price.PACE_MOST, Price.PACE * pace.beyond(turn.power - brink.power))
            if turn.rule is Rule.UNIT and turn.power:
                doubt += odd
            else:
                price += odd
        yield structs.replace(turn, price=price, doubt=doubt)


def _stories(
    brink: Brink,
    bound: Bound,
    register: Register,
    shift: Callable[[], Shift | None],
    close: Relation | None,
) -> Iterator[Turn]:
    if close is not None:
        yield from _unit(brink, bound, close, shift)
    if brink.power < brink.lowest:
        yield _jump(brink, 0)
        return
    yield from _ratio(brink, bound.told(brink.power), register)
    yield from _others(brink, bound, register)


def _others(brink: Brink, bound: Bound, register: Register) -> Iterator[Turn]:
    """All that is neither said nor a change of unit."""
    told = bound.told(brink.power)
    gain = scaled(brink.right - brink.left, brink.power)
    on = _went_on(brink, told, gain)
    if on is not None:
        yield on
    if gain < 0:
        yield from _fallen(brink, bound, register)
    if (
        on is None
        or on.price >= Price.JUMP
        or not told.allows_standing(gain, brink.right_ms - brink.since_ms)
    ):
        yield _jump(brink, brink.power)
        if brink.power:
            yield _jump(brink, 0)


def _jump(brink: Brink, power: int) -> Turn:
    another = Price.ANOTHER_UNIT if power != brink.power else 0.0
    return Turn(
        price=Price.JUMP + another,
        energy=0,
        known=False,
        rule=Rule.JUMP,
        ending=Ending.JUMP,
        power=power,
        closed=brink.left,
        opened=brink.right,
    )


def _went_on(brink: Brink, bound: Bound, gain: int) -> Turn | None:
    """The same register, the same unit: its difference is energy, if it can be."""
    if not 0 <= gain < LARGEST:
        return None
    if bound.allows(gain, brink.right_ms - brink.left_ms):
        doubles = not bound.known and brink.right > 2 * brink.left > _YOUNG
        return Turn(price=Price.DOUBLED if doubles else 0.0, energy=gain, power=brink.power)
    if bound.allows_standing(gain, brink.right_ms - brink.since_ms):
        return Turn(price=Price.CAUGHT_UP, energy=gain, power=brink.power)
    if bound.known and gain <= bound.usual * _HOURS_GONE_MS:
        return Turn(price=Price.HOURS_GONE, energy=gain, power=brink.power, rule=Rule.CLOCK)
    return None


def scaled(difference: int, power: int) -> int:
    """A difference of readings that are too high by a power of ten, as energy."""
    if power > 0:
        return round(difference / 10.0**power)
    return max(-LARGEST, min(LARGEST, difference * int(10.0**-power)))


def _replaced(brink: Brink, register: Register) -> Replacement | None:
    for event in register.replacements:
        if brink.left_ms < event.at_ms <= brink.right_ms:
            return event
    return None


def _replacement(brink: Brink, bound: Bound, event: Replacement) -> Turn:
    before, after = event.closing - brink.left, brink.right - event.opening
    fits = before >= -bound.slack and after >= -bound.slack
    return Turn(
        price=Price.SAID,
        energy=max(0, before) + max(0, after) if fits else 0,
        known=fits,
        rule=Rule.REPLACEMENT,
        ending=Ending.REPLACEMENT,
        closed=max(event.closing, brink.left) if fits else brink.left,
        opened=min(event.opening, brink.right) if fits else brink.right,
        replaced=event if fits else None,
    )


def _ratio(brink: Brink, bound: Bound, register: Register) -> Iterator[Turn]:
    for (_, old), (since_ms, new) in zip(register.ratios, register.ratios[1:], strict=False):
        near = brink.left_ms - _RATIO_WITHIN_MS <= since_ms <= brink.right_ms + _RATIO_WITHIN_MS
        opened = round(brink.left * (new / old))
        gain = scaled(brink.right - opened, brink.power)
        if (
            near
            and new != old
            and bound.allows(gain + bound.slack, brink.right_ms - brink.since_ms)
        ):
            yield Turn(
                price=Price.SAID,
                energy=max(0, gain),
                rule=Rule.RATIO,
                ending=Ending.RATIO,
                power=brink.power,
                closed=brink.left,
                opened=min(opened, brink.right),
            )


def _unit(
    brink: Brink, bound: Bound, close: Relation, shift: Callable[[], Shift | None]
) -> Iterator[Turn]:
    """The same standing, read in another unit: what is lost of it is the coarser resolution."""
    power = close.power
    other = brink.power + power
    if other and (brink.readings < _FEW or not brink.lowest <= other <= POWERS[-1]):
        return  # a reading or two are a spike, or a glitch
    told = bound.told(other)
    if close.off > (_CHANCE if told.known else _CHANCE_UNBOUNDED):
        return
    opened = scaled(brink.left, -power)
    coarse = max(bound.slack, scaled(bound.slack, -power))
    gain = scaled(brink.right - opened, other)
    lost = scaled(coarse, other)
    if -lost <= gain and told.allows(max(0, gain - lost), brink.right_ms - brink.since_ms):
        decades = max(0.0, log10(close.off / _SURE))
        pace = shift() if other and decades else None
        shown = not (other and decades) or (pace is not None and pace.shows(power))
        yield Turn(
            price=(Price.UNIT if other else Price.UNIT_BACK) + Price.OFF * decades,
            doubt=0.0 if shown else Price.UNSEEN * decades,
            energy=max(0, gain),
            rule=Rule.UNIT,
            ending=Ending.UNIT,
            power=other,
            closed=brink.left,
            opened=min(opened, brink.right),
        )


def _coincidence(close: Relation) -> float:
    """What it costs that the standing is a power of ten higher, or lower, and means nothing."""
    if close.off >= _CHANCE:
        return 0.0
    return min(Price.COINCIDENCE_MOST, Price.COINCIDENCE * log10(_CHANCE / close.off))


def _fallen(brink: Brink, bound: Bound, register: Register) -> Iterator[Turn]:
    span_ms = brink.right_ms - brink.since_ms
    if brink.power == 0:
        for width, price in _widths(register):
            rest = width - brink.left + brink.right
            near = brink.left >= _NEAR_FULL * width and brink.right <= _AFTER_ROLLOVER * width
            if width >= brink.left and near and _fits(bound.told(0), rest, span_ms, width):
                yield Turn(
                    price=price,
                    energy=rest,
                    rule=Rule.ROLLOVER,
                    ending=Ending.ROLLOVER,
                    closed=width,
                    opened=0,
                )
    for power in (brink.power, 0) if brink.power else (0,):
        another = Price.ANOTHER_UNIT if power != brink.power else 0.0
        energy = scaled(brink.right, power)
        fits = _fits(bound.told(power), energy, span_ms, scaled(brink.left, brink.power))
        if fits or brink.right <= brink.left // _NEARLY_NOTHING:
            yield Turn(
                price=Price.RESET + another,
                energy=energy if fits else 0,
                known=fits,
                rule=Rule.RESET,
                ending=Ending.RESET,
                power=power,
                closed=brink.left,
                opened=0 if fits else brink.right,
            )


def _widths(register: Register) -> Iterator[tuple[int, float]]:
    if register.rolls_over_at is not None:
        yield register.rolls_over_at, Price.ROLLOVER
    for width in _WIDTHS:
        if width != register.rolls_over_at:
            yield width, Price.ROLLOVER_INFERRED


def _fits(bound: Bound, gain: int, span_ms: int, whole: int) -> bool:
    """Can it have gained that? Where nothing bounds it: if it is a fiftieth of the whole."""
    return bound.allows_standing(gain, span_ms) if bound.known else 0 <= gain <= whole // 50
