"""Heard: when anything was last heard from whom, by a clock that never steps.

The pipeline tells; the watch asks. Silence is what was not heard while the centre could hear: what
came before a time in which it could not (no broker, no database) is no sign of silence after it.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from collector.store import Row
from metering.wire import State


class GatewayWord(Struct, frozen=True, kw_only=True):
    """What a gateway last said of itself.

    Attributes:
        offset_ms: how far its clock is behind ours (negative: ahead), give or take the link; None
            where the broker had kept the word.
    """

    state: State
    offset_ms: int | None


class Ear:
    """When each of one kind was last heard.

    Attributes:
        last: time of the newest reading or word by id.
    """

    def __init__(self, mono_ms: int, last: Mapping[str, int]) -> None:
        self.last = dict(last)
        self._since_ms = mono_ms  # since then the centre hears without a break
        self._heard: dict[str, int] = {}

    def hear(self, name: str, at_ms: int, mono_ms: int) -> None:
        """What is not newer than the last is no sign of life."""
        if at_ms > self.last.get(name, -1):
            self.last[name] = at_ms
            self._heard[name] = mono_ms

    def deaf(self, mono_ms: int) -> None:
        """The centre itself cannot hear: whatever is not heard now says nothing."""
        self._since_ms = mono_ms

    def silent_ms(self, name: str, mono_ms: int) -> int:
        """How long nothing was heard from one although the centre listened."""
        return mono_ms - max(self._heard.get(name, self._since_ms), self._since_ms)

    def is_heard(self, name: str) -> bool:
        """Since the centre began to listen, or was deaf last."""
        return self._heard.get(name, -1) >= self._since_ms

    def any_ms(self) -> int | None:
        """When, by the monotonic clock, one of them was last heard since the start."""
        return max(self._heard.values(), default=None)


class Heard:
    """Threads may share it: one tells, others ask.

    Attributes:
        meters: by their readings.
        gateways: by whatever they send.
        words: what each gateway last said of itself.
    """

    def __init__(self, mono_ms: int, newest: Mapping[str, int]) -> None:
        """Begin to listen.

        Args:
            mono_ms: now, by the monotonic clock.
            newest: time of each meter's newest reading in the store.
        """
        self.began_ms = mono_ms
        self.meters = Ear(mono_ms, newest)
        self.gateways = Ear(mono_ms, {})
        self.words: dict[str, GatewayWord] = {}

    def rows(self, rows: Iterable[Row], mono_ms: int) -> None:
        """Readings are in the store. A fault is no sign of life."""
        hear = self.meters.hear
        for row in rows:
            if row.values:
                hear(row.meter, row.at_ms, mono_ms)

    def spoke(self, gateway: str, now_ms: int, mono_ms: int) -> None:
        """A batch or a word came that no broker had kept."""
        self.gateways.hear(gateway, max(now_ms, self.gateways.last.get(gateway, 0) + 1), mono_ms)

    def deaf(self, mono_ms: int) -> None:
        self.meters.deaf(mono_ms)
        self.gateways.deaf(mono_ms)
