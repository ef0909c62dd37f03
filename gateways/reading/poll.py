"""Poll: one meter on a bus -> its Reading. Errors of the bus become faults, never exceptions."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from msgspec import Struct

from gateways.library.model import Table
from gateways.reading.decode import Answer
from gateways.reading.meter import Meter
from gateways.reading.plan import Block
from metering.clock import Clock
from metering.errors import PermanentError, TransientError
from metering.reading import Fault, Reading


class Bus(Protocol):
    """A line with meters on it. One request is in flight at a time; the caller waits its turn."""

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        """Ask once.

        Args:
            unit: the meter's unit id.
            table: which registers.
            address: the first one, zero-based.
            count: how many, 1 to 125.

        Returns:
            Exactly `count` words.

        Raises:
            MeterSilent: nothing came in time.
            BusDisconnected: the bus could not be opened, or fell.
            MeterRefused: the meter answered with an exception.
            AnswerShort: fewer registers came than were asked for.
            AnswerForeign: the answer belongs to another question.
            AnswerCorrupt: bytes came, but no sound answer among them.
            AnswerSuspect: words came, but they may answer an older question.
        """
        ...

    async def close(self) -> None:
        """Let go of the line; a later `read` opens it again."""
        ...


class MeterSilent(TransientError):
    """Asked, and nothing came in time."""

    fault: ClassVar[Fault] = Fault.TIMEOUT


class BusDisconnected(TransientError):
    """The bus itself could not be opened, or fell. It says nothing about a meter."""

    fault: ClassVar[Fault] = Fault.DISCONNECTED


class AnswerShort(TransientError):
    """Fewer registers came than were asked for."""

    fault: ClassVar[Fault] = Fault.SHORT


class AnswerForeign(TransientError):
    """An answer to another question: unit, function or transaction is not the one asked for."""

    fault: ClassVar[Fault] = Fault.FOREIGN


class AnswerCorrupt(TransientError):
    """Bytes came, but no sound answer among them: noise, or a wrong checksum."""

    fault: ClassVar[Fault] = Fault.CORRUPT


class AnswerSuspect(TransientError):
    """An answer that fits this question, and also an older one that was never answered.

    Attributes:
        words: what came.
    """

    fault: ClassVar[Fault] = Fault.LATE

    def __init__(self, message: str, words: Sequence[int]) -> None:
        super().__init__(message)
        self.words = words


class MeterRefused(PermanentError):
    """The meter answered with a Modbus exception.

    Attributes:
        code: 1 no such function, 2 no such address, 3 no such count, 4 broken, 6 busy, …
    """

    fault: ClassVar[Fault] = Fault.EXCEPTION

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


# These end the poll of a meter; a refusal only ends the block that was refused.
LOST = (MeterSilent, BusDisconnected, AnswerShort, AnswerForeign, AnswerCorrupt)


class Refusal(Struct, frozen=True):
    """A block that the meter refused, and the exception's code."""

    block: Block
    code: int


class Asked(Struct, frozen=True, kw_only=True):
    """What came of asking for some blocks, in turn.

    Attributes:
        answers: blocks that were answered.
        refusals: blocks that the meter refused.
        fault: what went wrong, if anything did.
        at_ms: when the last answer came, or when the meter was given up if none did.
        is_lost: the meter was given up: nothing more can be asked of it now.
        mute: the block that it was given up at, if it had answered others before.
    """

    answers: tuple[Answer, ...]
    refusals: tuple[Refusal, ...]
    fault: Fault | None
    at_ms: int
    is_lost: bool
    mute: Block | None = None


async def ask_blocks(bus: Bus, unit: int, blocks: Sequence[Block], clock: Clock) -> Asked:
    """Ask one meter for `blocks`, in turn; errors of the bus become faults, never exceptions."""
    answers: list[Answer] = []
    refusals: list[Refusal] = []
    at_ms: int | None = None
    fault: Fault | None = None
    is_lost = False
    mute: Block | None = None
    for block in blocks:
        try:
            words = await bus.read(unit, block.table, block.address, block.count)
        except AnswerSuspect as error:
            fault, words = error.fault, error.words
        except MeterRefused as error:
            fault = error.fault
            refusals.append(Refusal(block, error.code))
            continue
        except LOST as error:
            fault, is_lost = error.fault, True
            mute = block if answers and isinstance(error, MeterSilent) else None
            break
        at_ms = clock.now_ms()
        answers.append((block, words))
    return Asked(
        answers=tuple(answers),
        refusals=tuple(refusals),
        fault=fault,
        at_ms=clock.now_ms() if at_ms is None else at_ms,
        is_lost=is_lost,
        mute=mute,
    )


async def poll_meter(bus: Bus, meter: Meter, clock: Clock) -> Reading:
    """Ask `meter` for everything, once.

    Returns:
        A reading stamped when the last answered block came; with a fault, the values of the blocks
        that were answered before it, stamped when the meter was given up if there are none.
    """
    plan = meter.plan(meter.everything)
    asked = await ask_blocks(bus, meter.unit, plan.blocks, clock)
    decoded = plan.decoder.decode(asked.answers)
    return Reading(
        meter=meter.id,
        at_ms=asked.at_ms,
        values=decoded.values,
        fault=asked.fault or decoded.fault,
    )
