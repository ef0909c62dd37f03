"""Plan: a model's registers -> the fewest contiguous reads that cover each of them once.

Cutting greedily from the left is optimal here: any piece of a permitted read is itself permitted,
so taking as much as possible never costs a request later.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from gateways.model import Limits, Register, Table
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


class PlanImpossible(PermanentError):
    """A total that has to be read in one request is longer than the meter allows."""


def plan_blocks(registers: Iterable[Register], limits: Limits, fill: int) -> tuple[Block, ...]:
    """The reads for `registers`, ordered by table and address.

    Args:
        registers: any order, may be empty.
        limits: what one request may ask for.
        fill: holes of up to this many registers are read over.

    Raises:
        PlanImpossible: a split total does not fit into one request.
    """
    by_table: dict[Table, list[Register]] = {}
    for register in registers:
        by_table.setdefault(register.table, []).append(register)
    return tuple(
        block
        for table in sorted(by_table)
        for block in _blocks(table, _whole(by_table[table]), limits, fill)
    )


Span = tuple[int, int]  # first address, first address behind


def _whole(registers: Iterable[Register]) -> list[Span]:
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


def _blocks(table: Table, spans: list[Span], limits: Limits, fill: int) -> Iterator[Block]:
    taken: Span | None = None
    for span in spans:
        wider = span if taken is None else (taken[0], span[1])
        if taken and (span[0] - taken[1] > fill or not _fits(wider, limits)):
            yield _block(table, taken, limits)
            wider = span
        if not _fits(wider, limits):
            first, behind = wider
            raise PlanImpossible(
                f"{table} {first}..{behind - 1} has to be read in one request, "
                f"{limits.registers} registers are allowed"
            )
        taken = wider
    if taken:
        yield _block(table, taken, limits)


def _fits(span: Span, limits: Limits) -> bool:
    first, behind = _aligned(span, limits)
    return behind - first <= limits.registers


def _aligned(span: Span, limits: Limits) -> Span:
    if not limits.even:
        return span
    return span[0] - span[0] % 2, span[1] + span[1] % 2


def _block(table: Table, span: Span, limits: Limits) -> Block:
    first, behind = _aligned(span, limits)
    return Block(table, first, behind - first)
