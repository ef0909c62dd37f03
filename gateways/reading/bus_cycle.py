"""Bus cycle: all meters of a bus, cycle after cycle -> their readings, on time whatever one does.

Who is asked, for what, and when is decided by pure parts: `patience` (the silent ones), `agenda`
(what is due and fits), `acquaintance` (who answers there). This module lets them talk to the bus.
"""

from collections.abc import Callable, Sequence

import structlog
from msgspec import Struct, structs

from gateways.reading.acquaintance import Meeting, Who, meet
from gateways.reading.agenda import USABLE_SHARE, Agenda
from gateways.reading.memory import Notebook
from gateways.reading.meter import Meter
from gateways.reading.patience import Heard, Patience
from gateways.reading.poll import Bus
from gateways.reading.terrain import Hole, Terrain
from gateways.reading.visit import Visit, is_heard, visit_meter
from metering.clock import Clock
from metering.reading import Fault, Reading

log = structlog.get_logger()

INTRODUCE_MS = 86_400_000  # real time: a device is asked again who it is once a day
_TYPICAL_TIMEOUT_MS = 1_000.0  # what a probe in vain takes, before one was seen


class Standing(Struct, frozen=True, kw_only=True):
    """A meter as its bus knows it, for the state.

    Attributes:
        meeting: who answers there; none until somebody was asked.
        suspect: answers since the start that may have belonged to an older question.
        is_slow: it is asked more seldom, so that a crowded bus has time for the others.
    """

    meter: Meter
    meeting: Meeting | None = None
    suspect: int = 0
    is_slow: bool = False


class CycleResult(Struct, frozen=True, kw_only=True):
    """What a cycle cost, in real time.

    Attributes:
        took_ms: what it took.
        needs_ms: what a usual one takes if nothing has to wait.
        is_crowded: something had to wait, or it took too long.
    """

    took_ms: float
    needs_ms: float
    is_crowded: bool = False


class BusCycle:
    """The meters of one bus. Runs on the agent's event loop, one cycle at a time."""

    def __init__(
        self,
        bus: Bus,
        meters: Sequence[Meter],
        clock: Clock,
        *,
        cycle_ms: int,
        offset_ms: int = 0,
        notebook: Notebook,
    ) -> None:
        """Take over a bus.

        Args:
            bus: the line they are on.
            meters: in the order to ask.
            clock: stamps the readings.
            cycle_ms: how often, wall time.
            offset_ms: how long after the full cycle.
            notebook: what is known from before, and what is learnt.
        """
        self._notebook = notebook
        self._bus = bus
        self._clock = clock
        self._real_cycle_ms = clock.real_s(cycle_ms) * 1000
        self._meters = {
            meter.id: meter.over(notebook.remembered.terrain_of(meter, clock.now_ms()))
            for meter in meters
        }
        self._patience = Patience(cycle_ms=cycle_ms)
        self._agenda = Agenda(
            cycle_ms=cycle_ms, real_cycle_ms=self._real_cycle_ms, offset_ms=offset_ms
        )
        self._meetings: dict[str, Meeting] = {}
        self._introduced_ms: dict[str, float] = {}
        self._suspect: dict[str, int] = {}
        self._timeout_ms = _TYPICAL_TIMEOUT_MS

    async def run(self, start_ms: int, tell: Callable[[Reading], None]) -> CycleResult:
        """Ask every meter that is due, one after the other.

        Args:
            start_ms: the aligned start of this cycle, wall time.
            tell: called with each reading as it comes, before the cycle ends.
        """
        began_ms = self._clock.monotonic_ms()
        turn = self._patience.turn(self._meters)
        heard: dict[str, Heard] = {}
        regular = self._agenda.order([self._meters[meter] for meter in turn.regular])
        urgent = [self._agenda.urgent_ms(meter, start_ms) for meter in regular]
        ends_ms = began_ms + self._real_cycle_ms * USABLE_SHARE
        reserved = sum(urgent)
        for meter, own in zip(regular, urgent, strict=True):
            spare = ends_ms - self._clock.monotonic_ms() - reserved
            await self._turn(meter.id, start_ms, spare, heard, tell)
            reserved -= own
            # A meter that fell silent just now makes this cycle late; it does not make others wait.
            ends_ms += heard[meter.id].in_vain_ms if meter.id in heard else 0.0
        await self._probe(turn.probes, start_ms, began_ms, heard, tell)
        took_ms = self._clock.monotonic_ms() - began_ms
        meters = tuple(self._meters.values())
        in_vain_ms = sum(turn.in_vain_ms for turn in heard.values())
        self._agenda.close(meters, took_ms - in_vain_ms)
        self._patience = self._patience.after(heard, self._real_cycle_ms)
        return CycleResult(
            took_ms=took_ms,
            needs_ms=self._agenda.needs_ms(meters),
            is_crowded=self._agenda.is_crowded,
        )

    def standings(self) -> dict[str, Standing]:
        """Every meter of the bus, by id."""
        return {
            name: Standing(
                meter=meter,
                meeting=self._meetings.get(name),
                suspect=self._suspect.get(name, 0),
                is_slow=name in self._agenda.slow,
            )
            for name, meter in self._meters.items()
        }

    # ---- a meter's turn

    async def _probe(
        self,
        probes: Sequence[str],
        start_ms: int,
        began_ms: float,
        heard: dict[str, Heard],
        tell: Callable[[Reading], None],
    ) -> None:
        """Ask the silent ones that are due, as far as their allowance and the cycle reach."""
        spent_ms = 0.0
        for meter in probes:
            left_ms = began_ms + self._real_cycle_ms - self._clock.monotonic_ms()
            if not self._patience.allows(spent_ms, self._timeout_ms, left_ms, self._real_cycle_ms):
                return
            await self._turn(meter, start_ms, left_ms, heard, tell)
            spent_ms += heard[meter].took_ms if meter in heard else 0.0

    async def _turn(
        self,
        name: str,
        start_ms: int,
        spare_ms: float,
        heard: dict[str, Heard],
        tell: Callable[[Reading], None],
    ) -> None:
        meter = self._meters[name]
        task = self._agenda.task(meter, start_ms, spare_ms)
        if task is None:
            return
        plan = meter.plan(task.groups)
        if not plan.blocks:  # all of it is known to be refused
            self._agenda.done(meter, plan.groups, start_ms)
            return
        from_ms = self._clock.monotonic_ms()
        introduce = self._is_stranger(meter, from_ms)
        visit = await visit_meter(self._bus, meter, plan, self._clock, introduce=introduce)
        took_ms = self._clock.monotonic_ms() - from_ms
        tell(self._believed(meter, visit))
        self._note(meter, visit, took_ms, heard)
        if visit.is_whole:
            self._agenda.done(meter, plan.groups, start_ms)
            asked = (*meter.identity_blocks, *plan.blocks) if introduce else plan.blocks
            self._agenda.took(meter, asked, took_ms)

    def _note(self, meter: Meter, visit: Visit, took_ms: float, heard: dict[str, Heard]) -> None:
        fault = visit.reading.fault
        if fault != Fault.DISCONNECTED:
            answered = fault != Fault.TIMEOUT
            heard[meter.id] = Heard(answered=answered, took_ms=took_ms)
            if not answered:
                self._timeout_ms = took_ms
        if not is_heard(visit.reading):
            self._introduced_ms.pop(meter.id, None)  # whoever answers next may be another
        if fault == Fault.LATE:
            self._suspect[meter.id] = self._suspect.get(meter.id, 0) + 1
        if visit.explored and not self._is_other(meter):
            self._learn(meter, visit)

    # ---- who answers there

    def _is_stranger(self, meter: Meter, now_ms: float) -> bool:
        since_ms = self._introduced_ms.get(meter.id)
        return bool(meter.model.identity) and (
            since_ms is None or now_ms - since_ms >= INTRODUCE_MS
        )

    def _believed(self, meter: Meter, visit: Visit) -> Reading:
        """The reading as the meter's own, or held apart because another device answered."""
        if visit.said is not None:
            self._introduce(meter, visit)
        if self._is_other(meter) and (visit.reading.values or is_heard(visit.reading)):
            return structs.replace(visit.reading, fault=Fault.IDENTITY)
        return visit.reading

    def _is_other(self, meter: Meter) -> bool:
        meeting = self._meetings.get(meter.id)
        return meeting is not None and meeting.who is Who.OTHER

    def _introduce(self, meter: Meter, visit: Visit) -> None:
        said = visit.said
        self._introduced_ms[meter.id] = self._clock.monotonic_ms()
        if not said:
            return  # it has nothing to say; what was known of it holds
        known = self._notebook.remembered.identities.get(meter.id, {})
        meeting = meet(meter.model, said, known, meter.serial)
        before = self._meetings.get(meter.id)
        self._meetings[meter.id] = meeting
        if meeting.who is Who.OTHER:
            if before is None or before.said != said:
                log.error(
                    "meter.other_device",
                    meter=meter.id,
                    expected=meeting.expected,
                    said=said,
                    meant=self._whose(said, meter.id),
                )
            return
        now_known = {**known, **said}  # it may have kept back today what it said before
        if now_known != known:
            self._notebook.remembered = self._notebook.remembered.knows(meter.id, now_known)
            terrain = self._notebook.remembered.terrain_of(meter, self._clock.now_ms())
            self._meters[meter.id] = meter.over(terrain)
        if meeting.doubt and before != meeting:
            log.warning("meter.doubtful", meter=meter.id, doubt=meeting.doubt)

    def _whose(self, said: object, there: str) -> str | None:
        """Which other meter's device that is: on a port with a new number, all are each other's."""
        return next(
            (
                meter
                for meter, known in self._notebook.remembered.identities.items()
                if known == said and meter != there
            ),
            None,
        )

    # ---- what was learnt

    def _learn(self, meter: Meter, visit: Visit) -> None:
        now_ms = self._clock.now_ms()
        kind = self._notebook.remembered.kind_of(meter)
        before = meter.terrain
        holes: list[Hole] = [hole for each in visit.explored for hole in each.holes]
        longest = min((e.longest for e in visit.explored if e.longest), default=None)
        terrain: Terrain = before.learn(holes, longest, now_ms)
        if terrain == before:
            return
        log.warning(
            "meter.hole",
            meter=meter.id,
            kind=kind,
            holes=[str(hole) for hole in holes],
            longest=longest,
        )
        self._notebook.remembered = self._notebook.remembered.learnt(kind, terrain)
        self._meters = {
            name: each.over(terrain) if self._notebook.remembered.kind_of(each) == kind else each
            for name, each in self._meters.items()
        }
