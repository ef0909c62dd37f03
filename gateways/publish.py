"""Publish: the spool's batches -> the broker, as the sender decides; commits -> the sender.

The shell around `metering.delivery.sender`: it keeps and loads bytes, speaks to the link, keeps
what commits said, and publishes the gateway's state. Runs on the agent's event loop; the spool has
its own thread, the link another.

A spool that refuses for now costs nothing but time: whoever asked asks again. One that is damaged
is renewed, and what went with it is named as dropped.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog
from msgspec import Struct

from gateways.spool import Dropped, Spool, SpoolBusy, SpoolCorrupt, Unsealed
from gateways.spool_thread import SpoolThread
from gateways.timekeeper import Timekeeper
from link.mqtt import Delivery, Link, LinkDown, Message
from metering.batch import VERSION, BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import CommitEffect, EpochBook, Sender
from metering.errors import TransientError
from metering.reading import Reading
from metering.topic import GatewayTopic, Leaf
from metering.ulid import RANDOM_BYTES, ulid
from metering.wire import Commit, MeterHealth, SpoolState, State, WireInvalid, decode_commit, encode

log = structlog.get_logger()

UNSEALED_COUNTED = 20_000  # more are not counted at a start: that takes them all into memory
_DRAIN_LOOK_S = 0.05
_QUEUED_MS = 5_000  # a broker hands out what it queued for us at once, and what it retains
_FOREIGN_NAMED = 16

_T = TypeVar("_T")


class Policy(Struct, frozen=True, kw_only=True):
    """How long batches stay on disk, and how often what is done.

    Attributes:
        keep_ms: for how long a committed batch stays.
        size_limit: bytes; above it the oldest go, committed ones first.
        state_every_s: the state is said this often, and `state_apart_s` apart when it changes.
        mark_every_s: what commits said is kept this often.
        again_s: how long a disk or a link that refused is let be.
    """

    keep_ms: int
    size_limit: int
    state_every_s: float = 30.0
    state_apart_s: float = 1.0
    mark_every_s: float = 10.0
    prune_every_s: float = 60.0
    again_s: float = 1.0


class Portion(Struct, frozen=True, kw_only=True):
    """A sealed batch, how many readings it took, and which of them waited unsealed."""

    sealed: Sealed
    readings: int
    unsealed: tuple[int, ...] = ()


class Publisher:
    """Owns the sender. `Listener` of the link; everything else runs on the event loop.

    Attributes:
        published: batches handed to the broker, repeats included.
        polled: readings kept on disk.
        forgotten: readings that could not be kept.
        unsealed: readings on disk that wait for the time; more than nothing if that is not known.
    """

    def __init__(
        self,
        *,
        spool: SpoolThread,
        sender: Sender,
        topic: GatewayTopic,
        timekeeper: Timekeeper,
        policy: Policy,
        about: Callable[[], tuple[str, str, dict[str, MeterHealth]]],
    ) -> None:
        """Take over a spool and its sender.

        Args:
            about: the version, the fleet digest and the meters' health, for the state.
        """
        self._spool = spool
        self._sender = sender
        self._topic = topic
        self._time = timekeeper
        self._policy = policy
        self._about = about
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._state_due = asyncio.Event()
        self._mark_now = asyncio.Event()
        self._link: Link | None = None
        self._up_ms = 0
        self._remembered_ms: int | None = None
        self._foreign: set[str] = set()
        self._packets: dict[int, BatchKey] = {}
        self._marked: object = None
        self._measured = (0, 0)
        self._sealing = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._renewals = 0
        self._damaged = False
        self._refused: set[str] = set()
        self.published = 0
        self.polled = 0
        self.forgotten = 0
        self.unsealed = 0

    async def run(self) -> None:
        """Hear, send, say and keep, for ever. What nobody expected ends it."""
        async with asyncio.TaskGroup() as tasks:
            for task in (self._hear, self._send, self._say_state, self._mark, self._prune):
                tasks.create_task(task(), name=task.__name__.strip("_"))

    # ---- readings -> the spool

    async def keep(self, seal: Callable[[BatchKey], Iterable[Portion]], at_ms: int) -> int:
        """Seal what follows the present sequence and keep it on disk before anything is sent.

        Args:
            seal: given the last key, the batches to keep.
            at_ms: when.

        Returns:
            How many readings are on disk now, from the first on; a disk may refuse the rest.
        """
        async with self._sealing:
            return await self._keep(seal, at_ms, None)

    async def keep_waiting(
        self,
        most: int,
        seal: Callable[[list[Unsealed], BatchKey], Iterable[Portion]],
        at_ms: int,
    ) -> int:
        """The same for the oldest readings, `most` at once, that wait unsealed on disk.

        Returns:
            How many were sealed; 0 if none waits or the disk refused.
        """
        async with self._sealing:
            try:
                waiting = await self._attempt("unsealed", lambda spool: spool.unsealed(most))
            except TransientError:
                return 0
            if not waiting:
                self.unsealed = 0
                return 0
            kept = await self._keep(partial(seal, waiting), at_ms, self._renewals)
            self.unsealed = max(1, self.unsealed - kept)  # the disk says when it was the last
            return kept

    async def _keep(
        self, seal: Callable[[BatchKey], Iterable[Portion]], at_ms: int, since: int | None
    ) -> int:
        kept = 0
        with suppress(TransientError):
            await self._leave_forked_epoch()
            present = self._sender.present
            for portion in seal(BatchKey(present.epoch, present.next - 1)):
                self._tell_dropped(await self._append(portion, at_ms, since))
                self._sender.sealed(portion.sealed.key)
                kept += portion.readings
        self._wake.set()
        return kept

    async def _append(self, portion: Portion, at_ms: int, since: int | None) -> Dropped:
        return await self._attempt(
            "append",
            lambda spool: spool.append(
                portion.sealed, sealed_at_ms=at_ms, unsealed=portion.unsealed
            ),
            since,
        )

    async def keep_unsealed(self, boot: str, taken: tuple[tuple[int, Reading], ...]) -> int:
        """Keep readings, each with its monotonic time, until somebody vouches for the clock.

        Returns:
            How many are on disk now: all, or none if the disk refused.
        """
        try:
            await self._attempt("keep_unsealed", lambda spool: spool.keep_unsealed(boot, taken))
        except TransientError:
            return 0
        self.unsealed += len(taken)
        return len(taken)

    def forget(self, readings: int) -> None:
        """Neither disk nor memory could keep so many."""
        if readings:
            self.forgotten += readings
            self._state_due.set()

    # ---- the spool, whatever it answers

    async def _attempt(
        self, what: str, work: Callable[[Spool], _T], since: int | None = None
    ) -> _T:
        """Do `work`; a damaged spool is renewed, once, and the work done again.

        Args:
            what: names the work in the log; a refusal is said when it begins and when it ends.
            work: on the spool's own thread.
            since: the renewal that numbers in `work` are of; they mean nothing after another.

        Raises:
            TransientError: not now.
        """
        try:
            done = await self._done(work, since)
        except TransientError as error:
            if what not in self._refused:
                self._refused.add(what)
                log.warning("spool.refuses", what=what, error=str(error))
            raise
        if what in self._refused:
            self._refused.remove(what)
            log.info("spool.takes_again", what=what)
        return done

    async def _done(self, work: Callable[[Spool], _T], since: int | None) -> _T:
        renewal = self._renewals if since is None else since
        if renewal == self._renewals and not self._damaged:
            try:
                return await self._spool.run(work)
            except SpoolCorrupt as error:
                # Nobody may touch the spool from here on but whoever renews it.
                self._damaged = self._damaged or renewal == self._renewals
                log.error("spool.damaged", error=str(error))
        await self._renew(renewal)
        if since is not None:
            raise SpoolBusy("the spool was renewed, and numbers its readings anew")
        return await self._spool.run(work)

    async def _renew(self, renewal: int) -> None:
        """Set the damaged spool aside; what could be salvaged goes on under its own numbers."""
        async with self._renewing:
            if renewal != self._renewals:
                return  # somebody else was faster
            epoch = self._sender.present.epoch

            def renew(spool: Spool) -> tuple[dict[str, EpochBook], int]:
                spool.renew()
                kept = {book.epoch: book for book in spool.books()}
                if epoch not in kept:
                    spool.mint(epoch)
                return kept, len(spool.unsealed(UNSEALED_COUNTED))

            books, unsealed = await self._spool.run(renew)
            self._renewals += 1
            self._damaged = False
            self._marked = None
            self._take_stock(books, unsealed)

    def _take_stock(self, books: dict[str, EpochBook], unsealed: int) -> None:
        for book in self._sender.books:
            kept = books[book.epoch].held if book.epoch in books else Ranges()
            self._tell_dropped({book.epoch: book.held - kept})
        if unsealed < UNSEALED_COUNTED:
            self.forget(max(0, self.unsealed - unsealed))
        self.unsealed = unsealed
        self._state_due.set()

    def _tell_dropped(self, dropped: Dropped) -> None:
        """The spool threw these away; what no commit covers is lost."""
        books = {book.epoch: book for book in self._sender.books}
        for epoch, sequences in dropped.items():
            book = books.get(epoch)
            lost = (sequences & book.held) - book.committed if book else Ranges()
            self._sender.dropped(epoch, sequences)
            if lost:
                log.warning("spool.dropped", epoch=epoch, batches=len(lost))
                self._state_due.set()

    # ---- the link's listener, on paho's thread

    def attach(self, link: Link) -> None:
        self._link = link

    def up(self) -> None:
        self._tell(self._connected)

    def down(self, _reason: str) -> None:
        self._tell(self._disconnected)

    def delivered(self, delivery: Delivery) -> None:
        self._tell(partial(self._take_commit, delivery))

    def acknowledged(self, packet: int) -> None:
        self._tell(partial(self._take_acknowledgement, packet))

    def _tell(self, happened: Callable[[], None]) -> None:
        # The loop is closed while the process ends; the link's last words need no answer.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._heard.put_nowait, happened)

    # ---- the same, on the event loop

    async def _hear(self) -> None:
        while True:
            (await self._heard.get())()

    def _connected(self) -> None:
        self._up_ms, self._remembered_ms = self._time.monotonic_ms(), None
        self._sender.connected()
        self._say(Leaf.LINK, b"online")
        self._state_due.set()
        self._wake.set()

    def _disconnected(self) -> None:
        self._packets.clear()
        self._sender.disconnected(self._time.monotonic_ms())

    def _take_acknowledgement(self, packet: int) -> None:
        key = self._packets.pop(packet, None)
        if key is not None:
            self._sender.acknowledged(key)
            self._wake.set()

    def _take_commit(self, delivery: Delivery) -> None:
        assert self._link is not None
        self._link.acknowledge(delivery)
        try:
            commit = decode_commit(delivery.payload)
        except WireInvalid as error:
            log.warning("commit.unreadable", reason=error.reason, error=str(error))
            return
        effect = self._sender.commit(commit, self._time.monotonic_ms())
        if effect is CommitEffect.FOREIGN:
            self._ignore(commit.store)
            return
        if self._is_fresh(delivery, commit):
            self._time.learn(commit.now_ms)
        self._follow(effect)
        if self._sender.is_unheard(commit, self._time.monotonic_ms()):
            self._state_due.set()
        self._wake.set()

    def _ignore(self, store: str) -> None:
        """Another collector speaks to us: said once, though it may go on for years."""
        if store not in self._foreign and len(self._foreign) < _FOREIGN_NAMED:
            self._foreign.add(store)
            log.warning("commit.foreign", store=store, ours=self._sender.store)

    def _is_fresh(self, delivery: Delivery, commit: Commit) -> bool:
        """Whether it was said just now.

        Neither what the broker retained, nor what it queued while we were away: that comes without
        the retained flag, but before the retained one, which is the latest of them.
        """
        if delivery.retained:
            self._remembered_ms = commit.now_ms
            return False
        if self._remembered_ms is not None:
            return commit.now_ms > self._remembered_ms
        return self._time.monotonic_ms() - self._up_ms >= _QUEUED_MS

    def _follow(self, effect: CommitEffect) -> None:
        if effect is CommitEffect.REWOUND:
            log.warning("commit.rewound", generation=self._sender.generation)
            self._mark_now.set()
        if effect is CommitEffect.FORKED:
            log.error("spool.forked", forks=self._sender.forks)
            self._state_due.set()
            self._mark_now.set()

    async def _leave_forked_epoch(self) -> None:
        """Where another box seals under our epoch too, go on under a new one."""
        if not self._sender.present.forked:
            return
        epoch = ulid(self._time.now_ms(), secrets.token_bytes(RANDOM_BYTES))
        await self._attempt("mint", lambda spool: spool.mint(epoch))
        self._sender.minted(epoch)
        self._state_due.set()

    # ---- the tasks

    async def _send(self) -> None:
        """Send what is due, for ever."""
        while True:
            self._wake.clear()
            went_well = await self._send_due()
            await _happens(self._wake, self._pause_s() if went_well else self._policy.again_s)

    def _pause_s(self) -> float:
        wake_ms = self._sender.wake_ms()
        if wake_ms is None:
            return self._policy.state_every_s
        ahead_s = (wake_ms - self._time.monotonic_ms()) / 1000
        return min(max(ahead_s, 0.01), self._policy.state_every_s)

    async def _send_due(self) -> bool:
        """False if the spool or the link refused."""
        while (key := self._sender.next_batch(self._time.monotonic_ms())) is not None:
            try:
                sealed = await self._attempt("load", partial(_load, key=key))
                if sealed is not None:
                    self._publish(sealed)
                    continue
            except TransientError:
                return False
            log.error("spool.batch_vanished", epoch=key.epoch, sequence=key.sequence)
            self._tell_dropped({key.epoch: Ranges.span(key.sequence, key.sequence)})
        return True

    def _publish(self, sealed: Sealed) -> None:
        assert self._link is not None
        packet = self._link.publish(
            Message(
                topic=self._topic.leaf(Leaf.BATCH),
                payload=sealed.payload,
                content_type=sealed.content_type,
                properties=(
                    ("epoch", sealed.key.epoch),
                    ("sequence", str(sealed.key.sequence)),
                    ("digest", sealed.digest),
                ),
            )
        )
        self._packets[packet] = sealed.key
        self._sender.sent(sealed.key, len(sealed.payload), self._time.monotonic_ms())
        self.published += 1

    async def _say_state(self) -> None:
        """Publish the state at every change worth knowing, and every half minute."""
        while True:
            await _happens(self._state_due, self._policy.state_every_s)
            self._state_due.clear()
            self._say(Leaf.STATE, encode(await self._describe()))
            await asyncio.sleep(self._policy.state_apart_s)

    def state_changed(self) -> None:
        self._state_due.set()

    async def _describe(self) -> State:
        with suppress(TransientError):  # the size known before is better than no state
            self._measured = await self._attempt("measure", _measure)
        size, corrupt = self._measured
        version, fleet, meters = self._about()
        return State(
            v=VERSION,
            gateway=self._topic.gateway,
            version=version,
            at_ms=self._time.now_ms(),
            fleet=fleet,
            clock=self._time.state,
            epochs=self._sender.held(),
            meters=meters,
            spool=SpoolState(
                size=size,
                backlog=self._sender.backlog(),
                unsealed=self.unsealed,
                corrupt=corrupt,
            ),
            store=self._sender.store,
            generation=self._sender.generation,
            stuck=tuple((key.epoch, key.sequence) for key in self._sender.stuck),
            forks=self._sender.forks,
            polled=self.polled,
            published=self.published,
            forgotten=self.forgotten,
        )

    def _say(self, leaf: Leaf, payload: bytes) -> None:
        """A retained word; if the link is down it is said again at the next connect."""
        assert self._link is not None
        with suppress(LinkDown):
            self._link.publish(Message(topic=self._topic.leaf(leaf), payload=payload, retain=True))

    async def drain(self, most_s: float) -> int:
        """Wait until everything is committed, but not for ever; returns what is left."""
        self._state_due.set()  # the answer names what the collector lacks
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                while self._sender.backlog():  # noqa: ASYNC110 - commits change it, no event does
                    await asyncio.sleep(_DRAIN_LOOK_S)
        await self._keep_word()
        self._say(Leaf.STATE, encode(await self._describe()))
        return self._sender.backlog()

    async def _mark(self) -> None:
        """Keep what commits said. Late by design: losing it costs a repeat, never a reading."""
        while True:
            await _happens(self._mark_now, self._policy.mark_every_s)
            self._mark_now.clear()
            await self._keep_word()

    async def _keep_word(self) -> None:
        with suppress(TransientError):  # the next round tries again
            async with self._sealing:
                await self._leave_forked_epoch()
            await self._keep_commits()

    async def _keep_commits(self) -> None:
        books = self._sender.snapshot()
        store, generation = self._sender.store, self._sender.generation
        word = (generation, [(book.epoch, book.committed, book.forked) for book in books])
        if word != self._marked:
            await self._attempt("mark", lambda spool: spool.mark(store, generation, books))
            self._marked = word

    async def _prune(self) -> None:
        """Let go of what is old and committed; above the size cap, of the oldest."""
        while True:
            await asyncio.sleep(self._policy.prune_every_s)
            await self._keep_word()
            before_ms = self._time.now_ms() - self._policy.keep_ms
            limit = self._policy.size_limit
            with suppress(TransientError):  # the next round tries again
                dropped = await self._attempt(
                    "prune", partial(_prune, committed_before_ms=before_ms, size_limit=limit)
                )
                self._tell_dropped(dropped)


def _load(spool: Spool, key: BatchKey) -> Sealed | None:
    return spool.load(key)


def _prune(spool: Spool, committed_before_ms: int, size_limit: int) -> Dropped:
    return spool.prune(committed_before_ms=committed_before_ms, size_limit=size_limit)


def _measure(spool: Spool) -> tuple[int, int]:
    return spool.size(), spool.corrupt_files()


async def _happens(event: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
