"""Settlement on the fakes: marked days become intervals, whatever the order, once and for all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.entries import Entry, EntryKind
from collector.settle.cells import DAY_MS, Width
from collector.settle.rule import Rule, bit
from collector.settle.series import PER_UNIT
from collector.store import StoreAway
from tests.fakes.settling import ENERGY, HOUR_MS, START_MS, Settling, hourly, meter

WIDTHS = (Width.QUARTER, Width.HOUR, Width.DAY, Width.MONTH)


def total(town: Settling, width: Width, name: str = "m1") -> int:
    cells = town.rows(name, width).cells
    return int(cells.value[cells.known].sum())


def difference(values: np.ndarray) -> int:
    return round(float(values[-1] - values[0]) * PER_UNIT)


def said(kind: EntryKind, start_ms: int, **more: object) -> Entry:
    return Entry(
        kind=kind,
        meter="m1",
        quantity=ENERGY,
        start_ms=start_ms,
        author="王工",
        reason="核对",
        made_ms=START_MS + 400 * DAY_MS,
        source="test",
        **more,  # type: ignore[arg-type]
    )


def test_intervals_of_every_width_sum_to_the_registers_difference() -> None:
    town = Settling(now_ms=START_MS + 60 * DAY_MS)
    at_ms, values = hourly(40 * 24)
    town.put("m1", at_ms, values)

    report = town.settlement.settle_dirty()

    for width in WIDTHS:
        assert total(town, width) == difference(values)
    assert report.meters == 1
    assert report.days == 40
    assert report.left == 0
    hours = town.rows("m1", Width.HOUR).cells
    assert (hours.measured[: len(at_ms) - 1] == 1).all()
    assert (town.rows("m1", Width.QUARTER).cells.estimated[:400] == 1).all()


def test_dropped_quarters_change_no_hour_day_or_month_when_their_days_are_settled_again() -> None:
    town = Settling(now_ms=START_MS + 80 * DAY_MS)
    at_ms, values = hourly(80 * 24)
    keep = np.ones(len(at_ms), np.bool_)
    keep[20 * 24 + 5 : 22 * 24] = False  # a gap that is laid out like the days before it
    town.put("m1", at_ms[keep], values[keep])
    town.settlement.settle_dirty()
    widths = (Width.HOUR, Width.DAY, Width.MONTH)
    before = {width: town.rows("m1", width) for width in widths}
    town.intervals.drop_quarters(START_MS + 70 * DAY_MS)

    town.dirty.mark_dirty([("m1", START_MS + day * DAY_MS) for day in (20, 21)])
    town.settlement.settle_dirty()

    for width in widths:
        after = town.rows("m1", width)
        assert after.cells.value.tolist() == before[width].cells.value.tolist()
        assert after.version.tolist() == before[width].version.tolist()


def test_settling_again_writes_nothing() -> None:
    town = Settling(now_ms=START_MS + 40 * DAY_MS)
    town.put("m1", *hourly(40 * 24))
    town.settlement.settle_dirty()

    report = town.settlement.settle(None, START_MS, START_MS + 40 * DAY_MS)

    assert report.written == 0
    assert (town.rows("m1", Width.QUARTER).version == 1).all()


def test_a_late_reading_raises_the_versions_of_what_it_changes_and_of_nothing_else() -> None:
    town = Settling(now_ms=START_MS + 40 * DAY_MS)
    at_ms, values = hourly(40 * 24)
    late = 20 * 24 + 5
    keep = np.arange(len(at_ms)) != late
    town.put("m1", at_ms[keep], values[keep])
    town.settlement.settle_dirty()

    town.put("m1", at_ms[[late]], values[[late]])
    town.settlement.settle_dirty()

    hours = town.rows("m1", Width.HOUR)
    changed = hours.cells.start_ms[hours.version > 1]
    assert changed.tolist() == [at_ms[late - 1], at_ms[late]]
    assert (town.rows("m1", Width.DAY).version == 1).all()
    assert total(town, Width.MONTH) == difference(values)


def test_a_gap_over_days_is_laid_out_like_the_days_before_and_loses_nothing() -> None:
    town = Settling(now_ms=START_MS + 40 * DAY_MS)
    at_ms, values = hourly(40 * 24)
    gap = slice(20 * 24 + 3, 23 * 24 + 7)
    keep = np.ones(len(at_ms), np.bool_)
    keep[gap] = False
    town.put("m1", at_ms[keep], values[keep])

    town.settlement.settle_dirty()

    hours = town.rows("m1", Width.HOUR).cells
    inside = (hours.start_ms >= at_ms[gap][0]) & (hours.start_ms < at_ms[gap][-1])
    assert (hours.rules[inside] & bit(Rule.LIKE_DAY) != 0).all()
    assert (hours.estimated[inside] == 1).all()
    by_hour = np.diff(values)[gap][:-1]
    assert np.corrcoef(hours.value[inside] / PER_UNIT, by_hour)[0, 1] > 0.9
    assert total(town, Width.DAY) == difference(values)


@pytest.mark.parametrize("fault", ["reset", "spike", "frozen", "thousandfold for good"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_of_arrival_and_any_splitting_gives_the_same_intervals(
    fault: str, seed: int
) -> None:
    at_ms, values = hourly(50 * 24)
    values = values.copy()
    match fault:
        case "reset":
            values[700:] -= values[700]
        case "spike":
            values[700:703] *= 10
        case "frozen":
            values[700:712] = values[700]
        case _:
            values[700:] = np.round(values[700:] * 1000, 2)
    random = np.random.default_rng(seed)
    keep = np.sort(random.choice(len(at_ms), 1100, replace=False))
    at_ms, values = at_ms[keep], values[keep]
    straight = Settling(now_ms=START_MS + 50 * DAY_MS)
    straight.put("m1", at_ms, values)
    straight.settlement.settle_dirty()

    shuffled = Settling(now_ms=START_MS + 50 * DAY_MS)
    order = random.permutation(len(at_ms))
    for part in np.array_split(order, 6):
        shuffled.put("m1", at_ms[part], values[part])
        shuffled.settlement.settle_dirty()

    for width in WIDTHS:
        assert shuffled.table("m1", width) == straight.table("m1", width)


WRONG = {
    "freeze": lambda values, place, length: values.__setitem__(
        slice(place, place + length), values[place]
    ),
    "zero": lambda values, place, length: values.__setitem__(slice(place, place + length), 0),
    "gap": lambda values, place, length: values.__setitem__(slice(place, place + length), np.nan),
    "spike": lambda values, place, _length: values.__setitem__(place, 999_999),
    "reset": lambda values, place, _length: values.__setitem__(
        slice(place, None), values[place:] - np.nan_to_num(values[place])
    ),
}


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_whatever_comes_when_the_end_is_the_same(data: st.DataObject) -> None:
    at_ms, values = hourly(30 * 24, seed=data.draw(st.integers(0, 99)))
    values = values.copy()
    for _ in range(data.draw(st.integers(0, 3))):
        wrong = WRONG[data.draw(st.sampled_from(sorted(WRONG)))]
        wrong(values, data.draw(st.integers(1, len(values) - 60)), data.draw(st.integers(1, 50)))
    whole = ~np.isnan(values)
    at_ms, values = at_ms[whole], np.abs(values[whole])
    straight = Settling(now_ms=START_MS + 30 * DAY_MS)
    straight.put("m1", at_ms, values)
    straight.settlement.settle_dirty()

    pieces = Settling(now_ms=START_MS + 30 * DAY_MS)
    for block in data.draw(st.permutations(range(6))):
        part = np.flatnonzero(np.arange(len(at_ms)) * 6 // len(at_ms) == block)
        pieces.put("m1", at_ms[part], values[part])
        if data.draw(st.booleans()):
            pieces.settlement.settle_dirty()
    pieces.settlement.settle_dirty()

    for width in WIDTHS:
        assert pieces.table("m1", width) == straight.table("m1", width)


@pytest.mark.parametrize(
    ("seed", "first", "last", "cut"), [(0, 381, 384, 480), (69, 431, 435, 517), (79, 92, 95, 213)]
)
def test_a_standstill_settled_with_half_its_week_is_judged_anew_when_the_rest_comes(
    seed: int, first: int, last: int, cut: int
) -> None:
    at_ms, values = hourly(40 * 24, seed=seed)
    values[first : last + 1] = values[first]
    straight = Settling(now_ms=START_MS + 40 * DAY_MS)
    straight.put("m1", at_ms, values)
    straight.settlement.settle_dirty()

    parts = Settling(now_ms=START_MS + 40 * DAY_MS)
    for part in (slice(0, cut), slice(cut, None)):
        parts.put("m1", at_ms[part], values[part])
        parts.settlement.settle_dirty()

    for width in WIDTHS:
        assert parts.table("m1", width) == straight.table("m1", width)


def test_a_crash_between_writing_and_clearing_is_done_again() -> None:
    town = Settling(now_ms=START_MS + 10 * DAY_MS)
    at_ms, values = hourly(10 * 24)
    town.put("m1", at_ms, values)
    clear, town.dirty.clear_dirty = town.dirty.clear_dirty, _dies

    with pytest.raises(StoreAway):
        town.settlement.settle_dirty()
    town.dirty.clear_dirty = clear
    report = town.settlement.settle_dirty()

    assert report.written == 0
    assert report.days == 10
    assert total(town, Width.MONTH) == difference(values)


def _dies(_days: object) -> None:
    raise StoreAway("power cut")


def test_a_reading_that_comes_while_its_day_is_settled_marks_it_again() -> None:
    town = Settling(now_ms=START_MS + 10 * DAY_MS)
    at_ms, values = hourly(10 * 24)
    town.put("m1", at_ms[:-1], values[:-1])
    write = town.intervals.write_meters

    def late(*given: object) -> None:
        write(*given)
        town.intervals.write_meters = write
        town.put("m1", at_ms[-1:], values[-1:])

    town.intervals.write_meters = late
    town.settlement.settle_dirty()

    assert total(town, Width.MONTH) == difference(values)
    assert town.dirty.count_dirty() == 0


def test_a_meter_that_answers_once_a_day_settles_too() -> None:
    town = Settling(now_ms=START_MS + 60 * DAY_MS)
    at_ms, values = hourly(60 * 24)
    at_ms, values = at_ms[::24], values[::24]
    town.put("m1", at_ms, values)

    town.settlement.settle_dirty()

    days = town.rows("m1", Width.DAY).cells
    assert (days.measured[:59] == 1).all()
    assert days.value[:59].tolist() == np.rint(np.diff(values) * PER_UNIT).astype(int).tolist()
    quarters = town.rows("m1", Width.QUARTER).cells
    assert (quarters.estimated[: 59 * 96] == 1).all()
    assert total(town, Width.QUARTER) == difference(values)


def test_what_a_person_enters_counts_and_is_shown_as_edited() -> None:
    town = Settling(now_ms=START_MS + 40 * DAY_MS)
    at_ms, values = hourly(20 * 24)
    town.put("m1", at_ms, values)
    town.settlement.settle_dirty()
    day_ms = START_MS + 3 * DAY_MS

    town.entries.add_entries(
        [said(EntryKind.INTERVAL, day_ms, end_ms=day_ms + DAY_MS, value=480.0)]
    )
    town.settlement.settle_dirty()

    days = town.rows("m1", Width.DAY)
    assert days.cells.value[3] == 480 * PER_UNIT
    assert days.cells.edited[3] == 1
    assert days.version[3] == 2
    hours = town.rows("m1", Width.HOUR).cells
    assert int(hours.value[72:96].sum()) == 480 * PER_UNIT

    town.entries.add_entries([said(EntryKind.UNDO, 0, undoes=1)])
    town.settlement.settle_dirty()

    days = town.rows("m1", Width.DAY)
    assert total(town, Width.DAY) == difference(values)
    assert days.cells.edited[3] == 0
    assert days.version[3] == 3


def test_a_voided_first_reading_leaves_missing_intervals_not_stale_ones() -> None:
    town = Settling(now_ms=START_MS + 10 * DAY_MS)
    at_ms, values = hourly(10 * 24)
    town.put("m1", at_ms, values)
    town.settlement.settle_dirty()

    town.entries.add_entries([said(EntryKind.VOID, START_MS, end_ms=START_MS + 5 * HOUR_MS)])
    town.settlement.settle_dirty()

    hours = town.rows("m1", Width.HOUR).cells
    assert hours.start_ms[0] == START_MS
    assert not hours.known[:5].any()
    assert (hours.missing[:5] == 1).all()
    assert total(town, Width.DAY) == difference(values[5:])


def test_a_replaced_meter_keeps_the_series() -> None:
    town = Settling(now_ms=START_MS + 40 * DAY_MS)
    at_ms, values = hourly(40 * 24)
    consumed = difference(values)
    closing = values[500]
    values = np.where(np.arange(960) > 500, values - closing + 7.5, values).round(2)
    town.put("m1", at_ms, values)
    town.settlement.settle_dirty()

    town.entries.add_entries(
        [said(EntryKind.REPLACEMENT, int(at_ms[500]) + 60_000, closing=float(closing), value=7.5)]
    )
    town.settlement.settle_dirty()

    assert total(town, Width.DAY) == pytest.approx(consumed, abs=10_000)
    (only,) = town.epochs.breaks("m1", ENERGY, 0, 2**60)
    assert only.ending == "replacement"


def test_a_unit_that_changed_last_year_is_remembered_by_every_later_day() -> None:
    town = Settling(now_ms=START_MS + 400 * DAY_MS)
    at_ms, values = hourly(100 * 24)
    consumed = difference(values)
    wrong = values.copy()
    wrong[1000:] = np.round(values[1000:] * 1000, 2)
    for start in range(0, len(at_ms), 500):
        part = slice(start, start + 500)
        town.put("m1", at_ms[part], wrong[part])
        town.settlement.settle_dirty()

    assert total(town, Width.DAY) == pytest.approx(consumed, abs=20_000)
    assert town.epochs.last_break("m1", ENERGY, 2**60).multiplier == pytest.approx(0.001)


def test_settling_again_after_the_unit_changed_writes_nothing() -> None:
    town = Settling(now_ms=START_MS + 200 * DAY_MS)
    at_ms, values = hourly(150 * 24)
    values[1000:] = np.round(values[1000:] * 10, 2)
    town.put("m1", at_ms, values)
    town.settlement.settle_dirty()
    before = town.table("m1", Width.DAY)

    first = town.settlement.settle(None, START_MS, START_MS + 200 * DAY_MS)
    second = town.settlement.settle(None, START_MS, START_MS + 200 * DAY_MS)

    assert (first.written, second.written) == (0, 0)
    assert town.table("m1", Width.DAY) == before


def test_the_live_edge_is_missing_until_readings_come() -> None:
    town = Settling(now_ms=START_MS + 2 * DAY_MS + 5 * HOUR_MS)
    at_ms, values = hourly(2 * 24 + 3)
    town.put("m1", at_ms, values)

    town.settlement.settle_dirty()

    hours = town.rows("m1", Width.HOUR).cells
    assert hours.start_ms[-1] == START_MS + 2 * DAY_MS + 4 * HOUR_MS
    assert not hours.known[-2:].any()


def test_a_meter_that_the_fleet_does_not_know_is_named_and_its_marks_go() -> None:
    town = Settling()
    town.dirty.mark_dirty([("ghost", START_MS)])

    report = town.settlement.settle_dirty()

    assert report.unknown == ("ghost",)
    assert report.left == 0


def test_small_groups_give_what_one_large_group_gives() -> None:
    names = [f"m{n}" for n in range(1, 6)]
    towns = [Settling(*map(meter, names), now_ms=START_MS + 20 * DAY_MS) for _ in range(2)]
    for town in towns:
        for number, name in enumerate(names):
            town.put(name, *hourly(20 * 24, seed=number))
    towns[1].settlement._parts = type(towns[1].parts)(
        **{name: getattr(towns[1].parts, name) for name in towns[1].parts.__struct_fields__}
        | {"most_readings": 600}
    )

    for town in towns:
        town.settlement.settle_dirty()

    for name in names:
        assert towns[0].table(name, Width.QUARTER) == towns[1].table(name, Width.QUARTER)


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
def test_whoever_dies_between_two_writes_leaves_nothing_behind(dies_at: int) -> None:
    town = Settling(meter("m1"), meter("sub", parent="m1"), now_ms=START_MS + 40 * DAY_MS)
    at_ms, values = hourly(40 * 24)
    town.put("m1", at_ms, values)
    town.put("sub", at_ms, values / 2)
    town.settlement.settle_dirty()
    town.put("m1", [at_ms[-1] + HOUR_MS], [values[-1] + 50.0])
    write, calls = town.intervals.write_meters, []

    def dying(written: object) -> None:
        calls.append(written)
        if len(calls) == dies_at:
            raise StoreAway("in the middle of it")
        write(written)  # type: ignore[arg-type]

    town.intervals.write_meters = dying  # type: ignore[method-assign]
    with pytest.raises(StoreAway):
        town.settlement.settle_dirty()
    town.intervals.write_meters = write  # type: ignore[method-assign]

    town.settlement.settle_dirty()

    for name in ("m1", "m1-rest"):
        days, months = (town.rows(name, width).cells for width in (Width.DAY, Width.MONTH))
        assert days.value[days.known].sum() == months.value[months.known].sum(), name
