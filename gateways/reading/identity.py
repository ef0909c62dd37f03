"""Identity: the words of a model's identity fields -> what the device says about itself, as text.

Serial numbers and versions are compared, shown and never calculated with, so all of them are text.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from struct import pack, unpack

from gateways.library.model import Format, IdentityField, IdentityName, WordOrder

_NOTHING = (0x0000, 0xFFFF)  # what registers hold that nobody ever filled
_PRINTABLE = range(ord(" "), ord("~") + 1)
_FLOATS = {Format.FLOAT32: ">f", Format.FLOAT64: ">d"}
_DIGITS = {Format.FLOAT32: 7, Format.FLOAT64: 15}  # that a float of this width is sure of


def decode_identity(
    fields: Iterable[IdentityField], words_by_field: Mapping[IdentityName, Sequence[int]]
) -> dict[IdentityName, str]:
    """What the device said, by name.

    Args:
        fields: the model's.
        words_by_field: exactly as many words as each field counts; a field that was not answered
            is not in it.

    Returns:
        Only what says something: no field that is all zeros, all ones, blank or no number.
    """
    said = {
        field.name: _spoken(field, words_by_field[field.name])
        for field in fields
        if field.name in words_by_field
    }
    return {name: text for name, text in said.items() if text}


def _spoken(field: IdentityField, words: Sequence[int]) -> str:
    if any(all(word == nothing for word in words) for nothing in _NOTHING):
        return ""
    octets = pack(f">{len(words)}H", *_high_first(field, words))
    if field.format is None:
        return _text(octets)
    return _number(field.format, octets)


def _high_first(field: IdentityField, words: Sequence[int]) -> Sequence[int]:
    """Text has no word order: its first characters are in its first register."""
    if field.format is None or field.word_order is WordOrder.HIGH_FIRST:
        return words
    return words[::-1]


def _text(octets: bytes) -> str:
    return bytes(filter(_PRINTABLE.__contains__, octets)).decode("ascii").strip()


def _number(kind: Format, octets: bytes) -> str:
    if kind.is_bcd:
        digits = octets.hex()
        return digits if digits.isdecimal() else ""
    if kind.is_float:
        (number,) = unpack(_FLOATS[kind], octets)
        return f"{number:.{_DIGITS[kind]}g}" if isfinite(number) else ""
    return str(int.from_bytes(octets, "big", signed=kind.value.startswith("int")))
