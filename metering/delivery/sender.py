"""Sender: what the spool holds + what the collector says -> which batch to send next.

The gateway's end of the commit protocol, as a pure state machine. Rules of this module:

1. Everything that decides what is sent, and when, lives here; no bytes, sockets, files or clocks.
2. Only a commit makes a batch forgettable. The broker's PUBACK proves nothing but that the link
   carried it, and is used for nothing but to find out which batch breaks the link.
3. Nothing blocks the rest: live before backlog, backlog bounded, poison set aside.

`docs/decisions/0003-commit-protocol.md` has the reasons. Times are monotonic milliseconds.
"""

from collections.abc import Callable, Iterator
from copy import copy
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.wire import SEALED_LIMIT, Commit, EpochHeld

LIVE_WINDOW = 16  # newest uncommitted batches of the present epoch
BACKLOG_WINDOW = 4  # older batches outstanding at once
BACKLOG_BYTES = 512 * 1024
FIRST_WAIT_MS = 30_000  # before an unanswered batch is sent again; doubles
LONGEST_WAIT_MS = 600_000
CROSSING_MS = 5_000  # a commit younger than this may have crossed the batch on its way
BREAKING_MS = 5_000  # a broker that will not take a batch closes the link at once
STUCK_SENDS = 5  # in STUCK_SPAN_MS, while other batches commit
STUCK_SPAN_MS = 3_600_000
STUCK_FALLS = 2
STUCK_RETRY_MS = 86_400_000


class Lane(StrEnum):
    """Why a batch is on its way."""

    LIVE = "live"
    BACKLOG = "backlog"
    STUCK = "stuck"


class CommitEffect(StrEnum):
    """What a commit did here."""

    FOREIGN = "foreign"  # another store's word; not obeyed
    STALE = "stale"  # an older generation's
    KNOWN = "known"  # nothing new
    ADVANCED = "advanced"  # batches became forgettable
    REWOUND = "rewound"  # a new generation: what is held goes out again
    FORKED = "forked"  # it names sequences never sealed here: another box has this spool


class EpochBook(Struct, kw_only=True):
    """One epoch as the sender knows it. `next` is the sequence its next sealed batch gets."""

    epoch: str
    next: int = 1
    held: Ranges = Ranges()
    committed: Ranges = Ranges()
    dropped: Ranges = Ranges()
    forked: bool = False

    def uncommitted(self) -> Ranges:
        return self.held - self.committed

    def to_wire(self) -> EpochHeld:
        oldest = self.next if self.held.lowest is None else self.held.lowest
        gone = Ranges.span(oldest, self.next - 1) - self.held
        return EpochHeld(
            epoch=self.epoch,
            oldest=oldest,
            next=self.next,
            dropped=self.dropped.to_wire(),
            released=(gone - self.dropped).to_wire(),
        )


class _Outstanding(Struct, kw_only=True):
    """A batch on its way. `size` is 0 until the caller says how large it is."""

    lane: Lane
    size: int
    sent_ms: int
    due_ms: int
    acknowledged: bool = False  # by the broker
    order: int  # of all sends of this sender


class _History(Struct, kw_only=True):
    """What sending one batch led to so far."""

    first_ms: int
    sends_ms: list[int]
    falls: int = 0
    commits_at_first: int


class Sender:
    """Decides what a gateway sends. The caller owns the spool, the link and the clock."""

    def __init__(
        self,
        *,
        store: str,
        generation: int,
        books: list[EpochBook],
        jitter: Callable[[], float],
    ) -> None:
        """Start from what the spool holds.

        Args:
            store: the only store whose commits are obeyed.
            generation: the highest generation of it seen before; 0 of a store never heard of, and
                then what the books call committed was another store's word.
            books: epochs, oldest first; the last one is the present one.
            jitter: a random number in [0, 1) at each call.
        """
        self.store = store
        self.generation = generation
        self.forks = 0
        if generation == 0:
            books = [replace(book, committed=Ranges()) for book in books]
        self._books = {book.epoch: book for book in books}
        self._present = books[-1].epoch
        self._jitter = jitter
        self._connected = False
        self._outstanding: dict[BatchKey, _Outstanding] = {}
        self._history: dict[BatchKey, _History] = {}
        self._stuck: dict[BatchKey, int] = {}  # -> when to try again
        self._commits = 0
        self._sends = 0
        self._answered_order = 0  # the latest send that a commit answered

    # ---- what is known

    @property
    def present(self) -> EpochBook:
        return self._books[self._present]

    @property
    def books(self) -> tuple[EpochBook, ...]:
        return tuple(self._books.values())

    def snapshot(self) -> tuple[EpochBook, ...]:
        """The books as they are now, for the spool to keep while the sender goes on."""
        return tuple(copy(book) for book in self._books.values())

    @property
    def stuck(self) -> tuple[BatchKey, ...]:
        return tuple(self._stuck)

    def backlog(self) -> int:
        """How many batches no commit covers."""
        return sum(len(book.uncommitted()) for book in self._books.values())

    def held(self) -> tuple[EpochHeld, ...]:
        """The state's `epochs`: every epoch of which something is held, and the present one."""
        return tuple(
            book.to_wire()
            for book in self._books.values()
            if book.held or book.dropped or book.epoch == self._present
        )

    # ---- what happens to the spool

    def sealed(self, key: BatchKey) -> None:
        """A batch was sealed and is on disk."""
        book = self._books[key.epoch]
        book.held = book.held.add(key.sequence)
        book.next = key.sequence + 1

    def dropped(self, epoch: str, sequences: Ranges) -> None:
        """The spool threw batches away; those that no commit covers are named in the state."""
        book = self._books.get(epoch)
        if book is None:  # retired while the spool was busy
            return
        book.dropped = book.dropped | ((sequences & book.held) - book.committed)
        book.held = book.held - sequences
        for key in [k for k in self._all_keys() if k.epoch == epoch and k.sequence in sequences]:
            self._forget(key)

    def minted(self, epoch: str) -> None:
        """A new epoch is the present one; the former drains under its own number."""
        self._books[epoch] = EpochBook(epoch=epoch)
        self._present = epoch

    # ---- what happens to the link

    def connected(self) -> None:
        self._connected = True

    def disconnected(self, now_ms: int) -> None:
        """The link fell: everything unanswered goes again; what had just been sent is suspect."""
        self._connected = False
        suspects = [
            key
            for key, on_way in self._outstanding.items()
            if not on_way.acknowledged and now_ms - on_way.sent_ms < BREAKING_MS
        ]
        for key in suspects:
            # The first time it may have been another; the second time it travelled alone.
            self._history[key].falls += 1
        self._outstanding.clear()

    def acknowledged(self, key: BatchKey) -> None:
        """The broker has it: the link can carry it. Nothing else follows."""
        if key in self._outstanding:
            self._outstanding[key].acknowledged = True
            self._history[key].falls = 0

    def commit(self, commit: Commit, now_ms: int) -> CommitEffect:
        """Take the collector's word; commits of the same generation only add."""
        if commit.store != self.store:
            return CommitEffect.FOREIGN
        if commit.generation < self.generation:
            return CommitEffect.STALE
        rewound = 0 < self.generation < commit.generation  # 0: the first word ever heard
        self.generation = commit.generation
        if rewound:
            for book in self._books.values():
                book.committed = Ranges()
        before = sum(len(book.committed) for book in self._books.values())
        forked = any(self._is_fork(epoch.epoch, epoch.through) for epoch in commit.epochs)
        for epoch in commit.epochs:
            missing = Ranges.from_wire(epoch.missing)
            self._add(epoch.epoch, Ranges.span(1, epoch.through) - missing, now_ms)
            self._want(epoch.epoch, missing, now_ms)
            self._retire(epoch.epoch, epoch.through, missing)
        if forked:
            self.forks += 1
            return CommitEffect.FORKED
        if rewound:
            return CommitEffect.REWOUND
        after = sum(len(book.committed) for book in self._books.values())
        return CommitEffect.ADVANCED if after > before else CommitEffect.KNOWN

    def _is_fork(self, epoch: str, through: int) -> bool:
        book = self._books.get(epoch)
        if book is None or book.forked or through < book.next:
            return False
        book.forked = True
        return epoch == self._present

    def _add(self, epoch: str, stored: Ranges, now_ms: int) -> None:
        book = self._books.get(epoch)
        if book is None:
            return
        fresh = stored - book.committed
        if book.forked:
            # What was not sent from here, or not even sealed yet, is another box's.
            fresh = fresh & self._answered(epoch, now_ms)
        if not fresh:
            return
        book.committed = book.committed | fresh
        self._commits += 1
        for key in [k for k in self._all_keys() if k.epoch == epoch and k.sequence in fresh]:
            if key in self._outstanding:
                self._answered_order = max(self._answered_order, self._outstanding[key].order)
            self._forget(key)

    def _answered(self, epoch: str, now_ms: int) -> Ranges:
        """Of a forked epoch: what was sent long enough ago that the commit may be the answer."""
        return Ranges(
            (key.sequence, key.sequence)
            for key, history in self._history.items()
            if key.epoch == epoch and now_ms - history.first_ms >= CROSSING_MS
        )

    def _retire(self, epoch: str, through: int, missing: Ranges) -> None:
        """Forget a past epoch once nothing of it is held and its losses are known."""
        book = self._books.get(epoch)
        if book is None or epoch == self._present or book.held:
            return
        if through >= book.dropped.highest and not book.dropped & missing:
            del self._books[epoch]

    def _want(self, epoch: str, missing: Ranges, now_ms: int) -> None:
        """What the collector lacks goes out again, unless it just crossed this word on its way."""
        for key, on_way in self._outstanding.items():
            if key.epoch == epoch and key.sequence in missing:
                on_way.due_ms = min(on_way.due_ms, max(now_ms, on_way.sent_ms + CROSSING_MS))

    def _all_keys(self) -> set[BatchKey]:
        return {*self._outstanding, *self._history, *self._stuck}

    def _forget(self, key: BatchKey) -> None:
        self._outstanding.pop(key, None)
        self._history.pop(key, None)
        self._stuck.pop(key, None)

    # ---- what to send

    def next_batch(self, now_ms: int) -> BatchKey | None:
        """The batch to send now, or None; call `sent` before asking again."""
        if not self._connected:
            return None
        self._release(now_ms)
        if self._isolating():
            return None
        lanes = (self._suspects, self._live, self._overdue, self._backlog, self._retried)
        for candidates in lanes:
            key = next(candidates(now_ms), None)
            if key is not None:
                return key
        return None

    def sent(self, key: BatchKey, size: int, now_ms: int) -> None:
        """`key`, `size` bytes as sent, was handed to the link.

        A commit that came while its bytes were being loaded has the last word.
        """
        book = self._books.get(key.epoch)
        if book is None or key.sequence not in book.uncommitted():
            return  # committed or dropped while its bytes were loaded: nothing is waited for
        lane = Lane.STUCK if key in self._stuck else self._lane(key)
        history = self._history.setdefault(
            key, _History(first_ms=now_ms, sends_ms=[], commits_at_first=self._commits)
        )
        history.sends_ms = [t for t in history.sends_ms if now_ms - t < STUCK_SPAN_MS] + [now_ms]
        doubled = FIRST_WAIT_MS << min(len(history.sends_ms) - 1, 10)
        wait_ms = min(doubled, LONGEST_WAIT_MS) * (0.5 + self._jitter())
        if lane is Lane.STUCK:
            self._stuck[key] = now_ms + STUCK_RETRY_MS
            wait_ms = LONGEST_WAIT_MS
        self._sends += 1
        self._outstanding[key] = _Outstanding(
            lane=lane,
            size=size,
            sent_ms=now_ms,
            due_ms=now_ms + int(wait_ms),
            order=self._sends,
        )

    def is_unheard(self, commit: Commit, now_ms: int) -> bool:
        """Whether a commit passes over batches that were sent long before it.

        Then the collector is alive and does not know of them: it should be told what is held.
        """
        through = {epoch.epoch: epoch.through for epoch in commit.epochs}
        return any(
            now_ms - on_way.sent_ms >= CROSSING_MS and key.sequence > through.get(key.epoch, 0)
            for key, on_way in self._outstanding.items()
        )

    def wake_ms(self) -> int | None:
        """When `next_batch` may have something without anything else happening."""
        if not self._connected:
            return None
        on_trial = [on_way.sent_ms for key, on_way in self._outstanding.items() if self._tries(key)]
        if on_trial:
            return max(on_trial) + BREAKING_MS
        due = [on_way.due_ms for on_way in self._outstanding.values()]
        if self._slots(Lane.STUCK) < BACKLOG_WINDOW:
            due += self._stuck.values()
        return min(due, default=None)

    def _busy(self, key: BatchKey) -> bool:
        return key in self._outstanding

    def _lane(self, key: BatchKey) -> Lane:
        if key in self._outstanding:
            return self._outstanding[key].lane
        return Lane.LIVE if key in set(self._window()) else Lane.BACKLOG

    def _window(self) -> list[BatchKey]:
        """The newest uncommitted batches of the present epoch that are not stuck, oldest first."""
        book = self.present
        window: list[BatchKey] = []
        for sequence in book.uncommitted().descending():
            key = BatchKey(book.epoch, sequence)
            if key in self._stuck:
                continue
            window.append(key)
            if len(window) == LIVE_WINDOW:
                break
        return window[::-1]

    def _release(self, now_ms: int) -> None:
        """Set poison aside, and take the slot of a batch that others overtook."""
        window = set(self._window())
        for key, on_way in list(self._outstanding.items()):
            if key not in self._stuck and self._is_stuck(key, now_ms):
                self._stuck[key] = now_ms + STUCK_RETRY_MS
                del self._outstanding[key]
            elif on_way.lane is Lane.STUCK and on_way.due_ms <= now_ms:
                del self._outstanding[key]
            elif key not in window and self._is_overtaken(on_way):
                self._leave_live_lane(key)
            elif self._tries(key) and now_ms - on_way.sent_ms >= BREAKING_MS:
                self._history[key].falls = 0  # the link outlived it
        for key in [k for k, h in self._history.items() if h.falls >= STUCK_FALLS]:
            self._stuck.setdefault(key, now_ms + STUCK_RETRY_MS)
            self._outstanding.pop(key, None)
            self._history[key].falls = 0

    def _is_overtaken(self, on_way: _Outstanding) -> bool:
        """A batch sent later is committed: the broker keeps the order, so this one was lost.

        While the collector is silent, or merely slow, nothing is: the broker's queue is bounded.
        """
        return on_way.lane is Lane.LIVE and on_way.order < self._answered_order

    def _leave_live_lane(self, key: BatchKey) -> None:
        if self._slots(Lane.BACKLOG) < BACKLOG_WINDOW:
            self._outstanding[key].lane = Lane.BACKLOG
        else:
            del self._outstanding[key]

    def _is_stuck(self, key: BatchKey, now_ms: int) -> bool:
        if self._outstanding[key].due_ms > now_ms:  # nearly always, and asked every time
            return False
        history = self._history[key]
        recent = [t for t in history.sends_ms if now_ms - t < STUCK_SPAN_MS]
        return self._commits > history.commits_at_first and len(recent) >= STUCK_SENDS

    def _tries(self, key: BatchKey) -> bool:
        """Whether `key` is on its way and it is not known yet whether the link can carry it."""
        return self._history[key].falls > 0 and not self._outstanding[key].acknowledged

    def _isolating(self) -> bool:
        """A batch that may break the link travels alone."""
        return any(self._tries(key) for key in self._outstanding)

    def _is_quiet(self, now_ms: int) -> bool:
        """Nothing is on its way that a falling link could be blamed on."""
        return not any(
            not on_way.acknowledged and now_ms - on_way.sent_ms < BREAKING_MS
            for on_way in self._outstanding.values()
        )

    def _suspects(self, now_ms: int) -> Iterator[BatchKey]:
        """Live batches that were under way when the link fell, once nothing else is."""
        if self._is_quiet(now_ms) and self._slots(Lane.LIVE) < LIVE_WINDOW:
            yield from (k for k in self._window() if self._is_suspect(k) and not self._busy(k))

    def _is_suspect(self, key: BatchKey) -> bool:
        return key in self._history and self._history[key].falls > 0

    def _clear_to_send(self, key: BatchKey) -> bool:
        return not self._busy(key) and key not in self._stuck

    def _live(self, _now_ms: int) -> Iterator[BatchKey]:
        if self._slots(Lane.LIVE) >= LIVE_WINDOW:
            return
        yield from (
            key for key in self._window() if self._clear_to_send(key) and not self._is_suspect(key)
        )

    def _overdue(self, now_ms: int) -> Iterator[BatchKey]:
        yield from (key for key, on_way in self._outstanding.items() if on_way.due_ms <= now_ms)

    def _backlog(self, now_ms: int) -> Iterator[BatchKey]:
        """Newest first, of the newest epoch first."""
        size = sum(o.size for o in self._outstanding.values() if o.lane is Lane.BACKLOG)
        # The next one's size is not known yet: room for the largest must be free.
        if self._slots(Lane.BACKLOG) >= BACKLOG_WINDOW or size + SEALED_LIMIT > BACKLOG_BYTES:
            return
        window, quiet = set(self._window()), self._is_quiet(now_ms)
        for book in reversed(self._books.values()):
            for sequence in book.uncommitted().descending():
                key = BatchKey(book.epoch, sequence)
                waits = self._is_suspect(key) and not quiet
                if key not in window and self._clear_to_send(key) and not waits:
                    yield key

    def _retried(self, now_ms: int) -> Iterator[BatchKey]:
        """Poison gets its daily try, few at once."""
        if self._slots(Lane.STUCK) < BACKLOG_WINDOW:
            yield from (k for k, due in self._stuck.items() if due <= now_ms and not self._busy(k))

    def _slots(self, lane: Lane) -> int:
        return sum(on_way.lane is lane for on_way in self._outstanding.values())
