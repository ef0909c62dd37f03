"""Visit: one meter's turn -> its reading, what it says about itself, what it taught.

Who the device is comes before what it measures: values of a stranger must never be a meter's.
"""

from collections.abc import Sequence

from msgspec import Struct

from gateways.library.model import IdentityName
from gateways.reading.decode import Answer, Decoder
from gateways.reading.explore import LEARNT_FROM, Explored, explore_block
from gateways.reading.identity import decode_identity
from gateways.reading.meter import Meter, Plan
from gateways.reading.plan import Block
from gateways.reading.poll import LOST, Asked, Bus, ask_blocks
from metering.clock import Clock
from metering.reading import Fault, Reading

_TRIES = 2  # to be told who it is
_LATER = (5, 6)  # acknowledged, busy; Modbus Application Protocol V1.1b3, section 7


class Visit(Struct, frozen=True, kw_only=True):
    """What came of a meter's turn.

    Attributes:
        reading: with a fault, what was answered before it.
        is_whole: every block was answered.
        said: what it says about itself, if it was asked and not lost meanwhile.
        explored: of each block that was refused, what of it can be read.
        answered: the reads that were answered.
        mute: the read at which it fell silent, after others had been answered.
    """

    reading: Reading
    is_whole: bool
    said: dict[IdentityName, str] | None = None
    explored: tuple[Explored, ...] = ()
    answered: tuple[Block, ...] = ()
    mute: Block | None = None


async def visit_meter(
    bus: Bus, meter: Meter, plan: Plan, clock: Clock, *, introduce: bool
) -> Visit:
    """Ask `meter` for the blocks of `plan`, and before that who it is, if so told."""
    said = None
    if introduce and meter.model.identity:
        named = await introduced(bus, meter, clock)
        if named.fault is not None:
            reading = Reading(meter=meter.id, at_ms=named.at_ms, fault=named.fault)
            return Visit(reading=reading, is_whole=False)
        said = named.said
    asked = await ask_blocks(bus, meter.unit, plan.blocks, clock)
    explored = await _explore(bus, meter, plan, asked) if asked.refusals else ()
    return Visit(
        reading=_reading(meter, plan, asked, explored),
        is_whole=len(asked.answers) == len(plan.blocks),
        said=said,
        explored=explored,
        answered=tuple(block for block, _ in asked.answers),
        mute=asked.mute,
    )


class Introduced(Struct, frozen=True, kw_only=True):
    """Who a device says it is.

    Attributes:
        said: none if it is busy and may say so later.
        fault: why nothing of it may be believed now.
    """

    said: dict[IdentityName, str] | None
    at_ms: int
    fault: Fault | None = None


async def introduced(bus: Bus, meter: Meter, clock: Clock) -> Introduced:
    """Ask a device who it is; by an answer that may be another's it is not judged."""
    for _ in range(_TRIES):
        asked = await ask_blocks(bus, meter.unit, meter.identity_blocks, clock)
        if asked.is_lost or asked.fault != Fault.LATE:
            break
    if asked.is_lost or asked.fault == Fault.LATE:
        return Introduced(said=None, at_ms=asked.at_ms, fault=asked.fault)
    said = _said(meter, asked.answers)
    busy = not said and any(refusal.code in _LATER for refusal in asked.refusals)
    return Introduced(said=None if busy else said, at_ms=asked.at_ms)


def _said(meter: Meter, answers: Sequence[Answer]) -> dict[IdentityName, str]:
    words = dict(answers)
    fields = meter.model.identity
    return decode_identity(
        fields,
        {
            field.name: words[block]
            for field, block in zip(fields, meter.identity_blocks, strict=True)
            if block in words
        },
    )


async def _explore(bus: Bus, meter: Meter, plan: Plan, asked: Asked) -> tuple[Explored, ...]:
    """Find out what of the refused blocks can be read.

    Of a meter that refuses everything nothing is learnt: it may be another model altogether, or be
    starting just now.
    """
    found: list[Explored] = []
    for refusal in asked.refusals:
        if asked.is_lost or refusal.code not in LEARNT_FROM:
            continue
        try:
            explored = await explore_block(
                bus, meter.unit, refusal.block, plan.wanted, meter.model.limits
            )
        except LOST:
            break
        found.append(explored)
    if not asked.answers and not any(explored.answers for explored in found):
        return ()
    return tuple(found)


def _reading(meter: Meter, plan: Plan, asked: Asked, explored: Sequence[Explored]) -> Reading:
    decoded = plan.decoder.decode(asked.answers)
    values, fault = decoded.values, asked.fault or decoded.fault
    if pieces := [answer for each in explored for answer in each.answers]:
        more = Decoder(plan.wanted, [block for block, _ in pieces], meter.wiring).decode(pieces)
        values = {**values, **more.values}
        fault = fault or more.fault
    return Reading(meter=meter.id, at_ms=asked.at_ms, values=values, fault=fault)


def is_heard(reading: Reading) -> bool:
    """Whether anything at all came back from the meter."""
    return reading.fault not in (Fault.TIMEOUT, Fault.DISCONNECTED)
