"""Spool: sealed batches -> the disk that keeps them until the collector has them, and longer.

The port; `adapters/sqlite.py` is the real one, `tests/fakes/spool.py` the fake.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from metering.batch import BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import EpochBook
from metering.errors import PermanentError, TransientError
from metering.reading import Reading


class SpoolFull(TransientError):
    """The disk took nothing even after the oldest batches were dropped and the reserve freed."""


class SpoolBusy(TransientError):
    """The file cannot be used just now, whatever is in it: locked, read-only, out of reach."""


class SpoolCorrupt(PermanentError):
    """The file is damaged; `renew` sets it aside and opens a new one."""


class SpoolTaken(PermanentError):
    """Another process uses this spool; two would seal under the same numbers."""


class Unsealed(Struct, frozen=True, kw_only=True):
    """A reading taken while nobody vouched for the clock.

    Attributes:
        number: identifies it in the spool.
        boot: which start of the machine `monotonic_ms` belongs to.
        monotonic_ms: when the meter answered, by that boot's monotonic clock.
        reading: stamped with the clock as it was.
    """

    number: int
    boot: str
    monotonic_ms: int
    reading: Reading


Dropped = Mapping[str, Ranges]  # by epoch: sequences thrown away to make room


class Spool(Protocol):
    """Every method that writes is durable when it returns.

    Any may raise `SpoolBusy` or `SpoolCorrupt`; those that write `SpoolFull`.
    """

    def books(self) -> list[EpochBook]:
        """What is on disk, by epoch, oldest epoch first.

        What was sealed, is not here and was never committed counts as `dropped`: if nobody let go
        of it, it went with a damaged file.
        """
        ...

    def generation(self, store: str) -> int:
        """The highest generation of `store` ever kept; 0 of a store never heard of."""
        ...

    def mint(self, epoch: str) -> None:
        """Open an epoch; its sequences start at 1. Epochs that nothing is left of are forgotten."""
        ...

    def append(
        self, sealed: Sealed, *, sealed_at_ms: int, unsealed: tuple[int, ...] = ()
    ) -> Dropped:
        """Keep a batch, and in the same step forget the unsealed readings that went into it.

        Returns:
            What was dropped to make room since this or `prune` last said so, by any method.
        """
        ...

    def at_once(self, write: Callable[[], None]) -> Dropped:
        """Whatever `write` appends and marks here becomes durable in one step, or none of it.

        One sync instead of many: what several buses brought, and what commits said meanwhile.

        Args:
            write: calls `append` and `mark`; is called again where room had to be made for it.

        Returns:
            What was dropped to make room; the calls within say nothing of it.
        """
        ...

    def load(self, key: BatchKey) -> Sealed | None:
        """A batch's bytes, exactly as sealed; None if they are no longer held, or no longer so."""
        ...

    def mark(self, store: str, generation: int, books: tuple[EpochBook, ...]) -> None:
        """Keep what commits said: `committed`, `forked`, and which epochs still matter.

        An epoch older than these and not among them is forgotten; a younger one was minted since.
        """
        ...

    def keep_unsealed(self, boot: str, taken: tuple[tuple[int, Reading], ...]) -> None:
        """Keep readings whose time is not yet sure, each with its monotonic time."""
        ...

    def unsealed(self, limit: int) -> list[Unsealed]:
        """The oldest unsealed readings, in the order they were taken."""
        ...

    def prune(self, *, committed_before_ms: int, size_limit: int) -> Dropped:
        """Drop committed batches sealed before an instant; then, above the size, the oldest."""
        ...

    def size(self) -> int:
        """Bytes that batches occupy on disk."""
        ...

    def corrupt_files(self) -> int:
        """How many damaged files were set aside."""
        ...

    def renew(self) -> None:
        """Set a damaged file aside, salvage what can be read, and open a new one.

        Raises:
            SpoolFull, SpoolBusy: not now; nothing else works until it is called again.
        """
        ...

    def close(self) -> None: ...
