"""The two ends of the commit protocol against each other, with hypothesis playing the faults."""

import copy
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.delivery.receiver import EpochLedger, Fate, Receiver
from metering.delivery.sender import CommitEffect, EpochBook, Lane, Sender
from metering.wire import SpoolState, State, decode_commit, decode_state, encode

GATEWAY = "gw"
STORE = "heping-1"


class Box:
    """A gateway box: a spool on disk, and a sender in memory."""

    def __init__(self, epoch: str) -> None:
        self.disk: dict[BatchKey, str] = {}  # key -> digest of its bytes
        self.books: dict[str, EpochBook] = {}
        self.generation = 1
        self.boot(epoch)

    def boot(self, epoch: str) -> None:
        self.books[epoch] = EpochBook(epoch=epoch)
        self.sender = Sender(
            store=STORE,
            generation=self.generation,
            books=[copy.copy(book) for book in self.books.values()],
            jitter=lambda: 0.5,
        )
        self.sender.connected()

    def save(self) -> None:
        """What the real spool writes at each change."""
        self.books = {book.epoch: copy.copy(book) for book in self.sender.books}
        self.generation = self.sender.generation


class World(RuleBasedStateMachine):
    """A box, a lossy broker, a collector with SQL and a store; any of them may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.births = 0
        self.contents = 0
        self.queue: list[tuple[BatchKey, str]] = []  # the broker's, of the collector's session
        self.old_commits: list[bytes] = []
        self.store: dict[tuple[BatchKey, str], int] = {}  # -> how many times written
        self.sql: dict[tuple[str, str], EpochLedger] = {}
        self.digests: dict[BatchKey, set[str]] = {}
        self.generation = 1
        self.receiver = Receiver({})
        self.ever_dropped: set[BatchKey] = set()
        self.ever_lost: set[BatchKey] = set()  # said once, counted and alarmed: SQL may go after

    @initialize()
    def first_boot(self) -> None:
        self.box = Box(self.new_epoch())

    def new_epoch(self) -> str:
        self.births += 1
        return f"E{self.births:04}"

    # ---- the gateway

    @rule(count=st.integers(1, 40))
    def seal(self, count: int) -> None:
        for _ in range(count):
            book = self.box.sender.present
            key = BatchKey(book.epoch, book.next)
            self.contents += 1
            self.box.disk[key] = f"bytes-{self.contents}"
            self.box.sender.sealed(key)
        self.box.save()

    @rule(steps=st.integers(1, 30))
    def send(self, steps: int) -> None:
        for _ in range(steps):
            key = self.box.sender.next_batch(self.now)
            if key is None:
                return
            self.queue.append((key, self.box.disk[key]))
            self.box.sender.sent(key, 20_000, self.now)
            self.box.sender.acknowledged(key)

    @rule(ms=st.sampled_from([1_000, 20_000, 700_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule()
    def link_falls(self) -> None:
        self.box.sender.disconnected(self.now)
        self.box.sender.connected()

    @rule()
    def kill_gateway(self) -> None:
        self.box.boot(self.new_epoch())
        self.box.save()

    @rule(count=st.integers(1, 20))
    def spool_drops_its_oldest(self, count: int) -> None:
        for book in self.box.sender.books:
            doomed = [n for n, _ in zip(book.held.ascending(), range(count), strict=False)]
            gone = Ranges((n, n) for n in doomed)
            for n in doomed:
                if n not in book.committed:
                    self.ever_dropped.add(BatchKey(book.epoch, n))
            self.box.sender.dropped(book.epoch, gone)
        self.box.save()

    # ---- the broker

    @rule(data=st.data())
    def broker_drops(self, data: st.DataObject) -> None:
        if self.queue:
            keep = data.draw(st.integers(0, len(self.queue) - 1))
            self.queue = self.queue[:keep]

    @rule()
    def broker_delivers_twice(self) -> None:
        self.queue = self.queue + self.queue[:5]

    # ---- the collector

    @rule(count=st.integers(1, 40), crash=st.sampled_from(["no", "no", "after store", "after sql"]))
    def collect(self, count: int, crash: str) -> None:
        group, rest = self.queue[:count], self.queue[count:]
        for key, digest in group:
            fate = Receiver.fate(digest, self.digests.get(key, set()))
            self.receiver.heard(GATEWAY, key)
            if fate is not Fate.SKIP:
                self.store[key, digest] = self.store.get((key, digest), 0) + 1
        if crash == "after store":
            return self.restart_collector()
        for key, digest in group:
            self.digests.setdefault(key, set()).add(digest)
        changed = self.receiver.recorded(GATEWAY, [key for key, _ in group])
        self.sql.update({(GATEWAY, epoch): ledger for epoch, ledger in changed.items()})
        if crash == "after sql":
            return self.restart_collector()
        self.receiver.keep(GATEWAY, changed)
        self.queue = rest  # PUBACK
        self.answer()
        return None

    @rule()
    def restart_collector(self) -> None:
        self.receiver = Receiver(dict(self.sql))

    @rule()
    def small_state_deleted(self) -> None:
        self.sql, self.digests = {}, {}
        self.restart_collector()

    @rule(retained=st.booleans())
    def state_arrives(self, retained: bool) -> None:
        state = State(
            v=1,
            gateway=GATEWAY,
            version="0",
            at_ms=0,
            fleet="",
            clock="synced",
            epochs=self.box.sender.held(),
            meters={},
            spool=SpoolState(size=0, backlog=0, unsealed=0),
        )
        held = decode_state(encode(state)).epochs
        changed = self.receiver.stated(GATEWAY, held, retained=retained)
        self.sql.update({(GATEWAY, epoch): ledger for epoch, ledger in changed.items()})
        self.receiver.keep(GATEWAY, changed)
        for epoch, ledger in changed.items():
            self.ever_lost |= {BatchKey(epoch, n) for n in ledger.lost.ascending()}
        self.answer()

    def answer(self) -> None:
        commit = self.receiver.commit_for(
            GATEWAY, store=STORE, generation=self.generation, now_ms=self.now
        )
        self.old_commits = [*self.old_commits[-20:], encode(commit)]

    @rule(data=st.data())
    def any_commit_arrives(self, data: st.DataObject) -> None:
        """Late, twice, out of order: the broker may hand over any commit ever said."""
        if self.old_commits:
            self.take(data.draw(st.sampled_from(self.old_commits)))

    @rule()
    def foreign_commit_arrives(self) -> None:
        foreign = Receiver(
            {(GATEWAY, book.epoch): EpochLedger(next=10_000) for book in self.box.sender.books}
        )
        word = foreign.commit_for(GATEWAY, store="other", generation=9, now_ms=0)
        assert self.box.sender.commit(word, self.now) is CommitEffect.FOREIGN

    @rule()
    def database_restored_from_a_backup(self) -> None:
        """Half of the store is gone; the operator asks for everything since."""
        survivors = dict(list(self.store.items())[: len(self.store) // 2])
        gone = {key for key, _ in self.store} - {key for key, _ in survivors}
        self.store = survivors
        self.generation += 1
        for (gateway, epoch), ledger in self.sql.items():
            sequences = Ranges((key.sequence, key.sequence) for key in gone if key.epoch == epoch)
            self.sql[gateway, epoch] = ledger.without(sequences)
        self.digests = {k: v for k, v in self.digests.items() if k not in gone}
        self.restart_collector()
        self.state_arrives(retained=True)
        self.take(self.old_commits[-1])

    def take(self, commit: bytes) -> None:
        effect = self.box.sender.commit(decode_commit(commit), self.now)
        assert effect is not CommitEffect.FORKED
        self.box.save()

    # ---- what must hold

    @invariant()
    def nothing_is_forgettable_before_the_store_has_it(self) -> None:
        for book in self.box.sender.books:
            for sequence in (book.held & book.committed).ascending():
                key = BatchKey(book.epoch, sequence)
                assert (key, self.box.disk[key]) in self.store, key

    @invariant()
    def the_links_load_is_bounded(self) -> None:
        lanes = Counter(on_way.lane for on_way in self.box.sender._outstanding.values())
        assert lanes[Lane.LIVE] <= 16
        assert lanes[Lane.BACKLOG] <= 4
        assert lanes[Lane.STUCK] <= 4

    def teardown(self) -> None:
        """Once the faults end, everything held is stored and the collector lacks nothing."""
        for _ in range(400):
            self.now += 60_000
            self.state_arrives(retained=False)
            self.take(self.old_commits[-1])
            self.send(steps=30)
            if self.queue:
                self.collect(count=40, crash="no")
                self.take(self.old_commits[-1])
            if not self.box.sender.backlog():
                break
        for book in self.box.sender.books:
            for sequence in book.held.ascending():
                key = BatchKey(book.epoch, sequence)
                assert (key, self.box.disk[key]) in self.store, f"{key} was never stored"
        for key in self.ever_dropped:
            stored = any(stored_key == key for stored_key, _ in self.store)
            assert stored or key in self.ever_lost, f"{key} vanished without a word"


World.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestTheTwoEndsOfTheCommitProtocol = World.TestCase
