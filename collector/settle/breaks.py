"""Breaks: a course -> where register epochs end, as they are remembered between settlements.

A window knows only its own readings. That a register's unit changed last year it must be told: the
breaks of a counter are kept (`collector.epoch_book`), and the last one before a window says how its
readings are to be read.
"""

from itertools import pairwise

from msgspec import Struct

from collector.settle.series import Course, Ending


class Break(Struct, frozen=True, kw_only=True):
    """The end of one register epoch and the start of the next.

    Attributes:
        left_ms, at_ms: the last instant of the old epoch and the first of the new one.
        closed, opened: readings in millionths of the unit, as in `RegisterEpoch`.
        multiplier: of the new epoch.
    """

    left_ms: int
    at_ms: int
    ending: Ending
    closed: int
    opened: int
    multiplier: float = 1.0


def breaks_of(course: Course) -> tuple[Break, ...]:
    """The breaks of a course in order of time."""
    return tuple(
        Break(
            left_ms=old.to_ms,
            at_ms=new.from_ms,
            ending=old.ending,
            closed=old.closed,
            opened=new.opened,
            multiplier=new.multiplier,
        )
        for old, new in pairwise(course.epochs)
        if old.ending is not None
    )
