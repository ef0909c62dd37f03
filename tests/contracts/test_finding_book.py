"""What every `FindingBook` does: the fake, and SQL on a file."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from collector.adapters.sql import SqlSmallState
from collector.findings import Finding, FindingBook, FindingKind
from tests.fakes.findings import FakeFindingBook

DAY = 1_763_740_800_000  # 2025-11-22 in Shanghai
NEXT = DAY + 86_400_000


@pytest.fixture(params=["fake", "sql"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FindingBook]:
    if request.param == "fake":
        yield FakeFindingBook()
        return
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        yield state.finding_book


def finding(**changed: object) -> Finding:
    plain = Finding(
        institution="e001",
        day_ms=DAY,
        kind=FindingKind.SILENT,
        meter="e001-main",
        since_ms=DAY - 5,
        value=None,
        text="总进线表 e001-main 自 11-21 23:59 起无数据",
        advice="查网关与表计通信线路",
    )
    return structs.replace(plain, **changed)


def test_a_new_book_is_empty(book: FindingBook) -> None:
    assert book.findings(0, NEXT) == []


def test_a_days_list_comes_back_as_it_was_in_order(book: FindingBook) -> None:
    late = finding(kind=FindingKind.LATE, value=0.5)
    other = finding(institution="a001", meter="a001-main", kind=FindingKind.SUM, value=-7.25)
    second = finding(meter="e001-light")

    book.replace_findings(DAY, [finding(), second, other, late])

    assert book.findings(DAY, NEXT) == [other, late, second, finding()]


def test_two_findings_of_one_kind_about_one_meter_both_stay(book: FindingBook) -> None:
    rejected = finding(kind=FindingKind.REJECTED, text="量程")
    book.replace_findings(DAY, [rejected, structs.replace(rejected, text="哨兵值")])

    assert [one.text for one in book.findings(DAY, NEXT)] == ["量程", "哨兵值"]


def test_a_day_verified_again_has_only_its_new_list(book: FindingBook) -> None:
    tomorrow = finding(day_ms=NEXT)
    book.replace_findings(DAY, [finding(), finding(meter="e001-light")])
    book.replace_findings(NEXT, [tomorrow])

    book.replace_findings(DAY, [finding(kind=FindingKind.LATE)])
    assert book.findings(DAY, NEXT + 1) == [finding(kind=FindingKind.LATE), tomorrow]

    book.replace_findings(DAY, [])
    assert book.findings(DAY, NEXT + 1) == [tomorrow]


def test_findings_are_found_by_day_and_institution(book: FindingBook) -> None:
    book.replace_findings(DAY, [finding(), finding(institution="a001")])
    book.replace_findings(NEXT, [finding(day_ms=NEXT)])

    assert book.findings(DAY, NEXT, "a001") == [finding(institution="a001")]
    assert book.findings(NEXT, NEXT + 1) == [finding(day_ms=NEXT)]
    assert book.findings(DAY, NEXT, "nobody") == []
