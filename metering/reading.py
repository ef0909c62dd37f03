"""Reading: one meter's answer at one instant, as a row of values by quantity."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

# Epoch milliseconds, UTC. Checked where bytes come in: what is wider fits no database.
EpochMs = Annotated[int, Meta(ge=-(2**53), le=2**53)]


class Fault(StrEnum):
    """Why a meter gave no value, or not all of them.

    A gateway of a later version may know more: on the wire a fault is a word, not a closed set.
    """

    TIMEOUT = "timeout"  # asked, nothing came
    DISCONNECTED = "disconnected"  # the bus itself could not be opened or fell
    EXCEPTION = "exception"  # the meter refused: a Modbus exception
    SHORT = "short"  # fewer registers came than were asked for
    FOREIGN = "foreign"  # an answer that belongs to another question
    CORRUPT = "corrupt"  # bytes came, but no sound answer among them: noise, a wrong checksum
    LATE = "late"  # values came, but may answer an older question: not to be trusted blindly
    IDENTITY = "identity"  # another device answers there: its values are to be held apart
    NOT_FINITE = "not_finite"  # NaN or infinity in a register
    SENTINEL = "sentinel"  # the model's own word for "no value"


class Reading(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one meter said at one instant.

    Attributes:
        meter: the meter's id in the fleet.
        at_ms: when the meter answered (for a fault: when it was given up), epoch ms UTC.
        values: finite numbers by quantity name, in the quantity's unit; empty with a fault that
            took everything.
        fault: what went wrong, if anything did.
    """

    meter: str
    at_ms: EpochMs = field(name="at")
    values: dict[str, float] = {}
    fault: str | None = None
