"""Tables fit the terminal: ids and numbers are never broken, Chinese is two cells wide."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from nenghao.table import columns_of, table

FINDING = ("e001", "e001-lift", "住院部电梯自2026年10月2日15:19起没有任何读数", "先看网关是否在线")
HEADINGS = ("单位", "仪表", "问题", "建议")
TEXTS = (2, 3)


def shown(columns, rows, width, title=""):
    out = io.StringIO()
    Console(file=out, width=width).print(table(columns, rows, title, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_what_fits_is_a_table_with_lines() -> None:
    lines = shown(columns_of(HEADINGS, texts=TEXTS), [FINDING], 120)

    assert lines[0].startswith("┏")
    assert "│ e001 │ e001-lift │ 住院部电梯自2026年10月2日15:19起没有任何读数 │" in lines[3]


def test_texts_are_broken_into_two_lines_at_most_and_nothing_else_is() -> None:
    lines = shown(columns_of(HEADINGS, texts=TEXTS), [FINDING], 72)

    assert lines[0].split() == list(HEADINGS)
    assert [cell for cell in lines[2].split("  ") if cell][:2] == ["e001", "e001-lift"]
    assert len([line for line in lines[2:] if line]) == 2


def test_a_long_id_stays_in_one_piece_beside_a_text_that_is_broken() -> None:
    row = ("e001-emergency-lighting-north-wing", "停走后一次补上，已到现场核对")

    lines = shown(columns_of(("仪表", "说明"), texts=(1,)), [row], 55)

    assert lines[2].startswith("e001-emergency-lighting-north-wing  停走后")


def test_where_texts_would_become_a_strip_each_row_is_a_record() -> None:
    lines = shown(columns_of(HEADINGS, texts=TEXTS), [FINDING, FINDING], 50, "日校核")

    assert lines == [
        "日校核",
        "单位 e001  仪表 e001-lift",
        "  问题 住院部电梯自2026年10月2日15:19起没有任何",
        "    读数",
        "  建议 先看网关是否在线",
        "",
        "单位 e001  仪表 e001-lift",
        "  问题 住院部电梯自2026年10月2日15:19起没有任何",
        "    读数",
        "  建议 先看网关是否在线",
        "",
    ]


def test_spare_columns_go_one_after_another_and_that_is_said() -> None:
    columns = columns_of(("量", "单位", "周期", "地址"), spare=(2, 1))
    row = ("active_power_kw", "kW", "60 s", "0x0000")

    wide, narrow, narrowest = (shown(columns, [row], width) for width in (60, 31, 25))

    assert wide[1].split() == ["┃", "量", "┃", "单位", "┃", "周期", "┃", "地址", "┃"]
    assert narrow[0].split() == ["量", "单位", "地址"]
    assert "".join(narrow[-2:]).startswith("终端较窄，未显示：周期 (--json")
    assert narrowest[0].split() == ["量", "地址"]


def test_a_column_that_says_nothing_gives_way() -> None:
    columns = columns_of(("表", "备注", "值"), texts=(1,))

    lines = shown(columns, [("e001-main", "", "12,345.678 kWh")], 28)

    assert lines[0].split() == ["表", "值"]


def test_brackets_are_no_markup() -> None:
    lines = shown(columns_of(("键",)), [("buses[0].meters[1]",), ("[bold]",)], 80)

    assert any("buses[0].meters[1]" in line for line in lines)
    assert any("[bold]" in line for line in lines)


CELL = st.text(alphabet="表电量e01-k ，[", max_size=30)


@pytest.mark.parametrize("width", [20, 40, 80])
@given(rows=st.lists(st.tuples(CELL, CELL, CELL, CELL), min_size=1, max_size=4))
def test_nothing_is_wider_than_the_terminal_and_no_letter_is_lost(
    width: int, rows: list[tuple[str, ...]]
) -> None:
    lines = shown(columns_of(HEADINGS, texts=TEXTS), rows, width)

    assert max(map(cell_len, lines), default=0) <= width
    told = "".join(lines)
    for letter in "表e01[":
        assert told.count(letter) >= sum(cell.count(letter) for row in rows for cell in row)
