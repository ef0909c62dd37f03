"""FakeEpochBook: breaks and days in doubt, in memory."""

from collector.settle.breaks import Break


class FakeEpochBook:
    """Implements `EpochBook`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], list[Break]] = {}
        self._doubts: dict[tuple[str, str], set[int]] = {}

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

    def doubts(self, meters, start_ms, end_ms) -> dict[str, frozenset[int]]:
        found: dict[str, set[int]] = {}
        for (meter, _), days in self._doubts.items():
            there = {day for day in days if start_ms <= day < end_ms}
            if meter in meters and there:
                found.setdefault(meter, set()).update(there)
        return {meter: frozenset(days) for meter, days in found.items()}

    def replace_doubts(self, found) -> None:
        for meter, quantity, (start_ms, end_ms), days in found:
            kept = self._doubts.setdefault((meter, quantity), set())
            kept -= {day for day in kept if start_ms <= day < end_ms}
            kept |= set(days)
