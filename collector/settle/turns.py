"""Turns: the end of one piece of readings and the start of a later one -> what may have happened.

Each possibility has a price; the cheapest story of all pieces together is believed (`chain`). The
prices order what is likely: a counter that simply goes on costs nothing, a person's word nearly so,
a rollover where the width fits little, a change of unit or a reset more, and that it jumped for no
reason at all most. Leaving out readings has a price too, so a fall that recovers is a glitch and
one that stays is a reset.
"""

from collections.abc import Iterator
from math import log10

from msgspec import Struct

from collector.settle.bounds import DAY_MS, HOUR_MS, Bound
from collector.settle.register import Register, Replacement
from collector.settle.rule import Rule
from collector.settle.series import PER_UNIT, Ending

_POWERS = (1, 2, 3, 6)  # a decimal place or two, Wh or kWh or MWh or GWh
_STEPS_RISEN = 400  # of a standing from which it seems to have risen a thousandfold
_LARGEST = 1 << 61
_FEW = 3  # readings in another unit, at least
_STEPS_LEFT = 50  # of the register's last digit, in a reading that is to be told in another unit
_RATIO_WITHIN_MS = 3 * DAY_MS
_REPLACED_WITHIN_MS = DAY_MS
_HOURS_GONE_MS = 9 * HOUR_MS  # a clock that was set leaves a rise of so much at most
_PACE_MS = 6 * HOUR_MS
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
    UNIT_UNSEEN = 7.2  # nothing but its standing says so
    RESET = 3.5
    JUMP = 7.0
    PACE = 1.5  # a decade, from the second one on


class Turn(Struct, frozen=True, kw_only=True):
    """One story of what lies between two pieces.

    Attributes:
        energy: consumed in between, in millionths; not known: 0.
        rule, ending: None if the counter simply went on.
        power: the power of ten by which readings are too high from here on.
        closed, opened: of the register epochs, in millionths as read.
        replaced: the event, where one was.
    """

    price: float
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
        next_gain, next_ms: what it gained on the first day of the later piece, as read.
        prev_gain, prev_ms: on the last day of the earlier one.
        readings: of the later piece.
        highest: reading of the whole series.
    """

    left_ms: int
    since_ms: int
    left: int
    right_ms: int
    right: int
    power: int
    next_gain: int = 0
    next_ms: int = 0
    prev_gain: int = 0
    prev_ms: int = 0
    readings: int = 1
    highest: int = 0


def turns(brink: Brink, bound: Bound, register: Register) -> Iterator[Turn]:
    """Every story that fits, at least one."""
    event = _replaced(brink, register)
    if event is not None:
        yield _replacement(brink, bound, event)
        return
    span_ms = brink.right_ms - brink.since_ms
    gain = scaled(brink.right - brink.left, brink.power)
    on = _went_on(brink, bound, gain)
    if on is not None:
        yield on
    yield from _ratio(brink, bound, register)
    if bound.known or gain < 0:
        yield from _unit(brink, bound, span_ms)
    if gain < 0:
        yield from _fallen(brink, bound, register)
    if not bound.allows(gain, span_ms):
        yield Turn(
            price=Price.JUMP,
            energy=0,
            known=False,
            rule=Rule.JUMP,
            ending=Ending.JUMP,
            power=brink.power,
            closed=brink.left,
            opened=brink.right,
        )


def _went_on(brink: Brink, bound: Bound, gain: int) -> Turn | None:
    """The same register, the same unit: its difference is energy, if it can be."""
    if bound.allows(gain, brink.right_ms - brink.left_ms):
        return Turn(price=0.0, energy=gain, power=brink.power)
    if bound.allows(gain, brink.right_ms - brink.since_ms):
        return Turn(price=Price.CAUGHT_UP, energy=gain, power=brink.power)
    if gain <= 0:
        return None
    if bound.known and gain <= bound.usual * _HOURS_GONE_MS:
        return Turn(price=Price.HOURS_GONE, energy=gain, power=brink.power, rule=Rule.CLOCK)
    return None


def change_of_pace(brink: Brink, power: int) -> float:
    """What it costs that the counter runs at another pace afterwards, told in that unit.

    Only days tell: a building runs ten times faster by noon than by night.
    """
    before = scaled(brink.prev_gain, brink.power)
    after = scaled(brink.next_gain, power)
    if before <= 0 or after <= 0 or min(brink.prev_ms, brink.next_ms) < _PACE_MS:
        return 0.0
    decades = abs(log10(after / brink.next_ms * brink.prev_ms / before))
    return Price.PACE * max(0.0, decades - 1.0)


def scaled(difference: int, power: int) -> int:
    """A difference of readings that are too high by a power of ten, as energy."""
    if power > 0:
        return round(difference / 10.0**power)
    return max(-_LARGEST, min(_LARGEST, difference * int(10.0**-power)))


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


def _unit(brink: Brink, bound: Bound, span_ms: int) -> Iterator[Turn]:
    """The same standing, read in another unit: what is lost of it is the coarser resolution."""
    if brink.left <= 0 or brink.right <= 0:
        return
    power = round(log10(brink.right / brink.left))
    other = brink.power + power
    if other and (brink.readings < _FEW or abs(other) > _POWERS[-1]):
        return  # a reading or two are a spike, or a glitch
    least = (_STEPS_LEFT if other <= 0 else _STEPS_RISEN) / 2 * bound.slack
    if abs(power) not in _POWERS or min(brink.left, brink.right) < least:
        return
    if max(brink.left, brink.highest) * 10 ** max(0, -other) > _LARGEST:
        return  # told in that unit it would be beyond any counter
    if not bound.allows(scaled(brink.next_gain, other), brink.next_ms):
        return
    opened = scaled(brink.left, -power)
    coarse = max(bound.slack, scaled(bound.slack, -power))
    gain = scaled(brink.right - opened, other)
    lost = scaled(coarse, other)
    few = brink.left // 50 if not bound.known else 0  # nothing bounds it: it must fit closely
    if -lost <= gain and (
        bound.allows(max(0, gain - lost), span_ms) if bound.known else gain <= few
    ):
        yield Turn(
            price=_price_of_unit(brink, power),
            energy=max(0, gain),
            rule=Rule.UNIT,
            ending=Ending.UNIT,
            power=other,
            closed=brink.left,
            opened=min(opened, brink.right),
        )


def _price_of_unit(brink: Brink, power: int) -> float:
    if brink.power + power == 0:
        return Price.UNIT_BACK
    return Price.UNIT if _runs_in(brink, power) else Price.UNIT_UNSEEN


def _runs_in(brink: Brink, power: int) -> bool:
    """Whether the counter runs faster, or slower, by about as much as its standing changed."""
    if not (brink.prev_gain and brink.next_gain and brink.prev_ms and brink.next_ms):
        return False
    before, after = brink.prev_gain / brink.prev_ms, brink.next_gain / brink.next_ms
    faster = log10(after / before)
    return faster * power >= 0 and abs(faster) >= abs(power) / 2


def _fallen(brink: Brink, bound: Bound, register: Register) -> Iterator[Turn]:
    span_ms = brink.right_ms - brink.since_ms
    if brink.power == 0:
        for width, price in _widths(register):
            rest = width - brink.left + brink.right
            near = brink.left >= _NEAR_FULL * width and brink.right <= _AFTER_ROLLOVER * width
            if width >= brink.left and near and _fits(bound, rest, span_ms, width):
                yield Turn(
                    price=price,
                    energy=rest,
                    rule=Rule.ROLLOVER,
                    ending=Ending.ROLLOVER,
                    closed=width,
                    opened=0,
                )
    if _fits(bound, scaled(brink.right, brink.power), span_ms, scaled(brink.left, brink.power)):
        yield Turn(
            price=Price.RESET,
            energy=scaled(brink.right, brink.power),
            rule=Rule.RESET,
            ending=Ending.RESET,
            power=brink.power,
            closed=brink.left,
            opened=0,
        )
    elif brink.right <= brink.left // _NEARLY_NOTHING:
        yield Turn(
            price=Price.RESET,
            energy=0,
            known=False,
            rule=Rule.RESET,
            ending=Ending.RESET,
            power=brink.power,
            closed=brink.left,
            opened=brink.right,
        )


def _widths(register: Register) -> Iterator[tuple[int, float]]:
    if register.rolls_over_at is not None:
        yield register.rolls_over_at, Price.ROLLOVER
    for width in _WIDTHS:
        if width != register.rolls_over_at:
            yield width, Price.ROLLOVER_INFERRED


def _fits(bound: Bound, gain: int, span_ms: int, whole: int) -> bool:
    """Can it have gained that? Where nothing bounds it: if it is a fiftieth of the whole."""
    return bound.allows(gain, span_ms) if bound.known else 0 <= gain <= whole // 50
