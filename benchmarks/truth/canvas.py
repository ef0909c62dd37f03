"""Canvas: one meter's readings while faults are put in, and everything that is known of it.

Faults of the register change what it stands at (`standing`); then it is read (`read`), and faults
of the way change values, stamps and arrivals. Two faults never touch.
"""

from collections.abc import Callable

import numpy as np
from msgspec import Struct

from benchmarks.truth.label import Fault, Kind
from benchmarks.truth.measured import Floats
from benchmarks.truth.meter import Ints, Truth, as_displayed, finest
from collector.settle.cells import DAY_MS, HOUR_MS
from collector.settle.register import Replacement
from collector.settle.series import PER_UNIT

_TRIES = 60
_STANDS_AT_MOST = 0.2
EDGE_MS = 3 * DAY_MS  # left alone at both ends: a verdict needs both sides


class Loss(Struct, frozen=True):
    """Energy of which no reading tells, between two instants; months there cannot be right."""

    start_ms: int
    end_ms: int
    energy: float


class Extra(Struct, frozen=True):
    """A reading that arrives beside the others."""

    stamp_ms: int
    value: float
    arrives_ms: int


class Company(Struct, frozen=True, kw_only=True):
    """What stands beside a meter; nothing is wrong with it.

    Attributes:
        main: whether the canvas is the main of the others; else it is a sub-meter of `others[0]`.
        others: the family's other meters, the main first if it is one of them; may be empty.
        power_kw: what the meter's own gauge says at each reading; None: it has none.
    """

    main: bool = False
    others: tuple["Canvas", ...] = ()
    power_kw: Floats | None = None


class Canvas:
    """What is worked on.

    Attributes:
        company: what stands beside the meter, if it does not stand alone.
        gain: by how much each step counts more than it should: 1.
        stamp_ms, arrives_ms: what the reading says of its time, and when the collector has it.
        sound: whether the reading tells the truth of its instant.
        one_by_one: every reading is judged as it arrives, not some together.
    """

    def __init__(self, truth: Truth, resolution: float, chance: np.random.Generator) -> None:
        count = len(truth.at_ms)
        self.truth, self.resolution, self.chance = truth, resolution, chance
        self.at_ms = truth.at_ms
        self.consumed = truth.until(truth.at_ms)
        self.offset = np.zeros(count)
        self.base = self._standing()
        self._highest = self.base + float(self.consumed[-1])
        self.width: float | None = None
        self.value = np.empty(0)
        self.stamp_ms = self.at_ms.copy()
        self.arrives_ms = self.at_ms + 1_000
        self.present = np.ones(count, np.bool_)
        self.sound = np.ones(count, np.bool_)
        self.one_by_one = False
        self.extras: list[Extra] = []
        self.faults: list[Fault] = []
        self.losses: list[Loss] = []
        self.company: Company | None = None
        self.replacements: list[Replacement] = []
        self._stood = 0
        self._taken: list[tuple[int, int]] = []

    def _standing(self) -> float:
        """Where the register begins: somewhere that its resolution and the load agree with."""
        base = float(10 ** self.chance.uniform(2, 6.5))
        hourly = self.consumed[-1] / max(1, (self.at_ms[-1] - self.at_ms[0]) / HOUR_MS)
        while finest(base + self.consumed[-1], self.resolution) > max(0.05, hourly) and base > 10:
            base /= 10
        return round(base, 2)

    @property
    def digit(self) -> float:
        """The step of the register's last digit, at its highest standing."""
        return finest(self._highest, self.resolution)

    @property
    def standing(self) -> Floats:
        """What the register holds at each reading, all digits."""
        whole = self.base + self.consumed + self.offset
        return whole % self.width if self.width else whole

    def read(self) -> None:
        self.value = as_displayed(self.standing, self.resolution)
        self._highest = max(self._highest, float(self.value.max()))

    def displayed(self, standing: float) -> float:
        return float(as_displayed(np.array([standing]), self.resolution)[0])

    def label(
        self, kind: Kind, form: str, span: tuple[int, int], about: str, *, counts: bool = True
    ) -> None:
        self.faults.append(
            Fault(
                kind=kind, form=form, start_ms=span[0], end_ms=span[1], about=about, counts=counts
            )
        )

    def consumed_in(self, first: int, last: int) -> float:
        """Between two readings."""
        return float(self.consumed[last] - self.consumed[first])

    def steps(self, milliseconds: float) -> int:
        return max(1, round(milliseconds / self.truth.step_ms))

    def between(self, lowest: float, highest: float) -> float:
        """Evenly on a logarithmic scale: short ones are as usual as long ones."""
        return float(np.exp(self.chance.uniform(np.log(lowest), np.log(highest))))

    def place(
        self, count: int, clear_ms: float, fits: Callable[[int, int], bool] = lambda _a, _b: True
    ) -> tuple[int, int] | None:
        """A free place for `count` readings: its first and last; None after some tries.

        Args:
            clear_ms: how far other faults stay away.
            fits: whether the fault could be seen there.
        """
        edge, clear = self.steps(EDGE_MS), self.steps(clear_ms) + 2
        lowest, highest = edge, len(self.at_ms) - edge - count
        if highest <= lowest:
            return None
        for first in self.chance.integers(lowest, highest, size=_TRIES).tolist():
            last = first + count - 1
            free = all(last + clear < a or first - clear > b for a, b in self._taken)
            if free and fits(first, last):
                self._taken.append((first, last))
                return first, last
        return None

    def block(self, first: int, last: int) -> None:
        """No other fault comes here."""
        self._taken.append((first, last))

    def stands(self, count: int) -> bool:
        """Whether the register may stand so many steps more: a fifth of the series at most.

        Beyond that nobody could say that it usually moves.
        """
        if self._stood + count > _STANDS_AT_MOST * len(self.at_ms):
            return False
        self._stood += count
        return True

    def replaced(self, at_ms: int, closing: float, opening: float) -> None:
        self.replacements.append(
            Replacement(
                at_ms=at_ms,
                closing=round(closing * PER_UNIT),
                opening=round(opening * PER_UNIT),
            )
        )

    def lose(self, first: int, last: int) -> None:
        """These readings never come."""
        self.present[first : last + 1] = False
        self.sound[first : last + 1] = False

    def spoil(self, first: int, last: int, values: Floats | float) -> None:
        """These readings say something else."""
        self.value[first : last + 1] = values
        self.sound[first : last + 1] = False

    def longest_still(self) -> int:
        """Steps in the longest standstill of the register as it really was."""
        moved = np.flatnonzero(np.diff(as_displayed(self.base + self.consumed, self.resolution)))
        if not len(moved):
            return len(self.at_ms)
        bounds = np.concatenate(([-1], moved, [len(self.at_ms) - 1]))
        return int(np.diff(bounds).max()) - 1


def arrival_order(canvas: Canvas) -> tuple[Ints, Floats, Ints]:
    """Stamps, values and arrivals of everything that arrives, as it arrives."""
    there = canvas.present
    stamps = np.concatenate(
        (canvas.stamp_ms[there], np.array([e.stamp_ms for e in canvas.extras], np.int64))
    )
    values = np.concatenate((canvas.value[there], np.array([e.value for e in canvas.extras])))
    arrives = np.concatenate(
        (canvas.arrives_ms[there], np.array([e.arrives_ms for e in canvas.extras], np.int64))
    )
    order = np.argsort(arrives, kind="stable")
    return stamps[order], values[order], arrives[order]
