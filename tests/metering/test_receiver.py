"""The collector's end of the commit protocol, rule by rule (design section 5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.delivery.receiver import EpochLedger, Fate, Receiver
from metering.wire import EpochCommit, EpochHeld, Range

GATEWAY = "gw-e001"


def span(first: int, last: int) -> Ranges:
    return Ranges.span(first, last)


def held(epoch: str = "E1", *, oldest: int, following: int, dropped=(), released=()) -> EpochHeld:
    return EpochHeld(
        epoch=epoch,
        oldest=oldest,
        next=following,
        dropped=tuple(Range(a, b) for a, b in dropped),
        released=tuple(Range(a, b) for a, b in released),
    )


@pytest.fixture
def receiver() -> Receiver:
    return Receiver({})


def store(receiver: Receiver, *sequences: int, epoch: str = "E1") -> None:
    keys = [BatchKey(epoch, n) for n in sequences]
    for key in keys:
        receiver.heard(GATEWAY, key)
    receiver.keep(GATEWAY, receiver.recorded(GATEWAY, keys))


def state(receiver: Receiver, *epochs: EpochHeld, retained: bool = False):
    changed = receiver.stated(GATEWAY, epochs, retained=retained)
    receiver.keep(GATEWAY, changed)
    return changed


def answers(receiver: Receiver) -> tuple[EpochCommit, ...]:
    return receiver.commit_for(GATEWAY, store="heping-1", generation=3, now_ms=7).epochs


def answer(receiver: Receiver) -> tuple[int, list[tuple[int, int]]]:
    (epoch,) = answers(receiver)
    return epoch.through, [(r.first, r.last) for r in epoch.missing]


# ---- rule 2: identity


def test_a_delivery_is_stored_skipped_or_a_fork_by_its_digest():
    assert Receiver.fate("a", ()) is Fate.STORE
    assert Receiver.fate("a", {"a", "b"}) is Fate.SKIP
    assert Receiver.fate("c", {"a", "b"}) is Fate.FORK


# ---- rule 3: a commit says only what this collector knows


def test_a_commit_names_store_generation_and_time(receiver):
    word = receiver.commit_for(GATEWAY, store="heping-1", generation=3, now_ms=7)

    assert (word.v, word.store, word.generation, word.now_ms, word.epochs) == (
        1,
        "heping-1",
        3,
        7,
        (),
    )


def test_what_is_recorded_is_committed_and_the_rest_is_missing(receiver):
    store(receiver, 1, 2, 5)

    assert answer(receiver) == (5, [(3, 4)])


def test_recording_changes_nothing_before_it_is_durable(receiver):
    receiver.heard(GATEWAY, BatchKey("E1", 1))
    receiver.recorded(GATEWAY, [BatchKey("E1", 1)])

    assert answers(receiver) == ()


def test_a_state_makes_missing_what_was_never_delivered(receiver):
    state(receiver, held(oldest=1, following=4))

    assert answer(receiver) == (3, [(1, 3)])


def test_a_repeat_of_an_unnamed_epoch_is_answered(receiver):
    """The gateway sends an old epoch's batch; it is stored already; it must hear so."""
    store(receiver, 1)
    state(receiver, held("E2", oldest=1, following=1))
    assert [epoch.epoch for epoch in answers(receiver)] == ["E2"]

    receiver.heard(GATEWAY, BatchKey("E1", 1))

    assert [epoch.epoch for epoch in answers(receiver)] == ["E1", "E2"]


def test_one_gateways_word_is_not_anothers(receiver):
    store(receiver, 1)

    assert receiver.commit_for("gw-other", store="s", generation=1, now_ms=0).epochs == ()
    assert receiver.gateways == (GATEWAY,)


def test_at_most_256_ranges_are_missing_and_through_is_lowered(receiver):
    store(receiver, *range(2, 2_002, 2))  # 1, 3, 5, … are missing: 1,000 ranges

    through, missing = answer(receiver)

    assert len(missing) == 256
    assert missing[-1] == (511, 511)
    assert through == 512


def test_256_ranges_do_not_lower_through(receiver):
    store(receiver, *range(2, 514, 2))

    through, missing = answer(receiver)

    assert (len(missing), through) == (256, 512)


def test_a_ledger_survives_a_restart(receiver):
    store(receiver, 1, 3)

    again = Receiver({(GATEWAY, "E1"): receiver.ledger(GATEWAY, "E1")})
    again.heard(GATEWAY, BatchKey("E1", 1))

    assert answer(again) == (3, [(2, 2)])


# ---- rule 4: gaps nobody can fill


def test_what_the_gateway_dropped_is_lost_and_what_it_let_go_of_is_released(receiver):
    state(receiver, held(oldest=6, following=11, dropped=[(2, 3)]))

    ledger = receiver.ledger(GATEWAY, "E1")
    assert ledger.lost == span(2, 3)
    assert ledger.released == span(1, 1) | span(4, 5)
    assert answer(receiver) == (10, [(6, 10)])


def test_what_was_released_above_the_oldest_is_said_by_the_state(receiver):
    state(receiver, held(oldest=1, following=11, dropped=[(4, 4)], released=[(5, 6)]))

    assert answer(receiver) == (10, [(1, 3), (7, 10)])
    assert receiver.ledger(GATEWAY, "E1").released == span(5, 6)


def test_what_is_stored_is_neither_lost_nor_released(receiver):
    store(receiver, 1, 2)
    state(receiver, held(oldest=4, following=5, dropped=[(2, 3)]))

    ledger = receiver.ledger(GATEWAY, "E1")
    assert (ledger.stored, ledger.lost, ledger.released) == (span(1, 2), span(3, 3), Ranges())


def test_a_later_arrival_makes_the_lost_and_the_released_stored(receiver):
    state(receiver, held(oldest=3, following=4, dropped=[(1, 1)]))

    store(receiver, 1, 2)

    ledger = receiver.ledger(GATEWAY, "E1")
    assert (ledger.stored, ledger.lost, ledger.released) == (span(1, 2), Ranges(), Ranges())


def test_what_the_gateway_holds_after_all_is_no_longer_lost_nor_released(receiver):
    state(receiver, held(oldest=4, following=5, dropped=[(1, 2)]))

    state(receiver, held(oldest=1, following=5))

    ledger = receiver.ledger(GATEWAY, "E1")
    assert (ledger.lost, ledger.released) == (Ranges(), Ranges())
    assert answer(receiver) == (4, [(1, 4)])


def test_what_was_released_and_turns_out_dropped_is_lost_only(receiver):
    state(receiver, held(oldest=4, following=5))
    assert receiver.ledger(GATEWAY, "E1").released == span(1, 3)

    state(receiver, held(oldest=4, following=5, dropped=[(1, 2)]))

    ledger = receiver.ledger(GATEWAY, "E1")
    assert (ledger.lost, ledger.released) == (span(1, 2), span(3, 3))


def test_an_epoch_no_longer_named_is_closed_and_its_gaps_are_lost(receiver):
    state(receiver, held(oldest=1, following=4))
    store(receiver, 2)

    state(receiver, held("E2", oldest=1, following=1))

    ledger = receiver.ledger(GATEWAY, "E1")
    assert (ledger.lost, ledger.named) == (span(1, 1) | span(3, 3), False)
    assert [epoch.epoch for epoch in answers(receiver)] == ["E2"]


def test_an_epoch_is_closed_once(receiver):
    state(receiver, held(oldest=1, following=4))
    state(receiver, held("E2", oldest=1, following=1))

    assert state(receiver, held("E2", oldest=1, following=1)) == {}


def test_a_closed_epoch_that_is_named_again_is_open_again(receiver):
    state(receiver, held(oldest=1, following=4))
    state(receiver, held("E2", oldest=1, following=1))

    state(receiver, held(oldest=1, following=4))

    assert receiver.ledger(GATEWAY, "E1").lost == Ranges()
    assert answer(receiver) == (3, [(1, 3)])


def test_a_state_from_the_brokers_memory_closes_nothing(receiver):
    """It may be older than the batches of a new epoch that came before it."""
    store(receiver, 2, epoch="E2")

    state(receiver, held("E1", oldest=1, following=4), retained=True)

    assert receiver.ledger(GATEWAY, "E2").lost == Ranges()
    assert [epoch.epoch for epoch in answers(receiver)] == ["E1", "E2"]


def test_a_live_state_ends_the_answers_to_epochs_that_it_does_not_name(receiver):
    store(receiver, 1, epoch="E0")
    assert [epoch.epoch for epoch in answers(receiver)] == ["E0"]

    state(receiver, held("E1", oldest=1, following=1))

    assert [epoch.epoch for epoch in answers(receiver)] == ["E1"]


def test_a_state_that_says_nothing_new_changes_no_ledger(receiver):
    state(receiver, held(oldest=1, following=4))

    assert state(receiver, held(oldest=1, following=4)) == {}


def test_an_older_state_does_not_lower_what_was_sealed(receiver):
    state(receiver, held(oldest=1, following=9))

    state(receiver, held(oldest=1, following=4))

    assert answer(receiver) == (8, [(1, 8)])


# ---- rule 5: the store lost something


def test_what_the_store_lost_is_wanted_again():
    ledger = EpochLedger(stored=span(1, 10), released=span(11, 12), lost=span(13, 13), named=True)

    without = ledger.without(span(8, 12))

    assert without.stored == span(1, 7)
    assert without.missing() == span(8, 12)
    assert without.through() == 13


def test_the_end_of_what_the_store_lost_is_not_forgotten():
    ledger = EpochLedger(stored=span(1, 10), named=True)

    assert ledger.without(span(1, 10)).missing() == span(1, 10)


# ---- the algebra


numbers = st.integers(1, 12)
spans = st.lists(st.tuples(numbers, numbers), max_size=3).map(
    lambda pairs: tuple(Range(min(p), max(p)) for p in pairs)
)
steps = st.lists(
    st.one_of(
        st.builds(
            lambda oldest, following, dropped, released: EpochHeld(
                epoch="E1", oldest=oldest, next=following, dropped=dropped, released=released
            ),
            numbers,
            numbers,
            spans,
            spans,
        ),
        st.sets(numbers).map(lambda found: Ranges((n, n) for n in found)),
        st.just("closed"),
    ),
    max_size=8,
)


def apply(ledger: EpochLedger, step) -> EpochLedger:
    if isinstance(step, EpochHeld):
        return ledger.with_held(step)
    if isinstance(step, Ranges):
        return ledger.with_stored(step)
    return ledger.closed()


@given(steps=steps)
def test_a_sequence_is_stored_lost_released_or_missing_and_never_two_of_these(steps):
    ledger = EpochLedger()
    stored = Ranges()
    for step in steps:
        ledger = apply(ledger, step)
        stored = stored | step if isinstance(step, Ranges) else stored

        parts = (ledger.stored, ledger.lost, ledger.released, ledger.missing())
        assert sum(len(part) for part in parts) == ledger.through()
        assert ledger.stored == stored
