"""Patience: which meters to ask in this cycle, so that dead ones cannot stall a bus.

A meter that was silent is asked after all others, with growing pauses between (1, 2, 4 … cycles),
and all silent meters of a bus together have an allowance: a tenth of its time. What a silence took
is paid from it, and while it is overdrawn nobody silent is asked. One answer makes a meter like
others. Silence is kept per meter and bus, never per unit id: unit 1 exists on many buses.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

DEAD_SHARE = 1 / 60  # of its bus's time, that a meter which stays silent costs in the end
PROBE_SHARE = 0.10  # of a bus's time, for all silent meters of it together
FORCED_MS = 120_000  # so often a probe is made although the cycle leaves no time for it


class Silence(Struct, frozen=True, kw_only=True):
    """How long a meter has been silent, counted in cycles of its bus."""

    times: int
    ask_in: int


class Turn(Struct, frozen=True, kw_only=True):
    """Whom to ask in this cycle: `regular` all of them, `probes` while time is left."""

    regular: tuple[str, ...]
    probes: tuple[str, ...]


class Heard(Struct, frozen=True, kw_only=True):
    """How a meter took its turn: whether anything came back, and the real time that it took."""

    answered: bool
    took_ms: float

    @property
    def in_vain_ms(self) -> float:
        """What of that time brought nothing."""
        return 0.0 if self.answered else self.took_ms


class Patience(Struct, frozen=True, kw_only=True):
    """The silent meters of one bus. Each operation returns a new value.

    Attributes:
        cycle_ms: how often its meters are read, in wall time.
        silences: by meter.
        allowance_ms: real time that may be spent on silent meters; below 0 it is overdrawn.
        waited_ms: real time since a probe was last made, while somebody is silent.
    """

    cycle_ms: int
    silences: Mapping[str, Silence] = field(default_factory=dict)
    allowance_ms: float = 0.0
    waited_ms: float = 0.0

    @property
    def silent(self) -> frozenset[str]:
        return frozenset(self.silences)

    def turn(self, meters: Iterable[str]) -> Turn:
        """Who is asked now; the longest overdue probe comes first."""
        everyone = tuple(meters)
        due = [m for m in everyone if m in self.silences and self.silences[m].ask_in <= 0]
        due.sort(key=lambda meter: self.silences[meter].ask_in)
        regular = tuple(meter for meter in everyone if meter not in self.silences)
        if not regular and not due:
            # Nobody is kept waiting by a probe: somebody is asked, in turn.
            due = sorted(everyone, key=lambda meter: self.silences[meter].ask_in)[:1]
        return Turn(regular=regular, probes=tuple(due))

    def allows(
        self, spent_ms: float, timeout_ms: float, left_ms: float, real_cycle_ms: float
    ) -> bool:
        """Whether one more probe may be made.

        Args:
            spent_ms: real time that probes of this cycle took already.
            timeout_ms: what a probe in vain takes.
            left_ms: what is left of the cycle. A probe that would delay the others waits until
                there is room, two minutes at most.
            real_cycle_ms: a cycle in real time. Where a silence takes several of them, as in a
                replayed time, there is never room, and the allowance alone decides.
        """
        forced = not spent_ms and self.waited_ms >= FORCED_MS
        fits = timeout_ms <= left_ms or timeout_ms > 2 * real_cycle_ms
        return self.allowance_ms > spent_ms and (fits or forced)

    def has_room(self, left_ms: float, timeout_ms: float) -> bool:
        """Whether a probe fits, or may take longer for once, where it delays nobody."""
        return timeout_ms <= left_ms or self.allowance_ms > 0

    def after(
        self, heard: Mapping[str, Heard], real_cycle_ms: float, *, alone: bool = False
    ) -> "Patience":
        """The next cycle's patience.

        Args:
            heard: how each meter took its turn. One whose bus fell had none.
            real_cycle_ms: a cycle in real time, in which timeouts pass whatever the clock's speed.
            alone: all meters of the bus were silent before. If one is back, the line may be: the
                others are asked again at once.
        """
        silences = {
            meter: Silence(times=silence.times, ask_in=silence.ask_in - 1)
            for meter, silence in self.silences.items()
        }
        for meter, turn in heard.items():
            if turn.answered:
                silences.pop(meter, None)
            else:
                longest = int(turn.took_ms / DEAD_SHARE / max(1, real_cycle_ms))
                silences[meter] = _longer(self.silences.get(meter), longest)
        if alone and any(turn.answered for turn in heard.values()):
            again = {meter: Silence(times=1, ask_in=0) for meter in silences}
            share_ms = real_cycle_ms * PROBE_SHARE
            return Patience(cycle_ms=self.cycle_ms, silences=again, allowance_ms=share_ms)
        in_vain_ms = sum(turn.in_vain_ms for turn in heard.values())
        share_ms = real_cycle_ms * PROBE_SHARE
        probed = any(meter in self.silences for meter in heard)
        waits = bool(self.silences) and not probed
        return Patience(
            cycle_ms=self.cycle_ms,
            silences=silences,
            allowance_ms=min(self.allowance_ms - in_vain_ms, 0.0) + share_ms,
            waited_ms=self.waited_ms + real_cycle_ms if waits else 0.0,
        )


def _longer(silence: Silence | None, longest: int) -> Silence:
    times = 1 if silence is None else silence.times + 1
    # The first silence costs no cycle: a single lost answer is nothing.
    pause = 0 if times == 1 else min(2 ** min(times - 2, 16), longest)
    return Silence(times=times, ask_in=pause)
