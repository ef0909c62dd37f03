"""Polled bus: a line with meters -> readings that wait to be kept, cycle after cycle, on time."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from msgspec import Struct

from gateways.reading.bus_cycle import BusCycle, CycleResult, Standing
from gateways.reading.memory import Notebook
from gateways.reading.meter import Meter
from gateways.reading.poll import Bus
from gateways.reading.schedule import next_start, start_after
from gateways.timekeeper import Stamp, Stamps, Timekeeper
from metering.reading import Reading
from metering.wire import BusHealth

log = structlog.get_logger()

PROMPT_S = 10.0  # with a longer cycle than this the first one begins at once


class Taken(Struct, frozen=True):
    """A reading and the clocks it was stamped by."""

    reading: Reading
    stamp: Stamp


class PolledBus:
    """A bus, its meters, how often they are read, and the readings that are not on disk yet.

    Attributes:
        key: what the bus was made from, as text: an unchanged one goes on when the fleet changes.
        stopping: set to end its polls after the meter that is being asked.
    """

    def __init__(
        self,
        url: str,
        bus: Bus,
        meters: Sequence[Meter],
        *,
        cycle_ms: int,
        offset_ms: int,
        key: str = "",
    ) -> None:
        self.url = url
        self.bus = bus
        self.meters = meters
        self.cycle_ms = cycle_ms
        self.offset_ms = offset_ms
        self.key = key or url
        self.stopping = asyncio.Event()
        self.is_over = False  # nothing more will come
        self.has_fresh = asyncio.Event()
        self.cycle_over = asyncio.Event()
        self._fresh: list[Taken] = []
        self._cycle: BusCycle | None = None
        self._result: CycleResult | None = None
        self._real_cycle_s = 0.0
        self._alive: Callable[[], None] = lambda: None
        self._missed = 0
        self._overruns = False

    # ---- readings that wait

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

    # ---- polling

    async def poll(
        self,
        time: Timekeeper,
        notebook: Notebook,
        tell: Callable[[Taken], None],
        look_s: float,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """Poll until `stopping`.

        Args:
            time: stamps, and says when to start.
            notebook: what was learnt of the meters.
            tell: called with each reading as it comes.
            look_s: a sleeping bus looks at the clock this often: somebody may have set it.
            alive: called at each look and each reading, as a sign of life.
        """
        self._alive = alive
        stamps = Stamps(time)
        self._real_cycle_s = time.real_s(self.cycle_ms)
        self._cycle = BusCycle(
            self.bus,
            self.meters,
            stamps,
            cycle_ms=self.cycle_ms,
            offset_ms=self.offset_ms,
            notebook=notebook,
        )

        def stamped(reading: Reading) -> None:
            alive()
            tell(Taken(reading, stamps.take(reading.at_ms)))

        start_ms = next_start(time.now_ms(), self.cycle_ms, self.offset_ms)
        if self._real_cycle_s > PROMPT_S:
            # Whoever plugs a box in waits for a value, not for the full minute.
            start_ms -= self.cycle_ms
        try:
            while (begun_ms := await self._start(time, start_ms, look_s)) is not None:
                before = time.stamp()
                self._result = await self._cycle.run(begun_ms, stamped, self.stopping.is_set)
                self.cycle_over.set()
                start = start_after(begun_ms, time.now_ms(), self.cycle_ms, self.offset_ms)
                self._note_overrun(0 if time.was_set_since(before) else start.missed)
                start_ms = start.at_ms
        finally:
            self.is_over = True
            self.has_fresh.set()
            self.cycle_over.set()

    async def _start(self, time: Timekeeper, start_ms: int, look_s: float) -> int | None:
        """Wait for the next start; another one if the clock is set meanwhile, None at the end.

        In pieces: a clock that is set back must not leave a bus asleep for a day.
        """
        before = time.stamp()
        self._alive()
        while (ahead_ms := start_ms - time.now_ms()) > 0:
            self._alive()
            if await happens(self.stopping, min(time.real_s(ahead_ms), look_s)):
                return None
            if time.was_set_since(before):
                before = time.stamp()
                start_ms = next_start(before.at_ms, self.cycle_ms, self.offset_ms)
        return None if self.stopping.is_set() else start_ms

    def _note_overrun(self, missed: int) -> None:
        self._missed += missed
        if missed and not self._overruns and self._result:
            log.warning(
                "bus.overrun",
                bus=self.url,
                missed=missed,
                took_s=round(self._result.took_ms / 1000, 3),
                needs_s=round(self._result.needs_ms / 1000, 3),
                has_s=self._real_cycle_s,
            )
        elif self._overruns and not missed:
            log.info("bus.in_time", bus=self.url)
        self._overruns = bool(missed)

    # ---- what is known

    def standings(self) -> dict[str, Standing]:
        """Its meters by id, as it knows them."""
        return self._cycle.standings() if self._cycle else {}

    def health(self) -> BusHealth:
        """The bus itself, for the state."""
        return BusHealth(
            url=self.url,
            cycle_s=self.cycle_ms / 1000,
            has_s=self._real_cycle_s,
            needs_s=round(self._result.needs_ms / 1000, 3) if self._result else 0.0,
            took_s=round(self._result.took_ms / 1000, 3) if self._result else 0.0,
            missed=self._missed,
            crowded=bool(self._result and self._result.is_crowded),
        )


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for `event`, but not longer; says whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()
