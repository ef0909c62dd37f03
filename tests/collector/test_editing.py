"""What a person says about a meter: taken with who, when, why and before, or refused with why."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from collector.editing.mistake import MistakeReason
from collector.editing.proposal import Outcome, Proposal
from collector.entries import EntryKind
from collector.settle.cells import DAY_MS, QUARTER_MS, Width
from collector.store import Row
from collector.validate import tags_of
from tests.fakes.centre import example_fleet
from tests.fakes.editing import EditingRoom, settled

COUNTER = "energy_import_kwh"


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+08:00").timestamp() * 1000)


NOW = at("2026-11-20T12:00")
NOON = at("2026-10-15T12:00")


@pytest.fixture
def room() -> EditingRoom:
    """A meter that was read at eleven, at noon (wrongly) and at one."""
    made = EditingRoom(NOW)
    for hour, value in ((11, 1000.0), (12, 9999.0), (13, 1200.0)):
        made.read("e001-main", at(f"2026-10-15T{hour}:00"), **{COUNTER: value})
    return made


def proposal(kind: str, **more: Any) -> Proposal:
    said: dict[str, Any] = {
        "meter": "e001-main",
        "start_ms": NOON,
        "author": "王芳",
        "reason": "抄表核对",
        "source": "command",
    }
    return Proposal(kind=EntryKind(kind), **{**said, **more})


def interval(**more: Any) -> Proposal:
    said = {"end_ms": NOON + QUARTER_MS, "value": 50.0}
    return proposal("interval", **{**said, **more})


def enter(room: EditingRoom, *proposals: Proposal, **more: Any) -> Outcome:
    return room.editor.enter(proposals, now_ms=NOW, **more)


def undo(room: EditingRoom, *numbers: int, author: str = "李强", reason: str = "录错") -> Outcome:
    return room.editor.undo(numbers, author=author, reason=reason, source="command", now_ms=NOW)


def reasons(outcome: Outcome) -> list[MistakeReason]:
    return [mistake.reason for mistake in outcome.mistakes]


# ---- what is taken


def test_an_interval_is_kept_with_who_when_why_and_what_stood_there(room: EditingRoom) -> None:
    cells = [(NOON, 10_500_000), (NOON + QUARTER_MS, 11_000_000), (NOON + 2 * QUARTER_MS, None)]
    room.intervals.kept.append(settled("e001-main", COUNTER, Width.QUARTER, *cells))

    outcome = enter(room, interval(end_ms=NOON + 3 * QUARTER_MS, value=60.25))

    (entry,) = outcome.entries
    assert (entry.number, entry.kind, entry.quantity) == (1, EntryKind.INTERVAL, COUNTER)
    assert (entry.start_ms, entry.end_ms) == (NOON, NOON + 3 * QUARTER_MS)
    assert (entry.value, entry.before) == (60.25, 21.5)
    assert (entry.author, entry.reason, entry.made_ms) == ("王芳", "抄表核对", NOW)
    assert room.book.kept == [entry]


def test_a_months_before_is_summed_from_its_days(room: EditingRoom) -> None:
    first = at("2026-10-01T00:00")
    days = [(first + day * DAY_MS, 100_000_001) for day in range(31)]
    room.intervals.kept.append(settled("e001-main", COUNTER, Width.DAY, *days))

    outcome = enter(room, interval(start_ms=first, end_ms=at("2026-11-01T00:00"), value=3000))

    assert outcome.entries[0].before == 3100.000031


def test_where_nothing_is_settled_there_is_no_before(room: EditingRoom) -> None:
    assert enter(room, interval()).entries[0].before is None


def test_correcting_a_reading_voids_the_one_that_stands_there(room: EditingRoom) -> None:
    outcome = enter(room, proposal("reading", value=1100.0))

    void, reading = outcome.entries
    assert (void.kind, void.start_ms, void.end_ms) == (EntryKind.VOID, NOON, NOON + 1)
    assert (void.quantity, void.before) == (COUNTER, 9999.0)
    assert (reading.kind, reading.value, reading.before) == (EntryKind.READING, 1100.0, 9999.0)
    assert reading.end_ms is None
    assert room.store.rows["e001-main", NOON].values == {COUNTER: 9999.0}


def test_a_missing_reading_is_filled_in_with_the_one_before_it_as_its_before(
    room: EditingRoom,
) -> None:
    outcome = enter(room, proposal("reading", start_ms=at("2026-10-15T11:30"), value=1050.0))

    (reading,) = outcome.entries
    assert (reading.kind, reading.value, reading.before) == (EntryKind.READING, 1050.0, 1000.0)
    assert [note.message for note in outcome.notes] == [
        "此时刻没有读数，按补录登记；相邻的读数：2026-10-15 11:00 (1000)、2026-10-15 12:00 (9999)"
    ]


def test_a_span_is_voided_for_all_that_the_meter_says_or_for_one_quantity(
    room: EditingRoom,
) -> None:
    span = {"end_ms": NOON + 1}

    outcome = enter(
        room, proposal("void", **span), proposal("void", quantity="voltage_l1_v", **span)
    )

    assert [entry.quantity for entry in outcome.entries] == ["*", "voltage_l1_v"]
    assert [entry.before for entry in outcome.entries] == [9999.0, None]


def test_a_meter_goes_out_of_service_until_further_notice(room: EditingRoom) -> None:
    (entry,) = enter(room, proposal("out_of_service")).entries

    assert (entry.quantity, entry.end_ms, entry.value) == ("*", None, None)


def test_a_replaced_meter_has_a_closing_and_an_opening_reading(room: EditingRoom) -> None:
    outcome = enter(
        room, proposal("replacement", start_ms=at("2026-10-15T14:00"), closing=1210.5, value=0.0)
    )

    (entry,) = outcome.entries
    assert (entry.closing, entry.value, entry.before) == (1210.5, 0.0, 1200.0)


def test_what_the_display_shows_is_multiplied_by_the_ratio() -> None:
    fleet = example_fleet()
    (main,) = fleet.meters["e001-main"]
    meters = {**fleet.meters, "e001-main": (msgspec.structs.replace(main, multiplier=400.0),)}
    room = EditingRoom(NOW, msgspec.structs.replace(fleet, meters=meters))
    room.read("e001-main", NOON, **{COUNTER: 40_000.0})

    refused = enter(room, proposal("replacement", start_ms=NOON + 1, closing=101.5, value=2.0))
    taken = enter(
        room,
        proposal("replacement", start_ms=NOON + 1, closing=101.5, value=2.0, as_shown=True),
    )

    assert reasons(refused) == [MistakeReason.BELOW_LAST]
    assert (taken.entries[0].closing, taken.entries[0].value) == (40_600.0, 800.0)


@pytest.mark.parametrize("kind", ["interval", "reading", "replacement", "void"])
def test_a_quantity_that_the_meter_does_not_have_is_refused(room: EditingRoom, kind: str) -> None:
    said = {"quantity": "volume_m3", "value": 1.0, "closing": 1.0, "end_ms": NOON + QUARTER_MS}

    outcome = enter(room, proposal(kind, **said))

    assert reasons(outcome) == [MistakeReason.NOT_MEASURED]
    assert outcome.mistakes[0].message.startswith(
        "e001-main (型号 acrel_adl3000) 不测量 volume_m3：它的累计量有 energy_"
    )
    assert room.book.kept == []


def test_a_quantity_that_was_read_or_entered_before_is_the_meters(room: EditingRoom) -> None:
    (main,) = room.fleet.meters["e001-main"]
    assert "heat_energy_gj" not in main.quantities
    row = Row(meter="e001-main", at_ms=NOON, values={"heat_energy_gj": 1.0}, tags=tags_of(main))
    room.store.write([row])

    read = enter(room, interval(quantity="heat_energy_gj"))
    room.store.rows.clear()
    entered = enter(room, interval(quantity="heat_energy_gj", start_ms=NOON - QUARTER_MS))

    assert (reasons(read), reasons(entered)) == ([], [])


def test_what_counts_for_the_meters_energy_is_its_own_whatever_its_model_says(
    room: EditingRoom,
) -> None:
    (main,) = room.fleet.meters["e001-main"]
    gauges = msgspec.structs.replace(main, quantities=frozenset({"active_power_kw"}))
    meters = {**room.fleet.meters, "e001-main": (gauges,)}
    bare = EditingRoom(NOW, msgspec.structs.replace(room.fleet, meters=meters))

    outcome = enter(bare, interval())

    assert [entry.quantity for entry in outcome.entries] == [COUNTER]


@pytest.mark.parametrize(
    ("meter", "value", "unit", "kept"),
    [
        ("e001-main", 0.0015, "MWh", 1.5),
        ("e001-main", 1.1, "度", 1.1),
        ("e001-water", 12.0, "吨", 12.0),
        ("e001-heat", 1500.0, "MJ", 1.5),
    ],
)
def test_a_bills_unit_is_converted(
    room: EditingRoom, meter: str, value: float, unit: str, kept: float
) -> None:
    (entry,) = enter(room, interval(meter=meter, value=value, unit=unit)).entries

    assert entry.value == kept


def test_more_than_the_rated_load_can_use_is_taken_with_a_note(room: EditingRoom) -> None:
    outcome = enter(room, interval(meter="e001-lift", value=100.0))

    assert len(outcome.entries) == 1
    assert [note.message for note in outcome.notes] == [
        "100 kWh 高于额定负荷在此时段能用的 18.75 kWh：请核对单位和倍率"
    ]


def test_a_dry_run_keeps_nothing(room: EditingRoom) -> None:
    outcome = enter(room, interval(), dry_run=True)

    assert [entry.number for entry in outcome.entries] == [0]
    assert room.book.kept == []


def test_saying_the_same_again_adds_nothing(room: EditingRoom) -> None:
    first = enter(room, interval(), proposal("reading", value=1100.0))

    again = enter(room, interval(), proposal("reading", value=1100.0))

    assert again.entries == []
    assert [entry.number for entry in again.repeated] == [1, 3]
    assert len(room.book.kept) == len(first.entries) == 3


# ---- what is refused


@pytest.mark.parametrize(
    ("wrong", "reason", "message"),
    [
        (interval(meter="e001-mian"), "unknown_meter", "没有表 'e001-mian'；最接近的是 e001-main"),
        (
            interval(start_ms=at("2024-12-31T12:00"), end_ms=at("2024-12-31T13:00")),
            "not_in_force",
            (
                "e001-main 在 2024-12-31 12:00 不在用：有效期为 2025-01-01 00:00 至 另行通知。"
                "请核对时间或监测对象配置"
            ),
        ),
        (
            interval(quantity="energy_imprt_kwh"),
            "unknown_quantity",
            "没有量 'energy_imprt_kwh'；最接近的是 energy_import_kwh",
        ),
        (
            interval(quantity="active_power_kw"),
            "not_a_counter",
            "active_power_kw 是瞬时量，不是累计量：只有累计量可以更正用量、补录读数、换表",
        ),
        (
            interval(energy="02000"),
            "other_energy",
            "e001-main 的能耗编码是 01000，不是 02000：请核对表号",
        ),
        (
            interval(unit="GJ"),
            "unknown_unit",
            (
                "单位 'GJ' 不能换算成 kWh：e001-main 的 energy_import_kwh 可用 "
                "kwh、度、千瓦时、mwh、兆瓦时、万kwh、万度、万千瓦时、wh"
            ),
        ),
        (interval(value=None), "no_value", "值是多少 kWh？没有给出"),
        (interval(value=float("nan")), "not_finite", "值 nan 不是有限的数"),
        (interval(value=-1.0), "out_of_range", "值 -1 kWh 超出范围 [0, 1000000000000]"),
        (interval(value=2e12), "out_of_range", "值 2000000000000 kWh 超出范围 [0, 1000000000000]"),
        (interval(author=" "), "no_author", "谁作的更正？请给出姓名 (--author)"),
        (interval(reason=""), "no_reason", "为什么更正？请写明原因 (--reason)"),
        (interval(end_ms=None), "no_span", "到什么时候？请给出结束时刻 (--to)"),
        (
            interval(end_ms=NOON),
            "no_span",
            "结束 2026-10-15 12:00 不晚于开始 2026-10-15 12:00：结束时刻不计入，请核对",
        ),
        (
            interval(end_ms=NOON + 60_000),
            "not_whole_cells",
            (
                "2026-10-15 12:00 至 2026-10-15 12:01 不是整 15 分钟："
                "区间从 :00、:15、:30、:45 开始和结束"
            ),
        ),
        (
            interval(start_ms=NOW, end_ms=NOW + QUARTER_MS),
            "ahead_of_time",
            "2026-11-20 12:14:59.999 还没有到：现在是 2026-11-20 12:00，只能更正已经过去的时间",
        ),
        (
            proposal("reading", value=999.0),
            "below_last",
            (
                "读数 999 kWh 小于之前 2026-10-15 11:00 的读数 1000 kWh："
                "请核对读数和倍率 (表面读数用 --as-shown)；确实如此请加 --force"
            ),
        ),
        (
            proposal("reading", value=1201.0),
            "above_next",
            "读数 1201 kWh 大于之后 2026-10-15 13:00 的读数 1200 kWh：请核对；确实如此请加 --force",
        ),
        (
            proposal("replacement", start_ms=at("2026-10-15T14:00"), closing=1199.0, value=0.0),
            "below_last",
            (
                "旧表止码 1199 kWh 小于之前 2026-10-15 13:00 的读数 1200 kWh："
                "请核对读数和倍率 (表面读数用 --as-shown)；确实如此请加 --force"
            ),
        ),
        (
            proposal("replacement", start_ms=at("2026-10-15T14:00"), value=0.0),
            "no_value",
            "旧表止码是多少 kWh？没有给出",
        ),
    ],
)
def test_a_mistake_says_what_was_asked_what_stands_there_and_what_to_do(
    room: EditingRoom, wrong: Proposal, reason: str, message: str
) -> None:
    outcome = enter(room, wrong)

    assert [(one.reason.value, one.message) for one in outcome.mistakes] == [(reason, message)]
    assert room.book.kept == []


def test_a_virtual_meter_is_corrected_by_its_parts(room: EditingRoom) -> None:
    virtual = next(iter(example_fleet().virtual_meters.values()))

    outcome = enter(room, interval(meter=virtual.id))

    assert reasons(outcome) == [MistakeReason.VIRTUAL_METER]
    assert virtual.parts[0][0] in outcome.mistakes[0].message


def test_one_mistake_keeps_the_whole_list_from_being_taken(room: EditingRoom) -> None:
    outcome = enter(room, interval(), interval(meter="nobody"))

    assert [mistake.place for mistake in outcome.mistakes] == [1]
    assert outcome.entries == room.book.kept == []


def test_of_a_file_of_bills_the_rest_is_taken(room: EditingRoom) -> None:
    outcome = enter(room, interval(), interval(meter="nobody"), partly=True)

    assert [mistake.place for mistake in outcome.mistakes] == [1]
    assert [entry.number for entry in outcome.entries] == [1]


def test_another_value_for_the_same_span_is_refused_until_the_first_is_undone(
    room: EditingRoom,
) -> None:
    enter(room, interval())

    refused = enter(room, interval(value=51.0))
    undo(room, 1)
    taken = enter(room, interval(value=51.0))

    assert reasons(refused) == [MistakeReason.STANDS_ALREADY]
    assert "第 1 号更正 (50 kWh，王芳)：要改成 51 kWh，请先撤销它" in refused.mistakes[0].message
    assert [entry.value for entry in taken.entries] == [51.0]


def test_what_only_looks_wrong_is_taken_when_it_is_meant(room: EditingRoom) -> None:
    outcome = enter(room, proposal("reading", value=999.0, force=True))

    assert outcome.entries[-1].value == 999.0


def test_a_voided_reading_is_no_neighbour(room: EditingRoom) -> None:
    half_past = at("2026-10-15T12:30")
    refused = enter(room, proposal("reading", start_ms=half_past, value=1150.0))
    enter(room, proposal("void", end_ms=NOON + 1))

    taken = enter(room, proposal("reading", start_ms=half_past, value=1150.0))

    assert reasons(refused) == [MistakeReason.BELOW_LAST]
    assert [entry.before for entry in taken.entries] == [1000.0]


def test_beyond_a_replacement_there_is_no_neighbour(room: EditingRoom) -> None:
    two = at("2026-10-15T14:00")
    enter(room, proposal("replacement", start_ms=two, closing=1210.0, value=0.0))

    outcome = enter(room, proposal("reading", start_ms=two + QUARTER_MS, value=3.0))

    assert [entry.value for entry in outcome.entries] == [3.0]


# ---- undo


def test_an_undo_is_another_entry_about_the_same_time(room: EditingRoom) -> None:
    enter(room, interval())

    (entry,) = undo(room, 1).entries

    assert (entry.number, entry.kind, entry.undoes) == (2, EntryKind.UNDO, 1)
    assert (entry.start_ms, entry.end_ms) == (NOON, NOON + QUARTER_MS)
    assert (entry.author, entry.reason) == ("李强", "录错")
    assert room.book.entries(in_force=True) == []


@pytest.mark.parametrize("named", [1, 2])
def test_both_parts_of_a_corrected_reading_are_undone_together(
    room: EditingRoom, named: int
) -> None:
    enter(room, proposal("reading", value=1100.0))

    outcome = undo(room, named)

    assert sorted(entry.undoes or 0 for entry in outcome.entries) == [1, 2]
    assert room.book.entries(in_force=True) == []


def test_an_undo_cannot_be_undone_nor_anything_twice(room: EditingRoom) -> None:
    enter(room, interval())
    undo(room, 1)

    again, of_undo, unknown = undo(room, 1), undo(room, 2), undo(room, 77)

    assert [one.mistakes[0].message for one in (again, of_undo, unknown)] == [
        "第 1 号已由 李强 于 2026-11-20 12:00 撤销 (第 2 号)",
        "第 2 号本身是撤销，不能再撤销：请重新登记第 1 号的内容",
        "没有第 77 号更正：用 nenghao entry list 查看",
    ]
    assert len(room.book.kept) == 2


def test_undoing_several_is_all_or_nothing_and_signed(room: EditingRoom) -> None:
    enter(room, interval(), interval(start_ms=NOON + QUARTER_MS, end_ms=NOON + 2 * QUARTER_MS))

    unsigned, one_wrong = undo(room, 1, author=""), undo(room, 1, 9)
    both = undo(room, 1, 2, 2)

    assert reasons(unsigned) == [MistakeReason.NO_AUTHOR]
    assert unsigned.entries == one_wrong.entries == []
    assert [entry.undoes for entry in both.entries] == [1, 2]
