"""Plan: a model's registers -> the fewest contiguous reads that cover each of them once.

Cutting greedily from the left is optimal here: any piece of a permitted read is itself permitted,
so taking as much as possible never costs a request later. Where that leaves two reads of one
length, a register moves to the neighbour if it fits there: on a serial line, where an answer
carries no number, its length then tells whose it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from gateways.library.model import Limits, Register, Table
from gateways.reading.terrain import Terrain
from metering.errors import PermanentError


class Block(Struct, frozen=True, order=True):
    """One read: `count` registers of `table` from the zero-based `address` on."""

    table: Table
    address: int
    count: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.count

    def covers(self, register: Register) -> bool:
        """Whether every field of `register` is in this block."""
        return register.table == self.table and all(
            self.address <= field.address and field.end <= self.end for field in register.fields
        )


_FLAT = Terrain()  # nothing is known


class PlanImpossible(PermanentError):
    """A total that has to be read in one request is longer than the meter allows."""


def plan_blocks(
    registers: Iterable[Register], limits: Limits, fill: int, terrain: Terrain = _FLAT
) -> tuple[Block, ...]:
    """The reads for `registers`, ordered by table and address.

    Args:
        registers: any order, may be empty.
        limits: what one request may ask for.
        fill: holes of up to this many registers are read over.
        terrain: what was learnt; a register that is refused is left out, a hole is not read over.

    Raises:
        PlanImpossible: a split total does not fit into one request.
    """
    by_table: dict[Table, list[Register]] = {}
    for register in registers:
        if not terrain.refuses(register):
            by_table.setdefault(register.table, []).append(register)
    return tuple(
        block
        for table in sorted(by_table)
        for block in _Cutter(table, limits, fill, terrain).blocks(whole_spans(by_table[table]))
    )


Span = tuple[int, int]  # first address, first address behind


def whole_spans(registers: Iterable[Register]) -> list[Span]:
    """What must not be torn: each register's fields, joined where they share addresses."""
    joined: list[Span] = []
    for start, end in sorted(map(_span, registers)):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _span(register: Register) -> Span:
    fields = register.fields
    return min(field.address for field in fields), max(field.end for field in fields)


def aligned(span: Span, limits: Limits) -> Span:
    """`span`, widened to what the meter takes for a request."""
    first, behind = span
    if not limits.even:
        return span
    return first - first % 2, behind + behind % 2


class _Cutter:
    """Cuts one table's spans into reads."""

    def __init__(self, table: Table, limits: Limits, fill: int, terrain: Terrain) -> None:
        self._table = table
        self._limits = limits
        self._longest = min(limits.registers, terrain.longest or limits.registers)
        self._fill = fill
        self._terrain = terrain

    def blocks(self, spans: Iterable[Span]) -> Iterator[Block]:
        reads: list[list[Span]] = []
        for span in spans:
            if reads and self._joins(reads[-1], span):
                reads[-1].append(span)
            else:
                self._check(span)
                reads.append([span])
        self._make_unlike(reads)
        return (self._block(read) for read in reads)

    def _joins(self, read: Sequence[Span], span: Span) -> bool:
        """Whether `span` may stand behind `read` in one request."""
        if span[0] - read[-1][1] > self._fill or self._length((*read, span)) > self._longest:
            return False
        first, behind = self._aligned((*read, span))
        return not self._terrain.is_broken(self._table, first, behind)

    def _check(self, span: Span) -> None:
        if self._length((span,)) > self._limits.registers:
            first, behind = self._aligned((span,))
            raise PlanImpossible(
                f"{self._table} {first}..{behind - 1} has to be read in one request, "
                f"{self._limits.registers} registers are allowed"
            )

    def _make_unlike(self, reads: list[list[Span]]) -> None:
        seen: set[int] = set()
        for read, following in pairwise(reads):
            if self._length(read) in seen and self._gives(read, following):
                following.insert(0, read.pop())
            seen.add(self._length(read))

    def _gives(self, read: list[Span], following: list[Span]) -> bool:
        """Whether the last span of `read` may as well be read with the `following` ones."""
        if len(read) == 1 or following[0][0] - read[-1][1] > self._fill:
            return False
        wider = (read[-1], *following)
        first, behind = self._aligned(wider)
        broken = self._terrain.is_broken(self._table, first, behind)
        return self._length(wider) <= self._longest and not broken

    def _length(self, read: Sequence[Span]) -> int:
        first, behind = self._aligned(read)
        return behind - first

    def _aligned(self, read: Sequence[Span]) -> Span:
        return aligned((read[0][0], read[-1][1]), self._limits)

    def _block(self, read: Sequence[Span]) -> Block:
        first, behind = self._aligned(read)
        return Block(self._table, first, behind - first)
