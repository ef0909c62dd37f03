"""Relation: two standings of a counter -> the power of ten between them, and how near they are.

A register that is read in another unit stands a power of ten higher or lower, to the digit. Another
register, or one that began anew, lands that close to one in a hundred or a thousand times only: how
close it lands is what tells, more than how fast it runs afterwards.
"""

from math import log10

import numpy as np
from msgspec import Struct

from collector.settle.series import Ints

POWERS = (1, 2, 3, 6)  # a decimal place or two, Wh or kWh or MWh or GWh
_CLOSE = 0.01  # of the standing: near enough to be the same register without further evidence
_GOES_ON = 0.05  # of where it stood before: back in the unit that it had there
_STEPS = 50  # of the last digit, in the smaller standing: fewer lie close to anything


class Relation(Struct, frozen=True):
    """How one standing relates to an earlier one.

    Attributes:
        power: the later one is about 10^power times the earlier one.
        off: how far from it, as a share; the last digit counts as off.
    """

    power: int
    off: float


def relation(left: int, right: int, resolution: int) -> Relation | None:
    """None if the standings tell of no power of ten.

    Args:
        left, right: readings in millionths, as read.
        resolution: of the register, in millionths.
    """
    if left <= 0 or right <= 0:
        return None
    power = round(log10(right / left))
    if abs(power) not in POWERS or min(left, right) < _STEPS * resolution:
        return None
    expected = left * 10.0**power
    off = abs(right - expected) / expected
    return Relation(power, max(off, resolution / min(left, right)))


def gauges(value: Ints, pieces: list[tuple[int, int]], resolution: int) -> Ints:
    """For each piece the power of ten by which its readings seem too high against the first one's.

    A first guess, from standings alone: it makes rates of one stretch comparable with another's.

    Args:
        pieces: inclusive places (first, last) of each.
    """
    found = np.zeros(len(pieces), np.int64)
    lately = {0: int(value[pieces[0][1]])}  # where it stood last, by gauge
    gauge = 0
    for place in range(1, len(pieces)):
        left, right = int(value[pieces[place - 1][1]]), int(value[pieces[place][0]])
        close = relation(left, right, resolution)
        if close is not None:
            back = [g for g, last in lately.items() if 0 <= right - last <= _GOES_ON * last]
            if close.off <= _CLOSE:
                gauge += close.power
            elif gauge not in back:
                gauge = min(back, key=lambda g: abs(g - gauge), default=gauge)
        found[place] = gauge
        lately[gauge] = int(value[pieces[place][1]])
    return found
