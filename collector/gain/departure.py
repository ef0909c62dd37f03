"""Departure: one meter that counts otherwise than it did, or than its own power says."""

from msgspec import Struct


class Departure(Struct, frozen=True, kw_only=True):
    """What asks for a person; the energy stays as it was registered.

    Attributes:
        change: by which share too much (below 0: too little), held against before, or against the
            gauge where nothing is known of before.
        error: its standard error.
        since_ms: the day on which it began; None: not known.
        main: whose family tells; None: the meter's own power gauge.
        other: the one meter that may be the cause instead of it: both vary alike.
        ratio: energy over mean power times hours, of a gauge; `usual`: what it was before.
    """

    meter: str
    change: float
    error: float
    since_ms: int | None = None
    main: str | None = None
    other: str | None = None
    ratio: float | None = None
    usual: float | None = None


def one_a_meter(found: list[Departure]) -> list[Departure]:
    """Of each meter the one that is told best, by meter."""
    best: dict[str, Departure] = {}
    for one in found:
        known = best.get(one.meter)
        if known is None or one.error < known.error:
            best[one.meter] = one
    return [best[meter] for meter in sorted(best)]
