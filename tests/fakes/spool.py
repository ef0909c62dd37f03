"""A spool in memory: what the real one promises, without a disk."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field

from gateways.spool.port import Dropped, Unsealed
from metering.batch import BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import EpochBook
from metering.reading import Reading

_OVERHEAD = 100  # bytes per batch beside its payload


@dataclass
class _Epoch:
    number: int
    next: int = 1
    committed: Ranges = field(default_factory=Ranges)
    dropped: Ranges = field(default_factory=Ranges)
    forked: bool = False


class FakeSpool:
    """Implements `gateways.spool.port.Spool`."""

    _UNDONE = ("_batches", "_generations", "_unsealed")  # when a step is taken back

    def __init__(self) -> None:
        self._epochs: dict[str, _Epoch] = {}
        self._minted = 0
        self._batches: dict[BatchKey, tuple[Sealed, int]] = {}
        self._generations: dict[str, int] = {}
        self._unsealed: list[Unsealed] = []
        self._numbers = 0
        self._corrupt = 0

    # ---- reading

    def books(self) -> list[EpochBook]:
        return [
            EpochBook(
                epoch=name,
                next=epoch.next,
                held=self._held(name),
                committed=epoch.committed,
                dropped=epoch.dropped,
                forked=epoch.forked,
            )
            for name, epoch in self._epochs.items()
        ]

    def _held(self, epoch: str) -> Ranges:
        return Ranges((k.sequence, k.sequence) for k in self._batches if k.epoch == epoch)

    def generation(self, store: str) -> int:
        return self._generations.get(store, 0)

    def load(self, key: BatchKey) -> Sealed | None:
        return self._batches[key][0] if key in self._batches else None

    def unsealed(self, limit: int) -> list[Unsealed]:
        return self._unsealed[:limit]

    def size(self) -> int:
        return sum(len(sealed.payload) + _OVERHEAD for sealed, _at in self._batches.values())

    def corrupt_files(self) -> int:
        return self._corrupt

    # ---- writing

    def mint(self, epoch: str) -> None:
        for name in [n for n, e in self._epochs.items() if not self._held(n) and not e.dropped]:
            del self._epochs[name]
        self._minted += 1
        self._epochs[epoch] = _Epoch(self._minted)

    def append(
        self, sealed: Sealed, *, sealed_at_ms: int, unsealed: tuple[int, ...] = ()
    ) -> Dropped:
        epoch = self._epochs[sealed.key.epoch]
        epoch.next = max(epoch.next, sealed.key.sequence + 1)
        self._batches[sealed.key] = (sealed, sealed_at_ms)
        self._unsealed = [u for u in self._unsealed if u.number not in unsealed]
        return {}

    def at_once(self, write: Callable[[], None]) -> Dropped:
        kept = {name: copy(getattr(self, name)) for name in self._UNDONE}
        epochs = {name: copy(epoch) for name, epoch in self._epochs.items()}
        try:
            write()
        except BaseException:
            vars(self).update(kept)
            self._epochs = epochs
            raise
        return {}

    def mark(self, store: str, generation: int, books: tuple[EpochBook, ...]) -> None:
        self._generations[store] = generation
        for book in books:
            if book.epoch in self._epochs:
                self._epochs[book.epoch].committed = book.committed
                self._epochs[book.epoch].forked = book.forked
        known = {book.epoch for book in books}
        youngest = max((e.number for n, e in self._epochs.items() if n in known), default=0)
        for name, epoch in list(self._epochs.items()):
            if name not in known and epoch.number < youngest:
                del self._epochs[name]
                self._batches = {k: b for k, b in self._batches.items() if k.epoch != name}

    def keep_unsealed(self, boot: str, taken: tuple[tuple[int, Reading], ...]) -> None:
        for monotonic_ms, reading in taken:
            self._numbers += 1
            self._unsealed.append(
                Unsealed(
                    number=self._numbers, boot=boot, monotonic_ms=monotonic_ms, reading=reading
                )
            )

    def prune(self, *, committed_before_ms: int, size_limit: int) -> Dropped:
        dropped: dict[str, Ranges] = {}
        while True:
            over = self.size() > size_limit
            doomed = self._oldest(committed=True, before_ms=None if over else committed_before_ms)
            if doomed is None and over:
                doomed = self._oldest(committed=False, before_ms=None)
            if doomed is None:
                return dropped
            epoch = self._epochs[doomed.epoch]
            if doomed.sequence not in epoch.committed:
                epoch.dropped = epoch.dropped.add(doomed.sequence)
            dropped[doomed.epoch] = dropped.get(doomed.epoch, Ranges()).add(doomed.sequence)
            del self._batches[doomed]

    def _oldest(self, *, committed: bool, before_ms: int | None) -> BatchKey | None:
        order = {name: epoch.number for name, epoch in self._epochs.items()}
        for key in sorted(self._batches, key=lambda k: (order[k.epoch], k.sequence)):
            if (key.sequence in self._epochs[key.epoch].committed) is committed and (
                before_ms is None or self._batches[key][1] < before_ms
            ):
                return key
        return None

    # ---- damage

    def renew(self) -> None:
        """A fake's file is set aside and everything of it still reads."""
        self._corrupt += 1

    def close(self) -> None:
        pass
