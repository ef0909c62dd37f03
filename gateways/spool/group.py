"""Group: what several buses brought, and what commits said meanwhile -> one step of the spool.

A sync costs flash as much as what it syncs, so what can go together does.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from gateways.spool.port import Dropped, Spool
from metering.batch import BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import EpochBook, Sender


class Portion(Struct, frozen=True, kw_only=True):
    """A sealed batch, how many readings it took, and which of them waited unsealed."""

    sealed: Sealed
    readings: int
    unsealed: tuple[int, ...] = ()


Seal = Callable[[BatchKey], Iterable[Portion]]


class Asked(Struct):
    """One bus's batches to be, and how many of its readings are on disk."""

    seal: Seal
    at_ms: int
    kept: int = 0


class Group:
    """What goes to the disk in one step; whoever asked first sees to it."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.is_over = asyncio.Event()


class Word(Struct, frozen=True):
    """What commits said."""

    store: str
    generation: int
    books: tuple[EpochBook, ...]

    @classmethod
    def of(cls, sender: Sender) -> "Word":
        return cls(sender.store, sender.generation, sender.snapshot())

    def keep(self, spool: Spool) -> None:
        spool.mark(self.store, self.generation, self.books)

    @property
    def said(self) -> object:
        """Equal for two words that say the same."""
        books = [(book.epoch, book.committed, book.forked) for book in self.books]
        return self.generation, books


Portions = Sequence[tuple[Asked, Portion]]


def sealed_in_turn(asked: Iterable[Asked], last: BatchKey) -> Iterator[tuple[Asked, Portion]]:
    """What each asked for, under the sequences that follow `last`."""
    for each in asked:
        for portion in each.seal(last):
            last = portion.sealed.key
            yield each, portion


def append_at_once(spool: Spool, portions: Portions, word: Word | None) -> Dropped:
    """All of it, or none; returns what was dropped to make room."""
    dropped: dict[str, Ranges] = {}

    def write() -> None:
        for asked, portion in portions:
            made_room = spool.append(
                portion.sealed, sealed_at_ms=asked.at_ms, unsealed=portion.unsealed
            )
            _add(dropped, made_room)
        if word is not None:
            word.keep(spool)

    _add(dropped, spool.at_once(write))
    return dropped


def _add(dropped: dict[str, Ranges], more: Dropped) -> None:
    for epoch, sequences in more.items():
        dropped[epoch] = dropped.get(epoch, Ranges()) | sequences
