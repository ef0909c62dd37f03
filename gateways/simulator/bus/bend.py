"""Bend: a right answer and the faults that hit it -> the bytes that leave, right or not."""

from msgspec import Struct

from gateways.simulator.bus.frame import Framing, Request
from gateways.simulator.chance import chance
from gateways.simulator.fault import FaultKind, MeterFault, Where
from gateways.simulator.meter import Strike

_HIGHEST_UNIT = 247
_ERROR_BIT = 0x80
_PLACES = (Where.BEFORE, Where.INSIDE, Where.AFTER)


class Bent(Struct, frozen=True):
    """What leaves, and whether a correct reader can use it."""

    frame: bytes
    usable: bool = True


def bend(request: Request, pdu: bytes, framing: Framing, strike: Strike) -> Bent:
    """Make an answer wrong where a fault says so."""
    if not strike.faults:
        return Bent(framing.wrap(request.unit, pdu, request.transaction))
    short = strike.faults.get(FaultKind.SHORT)
    if short and short.octets is None and not pdu[0] & _ERROR_BIT:
        # A register less, and the count of bytes says so: only who knows what it asked for sees it.
        pdu = bytes((pdu[0], pdu[1] - 2)) + pdu[2:-2]
    unit = _unit(request, strike)
    bent = Bent(
        framing.wrap(unit, pdu, request.transaction), usable=not short and unit == request.unit
    )
    if short and short.octets is not None:
        bent = Bent(bent.frame[: -short.octets], usable=False)
    if FaultKind.BAD_CRC in strike.faults:
        bent = Bent(bent.frame[:-1] + bytes((bent.frame[-1] ^ 0xFF,)), usable=False)
    if noise := strike.faults.get(FaultKind.NOISE):
        bent = _noisy(bent, noise, strike.luck)
    return bent


def _unit(request: Request, strike: Strike) -> int:
    wrong = strike.faults.get(FaultKind.WRONG_UNIT)
    if wrong is None:
        return request.unit
    return request.unit % _HIGHEST_UNIT + 1 if wrong.unit is None else wrong.unit


def _noisy(bent: Bent, noise: MeterFault, luck: int) -> Bent:
    """Bytes before or behind it, or some of its own changed."""
    where = noise.where
    if where is Where.ANY:
        where = _PLACES[int(chance(luck, 0) * len(_PLACES))]
    many = 1 + int(chance(luck, 1) * (noise.octets or 1))
    octets = bytes(int(chance(luck, 3 + number) * 256) for number in range(many))
    if where is Where.BEFORE:
        return Bent(octets + bent.frame, bent.usable)
    if where is Where.AFTER:
        return Bent(bent.frame + octets, bent.usable)
    at = int(chance(luck, 2) * len(bent.frame))
    hit = bytes(
        # Never 0, so that each byte it hits is another one afterwards.
        own ^ (other or 0xFF)
        for own, other in zip(bent.frame[at:], octets, strict=False)
    )
    return Bent(bent.frame[:at] + hit + bent.frame[at + len(hit) :], usable=False)
