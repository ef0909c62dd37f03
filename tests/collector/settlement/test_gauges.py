"""Gauges' windows carry the tags of the fleet entry that was in force when they began."""

from collections.abc import Sequence

import numpy as np

from collector.intervals import GaugeWindows
from collector.settle.cells import DAY_MS, Width
from collector.store import Tags
from tests.fakes.intervals import FakeIntervalStore
from tests.fakes.settling import HOUR_MS, START_MS, Settling, meter

POWER = "active_power_kw"


class NotingStore(FakeIntervalStore):
    """Notes the circuit under which each window was written."""

    def __init__(self) -> None:
        super().__init__()
        self.circuits: dict[tuple[Width, int], str] = {}

    def write_meters_gauges(self, written: Sequence[tuple[Tags, Sequence[GaugeWindows]]]) -> None:
        for tags, many in written:
            for one in many:
                starts = one.start_ms.tolist()
                self.circuits |= {(one.width, at): tags.circuit for at in starts}
        super().write_meters_gauges(written)


def test_a_meter_that_moved_has_each_window_where_it_stood_then() -> None:
    moved_ms = START_MS + 2 * DAY_MS + 6 * HOUR_MS
    store = NotingStore()
    town = Settling(
        meter("m1", circuit="一号楼", valid_to_ms=START_MS + DAY_MS),
        meter("m1", circuit="二号楼", valid_from_ms=moved_ms),
        now_ms=START_MS + 5 * DAY_MS,
        intervals=store,
    )
    at_ms = START_MS + np.arange(4 * 24) * HOUR_MS
    town.put("m1", at_ms, np.full(len(at_ms), 5.0), POWER)

    town.settlement.settle_dirty()

    hours = [store.circuits[Width.HOUR, at] for at in at_ms.tolist()]
    assert hours == ["一号楼"] * (2 * 24 + 6) + ["二号楼"] * (2 * 24 - 6)
    days = [store.circuits[Width.DAY, START_MS + day * DAY_MS] for day in range(4)]
    assert days == ["一号楼", "一号楼", "一号楼", "二号楼"]


def test_windows_that_are_there_already_are_not_written_again() -> None:
    store = NotingStore()
    town = Settling(meter("m1"), now_ms=START_MS + 5 * DAY_MS, intervals=store)
    at_ms = START_MS + np.arange(48) * HOUR_MS
    town.put("m1", at_ms, np.arange(48.0), POWER)
    town.settlement.settle_dirty()
    store.circuits.clear()
    town.dirty.mark_dirty([("m1", START_MS)])

    town.settlement.settle_dirty()

    assert store.circuits == {}
