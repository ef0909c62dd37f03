"""Explore: a block that a meter refused -> what of it can be read, found by halving it, once.

The pieces that are answered on the way are answers like others: nothing is asked twice.
"""

from collections.abc import Sequence

from msgspec import Struct

from gateways.library.model import Limits, Register
from gateways.reading.decode import Answer
from gateways.reading.plan import Block, Span, aligned, whole_spans
from gateways.reading.poll import Bus, MeterRefused
from gateways.reading.terrain import Hole

# Modbus Application Protocol V1.1b3, section 7: what is asked for is not there, or too much of it.
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
LEARNT_FROM = frozenset((ILLEGAL_ADDRESS, ILLEGAL_VALUE))
_MOST_REQUESTS = 40  # of one exploration: a meter that refuses at random must not hold a bus


class Explored(Struct, frozen=True, kw_only=True):
    """What of a refused block can be read.

    Attributes:
        answers: the pieces that were answered.
        holes: registers that were refused, without an instant.
        longest: the longest read that was answered where the refusal was about length.
    """

    answers: tuple[Answer, ...]
    holes: tuple[Hole, ...]
    longest: int | None = None


async def explore_block(
    bus: Bus, unit: int, block: Block, registers: Sequence[Register], limits: Limits
) -> Explored:
    """Halve `block` until every piece is answered or cannot be halved.

    Args:
        bus: the line.
        unit: the meter's unit id.
        block: it was just refused, by an exception of `LEARNT_FROM`.
        registers: what is wanted from it.
        limits: of the meter's model.

    Raises:
        TransientError: the meter was lost on the way; nothing is known then.
    """
    explorer = _Explorer(bus, unit, block, limits)
    await explorer.halve(whole_spans(r for r in registers if block.covers(r)), block.count)
    return Explored(
        answers=tuple(explorer.answers), holes=tuple(explorer.holes), longest=explorer.longest
    )


class _Explorer:
    def __init__(self, bus: Bus, unit: int, block: Block, limits: Limits) -> None:
        self._bus = bus
        self._unit = unit
        self._table = block.table
        self._limits = limits
        self._left = _MOST_REQUESTS
        self.answers: list[Answer] = []
        self.holes: list[Hole] = []
        self.longest: int | None = None

    async def halve(self, spans: Sequence[Span], refused: int) -> None:
        """Find out about `spans`, which were refused together as a read of so many registers."""
        if len(spans) == 1:
            self._note_hole(*spans[0])
            return
        middle = len(spans) // 2
        halves = (spans[:middle], spans[middle:])
        # Both are asked before either is halved: what is wrong may only be what lies between them.
        codes = [await self._ask(half) for half in halves]
        if codes == [None, None]:
            self._blame_the_join(*halves, refused)
            return
        for half, code in zip(halves, codes, strict=True):
            if code in LEARNT_FROM and self._left > 0:
                await self.halve(half, self._block(half).count)

    async def _ask(self, spans: Sequence[Span]) -> int | None:
        """Ask for `spans` in one read; returns the exception's code if it is refused."""
        if self._left <= 0:
            return -1  # nobody knows
        self._left -= 1
        block = self._block(spans)
        try:
            words = await self._bus.read(self._unit, block.table, block.address, block.count)
        except MeterRefused as error:
            return error.code
        self.answers.append((block, words))
        return None

    def _blame_the_join(self, left: Sequence[Span], right: Sequence[Span], refused: int) -> None:
        """Each half is answered, both together are not: what is between them, or their length."""
        first, behind = left[-1][1], right[0][0]
        if behind > first:
            self._note_hole(first, behind)
            return
        longest = max(self._block(left).count, self._block(right).count)
        self.longest = longest if self.longest is None else min(longest, self.longest)
        self.longest = min(self.longest, refused - 1)

    def _note_hole(self, first: int, behind: int) -> None:
        self.holes.append(Hole(self._table, first, behind - first))

    def _block(self, spans: Sequence[Span]) -> Block:
        first, behind = aligned((spans[0][0], spans[-1][1]), self._limits)
        return Block(self._table, first, behind - first)
