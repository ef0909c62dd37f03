"""Agent: meters -> readings -> sealed batches -> spool. HOT PATH of the gateway.

Each bus is polled by its own task, wall-aligned, and its readings are kept by another: what a cycle
brought is sealed and on disk before anything is sent, and a slow disk delays no poll. While nobody
vouches for the clock, readings wait unsealed instead.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial

import structlog
from msgspec import Struct, structs

from gateways.bus_cycle import poll_cycle
from gateways.group import Portion
from gateways.meter import Meter
from gateways.patience import Patience
from gateways.poll import Bus
from gateways.publish import Publisher
from gateways.schedule import next_start, start_after
from gateways.seal import Sealer
from gateways.spool import Unsealed
from gateways.timekeeper import Stamp, Stamps, Timekeeper
from metering.batch import BatchKey, ClockState
from metering.reading import Reading
from metering.wire import MeterHealth

log = structlog.get_logger()


class Limits(Struct, frozen=True, kw_only=True):
    """How long and how many readings wait.

    Attributes:
        flush_s: a batch is sealed this long after its first reading, however long the cycle takes.
        look_s: a sleeping bus looks at the clock this often: somebody may have set it.
        held: readings of one bus that wait in memory for a disk that refuses.
        unsealed_at_once: readings that are taken from disk together when the time is known.
    """

    flush_s: float = 1.0
    look_s: float = 1.0
    held: int = 5_000
    unsealed_at_once: int = 2_000


class Taken(Struct, frozen=True):
    """A reading and the clocks it was stamped by."""

    reading: Reading
    stamp: Stamp


class PolledBus:
    """A bus, its meters, how often they are read, and the readings that are not on disk yet."""

    def __init__(
        self, url: str, bus: Bus, meters: Sequence[Meter], *, cycle_ms: int, offset_ms: int
    ) -> None:
        self.url = url
        self.bus = bus
        self.meters = meters
        self.cycle_ms = cycle_ms
        self.offset_ms = offset_ms
        self.overruns = False
        self.is_over = False  # nothing more will come
        self.has_fresh = asyncio.Event()
        self.cycle_over = asyncio.Event()
        self._fresh: list[Taken] = []

    def add(self, taken: Taken) -> None:
        self._fresh.append(taken)
        self.has_fresh.set()

    def take(self) -> list[Taken]:
        """What came so far, the oldest first."""
        fresh, self._fresh = self._fresh, []
        if not self.is_over:
            self.has_fresh.clear()
        self.cycle_over.clear()
        return fresh

    def put_back(self, taken: Sequence[Taken], most: int) -> int:
        """Let these wait on, before what came meanwhile.

        Returns:
            How many of the oldest were forgotten, because more than `most` would wait.
        """
        waiting = [*taken, *self._fresh]
        self._fresh = waiting[-most:] if most else []
        if self._fresh:
            self.has_fresh.set()
        return len(waiting) - len(self._fresh)

    def end(self) -> None:
        self.is_over = True
        self.has_fresh.set()
        self.cycle_over.set()


class Agent:
    """Polls every bus of a gateway for ever."""

    def __init__(
        self,
        *,
        buses: Sequence[PolledBus],
        sealer: Sealer,
        publisher: Publisher,
        timekeeper: Timekeeper,
        boot: str,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        """Take over the gateway's parts.

        Args:
            boot: names this start of the machine, for the monotonic clock of unsealed readings.
        """
        self._buses = buses
        self._sealer = sealer
        self._publisher = publisher
        self._keeper = publisher.keeper
        self._time = timekeeper
        self._boot = boot
        self._limits = limits
        self._health: dict[str, Taken] = {}

    async def run(self, stopping: asyncio.Event, drain_s: float) -> None:
        """Poll until `stopping`; then send what is left, for `drain_s` at most.

        What is not committed by then stays in the spool for the next start.
        """
        async with asyncio.TaskGroup() as tasks:
            polls = [
                tasks.create_task(self._poll(bus, stopping), name=f"poll {bus.url}")
                for bus in self._buses
            ]
            keeps = [tasks.create_task(self._keep(b), name=f"keep {b.url}") for b in self._buses]
            rest = [
                tasks.create_task(self._publisher.run(), name="publish"),
                tasks.create_task(self._watch_clock(), name="watch clock"),
            ]
            await stopping.wait()
            self._keeper.hurry()
            for late in await _ended(polls, drain_s):
                late.cancel()
            await _ended(keeps)
            await self._seal_unsealed()
            for bus in self._buses:
                self._keeper.forget(bus.put_back((), 0))
            left = await self._publisher.drain(drain_s)
            log.info("agent.drained", left=left)
            for task in rest:
                task.cancel()

    def health(self) -> dict[str, MeterHealth]:
        """Every meter heard of or asked in vain, and since when."""
        return {
            meter: MeterHealth(since_ms=self._sure(taken).at_ms, fault=taken.reading.fault)
            for meter, taken in self._health.items()
        }

    # ---- a bus's readings

    async def _poll(self, polled: PolledBus, stopping: asyncio.Event) -> None:
        patience = Patience(cycle_ms=polled.cycle_ms)
        stamps = Stamps(self._time)
        tell = partial(self._tell, polled, stamps)
        start_ms = next_start(self._time.now_ms(), polled.cycle_ms, polled.offset_ms)
        try:
            while (begun_ms := await self._start(polled, stopping, start_ms)) is not None:
                before = self._time.stamp()
                result = await poll_cycle(polled.bus, polled.meters, stamps, patience, tell)
                polled.cycle_over.set()
                patience = result.patience
                now_ms = self._time.now_ms()
                start = start_after(begun_ms, now_ms, polled.cycle_ms, polled.offset_ms)
                self._note_overrun(polled, 0 if self._time.was_set_since(before) else start.missed)
                start_ms = start.at_ms
        finally:
            polled.end()

    async def _start(self, polled: PolledBus, stopping: asyncio.Event, start_ms: int) -> int | None:
        """Wait for the next start; another one if the clock is set meanwhile, None at the end.

        In pieces: a clock that is set back must not leave a bus asleep for a day.
        """
        before = self._time.stamp()
        while (ahead_ms := start_ms - self._time.now_ms()) > 0:
            within_s = min(self._time.real_s(ahead_ms), self._limits.look_s)
            if await _happens(stopping, within_s):
                return None
            if self._time.was_set_since(before):
                before = self._time.stamp()
                start_ms = next_start(before.at_ms, polled.cycle_ms, polled.offset_ms)
        return None if stopping.is_set() else start_ms

    def _note_overrun(self, polled: PolledBus, missed: int) -> None:
        if missed and not polled.overruns:
            log.warning("bus.overrun", bus=polled.url, missed=missed)
        elif polled.overruns and not missed:
            log.info("bus.in_time", bus=polled.url)
        polled.overruns = bool(missed)

    def _tell(self, polled: PolledBus, stamps: Stamps, reading: Reading) -> None:
        taken = Taken(reading, stamps.take(reading.at_ms))
        self._note_health(taken)
        polled.add(taken)

    def _note_health(self, taken: Taken) -> None:
        """Silence is a published state with a reason; logged when it begins and when it ends."""
        meter, fault = taken.reading.meter, taken.reading.fault
        before = self._health.get(meter)
        if before is not None and before.reading.fault == fault:
            return
        self._health[meter] = taken
        self._publisher.state_changed()
        if fault is not None:
            log.warning("meter.faulty", meter=meter, fault=fault)
        elif before is not None:
            log.info("meter.well", meter=meter, was=before.reading.fault)

    # ---- readings -> disk

    async def _keep(self, polled: PolledBus) -> None:
        """Keep what a bus brought: when its cycle ends, or a second after the first reading.

        What the disk refuses waits in memory, bounded, and is tried again as often.
        """
        last = False
        while not last:
            await polled.has_fresh.wait()
            await _happens(polled.cycle_over, self._limits.flush_s)
            last = polled.is_over
            taken = polled.take()
            kept = await self._put_on_disk(taken)
            self._keeper.polled += kept
            self._keeper.forget(polled.put_back(taken[kept:], self._limits.held))

    async def _put_on_disk(self, taken: Sequence[Taken]) -> int:
        """Returns how many are there now, from the first on."""
        if not taken:
            return 0
        clock = self._time.state
        if clock is ClockState.UNSYNCED:
            unsure = tuple((each.stamp.monotonic_ms, each.reading) for each in taken)
            return await self._keeper.keep_unsealed(self._boot, unsure)
        await self._seal_unsealed()
        readings = [self._sure(each) for each in taken]
        at_ms = self._time.now_ms()

        def seal(after: BatchKey) -> Iterator[Portion]:
            for sealed, count in self._sealer.seal(readings, after, at_ms=at_ms, clock=clock):
                yield Portion(sealed=sealed, readings=count)

        return await self._keeper.keep(seal, at_ms)

    def _sure(self, taken: Taken) -> Reading:
        """A reading by the best time known now."""
        if taken.stamp.clock is not ClockState.UNSYNCED:
            return taken.reading
        return self._restamped(taken.reading, taken.stamp.monotonic_ms)

    def _restamped(self, reading: Reading, monotonic_ms: int) -> Reading:
        return structs.replace(reading, at_ms=self._time.restamp(monotonic_ms))

    # ---- what waited for the time

    async def _watch_clock(self) -> None:
        """What waited for the time is sealed as soon as somebody vouches for it."""
        known = self._time.state
        while True:
            await asyncio.sleep(self._limits.flush_s)
            if (clock := self._time.state) is not known:
                log.info("clock.state", clock=clock, was=known)
                known = clock
                self._publisher.state_changed()
            await self._seal_unsealed()

    async def _seal_unsealed(self) -> None:
        """Re-stamp and seal what waits on disk, the oldest first, as far as the disk allows."""
        while self._keeper.unsealed and (clock := self._time.state) is not ClockState.UNSYNCED:
            at_ms = self._time.now_ms()
            seal = partial(self._sealed_waiting, at_ms=at_ms, clock=clock)
            most = self._limits.unsealed_at_once
            if not await self._keeper.keep_waiting(most, seal, at_ms):
                return

    def _sealed_waiting(
        self, waiting: Sequence[Unsealed], after: BatchKey, *, at_ms: int, clock: ClockState
    ) -> Iterable[Portion]:
        """One boot's readings go into batches of their own: a past boot's times stay unsure."""
        boot = waiting[0].boot
        same = [unsealed for unsealed in waiting if unsealed.boot == boot]
        present = boot == self._boot
        readings = [
            self._restamped(u.reading, u.monotonic_ms) if present else u.reading for u in same
        ]
        state = clock if present else ClockState.UNSYNCED
        start = 0
        for sealed, count in self._sealer.seal(readings, after, at_ms=at_ms, clock=state):
            numbers = tuple(u.number for u in same[start : start + count])
            yield Portion(sealed=sealed, readings=count, unsealed=numbers)
            start += count


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()


async def _ended(
    tasks: Sequence[asyncio.Task[None]], within_s: float | None = None
) -> set[asyncio.Task[None]]:
    """Wait for `tasks`; returns those that did not end in time."""
    if not tasks:
        return set()
    _done, late = await asyncio.wait(tasks, timeout=within_s)
    return late
