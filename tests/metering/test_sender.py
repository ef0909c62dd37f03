"""The gateway's end of the commit protocol, rule by rule (design section 5)."""

from itertools import pairwise

import pytest

from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.delivery.sender import CommitEffect, EpochBook, Lane, Sender
from metering.wire import Commit, EpochCommit, EpochHeld, Range

STORE = "heping-1"
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SMALL = 2_000  # bytes


def span(first: int, last: int) -> Ranges:
    return Ranges.span(first, last)


class Box:
    """A sender, a clock, and a link that the test holds in its hands."""

    def __init__(self, *, generation: int = 1, books=None, jitter: float = 0.5) -> None:
        self.now = 0
        self.sent_ms: dict[int, list[int]] = {}
        self.sender = Sender(
            store=STORE,
            generation=generation,
            books=books or [EpochBook(epoch="E1")],
            jitter=lambda: jitter,
        )
        self.sender.connected()

    def seal(self, count: int) -> None:
        for _ in range(count):
            present = self.sender.present
            self.sender.sealed(BatchKey(present.epoch, present.next))

    def send(self, *, size: int = SMALL, acknowledge: bool = True) -> list[BatchKey]:
        """Send whatever is due now; the broker acknowledges each at once."""
        keys = []
        while (key := self.sender.next_batch(self.now)) is not None:
            keys.append(key)
            self.sent_ms.setdefault(key.sequence, []).append(self.now)
            self.sender.sent(key, size, self.now)
            if acknowledge:
                self.sender.acknowledged(key)
        return keys

    def send_numbers(self, **options) -> list[int]:
        return [key.sequence for key in self.send(**options)]

    def commit(self, through: int, *missing: tuple[int, int], epoch: str = "E1", **other):
        word = Commit(
            v=1,
            store=other.get("store", STORE),
            generation=other.get("generation", 1),
            now_ms=0,
            epochs=(
                EpochCommit(
                    epoch=epoch, through=through, missing=tuple(Range(a, b) for a, b in missing)
                ),
            ),
        )
        return self.sender.commit(word, self.now)

    def fall_and_return(self) -> None:
        self.sender.disconnected(self.now)
        self.sender.connected()

    def lanes(self) -> dict[Lane, int]:
        on_way = [o.lane for o in self.sender._outstanding.values()]
        return {lane: on_way.count(lane) for lane in Lane}


@pytest.fixture
def box() -> Box:
    return Box()


def held_book(epoch: str, count: int, **other) -> EpochBook:
    return EpochBook(epoch=epoch, next=count + 1, held=span(1, count), **other)


# ---- rule 6: live before backlog, bounded


def test_nothing_is_sent_while_the_link_is_down(box):
    box.seal(3)
    box.sender.disconnected(box.now)

    assert box.send() == []
    assert box.sender.wake_ms() is None


def test_at_most_16_live_and_4_older_batches_are_outstanding(box):
    box.seal(100)

    sent = box.send_numbers()

    assert sent == [*range(85, 101), 84, 83, 82, 81]


def test_an_acknowledgement_of_the_broker_frees_no_slot(box):
    box.seal(16)
    box.send()
    box.seal(1)

    assert box.send(acknowledge=True) == []


def test_a_commit_frees_the_slot(box):
    box.seal(16)
    box.send()
    box.seal(1)

    box.commit(1)

    assert box.send_numbers() == [17]


def test_fresh_batches_go_before_backlog():
    box = Box(books=[held_book("E0", 50), EpochBook(epoch="E1")])
    assert box.send_numbers() == [50, 49, 48, 47]
    box.seal(1)
    assert box.send() == [BatchKey("E1", 1)]
    box.seal(2)

    box.commit(50, (1, 46), epoch="E0")

    assert box.send() == [
        *(BatchKey("E1", n) for n in (2, 3)),
        *(BatchKey("E0", n) for n in (46, 45, 44, 43)),
    ]


def test_fresh_batches_go_before_what_is_due_again(box):
    box.seal(1)
    box.send()
    box.now = box.sender.wake_ms()
    box.seal(1)

    assert box.send_numbers() == [2, 1]


def test_backlog_goes_newest_first(box):
    box.seal(100)
    box.send()

    box.commit(100, (1, 80))
    box.commit(100, (1, 80))

    assert box.send_numbers() == [*range(65, 81), 64, 63, 62, 61]


def test_backlog_of_512_kib_is_outstanding_at_most():
    box = Box()
    box.seal(100)

    sent = box.send_numbers(size=256 * 1024)

    assert sent == [*range(85, 101), 84, 83]


def test_room_for_the_largest_batch_is_kept_before_the_next_one_is_sent(box):
    box.seal(100)

    sent = box.send_numbers(size=150 * 1024)

    assert sent == [*range(85, 101), 84, 83]


def test_an_older_epoch_drains_under_its_own_number():
    box = Box(books=[held_book("E0", 3), held_book("E1", 2), EpochBook(epoch="E2")])

    keys = box.send()

    assert keys == [
        BatchKey("E1", 2),
        BatchKey("E1", 1),
        BatchKey("E0", 3),
        BatchKey("E0", 2),
    ]


def test_a_commit_of_a_later_send_proves_the_earlier_lost_and_frees_its_live_slot(box):
    box.seal(16)
    box.send()
    box.seal(16)

    box.commit(16, (1, 15))

    assert len(box.send_numbers()) == 16
    assert box.lanes() == {Lane.LIVE: 16, Lane.BACKLOG: 4, Lane.STUCK: 0}


def test_a_slow_collector_is_not_flooded(box):
    """It commits one by one, in order: what it has not answered still waits at the broker."""
    for done in range(1, 200):
        box.now += SECOND
        box.seal(3)
        box.send()
        box.commit(done)

        assert box.lanes()[Lane.LIVE] <= 16
        assert box.lanes()[Lane.BACKLOG] <= 4


def test_a_broker_that_drops_two_of_three_does_not_make_the_link_carry_more_than_its_bound(box):
    stored = Ranges()
    for second in range(600):
        box.now += SECOND
        box.seal(1)
        for number in box.send_numbers():
            if (number * 7 + second) % 3 == 0:
                stored = stored.add(number)
        missing = span(1, box.sender.present.next - 1) - stored
        box.commit(box.sender.present.next - 1, *missing.spans)

        assert sum(box.lanes().values()) <= 16 + 4 + 4


# ---- re-sending


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.5), (0.5, 1.0), (0.999, 1.499)])
def test_an_unanswered_batch_goes_again_after_30_s_doubling_to_10_min(jitter, factor):
    box = Box(jitter=jitter)
    box.seal(1)
    for _ in range(6):
        box.send()
        due = box.sender.wake_ms()
        box.now = due - 1
        assert box.send() == []
        box.now = due
    box.send()

    sent = box.sent_ms[1]
    waits = [after - before for before, after in pairwise(sent)]
    assert waits == [
        int(wait * factor) for wait in (30_000, 60_000, 120_000, 240_000, 480_000, 600_000)
    ]


def test_everything_unanswered_goes_again_on_reconnect(box):
    box.seal(3)
    box.send()

    box.fall_and_return()

    assert box.send_numbers() == [1, 2, 3]


def test_what_the_collector_misses_goes_again_at_once(box):
    box.seal(3)
    box.send()
    box.now = 6 * SECOND

    box.commit(3, (2, 2))

    assert box.send_numbers() == [2]


def test_what_is_missing_of_one_epoch_repeats_nothing_of_another():
    box = Box(books=[held_book("E0", 1), EpochBook(epoch="E1")])
    box.seal(1)
    box.send()
    box.now = 6 * SECOND

    box.commit(1, (1, 1), epoch="E0")

    assert box.send() == [BatchKey("E0", 1)]


def test_a_commit_that_may_have_crossed_the_batch_does_not_repeat_it(box):
    box.seal(3)
    box.send()
    box.now = 4_999

    box.commit(3, (2, 2))

    assert box.send() == []


@pytest.mark.usefixtures("uncounted")
def test_a_silent_collector_costs_a_bounded_number_of_sends_a_day(box):
    """A batch a second, no commit: 20 slots, each re-sent about every 10 minutes at the latest.

    With waits of 30, 60, 120, 240, 480, 600 … s, at -50 % of each, a slot sends at most
    6 + 86,400 / 300 times a day.
    """
    box = Box(jitter=0.0)
    sends = 0
    for second in range(86_400):
        box.now = second * SECOND
        box.seal(1)
        sends += len(box.send())

    assert 20 * 86_400 / 600 < sends <= 20 * (6 + 86_400 / 300)
    assert box.sender.backlog() == 86_400


def test_a_silent_collector_and_a_flapping_link_cost_a_bounded_number_of_sends_a_flap(box):
    sends = 0
    for _ in range(50):
        box.now += 10 * SECOND
        box.seal(10)
        box.fall_and_return()
        sends += len(box.send())

    assert sends <= 50 * 20


def test_fresh_batches_go_as_soon_as_the_collector_is_back_though_the_broker_lost_the_others(box):
    for second in range(3_600):
        box.now = second * SECOND
        box.seal(1)
        box.send()

    box.commit(3_600, (1, 3_600))  # it is back, has nothing, and what was outstanding is lost
    assert 3_600 not in box.sent_ms
    answered = box.send_numbers()
    box.commit(3_600, *(span(1, 3_600) - Ranges((n, n) for n in answered)).spans)

    assert set(range(3_585, 3_601)) <= set(box.send_numbers())


# ---- rule 7: poison


def test_a_batch_sent_five_times_in_an_hour_while_others_commit_is_set_aside(box):
    box.seal(1)
    for _ in range(5):
        box.now = box.sender.wake_ms() or 0
        box.send()
    box.seal(1)
    box.send()
    box.commit(2, (1, 1))
    assert len(box.sent_ms[1]) == 5

    box.now += 5 * SECOND
    box.send()

    assert box.sender.stuck == (BatchKey("E1", 1),)
    assert len(box.sent_ms[1]) == 5


def test_a_batch_sent_four_times_is_not_set_aside_yet(box):
    box.seal(1)
    for _ in range(4):
        box.now = box.sender.wake_ms() or 0
        box.send()
    box.seal(1)
    box.send()
    box.commit(2, (1, 1))

    box.now += 5 * SECOND

    assert box.send_numbers() == [1]
    assert box.sender.stuck == ()


def test_a_batch_sent_five_times_while_nothing_commits_is_not_to_blame(box):
    box.seal(1)
    for _ in range(8):
        box.send()
        box.now = box.sender.wake_ms()

    assert box.sender.stuck == ()


def test_the_same_word_said_again_is_no_commit_of_others(box):
    box.seal(1)
    box.send()
    box.commit(1)
    box.seal(1)
    for _ in range(8):
        box.send()
        box.commit(1)
        box.now = box.sender.wake_ms()

    assert box.sender.stuck == ()


def test_five_sends_in_more_than_an_hour_are_not_to_blame():
    box = Box(books=[held_book("E0", 1), EpochBook(epoch="E1")])
    for _ in range(6):
        box.seal(1)
        box.send()
        box.commit(box.sender.present.next - 1)
        box.sender.disconnected(box.now)
        box.now += 18 * MINUTE
        box.sender.connected()
    box.send()

    box.now = box.sender.wake_ms()

    assert box.send() == [BatchKey("E0", 1)]
    assert box.sender.stuck == ()


def stuck_box() -> Box:
    box = Box()
    box.seal(1)
    for _ in range(5):
        box.send()
        box.now = box.sender.wake_ms()
    box.seal(1)
    box.send()
    box.commit(2, (1, 1))
    box.now += 30 * MINUTE
    box.send()
    assert box.sender.stuck == (BatchKey("E1", 1),)
    return box


def test_a_stuck_batch_is_tried_once_a_day():
    box = stuck_box()
    tries = box.sent_ms[1][:]
    start = box.now
    for minute in range(3 * 24 * 60):
        box.now = start + minute * MINUTE
        box.send()

    later = box.sent_ms[1][len(tries) :]
    assert len(later) == 2
    assert later[1] - later[0] == pytest.approx(DAY, abs=MINUTE)


def test_a_commit_frees_a_stuck_batch():
    box = stuck_box()

    box.commit(2)

    assert box.sender.stuck == ()
    assert box.sender.backlog() == 0


def test_a_stuck_batch_takes_no_live_slot():
    box = stuck_box()
    box.seal(16)

    assert box.send_numbers() == list(range(3, 19))


def test_a_stuck_batch_takes_no_place_in_the_live_window(box):
    box.seal(17)
    box.sender._stuck[BatchKey("E1", 17)] = DAY

    assert box.send_numbers() == list(range(1, 17))
    assert box.lanes() == {Lane.LIVE: 16, Lane.BACKLOG: 0, Lane.STUCK: 0}


def test_stuck_batches_are_tried_few_at_once():
    box = Box(books=[held_book("E0", 60), EpochBook(epoch="E1")])
    for sequence in range(1, 61):
        box.sender._stuck[BatchKey("E0", sequence)] = DAY
    box.now = DAY

    assert len(box.send()) == 4
    assert box.sender.wake_ms() > box.now  # nothing else to be done until one of them is answered


def test_a_batch_that_breaks_the_link_twice_the_second_time_alone_is_set_aside(box):
    box.seal(3)
    box.send(acknowledge=False)
    box.fall_and_return()

    alone = box.send(acknowledge=False)
    assert alone == [BatchKey("E1", 1)]
    box.fall_and_return()

    assert box.send()[0] == BatchKey("E1", 2)
    assert box.sender.stuck == (BatchKey("E1", 1),)


def test_a_batch_that_fell_with_others_is_not_blamed_again_in_their_company(box):
    box.seal(1)
    box.send(acknowledge=False)
    box.fall_and_return()
    box.send(acknowledge=False)
    box.sender.acknowledged(BatchKey("E1", 1))
    box.seal(2)
    box.send(acknowledge=False)
    box.fall_and_return()

    box.send()

    assert box.sender.stuck == ()


def test_suspects_travel_one_by_one_and_the_rest_follows(box):
    box.seal(3)
    box.send(acknowledge=False)
    box.fall_and_return()
    box.seal(2)
    order = []
    for _ in range(3):
        keys = box.send(acknowledge=False)
        assert len(keys) == 1
        order.append(keys[0].sequence)
        box.sender.acknowledged(keys[0])

    assert order == [1, 2, 3]
    assert box.send_numbers() == [4, 5]


def test_what_the_broker_acknowledged_is_no_suspect(box):
    box.seal(3)
    box.send(acknowledge=True)
    box.fall_and_return()

    assert box.send_numbers(acknowledge=False) == [1, 2, 3]


def test_a_suspect_that_the_broker_acknowledged_is_cleared(box):
    box.seal(1)
    box.send(acknowledge=False)
    box.fall_and_return()
    box.send(acknowledge=True)
    box.fall_and_return()
    box.send(acknowledge=False)
    box.fall_and_return()

    box.send()

    assert box.sender.stuck == ()


def test_a_suspect_that_comes_back_into_the_live_window_waits_its_turn(box):
    box.seal(20)
    box.send(acknowledge=False)
    box.sender.disconnected(box.now)
    box.seal(16)
    box.sender.connected()
    box.send(acknowledge=False)

    box.commit(36, (1, 20), (22, 36))  # 20 is among the newest 16 again

    assert box.send() == []
    for number in range(22, 37):
        box.sender.acknowledged(BatchKey("E1", number))
    assert box.send_numbers(acknowledge=False) == [20]


def test_what_was_sent_long_before_the_fall_is_no_suspect(box):
    box.seal(3)
    box.send(acknowledge=False)
    box.now = 5 * SECOND
    box.fall_and_return()

    assert box.send_numbers(acknowledge=False) == [1, 2, 3]


def test_a_suspect_that_nobody_acknowledges_does_not_block_the_rest(box):
    """Once the link outlived it, it did not break the link."""
    box.seal(3)
    box.send(acknowledge=False)
    box.fall_and_return()
    assert box.send_numbers(acknowledge=False) == [1]
    assert box.sender.wake_ms() == 5 * SECOND

    box.now = 5 * SECOND

    assert box.send_numbers(acknowledge=False) == [2]


def test_suspects_that_became_old_keep_the_bounds_of_the_backlog(box):
    box.seal(100)
    box.send(acknowledge=False)
    box.sender.disconnected(box.now)
    box.seal(40)
    box.sender.connected()

    box.send(acknowledge=True)

    assert box.lanes() == {Lane.LIVE: 16, Lane.BACKLOG: 4, Lane.STUCK: 0}


def test_an_old_suspect_waits_until_nothing_else_can_be_blamed(box):
    box.seal(20)
    box.send(acknowledge=False)
    box.sender.disconnected(box.now)
    box.seal(16)
    box.sender.connected()

    fresh = box.send_numbers(acknowledge=False)

    assert fresh == list(range(21, 37))
    for number in fresh:
        box.sender.acknowledged(BatchKey("E1", number))
    assert box.send_numbers(acknowledge=False) == [20]


# ---- rules 3 and 5: what a commit says


def test_the_word_of_another_store_is_ignored(box):
    box.seal(3)
    box.send()

    effect = box.commit(3, store="other", generation=9)

    assert effect is CommitEffect.FOREIGN
    assert box.sender.backlog() == 3
    assert box.sender.generation == 1


def test_the_word_of_an_older_generation_is_ignored():
    box = Box(generation=2)
    box.seal(3)
    box.send()

    effect = box.commit(3, generation=1)

    assert effect is CommitEffect.STALE
    assert box.sender.backlog() == 3


def test_commits_only_add(box):
    box.seal(3)
    box.send()
    assert box.commit(3) is CommitEffect.ADVANCED

    effect = box.commit(3, (1, 3))

    assert effect is CommitEffect.KNOWN
    assert box.sender.backlog() == 0


def test_a_new_generation_sends_again_what_is_held_as_backlog():
    box = Box()
    box.seal(100)
    while box.send():
        box.commit(100)
    assert box.sender.backlog() == 0

    effect = box.commit(100, (21, 100), generation=2)

    assert effect is CommitEffect.REWOUND
    assert box.sender.generation == 2
    assert box.sender.backlog() == 80
    assert box.send_numbers() == [*range(85, 101), 84, 83, 82, 81]


def test_what_another_store_committed_goes_to_a_store_never_heard_of():
    box = Box(generation=0, books=[held_book("E1", 3, committed=span(1, 3))])

    assert box.send_numbers() == [1, 2, 3]
    assert box.commit(3, generation=1) is CommitEffect.ADVANCED
    assert box.sender.generation == 1


def test_the_first_word_of_a_store_is_no_rewinding():
    box = Box(generation=0)
    box.seal(3)
    box.send()

    assert box.commit(2, generation=7) is CommitEffect.ADVANCED
    assert box.sender.generation == 7
    assert box.sender.backlog() == 1


def test_a_commit_leaves_the_batches_on_disk(box):
    box.seal(3)
    box.send()
    box.commit(3)

    assert box.sender.present.held == span(1, 3)
    assert box.sender.held() == (EpochHeld(epoch="E1", oldest=1, next=4),)


def test_a_batch_committed_while_its_bytes_were_loaded_is_not_waited_for(box):
    box.seal(1)
    box.send()
    box.now = box.sender.wake_ms()
    key = box.sender.next_batch(box.now)
    box.commit(1)

    box.sender.sent(key, SMALL, box.now)

    assert box.sender.wake_ms() is None
    box.now += HOUR
    assert box.send() == []


def test_a_batch_dropped_while_its_bytes_were_loaded_is_not_waited_for(box):
    box.seal(1)
    key = box.sender.next_batch(box.now)
    box.sender.dropped("E1", span(1, 1))

    box.sender.sent(key, SMALL, box.now)

    assert box.sender.wake_ms() is None


# ---- rule 1: epochs and forks


def test_a_commit_that_reaches_the_next_sequence_is_a_fork(box):
    box.seal(3)

    assert box.commit(4) is CommitEffect.FORKED
    assert box.sender.forks == 1


def test_a_fork_is_reported_once(box):
    box.seal(3)
    box.commit(4)

    assert box.commit(5) is not CommitEffect.FORKED
    assert box.sender.forks == 1


def test_a_sequence_not_sealed_yet_is_never_committed(box):
    box.seal(3)
    box.send()
    box.commit(10)
    box.sender.minted("E2")

    assert not box.sender.books[0].committed & span(4, 10)


def test_of_a_forked_epoch_only_an_answer_to_what_was_sent_is_believed(box):
    box.seal(20)
    box.send()
    box.now = 4 * SECOND
    box.seal(1)
    box.now = 6 * SECOND

    box.commit(30)

    # 21 was never sent: the word about it is the other box's.
    assert box.sender.books[0].uncommitted() == span(21, 21)


def test_of_a_forked_epoch_a_commit_that_may_have_crossed_the_batch_is_not_believed(box):
    box.seal(3)
    box.send()
    box.now = 4_999

    box.commit(30)

    assert box.sender.backlog() == 3


def test_after_a_fork_a_new_epoch_goes_on_and_the_former_drains(box):
    box.seal(3)
    box.commit(4)
    box.sender.minted("E2")
    box.seal(1)

    assert box.send() == [
        BatchKey("E2", 1),
        BatchKey("E1", 3),
        BatchKey("E1", 2),
        BatchKey("E1", 1),
    ]


def test_a_fork_of_a_past_epoch_asks_for_no_new_one():
    """A restored disk image: the old epoch went on after the image was taken."""
    box = Box(books=[held_book("E0", 3), EpochBook(epoch="E1")])

    effect = box.commit(100, epoch="E0")

    assert effect is CommitEffect.KNOWN
    assert box.sender.forks == 0
    assert [key.epoch for key in box.send()] == ["E0", "E0", "E0"]


def test_an_unknown_epoch_in_a_commit_is_not_ours(box):
    assert box.commit(7, epoch="E9") is CommitEffect.KNOWN


# ---- rule 4: what the state says


def test_the_state_tells_dropped_from_released():
    book = EpochBook(epoch="E1", next=11, held=span(1, 10), committed=span(4, 5))
    box = Box(books=[book])

    box.sender.dropped("E1", span(1, 1) | span(4, 6))

    assert box.sender.held() == (
        EpochHeld(
            epoch="E1",
            oldest=2,
            next=11,
            dropped=(Range(1, 1), Range(6, 6)),
            released=(Range(4, 5),),
        ),
    )


def test_a_dropped_batch_is_not_sent_and_blocks_no_slot(box):
    box.seal(16)
    box.send()

    box.sender.dropped("E1", span(1, 16))
    box.seal(1)

    assert box.send_numbers() == [17]


def test_a_past_epoch_is_named_until_its_losses_are_known():
    box = Box(books=[held_book("E0", 3), EpochBook(epoch="E1")])
    box.sender.dropped("E0", span(1, 3))

    assert [held.epoch for held in box.sender.held()] == ["E0", "E1"]
    box.commit(2, epoch="E0")
    box.commit(3, (2, 2), epoch="E0")
    assert [held.epoch for held in box.sender.held()] == ["E0", "E1"]
    box.commit(3, epoch="E0")
    assert [held.epoch for held in box.sender.held()] == ["E1"]


def test_a_past_epoch_of_which_something_is_held_is_not_retired():
    box = Box(books=[held_book("E0", 3), EpochBook(epoch="E1")])

    box.commit(3, epoch="E0")

    assert [held.epoch for held in box.sender.held()] == ["E0", "E1"]


def test_the_present_epoch_is_named_though_nothing_is_held(box):
    assert box.sender.held() == (EpochHeld(epoch="E1", oldest=1, next=1),)


def test_dropping_from_an_epoch_that_was_retired_meanwhile_is_no_error(box):
    box.sender.dropped("E0", span(1, 3))

    assert [book.epoch for book in box.sender.books] == ["E1"]


def test_a_snapshot_does_not_change_while_the_sender_goes_on(box):
    box.seal(2)
    snapshot = box.sender.snapshot()

    box.seal(1)
    box.commit(1)

    assert snapshot[0].next == 3
    assert not snapshot[0].committed


def test_what_may_have_crossed_goes_again_once_it_cannot_have(box):
    box.seal(3)
    box.send()
    box.now = SECOND
    box.commit(3, (2, 2))

    assert box.sender.wake_ms() == 5 * SECOND
    box.now = 5 * SECOND
    assert box.send_numbers() == [2]


def test_a_collector_that_passes_over_what_was_sent_long_ago_should_be_told_what_is_held(box):
    def unheard(through: int) -> bool:
        epochs = (EpochCommit(epoch="E1", through=through),)
        word = Commit(v=1, store=STORE, generation=1, now_ms=0, epochs=epochs)
        return box.sender.is_unheard(word, box.now)

    box.seal(2)
    box.send()
    assert not unheard(through=1)

    box.now = 5 * SECOND

    assert unheard(through=1)
    assert not unheard(through=2)


def test_a_commit_that_comes_while_a_batch_is_being_loaded_keeps_its_slot_free() -> None:
    sender = Sender(store="s", generation=1, books=[EpochBook(epoch="E")], jitter=lambda: 0.5)
    sender.connected()
    sender.sealed(BatchKey("E", 1))
    key = sender.next_batch(0)
    assert key is not None

    commit = Commit(
        v=1, store="s", generation=1, now_ms=0, epochs=(EpochCommit(epoch="E", through=1),)
    )
    sender.commit(commit, 1)
    sender.sent(key, 100, 2)

    assert sender.wake_ms() is None
    assert sender.next_batch(10**9) is None
