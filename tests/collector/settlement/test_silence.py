"""A meter that fell silent has rows of each later day: what is not known is missing, not absent."""

from msgspec import structs

from collector.entries import Entry, EntryKind
from collector.settle.cells import DAY_MS, Width
from collector.settle.rule import Rule, bit
from collector.settlement.silence import mark_silent
from tests.fakes.settling import ENERGY, HOUR_MS, START_MS, Settling, hourly, meter

DAY_3 = START_MS + 3 * DAY_MS


def town(*names: str, now_ms: int = START_MS + 4 * DAY_MS) -> Settling:
    return Settling(*(meter(name) for name in names), now_ms=now_ms)


def close(at: Settling, day_ms: int) -> list[str]:
    silent = mark_silent(at.fleet, at.store, at.intervals, at.dirty, day_ms)
    at.settlement.settle_dirty()
    return silent


def put(at: Settling, name: str, hours: int) -> None:
    """So many hours of readings, settled an hour after the last one, as the job does."""
    now_ms = at.clock.now_ms()
    at.put(name, *hourly(hours))
    early_ms = START_MS + hours * HOUR_MS - now_ms
    at.clock.pass_ms(early_ms)
    at.settlement.settle_dirty()
    at.clock.pass_ms(-early_ms)


def days(at: Settling, name: str) -> list[tuple[int, float, float]]:
    """Which days have a row, and what of it is measured, and missing."""
    cells = at.rows(name, Width.DAY).cells
    return [
        ((int(start) - START_MS) // DAY_MS, round(float(measured), 2), round(float(missing), 2))
        for start, measured, missing in zip(
            cells.start_ms, cells.measured, cells.missing, strict=True
        )
    ]


def test_a_silent_meters_day_is_written_as_missing_and_the_others_are_left_alone() -> None:
    at = town("m1", "m2")
    put(at, "m2", 37)
    put(at, "m1", 4 * 24 + 1)
    assert days(at, "m2") == [(0, 1, 0), (1, 0.92, 0.08)]

    silent = close(at, DAY_3)

    assert silent == ["m2"]
    assert days(at, "m2") == [(0, 1, 0), (1, 0.5, 0.5), (2, 0, 1), (3, 0, 1)]
    hours = at.rows("m2", Width.HOUR).cells
    assert len(hours.start_ms) == 4 * 24
    assert not hours.known[36:].any()


def test_a_day_that_broke_off_in_the_middle_is_settled_to_its_end() -> None:
    at = town("m1")
    put(at, "m1", 3 * 24 + 10)
    assert len(at.rows("m1", Width.QUARTER).cells.start_ms) < 4 * 96

    assert close(at, DAY_3) == ["m1"]

    assert len(at.rows("m1", Width.QUARTER).cells.start_ms) == 4 * 96
    assert days(at, "m1")[3] == (3, 0.38, 0.62)


def test_a_month_falls_by_the_days_that_are_missing() -> None:
    at = town("m1", now_ms=START_MS + 20 * DAY_MS)
    put(at, "m1", 10 * 24 + 1)

    close(at, START_MS + 19 * DAY_MS)

    assert round(float(at.rows("m1", Width.MONTH).cells.missing[0]), 2) == 0.5


def test_days_missed_in_a_row_are_marked_once_in_order() -> None:
    at = town("m1", now_ms=START_MS + 6 * DAY_MS)
    put(at, "m1", 2 * 24 + 1)

    marked = [close(at, START_MS + day * DAY_MS) for day in (2, 3, 4, 5)]

    assert marked == [["m1"], [], [], []]
    assert [day for day, *_ in days(at, "m1")] == [0, 1, 2, 3, 4, 5]


def test_a_silence_that_nobody_noted_is_caught_up_for_a_month_at_most() -> None:
    at = town("m1", now_ms=START_MS + 60 * DAY_MS)
    put(at, "m1", 2 * 24 + 1)

    close(at, START_MS + 59 * DAY_MS)
    again = close(at, START_MS + 59 * DAY_MS)

    assert [day for day, *_ in days(at, "m1")] == [0, 1, 2, *range(29, 60)]
    assert again == []


def test_what_comes_late_after_all_takes_the_place_of_what_was_missing() -> None:
    at = town("m1")
    put(at, "m1", 37)
    close(at, DAY_3)

    at_ms, values = hourly(4 * 24 + 1)
    at.put("m1", at_ms[37:], values[37:])
    at.settlement.settle_dirty()

    assert days(at, "m1") == [(0, 1, 0), (1, 1, 0), (2, 1, 0), (3, 1, 0)]


def test_who_never_spoke_or_is_not_in_force_is_not_marked() -> None:
    gone = meter("m2", valid_to_ms=START_MS + 2 * DAY_MS)
    at = Settling(meter("m1"), gone, now_ms=START_MS + 4 * DAY_MS)
    put(at, "m2", 37)

    assert mark_silent(at.fleet, at.store, at.intervals, at.dirty, DAY_3) == []
    assert at.dirty.count_dirty() == 0


def test_a_meter_that_is_out_of_service_is_missing_by_that_rule() -> None:
    at = town("m1")
    put(at, "m1", 37)
    entry = Entry(
        kind=EntryKind.OUT_OF_SERVICE,
        meter="m1",
        quantity="*",
        start_ms=START_MS + DAY_MS,
        author="王工",
        reason="停用",
        made_ms=START_MS + 2 * DAY_MS,
        source="test",
    )
    at.entries.add_entries([entry])
    at.settlement.settle_dirty()

    close(at, DAY_3)

    rules = at.rows("m1", Width.DAY, ENERGY).cells.rules
    assert int(rules[3]) & bit(Rule.OUT_OF_SERVICE)
    assert structs.asdict(entry)["end_ms"] is None
