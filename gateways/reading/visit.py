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
from gateways.reading.poll import LOST, Asked, Bus, ask_blocks
from metering.clock import Clock
from metering.reading import Fault, Reading


class Visit(Struct, frozen=True, kw_only=True):
    """What came of a meter's turn.

    Attributes:
        reading: with a fault, what was answered before it.
        is_whole: every block was answered.
        said: what it says about itself, if it was asked and not lost meanwhile.
        explored: of each block that was refused, what of it can be read.
    """

    reading: Reading
    is_whole: bool
    said: dict[IdentityName, str] | None = None
    explored: tuple[Explored, ...] = ()


async def visit_meter(
    bus: Bus, meter: Meter, plan: Plan, clock: Clock, *, introduce: bool
) -> Visit:
    """Ask `meter` for the blocks of `plan`, and before that who it is, if so told."""
    said = None
    if introduce and meter.model.identity:
        asked = await ask_blocks(bus, meter.unit, meter.identity_blocks, clock)
        if asked.is_lost:
            reading = Reading(meter=meter.id, at_ms=asked.at_ms, fault=asked.fault)
            return Visit(reading=reading, is_whole=False)
        # Who is named by an answer that may be another's is not judged by it, but asked again.
        said = None if asked.fault == Fault.LATE else _said(meter, asked.answers)
    asked = await ask_blocks(bus, meter.unit, plan.blocks, clock)
    explored = await _explore(bus, meter, plan, asked) if asked.refusals else ()
    return Visit(
        reading=_reading(meter, plan, asked, explored),
        is_whole=len(asked.answers) == len(plan.blocks),
        said=said,
        explored=explored,
    )


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
