"""Agent: meters -> readings -> sealed batches -> spool. HOT PATH of the gateway.

Each bus is polled by its own task, wall-aligned. What a cycle brought is sealed and on disk before
anything is sent; while nobody vouches for the clock, readings wait unsealed instead.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from gateways.bus_cycle import poll_cycle
from gateways.meter import Meter
from gateways.patience import Patience
from gateways.poll import Bus
from gateways.publish import Publisher
from gateways.schedule import next_start, start_after
from gateways.seal import Sealer
from gateways.spool import SpoolFull, Unsealed
from gateways.spool_thread import SpoolThread
from gateways.timekeeper import Timekeeper
from metering.batch import BatchKey, ClockState, Sealed
from metering.reading import Reading
from metering.wire import MeterHealth

log = structlog.get_logger()

_UNSEALED_AT_ONCE = 2_000
_FLUSH_S = 1.0
_HELD_IN_MEMORY = 5_000  # readings per bus that a full disk may keep waiting


class PolledBus:
    """A bus, its meters, and how often they are read."""

    def __init__(
        self, url: str, bus: Bus, meters: Sequence[Meter], *, cycle_ms: int, offset_ms: int
    ) -> None:
        self.url = url
        self.bus = bus
        self.meters = meters
        self.cycle_ms = cycle_ms
        self.offset_ms = offset_ms
        self.fresh: list[Reading] = []  # answered, not on disk yet


class Agent:
    """Polls every bus of a gateway for ever."""

    def __init__(
        self,
        *,
        buses: Sequence[PolledBus],
        sealer: Sealer,
        spool: SpoolThread,
        publisher: Publisher,
        timekeeper: Timekeeper,
        boot: str,
    ) -> None:
        """Take over the gateway's parts.

        Args:
            boot: names this start of the machine, for the monotonic clock of unsealed readings.
        """
        self._buses = buses
        self._sealer = sealer
        self._spool = spool
        self._publisher = publisher
        self._time = timekeeper
        self._boot = boot
        self._sealing_unsealed = asyncio.Lock()
        self.health: dict[str, MeterHealth] = {}

    async def run(self, stopping: asyncio.Event, drain_s: float) -> None:
        """Poll until `stopping`; then send what is left, for `drain_s` at most.

        What is not committed by then stays in the spool for the next start.
        """
        async with asyncio.TaskGroup() as tasks:
            polls = [
                tasks.create_task(self._poll(bus, stopping), name=f"poll {bus.url}")
                for bus in self._buses
            ]
            rest = [tasks.create_task(self._flush(b), name=f"flush {b.url}") for b in self._buses]
            rest += [
                tasks.create_task(self._publisher.send(), name="send"),
                tasks.create_task(self._publisher.state(), name="state"),
                tasks.create_task(self._publisher.mark(), name="mark"),
                tasks.create_task(self._publisher.prune(), name="prune"),
            ]
            await stopping.wait()
            _done, late = await asyncio.wait(polls, timeout=drain_s)
            for poll in late:
                poll.cancel()
            for bus in self._buses:
                await self._keep(bus)
            left = await self._publisher.drain(drain_s)
            log.info("agent.drained", left=left)
            for task in rest:
                task.cancel()

    async def _poll(self, polled: PolledBus, stopping: asyncio.Event) -> None:
        patience = Patience(cycle_ms=polled.cycle_ms)
        start_ms = next_start(self._time.now_ms(), polled.cycle_ms, polled.offset_ms)
        while not await self._is_over(stopping, start_ms):
            result = await poll_cycle(
                polled.bus, polled.meters, self._time, patience, polled.fresh.append
            )
            await self._keep(polled)
            patience = result.patience
            start = start_after(start_ms, self._time.now_ms(), polled.cycle_ms, polled.offset_ms)
            if start.missed:
                log.warning("bus.overrun", bus=polled.url, missed=start.missed)
            start_ms = start.at_ms

    async def _is_over(self, stopping: asyncio.Event, start_ms: int) -> bool:
        """Wait for the next start, or for the end.

        In pieces: a clock that steps must not leave a bus asleep for a day.
        """
        while (ahead_ms := start_ms - self._time.now_ms()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._time.real_s(ahead_ms), _FLUSH_S)):
                    await stopping.wait()
                    return True
        return stopping.is_set()

    async def _flush(self, polled: PolledBus) -> None:
        """A batch is sealed 1 s after its first reading, on a bus whose cycle takes longer too."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            await self._keep(polled)

    async def _keep(self, polled: PolledBus) -> None:
        """Put what came so far on disk. What a full disk refuses waits in memory, bounded."""
        readings = tuple(polled.fresh)
        polled.fresh.clear()
        if not readings:
            return
        self._note_health(readings)
        try:
            await self._keep_readings(readings)
        except SpoolFull as error:
            log.error("spool.full", bus=polled.url, readings=len(readings), error=str(error))
            polled.fresh[:0] = readings[-_HELD_IN_MEMORY:]
            self._publisher.forgotten += max(0, len(readings) - _HELD_IN_MEMORY)
            return
        self._publisher.polled += len(readings)

    async def _keep_readings(self, readings: tuple[Reading, ...]) -> None:
        clock = self._time.state
        if clock is ClockState.UNSYNCED:
            await self._keep_unsealed(readings)
            return
        if self._publisher.unsealed:
            await self._seal_unsealed(clock)
        at_ms = self._time.now_ms()

        def seal(after: BatchKey) -> list[tuple[Sealed, tuple[int, ...]]]:
            batches = self._sealer.seal(readings, after, at_ms=at_ms, clock=clock)
            return [(sealed, ()) for sealed, _count in batches]

        await self._publisher.keep_batches(seal, at_ms)

    async def _keep_unsealed(self, readings: tuple[Reading, ...]) -> None:
        # The clock that stamped them is the one whose error is to be taken out again.
        ahead_ms = self._time.now_ms() - self._time.monotonic_ms()
        taken = tuple((reading.at_ms - ahead_ms, reading) for reading in readings)
        await self._spool.run(lambda spool: spool.keep_unsealed(self._boot, taken))
        self._publisher.unsealed += len(readings)

    async def _seal_unsealed(self, clock: ClockState) -> None:
        """Somebody vouches for the clock now: re-stamp and seal what waited."""
        async with self._sealing_unsealed:
            while waiting := await self._spool.run(lambda spool: spool.unsealed(_UNSEALED_AT_ONCE)):
                await self._seal_waiting(waiting, clock)
                self._publisher.unsealed = max(0, self._publisher.unsealed - len(waiting))
            self._publisher.unsealed = 0

    async def _seal_waiting(self, waiting: list[Unsealed], clock: ClockState) -> None:
        """One boot's readings go into batches of their own: a past boot's times stay unsure."""
        boot = waiting[0].boot
        same = [unsealed for unsealed in waiting if unsealed.boot == boot]
        present = boot == self._boot
        readings = [self._restamped(u) if present else u.reading for u in same]
        state = clock if present else ClockState.UNSYNCED
        at_ms = self._time.now_ms()

        def seal(after: BatchKey) -> list[tuple[Sealed, tuple[int, ...]]]:
            batches, start = [], 0
            for sealed, count in self._sealer.seal(readings, after, at_ms=at_ms, clock=state):
                numbers = tuple(u.number for u in same[start : start + count])
                batches.append((sealed, numbers))
                start += count
            return batches

        await self._publisher.keep_batches(seal, at_ms)

    def _restamped(self, unsealed: Unsealed) -> Reading:
        reading = unsealed.reading
        return Reading(
            meter=reading.meter,
            at_ms=self._time.restamp(unsealed.monotonic_ms),
            values=reading.values,
            fault=reading.fault,
        )

    def _note_health(self, readings: tuple[Reading, ...]) -> None:
        """Silence is a published state with a reason; logged when it begins and when it ends."""
        for reading in readings:
            before = self.health.get(reading.meter)
            if before is not None and before.fault == reading.fault:
                continue
            self.health[reading.meter] = MeterHealth(since_ms=reading.at_ms, fault=reading.fault)
            self._publisher.state_changed()
            if reading.fault is not None:
                log.warning("meter.faulty", meter=reading.meter, fault=reading.fault)
            elif before is not None:
                log.info("meter.well", meter=reading.meter, was=before.fault)
