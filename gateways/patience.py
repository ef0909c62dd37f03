"""Patience: which meters to ask in this cycle, so that dead ones cannot stall a bus.

A meter that was silent is asked after all others, with growing pauses between (1, 2, 4 … cycles),
and the time spent on such probes in one cycle is bounded. One answer makes it a meter like others.
Silence is kept per meter and bus, never per unit id: unit 1 exists on many buses.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

DEAD_SHARE = 1 / 60  # of its bus's time, that a meter which stays silent costs in the end
PROBE_SHARE = 0.25  # of a cycle, for all silent meters of a bus together


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


class Patience(Struct, frozen=True, kw_only=True):
    """The silent meters of one bus. Each operation returns a new value.

    Attributes:
        cycle_ms: how often its meters are read, in wall time.
        silences: by meter.
    """

    cycle_ms: int
    silences: Mapping[str, Silence] = field(default_factory=dict)

    @property
    def silent(self) -> frozenset[str]:
        return frozenset(self.silences)

    def turn(self, meters: Iterable[str]) -> Turn:
        """Who is asked now; the longest overdue probe comes first."""
        everyone = tuple(meters)
        due = [m for m in everyone if m in self.silences and self.silences[m].ask_in <= 0]
        due.sort(key=lambda meter: self.silences[meter].ask_in)
        regular = tuple(meter for meter in everyone if meter not in self.silences)
        return Turn(regular=regular, probes=tuple(due))

    def after(self, heard: Mapping[str, Heard], real_cycle_ms: float) -> "Patience":
        """The next cycle's patience.

        Args:
            heard: how each meter took its turn. One whose bus fell had none.
            real_cycle_ms: a cycle in real time, in which timeouts pass whatever the clock's speed.
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
        return Patience(cycle_ms=self.cycle_ms, silences=silences)


def _longer(silence: Silence | None, longest: int) -> Silence:
    times = 1 if silence is None else silence.times + 1
    # The first silence costs no cycle: a single lost answer is nothing.
    pause = 0 if times == 1 else min(2 ** min(times - 2, 16), longest)
    return Silence(times=times, ask_in=pause)
