"""Identity: what a simulated device says about itself -> the words in its identity registers.

Its serial number is the fleet's, where `describe.serial` says one, or made from the meter's id.
What a model expects as firmware or device is what is answered; where it expects nothing, a word
that is the same for all.
"""

from collections.abc import Iterable, Sequence
from struct import error as LayoutError  # noqa: N812 - an exception among exceptions

from gateways.library.model import IdentityField, IdentityName, Part
from gateways.simulator.chance import seeded
from gateways.simulator.encode import placed
from gateways.strict import ContentInvalid

# A made-up serial number has seven digits, which a float32 holds too, or fits into 16 bits.
_SEVEN_DIGITS = range(1_000_000, 10_000_000)
_FIVE_DIGITS = range(10_000, 30_000)
_ALIKE = {IdentityName.FIRMWARE: ("1.0", 100), IdentityName.DEVICE: ("SIMULATED", 1)}

Words = tuple[tuple[int, int], ...]  # by address


def identity_words(
    meter: str, fields: Iterable[IdentityField], serial: str | None, life: int = 0
) -> dict[IdentityName, Words]:
    """The words of each field.

    Args:
        meter: its id.
        fields: those of its model.
        serial: its serial number; none for a made-up one.
        life: another number for another device in its place, which has another serial number.

    Raises:
        ContentInvalid: a serial number or an expected word does not fit into its registers.
    """
    return {field.name: _words(meter, field, serial, life) for field in fields}


def _words(meter: str, field: IdentityField, serial: str | None, life: int) -> Words:
    said = _said(meter, field, serial, life)
    try:
        return _text(field, said) if field.format is None else _number(field, said)
    except (ValueError, OverflowError, LayoutError) as error:
        message = f"{meter}: {field.name} '{said}' does not fit into {_form(field)}"
        raise ContentInvalid("simulation", (), message) from error


def _said(meter: str, field: IdentityField, serial: str | None, life: int) -> str:
    if field.name is IdentityName.SERIAL:
        return serial or _made_up(meter, field, life)
    text, number = _ALIKE[field.name]
    if field.expect:
        return field.expect[0]
    return text[: 2 * field.registers] if field.format is None else str(number)


def _made_up(meter: str, field: IdentityField, life: int) -> str:
    numbers = _FIVE_DIGITS if field.format and field.registers == 1 else _SEVEN_DIGITS
    number = str(numbers[seeded(meter, "serial", life) % len(numbers)])
    return number if field.format else number[-2 * field.registers :]


def _form(field: IdentityField) -> str:
    return field.format.value if field.format else f"{2 * field.registers} characters"


def _text(field: IdentityField, said: str) -> Words:
    octets = said.encode("ascii").ljust(2 * field.registers, b"\0")
    if len(octets) > 2 * field.registers:
        raise ValueError(said)
    return _from(field, [octets[at] << 8 | octets[at + 1] for at in range(0, len(octets), 2)])


def _number(field: IdentityField, said: str) -> Words:
    assert field.format is not None
    part = Part(address=field.address, format=field.format, word_order=field.word_order)
    return placed(part, float(said) if field.format.is_float else int(said, 0))


def _from(field: IdentityField, words: Sequence[int]) -> Words:
    return tuple(enumerate(words, start=field.address))
