"""Series: what one counter said, in whole millionths of its unit, and what that means.

**Rounding.** A reading becomes the nearest millionth of its unit (1 kWh = 1,000,000), finer than
any register; from there on everything is whole numbers, so that sums are exact. A counter's highest
plausible value, 1e12, fits 64 bits with room.
"""

from enum import StrEnum

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from collector.settle.rule import Rule

PER_UNIT = 1_000_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def whole(values: Floats) -> Ints:
    """Values in their unit -> millionths of it, to the nearest."""
    return np.rint(values * PER_UNIT).astype(np.int64)


class Series(Struct, frozen=True, kw_only=True):
    """What a counter said.

    Attributes:
        at_ms: n instants, strictly increasing, epoch ms UTC.
        value: n readings in millionths of the unit, as the store has them (or as a person
            corrected them), the ratio of the fleet entry of their time in them.
        rules: n sets of rules that hold for the reading itself (MANUAL, CORRECTED); 0 for most.
    """

    at_ms: Ints
    value: Ints
    rules: Ints


class Ending(StrEnum):
    """Why a register epoch ended."""

    ROLLOVER = "rollover"
    RESET = "reset"
    REPLACEMENT = "replacement"
    RATIO = "ratio"
    UNIT = "unit"
    JUMP = "jump"


class RegisterEpoch(Struct, frozen=True, kw_only=True):
    """A counter's life between two breaks. Its energy is `(closed - opened) * multiplier`.

    Attributes:
        from_ms, to_ms: the instants of `opened` and `closed`; of a break that nobody saw, those of
            the last reading before and the first after it.
        opened, closed: readings in millionths of the unit. For a rollover `closed` is the width
            and the next `opened` 0; for a reset the next `opened` is 0.
        multiplier: 1, or a power of ten where the register's unit changed by mistake.
        ending: None for the epoch that still runs.
    """

    from_ms: int
    to_ms: int
    opened: int
    closed: int
    multiplier: float = 1.0
    ending: Ending | None = None


class Dropped(Struct, frozen=True, kw_only=True):
    """A reading that does not count, and why. It stays in the store as it is."""

    at_ms: int
    value: int
    rule: Rule


class Course(Struct, frozen=True, kw_only=True):
    """The course of a register: the readings that count, and the energy between them.

    **Law**: the sum of `energy` over known legs is the sum over `epochs` of
    `(closed - opened) * multiplier`.

    Attributes:
        at_ms: n instants, not decreasing: at a replacement two points share one.
        energy: n - 1 legs, in millionths of the unit, not negative; 0 where not known.
        known: n - 1; False where nobody can say what was consumed.
        rules: n - 1 sets of rules of the legs.
        epochs: in order of time.
        dropped: in order of time.
    """

    at_ms: Ints
    energy: Ints
    known: Mask
    rules: Ints
    epochs: tuple[RegisterEpoch, ...] = ()
    dropped: tuple[Dropped, ...] = ()
