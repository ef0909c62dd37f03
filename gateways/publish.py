"""Publish: the spool's batches -> the broker, as the sender decides; commits -> the sender.

The shell around `metering.delivery.sender`: it loads bytes, speaks to the link, keeps what commits
said, and publishes the gateway's state. Runs on the agent's event loop; the spool has its own
thread, the link another.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import structlog
from msgspec import Struct

from gateways.spool import Dropped, Spool, SpoolCorrupt
from gateways.spool_thread import SpoolThread
from gateways.timekeeper import Timekeeper
from link.mqtt import Delivery, Link, LinkDown, Message
from metering.batch import VERSION, BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import CommitEffect, EpochBook, Sender
from metering.topic import GatewayTopic, Leaf
from metering.ulid import RANDOM_BYTES, ulid
from metering.wire import MeterHealth, SpoolState, State, WireInvalid, decode_commit, encode

log = structlog.get_logger()

_STATE_EVERY_S = 30.0
_STATE_APART_S = 1.0
_MARK_EVERY_S = 10.0
_PRUNE_EVERY_S = 60.0
_DRAIN_LOOK_S = 0.05


class Retention(Struct, frozen=True, kw_only=True):
    """How long committed batches stay, and how large the spool may become."""

    keep_ms: int
    size_limit: int


class Publisher:
    """Owns the sender. `Listener` of the link; everything else runs on the event loop."""

    def __init__(
        self,
        *,
        spool: SpoolThread,
        sender: Sender,
        topic: GatewayTopic,
        timekeeper: Timekeeper,
        retention: Retention,
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
        self._retention = retention
        self._about = about
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._state_due = asyncio.Event()
        self._link: Link | None = None
        self._packets: dict[int, BatchKey] = {}
        self._marked = 0
        self._mark_now = asyncio.Event()
        self.published = 0
        self.polled = 0
        self.forgotten = 0
        self.unsealed = 0
        self._sealing = asyncio.Lock()

    # ---- the spool

    async def keep_batches(
        self, seal: Callable[[BatchKey], list[tuple[Sealed, tuple[int, ...]]]], at_ms: int
    ) -> None:
        """Seal what follows the present sequence and keep it on disk before anything is sent.

        Args:
            seal: given the last key, the batches to keep, each with the unsealed numbers it took.
        """
        async with self._sealing:
            present = self._sender.present
            for sealed, unsealed in seal(BatchKey(present.epoch, present.next - 1)):
                self._tell_dropped(await self._append(sealed, at_ms, unsealed))
                self._sender.sealed(sealed.key)
        self._wake.set()

    async def _append(self, sealed: Sealed, at_ms: int, unsealed: tuple[int, ...]) -> Dropped:
        def append(spool: Spool) -> Dropped:
            return spool.append(sealed, sealed_at_ms=at_ms, unsealed=unsealed)

        try:
            return await self._spool.run(append)
        except SpoolCorrupt:
            await self._renew()
            return await self._spool.run(append)

    async def _renew(self) -> None:
        """A damaged spool is set aside; what could be salvaged goes on under its own numbers."""
        epoch = self._sender.present.epoch

        def renew(spool: Spool) -> dict[str, EpochBook]:
            spool.renew()
            kept = {book.epoch: book for book in spool.books()}
            if epoch not in kept:
                spool.mint(epoch)
            return kept

        books = await self._spool.run(renew)
        for book in self._sender.books:
            kept = books[book.epoch].held if book.epoch in books else Ranges()
            self._sender.dropped(book.epoch, book.held - kept)
        self._state_due.set()

    def _tell_dropped(self, dropped: Dropped) -> None:
        for epoch, sequences in dropped.items():
            self._sender.dropped(epoch, sequences)
            log.warning("spool.dropped", epoch=epoch, batches=len(sequences))
            self._state_due.set()

    # ---- the link's listener, on paho's thread

    def attach(self, link: Link) -> None:
        self._link = link

    def up(self) -> None:
        self._call(self._connected)

    def down(self, reason: str) -> None:
        self._call(self._disconnected, reason)

    def delivered(self, delivery: Delivery) -> None:
        self._call(self._take_commit, delivery)

    def acknowledged(self, packet: int) -> None:
        self._call(self._take_acknowledgement, packet)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        # The loop is closed while the process ends; the link's last words need no answer.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    # ---- the same, on the event loop

    def _connected(self) -> None:
        self._sender.connected()
        self._say(Leaf.LINK, b"online")
        self._state_due.set()
        self._wake.set()

    def _disconnected(self, _reason: str) -> None:
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
            log.warning("commit.foreign", store=commit.store, ours=self._sender.store)
            return
        if not delivery.retained:
            self._time.learn(commit.now_ms)
        self._follow(effect)
        if self._sender.is_unheard(commit, self._time.monotonic_ms()):
            self._state_due.set()
        self._wake.set()

    def _follow(self, effect: CommitEffect) -> None:
        if effect is CommitEffect.REWOUND:
            log.warning("commit.rewound", generation=self._sender.generation)
            self._mark_now.set()
        if effect is CommitEffect.FORKED:
            log.error("spool.forked", forks=self._sender.forks)
            self._mark_now.set()
            self._loop.create_task(self._mint(), name="mint")

    async def _mint(self) -> None:
        """Another box seals under our epoch: go on under a new one."""
        epoch = ulid(self._time.now_ms(), secrets.token_bytes(RANDOM_BYTES))
        async with self._sealing:
            await self._spool.run(lambda spool: spool.mint(epoch))
            self._sender.minted(epoch)
        self._state_due.set()

    # ---- the tasks

    async def send(self) -> None:
        """Send what is due, for ever."""
        while True:
            self._wake.clear()
            await self._send_due()
            await self._wait(self._wake, self._pause_s())

    def _pause_s(self) -> float:
        wake_ms = self._sender.wake_ms()
        if wake_ms is None:
            return _STATE_EVERY_S
        return min(max((wake_ms - self._time.monotonic_ms()) / 1000, 0.01), _STATE_EVERY_S)

    async def _send_due(self) -> None:
        while (key := self._sender.next_batch(self._time.monotonic_ms())) is not None:
            sealed = await self._load(key)
            if sealed is None:
                self._sender.dropped(key.epoch, Ranges.span(key.sequence, key.sequence))
                log.error("spool.batch_vanished", epoch=key.epoch, sequence=key.sequence)
                continue
            if not self._publish(sealed):
                return

    async def _load(self, key: BatchKey) -> Sealed | None:
        return await self._spool.run(lambda spool: spool.load(key))

    def _publish(self, sealed: Sealed) -> bool:
        message = Message(
            topic=self._topic.leaf(Leaf.BATCH),
            payload=sealed.payload,
            content_type=sealed.content_type,
            properties=(
                ("epoch", sealed.key.epoch),
                ("sequence", str(sealed.key.sequence)),
                ("digest", sealed.digest),
            ),
        )
        assert self._link is not None
        try:
            packet = self._link.publish(message)
        except LinkDown:
            return False
        self._packets[packet] = sealed.key
        self._sender.sent(sealed.key, len(sealed.payload), self._time.monotonic_ms())
        self.published += 1
        return True

    async def state(self) -> None:
        """Publish the state at every change worth knowing, and every half minute."""
        while True:
            await self._wait(self._state_due, _STATE_EVERY_S)
            self._state_due.clear()
            self._say(Leaf.STATE, encode(await self._describe()))
            await asyncio.sleep(_STATE_APART_S)

    def state_changed(self) -> None:
        self._state_due.set()

    async def _describe(self) -> State:
        size, corrupt = await self._spool.run(lambda spool: (spool.size(), spool.corrupt_files()))
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
            stuck=tuple((key.epoch, key.sequence) for key in self._sender.stuck),
            forks=self._sender.forks,
            polled=self.polled,
            published=self.published,
            forgotten=self.forgotten,
        )

    def _say(self, leaf: Leaf, payload: bytes) -> None:
        """A retained word; if the link is down it is said again at the next connect."""
        assert self._link is not None
        with contextlib.suppress(LinkDown):
            self._link.publish(Message(topic=self._topic.leaf(leaf), payload=payload, retain=True))

    async def drain(self, most_s: float) -> int:
        """Wait until everything is committed, but not for ever; returns what is left."""
        self._state_due.set()  # the answer names what the collector lacks
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                while self._sender.backlog():  # noqa: ASYNC110 - commits change it, no event does
                    await asyncio.sleep(_DRAIN_LOOK_S)
        await self.mark_now()
        self._say(Leaf.STATE, encode(await self._describe()))
        return self._sender.backlog()

    async def mark(self) -> None:
        """Keep what commits said. Late by design: losing it costs a repeat, never a reading."""
        while True:
            await self._wait(self._mark_now, _MARK_EVERY_S)
            self._mark_now.clear()
            await self.mark_now()

    async def mark_now(self) -> None:
        fingerprint = hash((self._sender.generation, *(b.committed for b in self._sender.books)))
        if fingerprint == self._marked:
            return
        self._marked = fingerprint
        books = self._sender.snapshot()
        store, generation = self._sender.store, self._sender.generation
        await self._spool.run(lambda spool: spool.mark(store, generation, books))

    async def prune(self) -> None:
        """Let go of what is old and committed; above the size cap, of the oldest."""
        while True:
            await asyncio.sleep(_PRUNE_EVERY_S)
            await self.mark_now()
            self._tell_dropped(await self._prune())

    async def _prune(self) -> Dropped:
        before_ms = self._time.now_ms() - self._retention.keep_ms
        limit = self._retention.size_limit
        return await self._spool.run(
            lambda spool: spool.prune(committed_before_ms=before_ms, size_limit=limit)
        )

    async def _wait(self, event: asyncio.Event, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), timeout_s)
