"""Catalog: what the month tables of a column store hold, and rows on their way into one.

Meters and tags are small numbers in the tables; here is what the numbers mean.
"""

import numpy as np
from msgspec import Struct, field

from collector.adapters.columns import Ints, months_of
from collector.store import Tags

NEVER = -1  # older than any instant


class Catalog(Struct, kw_only=True):
    """What the file holds, apart from the readings themselves.

    Attributes:
        meters: number by meter id.
        tags: (number, the meter's number) by tags.
        months: the quantities that a month's table has columns for, by YYYYMM.
        newest: the newest instant of each meter, by its number; `NEVER` if it has none.
        newest_valued: the same among readings with values.
    """

    meters: dict[str, int] = field(default_factory=dict)
    tags: dict[Tags, tuple[int, int]] = field(default_factory=dict)
    months: dict[int, tuple[str, ...]] = field(default_factory=dict)
    newest: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    newest_valued: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def draft(self) -> "Catalog":
        return Catalog(
            meters=dict(self.meters),
            tags=dict(self.tags),
            months=dict(self.months),
            newest=self.newest.copy(),
            newest_valued=self.newest_valued.copy(),
        )

    def grow(self) -> None:
        """Make room for meters that were added."""
        never = np.full(len(self.meters) - len(self.newest), NEVER, np.int64)
        self.newest = np.concatenate((self.newest, never))
        self.newest_valued = np.concatenate((self.newest_valued, never))

    def forget_before(self, month: int) -> list[int]:
        """Forget what was before a month; returns the months that went."""
        old = [known for known in self.months if known < month]
        for known in old:
            del self.months[known]
        self.newest[months_of(self.newest) < month] = NEVER
        self.newest_valued[months_of(self.newest_valued) < month] = NEVER
        return old

    def months_in(self, start_ms: int, end_ms: int) -> list[int]:
        if end_ms <= start_ms:
            return []
        first, last = months_of(np.array([start_ms, end_ms - 1], np.int64)).tolist()
        return sorted(month for month in self.months if first <= month <= last)
