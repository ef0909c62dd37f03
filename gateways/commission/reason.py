"""Reason: one thing that speaks for or against a meter's values, with its weight. Pure."""

from collections.abc import Mapping

from msgspec import Struct

from gateways.commission.words import spoken
from metering.words import chinese

Values = Mapping[str, float]


class Reason(Struct, frozen=True, kw_only=True):
    """One thing that speaks for or against the values.

    Attributes:
        good: for them.
        weight: how much.
        quantities: what it is about.
        text: in Chinese, with units.
    """

    good: bool
    weight: float
    quantities: tuple[str, ...]
    text: str


def good(weight: float, text: str, *quantities: str) -> Reason:
    """Something that speaks for the values."""
    return Reason(good=True, weight=weight, quantities=quantities, text=text)


def bad(weight: float, text: str, *quantities: str) -> Reason:
    """Something that speaks against them."""
    return Reason(good=False, weight=weight, quantities=quantities, text=text)


def told(quantity: str, value: float) -> str:
    return f"{chinese(quantity)} {spoken(quantity, value)}"
