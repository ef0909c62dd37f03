"""Register: what is known of a counter before its readings are looked at."""

from msgspec import Struct


class Replacement(Struct, frozen=True, kw_only=True):
    """A person's word: another register stands there from `at_ms` on.

    Attributes:
        closing, opening: the old one's last and the new one's first standing, in millionths of
            the unit, with the ratio of their time in them.
    """

    at_ms: int
    closing: int
    opening: int


class Register(Struct, frozen=True, kw_only=True):
    """One counter of one meter.

    Attributes:
        rated_per_hour: what it gains in an hour at the circuit's rated load, in millionths of its
            unit; None if the fleet does not say.
        rolls_over_at: where it returns to zero, in millionths; None if not known.
        ratios: since when which transformer ratio is in the readings, by time; of the fleet.
        replacements: by time.
        power_of_ten: by how many powers of ten the readings at the series' start are too high (a
            register whose unit changed before); energy is divided by it.
    """

    rated_per_hour: int | None = None
    rolls_over_at: int | None = None
    ratios: tuple[tuple[int, float], ...] = ()
    replacements: tuple[Replacement, ...] = ()
    power_of_ten: int = 0
