"""A settlement that dies anywhere leaves nothing that the next one does not put right."""

import numpy as np
import pytest

from collector.settle.cells import DAY_MS, Width
from collector.settle.rule import Rule, bit
from collector.store import StoreAway
from tests.fakes.settling import START_MS, Settling, hourly

WIDTHS = (Width.QUARTER, Width.HOUR, Width.DAY, Width.MONTH)
NOW_MS = START_MS + 70 * DAY_MS


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


class Story:
    """Readings in lots; what comes first is settled before the rest comes all at once."""

    def __init__(self, values: np.ndarray, at_ms: np.ndarray, first: np.ndarray) -> None:
        self.at_ms, self.values, self.first = at_ms, values, first

    def begun(self) -> Settling:
        town = Settling(now_ms=NOW_MS)
        town.put("m1", self.at_ms[self.first], self.values[self.first])
        town.settlement.settle_dirty()
        town.put("m1", self.at_ms[~self.first], self.values[~self.first])
        return town

    def straight(self) -> dict[Width, list]:
        """What it comes to if everything came at once."""
        town = Settling(now_ms=NOW_MS)
        town.put("m1", self.at_ms, self.values)
        town.settlement.settle_dirty()
        return {width: town.table("m1", width) for width in WIDTHS}


def story(name: str) -> Story:
    """A gap from a Friday to a Sunday is laid out like the days before it.

    What comes late is further away than one doubt may decide about, so that the gap is not settled
    along with it.
    """
    at_ms, values = hourly(70 * 24)
    hour = np.arange(len(at_ms))
    gap = (hour >= 36 * 24 + 2) & (hour < 38 * 24 + 5)
    saturday = (hour > 23 * 24) & (hour < 24 * 24 - 2)
    match name:
        case "an example comes late":
            late = saturday
        case "an example and later days come late":
            late = saturday | ((hour > 50 * 24 + 3) & (hour < 50 * 24 + 6))
        case "an example and the end of the gap come late":
            late = saturday | (hour >= 38 * 24)
        case _:
            gap[:] = False
            late = hour >= 26 * 24
            values = np.where(late, np.round(values * 1000, 2), values)
    return Story(values[~gap], at_ms[~gap], ~late[~gap])


STORIES = (
    "an example comes late",
    "an example and later days come late",
    "an example and the end of the gap come late",
    "the unit changes",
)


@pytest.mark.parametrize("name", STORIES)
def test_what_comes_at_once_is_settled_as_if_it_had_come_in_time(name: str) -> None:
    told = story(name)
    town = told.begun()

    town.settlement.settle_dirty()

    for width, expected in told.straight().items():
        assert town.table("m1", width) == expected, width


@pytest.mark.parametrize("name", STORIES)
def test_wherever_it_dies_the_next_one_puts_it_right(name: str) -> None:
    told = story(name)
    expected = told.straight()
    lived = told.begun()
    fuse = Fuse(lived, nth=0)
    lived.settlement.settle_dirty()

    for nth in range(1, fuse.calls + 1):
        town = told.begun()
        Fuse(town, nth)
        with pytest.raises(StoreAway):
            town.settlement.settle_dirty()
        town.settlement.settle_dirty()

        for width in WIDTHS:
            assert town.table("m1", width) == expected[width], (nth, width)
        assert town.dirty.count_dirty() == 0


def test_the_gap_depends_on_the_day_that_comes_late() -> None:
    town = Settling(now_ms=NOW_MS)
    told = story("an example comes late")
    town.put("m1", told.at_ms[told.first], told.values[told.first])
    town.settlement.settle_dirty()
    before = town.rows("m1", Width.QUARTER).cells
    town.put("m1", told.at_ms[~told.first], told.values[~told.first])

    town.settlement.settle_dirty()

    after = town.rows("m1", Width.QUARTER).cells
    gap = (after.rules & bit(Rule.LIKE_DAY)) != 0
    assert gap.any()
    assert (before.value[gap] != after.value[gap]).any()
