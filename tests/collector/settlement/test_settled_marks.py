"""Settlement tells which days are new: after they are written, before their marks are cleared."""

import pytest
from msgspec import structs

from collector.settle.cells import DAY_MS
from collector.settlement.service import Settlement
from collector.store import StoreAway
from tests.fakes.dirty import FakeDirtyBook
from tests.fakes.settling import START_MS, Settling, hourly


class Told(FakeDirtyBook):
    """Notes what was stored and what was still marked when it was told."""

    def __init__(self, town: Settling) -> None:
        super().__init__()
        self.town = town
        self.seen: list[tuple[list[int], int, int]] = []

    def mark_dirty(self, days):
        super().mark_dirty(days)
        rows = sum(self.town.intervals.writes)
        named = sorted((day - START_MS) // DAY_MS for _, day in days)
        self.seen.append((named, rows, self.town.dirty.count_dirty()))


def town() -> tuple[Settling, Told]:
    settling = Settling(now_ms=START_MS + 3 * DAY_MS)
    told = Told(settling)
    settling.settlement = Settlement(structs.replace(settling.parts, settled=told))
    return settling, told


def test_days_that_were_marked_are_told_once_they_are_written():
    settling, told = town()
    settling.put("m1", *hourly(49))

    settling.settlement.settle_dirty()

    (days, rows, marks) = told.seen[-1]
    assert days == [0, 1, 2]
    assert rows > 0
    assert marks == 3  # not yet cleared
    assert told.count_dirty() == 3


def test_a_day_that_changes_beside_what_was_marked_is_told_before_it_is_written_as_well():
    settling, told = town()
    at_ms, value = hourly(73)
    late = (at_ms > START_MS + 20 * 3_600_000) & (at_ms < START_MS + 30 * 3_600_000)
    settling.put("m1", at_ms[~late], value[~late])
    settling.settlement.settle_dirty()
    told.seen.clear()
    rows = sum(settling.intervals.writes)

    second_day = late & (at_ms >= START_MS + DAY_MS)
    settling.put("m1", at_ms[second_day], value[second_day])
    settling.settlement.settle_dirty()

    assert told.seen[0] == ([0], rows, 1)
    assert [days for days, _, _ in told.seen] == [[0], [0], [1]]


def test_what_was_settled_by_one_that_died_is_told_by_the_next():
    settling, told = town()
    settling.put("m1", *hourly(25))

    def dies(_days):
        raise StoreAway("no")

    clear, settling.dirty.clear_dirty = settling.dirty.clear_dirty, dies
    with pytest.raises(StoreAway):
        settling.settlement.settle_dirty()
    told.clear_dirty(told.dirty(99))
    settling.dirty.clear_dirty = clear
    settling.settlement.settle_dirty()

    assert [day.day_ms for day in told.dirty(99)] == [START_MS, START_MS + DAY_MS]
