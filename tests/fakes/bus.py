"""A bus in memory: every register's value is its own address, unless told otherwise."""

from collections.abc import Callable, Sequence

from gateways.model import Table

Wrong = Callable[[], Exception]


class FakeBus:
    """Implements `gateways.poll.Bus`.

    Attributes:
        asked: every question, in order, as (unit, table, address, count).
        wrong: what a unit raises instead of answering.
        refused: the same for one block of a unit, by (unit, address).
    """

    def __init__(self) -> None:
        self.asked: list[tuple[int, Table, int, int]] = []
        self.wrong: dict[int, Wrong] = {}
        self.refused: dict[tuple[int, int], Wrong] = {}
        self.on_read: Callable[[], None] = lambda: None

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        self.asked.append((unit, table, address, count))
        self.on_read()
        wrong = self.wrong.get(unit) or self.refused.get((unit, address))
        if wrong:
            raise wrong()
        return list(range(address, address + count))

    async def close(self) -> None:
        pass
