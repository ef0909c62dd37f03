"""Publish: the spool's batches -> the broker, as the sender decides; commits -> the sender.

The shell around `metering.delivery.sender`: it speaks to the link, and publishes the gateway's
state. Runs on the agent's event loop; what it needs of the disk it asks of `gateways.spool.keep`,
and the link has its own thread.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog
from msgspec import Struct

from gateways.spool.keep import Keeper, Policy
from gateways.timekeeper import Timekeeper
from link.mqtt import Delivery, Link, LinkDown, Message
from metering.batch import VERSION, BatchKey, Sealed
from metering.delivery.sender import CommitEffect, Sender
from metering.errors import TransientError
from metering.topic import GatewayTopic, Leaf
from metering.wire import (
    BusHealth,
    Commit,
    MeterHealth,
    SpoolState,
    State,
    WireInvalid,
    decode_commit,
    encode,
)

log = structlog.get_logger()

_DRAIN_LOOK_S = 0.05
_QUEUED_MS = 5_000  # a broker hands out what it queued for us at once, and what it retains
_FOREIGN_NAMED = 16


class About(Struct, frozen=True, kw_only=True):
    """What a gateway's state says beside its spool and its link.

    Attributes:
        version: of the software.
        fleet: digest of the fleet part it works by.
        meters: their health, by id.
        buses: theirs.
        refused: why a changed fleet part was not taken over.
    """

    version: str
    fleet: str
    meters: dict[str, MeterHealth]
    buses: tuple[BusHealth, ...] = ()
    refused: str = ""


class Publisher:
    """Owns the sender. `Listener` of the link; everything else runs on the event loop.

    Attributes:
        keeper: owns the spool.
        published: batches handed to the broker, repeats included.
        is_up: whether the link is.
    """

    def __init__(
        self,
        *,
        keeper: Keeper,
        sender: Sender,
        topic: GatewayTopic,
        timekeeper: Timekeeper,
        policy: Policy,
        about: Callable[[], About],
    ) -> None:
        """Take over a sender.

        Args:
            about: what the state says beside the spool and the link.
        """
        self.keeper = keeper
        self._sender = sender
        self._topic = topic
        self._time = timekeeper
        self._policy = policy
        self._about = about
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
        self._wake = keeper.wake
        self._state_due = keeper.state_due
        self._link: Link | None = None
        self._up_ms = 0
        self._remembered_ms: int | None = None
        self._foreign: set[str] = set()
        self._packets: dict[int, BatchKey] = {}
        self.published = 0
        self.is_up = False

    async def run(self) -> None:
        """Hear, send, say and keep, for ever. What nobody expected ends it."""
        async with asyncio.TaskGroup() as tasks:
            for task in (self._hear, self._send, self._say_state):
                tasks.create_task(task(), name=task.__name__.strip("_"))
            tasks.create_task(self.keeper.run(), name="keep")

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
        self.is_up = True
        self._sender.connected()
        self._say(Leaf.LINK, b"online")
        self._state_due.set()
        self._wake.set()

    def _disconnected(self) -> None:
        self.is_up = False
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
            self.keeper.mark_soon()
        if effect is CommitEffect.FORKED:
            log.error("spool.forked", forks=self._sender.forks)
            self._state_due.set()
            self.keeper.mark_soon()

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
                sealed = await self.keeper.load(key)
                if sealed is not None:
                    self._publish(sealed)
            except TransientError:
                return False
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
        await self.keeper.measure()
        return self.state()

    def state(self) -> State:
        """The gateway's word about itself; the spool's size as last measured."""
        size, corrupt = self.keeper.measured
        about = self._about()
        return State(
            v=VERSION,
            gateway=self._topic.gateway,
            version=about.version,
            at_ms=self._time.now_ms(),
            fleet=about.fleet,
            clock=self._time.state,
            epochs=self._sender.held(),
            meters=about.meters,
            spool=SpoolState(
                size=size,
                backlog=self._sender.backlog(),
                unsealed=self.keeper.unsealed,
                corrupt=corrupt,
                limit=self.keeper.size_limit,
            ),
            store=self._sender.store,
            generation=self._sender.generation,
            stuck=tuple((key.epoch, key.sequence) for key in self._sender.stuck),
            forks=self._sender.forks,
            polled=self.keeper.polled,
            published=self.published,
            forgotten=self.keeper.forgotten,
            buses=about.buses,
            refused=about.refused,
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
        await self.keeper.keep_word()
        self._say(Leaf.STATE, encode(await self._describe()))
        return self._sender.backlog()


async def _happens(event: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
