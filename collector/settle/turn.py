"""Turn: the values of a story: where pieces end, what may have happened there, at which price."""

from msgspec import Struct

from collector.settle.register import Replacement
from collector.settle.relation import POWERS
from collector.settle.rule import Rule
from collector.settle.series import Ending

LARGEST = 1 << 61


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
    TO_THE_DIGIT = 0.6  # each decade nearer than that is worth, down to a hundredth of it
    UNSEEN = 10.0  # in addition, where the pace does not show it and the unit does not change back
    COINCIDENCE = 2.0  # each decade nearer to it than `_CHANCE`, if it is no change of unit
    COINCIDENCE_MOST = 8.0
    UNUSUAL = 3.4  # a busy hour such as there never is, on the same register beyond doubt
    RESET = 3.5
    RESET_NEAR = 7.0  # it begins anew, and stands nearly where it stood: a spike is likelier
    JUMP = 7.0
    DOUBLED = 8.0  # as much as it ever counted, at once, where nothing says what is usual
    PACE = 4.0  # for each time that the pace changed more than is usual
    PACE_MOST = 4.0
    ODD_MOST = 8.0  # the same, of a unit that changed and never changes back
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


def scaled(difference: int, power: int) -> int:
    """A difference of readings that are too high by a power of ten, as energy."""
    if power > 0:
        return round(difference / 10.0**power)
    return max(-LARGEST, min(LARGEST, difference * int(10.0**-power)))
