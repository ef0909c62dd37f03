"""CSV files, line by line: every line is taken, repeated or refused, whatever stands in it."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.editing.bill_lines import Signature, bill_chunks
from collector.editing.period import TimeInvalid, instant_ms, iso, shown, span_of
from collector.editing.reading_lines import COLUMNS, Chunk, chunks
from collector.editing.rows import millionths, number, rounded, share
from collector.editing.sheet import Sheet, SheetInvalid
from metering.reading import Reading
from tests.fakes.editing import EditingRoom

AT = "2026-10-15T12:00:00+08:00"
AT_MS = 1_792_036_800_000
NOW = AT_MS + 86_400_000
HEADING = b"meter,at,quantity,value\n"
GOOD = f"e001-main,{AT},energy_import_kwh,1000.5\n".encode()


def parsed(*lines: bytes, heading: bytes = HEADING, **more: object) -> list[Chunk]:
    return list(chunks(Sheet([heading, *lines], COLUMNS), **more))  # type: ignore[arg-type]


def refused(*lines: bytes, **more: object) -> list[tuple[int, str]]:
    return [(one.line, one.reason) for chunk in parsed(*lines, **more) for one in chunk.refused]


# ---- the sheet


def test_lines_of_one_meter_and_instant_become_one_reading() -> None:
    (chunk,) = parsed(GOOD, f"e001-main,{AT},active_power_kw,3".encode())

    (reading,) = chunk.readings
    assert (reading.meter, reading.at_ms) == ("e001-main", AT_MS)
    assert reading.values == {"energy_import_kwh": 1000.5, "active_power_kw": 3.0}
    assert chunk.places == [{"energy_import_kwh": 2, "active_power_kw": 3}]


@pytest.mark.parametrize(
    "heading",
    [
        b"\xef\xbb\xbfmeter,at,quantity,value\r\n",
        b"Meter, At ,QUANTITY,value,comment\n",
        '"meter","at","quantity","value"\n'.encode("gbk"),
    ],
)
def test_a_heading_is_read_however_a_spreadsheet_wrote_it(heading: bytes) -> None:
    (chunk,) = parsed(GOOD.rstrip(b"\n") + b"\r\n", heading=heading)

    assert len(chunk.readings) == 1


def test_columns_may_stand_in_any_order() -> None:
    line = f'1000.5,"{AT}",energy_import_kwh,e001-main'.encode()

    (chunk,) = parsed(line, heading=b"value,at,quantity,meter\n")

    assert chunk.readings[0].values == {"energy_import_kwh": 1000.5}


@pytest.mark.parametrize(
    ("heading", "message"),
    [
        (b"", "文件是空的：第一行应为 meter,at,quantity,value"),
        (
            b"meter,time,quantitiy,value\n",
            "缺少列 at；缺少列 quantity (是否 'quantitiy'？)。第一行应为 meter,at,quantity,value",
        ),
        (
            b"meter,at,quantity,value,value\n",
            "列 value 出现了两次。第一行应为 meter,at,quantity,value",
        ),
        (b"\xff\xfem\x00e\x00", "文件是 UTF-16 编码：请另存为 “CSV UTF-8”"),
    ],
)
def test_a_heading_that_will_not_do_says_which_is_needed(heading: bytes, message: str) -> None:
    with pytest.raises(SheetInvalid) as caught:
        Sheet([heading] if heading else [], COLUMNS)

    assert str(caught.value) == message


def test_gbk_is_read_and_said() -> None:
    sheet = Sheet([HEADING, "电表一,x,y,1\n".encode("gbk")], COLUMNS)

    (chunk,) = chunks(sheet)

    assert chunk.refused[0].text == "电表一,x,y,1"
    assert sheet.is_gbk


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"e001-main,2026-10-15T12:00:00,energy_import_kwh,1", "no_offset"),
        (b"e001-main,2026-10-15,energy_import_kwh,1", "no_offset"),
        (b"e001-main,15.10.2026,energy_import_kwh,1", "bad_time"),
        (f"e001-main,{AT},energy_import_kwh,".encode(), "no_value"),
        (f"e001-main,{AT},energy_import_kwh,1_000".encode(), "bad_value"),
        (f"e001-main,{AT},energy_import_kwh,12a".encode(), "bad_value"),
        (f"e001-main,{AT},energy_import_kwh,nan".encode(), "not_finite"),
        (f"e001-main,{AT},energy_import_kwh,1e999".encode(), "not_finite"),
        (f"e001-main,{AT},,1".encode(), "empty"),
        (f",{AT},energy_import_kwh,1".encode(), "empty"),
        (b"e001-main", "columns"),
        (b'e001-main,"2026', "unreadable"),
        (b"e001-main,\xff\xff\xff,energy_import_kwh,1", "unreadable"),
    ],
)
def test_a_line_that_says_nothing_is_refused_alone(line: bytes, reason: str) -> None:
    assert refused(line + b"\n", GOOD) == [(2, reason)]


def test_a_time_without_an_offset_may_be_said_to_be_beijings() -> None:
    line = b"e001-main,2026-10-15 12:00,energy_import_kwh,1"

    (chunk,) = parsed(line, assume_shanghai=True)

    assert chunk.readings[0].at_ms == AT_MS


def test_within_a_chunk_the_first_value_wins() -> None:
    other = GOOD.replace(b"1000.5", b"1000.6")

    (chunk,) = parsed(GOOD, GOOD, other)

    assert (chunk.lines, chunk.repeated) == (3, 1)
    assert [(one.line, one.reason) for one in chunk.refused] == [(4, "conflict")]
    assert chunk.refused[0].message == (
        "与第 2 行是同一时刻的同一个量，那里的值是 1000.5：以先出现的为准"
    )


def test_blank_lines_are_no_lines_but_count_for_the_number() -> None:
    assert refused(b"\n", b"  \r\n", b"x\n") == [(4, "columns")]


def accounted(found: Sequence[Chunk]) -> int:
    return sum(sum(map(len, one.places)) + one.repeated + len(one.refused) for one in found)


CELL = st.sampled_from(
    [
        "e001-main",
        "nobody",
        AT,
        "2026-10-15T12:00",
        "energy_import_kwh",
        "1",
        "-3.5",
        "nan",
        '"',
        "",
        "1e400",
        "９",
        "_",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00+14:00",
    ]
)
NEARLY = st.tuples(
    st.sampled_from(["e001-main", "e001-water", "nobody"]),
    st.sampled_from(
        [
            AT,
            "2026-10-15T12:00",
            "9999-12-31T23:59-23:59",
            "0001-01-01T00:00+14:00",
            "2024-01-01T00:00Z",
            "2100-01-01T00:00Z",
        ]
    ),
    st.sampled_from(["energy_import_kwh", "frequency_hz", "volume"]),
    st.sampled_from(["1", "2", "-1", "inf", "4294967295", "1e300"]),
).map(lambda cells: ",".join(cells).encode())
LINE = st.one_of(
    NEARLY,
    st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"")),
    st.lists(CELL, max_size=6).map(lambda cells: ",".join(cells).encode()),
)


@given(lines=st.lists(LINE, max_size=40), at_once=st.integers(1, 7), offset=st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_line_is_accounted_for_whatever_stands_in_it(
    lines: list[bytes], at_once: int, offset: bool
) -> None:
    found = parsed(*(line + b"\n" for line in lines), lines_at_once=at_once, assume_shanghai=offset)

    total = sum(chunk.lines for chunk in found)
    assert len([line for line in lines if line.strip()]) >= total >= accounted(found) == total


@given(lines=st.lists(LINE, max_size=30))
@settings(max_examples=100, deadline=None)
def test_what_the_centre_takes_repeats_and_refuses_is_every_value(lines: list[bytes]) -> None:
    room = EditingRoom(NOW)
    for chunk in parsed(*(line + b"\n" for line in [*lines, GOOD]), assume_shanghai=True):
        values = sum(map(len, chunk.places))
        for dry_run in (True, False, False):
            taken = room.intake.take(chunk.readings, now_ms=NOW, dry_run=dry_run)
            assert taken.taken + taken.repeated + len(taken.refused) == values
        assert taken.taken == 0  # the same again


@given(raw=st.lists(st.binary(max_size=80), max_size=12))
@settings(max_examples=100, deadline=None)
def test_no_file_of_bills_makes_it_fall(raw: list[bytes]) -> None:
    heading = b"meter,start,end,energy,value,unit,reason\n"
    who = Signature(author="王芳", reason="账单", file="f.csv")

    found = list(bill_chunks(Sheet([heading, *raw], ("meter",)), who))

    assert all(one.lines == len(one.proposals) + len(one.refused) for one in found)


# ---- bills


def test_a_bill_is_an_interval_with_its_files_line_as_source() -> None:
    lines = [
        b"meter,start,end,energy,value,unit,reason\n",
        b"e001-main,2026-10,,01000,12.5,MWh,\n",
        "e001-main,2026-11-01,2026-11-03,,7,度,抄表\n".encode(),
        b"e001-main,2026-11-01,2026-11-03,,7,\n",
        b"e001-main,2026-11-03,2026-11-01,,7,kWh\n",
    ]
    who = Signature(author="王芳", reason="十月账单", file="bills.csv")

    (chunk,) = bill_chunks(Sheet(lines, ("meter",)), who)

    october, second = chunk.proposals
    assert iso(october.start_ms) == "2026-10-01T00:00:00+08:00"
    assert iso(october.end_ms or 0) == "2026-11-01T00:00:00+08:00"
    assert (october.value, october.unit, october.energy) == (12.5, "MWh", "01000")
    assert (october.author, october.reason, october.source) == ("王芳", "十月账单", "bills.csv:2")
    assert (second.reason, second.unit, second.energy) == ("抄表", "度", None)
    assert [(one.line, one.reason) for one in chunk.refused] == [(4, "no_unit"), (5, "bad_time")]


def test_a_time_that_no_calendar_has_is_told_in_milliseconds() -> None:
    room = EditingRoom(NOW)

    taken = room.intake.take(
        [Reading(meter="e001-main", at_ms=2**53, values={"frequency_hz": 50.0})], now_ms=NOW
    )

    assert [one.message for one in taken.refused] == ["时刻还没有到：9007199254740992 ms"]


# ---- times


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ("2026-10", None, "2026-10-01 00:00 2026-11-01 00:00"),
        ("2026-12", None, "2026-12-01 00:00 2027-01-01 00:00"),
        ("2026-10-15", None, "2026-10-15 00:00 2026-10-16 00:00"),
        ("2026-10", "2026-12", "2026-10-01 00:00 2026-12-01 00:00"),
        ("2026-10-15T04:00Z", "2026-10-15T12:15+08:00", "2026-10-15 12:00 2026-10-15 12:15"),
    ],
)
def test_a_span_is_half_open_and_shanghais(start: str, end: str | None, span: str) -> None:
    found = span_of(start, end, assume_shanghai=False)

    assert f"{shown(found.start_ms)} {shown(found.end_ms)}" == span


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-10-15T12:00+08:00", None), ("2026-11", "2026-10"), ("2026-13", None), ("gestern", "x")],
)
def test_what_is_no_span_is_refused(start: str, end: str | None) -> None:
    with pytest.raises(TimeInvalid):
        span_of(start, end, assume_shanghai=False)


@given(at_ms=st.integers(0, 4_398_046_511_103))
def test_an_instant_is_read_as_it_was_written(at_ms: int) -> None:
    assert instant_ms(iso(at_ms), assume_shanghai=False) == at_ms


# ---- what is printed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "0.000001"),
        (12_500_000, "12.5"),
        (-300_000, "-0.3"),
        (10**18 + 1, f"{10**12}.000001"),
        (None, ""),
    ],
)
def test_millionths_are_printed_exactly(value: int | None, text: str) -> None:
    assert millionths(value) == text


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_readings_value_comes_back_the_same(value: float) -> None:
    assert float(number(value)) == value


def test_shares_have_at_most_four_decimals() -> None:
    assert [share(value) for value in (1.0, 0.0, 1 / 3, 0.5)] == ["1", "0", "0.3333", "0.5"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-7, "0.0000001"), (1e22, "10000000000000000000000"), (-0.0, "0"), (7.0, "7"), (0.1, "0.1")],
)
def test_a_value_is_a_plain_decimal_without_an_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_a_share_that_is_a_breath_below_zero_is_zero() -> None:
    assert [share(value) for value in (-0.0, -1e-9, -0.00004)] == ["0", "0", "0"]


def test_people_read_ten_digits_and_no_exponent() -> None:
    assert [rounded(value) for value in (1234567.0, 12345678901.0, 1 / 3, -0.0)] == [
        "1234567",
        "12345678900",
        "0.3333333333",
        "0",
    ]
