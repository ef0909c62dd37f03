"""Agent: meters -> readings -> sealed batches -> spool. HOT PATH of the gateway.

Each bus is polled by its own task, wall-aligned, and its readings are kept by another: what a cycle
brought is sealed and on disk before anything is sent, and a slow disk delays no poll. While nobody
vouches for the clock, readings wait unsealed instead.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import structlog
from msgspec import Struct, structs

from gateways.polled_bus import PolledBus, Taken, happens
from gateways.publish import Publisher
from gateways.pulse import Pulse
from gateways.reading.bus_cycle import Standing
from gateways.reading.memory import Memory, MemoryRefused, Notebook
from gateways.reading.wiring import Ratio
from gateways.spool.group import Portion
from gateways.spool.port import Unsealed
from gateways.spool.seal import Sealer
from gateways.timekeeper import Timekeeper
from metering.batch import BatchKey, ClockState
from metering.reading import Reading
from metering.wire import BusHealth, MeterHealth, RatioApplied

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


class Agent:
    """Polls every bus of a gateway for ever."""

    def __init__(  # noqa: PLR0913 - the parts of a gateway
        self,
        *,
        buses: Sequence[PolledBus],
        sealer: Sealer,
        publisher: Publisher,
        timekeeper: Timekeeper,
        memory: Memory,
        pulse: Pulse,
        boot: str,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        """Take over the gateway's parts.

        Args:
            memory: what was learnt of the meters before.
            pulse: hears each bus's signs of life.
            boot: names this start of the machine, for the monotonic clock of unsealed readings.
        """
        self._buses = list(buses)
        self._memory = memory
        self._pulse = pulse
        self._notebook = Notebook(memory.load())
        self._forgetful = False
        self._is_over = False
        self._running: dict[PolledBus, tuple[asyncio.Task[None], asyncio.Task[None]]] = {}
        self._changing = asyncio.Lock()
        self._sealer = sealer
        self._publisher = publisher
        self._keeper = publisher.keeper
        self._time = timekeeper
        self._boot = boot
        self._limits = limits
        self._health: dict[str, Taken] = {}

    @property
    def buses(self) -> tuple[PolledBus, ...]:
        """Those that are polled now, in the order of the fleet."""
        return tuple(self._buses)

    async def run(self, stopping: asyncio.Event, drain_s: float) -> None:
        """Poll until `stopping`; then send what is left, for `drain_s` at most.

        What is not committed by then stays in the spool for the next start.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for bus in self._buses:
                self._begin(bus)
            rest = [
                tasks.create_task(self._publisher.run(), name="publish"),
                tasks.create_task(self._watch_clock(), name="watch clock"),
                tasks.create_task(self._remember(), name="remember"),
            ]
            await stopping.wait()
            self._keeper.hurry()
            async with self._changing:  # a change under way comes first
                self._is_over = True
                await self._end(self._buses, drain_s)
            await self._seal_unsealed()
            for bus in self._buses:
                self._keeper.forget(bus.put_back((), 0))
            left = await self._publisher.drain(drain_s)
            await self._save()
            log.info("agent.drained", left=left)
            for task in rest:
                task.cancel()

    async def change_buses(self, wanted: Sequence[PolledBus], drain_s: float) -> None:
        """Poll these from now on; those that are polled already go on undisturbed.

        Args:
            wanted: in the order of the fleet; the same objects for what is unchanged.
            drain_s: how long a bus that goes may take to end its poll.
        """
        async with self._changing:
            if self._is_over:
                return
            gone = [bus for bus in self._buses if bus not in wanted]
            # A serial port has one owner: the old one lets go before the new one opens it.
            await self._end(gone, drain_s)
            for bus in gone:
                await bus.bus.close()
                self._keeper.forget(bus.put_back((), 0))
            fresh = [bus for bus in wanted if bus not in self._buses]
            self._buses = list(wanted)
            known = {meter.id for bus in wanted for meter in bus.meters}
            self._health = {name: taken for name, taken in self._health.items() if name in known}
            for bus in fresh:
                self._begin(bus)
        self._publisher.state_changed()

    def _begin(self, bus: PolledBus) -> None:
        self._running[bus] = (
            self._tasks.create_task(self._poll(bus), name=f"poll {bus.url}"),
            self._tasks.create_task(self._keep(bus), name=f"keep {bus.url}"),
        )

    async def _poll(self, bus: PolledBus) -> None:
        alive = partial(self._pulse.beat, bus.url)
        try:
            await bus.poll(
                self._time, self._notebook, partial(self._tell, bus), self._limits.look_s, alive
            )
        finally:
            self._pulse.end(bus.url)

    async def _end(self, buses: Iterable[PolledBus], within_s: float) -> None:
        """End the polls of `buses`, and keep what they brought."""
        ending = [(bus, *self._running.pop(bus)) for bus in buses]
        for bus, *_ in ending:
            bus.stopping.set()
        for late in await _ended([poll for _, poll, _ in ending], within_s):
            late.cancel()
        await _ended([keep for *_, keep in ending])

    # ---- what is known of them

    def health(self) -> dict[str, MeterHealth]:
        """Every meter heard of or asked in vain, and since when."""
        standings = {
            name: standing for bus in self._buses for name, standing in bus.standings().items()
        }
        return {
            name: health_of(self._sure(taken), standings[name])
            for name, taken in self._health.items()
            if name in standings
        }

    def bus_health(self) -> tuple[BusHealth, ...]:
        """Every bus, in the order of the fleet."""
        return tuple(bus.health() for bus in self._buses)

    def _tell(self, polled: PolledBus, taken: Taken) -> None:
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

    # ---- what was learnt of them

    async def _remember(self) -> None:
        """Keep what was learnt, soon after; losing it costs refused requests, never a reading."""
        while True:
            await asyncio.sleep(self._limits.flush_s)
            if self._notebook.is_changed:
                self._publisher.state_changed()
                await self._save()

    async def _save(self) -> None:
        remembered = self._notebook.remembered
        if remembered is self._notebook.saved:
            return
        try:
            await asyncio.to_thread(self._memory.save, remembered)
        except MemoryRefused as error:
            if not self._forgetful:
                log.warning("memory.refuses", error=str(error))
            self._forgetful = True
            return
        self._notebook.saved = remembered
        self._forgetful = False

    # ---- readings -> disk

    async def _keep(self, polled: PolledBus) -> None:
        """Keep what a bus brought: when its cycle ends, or a second after the first reading.

        What the disk refuses waits in memory, bounded, and is tried again as often.
        """
        last = False
        while not last:
            await polled.has_fresh.wait()
            await happens(polled.cycle_over, self._limits.flush_s)
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


def health_of(reading: Reading, standing: Standing) -> MeterHealth:
    """A meter, for the state: since when it is as it is, and what is known of it."""
    meter, meeting = standing.meter, standing.meeting
    ratio = meter.wiring.ratio
    return MeterHealth(
        since_ms=reading.at_ms,
        fault=reading.fault,
        ratio=None
        if ratio == Ratio()
        else RatioApplied(ct=ratio.ct, pt=ratio.pt, applied_by=ratio.applied_by),
        direction=meter.wiring.direction,
        identity={} if meeting is None else {str(k): v for k, v in meeting.said.items()},
        expected="" if meeting is None else meeting.expected,
        doubt="" if meeting is None else meeting.doubt,
        holes=tuple(map(str, meter.terrain.holes)),
        suspect=standing.suspect,
        slow=standing.is_slow,
    )


async def _ended(
    tasks: Sequence[asyncio.Task[None]], within_s: float | None = None
) -> set[asyncio.Task[None]]:
    """Wait for `tasks`; returns those that did not end in time."""
    if not tasks:
        return set()
    _done, late = await asyncio.wait(tasks, timeout=within_s)
    return late
