"""Poll: one meter on a bus -> its Reading. Errors of the bus become faults, never exceptions."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from gateways.decode import Answer
from gateways.meter import Meter
from gateways.model import Table
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
_LOST = (MeterSilent, BusDisconnected, AnswerShort, AnswerForeign, AnswerCorrupt)


async def poll_meter(bus: Bus, meter: Meter, clock: Clock) -> Reading:
    """Ask `meter` for all its blocks, in turn.

    Returns:
        A reading stamped when the last answered block came; with a fault, the values of the blocks
        that were answered before it, stamped when the meter was given up if there are none.
    """
    answers: list[Answer] = []
    at_ms: int | None = None
    fault: Fault | None = None
    for block in meter.blocks:
        try:
            words = await bus.read(meter.unit, block.table, block.address, block.count)
        except AnswerSuspect as error:
            fault = error.fault
            at_ms = clock.now_ms()
            answers.append((block, error.words))
        except MeterRefused as error:
            fault = error.fault
        except _LOST as error:
            fault = error.fault
            break
        else:
            at_ms = clock.now_ms()
            answers.append((block, words))
    decoded = meter.decoder.decode(answers)
    return Reading(
        meter=meter.id,
        at_ms=clock.now_ms() if at_ms is None else at_ms,
        values=decoded.values,
        fault=fault or decoded.fault,
    )
