"""Image: what one unit's registers hold -> asked for once each, however many models want them."""

from collections.abc import Sequence

from gateways.library.model import Table
from gateways.reading.plan import Block
from gateways.reading.poll import (
    AnswerCorrupt,
    AnswerForeign,
    AnswerShort,
    AnswerSuspect,
    Bus,
    BusDisconnected,
    MeterRefused,
    MeterSilent,
)

# Some devices are silent about registers that they do not have, where others refuse. So silence
# about much is no proof that nobody is there; about so many blocks in a row it is.
_PATIENCE = 60
_LOST = (
    MeterSilent,
    BusDisconnected,
    AnswerShort,
    AnswerForeign,
    AnswerCorrupt,
    AnswerSuspect,
)


class Image:
    """The registers of one unit, as far as they were asked for. It only ever reads.

    Attributes:
        asked: how many requests that took.
    """

    def __init__(self, bus: Bus, unit: int) -> None:
        self._bus = bus
        self._unit = unit
        self._words: dict[tuple[Table, int], int] = {}
        self._barred: set[Block] = set()
        self._silences = 0
        self.asked = 0

    async def words(self, block: Block, tries: int = 2) -> Sequence[int] | None:
        """The words of `block`; none if the device does not give them.

        Args:
            block: what to read, unless it is known.
            tries: how often; a lost answer on a long line proves nothing.
        """
        known = self.known(block)
        if known is None and block not in self._barred and self._silences < _PATIENCE:
            await self._read(block, tries)
            known = self.known(block)
        return known

    def known(self, block: Block) -> Sequence[int] | None:
        """The same without asking."""
        found = [self._words.get((block.table, place)) for place in range(block.address, block.end)]
        words = [word for word in found if word is not None]
        return words if len(words) == block.count else None

    async def _read(self, block: Block, tries: int) -> None:
        for _ in range(tries):
            self.asked += 1
            try:
                words = await self._bus.read(self._unit, block.table, block.address, block.count)
            except MeterRefused:
                self._silences = 0
                break
            except _LOST:
                continue
            self._silences = 0
            for place, word in zip(range(block.address, block.end), words, strict=True):
                self._words[block.table, place] = word
            return
        else:
            self._silences += 1
        self._barred.add(block)
