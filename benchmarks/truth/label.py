"""Label: what was done to a series -> which words of the gates find it, and which name it rightly.

The tables below are the benchmark's whole opinion of what a verdict is worth. *Found* is generous:
any verdict that stops the fault from passing as plain consumption. *Right* is the word that a
person would use.
"""

from enum import StrEnum

from msgspec import Struct

from collector.settle.rule import Rule
from collector.settle.series import Ending
from collector.validate import Reason


class Kind(StrEnum):
    """What went wrong."""

    DROP = "drop"  # nothing arrives: one reading to three weeks
    SPIKE = "spike"  # one to five readings up, down, zero or a format's extreme
    STUCK_GATEWAY = "stuck_gateway"  # the value is repeated, then catches up
    STUCK_METER = "stuck_meter"  # the register stands, the energy is lost
    RESET = "reset"  # the register starts again from 0 or a small number
    ROLLOVER = "rollover"  # 5 to 8 digits, or 32 bits
    REPLACEMENT = "replacement"  # another meter, with an operator's entry
    SILENT_REPLACEMENT = "silent_replacement"  # another meter, and nobody says so
    DUPLICATE = "duplicate"  # the same instant and the same value again
    CONFLICT = "conflict"  # the same instant with another value
    SWAPPED = "swapped"  # two neighbours have each other's value
    UNIT = "unit"  # a power of ten, for a while or for good
    CLOCK_STEP = "clock_step"  # stamps are shifted for a while
    CLOCK_DRIFT = "clock_drift"  # stamps run away by seconds a day
    GAIN_DRIFT = "gain_drift"  # the register slowly counts too much or too little
    MISSING = "missing"  # NaN, infinity, negative, or a format's word for no value


class Trap(StrEnum):
    """What looks odd and is right: nothing may be flagged."""

    PLAIN = "plain"  # the series as it was measured
    SHUFFLED = "shuffled"  # arrives in any order, days late
    WEEKENDS = "weekends"  # stands still every weekend
    HOLIDAY = "holiday"  # nine days at a quarter of the load
    HIGHER_LOAD = "higher_load"  # from one day on two to four times as much
    HEATING = "heating"  # nothing for weeks, then the first day of the season
    NIGHTS = "nights"  # generation: nothing at night
    COARSE = "coarse"  # one register step is hours of consumption
    SURGES = "surges"  # now and then an hour at four times the load
    FAMILY = "family"  # a main, its sub-meters and an unmetered rest, as they were measured
    FAMILY_LOAD = "family_load"  # from one day on a sub-meter has twice the load; its main as well
    FAMILY_REST = "family_rest"  # from one day on the unmetered rest takes half as much again


# What is played as a family: one meter by itself cannot tell a drift from another use.
FAMILIES = frozenset({Kind.GAIN_DRIFT, Trap.FAMILY, Trap.FAMILY_LOAD, Trap.FAMILY_REST})

SOFT = frozenset(
    {Kind.STUCK_GATEWAY, Kind.STUCK_METER, Kind.UNIT, Kind.CLOCK_DRIFT, Kind.GAIN_DRIFT}
)

# Words of our own for what is neither a reason, nor a rule, nor an ending.
REPEATED, OTHER_VALUE = "repeated", "other_value"  # the store: the same instant again
ESTIMATED = "estimated"  # intervals with an estimated or missing share
GAIN = "gain"  # the daily verification: this meter counts otherwise than before
GAIN_EITHER = "gain_either"  # the same: this one or another, that varies just as it does

Words = frozenset[str]

_REFUSED: Words = frozenset({Reason.NOT_FINITE, Reason.SENTINEL, Reason.OUT_OF_RANGE})
_LEFT_OUT: Words = frozenset({Rule.GLITCH, Rule.SPIKE, Rule.SWAPPED, Rule.CLOCK})
_BREAKS: Words = frozenset(Ending) - {Ending.RATIO}
_STILL: Words = frozenset({Rule.FROZEN, Rule.ZERO_RUN})
_SECOND: Words = frozenset({OTHER_VALUE, Reason.SECOND_VALUE})
_CLOCK: Words = frozenset({Rule.CLOCK, Reason.AHEAD_OF_TIME, Reason.CLOCK_DRIFT})
_UP: Words = frozenset({Rule.SPIKE})
_DOWN: Words = frozenset({Rule.GLITCH})
_NEW: Words = frozenset({Ending.RESET, Ending.REPLACEMENT, Ending.JUMP})
_OTHER: Words = frozenset({Ending.REPLACEMENT, Ending.JUMP})


class Accepts(Struct, frozen=True):
    """Words that find a fault of one kind, and those of them that name it rightly.

    Attributes:
        beside: what is true of it as well, without finding it.
    """

    found: Words
    right: Words
    beside: Words = frozenset()


ACCEPTS: dict[Kind, Accepts] = {
    Kind.DROP: Accepts(frozenset({ESTIMATED}), frozenset({ESTIMATED})),
    Kind.SPIKE: Accepts(_LEFT_OUT | _BREAKS | _REFUSED, _UP | _DOWN | _REFUSED),
    Kind.STUCK_GATEWAY: Accepts(_STILL | {Ending.JUMP}, frozenset({Rule.FROZEN})),
    Kind.STUCK_METER: Accepts(_STILL, _STILL),
    Kind.RESET: Accepts(_BREAKS, frozenset({Ending.RESET})),
    Kind.ROLLOVER: Accepts(_BREAKS, frozenset({Ending.ROLLOVER})),
    Kind.REPLACEMENT: Accepts(frozenset({Rule.REPLACEMENT}), frozenset({Rule.REPLACEMENT})),
    Kind.SILENT_REPLACEMENT: Accepts(_BREAKS, _OTHER),
    Kind.DUPLICATE: Accepts(frozenset({REPEATED}), frozenset({REPEATED})),
    Kind.CONFLICT: Accepts(_SECOND | _LEFT_OUT, _SECOND),
    Kind.SWAPPED: Accepts(_LEFT_OUT, frozenset({Rule.SWAPPED})),
    Kind.UNIT: Accepts(_BREAKS | _LEFT_OUT, frozenset({Rule.UNIT})),
    Kind.CLOCK_STEP: Accepts(_LEFT_OUT | _CLOCK | _STILL | {Ending.JUMP}, _CLOCK),
    Kind.CLOCK_DRIFT: Accepts(_CLOCK | {Rule.DRIFT}, _CLOCK | {Rule.DRIFT}),
    Kind.GAIN_DRIFT: Accepts(
        frozenset({GAIN, GAIN_EITHER}), frozenset({GAIN}), frozenset({Rule.SOFT_LIMIT})
    ),
    Kind.MISSING: Accepts(_REFUSED, _REFUSED),
}
# Where the form of a fault decides what its right name is.
RIGHT_BY_FORM: dict[tuple[Kind, str], Words] = {
    (Kind.SPIKE, "up"): _UP | _REFUSED,
    (Kind.SPIKE, "times"): _UP | _REFUSED,
    (Kind.SPIKE, "down"): _DOWN | _REFUSED,
    (Kind.SPIKE, "zero"): _DOWN | _REFUSED,
    (Kind.RESET, "small"): frozenset({Ending.RESET, Ending.REPLACEMENT}),
    (Kind.SILENT_REPLACEMENT, "new"): _NEW,
}


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that was done to a series.

    Attributes:
        form: which variety of its kind.
        start_ms, end_ms: from the first to the last instant that it touches, true or stamped.
        about: its parameters, for a person.
        counts: whether it has to be found. What nobody could see (a gap of two minutes) is done
            all the same, and excuses verdicts there.
    """

    kind: Kind
    form: str
    start_ms: int
    end_ms: int
    about: str
    counts: bool = True

    @property
    def found(self) -> Words:
        return ACCEPTS[self.kind].found

    @property
    def true(self) -> Words:
        return self.found | ACCEPTS[self.kind].beside

    @property
    def right(self) -> Words:
        return RIGHT_BY_FORM.get((self.kind, self.form), ACCEPTS[self.kind].right)
