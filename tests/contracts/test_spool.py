"""What every `Spool` does: one suite on the fake and on SQLite."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateways.adapters.sqlite import SqliteSpool
from gateways.spool.port import Dropped, Spool, SpoolBusy
from metering.batch import BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import EpochBook
from metering.reading import Reading
from metering.wire import digest_of
from tests.fakes.spool import FakeSpool

STORE = "heping-1"
EVER = 1 << 60


def span(first: int, last: int) -> Ranges:
    return Ranges.span(first, last)


def batch(sequence: int, epoch: str = "E1", size: int = 2_000) -> Sealed:
    name = f"{epoch} {sequence} "
    noise = random.Random(name).randbytes(size)  # nothing that a spool could make smaller
    payload = (f"{name}{name}".encode() + noise)[:size]
    return Sealed(
        key=BatchKey(epoch, sequence),
        digest=digest_of(payload),
        payload=payload,
        content_type="application/json",
    )


def fill(spool: Spool, sequences: range, epoch: str = "E1", at_ms: int = 0) -> None:
    for n in sequences:
        spool.append(batch(n, epoch), sealed_at_ms=at_ms or n)


def mark(spool: Spool, committed: dict[str, Ranges], generation: int = 1) -> None:
    """Keep a commit that covers these, as the sender would."""
    books = [
        EpochBook(
            epoch=book.epoch,
            next=book.next,
            held=book.held,
            committed=book.committed | committed.get(book.epoch, Ranges()),
            dropped=book.dropped,
            forked=book.forked,
        )
        for book in spool.books()
    ]
    spool.mark(STORE, generation, tuple(books))


def reading(at_ms: int) -> Reading:
    return Reading(meter="e001-main", at_ms=at_ms, values={"active_power_kw": 1.5})


@pytest.fixture(params=["fake", "sqlite"])
def make(request, tmp_path: Path) -> Iterator[Callable[[], Spool]]:
    """Makes a spool; a second call opens what the first left, as a new process would."""
    opened: list[Spool] = []

    def open_spool() -> Spool:
        if request.param == "fake":
            return opened[0] if opened else opened.append(FakeSpool()) or opened[0]
        if opened:
            opened.pop().close()
        opened.append(SqliteSpool(tmp_path / "spool"))
        return opened[0]

    yield open_spool
    for spool in opened:
        spool.close()


@pytest.fixture
def spool(make) -> Spool:
    spool = make()
    spool.mint("E1")
    return spool


def test_a_new_spool_holds_nothing(make):
    spool = make()

    assert spool.books() == []
    assert spool.unsealed(10) == []
    assert spool.generation(STORE) == 0
    assert spool.corrupt_files() == 0


def test_a_minted_epoch_starts_at_1(spool):
    assert spool.books() == [EpochBook(epoch="E1")]


def test_a_batch_comes_back_exactly_as_sealed(spool, make):
    spool.append(batch(1), sealed_at_ms=5)

    assert make().load(BatchKey("E1", 1)) == batch(1)


def test_bytes_of_any_kind_come_back(spool):
    payload = bytes(range(256)) * 3
    sealed = Sealed(
        key=BatchKey("E1", 1),
        digest=digest_of(payload),
        payload=payload,
        content_type="application/json+zstd",
    )

    spool.append(sealed, sealed_at_ms=5)

    assert spool.load(sealed.key) == sealed


@pytest.mark.parametrize("key", [BatchKey("E1", 2), BatchKey("E9", 1)])
def test_a_batch_that_is_not_held_is_none(spool, key):
    fill(spool, range(1, 2))

    assert spool.load(key) is None


def test_books_say_what_is_held_oldest_epoch_first(spool, make):
    fill(spool, range(1, 4))
    spool.mint("A-later-epoch")
    fill(spool, range(1, 3), "A-later-epoch")

    assert make().books() == [
        EpochBook(epoch="E1", next=4, held=span(1, 3)),
        EpochBook(epoch="A-later-epoch", next=3, held=span(1, 2)),
    ]


def test_an_older_epoch_still_takes_batches(spool):
    fill(spool, range(1, 2))
    spool.mint("E2")

    fill(spool, range(2, 3))

    assert spool.books()[0].held == span(1, 2)


def test_an_epoch_that_nothing_is_left_of_is_forgotten_at_the_next_mint(spool):
    spool.mint("E2")

    assert [book.epoch for book in spool.books()] == ["E2"]


def test_an_epoch_whose_losses_are_not_known_yet_is_not_forgotten(spool):
    fill(spool, range(1, 4))
    spool.prune(committed_before_ms=0, size_limit=0)

    spool.mint("E2")

    assert [(b.epoch, b.dropped) for b in spool.books()] == [("E1", span(1, 3)), ("E2", Ranges())]


# ---- several at once


def test_what_is_written_at_once_is_all_there(spool, make):
    fill(spool, range(1, 3))
    books = spool.books()
    books[0].committed = span(1, 2)

    def write() -> None:
        fill(spool, range(3, 6))
        spool.mark(STORE, 4, tuple(books))

    assert spool.at_once(write) == {}

    again = make()
    assert again.books()[0].held == span(1, 5)
    assert again.books()[0].committed == span(1, 2)
    assert again.generation(STORE) == 4


def test_what_is_written_at_once_is_not_there_at_all_if_any_of_it_fails(spool, make):
    fill(spool, range(1, 3))
    spool.mint("E2")
    fill(spool, range(1, 2), "E2")
    before = spool.books()

    def write() -> None:
        fill(spool, range(2, 4), "E2")
        spool.mark(STORE, 4, (EpochBook(epoch="E2"),))  # forgets E1
        raise SpoolBusy("not now")

    with pytest.raises(SpoolBusy):
        spool.at_once(write)

    assert spool.load(BatchKey("E1", 1)) == batch(1)
    fill(spool, range(2, 3), "E2")
    assert make().books()[0] == before[0]
    assert make().books()[1].held == span(1, 2)
    assert make().generation(STORE) == 0


# ---- what commits said


def test_what_was_committed_and_the_generation_are_kept(spool, make):
    fill(spool, range(1, 4))

    mark(spool, {"E1": span(1, 2)}, generation=7)

    again = make()
    assert again.books()[0].committed == span(1, 2)
    assert again.generation(STORE) == 7
    assert again.generation("other") == 0


def test_a_fork_is_kept(spool, make):
    spool.mark(STORE, 1, (EpochBook(epoch="E1", forked=True),))

    assert make().books()[0].forked


def test_an_epoch_that_no_longer_matters_is_forgotten_with_all_it_held(spool, make):
    fill(spool, range(1, 101))
    spool.mint("E2")
    fill(spool, range(1, 3), "E2")
    before = spool.size()

    spool.mark(STORE, 1, (EpochBook(epoch="E2", next=3, held=span(1, 2)),))

    assert before - spool.size() > 200_000
    again = make()
    assert [book.epoch for book in again.books()] == ["E2"]
    assert again.load(BatchKey("E1", 1)) is None


def test_an_epoch_minted_while_a_mark_was_on_its_way_is_kept(spool):
    """The fork that asks for a mark also asks for a new epoch."""
    fill(spool, range(1, 3))
    before = tuple(spool.books())
    spool.mint("E2")

    spool.mark(STORE, 1, before)

    assert [book.epoch for book in spool.books()] == ["E1", "E2"]
    fill(spool, range(1, 2), "E2")


# ---- pruning


def test_committed_batches_older_than_they_must_be_kept_are_pruned(spool):
    for n in range(1, 101):
        spool.append(batch(n), sealed_at_ms=n * 1_000)
    mark(spool, {"E1": span(1, 90)})

    dropped = spool.prune(committed_before_ms=50_000, size_limit=EVER)

    assert dropped == {"E1": span(1, 49)}
    assert spool.books()[0].held == span(50, 100)
    assert spool.books()[0].dropped == Ranges()


def test_an_uncommitted_batch_is_never_pruned_for_its_age(spool):
    fill(spool, range(1, 11))
    mark(spool, {"E1": span(2, 3)})

    dropped = spool.prune(committed_before_ms=EVER, size_limit=EVER)

    assert dropped == {"E1": span(2, 3)}
    assert spool.books()[0].held == span(1, 1) | span(4, 10)


def test_above_the_size_committed_batches_go_before_uncommitted_ones_and_the_oldest_first(spool):
    fill(spool, range(1, 201))
    spool.mint("E2")
    fill(spool, range(1, 201), "E2")
    mark(spool, {"E2": span(101, 200)})
    limit = spool.size() * 7 // 8

    dropped = spool.prune(committed_before_ms=0, size_limit=limit)

    assert spool.size() <= limit
    assert dropped.keys() == {"E2"}
    assert dropped["E2"].lowest == 101
    assert not spool.books()[1].dropped


def test_above_the_size_the_oldest_uncommitted_go_when_nothing_else_is_left(spool, make):
    fill(spool, range(1, 201))
    mark(spool, {"E1": span(151, 200)})
    limit = spool.size() // 2

    dropped = spool.prune(committed_before_ms=0, size_limit=limit)

    assert spool.size() <= limit
    book = make().books()[0]
    assert book.dropped == dropped["E1"] - span(151, 200)
    assert book.dropped.lowest == 1
    assert len(book.dropped.spans) == 1
    assert not book.held & span(151, 200)
    assert book.next == 201


def test_what_was_pruned_is_told_once(spool):
    fill(spool, range(1, 4))
    mark(spool, {"E1": span(1, 3)})
    spool.prune(committed_before_ms=EVER, size_limit=EVER)

    assert spool.prune(committed_before_ms=EVER, size_limit=EVER) == {}
    assert spool.append(batch(4), sealed_at_ms=0) == {}


def test_what_was_pruned_after_its_commit_is_not_lost(spool, make):
    fill(spool, range(1, 11))
    mark(spool, {"E1": span(1, 5)})

    spool.prune(committed_before_ms=EVER, size_limit=EVER)

    book = make().books()[0]
    assert (book.next, book.held, book.dropped) == (11, span(6, 10), Ranges())


def test_what_was_pruned_before_the_database_was_restored_is_still_not_lost(spool, make):
    """The new generation takes its commits back; nothing of it was dropped uncommitted."""
    fill(spool, range(1, 11))
    mark(spool, {"E1": span(1, 10)})
    spool.prune(committed_before_ms=5, size_limit=EVER)

    spool.mark(STORE, 2, (EpochBook(epoch="E1", next=11, held=span(5, 10)),))

    assert make().books()[0].dropped == Ranges()


def test_an_emptied_epoch_still_knows_its_next_sequence(spool, make):
    fill(spool, range(1, 4))
    spool.prune(committed_before_ms=0, size_limit=0)

    assert make().books()[0].next == 4


# ---- readings whose time is not yet sure


def test_unsealed_readings_come_back_in_the_order_they_were_taken(spool, make):
    spool.keep_unsealed("boot-1", ((10, reading(1)), (20, reading(2))))
    spool.keep_unsealed("boot-2", ((5, reading(3)),))

    found = make().unsealed(10)

    assert [(u.boot, u.monotonic_ms, u.reading) for u in found] == [
        ("boot-1", 10, reading(1)),
        ("boot-1", 20, reading(2)),
        ("boot-2", 5, reading(3)),
    ]
    assert len({u.number for u in found}) == 3


def test_the_oldest_unsealed_readings_come_first(spool):
    spool.keep_unsealed("boot-1", tuple((n, reading(n)) for n in range(10)))

    assert [u.monotonic_ms for u in spool.unsealed(3)] == [0, 1, 2]


def test_unsealed_readings_go_with_the_batch_that_took_them(spool, make):
    spool.keep_unsealed("boot-1", tuple((n, reading(n)) for n in range(5)))
    numbers = tuple(u.number for u in spool.unsealed(3))

    spool.append(batch(1), sealed_at_ms=0, unsealed=numbers)

    again = make()
    assert [u.monotonic_ms for u in again.unsealed(10)] == [3, 4]
    assert again.load(BatchKey("E1", 1)) is not None


def test_a_reading_with_a_fault_and_no_value_comes_back(spool):
    faulty = Reading(meter="m", at_ms=-1, fault="timeout")
    spool.keep_unsealed("boot-1", ((0, faulty),))

    assert spool.unsealed(1)[0].reading == faulty


# ---- damage


def test_after_a_renewal_what_still_reads_goes_on_under_its_own_number(spool, make):
    fill(spool, range(1, 11))
    mark(spool, {"E1": span(1, 6)}, generation=3)
    spool.prune(committed_before_ms=3, size_limit=EVER)
    spool.keep_unsealed("boot-1", ((7, reading(1)),))
    before = spool.books()

    spool.renew()

    assert spool.books() == before
    assert spool.corrupt_files() == 1
    fill(spool, range(11, 12))
    again = make()
    assert again.generation(STORE) == 3
    assert [u.monotonic_ms for u in again.unsealed(5)] == [7]
    assert again.books()[0].held == span(3, 11)


# ---- any sequence of steps leaves both with the same books


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5)),
        st.tuples(st.just("commit"), st.integers(1, 30)),
        st.tuples(st.just("prune"), st.integers(0, 40)),
        st.tuples(st.just("mint"), st.just(0)),
        st.tuples(st.just("renew"), st.just(0)),
    ),
    max_size=12,
)


def take(step: str, number: int, spool: Spool) -> Dropped:
    """One step on the newest epoch."""
    books = spool.books()
    match step:
        case "append":
            fill(spool, range(books[-1].next, books[-1].next + number), books[-1].epoch)
        case "commit":
            mark(spool, {books[-1].epoch: span(1, min(number, books[-1].next - 1))})
        case "prune":
            return spool.prune(committed_before_ms=number, size_limit=EVER)
        case "mint":
            spool.mint("E" * (len(books[-1].epoch) + 1 if books else 1))
        case "renew":
            spool.renew()
    return {}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=steps)
def test_the_fake_is_as_the_real_one(steps, tmp_path_factory):
    real, fake = SqliteSpool(tmp_path_factory.mktemp("spool")), FakeSpool()
    with closing(real):
        for step, number in [("mint", 0), *steps]:
            assert take(step, number, real) == take(step, number, fake)
            assert real.books() == fake.books()
