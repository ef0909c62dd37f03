"""What every `SilenceBook` does: the fake, and SQL on a file."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from collector.adapters.sql import SqlSmallState
from collector.alerting.notice import Silence, SilenceBook
from tests.fakes.silences import FakeSilenceBook


@pytest.fixture(params=["fake", "sql"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SilenceBook]:
    if request.param == "fake":
        yield FakeSilenceBook()
        return
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        yield state.silence_book


def silence(start_ms: int = 100, end_ms: int = 200) -> Silence:
    return Silence(
        matcher={"institution": "e001", "rule": "voltage-*"},
        start_ms=start_ms,
        end_ms=end_ms,
        author="王工",
        comment="配电室检修",
        made_ms=50,
    )


def test_a_new_book_is_empty(book: SilenceBook) -> None:
    assert book.silences() == []
    assert book.expire_silence(1, 5) is None


def test_a_silence_is_kept_as_it_was_said(book: SilenceBook) -> None:
    kept = book.add_silence(silence())

    assert kept == structs.replace(silence(), number=1)
    assert book.silences() == [kept]


def test_a_silence_is_in_force_from_its_start_to_before_its_end(book: SilenceBook) -> None:
    kept = book.add_silence(silence(100, 200))

    assert [bool(book.silences(at_ms=at_ms)) for at_ms in (99, 100, 199, 200)] == [
        False,
        True,
        True,
        False,
    ]
    assert book.silences(at_ms=150) == [kept]


def test_a_silence_that_is_expired_by_hand_ends_then_and_once(book: SilenceBook) -> None:
    book.add_silence(silence(100, 200))

    ended = book.expire_silence(1, 150)

    assert ended == structs.replace(silence(), number=1, ended_ms=150)
    assert book.silences(at_ms=149) == [ended]
    assert book.silences(at_ms=150) == []
    assert book.expire_silence(1, 190) == ended


def test_the_newest_come_first(book: SilenceBook) -> None:
    for _ in range(3):
        book.add_silence(silence())

    assert [one.number for one in book.silences()] == [3, 2, 1]
    assert [one.number for one in book.silences(limit=1)] == [3]
