"""What every `DirtyBook` does: the fake, and SQL on a file; also while threads mark and clear."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collector.adapters.sql import SqlSmallState
from collector.dirty import DirtyBook, DirtyDay
from collector.settle.cells import DAY_MS
from tests.fakes.dirty import FakeDirtyBook

DAY = 1_763_740_800_000  # 2025-11-22 in Shanghai


@pytest.fixture(params=["fake", "sql", "sql settled"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DirtyBook]:
    if request.param == "fake":
        yield FakeDirtyBook()
        return
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        yield state.dirty_book if request.param == "sql" else state.settled_book


def pairs(days: list[DirtyDay]) -> list[tuple[str, int]]:
    return [(day.meter, day.day_ms) for day in days]


def test_marks_of_days_before_one_are_forgotten(book: DirtyBook) -> None:
    book.mark_dirty([("m1", DAY), ("m1", DAY + DAY_MS), ("m2", DAY)])

    forgotten = book.forget_before(DAY + DAY_MS)

    assert forgotten == 2
    assert pairs(book.dirty(9)) == [("m1", DAY + DAY_MS)]


def test_a_new_book_is_empty(book: DirtyBook) -> None:
    assert book.dirty(9) == []
    assert book.count_dirty() == 0
    book.mark_dirty([])
    book.clear_dirty([])
    assert book.count_dirty() == 0


def test_marks_come_by_meter_and_day_each_once(book: DirtyBook) -> None:
    book.mark_dirty([("e001-main", DAY + DAY_MS), ("e001-main", DAY), ("a001-main", DAY)])
    book.mark_dirty([("e001-main", DAY)])

    assert pairs(book.dirty(9)) == [
        ("a001-main", DAY),
        ("e001-main", DAY),
        ("e001-main", DAY + DAY_MS),
    ]
    assert book.count_dirty() == 3


def test_a_mark_that_is_set_again_has_a_larger_number(book: DirtyBook) -> None:
    book.mark_dirty([("e001-main", DAY)])
    (first,) = book.dirty(1)
    book.clear_dirty([first])

    book.mark_dirty([("e001-main", DAY)])
    (second,) = book.dirty(1)
    book.mark_dirty({("e001-main", DAY)})
    (third,) = book.dirty(1)

    assert 0 < first.number < second.number < third.number


def test_clearing_leaves_what_was_marked_again(book: DirtyBook) -> None:
    book.mark_dirty([("a001-main", DAY), ("e001-main", DAY)])
    taken = book.dirty(9)
    book.mark_dirty([("e001-main", DAY)])

    book.clear_dirty(taken)

    assert pairs(book.dirty(9)) == [("e001-main", DAY)]


def test_clearing_twice_or_what_is_not_there_changes_nothing(book: DirtyBook) -> None:
    book.mark_dirty([("a001-main", DAY), ("e001-main", DAY)])
    taken = book.dirty(1)

    book.clear_dirty(taken)
    book.clear_dirty([*taken, DirtyDay(meter="nobody", day_ms=DAY, number=1)])

    assert pairs(book.dirty(9)) == [("e001-main", DAY)]


def test_a_limit_does_not_tear_a_meters_days_apart(book: DirtyBook) -> None:
    days = [DAY + n * DAY_MS for n in range(5)]
    book.mark_dirty([(meter, day) for meter in ("a", "b", "c") for day in days])

    assert pairs(book.dirty(1)) == [("a", day) for day in days]
    assert pairs(book.dirty(5)) == [("a", day) for day in days]
    assert {meter for meter, _ in pairs(book.dirty(6))} == {"a", "b"}
    assert len(book.dirty(6)) == 10
    assert len(book.dirty(15)) == len(book.dirty(99)) == 15


def test_marks_of_some_meters_are_found_among_many(book: DirtyBook) -> None:
    names = [f"m{n:04}" for n in range(1200)]
    book.mark_dirty([(name, DAY) for name in names])

    assert pairs(book.dirty(9, ["m0001", "nobody"])) == [("m0001", DAY)]
    assert book.dirty(9, []) == []
    assert pairs(book.dirty(2000, names[::-1])) == [(name, DAY) for name in names]
    assert pairs(book.dirty(700, names)) == [(name, DAY) for name in names[:700]]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["mark", "take", "clear"]),
            st.sets(st.tuples(st.sampled_from("abc"), st.integers(0, 3))),
        ),
        max_size=12,
    )
)
def test_the_fake_and_sql_keep_the_same_marks(steps: list[tuple[str, set]]) -> None:
    fake = FakeDirtyBook()
    with closing(SqlSmallState("sqlite://")) as state:
        taken: dict[DirtyBook, list[DirtyDay]] = {fake: [], state.dirty_book: []}
        for step, of_days in steps:
            for book in (fake, state.dirty_book):
                if step == "mark":
                    book.mark_dirty(of_days)
                elif step == "take":
                    taken[book] = book.dirty(len(of_days) or 1)
                else:
                    book.clear_dirty(taken[book])
            assert pairs(taken[fake]) == pairs(taken[state.dirty_book])
            assert pairs(fake.dirty(99)) == pairs(state.dirty_book.dirty(99))


def test_the_oldest_marked_day_is_told_whichever_meter_it_is_of(book: DirtyBook) -> None:
    assert book.oldest_dirty_ms() is None

    book.mark_dirty([("a", DAY + 86_400_000), ("b", DAY)])

    assert book.oldest_dirty_ms() == DAY
    book.clear_dirty(book.dirty(9, ["b"]))
    assert book.oldest_dirty_ms() == DAY + 86_400_000


def test_threads_that_mark_and_one_that_clears_lose_no_mark_and_leave_none(
    book: DirtyBook,
) -> None:
    """Each mark is of a change that came before it; whoever takes it after has seen the change."""
    changes = {f"m{n}": 0 for n in range(3)}
    settled = dict.fromkeys(changes, 0)

    def change(meter: str) -> None:
        for _ in range(40):
            changes[meter] += 1
            book.mark_dirty([(meter, DAY)])

    def settle() -> None:
        taken = book.dirty(9)
        for day in taken:
            settled[day.meter] = changes[day.meter]
        book.clear_dirty(taken)

    threads = [Thread(target=change, args=(meter,)) for meter in changes]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        settle()
    settle()

    assert settled == changes
    assert book.count_dirty() == 0


def test_marks_survive_a_restart_and_numbers_go_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.sqlite"
    with closing(SqlSmallState(url)) as state:
        state.dirty_book.mark_dirty([("e001-main", DAY)])
        (before,) = state.dirty_book.dirty(1)

    with closing(SqlSmallState(url)) as again:
        assert again.dirty_book.dirty(1) == [before]
        again.dirty_book.mark_dirty([("e001-main", DAY)])
        assert again.dirty_book.dirty(1) == [structs.replace(before, number=before.number + 1)]
