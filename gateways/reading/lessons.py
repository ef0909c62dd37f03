"""Lessons: what refusals taught -> what holds for one meter, and what for all of its kind.

A refusal may be a mood. So what is found first holds for that meter alone, and for minutes; found
again later, or by another meter, it holds for the model and firmware, and is kept on disk for a
week. A meter that has answered a register itself is never told by others that it cannot.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from gateways.reading.memory import Notebook
from gateways.reading.meter import Meter
from gateways.reading.plan import Block
from gateways.reading.terrain import Hole, Terrain

DOUBT_MS = 600_000  # real time after which what was found once is asked again
DAY_MS = 86_400_000  # after which what is known is looked at anew: some of it may be too old


class _Suspicion(Struct, frozen=True):
    meter: str
    at_ms: float


class Lessons:
    """Of one bus. Holds no clock: every instant is handed in, `now_ms` of the wall, `real_ms` not.

    Attributes:
        notebook: what is known for sure, shared by all buses.
    """

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self._suspicions: dict[tuple[str, object], _Suspicion] = {}
        self._answered: dict[str, set[Block]] = {}

    def answered(self, meter: Meter, blocks: Iterable[Block]) -> None:
        """These reads were answered by `meter`: nobody teaches it otherwise."""
        self._answered.setdefault(meter.id, set()).update(blocks)

    def known(self, meter: Meter, now_ms: int) -> Meter:
        """`meter` by what is known for sure, and by nothing that it has disproved itself."""
        terrain = self.notebook.remembered.terrain_of(meter, now_ms)
        return meter.over(terrain.without(self._answered.get(meter.id, ())))

    def doubted(self, meter: Meter, holes: Sequence[Hole], now_ms: int) -> Meter:
        """`meter` without registers that it does not answer just now."""
        return meter.over(meter.terrain.learn(holes, None, now_ms))

    def refused(
        self, meter: Meter, found: Terrain, now_ms: int, real_ms: float
    ) -> tuple[Meter, bool]:
        """`meter` by what its refusal showed, and whether its like is to be looked at too."""
        remembered = self.notebook.remembered
        kind = remembered.kind_of(meter)
        holes = [h for h in found.holes if self._is_sure(meter, kind, h, real_ms)]
        longest = found.longest
        if longest is not None and not self._is_sure(meter, kind, longest, real_ms):
            longest = None
        if holes or longest:
            before = remembered.terrains.get(kind, Terrain())
            self.notebook.remembered = remembered.learnt(kind, before.learn(holes, longest, now_ms))
        return (
            meter.over(meter.terrain.learn(found.holes, found.longest, now_ms)),
            bool(holes or longest),
        )

    def _is_sure(self, meter: Meter, kind: str, what: Hole | int, real_ms: float) -> bool:
        key = (kind, (what.table, what.address, what.count) if isinstance(what, Hole) else what)
        before = self._suspicions.setdefault(key, _Suspicion(meter.id, real_ms))
        return before.meter != meter.id or real_ms - before.at_ms >= DOUBT_MS
