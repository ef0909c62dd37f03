"""FakeEpochBook: breaks between register epochs, in memory."""

from collector.settle.breaks import Break


class FakeEpochBook:
    """Implements `EpochBook`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], list[Break]] = {}

    def breaks(self, meter: str, quantity: str, start_ms: int, end_ms: int) -> list[Break]:
        kept = self._kept.get((meter, quantity), [])
        return [one for one in kept if start_ms <= one.at_ms < end_ms]

    def last_break(self, meter: str, quantity: str, before_ms: int) -> Break | None:
        earlier = self.breaks(meter, quantity, 0, before_ms)
        return earlier[-1] if earlier else None

    def replace_breaks(self, meter, quantity, span_ms, breaks) -> None:
        start_ms, end_ms = span_ms
        kept = self._kept.get((meter, quantity), [])
        rest = [one for one in kept if not start_ms <= one.at_ms < end_ms]
        self._kept[meter, quantity] = sorted([*rest, *breaks], key=lambda one: one.at_ms)
