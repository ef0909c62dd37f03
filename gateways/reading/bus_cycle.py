"""Bus cycle: all meters of a bus, cycle after cycle -> their readings, on time whatever one does.

Who is asked, for what, and when is decided by pure parts: `patience` (the silent ones), `agenda`
(what is due and fits), `acquaintance` (who answers there). This module lets them talk to the bus.
"""

from collections.abc import Callable, Collection, Sequence

import structlog
from msgspec import Struct, structs

from gateways.reading.acquaintance import Meeting, Who, meet
from gateways.reading.agenda import USABLE_SHARE, Agenda
from gateways.reading.lessons import DAY_MS, DOUBT_MS, Lessons
from gateways.reading.memory import Notebook
from gateways.reading.meter import Meter
from gateways.reading.patience import Heard, Patience
from gateways.reading.plan import Block
from gateways.reading.poll import Bus
from gateways.reading.terrain import Hole, Terrain
from gateways.reading.visit import Visit, introduced, is_heard, visit_meter
from metering.clock import Clock
from metering.quantity import QUANTITIES, Kind
from metering.reading import Fault, Reading

log = structlog.get_logger()

INTRODUCE_MS = 86_400_000  # real time: a device is asked again who it is once a day
_COUNTERS = frozenset(q.name for q in QUANTITIES.values() if q.kind is Kind.COUNTER)
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
        self._lessons = Lessons(notebook)
        now_ms, later_ms = clock.now_ms(), clock.monotonic_ms() + DAY_MS
        self._meters = {meter.id: self._lessons.known(meter, now_ms) for meter in meters}
        self._review_ms = dict.fromkeys(self._meters, float(later_ms))
        self._mute: dict[str, Block] = {}
        self._counted: dict[str, dict[str, float]] = {}
        self._patience = Patience(cycle_ms=cycle_ms)
        self._agenda = Agenda(
            cycle_ms=cycle_ms, real_cycle_ms=self._real_cycle_ms, offset_ms=offset_ms
        )
        self._meetings: dict[str, Meeting] = {}
        self._introduced_ms: dict[str, float] = {}
        self._suspect: dict[str, int] = {}
        self._timeout_ms = _TYPICAL_TIMEOUT_MS

    async def run(
        self,
        start_ms: int,
        tell: Callable[[Reading], None],
        is_over: Callable[[], bool] = lambda: False,
    ) -> CycleResult:
        """Ask every meter that is due, one after the other.

        Args:
            start_ms: the aligned start of this cycle, wall time.
            tell: called with each reading as it comes, before the cycle ends.
            is_over: asked before each meter; the cycle ends early if so.
        """
        began_ms = self._clock.monotonic_ms()
        self._review_due(began_ms)
        turn = self._patience.turn(self._meters)
        heard: dict[str, Heard] = {}
        regular = self._agenda.order([self._meters[meter] for meter in turn.regular])
        urgent = [self._agenda.urgent_ms(meter, start_ms) for meter in regular]
        ends_ms = began_ms + self._real_cycle_ms * USABLE_SHARE
        reserved = sum(urgent)
        for meter, own in zip(regular, urgent, strict=True):
            if is_over():
                break
            spare = ends_ms - self._clock.monotonic_ms() - reserved
            await self._turn(meter.id, start_ms, spare, heard, tell)
            reserved -= own
            # A meter that fell silent just now makes this cycle late; it does not make others wait.
            ends_ms += heard[meter.id].in_vain_ms if meter.id in heard else 0.0
        if not is_over():
            await self._probe(turn.probes, start_ms, began_ms, heard, tell, alone=not turn.regular)
        took_ms = self._clock.monotonic_ms() - began_ms
        meters = tuple(self._meters.values())
        in_vain_ms = sum(turn.in_vain_ms for turn in heard.values())
        self._agenda.close(meters, took_ms - in_vain_ms)
        self._patience = self._patience.after(heard, self._real_cycle_ms, alone=not turn.regular)
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
        *,
        alone: bool,
    ) -> None:
        """Ask the silent ones that are due, as far as their allowance and the cycle reach."""
        spent_ms = 0.0
        for meter in probes:
            left_ms = began_ms + self._real_cycle_ms - self._clock.monotonic_ms()
            allowed = self._patience.allows(
                spent_ms, self._timeout_ms, left_ms, self._real_cycle_ms
            )
            # Nobody is kept waiting on a bus where all are silent: one a cycle is always asked.
            first = alone and not spent_ms and self._patience.has_room(left_ms, self._timeout_ms)
            if not allowed and not first:
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
        if not introduce and self._has_fallen(meter, visit.reading):
            # A counter that falls may be another meter's: it is asked before it is believed.
            named = await introduced(self._bus, meter, self._clock)
            visit = structs.replace(visit, said=named.said)
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
        if self._is_other(meter):
            return
        self._lessons.answered(meter, visit.answered)
        self._counted.setdefault(meter.id, {}).update(_counters(visit.reading))
        self._note_mute(meter, visit.mute)
        if visit.explored:
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

    def _has_fallen(self, meter: Meter, reading: Reading) -> bool:
        known = self._counted.get(meter.id, {})
        return bool(meter.model.identity) and any(
            value < known.get(name, value) for name, value in _counters(reading).items()
        )

    def _is_other(self, meter: Meter) -> bool:
        meeting = self._meetings.get(meter.id)
        return meeting is not None and meeting.who is Who.OTHER

    def _introduce(self, meter: Meter, visit: Visit) -> None:
        said = visit.said
        known = self._notebook.remembered.identities.get(meter.id, {})
        real_ms = self._clock.monotonic_ms()
        self._introduced_ms[meter.id] = real_ms
        if not said:
            # What was known of it holds; who once had a name is asked again soon.
            self._introduced_ms[meter.id] -= INTRODUCE_MS - DOUBT_MS if known else 0
            return
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
            self._meters[meter.id] = self._lessons.known(meter, self._clock.now_ms())
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
        now_ms, real_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        found = Terrain().learn(
            [hole for each in visit.explored for hole in each.holes],
            min((e.longest for e in visit.explored if e.longest), default=None),
            now_ms,
        )
        if found == Terrain():
            return
        known, is_sure = self._lessons.refused(meter, found, now_ms, real_ms)
        log.warning(
            "meter.hole",
            meter=meter.id,
            holes=[str(hole) for hole in found.holes],
            longest=found.longest,
            sure=is_sure,
        )
        if is_sure:
            self._review(now_ms)
        self._meters[meter.id] = known
        self._review_ms[meter.id] = real_ms + DOUBT_MS

    def _note_mute(self, meter: Meter, block: Block | None) -> None:
        """Some meters say nothing to what they do not have; twice at one place is believed."""
        before = self._mute.pop(meter.id, None)
        if block is None:
            return
        if before != block:
            self._mute[meter.id] = block
            return
        real_ms = self._clock.monotonic_ms()
        hole = Hole(block.table, block.address, block.count)
        log.warning("meter.mute", meter=meter.id, registers=str(hole))
        self._meters[meter.id] = self._lessons.doubted(meter, [hole], self._clock.now_ms())
        self._review_ms[meter.id] = real_ms + DOUBT_MS

    def _review_due(self, real_ms: float) -> None:
        """What was doubted is asked again after minutes, what is old after a day at most."""
        due = {name for name, at_ms in self._review_ms.items() if at_ms <= real_ms}
        if due:
            self._review(self._clock.now_ms(), due)
            self._review_ms |= dict.fromkeys(due, real_ms + DAY_MS)

    def _review(self, now_ms: int, names: Collection[str] | None = None) -> None:
        for name, meter in self._meters.items():
            if names is None or name in names:
                self._meters[name] = self._lessons.known(meter, now_ms)


def _counters(reading: Reading) -> dict[str, float]:
    return {name: value for name, value in reading.values.items() if name in _COUNTERS}
