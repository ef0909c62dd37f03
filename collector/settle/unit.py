"""Unit: a break at which the register's unit may have changed -> that story, and its price.

Three things speak for it: how close the new standing is to a power of ten of the old one, that the
pace changed by as much, and that it changes back. Energy that is divided, or multiplied, by a power
of ten for weeks is the worst that can be said, so where the standing alone does not settle it the
pace has to agree; what it does not agree with is doubt, and stays unless the unit changes back.
"""

from collections.abc import Callable, Iterator
from math import log10

from collector.settle.bounds import DAY_MS, Bound
from collector.settle.pace import Shift
from collector.settle.relation import POWERS, Relation, relation
from collector.settle.rule import Rule
from collector.settle.series import Ending
from collector.settle.turn import Brink, Price, Turn, scaled

Shifts = Callable[[], Shift | None]

_SILENCE_MS = DAY_MS
_FEW = 3  # readings in another unit, at least
_STEPS_RISEN = 400  # of a standing from which it seems to have risen, at least
_SURE = 0.001  # off the power of ten, as a share: the same register
_CHANCE = 0.05  # as far off any other register may be
_CHANCE_UNBOUNDED = 0.02  # where nothing says what it may have gained


def related(brink: Brink, bound: Bound, shift: Shifts) -> Relation | None:
    """Whether a change of unit is a question at all.

    Far off the power of ten, after a long silence, it is one only if the pace changed by as much
    and never changes so much else.
    """
    close = relation(brink.left, brink.right, bound.slack // 2)
    if close is None or not told_by_pace(close):
        return close
    pace = shift() if brink.right_ms - brink.left_ms >= _SILENCE_MS else None
    sure = pace is not None and pace.beyond(0) >= 1.0 and not pace.beyond(close.power)
    return close if sure else None


def told_by_pace(close: Relation | None) -> bool:
    """Whether it is too far off for the standing to say anything."""
    return close is not None and close.off > _CHANCE


def units(brink: Brink, bound: Bound, close: Relation, shift: Shifts) -> Iterator[Turn]:
    """The same standing, read in another unit: what is lost of it is the coarser resolution."""
    power = close.power
    other = brink.power + power
    if other and (brink.readings < _FEW or not brink.lowest <= other <= POWERS[-1]):
        return  # a reading or two are a spike, or a glitch
    if other > 0 and min(brink.left, brink.right) < _STEPS_RISEN * bound.slack // 2:
        return
    told = bound.told(other)
    opened = scaled(brink.left, -power)
    coarse = max(bound.slack, scaled(bound.slack, -power))
    gain = scaled(brink.right - opened, other)
    lost = scaled(coarse, other)
    known = told.known or close.off <= _CHANCE_UNBOUNDED
    # So close that nothing else has to be asked, and no habit knows of the first busy hour.
    sure = not bound.rated and close.off <= _SURE
    fits = sure or told.allows(max(0, gain - lost), brink.right_ms - brink.left_ms)
    if not (known and fits and -lost <= gain):
        return
    decades = max(0.0, log10(close.off / _SURE))
    price, doubt = Price.UNIT_BACK + Price.OFF * decades, 0.0
    if other:
        pace = shift()
        price += Price.UNIT - Price.UNIT_BACK
        price += Price.TO_THE_DIGIT * max(-2.0, min(0.0, log10(close.off / _SURE)))
        doubt = odd_pace(pace, power, Price.ODD_MOST)
        if pace is None or not pace.shows(power):
            doubt += Price.UNSEEN * decades
    else:
        price += odd_pace(shift(), power, Price.PACE_MOST)
    yield Turn(
        price=price,
        doubt=doubt,
        energy=max(0, gain),
        rule=Rule.UNIT,
        ending=Ending.UNIT,
        power=other,
        closed=brink.left,
        opened=min(opened, brink.right),
    )


def coincidence(close: Relation) -> float:
    """What it costs that the standing is a power of ten higher, or lower, and means nothing."""
    if close.off >= _CHANCE:
        return 0.0
    return min(Price.COINCIDENCE_MOST, Price.COINCIDENCE * log10(_CHANCE / close.off))


def odd_pace(pace: Shift | None, power: int, most: float) -> float:
    return 0.0 if pace is None else min(most, Price.PACE * pace.beyond(power))
