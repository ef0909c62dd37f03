"""Ranges: a set of sequences, kept as few inclusive spans.

A year of batches is one span; a hole costs one more. Everything the two ends of the commit protocol
know is said in these sets, so both are algebra. Values are immutable.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Self

from metering.wire import Range

Span = tuple[int, int]


class Ranges:
    """An immutable set of positive integers, as sorted, disjoint, non-touching spans."""

    __slots__ = ("spans",)

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        """Take spans in any order; they may overlap or touch. Empty spans are left out."""
        self.spans: tuple[Span, ...] = tuple(_merged(spans))

    @classmethod
    def span(cls, first: int, last: int) -> Self:
        """All from `first` to `last`, both included; empty if `last` < `first`."""
        return cls(((first, last),))

    @classmethod
    def from_wire(cls, ranges: Iterable[Range]) -> Self:
        return cls((r.first, r.last) for r in ranges)

    def to_wire(self) -> tuple[Range, ...]:
        return tuple(Range(first, last) for first, last in self.spans)

    def __contains__(self, sequence: int) -> bool:
        index = bisect_right(self.spans, (sequence, _HIGHEST)) - 1
        return index >= 0 and sequence <= self.spans[index][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(self.spans)

    def __repr__(self) -> str:
        return f"Ranges({list(self.spans)})"

    def __or__(self, other: "Ranges") -> "Ranges":
        if not other.spans:
            return self
        return Ranges((*self.spans, *other.spans))

    def __and__(self, other: "Ranges") -> "Ranges":
        return self - (self - other)

    def __sub__(self, other: "Ranges") -> "Ranges":
        if not other.spans:
            return self
        return Ranges(_without(self.spans, other.spans))

    def add(self, sequence: int) -> "Ranges":
        """This set and one more; the common case, the next after the last, is cheap."""
        if self.spans and self.spans[-1][1] == sequence - 1:
            fresh = Ranges()
            fresh.spans = (*self.spans[:-1], (self.spans[-1][0], sequence))
            return fresh
        return self | Ranges.span(sequence, sequence)

    @property
    def highest(self) -> int:
        """The largest member; 0 of an empty set."""
        return self.spans[-1][1] if self.spans else 0

    @property
    def lowest(self) -> int | None:
        return self.spans[0][0] if self.spans else None

    def descending(self) -> Iterator[int]:
        """Members from the largest down, lazily."""
        for first, last in reversed(self.spans):
            yield from range(last, first - 1, -1)

    def ascending(self) -> Iterator[int]:
        for first, last in self.spans:
            yield from range(first, last + 1)


_HIGHEST = 1 << 62


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for first, last in sorted(span for span in spans if span[0] <= span[1]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _without(spans: tuple[Span, ...], holes: tuple[Span, ...]) -> Iterator[Span]:
    """Both sorted; may yield empty spans, which the constructor leaves out."""
    index = 0
    for first, last in spans:
        start = first
        while index < len(holes) and holes[index][1] < start:
            index += 1
        at = index
        while at < len(holes) and holes[at][0] <= last:
            yield start, holes[at][0] - 1
            start = holes[at][1] + 1
            at += 1
        yield start, last
