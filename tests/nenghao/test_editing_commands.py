"""`nenghao import`, `export`, `correct`, `entry`, `meter replace`, as a clerk uses them."""

import csv
import gzip
from decimal import Decimal
from importlib import import_module

import pytest

from collector.editing.period import instant_ms
from collector.settle.cells import QUARTER_MS, Width
from collector.settle.rule import Rule, mask
from collector.store import Row, Tags
from tests.fakes.editing import EditingRoom, serving, settled
from tests.nenghao.process import typed

COUNTER = "energy_import_kwh"
SIGNED = ("--author", "王芳", "--reason", "抄表核对")


def at(text):
    return instant_ms(text, assume_shanghai=True)


NOON = at("2026-10-15T12:00")
GONE = Tags(
    district="120101", sector="hospital", institution="e001", building="e001-b1", circuit="-",
    meter="gone", energy="01000", gateway="gw-e001",
)  # fmt: skip


@pytest.fixture
def room():
    return EditingRoom(at("2026-11-20T12:00"))


@pytest.fixture
def told(room, monkeypatch):
    """Types a command to the room's centre."""
    with serving(room) as url:
        monkeypatch.setenv("NENGHAO_API", url)
        yield typed


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines()


def write(path, *lines, heading="meter,at,quantity,value"):
    path.write_text("\n".join((heading, *lines)) + "\n", encoding="utf-8")
    return path


# ---- import


def test_readings_come_in_and_their_days_are_settled(room, told, tmp_path):
    file = write(
        tmp_path / "r.csv",
        f"e001-main,2026-10-15T12:00:00+08:00,{COUNTER},1000.5",
        "e001-main,2026-10-15T12:00:00+08:00,active_power_kw,3",
        f"e001-light,2026-10-16T00:00:00+08:00,{COUNTER},7",
    )

    done = told("import", "readings", file, "--json")

    assert done.code == 0
    assert done.document == {
        "file": "r.csv",
        "dry_run": False,
        "lines": 3,
        "taken": 3,
        "repeated": 0,
        "refused": 0,
        "by_reason": {},
        "refusals": [],
        "notes": [],
        "settled": done.document["settled"],
    }
    assert done.document["settled"]["run"]["state"] == "done"
    assert room.store.rows["e001-main", NOON].values == {COUNTER: 1000.5, "active_power_kw": 3}
    assert set(room.dirty.marks) == {
        ("e001-main", at("2026-10-15T00:00")),
        ("e001-light", at("2026-10-16T00:00")),
    }
    assert room.settled_meters == [["e001-light", "e001-main"]]


def test_the_same_file_again_changes_nothing(room, told, tmp_path):
    file = write(tmp_path / "r.csv", f"e001-main,2026-10-15T12:00+08:00,{COUNTER},1000.5")
    told("import", "readings", file)

    again = told("import", "readings", file, "--no-settle", "--json")

    assert (again.code, again.document["taken"], again.document["repeated"]) == (0, 0, 1)
    assert len(room.settled_meters) == 1


def test_what_is_refused_is_reported_line_by_line_and_the_rest_is_taken(room, told, tmp_path):
    room.read("e001-main", NOON, **{COUNTER: 999.0})
    file = write(
        tmp_path / "r.csv",
        f"e001-main,2026-10-15T12:00+08:00,{COUNTER},1000.5",
        f"e001-mian,2026-10-15T12:15+08:00,{COUNTER},1",
        f"e001-mian,2026-10-15T12:15+08:00,{COUNTER}x,1",
        f"e001-main,2026-10-15T12:15,{COUNTER},1",
        "e001-main,2026-10-15T12:15+08:00,voltage_l1_v,-5",
        f"e001-main,2027-10-15T12:15+08:00,{COUNTER},1",
        f"e001-main,2026-10-15T12:15+08:00,{COUNTER},1001",
    )
    report = tmp_path / "report.csv"

    done = told("import", "readings", file, "--report", report, "--json")

    assert done.code == 1
    assert (done.document["lines"], done.document["taken"]) == (7, 1)
    with report.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["line"], row["reason"], row["message"]) for row in rows] == [
        ("2", "conflict", "此时刻已有另一个值，先到的保留；要更正请用 nenghao correct reading"),
        ("3", "unknown_meter", "没有表 'e001-mian'；最接近的是 e001-main"),
        ("4", "unknown_meter", "没有表 'e001-mian'；最接近的是 e001-main"),
        (
            "5",
            "no_offset",
            (
                "时间 '2026-10-15T12:15' 没有时区：请写成 2026-10-15T12:15+08:00"
                " (no offset; --assume-shanghai)"
            ),
        ),
        ("6", "out_of_range", "超出量程：-5.0 V"),
        ("7", "ahead_of_time", "时刻还没有到：2027-10-15 12:15"),
    ]
    assert rows[3]["text"] == f"e001-main,2026-10-15T12:15,{COUNTER},1"


def test_a_dry_run_says_what_would_be_and_writes_nothing(room, told, tmp_path):
    room.read("e001-main", NOON, **{COUNTER: 1000.5})
    room.dirty.marks.clear()
    file = write(
        tmp_path / "r.csv",
        f"e001-main,2026-10-15T12:00+08:00,{COUNTER},1000.5",
        f"e001-main,2026-10-15T12:15+08:00,{COUNTER},1001",
    )

    done = told("import", "readings", file, "--dry-run")

    assert done.code == 0
    assert "r.csv: 共 2 行，将入库 1，已有相同 1，未接受 0 (试运行，什么也没有写入)" in done.out
    assert len(room.store.rows) == 1
    assert room.dirty.marks == {}
    assert room.settled_meters == []


def test_a_quantity_that_the_meter_does_not_have_is_refused_line_by_line(room, told, tmp_path):
    file = write(
        tmp_path / "r.csv",
        "e001-main,2026-10-15T12:00+08:00,volume_m3,5",
        f"e001-main,2026-10-15T12:00+08:00,{COUNTER},5",
    )

    tried = told("import", "readings", file, "--dry-run", "--json")
    done = told("import", "readings", file, "--json")

    for one in (tried, done):
        assert (one.code, one.document["taken"], one.document["by_reason"]) == (
            1,
            1,
            {"not_measured": 1},
        )
    (refused,) = done.document["refusals"]
    assert (refused["line"], refused["message"].split("：")[0]) == (
        2,
        "e001-main (型号 acrel_adl3000) 不测量 volume_m3",
    )
    assert room.store.rows["e001-main", NOON].values == {COUNTER: 5.0}


def test_gzip_and_gbk_are_read(told, tmp_path):
    file = tmp_path / "r.csv.gz"
    text = f"meter,at,quantity,value,备注\ne001-main,2026-10-15T12:00+08:00,{COUNTER},1,补\n"
    file.write_bytes(gzip.compress(text.encode("gbk")))

    done = told("import", "readings", file, "--json")

    assert (done.code, done.document["taken"]) == (0, 1)
    assert done.document["notes"] == ["文件不是 UTF-8，已按 GBK (GB18030) 读取"]


def test_a_damaged_archive_says_how_far_it_came(room, told, tmp_path):
    lines = [
        f"e001-main,2026-10-{1 + n // 1440:02d}T{n // 60 % 24:02d}:{n % 60:02d}+08:00,{COUNTER},{n}"
        for n in range(9000)
    ]
    whole = gzip.compress(write(tmp_path / "r.csv", *lines).read_bytes())
    file = tmp_path / "r.csv.gz"
    file.write_bytes(whole[: len(whole) * 3 // 4])

    done = told("import", "readings", file)

    assert done.code == 1
    assert "只处理了前 4000 行数据 (接受 4000)" in done.err
    assert len(room.store.rows) == 4000


def test_a_line_without_end_is_refused_and_the_rest_is_read(told, tmp_path):
    file = write(tmp_path / "r.csv", "x" * 300_000, f"e001-main,2026-10-15T12:00+08:00,{COUNTER},1")

    done = told("import", "readings", file, "--json")

    assert (done.document["lines"], done.document["taken"]) == (2, 1)
    assert done.document["refusals"][0]["line"] == 2


@pytest.mark.parametrize("words", [("readings",), ("bills", "--author", "王芳")])
def test_a_file_without_the_columns_is_a_mistake_of_usage(told, tmp_path, words):
    file = write(tmp_path / "r.csv", "1,2", heading="a,b")

    done = told("import", words[0], file, *words[1:])

    assert done.code == 2
    assert "缺少列 meter" in done.err


def test_bills_become_entries_with_their_line_as_source(room, told, tmp_path):
    file = write(
        tmp_path / "bills.csv",
        "e001-main,2026-10,,01000,12.5,MWh,十月电费单",
        "e001-water,2026-10-01,2026-11-01,02000,310,吨,",
        "e001-water,2026-10-01,2026-11-01,02000,311,吨,",
        "e001-heat,2026-10,,02000,5,GJ,",
        "e001-gas,2026-11,,03000,5,m3,",
        heading="meter,start,end,energy,value,unit,reason",
    )

    done = told("import", "bills", file, "--author", "王芳", "--reason", "账单", "--json")

    assert done.code == 1
    assert [(one["line"], one["reason"]) for one in done.document["refusals"]] == [
        (4, "stands_already"),
        (5, "other_energy"),
        (6, "ahead_of_time"),
    ]
    assert [(e.meter, e.value, e.reason, e.source) for e in room.book.kept] == [
        ("e001-main", 12_500.0, "十月电费单", "bills.csv:2"),
        ("e001-water", 310.0, "账单", "bills.csv:3"),
    ]
    assert room.settled_meters == [["e001-main", "e001-water"]]


def test_the_same_bills_again_add_nothing(room, told, tmp_path):
    heading = "meter,start,end,quantity,value,unit"
    file = write(tmp_path / "b.csv", f"e001-main,2026-10,,{COUNTER},5,MWh", heading=heading)
    told("import", "bills", file, *SIGNED)

    again = told("import", "bills", file, *SIGNED, "--json")

    assert (again.code, again.document["repeated"]) == (0, 1)
    assert len(room.book.kept) == 1


def test_bills_ask_for_a_name(told, tmp_path):
    assert told("import", "bills", write(tmp_path / "b.csv"), "--author", " ").code == 2


# ---- export


def test_exported_readings_come_in_again_as_they_were(room, told, tmp_path, monkeypatch):
    values = (0.1, 1e-7, 123456789.123, 5.0, 1e8 / 3)
    for n, value in enumerate(values):
        room.read("e001-main", NOON + n * 86_400_000 + n, **{COUNTER: value, "frequency_hz": 50.02})
    room.read("e001-light", NOON, **{COUNTER: 3.25})
    file = tmp_path / "r.csv"

    out = told("export", "readings", "--from", "2026-10", "-o", file)
    other = EditingRoom(room.clock.now_ms())
    with serving(other) as url:
        monkeypatch.setenv("NENGHAO_API", url)
        back = told("import", "readings", file, "--json")

    assert (out.code, back.code, back.document["taken"]) == (0, 0, 11)
    assert {key: row.values for key, row in other.store.rows.items()} == {
        key: row.values for key, row in room.store.rows.items()
    }
    assert lines_of(file)[:2] == [
        "meter,at,quantity,value",
        f"e001-light,2026-10-15T12:00:00+08:00,{COUNTER},3.25",
    ]
    assert f"e001-main,2026-10-16T12:00:00.001+08:00,{COUNTER},0.0000001" in lines_of(file)


def test_readings_of_one_meter_and_quantity_go_to_standard_output(room, told):
    room.read("e001-main", NOON, **{COUNTER: 7.0, "frequency_hz": 50.0})
    words = ("--meter", "e001-main", "--quantity", COUNTER, "--from", "2026-10-15")

    plain, document = (
        told("export", "readings", *words),
        told("export", "readings", *words, "--json"),
    )

    assert plain.out == (
        f"meter,at,quantity,value\ne001-main,2026-10-15T12:00:00+08:00,{COUNTER},7\n"
    )
    assert document.document == {
        "rows": [
            {
                "meter": "e001-main",
                "at": "2026-10-15T12:00:00+08:00",
                "quantity": COUNTER,
                "value": "7",
            }
        ]
    }


def test_intervals_are_exact_and_what_is_not_known_is_empty(room, told):
    rules = mask(Rule.ROLLOVER, Rule.LINEAR)
    cells = [(NOON, 10_100_000), (NOON + QUARTER_MS, 200_001), (NOON + 2 * QUARTER_MS, None)]
    room.intervals.kept += [
        settled("e001-main", COUNTER, Width.QUARTER, *cells, rules=rules),
        settled("e001-main", "reactive_energy_kvarh", Width.QUARTER, (NOON, 5)),
        settled("e001-water", "volume_m3", Width.QUARTER, (NOON, 1_000_000)),
    ]

    done = told("export", "intervals", "--from", "2026-10-15", "--to", "2026-10-16")

    assert done.code == 0
    assert done.out.splitlines() == [
        "meter,start,energy,value,unit,measured,estimated,missing,rules,edited,version",
        "e001-main,2026-10-15T12:00:00+08:00,01000,10.1,kWh,1,0,0,linear;rollover,0,1",
        "e001-main,2026-10-15T12:15:00+08:00,01000,0.200001,kWh,1,0,0,linear;rollover,0,1",
        "e001-main,2026-10-15T12:30:00+08:00,01000,,kWh,0,0,1,linear;rollover,0,1",
        "e001-water,2026-10-15T12:00:00+08:00,02000,1,m³,1,0,0,,0,1",
    ]
    rows = list(csv.DictReader(done.out.splitlines()))
    total = sum(Decimal(row["value"]) for row in rows[:2])
    assert total == Decimal("10.300001")


def test_intervals_of_another_counter_width_and_span(room, told):
    months = [(at("2026-09-01"), 1_500_000), (at("2026-10-01"), 2_000_000)]
    room.intervals.kept += [
        settled("e001-main", COUNTER, Width.MONTH, *months),
        settled("e001-main", "energy_export_kwh", Width.MONTH, *months),
        settled("e001-main", "energy_export_kwh", Width.DAY, *months),
    ]
    words = ("--width", "1mo", "--from", "2026-10", "--quantity", "energy_export_kwh")

    done = told("export", "intervals", *words, "--json")

    assert [(row["start"], row["value"]) for row in done.document["rows"]] == [
        ("2026-10-01T00:00:00+08:00", "2")
    ]


def test_a_long_span_is_asked_for_in_slices_and_comes_whole(room, told):
    year = at("2025-06-01")
    cells = [(year + n * QUARTER_MS, n) for n in range(60_000)]
    room.intervals.kept.append(settled("e001-main", COUNTER, Width.QUARTER, *cells))

    done = told("export", "intervals", "--from", "2025-01-01", "--to", "2028-01-01")

    starts = [line.split(",")[1] for line in done.out.splitlines()[1:]]
    assert len(starts) == len(set(starts)) == 60_000
    assert starts == sorted(starts)


def test_a_packed_export_is_packed(room, told, tmp_path):
    room.read("e001-main", NOON, **{COUNTER: 7.0})
    file = tmp_path / "r.csv.gz"

    told("export", "readings", "--from", "2026-10", "-o", file)

    assert gzip.decompress(file.read_bytes()).startswith(b"meter,at,quantity,value\ne001-main,")
    assert list(tmp_path.iterdir()) == [file]


NEAR = "没有表 'e001-mian'；最接近的是 e001-main"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("export", "intervals", "--meter", "e001-mian"), NEAR),
        (("export", "readings", "--meter", "e001-mian"), NEAR),
        (("export", "intervals", "--meter", "typo"), "没有表 'typo'；最接近的是 "),
        (("export", "readings", "--quantity", "enrgy_import_kwh"), "没有量 'enrgy_import_kwh'；最"),
        (("export", "intervals", "--quantity", "enrgy_import_kwh"), "最接近的是 energy_import_kwh"),
        (("export", "readings", "--meter", "e001-hvac"), "e001-hvac 是虚拟表，由 "),
    ],
)
def test_a_name_that_nobody_knows_is_refused_with_the_nearest(told, tmp_path, words, said):
    out = tmp_path / "out.csv"

    done = told(*words, "--from", "2026-10", "-o", out)

    assert done.code == 1
    assert done.err.splitlines()[0].startswith(said) or said in done.err
    assert "http" not in done.err
    assert told(*words, "--from", "2026-10").out == ""
    assert list(tmp_path.iterdir()) == []


def test_entries_of_a_meter_that_nobody_knows_are_refused(told):
    done = told("entry", "list", "--meter", "e001-mian")

    assert (done.code, done.err) == (1, NEAR + "\n")


def test_virtual_meters_and_remainders_are_known_for_what_is_settled(room, told):
    room.intervals.kept.append(settled("gone-main", COUNTER, Width.MONTH, (at("2026-09-01"), 1)))

    done = [
        told("export", "intervals", "--meter", one, "--from", "2026-10")
        for one in ("e001-hvac", "e001-main-rest", "gone-main")
    ]

    assert [one.code for one in done] == [0, 0, 0]


def test_readings_of_a_meter_that_left_the_fleet_are_still_given(room, told):
    row = Row(meter="gone", at_ms=NOON, values={COUNTER: 1.0}, tags=GONE)
    room.store.write([row])

    done = told("export", "readings", "--meter", "gone", "--from", "2026-10", "--json")

    assert [row["value"] for row in done.document["rows"]] == ["1"]


def test_an_unknown_quantity_or_time_is_told(told):
    assert told("export", "readings", "--from", "gestern").code == 2
    assert told("export", "readings", "--from", "2026-10-15T12:00").code == 2


# ---- corrections


def test_an_interval_is_corrected_listed_shown_and_undone(room, told):
    cells = [(NOON, 10_500_000)]
    room.intervals.kept.append(settled("e001-main", COUNTER, Width.QUARTER, *cells))

    span = ("--from", "2026-10-15T12:00", "--to", "2026-10-15T12:15")
    made = told("correct", "interval", "e001-main", *span, "--value", "12.5", *SIGNED)
    listed = told("entry", "list", "--json")
    shown = told("entry", "show", "1")
    undone = told("entry", "undo", "1", "--author", "李强", "--reason", "看错了", "--json")
    left = told("entry", "list", "--in-force")
    after = told("entry", "show", "1", "--json")

    assert (made.code, undone.code) == (0, 0)
    assert "撤销：nenghao entry undo 1 --author … --reason …" in made.out
    (entry,) = listed.document["entries"]
    assert (entry["value"], entry["before"], entry["undone_by"]) == (12.5, 10.5, None)
    assert (entry["author"], entry["reason"], entry["source"]) == ("王芳", "抄表核对", "command")
    assert "来源：command" in shown.out
    assert undone.document["entries"][0]["undoes"] == 1
    assert left.out == "没有更正记录\n"
    assert after.document["undone_by"] == 2


def settling_to(room, day, millionths):
    """From the next entry on, a settlement makes that of the day."""

    def settle(_meters):
        if room.book.kept:
            room.intervals.kept[:] = [
                settled("e001-main", COUNTER, Width.DAY, (day, millionths)),
                settled("e001-main", COUNTER, Width.MONTH, (at("2026-10-01"), millionths)),
            ]

    room.intervals.kept += [
        settled("e001-main", COUNTER, Width.DAY, (day, 10_000_000)),
        settled("e001-main", COUNTER, Width.MONTH, (at("2026-10-01"), 10_000_000)),
    ]
    room.settle = settle


CORRECTION = (
    "correct", "interval", "e001-main", "--from", "2026-10-15", "--value", "12.5", *SIGNED,
)  # fmt: skip


def test_an_entry_is_followed_by_what_it_changed_by_day_and_month(room, told):
    settling_to(room, at("2026-10-15"), 12_500_000)

    done = told(*CORRECTION)

    assert done.code == 0
    assert f"e001-main {COUNTER} (kWh)" in done.out
    rows = [line.split("│")[1:-1] for line in done.out.splitlines() if "10.000" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["2026-10-15", "10.000", "12.500", "+2.500"],
        ["2026-10 全月", "10.000", "12.500", "+2.500"],
    ]
    assert "nenghao settle" not in done.out


def test_an_undo_is_followed_by_what_it_changed(room, told):
    day = at("2026-10-15")

    def settle(_meters):
        value = None if len(room.book.kept) == 2 else 12_500_000
        room.intervals.kept[:] = [settled("e001-main", COUNTER, Width.DAY, (day, value))]

    room.settle = settle
    told(*CORRECTION)

    done = told("entry", "undo", "1", *SIGNED, "--json")

    assert [
        (one["start"], one["before"], one["after"]) for one in done.document["settled"]["changes"]
    ] == [("2026-10-15T00:00:00+08:00", "12.5", None)]


def test_what_came_by_itself_before_the_entry_is_not_told_as_its_effect(room, told):
    day = at("2026-11-20")

    def settle(_meters):
        room.intervals.kept[:] = [settled("e001-main", COUNTER, Width.DAY, (day, 5_000_000))]

    room.settle = settle

    done = told(*CORRECTION)

    assert "用量没有变化" in done.out


def test_an_entry_that_is_not_to_be_settled_says_when_it_will_be(room, told):
    done = told(*CORRECTION, "--no-settle")

    assert done.code == 0
    assert room.settled_meters == []
    assert "用量由结算任务更新，下次 2026-11-20 12:16；要立即更新请运行 nenghao settle" in done.out


def test_an_entry_that_could_not_be_settled_is_kept_and_exit_is_1(room, told):
    room.settles_as = "failed"

    done = told(*CORRECTION)

    assert (done.code, len(room.book.kept)) == (1, 1)


def test_a_refused_entry_settles_nothing(room, told):
    done = told("correct", "interval", "e001-mian", "--from", "2026-10-15", "--value", 1, *SIGNED)

    assert (done.code, room.settled_meters) == (1, [])


def test_a_reading_a_void_and_a_meter_out_of_service(room, told):
    room.read("e001-main", NOON, **{COUNTER: 999.0})

    done = [
        told(
            "correct", "reading", "e001-main", "--at", "2026-10-15T12:00", "--value", 900, *SIGNED
        ),
        told("correct", "void", "e001-main", "--from", "2026-10-16", *SIGNED),
        told("correct", "out-of-service", "e001-lift", "--from", "2026-11-01", *SIGNED),
        told(
            "correct",
            "out-of-service",
            "e001-pump",
            "--from",
            "2026-10",
            "--to",
            "2026-11",
            *SIGNED,
        ),
    ]

    assert [one.code for one in done] == [0, 0, 0, 0]
    assert [
        (e.kind.value, e.value, e.end_ms and e.end_ms - e.start_ms) for e in room.book.kept
    ] == [
        ("void", None, 1),
        ("reading", 900.0, None),
        ("void", None, 86_400_000),
        ("out_of_service", None, None),
        ("out_of_service", None, 31 * 86_400_000),
    ]


def test_a_meter_is_replaced(room, told):
    room.read("e001-main", NOON, **{COUNTER: 999.0})
    words = (
        "meter",
        "replace",
        "e001-main",
        "--at",
        "2026-10-15T13:00",
        "--opening",
        "0.5",
        *SIGNED,
    )

    wrong = told(*words, "--closing", "998", "--json")
    right = told(*words, "--closing", "1001.5", "--json")

    assert (wrong.code, right.code) == (1, 0)
    assert wrong.document["mistakes"][0]["reason"] == "below_last"
    (entry,) = room.book.kept
    assert (entry.closing, entry.value, entry.before) == (1001.5, 0.5, 999.0)


def test_a_mistake_is_told_and_a_wrong_time_is_usage(told):
    span = ("--from", "2026-10-15", "--value", "1")

    refused = told("correct", "interval", "e001-mian", *span, *SIGNED)
    usage = told("correct", "interval", "e001-main", "--from", "x", "--value", "1", *SIGNED)
    unsigned = told("correct", "interval", "e001-main", *span)

    assert (refused.code, usage.code, unsigned.code) == (1, 2, 2)
    assert "✗ 没有表 'e001-mian'；最接近的是 e001-main" in refused.err


def test_a_dry_run_of_a_correction_keeps_nothing(room, told):
    words = ("--from", "2026-10-15", "--value", "1", *SIGNED, "--dry-run")

    done = told("correct", "interval", "e001-main", *words)

    assert (done.code, room.book.kept) == (0, [])
    assert "试运行，未登记" in done.out


def test_where_no_bus_is_installed_a_meter_can_still_be_replaced(room, told, monkeypatch):
    def without_gateway(name):
        if name == "nenghao.commands.meter":
            raise ModuleNotFoundError(name="pymodbus")
        return import_module(name)

    monkeypatch.setattr("nenghao.__main__.import_module", without_gateway)
    words = ("--at", "2026-10-15T13:00", "--closing", "1", "--opening", "0", *SIGNED)

    done = told("meter", "replace", "e001-main", *words)

    assert done.code == 0
    assert len(room.book.kept) == 1
