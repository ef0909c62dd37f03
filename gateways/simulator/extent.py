"""Extent: a model -> the addresses that a device of it answers, whatever the plan to read it is."""

from collections.abc import Iterable

from gateways.library.model import MeterModel, Table

Range = tuple[Table, int, int]  # address, count


def answered(model: MeterModel) -> tuple[Range, ...]:
    """Its registers, its identity, and the holes between them that a plan may read over.

    A gateway reads what is due: everything, counters only, identity only. Whatever it joins lies
    within a stretch whose holes are no wider than the model's `fill`.
    """
    spans: dict[Table, list[tuple[int, int]]] = {}
    for table, first, behind in _spans(model):
        spans.setdefault(table, []).append((first, behind))
    return tuple(
        (table, first, behind - first)
        for table in sorted(spans)
        for first, behind in _joined(spans[table], model.fill)
    )


def _spans(model: MeterModel) -> Iterable[tuple[Table, int, int]]:
    even = model.limits.even
    for register in model.registers:
        first = min(field.address for field in register.fields)
        behind = max(field.end for field in register.fields)
        yield register.table, *_aligned(first, behind, even=even)
    for identity in model.identity:
        first, behind = identity.address, identity.address + identity.registers
        yield identity.table, *_aligned(first, behind, even=even)


def _aligned(first: int, behind: int, *, even: bool) -> tuple[int, int]:
    return (first - first % 2, behind + behind % 2) if even else (first, behind)


def _joined(spans: Iterable[tuple[int, int]], fill: int) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, behind in sorted(spans):
        if joined and first - joined[-1][1] <= fill:
            joined[-1] = (joined[-1][0], max(behind, joined[-1][1]))
        else:
            joined.append((first, behind))
    return joined
