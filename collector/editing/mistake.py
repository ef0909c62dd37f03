"""Mistake: why something a person asked for was not done, and what they can do; a value."""

from enum import StrEnum

from msgspec import Struct


class MistakeReason(StrEnum):
    """Why an entry was not taken."""

    UNKNOWN_METER = "unknown_meter"
    VIRTUAL_METER = "virtual_meter"  # a sum of others: they are what can be corrected
    NOT_IN_FORCE = "not_in_force"
    UNKNOWN_QUANTITY = "unknown_quantity"
    NOT_A_COUNTER = "not_a_counter"
    NOT_MEASURED = "not_measured"  # the meter has no such quantity
    OTHER_ENERGY = "other_energy"  # the meter's energy, or its unit, is another
    UNKNOWN_UNIT = "unknown_unit"
    NO_VALUE = "no_value"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    NO_AUTHOR = "no_author"
    NO_REASON = "no_reason"
    NO_SPAN = "no_span"  # it has no end, or ends before it begins
    NOT_WHOLE_CELLS = "not_whole_cells"
    AHEAD_OF_TIME = "ahead_of_time"
    BELOW_LAST = "below_last"  # a counter that would have run backwards
    ABOVE_NEXT = "above_next"
    STANDS_ALREADY = "stands_already"  # another entry in force says something else
    NO_SUCH_ENTRY = "no_such_entry"
    NOT_UNDOABLE = "not_undoable"  # it is an undo itself, or was undone


class Mistake(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with one of the things asked for.

    Attributes:
        place: which of them, from 0.
        reason: why; a closed set.
        message: what was asked, what stands there, what to do; Chinese, for the person who asked.
    """

    place: int
    reason: MistakeReason
    message: str
