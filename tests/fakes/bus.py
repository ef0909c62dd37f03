"""A bus in memory: every register's value is its own address, unless told otherwise."""

from collections.abc import Callable, Sequence

from gateways.library.model import Table
from gateways.reading.poll import MeterRefused

Wrong = Callable[[], Exception]


class FakeBus:
    """Implements `gateways.reading.poll.Bus`.

    Attributes:
        asked: every question, in order, as (unit, table, address, count).
        wrong: what a unit raises instead of answering.
        refused: the same for one block of a unit, by (unit, address).
        holes: addresses that a unit refuses, alone or as part of a read (exception 2).
        longest: the longest read that a unit answers (exception 3).
        words: what a unit shows instead of the address, by (unit, address).
    """

    def __init__(self) -> None:
        self.asked: list[tuple[int, Table, int, int]] = []
        self.wrong: dict[int, Wrong] = {}
        self.refused: dict[tuple[int, int], Wrong] = {}
        self.holes: dict[int, set[int]] = {}
        self.longest: dict[int, int] = {}
        self.words: dict[tuple[int, int], int] = {}
        self.on_read: Callable[[], None] = lambda: None

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        self.asked.append((unit, table, address, count))
        self.on_read()
        wrong = self.wrong.get(unit) or self.refused.get((unit, address))
        if wrong:
            raise wrong()
        if count > self.longest.get(unit, 125):
            raise MeterRefused("exception 3 came", 3)
        asked_for = range(address, address + count)
        if self.holes.get(unit, set()) & set(asked_for):
            raise MeterRefused("exception 2 came", 2)
        return [self.words.get((unit, place), place) for place in asked_for]

    async def close(self) -> None:
        pass
