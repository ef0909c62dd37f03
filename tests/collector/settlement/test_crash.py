"""A settlement that dies anywhere leaves nothing that the next one does not put right."""

import numpy as np
import pytest

from collector.settle.cells import DAY_MS, Width
from collector.settle.rule import Rule, bit
from collector.store import StoreAway
from tests.fakes.settling import START_MS, Settling, hourly

WIDTHS = (Width.QUARTER, Width.HOUR, Width.DAY, Width.MONTH)
NOW_MS = START_MS + 50 * DAY_MS


class Fuse:
    """Counts the calls that write anything durable, and lets the nth die before its work."""

    def __init__(self, town: Settling, nth: int) -> None:
        self.nth, self.calls = nth, 0
        for owner, name in (
            (town.intervals, "write_meters"),
            (town.intervals, "write_meters_gauges"),
            (town.epochs, "replace_breaks"),
            (town.dirty, "mark_dirty"),
            (town.dirty, "clear_dirty"),
        ):
            setattr(owner, name, self._fused(getattr(owner, name)))

    def _fused(self, act):
        def fused(*given):
            self.calls += 1
            if self.calls == self.nth:
                raise StoreAway("power cut")
            return act(*given)

        return fused


def settled_first() -> tuple[Settling, np.ndarray, np.ndarray]:
    """Fifty days with a gap that is laid out like the days before it; one reading is not there."""
    at_ms, values = hourly(50 * 24)
    keep = np.ones(len(at_ms), np.bool_)
    keep[30 * 24 + 2 : 32 * 24 + 5] = False
    late = 27 * 24 + np.arange(1, 22)
    keep[late] = False
    town = Settling(now_ms=NOW_MS)
    town.put("m1", at_ms[keep], values[keep])
    town.settlement.settle_dirty()
    # What comes late makes its day an example, and a month's value another one.
    return town, at_ms[late], values[late]


def changed_unit() -> tuple[Settling, np.ndarray, np.ndarray]:
    """The register counts in another unit from a day on; that day comes late, in two pieces."""
    at_ms, values = hourly(50 * 24)
    values = values.copy()
    values[26 * 24 :] = np.round(values[26 * 24 :] * 1000, 2)
    town = Settling(now_ms=NOW_MS)
    town.put("m1", at_ms[: 26 * 24], values[: 26 * 24])
    town.settlement.settle_dirty()
    return town, at_ms[26 * 24 :], values[26 * 24 :]


@pytest.mark.parametrize("story", [settled_first, changed_unit])
def test_wherever_it_dies_the_next_one_ends_where_one_that_lived_does(story) -> None:
    straight, at_ms, values = story()
    straight.put("m1", at_ms, values)
    fuse = Fuse(straight, nth=0)
    straight.settlement.settle_dirty()
    expected = {width: straight.table("m1", width) for width in WIDTHS}

    for nth in range(1, fuse.calls + 1):
        town, at_ms, values = story()
        town.put("m1", at_ms, values)
        Fuse(town, nth)
        with pytest.raises(StoreAway):
            town.settlement.settle_dirty()
        town.settlement.settle_dirty()

        for width in WIDTHS:
            assert town.table("m1", width) == expected[width], (nth, width)
        assert town.dirty.count_dirty() == 0


def test_the_story_has_what_it_is_about() -> None:
    town, at_ms, values = settled_first()
    before = town.rows("m1", Width.QUARTER).cells
    town.put("m1", at_ms, values)

    town.settlement.settle_dirty()

    after = town.rows("m1", Width.QUARTER).cells
    gap = (after.rules & bit(Rule.LIKE_DAY)) != 0
    assert gap.any()
    assert (before.value[gap] != after.value[gap]).any()


def test_of_two_stretches_that_change_at_once_the_earlier_one_is_followed_too() -> None:
    town, at_ms, values = settled_first()
    alone, *_ = settled_first()
    alone.put("m1", at_ms, values)
    alone.settlement.settle_dirty()
    expected = alone.table("m1", Width.HOUR)

    town.put("m1", at_ms, values)
    later = town.store.columns(["m1"], ["energy_import_kwh"], NOW_MS - DAY_MS, NOW_MS)[0]
    moved = later.values + 0.01
    town.put("m1", later.at_ms[:-1] + 60_000, moved[:-1])
    alone.put("m1", later.at_ms[:-1] + 60_000, moved[:-1])
    town.settlement.settle_dirty()
    alone.settlement.settle_dirty()

    inside = slice(30 * 24, 33 * 24)
    assert town.table("m1", Width.HOUR)[inside] == expected[inside]
    assert town.table("m1", Width.HOUR) == alone.table("m1", Width.HOUR)
