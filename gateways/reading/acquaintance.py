"""Acquaintance: what a device says about itself, and what is known of its place -> who it is.

A serial number is believed first; where a meter has none, the maker's word for its type. Who has
said nothing yet is nobody else. The fleet's own serial number has the last word: it is how a person
says that a meter was replaced.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from gateways.library.model import IdentityName, MeterModel

Said = Mapping[IdentityName, str]


class Who(StrEnum):
    """Whether the device at a meter's place is the one that is meant."""

    SAME = "same"
    FIRST = "first"  # seen for the first time, and believed
    OTHER = "other"  # another device: its readings are held apart


class Meeting(Struct, frozen=True, kw_only=True):
    """The outcome of an introduction.

    Attributes:
        expected: of `OTHER`, what was expected there.
        doubt: what to look at although the device is taken for the right one.
    """

    who: Who
    said: dict[IdentityName, str]
    expected: str = ""
    doubt: str = ""


def meet(model: MeterModel, said: Said, known: Said, serial: str | None) -> Meeting:
    """Judge what a device said about itself.

    Args:
        model: what the device is said to be.
        said: what it just said; empty if it says nothing.
        known: what the device that is meant said before; empty if it was never heard.
        serial: its serial number by the fleet, if that knows it.
    """
    expected = _expected(said, known, serial)
    if expected:
        return Meeting(who=Who.OTHER, said=dict(said), expected=expected)
    who = Who.SAME if known else Who.FIRST
    return Meeting(who=who, said=dict(said), doubt=_doubt(model, said))


def _expected(said: Said, known: Said, serial: str | None) -> str:
    """What should have been said; empty if nothing contradicts."""
    spoken = said.get(IdentityName.SERIAL)
    if serial is not None:
        # A device without a voice cannot contradict.
        return "" if spoken in (None, serial) else f"serial {serial}"
    for name in (IdentityName.SERIAL, IdentityName.DEVICE):
        if name in said and name in known:
            return "" if said[name] == known[name] else f"{name} {known[name]}"
    return ""


def _doubt(model: MeterModel, said: Said) -> str:
    for field in model.identity:
        spoken = said.get(field.name)
        if field.expect and spoken is not None and spoken not in field.expect:
            return f"{field.name} {spoken}: {model.id} says {' or '.join(field.expect)}"
    return ""
