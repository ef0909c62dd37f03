"""Turns: the end of one piece of readings and the start of a later one -> what may have happened.

Each possibility has a price; the cheapest story of all pieces together is believed (`chain`). The
prices order what is likely: a counter that simply goes on costs nothing, a person's word nearly so,
a rollover where the width fits little, a change of unit or a reset more, and that it jumped for no
reason at all most. Leaving out readings has a price too, so a fall that recovers is a glitch and
one that stays is a reset.
"""

from collections.abc import Iterator

from msgspec import structs

from collector.settle.bounds import DAY_MS, HOUR_MS, Bound
from collector.settle.register import Register, Replacement
from collector.settle.rule import Rule
from collector.settle.series import PER_UNIT, Ending
from collector.settle.turn import LARGEST, Brink, Price, Turn, scaled
from collector.settle.unit import Shifts, coincidence, odd_pace, related, told_by_pace, units

_YOUNG = 100 * PER_UNIT  # a register that has just begun
_NEARLY_THE_SAME = 0.02  # of where it stood: another register stands elsewhere
_NEAR = 0.95  # of where it stood: no register begins anew there
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


def turns(
    brink: Brink, bounds: tuple[Bound, Bound], register: Register, shift: Shifts = lambda: None
) -> Iterator[Turn]:
    """Every story that fits, at least one.

    Args:
        bounds: of the earlier piece and of the later one, as read.
        shift: how the pace changed there; asked for only where a register may have ended.
    """
    event = _replaced(brink, register)
    if event is not None:
        yield _replacement(brink, bounds[1], event)
        return
    bound = bounds[1]
    close = related(brink, bound, shift)
    if close is not None:
        yield from units(brink, bound, close, shift)
    most = Price.ODD_MOST if told_by_pace(close) else Price.PACE_MOST
    before = bounds[0].told(brink.power)
    yield from _ratio(brink, bound.told(brink.power).beside(before), register)
    for turn in _others(brink, bound, before, register):
        price = turn.price
        if close is not None:
            price += coincidence(close)
        if turn.ending is not None and (close is not None or brink.power):
            price += odd_pace(shift(), turn.power - brink.power, most)
        yield structs.replace(turn, price=price)


def _others(brink: Brink, bound: Bound, before: Bound, register: Register) -> Iterator[Turn]:
    """All that is neither said nor a change of unit.

    Args:
        before: what holds for the earlier piece, as energy.
    """
    if brink.power < brink.lowest:
        yield _jump(brink, 0)
        return
    told = bound.told(brink.power).beside(before)
    gain = scaled(brink.right - brink.left, brink.power)
    on = _went_on(brink, told, gain)
    if on is not None:
        yield on
    if gain < 0:
        yield from _fallen(brink, bound, before, register)
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
    if not bound.rated and gain <= _NEARLY_THE_SAME * scaled(brink.left, brink.power):
        return Turn(price=Price.UNUSUAL, energy=gain, power=brink.power)
    return None


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


def _fallen(brink: Brink, bound: Bound, before: Bound, register: Register) -> Iterator[Turn]:
    span_ms = brink.right_ms - brink.since_ms
    if brink.power == 0:
        for width, price in _widths(register):
            rest = width - brink.left + brink.right
            near = brink.left >= _NEAR_FULL * width and brink.right <= _AFTER_ROLLOVER * width
            if width >= brink.left and near and _fits(bound.beside(before), rest, span_ms, width):
                yield Turn(
                    price=price,
                    energy=rest,
                    rule=Rule.ROLLOVER,
                    ending=Ending.ROLLOVER,
                    closed=width,
                    opened=0,
                )
    near = brink.right > _NEAR * brink.left
    for power in (brink.power, 0) if brink.power else (0,):
        another = Price.ANOTHER_UNIT if power != brink.power else 0.0
        energy = scaled(brink.right, power)
        told = bound.told(power).beside(before)
        fits = _fits(told, energy, span_ms, scaled(brink.left, brink.power))
        if fits or brink.right <= brink.left // _NEARLY_NOTHING:
            yield Turn(
                price=(Price.RESET_NEAR if near else Price.RESET) + another,
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
