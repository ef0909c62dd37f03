"""What every `EpochBook` does, on the fake and on SQL."""

from pathlib import Path

import pytest

from collector.adapters.sql import SqlSmallState
from collector.settle.breaks import Break
from collector.settle.series import Ending
from tests.fakes.epoch_book import FakeEpochBook

ENERGY = "energy_import_kwh"


@pytest.fixture(params=["fake", "sql"])
def book(request, tmp_path: Path):
    if request.param == "fake":
        yield FakeEpochBook()
        return
    state = SqlSmallState(f"sqlite:///{tmp_path / 'state.sqlite'}")
    yield state.epoch_book
    state.close()


def at(at_ms: int, multiplier: float = 1.0, ending: Ending = Ending.RESET) -> Break:
    return Break(
        left_ms=at_ms - 10,
        at_ms=at_ms,
        ending=ending,
        closed=4_000_000_000_000_000,
        opened=0,
        multiplier=multiplier,
    )


def test_breaks_come_back_as_they_were_in_order_of_time(book) -> None:
    book.replace_breaks("m1", ENERGY, (0, 1000), [at(100), at(300, 0.001, Ending.UNIT)])

    assert book.breaks("m1", ENERGY, 0, 1000) == [at(100), at(300, 0.001, Ending.UNIT)]
    assert book.breaks("m1", ENERGY, 101, 301) == [at(300, 0.001, Ending.UNIT)]
    assert book.breaks("m1", ENERGY, 100, 300) == [at(100)]


def test_only_the_named_span_of_the_named_counter_is_replaced(book) -> None:
    book.replace_breaks("m1", ENERGY, (0, 1000), [at(100), at(300), at(500)])
    book.replace_breaks("m1", "energy_export_kwh", (0, 1000), [at(300)])
    book.replace_breaks("m2", ENERGY, (0, 1000), [at(300)])

    book.replace_breaks("m1", ENERGY, (200, 500), [at(400)])

    assert [one.at_ms for one in book.breaks("m1", ENERGY, 0, 1000)] == [100, 400, 500]
    assert [one.at_ms for one in book.breaks("m1", "energy_export_kwh", 0, 1000)] == [300]
    assert [one.at_ms for one in book.breaks("m2", ENERGY, 0, 1000)] == [300]


def test_nothing_in_place_of_a_span_leaves_nothing(book) -> None:
    book.replace_breaks("m1", ENERGY, (0, 1000), [at(100)])

    book.replace_breaks("m1", ENERGY, (0, 1000), [])

    assert book.breaks("m1", ENERGY, 0, 1000) == []


def test_the_last_break_before_an_instant(book) -> None:
    book.replace_breaks("m1", ENERGY, (0, 1000), [at(100), at(300, 1000.0, Ending.UNIT)])

    assert book.last_break("m1", ENERGY, 100) is None
    assert book.last_break("m1", ENERGY, 300) == at(100)
    assert book.last_break("m1", ENERGY, 10_000) == at(300, 1000.0, Ending.UNIT)
    assert book.last_break("m2", ENERGY, 10_000) is None


def test_days_in_doubt_of_any_counter_are_told_by_meter(book) -> None:
    book.replace_doubts(
        [
            ("m1", ENERGY, (0, 100), [10, 20]),
            ("m1", "energy_export_kwh", (0, 100), [20, 30]),
            ("m2", ENERGY, (0, 100), [99]),
            ("m3", ENERGY, (0, 100), []),
        ]
    )

    assert book.doubts(["m1", "m3"], 0, 100) == {"m1": {10, 20, 30}}
    assert book.doubts(["m1", "m2"], 20, 99) == {"m1": {20, 30}}
    assert book.doubts([], 0, 100) == {}


def test_only_the_doubts_of_the_span_that_was_settled_are_replaced(book) -> None:
    book.replace_doubts([("m1", ENERGY, (0, 100), [10, 20, 30])])
    book.replace_doubts([("m1", "energy_export_kwh", (0, 100), [20])])

    book.replace_doubts([("m1", ENERGY, (20, 30), [25])])
    book.replace_doubts([])

    assert book.doubts(["m1"], 0, 100) == {"m1": {10, 20, 25, 30}}
