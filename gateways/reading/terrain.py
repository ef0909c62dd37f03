"""Terrain: what reading a meter has taught about its registers: holes, and how long a read may be.

It holds for a model and a firmware, not for one meter: what one of them refused, no other of its
kind is asked for again.
"""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct, structs

from gateways.library.model import Register, Table


class Span(Protocol):
    """A read: `gateways.reading.plan.Block` is one."""

    @property
    def table(self) -> Table: ...
    @property
    def address(self) -> int: ...
    @property
    def end(self) -> int: ...


class Hole(Struct, frozen=True, order=True):
    """Registers that are refused, alone or as part of a longer read.

    Attributes:
        since_ms: when that was found, wall time.
    """

    table: Table
    address: int
    count: int
    since_ms: int = 0

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.count

    def lies_in(self, read: "Span") -> bool:
        return read.table == self.table and read.address <= self.address and self.end <= read.end

    def __str__(self) -> str:
        last = self.end - 1
        return f"{self.table} {self.address}" + (f"..{last}" if last > self.address else "")


class Terrain(Struct, frozen=True, kw_only=True):
    """What is known of one model and firmware; at first nothing.

    Attributes:
        holes: in order, none touching another of its age.
        longest: the longest read that is answered, where a longer one was refused.
        longest_since_ms: when that was found.
    """

    holes: tuple[Hole, ...] = ()
    longest: int | None = None
    longest_since_ms: int = 0

    def learn(self, holes: Iterable[Hole], longest: int | None, at_ms: int) -> "Terrain":
        """With what another refusal taught."""
        new = (structs.replace(hole, since_ms=at_ms) for hole in holes)
        found = {(hole.table, hole.address, hole.count): hole for hole in (*self.holes, *new)}
        shorter = longest is not None and (self.longest is None or longest < self.longest)
        return Terrain(
            holes=tuple(sorted(found.values())),
            longest=longest if shorter else self.longest,
            longest_since_ms=at_ms if shorter else self.longest_since_ms,
        )

    def without_older_than(self, since_ms: int) -> "Terrain":
        """What was learnt before an instant is asked again: a refusal may have been a mood."""
        keeps = self.longest is not None and self.longest_since_ms >= since_ms
        return structs.replace(
            self,
            holes=tuple(hole for hole in self.holes if hole.since_ms >= since_ms),
            longest=self.longest if keeps else None,
        )

    def without(self, answered: Iterable[Span]) -> "Terrain":
        """But for holes that lie in reads which were answered."""
        spans = tuple(answered)
        return structs.replace(
            self, holes=tuple(hole for hole in self.holes if not any(map(hole.lies_in, spans)))
        )

    def refuses(self, register: Register) -> bool:
        """Whether `register` itself cannot be read."""
        return any(
            hole.table == register.table and hole.address < field.end and field.address < hole.end
            for hole in self.holes
            for field in register.fields
        )

    def is_broken(self, table: Table, first: int, behind: int) -> bool:
        """Whether a read of these addresses would be refused."""
        return any(
            hole.table == table and hole.address < behind and first < hole.end
            for hole in self.holes
        )
