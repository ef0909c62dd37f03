"""A gateway's agent and publisher, wired on fakes; its clocks move when they are told to."""

import asyncio
import random
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from gateways.agent import Agent, Limits
from gateways.library.model import Table
from gateways.polled_bus import PolledBus
from gateways.publish import About, Publisher
from gateways.pulse import Pulse
from gateways.reading.meter import build_meters
from gateways.spool.keep import Keeper, Policy
from gateways.spool.port import Spool
from gateways.spool.seal import Sealer
from gateways.spool.thread import SpoolThread
from gateways.timekeeper import Timekeeper
from link.mqtt import Delivery
from metering.batch import ClockState
from metering.delivery.ranges import Ranges
from metering.delivery.sender import Sender
from metering.topic import GatewayTopic
from metering.ulid import RANDOM_BYTES, ulid
from metering.wire import MeterHealth
from tests.fakes.bus import FakeBus
from tests.fakes.link import DISTRICT, GATEWAY, SEALED_MS, FakeLink
from tests.fakes.memory import FakeMemory
from tests.fakes.spool import FakeSpool

STORE = "heping-1"
FOREVER_S = 3600.0
CYCLE_MS = 1_000
MODEL = {
    "name": "M1",
    "maker": "Maker",
    "measures": "electricity",
    "confidence": "high",
    "sources": ["a document"],
    "table": "holding",
    "format": "uint16",
    "registers": [{"address": 10, "quantity": "voltage_l1_v"}],
}
# Nothing happens because time passed; a test that is about that says how often.
PATIENT = Policy(
    keep_ms=86_400_000,
    size_limit=1 << 40,
    state_every_s=FOREVER_S,
    state_apart_s=0.0,
    mark_every_s=FOREVER_S,
    prune_every_s=FOREVER_S,
    again_s=0.005,
)
QUICK = Limits(flush_s=0.01, look_s=0.002)


class BoxClock:
    """Implements `Clock` as a machine's two clocks: one can be set, the other only passes."""

    def __init__(self, now_ms: int = SEALED_MS, monotonic_ms: int = 50_000) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = monotonic_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def real_s(self, wall_ms: int) -> float:
        return wall_ms / 1000

    def pass_ms(self, real_ms: int) -> None:
        self._now_ms += real_ms
        self._monotonic_ms += real_ms

    def set_to(self, now_ms: int) -> None:
        self._now_ms = now_ms


class SlowBus(FakeBus):
    """Answers as often as it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = asyncio.Semaphore(0)

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        await self.allowed.acquire()
        return await super().read(unit, table, address, count)


class TroubledSpool(FakeSpool):
    """A spool whose every method may refuse.

    Attributes:
        wrong: by method, what it raises instead of doing its work, until it is taken out again.
        once: the same for one call.
        calls: every method called, in order.
        stalled: methods that get nothing done until `go_on`.
        ruined: sequences by epoch that a renewal does not save; `ruined_unsealed`: how many
            readings, the oldest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wrong: dict[str, Exception] = {}
        self.once: dict[str, Exception] = {}
        self.calls: list[str] = []
        self.stalled: set[str] = set()
        self._go_on = threading.Event()
        self.ruined: dict[str, Ranges] = {}
        self.ruined_unsealed = 0

    def go_on(self) -> None:
        self.stalled.clear()
        self._go_on.set()

    def _refuse(self, name: str) -> None:
        self.calls.append(name)
        if name in self.stalled:
            assert self._go_on.wait(10)
        error = self.once.pop(name, None) or self.wrong.get(name)
        if error is not None:
            raise error

    def renew(self) -> None:
        super().renew()
        for epoch, sequences in self.ruined.items():
            for sequence in sequences.ascending():
                self._batches.pop((epoch, sequence), None)
        # What is salvaged is numbered anew, as in the real one.
        saved, self._unsealed, self._numbers = self._unsealed[self.ruined_unsealed :], [], 0
        for each in saved:
            FakeSpool.keep_unsealed(self, each.boot, ((each.monotonic_ms, each.reading),))


def _troubled(name: str) -> Callable[..., Any]:
    kept = getattr(TroubledSpool, name)

    def method(self: TroubledSpool, *arguments: Any, **named: Any) -> Any:
        self._refuse(name)
        return kept(self, *arguments, **named)

    return method


for _name in (
    *("append", "load", "mark", "mint", "prune", "keep_unsealed", "unsealed"),
    *("size", "corrupt_files", "renew", "books", "generation"),
):
    setattr(TroubledSpool, _name, _troubled(_name))


async def eventually(condition: Callable[[], object], within_s: float = 5.0) -> None:
    """Wait for `condition`, on a loop that does other things meanwhile."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the condition is of another's making
            await asyncio.sleep(0.001)


async def a_while() -> None:
    """Long enough for what must not happen to happen."""
    for _ in range(20):
        await asyncio.sleep(0.002)


def _polled(place: int, bus: FakeBus, meters: int, box: "Box") -> PolledBus:
    entries = [
        {"id": f"b{place}-m{unit}", "model": "m1", "unit": unit, **box.entry}
        for unit in range(1, meters + 1)
    ]
    entry = {"url": f"tcp://h{place}", "meters": entries}
    built = build_meters(entry, {"m1": box.model})
    return PolledBus(f"tcp://h{place}", bus, built, cycle_ms=box.cycle_ms, offset_ms=0)


class Box:
    """A gateway from its buses to its link. Entered, it runs; left, it is stopped in order.

    Attributes:
        vouched: who vouches for the clock; a test may change it.
    """

    def __init__(
        self,
        *,
        spool: Spool | None = None,
        clock: BoxClock | None = None,
        vouched: ClockState = ClockState.SYNCED,
        boot: str = "boot-1",
        buses: Sequence[FakeBus] = (),
        meters: int = 2,
        model: dict[str, Any] = MODEL,
        entry: dict[str, Any] | None = None,
        cycle_ms: int = CYCLE_MS,
        policy: Policy = PATIENT,
        limits: Limits = QUICK,
        drain_s: float = 0.0,
        is_up: bool = True,
    ) -> None:
        self.spool: Any = TroubledSpool() if spool is None else spool
        self.clock = clock or BoxClock()
        self.vouched = vouched
        self.link = FakeLink()
        self.memory = FakeMemory()
        self.pulse = Pulse(self.clock.monotonic_ms)
        self.buses = buses
        self.model, self.entry, self.cycle_ms = model, entry or {}, cycle_ms
        self._polled = [_polled(place, bus, meters, self) for place, bus in enumerate(buses)]
        self.stopping = asyncio.Event()
        self._drain_s = drain_s
        self._is_up = is_up
        self._is_ended = False
        self._start(boot, policy, limits)

    def _start(self, boot: str, policy: Policy, limits: Limits) -> None:
        self.time = Timekeeper(self.clock, lambda: self.vouched)
        self._thread = SpoolThread(self.spool)
        self.spool.mint(ulid(self.clock.now_ms(), random.randbytes(RANDOM_BYTES)))
        self.sender = Sender(
            store=STORE,
            generation=self.spool.generation(STORE),
            books=self.spool.books(),
            jitter=lambda: 0.5,
        )
        self.keeper = Keeper(
            spool=self._thread, sender=self.sender, timekeeper=self.time, policy=policy
        )
        self.keeper.unsealed = len(self.spool.unsealed(1_000))
        self.publisher = Publisher(
            keeper=self.keeper,
            sender=self.sender,
            topic=GatewayTopic(DISTRICT, GATEWAY),
            timekeeper=self.time,
            policy=policy,
            about=lambda: About(
                version="0.1.0",
                fleet="digest",
                meters=self.health(),
                buses=self.agent.bus_health(),
            ),
        )
        self.publisher.attach(self.link)
        self.agent = Agent(
            buses=self._polled,
            sealer=Sealer(GATEWAY),
            publisher=self.publisher,
            timekeeper=self.time,
            memory=self.memory,
            pulse=self.pulse,
            boot=boot,
            limits=limits,
        )

    def health(self) -> dict[str, MeterHealth]:
        return self.agent.health()

    @property
    def epoch(self) -> str:
        return self.sender.present.epoch

    async def __aenter__(self) -> Self:
        self.running = asyncio.create_task(self.agent.run(self.stopping, self._drain_s))
        await asyncio.sleep(0)
        if self._is_up:
            self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error is not None:
            await self.kill()
        await self.stop()

    async def stop(self) -> None:
        """End it in order, unless it has ended; an exception that ended it is raised here."""
        self.stopping.set()
        if not self._is_ended:
            self._is_ended = True
            try:
                await self.running
            finally:
                self._thread.close()

    async def kill(self) -> None:
        """End it as a power cut would: nothing more is kept or said."""
        self._is_ended = True
        self.running.cancel()
        await asyncio.wait([self.running])
        if isinstance(self.spool, TroubledSpool):
            self.spool.go_on()
        self._thread.close()

    def connect(self) -> None:
        self.link.is_up = True
        self.publisher.up()

    def disconnect(self) -> None:
        self.link.is_up = False
        self.publisher.down("the test said so")

    def hear(self, delivery: Delivery) -> None:
        self.publisher.delivered(delivery)

    async def pass_s(self, seconds: float) -> None:
        """Let time pass, in steps small enough for every poll to find its start."""
        for _ in range(round(seconds * 10)):
            self.clock.pass_ms(100)
            await asyncio.sleep(0.004)

    def sent(self) -> list[int]:
        """Sequences of the present epoch, in the order they were sent."""
        return [batch.sequence for batch in self.link.batches() if batch.epoch == self.epoch]
