"""Receiver: deliveries and states -> what to store, and the commit that answers them.

The collector's end of the commit protocol, as a pure state machine. Rules of this module:

1. A commit says only what this collector has itself recorded as stored, lost or released.
2. A delivery is skipped only if its sequence *and* its digest are stored.
3. What a gateway holds is never lost, whatever was believed before: a later word reopens it.

The caller keeps `EpochLedger`s in SQL and records before it acknowledges.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum

from msgspec import Struct

from metering.batch import VERSION, BatchKey
from metering.delivery.ranges import Ranges
from metering.wire import Commit, EpochCommit, EpochHeld

MISSING_LIMIT = 256  # ranges in one epoch of a commit


class Fate(StrEnum):
    """What to do with a delivery."""

    STORE = "store"
    SKIP = "skip"  # stored already, to the byte
    FORK = "fork"  # the sequence is stored with other bytes: store these too, and say so


class EpochLedger(Struct, frozen=True, kw_only=True):
    """What the collector knows of one gateway's epoch.

    Attributes:
        stored: recorded here as durable in the store (or in the quarantine).
        lost: the gateway dropped them, or closed the epoch without them. Counted and alarmed.
        released: no longer held and not dropped: the gateway had another commit for them.
        next: one past the highest sequence the gateway said it sealed.
        named: the gateway's last state names the epoch.
    """

    stored: Ranges = Ranges()
    lost: Ranges = Ranges()
    released: Ranges = Ranges()
    next: int = 1
    named: bool = False

    def known(self) -> Ranges:
        return self.stored | self.lost | self.released

    def through(self) -> int:
        return max(self.known().highest, self.next - 1)

    def missing(self) -> Ranges:
        return Ranges.span(1, self.through()) - self.known()

    def with_stored(self, sequences: Ranges) -> "EpochLedger":
        return EpochLedger(
            stored=self.stored | sequences,
            lost=self.lost - sequences,
            released=self.released - sequences,
            next=self.next,
            named=self.named,
        )

    def without(self, sequences: Ranges) -> "EpochLedger":
        """This ledger after the store lost `sequences`: they are wanted again."""
        return EpochLedger(
            stored=self.stored - sequences,
            lost=self.lost,
            released=self.released - sequences,
            next=max(self.next, self.through() + 1),
            named=self.named,
        )

    def with_held(self, held: EpochHeld) -> "EpochLedger":
        """This ledger after the gateway said what it holds and what it dropped."""
        dropped = Ranges.from_wire(held.dropped)
        gone = Ranges.span(1, held.oldest - 1) | Ranges.from_wire(held.released)
        present = Ranges.span(held.oldest, held.next - 1) - dropped - gone
        lost = ((self.lost - present) | dropped) - self.stored
        return EpochLedger(
            stored=self.stored,
            lost=lost,
            released=((self.released - present) | gone) - self.stored - lost,
            next=max(self.next, held.next),
            named=True,
        )

    def closed(self) -> "EpochLedger":
        """This ledger after the gateway stopped naming the epoch: nothing of it can come."""
        return EpochLedger(
            stored=self.stored,
            lost=self.lost | self.missing(),
            released=self.released,
            next=self.next,
            named=False,
        )

    def to_wire(self, epoch: str) -> EpochCommit:
        through, missing = self.through(), self.missing()
        if len(missing.spans) > MISSING_LIMIT:
            through = missing.spans[MISSING_LIMIT][0] - 1
            missing = Ranges(missing.spans[:MISSING_LIMIT])
        return EpochCommit(epoch=epoch, through=through, missing=missing.to_wire())


class Receiver:
    """Knows what is stored of every gateway; the caller owns the store, the link and the clock."""

    def __init__(self, ledgers: dict[tuple[str, str], EpochLedger]) -> None:
        """Start from what SQL holds: a ledger by (gateway, epoch)."""
        self._ledgers: dict[str, dict[str, EpochLedger]] = {}
        for (gateway, epoch), ledger in ledgers.items():
            self._ledgers.setdefault(gateway, {})[epoch] = ledger
        self._heard: dict[str, set[str]] = {}

    def ledger(self, gateway: str, epoch: str) -> EpochLedger:
        return self._ledgers.get(gateway, {}).get(epoch, EpochLedger())

    def ledgers(self, gateway: str) -> dict[str, EpochLedger]:
        return dict(self._ledgers.get(gateway, {}))

    @property
    def gateways(self) -> tuple[str, ...]:
        return tuple(self._ledgers)

    @staticmethod
    def fate(digest: str, stored_digests: Collection[str]) -> Fate:
        """Judge a delivery by the digests that are stored under its sequence (none: empty)."""
        if digest in stored_digests:
            return Fate.SKIP
        return Fate.FORK if stored_digests else Fate.STORE

    def heard(self, gateway: str, key: BatchKey) -> None:
        """A delivery came, repeat or not: its epoch belongs into the answer."""
        self._heard.setdefault(gateway, set()).add(key.epoch)

    def recorded(self, gateway: str, keys: Iterable[BatchKey]) -> dict[str, EpochLedger]:
        """Ledgers after `keys` became durable; the caller writes them, then calls `keep`."""
        sequences: dict[str, list[int]] = {}
        for key in keys:
            sequences.setdefault(key.epoch, []).append(key.sequence)
        return {
            epoch: self.ledger(gateway, epoch).with_stored(Ranges((n, n) for n in numbers))
            for epoch, numbers in sequences.items()
        }

    def stated(
        self, gateway: str, held: Iterable[EpochHeld], *, retained: bool
    ) -> dict[str, EpochLedger]:
        """Ledgers that a state changes; the caller writes them, then calls `keep`.

        A retained state may be older than deliveries already seen: it opens and names epochs, but
        only a live one can close them.
        """
        changed: dict[str, EpochLedger] = {}
        named = set()
        for epoch in held:
            named.add(epoch.epoch)
            before = self.ledger(gateway, epoch.epoch)
            after = before.with_held(epoch)
            if after != before:
                changed[epoch.epoch] = after
        if not retained:
            self._heard.pop(gateway, None)
            for name, ledger in self._ledgers.get(gateway, {}).items():
                if name not in named and ledger != ledger.closed():
                    changed[name] = ledger.closed()
        return changed

    def keep(self, gateway: str, ledgers: dict[str, EpochLedger]) -> None:
        """Take ledgers that are durable now."""
        self._ledgers.setdefault(gateway, {}).update(ledgers)

    def commit_for(self, gateway: str, *, store: str, generation: int, now_ms: int) -> Commit:
        """The word about every epoch that the gateway named or sent."""
        heard = self._heard.get(gateway, set())
        ledgers = self._ledgers.get(gateway, {})
        return Commit(
            v=VERSION,
            store=store,
            generation=generation,
            now_ms=now_ms,
            epochs=tuple(
                ledgers[epoch].to_wire(epoch)
                for epoch in sorted(ledgers)
                if ledgers[epoch].named or epoch in heard
            ),
        )
