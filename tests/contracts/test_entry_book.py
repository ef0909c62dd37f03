"""What every `EntryBook` does: the fake, and SQL on a file."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from collector.adapters.sql import SqlSmallState
from collector.dirty import DirtyBook
from collector.entries import Entry, EntryBook, EntryInvalid, EntryKind
from collector.settle.cells import DAY_MS
from tests.fakes.entries import FakeEntryBook

DAY = 1_763_740_800_000  # 2025-11-22 in Shanghai
NOW_MS = DAY + 10 * DAY_MS + 1


class Books(Struct):
    entries: EntryBook
    dirty: DirtyBook

    def marked(self, meter: str = "e001-main") -> list[int]:
        """Days since `DAY`; the marks are taken away."""
        days = self.dirty.dirty(999, [meter])
        self.dirty.clear_dirty(days)
        return [(day.day_ms - DAY) // DAY_MS for day in days]


@pytest.fixture(params=["fake", "sql"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    if request.param == "fake":
        fake = FakeEntryBook()
        yield Books(fake, fake.dirty_book)
        return
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        yield Books(state.entry_book, state.dirty_book)


def entry(kind: EntryKind = EntryKind.READING, **changed: object) -> Entry:
    plain = Entry(
        kind=kind,
        meter="e001-main",
        quantity="energy_import_kwh",
        start_ms=DAY,
        author="王工",
        reason="现场抄表",
        made_ms=NOW_MS,
        source="command",
    )
    return structs.replace(plain, **changed)


def void(first: float, last: float, **changed: object) -> Entry:
    """Of the days [first, last) since `DAY`."""
    start_ms, end_ms = DAY + round(first * DAY_MS), DAY + round(last * DAY_MS)
    return entry(EntryKind.VOID, start_ms=start_ms, end_ms=end_ms, **changed)


def undo(number: int, **changed: object) -> Entry:
    return entry(EntryKind.UNDO, undoes=number, **changed)


# -- what goes in comes out --------------------------------------------------------------------


def test_a_new_book_is_empty(books: Books) -> None:
    assert books.entries.add_entries([]) == []
    assert books.entries.entries() == books.entries.entries(in_force=True) == []
    assert books.entries.entry(1) is None


def test_an_entry_comes_back_as_it_was_with_its_number(books: Books) -> None:
    full = entry(
        EntryKind.REPLACEMENT,
        end_ms=DAY + 1,
        value=0.1,
        closing=123_456.789,
        before=-1e-9,
        source="账单.csv:7",
    )

    kept = books.entries.add_entries([full, entry()])

    assert kept == [structs.replace(full, number=1), entry(number=2)]
    assert books.entries.entries() == kept
    assert books.entries.entry(1) == kept[0]
    assert books.entries.entry(3) is None


def test_numbers_go_on_and_many_keep_their_order(books: Books) -> None:
    books.entries.add_entries([entry()])

    kept = books.entries.add_entries([entry(value=float(n)) for n in range(2500)])

    assert [one.number for one in kept] == list(range(2, 2502))
    assert books.entries.entries(limit=2) == kept[-2:]
    assert books.entries.entry(1001) == entry(value=999.0, number=1001)


# -- which concern a span ----------------------------------------------------------------------


def test_entries_are_found_by_the_span_they_concern(books: Books) -> None:
    books.entries.add_entries(
        [
            entry(start_ms=DAY),  # 1: an instant
            void(1, 3),  # 2
            entry(EntryKind.OUT_OF_SERVICE, start_ms=DAY + 2 * DAY_MS),  # 3: open
            entry(EntryKind.REPLACEMENT, start_ms=DAY + DAY_MS),  # 4: an instant
        ]
    )

    def found(first: float, last: float) -> list[int]:
        start_ms, end_ms = DAY + round(first * DAY_MS), DAY + round(last * DAY_MS)
        return [one.number for one in books.entries.entries(start_ms=start_ms, end_ms=end_ms)]

    assert found(-9, 0) == []
    assert found(0, 1) == [1]
    assert found(0.5, 1) == []
    assert found(1, 2) == [2, 4]
    assert found(2, 3) == [2, 3]
    assert found(3, 99) == [3]
    assert found(-9, 99) == [1, 2, 3, 4]


def test_a_bound_may_be_left_out(books: Books) -> None:
    books.entries.add_entries([void(0, 1), void(5, 6)])

    assert [e.number for e in books.entries.entries(start_ms=DAY + DAY_MS)] == [2]
    assert [e.number for e in books.entries.entries(end_ms=DAY + DAY_MS)] == [1]


def test_entries_of_some_meters_are_found_among_many(books: Books) -> None:
    names = [f"m{n:04}" for n in range(1100)]
    books.entries.add_entries([entry(meter=name) for name in names])

    assert [e.meter for e in books.entries.entries(meters=["m0007", "nobody"])] == ["m0007"]
    assert books.entries.entries(meters=[]) == []
    assert len(books.entries.entries(meters=names[::-1])) == 1100
    assert [e.meter for e in books.entries.entries(meters=names, limit=1)] == ["m1099"]


# -- taking back -------------------------------------------------------------------------------


def test_what_is_taken_back_is_not_in_force_and_still_there(books: Books) -> None:
    books.entries.add_entries([void(0, 1), void(1, 2)])
    books.entries.add_entries([undo(1)])

    assert [e.number for e in books.entries.entries(in_force=True)] == [2]
    assert [e.number for e in books.entries.entries()] == [1, 2, 3]


def test_an_undo_that_is_taken_back_puts_the_entry_in_force_again(books: Books) -> None:
    books.entries.add_entries([void(0, 1)])
    books.entries.add_entries([undo(1)])
    books.entries.add_entries([undo(2)])

    assert [e.number for e in books.entries.entries(in_force=True)] == [1]

    books.entries.add_entries([undo(3)])

    assert books.entries.entries(in_force=True) == []


def test_an_undo_is_found_where_the_entry_is_that_it_takes_back(books: Books) -> None:
    books.entries.add_entries([void(4, 6)])
    books.entries.add_entries([undo(1, start_ms=DAY)])
    books.entries.add_entries([undo(2, start_ms=DAY)])

    span = {"start_ms": DAY + 5 * DAY_MS, "end_ms": DAY + 6 * DAY_MS}

    assert [e.number for e in books.entries.entries(**span)] == [1, 2, 3]
    assert books.entries.entries(start_ms=DAY, end_ms=DAY + DAY_MS) == []


def test_a_limit_counts_what_is_in_force(books: Books) -> None:
    books.entries.add_entries([void(n, n + 1) for n in range(4)])
    books.entries.add_entries([undo(4), undo(3)])

    assert [e.number for e in books.entries.entries(in_force=True, limit=1)] == [2]


def test_taking_back_what_is_not_there_keeps_nothing_at_all(books: Books) -> None:
    with pytest.raises(EntryInvalid, match="entry 7 is to be taken back, but there is none"):
        books.entries.add_entries([void(0, 1), undo(7)])

    assert books.entries.entries() == []
    assert books.marked() == []


def test_an_entry_of_another_meter_is_not_taken_back(books: Books) -> None:
    books.entries.add_entries([void(0, 1)])

    with pytest.raises(
        EntryInvalid,
        match="entry 1 is about e001-main, it cannot be taken back for a001-main",
    ):
        books.entries.add_entries([undo(1, meter="a001-main")])


# -- which days are marked ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "days"),
    [
        (entry(), [0]),
        (entry(start_ms=DAY - 1), [-1]),
        (entry(EntryKind.REPLACEMENT, start_ms=DAY + DAY_MS - 1), [0]),
        (void(0, 2), [0, 1]),
        (void(0.5, 2.1), [0, 1, 2]),
        (void(8, 99), [8, 9, 10]),  # the future has nothing to settle
        (entry(EntryKind.OUT_OF_SERVICE, start_ms=DAY + 8 * DAY_MS), [8, 9, 10]),
        (void(20, 30), [20]),
        (entry(EntryKind.OUT_OF_SERVICE, start_ms=DAY + 20 * DAY_MS), [20]),
        (entry(EntryKind.INTERVAL, end_ms=DAY + DAY_MS), [0]),
    ],
)
def test_an_entry_marks_the_days_it_concerns(books: Books, one: Entry, days: list[int]) -> None:
    books.entries.add_entries([one])

    assert books.marked("a001-main") == []
    assert books.marked() == days


def test_an_undo_marks_the_days_of_what_it_takes_back(books: Books) -> None:
    books.entries.add_entries([void(3, 5)])
    books.marked()

    books.entries.add_entries([undo(1, start_ms=DAY)])
    assert books.marked() == [3, 4]
    books.entries.add_entries([undo(2, start_ms=DAY)])
    assert books.marked() == [3, 4]


def test_taking_an_open_entry_back_marks_the_days_up_to_now(books: Books) -> None:
    books.entries.add_entries([entry(EntryKind.OUT_OF_SERVICE, start_ms=DAY + 9 * DAY_MS)])
    books.marked()

    books.entries.add_entries([undo(1, made_ms=NOW_MS + 3 * DAY_MS)])

    assert books.marked() == [9, 10, 11, 12, 13]


@settings(deadline=None)
@given(st.data())
def test_the_fake_and_sql_answer_alike(data: st.DataObject) -> None:
    fake = FakeEntryBook()
    with closing(SqlSmallState("sqlite://")) as state:
        for _ in range(data.draw(st.integers(0, 6))):
            count = len(fake.entries())
            if count and data.draw(st.booleans()):
                one = undo(data.draw(st.integers(1, count)))
            else:
                first = data.draw(st.integers(0, 12))
                one = data.draw(
                    st.sampled_from(
                        [
                            void(first, first + 2),
                            entry(start_ms=DAY + first * DAY_MS),
                            entry(EntryKind.OUT_OF_SERVICE, start_ms=DAY + first * DAY_MS),
                        ]
                    )
                )
            assert fake.add_entries([one]) == state.entry_book.add_entries([one])
        bound = st.none() | st.integers(0, 14).map(lambda day: DAY + day * DAY_MS)
        question = {
            "start_ms": data.draw(bound),
            "end_ms": data.draw(bound),
            "in_force": data.draw(st.booleans()),
            "limit": data.draw(st.none() | st.integers(1, 3)),
        }

        assert fake.entries(**question) == state.entry_book.entries(**question)
        marks = [[(d.meter, d.day_ms) for d in book.dirty(999)]
                 for book in (fake.dirty_book, state.dirty_book)]  # fmt: skip
        assert marks[0] == marks[1]
