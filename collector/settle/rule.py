"""Rule: why an interval is not simply what the register said; a set of them is one integer.

Every rule's name stands in exports, in the store and in findings. The numbers are bits in stored
rows: a rule may be added at the end, none may change its place.
"""

from enum import StrEnum


class Rule(StrEnum):
    """What was done to, or seen at, the readings that an interval comes from."""

    # How energy between two readings was laid out in time.
    LINEAR = "linear"  # evenly: at most two hours, or nothing better is known
    LIKE_DAY = "like_day"  # as the last days of the same class went
    # What the register did.
    ROLLOVER = "rollover"
    RESET = "reset"
    REPLACEMENT = "replacement"  # a person's word, with closing and opening reading
    RATIO = "ratio"  # another transformer ratio holds from here on, by the fleet
    UNIT = "unit"  # the register changed by a power of ten
    JUMP = "jump"  # it went up by more than can be: what happened is not known
    # Readings that were left out.
    GLITCH = "glitch"  # fell and came back
    SPIKE = "spike"  # rose and came back
    SWAPPED = "swapped"  # out of order between two neighbours
    CLOCK = "clock"  # two times run through each other: a clock was set
    # What looks wrong but counts.
    FROZEN = "frozen"  # stood still, then caught up, or stood where it never does
    ZERO_RUN = "zero_run"  # no consumption for longer than this meter ever had
    SOFT_LIMIT = "soft_limit"  # above the rated power, below twice of it
    DRIFT = "drift"  # the time at which it answers moves day after day
    # What people did.
    MANUAL = "manual"  # a reading that a person entered
    CORRECTED = "corrected"
    VOIDED = "voided"
    OUT_OF_SERVICE = "out_of_service"


_BITS = {rule: 1 << place for place, rule in enumerate(Rule)}


def bit(rule: Rule) -> int:
    """The rule as a set of one."""
    return _BITS[rule]


def mask(*rules: Rule) -> int:
    """A set of rules as an integer."""
    return sum(_BITS[rule] for rule in set(rules))


def rules_in(bits: int) -> tuple[Rule, ...]:
    """The rules of a set, in the order of the enumeration."""
    return tuple(rule for rule, one in _BITS.items() if bits & one)


def names_of(bits: int) -> str:
    """As exports and the store write it: `linear,rollover`; empty for none."""
    return ",".join(rules_in(bits))
