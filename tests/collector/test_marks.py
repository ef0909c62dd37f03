"""Which days still need a mark; whatever the pipeline and settlement do at once, none is lost."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.adapters.sql import SqlSmallState
from collector.dirty import DirtyBook, DirtyDay
from collector.marks import DirtyMarks, take
from collector.settle.cells import DAY_MS
from collector.store import Row, Tags
from tests.fakes.dirty import FakeDirtyBook

DAY = 1_763_740_800_000  # 2025-11-22 in Shanghai
TAGS = Tags(
    district="120101",
    sector="hospital",
    institution="e001",
    building="e001-b1",
    circuit="总进线",
    meter="e001-main",
    energy="01000",
    gateway="gw-e001",
)


def row(meter: str = "e001-main", at_ms: int = DAY) -> Row:
    return Row(meter=meter, at_ms=at_ms, values={"active_power_kw": 1.0}, tags=TAGS)


# -- what is remembered ------------------------------------------------------------------------


def test_each_meters_day_in_shanghai_is_fresh_once() -> None:
    marks = DirtyMarks()
    rows = [
        row(at_ms=DAY),
        row(at_ms=DAY + DAY_MS - 1),
        row("a001-main"),
        row(at_ms=DAY + DAY_MS),
        row(at_ms=DAY - 1),
    ]

    pairs = marks.fresh(rows)

    assert pairs == [
        ("e001-main", DAY),
        ("a001-main", DAY),
        ("e001-main", DAY + DAY_MS),
        ("e001-main", DAY - DAY_MS),
    ]
    marks.written(pairs)
    assert marks.fresh(rows) == []


def test_what_was_not_written_stays_fresh() -> None:
    marks = DirtyMarks()
    marks.fresh([row()])

    assert marks.fresh([row()]) == [("e001-main", DAY)]


def test_what_is_forgotten_is_fresh_again_and_nothing_else_is() -> None:
    marks = DirtyMarks()
    marks.written(marks.fresh([row(), row("a001-main")]))

    marks.forget([("e001-main", DAY), ("nobody", DAY), ("a001-main", DAY + DAY_MS)])

    assert marks.fresh([row("a001-main"), row()]) == [("e001-main", DAY)]


def test_a_pair_forgotten_while_it_is_written_is_not_remembered() -> None:
    marks = DirtyMarks()
    pairs = marks.fresh([row()])

    marks.forget(pairs)
    marks.written(pairs)

    assert marks.fresh([row()]) == pairs


def test_memory_is_bounded() -> None:
    marks = DirtyMarks(most=10)
    days = [row(at_ms=DAY + n * DAY_MS) for n in range(10)]
    marks.written(marks.fresh(days))
    assert marks.fresh(days) == []

    marks.written(marks.fresh([row("a001-main")]))

    assert marks.fresh([row("a001-main")]) == []
    assert len(marks.fresh(days)) == 10


def test_what_was_forgotten_leaves_room() -> None:
    marks = DirtyMarks(most=2)
    for _ in range(5):
        pairs = marks.fresh([row()])
        marks.written(pairs)
        marks.forget(pairs)
    pairs = marks.fresh([row(), row("a001-main")])
    marks.written(pairs)

    assert marks.fresh([row(), row("a001-main")]) == []


# -- what happens at once ----------------------------------------------------------------------

METERS = ("a", "b")


class World:
    """How often each meter was stored, and what settlement has seen of that.

    `meanwhile` is what the pipeline does between any two steps of settlement.
    """

    def __init__(self, book: DirtyBook) -> None:
        self.book = book
        self.marks = DirtyMarks(most=2)
        self.stored = dict.fromkeys(METERS, 0)
        self.settled = dict.fromkeys(METERS, 0)
        self.meanwhile: Callable[[], None] = lambda: None

    def pipeline(self, groups: list[list[str]]) -> Iterator[None]:
        for group in groups:
            for meter in group:
                self.stored[meter] += 1
            yield
            pairs = self.marks.fresh([row(meter) for meter in group])
            yield
            self.book.mark_dirty(pairs)
            yield
            self.marks.written(pairs)
            yield

    def settle(self) -> None:
        taken = take(Watched(self), Watched(self), 1)  # type: ignore[arg-type]  # both, halfway
        self.meanwhile()
        seen = dict(self.stored)
        self.meanwhile()
        self.settled |= {day.meter: seen[day.meter] for day in taken}
        self.book.clear_dirty(taken)
        self.meanwhile()


class Watched:
    """The book and the marks, with the pipeline at work before and after each call."""

    def __init__(self, world: World) -> None:
        self._world = world

    def dirty(self, limit: int, meters: list[str] | None = None) -> list[DirtyDay]:
        self._world.meanwhile()
        found = self._world.book.dirty(limit, meters)
        self._world.meanwhile()
        return found

    def forget(self, pairs: Iterator[tuple[str, int]]) -> None:
        self._world.meanwhile()
        self._world.marks.forget(pairs)
        self._world.meanwhile()


@given(
    groups=st.lists(st.lists(st.sampled_from(METERS), min_size=1, max_size=2), max_size=8),
    paces=st.lists(st.integers(0, 5), max_size=40),
)
# Its transaction is under way while settlement forgets; a second reading comes before the clearing.
@example(groups=[["a"], ["a"]], paces=[3, 0, 0, 0, 0, 5])
# Marked again between the taking and the forgetting.
@example(groups=[["a"], ["a"], ["a"]], paces=[4, 4, 0, 0, 0, 4])
@settings(max_examples=300)
def test_in_any_order_of_their_steps_everything_stored_is_settled(
    groups: list[list[str]], paces: list[int]
) -> None:
    world = World(FakeDirtyBook())
    pipeline = world.pipeline(groups)
    pace = iter(paces)

    def meanwhile() -> None:
        for _ in range(next(pace, 0)):
            next(pipeline, None)

    world.meanwhile = meanwhile
    for _ in range(6):
        world.settle()
    for _ in pipeline:
        pass
    while world.book.count_dirty():
        world.settle()

    assert world.settled == world.stored


@pytest.mark.parametrize("kind", ["fake", "sql"])
def test_with_real_threads_everything_stored_is_settled(kind: str, tmp_path: Path) -> None:
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        world = World(FakeDirtyBook() if kind == "fake" else state.dirty_book)
        groups = [["a"], ["b", "a"], ["b"]] * (2000 if kind == "fake" else 150)
        pipeline = Thread(target=lambda: list(world.pipeline(groups)))

        pipeline.start()
        while pipeline.is_alive():
            world.settle()
        while world.book.count_dirty():
            world.settle()

        assert world.settled == world.stored
