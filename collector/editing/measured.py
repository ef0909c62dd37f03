"""Measured: a meter and a quantity -> whether the meter can have said anything of it.

It can if its model has a register for it, if it is what counts for the meter's energy, if readings
of it are stored, or if somebody entered it. Of a model that is not known anything can be.
"""

from collector.entries import EntryBook
from collector.fleet.index import MeterEntry
from collector.settle.counters import counter_of
from collector.store import LAST_AT_MS, ReadingStore
from metering.quantity import QUANTITIES, Kind


class Measured:
    """Remembers what it found; a quantity that a meter has, it has for good."""

    def __init__(self, store: ReadingStore, book: EntryBook) -> None:
        self._store = store
        self._book = book
        self._found: set[tuple[str, str]] = set()

    def wrong(self, entry: MeterEntry, quantity: str) -> str | None:
        """What to tell whoever names a quantity that the meter does not have; None if it has it.

        Args:
            entry: the meter's, in force at the time in question.
            quantity: one of the vocabulary.
        """
        if self._has(entry, quantity):
            return None
        kind = QUANTITIES[quantity].kind
        own = sorted(name for name in entry.quantities if QUANTITIES[name].kind is kind)
        what = "累计量" if kind is Kind.COUNTER else "瞬时量"
        has = f"它的{what}有 {'、'.join(own)}" if own else f"它没有{what}"
        return f"{entry.meter} (型号 {entry.model}) 不测量 {quantity}：{has}。请核对表号和量"

    def _has(self, entry: MeterEntry, quantity: str) -> bool:
        key = (entry.meter, quantity)
        if not entry.quantities or quantity in entry.quantities or key in self._found:
            return True
        counts = quantity == counter_of(entry, entry.quantities)
        if counts or self._is_stored(*key) or self._is_entered(*key):
            self._found.add(key)
        return key in self._found

    def _is_stored(self, meter: str, quantity: str) -> bool:
        return self._store.nearest(meter, quantity, LAST_AT_MS, later=False, most=1) is not None

    def _is_entered(self, meter: str, quantity: str) -> bool:
        in_force = self._book.entries(meters=[meter], in_force=True)
        return any(one.quantity == quantity for one in in_force)
