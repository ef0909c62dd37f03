"""Agenda: when each of a meter's quantities was last read -> what to read of it in this cycle.

Power is read every cycle, energy every minute, aligned to the wall clock: a group whose period is a
minute is due in the first cycle of each minute. Where a cycle has no time for everything, what is
urgent is read all the same, the rest waits for a later cycle, and who came short goes first then.
So forty counters that are due in one second are read over the seconds that follow.

What a poll will take is estimated from what earlier ones took.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from gateways.library.model import Priority
from gateways.reading.meter import Meter
from gateways.reading.plan import Block

USABLE_SHARE = 0.9  # of a cycle; the rest is for what nobody foresaw
REQUEST_WEIGHT = 20  # registers that could be read while a request goes and is thought about
SLOW_SHARE = 0.10  # of a crowded bus's time, that one slow meter may take
_SLOW_TIMES = 3.0  # slower than so many times the usual meter of the bus is slow
_INERTIA = 0.7  # of an estimate, when another figure comes


class Task(Struct, frozen=True, kw_only=True):
    """What to read of a meter now.

    Attributes:
        groups: by their place in the meter; never empty.
        is_short: more was due than there was time for.
    """

    groups: frozenset[int]
    is_short: bool = False


class Agenda:
    """The meters of one bus. Holds no clock: every instant is handed in.

    Attributes:
        needs_ms: what a cycle takes in which everything that falls due on average is read, real
            time; 0 until the first meter answered.
        is_crowded: in the last cycle somebody came short, or it ended too late, or would have if
            nothing had waited.
    """

    def __init__(self, *, cycle_ms: int, real_cycle_ms: float, offset_ms: int = 0) -> None:
        self._cycle_ms = cycle_ms
        self._real_cycle_ms = real_cycle_ms
        self._offset_ms = offset_ms
        self._read: dict[str, dict[int, int]] = {}  # meter -> group -> the cycle it was read in
        self._pace: dict[str, float] = {}  # meter -> real ms per weight
        self._resting: dict[str, int] = {}  # meter -> cycles to pass over
        self._short: str | None = None  # who came short first
        self._first: str | None = None  # whose turn it is to be first
        self._low: str | None = None  # whose turn it is with what has low priority
        self.is_crowded = False
        self._comes_short = False

    # ---- before a cycle

    def order(self, meters: Sequence[Meter]) -> Sequence[Meter]:
        """Whom to ask after whom: who came short last time is first."""
        ids = [meter.id for meter in meters]
        begin = ids.index(self._short) if self._short in ids else 0
        after = ids.index(self._low) + 1 if self._low in ids else 0
        self._comes_short, self._short = False, None
        self._first = ids[begin] if ids else None
        self._low = ids[after % len(ids)] if ids else None
        return [*meters[begin:], *meters[:begin]] if begin else meters

    def urgent_ms(self, meter: Meter, start_ms: int) -> float:
        """What of `meter` cannot wait will take, real time."""
        due = self._due(meter, start_ms)
        return self._cost_ms(meter, frozenset(self._urgent(meter, due)))

    # ---- a meter's turn

    def task(self, meter: Meter, start_ms: int, spare_ms: float) -> Task | None:
        """What to read of `meter`; none if nothing is due or nothing fits.

        Args:
            meter: whose turn it is.
            start_ms: the aligned start of this cycle, wall time.
            spare_ms: real time that is left beside what cannot wait.
        """
        due = self._due(meter, start_ms)
        if not due or self._rests(meter):
            return None
        chosen = self._chosen(meter, due, spare_ms)
        # What only waits because the bus was crowded before does not make it crowded again.
        is_short = any(p not in chosen and not self._waits(meter, p) for p in due)
        if is_short:
            self._comes_short = True
            self._short = self._short or meter.id
        return Task(groups=chosen, is_short=is_short) if chosen else None

    def done(self, meter: Meter, groups: frozenset[int], start_ms: int) -> None:
        """These groups were read in the cycle of `start_ms`; they are due again a period later."""
        self._read.setdefault(meter.id, {}).update(dict.fromkeys(groups, start_ms))

    def took(self, meter: Meter, blocks: Sequence[Block], took_ms: float) -> None:
        """All of `blocks`, at least one, were answered, in so much real time."""
        pace = took_ms / _weight(blocks)
        known = self._pace.get(meter.id)
        self._pace[meter.id] = pace if known is None else known + (pace - known) * (1 - _INERTIA)

    # ---- after a cycle

    def close(self, meters: Sequence[Meter], took_ms: float) -> None:
        """The cycle is over; on a crowded bus the slow ones pause, so that the others have time.

        Args:
            meters: of the bus.
            took_ms: what it took, real time, but for what was waited in vain.
        """
        needs_ms = self.needs_ms(meters)
        self.is_crowded = (
            self._comes_short
            or took_ms > self._real_cycle_ms
            or needs_ms > self._real_cycle_ms * USABLE_SHARE
        )
        resting = {meter: cycles - 1 for meter, cycles in self._resting.items() if cycles > 1}
        if self.is_crowded:
            resting |= {meter: pause for meter, pause in self._pauses(meters) if pause}
        self._resting = resting

    @property
    def slow(self) -> frozenset[str]:
        """Meters that pause because they are slow."""
        return frozenset(self._resting)

    def needs_ms(self, meters: Iterable[Meter]) -> float:
        """What a cycle takes on average, real time, if nothing has to wait."""
        return sum(
            self._cost_ms(meter, frozenset(places))
            * self._cycle_ms
            / max(self._cycle_ms, meter.groups[places[0]].every_ms)
            for meter in meters
            for places in _by_period(meter)
        )

    # ---- details

    def _due(self, meter: Meter, start_ms: int) -> list[int]:
        """Places of the groups that are due, the most urgent first."""
        read = self._read.get(meter.id, {})
        return [
            place
            for place, group in enumerate(meter.groups)
            if self._is_due(group.every_ms, read.get(place), start_ms)
        ]

    def _is_due(self, every_ms: int, read_ms: int | None, start_ms: int) -> bool:
        if read_ms is None or every_ms <= self._cycle_ms or read_ms > start_ms:
            return True
        return self._period(start_ms, every_ms) > self._period(read_ms, every_ms)

    def _period(self, at_ms: int, every_ms: int) -> int:
        return (at_ms - self._offset_ms) // every_ms

    def _urgent(self, meter: Meter, due: Iterable[int]) -> list[int]:
        return [place for place in due if meter.groups[place].priority is Priority.HIGH]

    def _chosen(self, meter: Meter, due: Sequence[int], spare_ms: float) -> frozenset[int]:
        if meter.id == self._first:
            return frozenset(due)  # so that what never fits is read all the same, in turn
        chosen = frozenset(self._urgent(meter, due))
        base_ms = self._cost_ms(meter, chosen)
        for place in due:
            wider = chosen | {place}
            if not self._waits(meter, place) and self._cost_ms(meter, wider) - base_ms <= spare_ms:
                chosen = wider
        return chosen

    def _waits(self, meter: Meter, place: int) -> bool:
        """On a crowded bus what has low priority is read of one meter a cycle, in turn."""
        low = meter.groups[place].priority is Priority.LOW
        return low and self.is_crowded and meter.id != self._low

    def _rests(self, meter: Meter) -> bool:
        return self._resting.get(meter.id, 0) > 0

    def _cost_ms(self, meter: Meter, groups: frozenset[int]) -> float:
        pace = self._pace.get(meter.id, 0.0)
        return pace * _weight(meter.plan(groups).blocks) if pace and groups else 0.0

    def _pauses(self, meters: Sequence[Meter]) -> list[tuple[str, int]]:
        paces = sorted(self._pace[meter.id] for meter in meters if meter.id in self._pace)
        if not paces:
            return []
        usual = paces[(len(paces) - 1) // 2]
        allowed_ms = self._real_cycle_ms * SLOW_SHARE
        return [
            (meter.id, int(self._cost_ms(meter, meter.everything) / allowed_ms))
            for meter in meters
            if self._pace.get(meter.id, 0.0) > _SLOW_TIMES * usual and meter.id not in self._resting
        ]


def _by_period(meter: Meter) -> list[list[int]]:
    """Places of the groups that are read together, by their period."""
    places: dict[int, list[int]] = {}
    for place, group in enumerate(meter.groups):
        places.setdefault(group.every_ms, []).append(place)
    return list(places.values())


def _weight(blocks: Sequence[Block]) -> int:
    return REQUEST_WEIGHT * len(blocks) + sum(block.count for block in blocks)
