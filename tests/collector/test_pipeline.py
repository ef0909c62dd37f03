"""The hot path: store, record, PUBACK, commit; and whatever dies in between changes nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from collector.adapters.sql import SqlSmallState, StateAway
from collector.alerting.alert import Transition
from collector.alerting.rule import Rule
from collector.marks import take
from collector.settle.cells import DAY_MS, day_start_ms
from collector.store import (
    LAST_AT_MS,
    Refusal,
    Rejection,
    Row,
    StoreAway,
    StoreRefused,
    WriteOutcome,
)
from link.mqtt import Delivery
from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.reading import Reading
from metering.wire import EpochHeld, Range, encode
from tests.fakes.alerting import threshold
from tests.fakes.centre import Centre
from tests.fakes.link import EPOCH, GATEWAY, SEALED_MS, batch, delivered, link_word, stated
from tests.fakes.store import FakeReadingStore

OTHER_EPOCH = "01JD0000000000000000000001"
HOT = threshold()


def reading(minute: int, kilowatts: float = 100.0, meter: str = "e001-main") -> Reading:
    at_ms = SEALED_MS - 600_000 + minute * 60_000
    return Reading(meter=meter, at_ms=at_ms, values={"active_power_kw": kilowatts})


def sent(sequence: int, *readings: Reading, gateway: str = GATEWAY) -> Delivery:
    """Batch `sequence` as it comes, with one reading of its own unless others are given."""
    return delivered(batch(*(readings or (reading(sequence),)), sequence=sequence, gateway=gateway))


class Killed(BaseException):
    """The process ends here, as kill -9 would end it."""


class Journal:
    """What happened, in order; at step `killed_at` (from 0) the process dies instead."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.killed_at: int | None = None

    def step(self, what: str) -> None:
        if len(self.steps) == self.killed_at:
            raise Killed(what)
        self.steps.append(what)


class JournalledStore(FakeReadingStore):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    def write(
        self,
        rows: Sequence[Row],
        rejections: Sequence[Rejection] = (),
        *,
        overlapping: bool = False,
    ) -> WriteOutcome:
        self.journal.step("store")
        outcome = super().write(rows, rejections, overlapping=overlapping)
        self.journal.step("stored")
        return outcome


class JournalledState(SqlSmallState):
    def __init__(self, journal: Journal) -> None:
        super().__init__("sqlite://")
        self.journal = journal

    def record(self, record):
        self.journal.step("record")
        super().record(record)
        self.journal.step("recorded")


class JournalledCentre(Centre):
    """Tells each step, and dies at one of them."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.journal = Journal()
        super().__init__(
            store=JournalledStore(self.journal), state=JournalledState(self.journal), rules=rules
        )

    def restart(self) -> None:
        super().restart()
        publish = self.answers.publish

        def told(topics):
            self.journal.step("commit")
            publish(topics)

        self.answers.publish = told

    def take(self, *group: Delivery) -> None:
        def acknowledge(one: Delivery) -> None:
            self.journal.step("PUBACK")
            self.link.acknowledge(one)

        self.pipeline.ingest(group, acknowledge)


@pytest.fixture
def centre() -> Iterator[Centre]:
    with closing(Centre(rules=[HOT])) as made:
        yield made


# -- the order ---------------------------------------------------------------------------------


def test_store_then_record_then_puback_then_commit() -> None:
    with closing(JournalledCentre()) as centre:
        centre.take(sent(1), sent(2))

        assert centre.journal.steps == [
            "store",
            "stored",
            "record",
            "recorded",
            "PUBACK",
            "PUBACK",
            "commit",
        ]


def test_a_group_is_stored_in_one_write_and_answered_once_per_gateway(centre: Centre) -> None:
    centre.take(sent(1), sent(2), sent(1, reading(1, meter="a001-main"), gateway="gw-a001"))

    assert centre.store.writes == [3]
    assert len(centre.link.commits(GATEWAY)) == len(centre.link.commits("gw-a001")) == 1


def test_a_commit_says_what_is_stored_and_what_is_missing(centre: Centre) -> None:
    centre.take(sent(1), sent(4))

    (commit,) = centre.link.commits()
    (epoch,) = commit.epochs
    assert (commit.store, commit.generation, commit.now_ms) == (
        "heping-1",
        1,
        centre.clock.now_ms(),
    )
    assert (epoch.epoch, epoch.through, epoch.missing) == (EPOCH, 4, (Range(2, 3),))


def test_commits_are_retained_and_go_only_to_gateways_that_spoke(centre: Centre) -> None:
    centre.take(sent(1))
    centre.take(sent(1, reading(1, meter="a001-main"), gateway="gw-a001"))

    assert [(one.topic, one.retain) for one in centre.link.said] == [
        ("nenghao/1/120101/gw-e001/commit", True),
        ("nenghao/1/120101/gw-a001/commit", True),
    ]


# -- what comes again --------------------------------------------------------------------------


def test_a_repeat_is_answered_and_neither_stored_nor_recorded_again(centre: Centre) -> None:
    first = sent(1)
    centre.take(first)

    centre.take(first, first)

    assert centre.store.writes == [1]
    assert centre.count("repeated_batches") == 2
    assert len(centre.link.acknowledged) == 3
    assert len(centre.link.commits()) == 2


def test_a_batch_twice_in_one_group_is_stored_once(centre: Centre) -> None:
    first = sent(1)

    centre.take(first, first)

    assert centre.store.writes == [1]
    assert centre.count("repeated_batches") == 1


def test_a_repeat_whose_digest_was_forgotten_is_stored_anew_and_changes_nothing(
    centre: Centre,
) -> None:
    centre.take(sent(1))
    centre.state.forget_before(centre.clock.now_ms() + 1)

    centre.take(sent(1))

    assert len(centre.store.rows) == 1
    assert centre.count("forks") == 0


@pytest.mark.parametrize("together", [True, False])
def test_other_bytes_under_the_same_sequence_are_stored_too_and_counted(
    centre: Centre, together: bool
) -> None:
    mine, theirs = sent(1, reading(1)), sent(1, reading(2))

    for group in [(mine, theirs)] if together else [(mine,), (theirs,)]:
        centre.take(*group)

    assert len(centre.store.rows) == 2
    assert centre.count("forks") == 1
    digests = centre.state.digests([(GATEWAY, BatchKey(EPOCH, 1))])
    assert {len(found) for found in digests.values()} == {2}


def test_the_store_is_told_that_a_forks_rows_may_meet_others() -> None:
    told: list[bool] = []

    class Listening(FakeReadingStore):
        def write(self, rows, rejections=(), *, overlapping=False):
            told.append(overlapping)
            return super().write(rows, rejections, overlapping=overlapping)

    with closing(Centre(store=Listening())) as centre:
        centre.take(sent(1, reading(1)))
        centre.take(sent(1, reading(1, 200.0)))

        assert told == [False, True]
        assert centre.count("rejected_values/conflict") == 1


# -- kill -9, anywhere -------------------------------------------------------------------------


def everything(centre: Centre) -> tuple[object, ...]:
    log = centre.state.alert_log
    alerts = [timeless(one) for one in log.last_steps(99)], log.judged()
    kept = [(entry.key, entry.reason, entry.payload) for entry in centre.state.quarantine(99)]
    return dict(centre.store.rows), centre.state.ledgers(), alerts, kept, marked(centre)


def timeless(step: Transition) -> Transition:
    """Without what depends on when the collector came to it."""
    return structs.replace(step, alert=structs.replace(step.alert, moved_ms=0))


def what_holds_always(centre: JournalledCentre, deliveries: dict[int, Delivery]) -> None:
    """Nothing acknowledged that is not recorded, nothing committed that is not stored."""
    acknowledged = {id(one) for one in centre.link.acknowledged}
    recorded = centre.state.digests(
        [(GATEWAY, BatchKey(EPOCH, sequence)) for sequence in deliveries]
    )
    for sequence, one in deliveries.items():
        if id(one) in acknowledged:
            assert (GATEWAY, BatchKey(EPOCH, sequence)) in recorded
    for commit in centre.link.commits():
        for epoch in commit.epochs:
            said = Ranges.span(1, epoch.through) - Ranges.from_wire(epoch.missing)
            for sequence in said.ascending():
                at_ms = reading(sequence).at_ms
                poisoned = sequence % 5 == 0
                assert poisoned or ("e001-main", at_ms) in centre.store.rows


def world(count: int) -> dict[int, Delivery]:
    """Batches that fire and resolve, and every fifth one unreadable."""
    deliveries = {}
    for sequence in range(1, count + 1):
        kilowatts = 600.0 if sequence % 3 == 0 else 100.0
        one = sent(sequence, reading(sequence, kilowatts))
        if sequence % 5 == 0:
            bad = delivered(batch(sequence=sequence, epoch=OTHER_EPOCH))
            one = structs.replace(bad, properties=bad.properties | {"epoch": EPOCH})
        deliveries[sequence] = one
    return deliveries


@pytest.mark.usefixtures("uncounted")
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_wherever_it_is_killed_what_comes_again_changes_nothing(data: st.DataObject) -> None:
    deliveries = world(9)
    cuts = data.draw(st.lists(st.integers(1, 4), min_size=3, max_size=9), label="group sizes")
    kills = data.draw(st.lists(st.integers(0, 14), max_size=6), label="steps until each kill")

    with closing(JournalledCentre([HOT])) as whole, closing(JournalledCentre([HOT])) as torn:
        whole.take(*deliveries.values())
        waiting = list(deliveries.values())
        while waiting:
            size = cuts[len(torn.journal.steps) % len(cuts)]
            torn.journal.killed_at = len(torn.journal.steps) + kills.pop() if kills else None
            try:
                torn.take(*waiting[:size])
            except Killed:
                torn.restart()
            what_holds_always(torn, deliveries)
            acknowledged = {id(one) for one in torn.link.acknowledged}
            waiting = [one for one in waiting if id(one) not in acknowledged]

        assert everything(torn) == everything(whole)


@pytest.mark.parametrize("killed_at", range(7))
def test_each_step_killed_in_turn(killed_at: int) -> None:
    first, second = sent(1, reading(1, 600.0)), sent(2)
    with closing(JournalledCentre([HOT])) as whole, closing(JournalledCentre([HOT])) as torn:
        whole.take(first, second)
        torn.journal.killed_at = killed_at

        with pytest.raises(Killed):
            torn.take(first, second)
        acknowledged = len(torn.link.acknowledged)
        torn.journal.killed_at = None
        torn.restart()
        torn.take(first, second)

        assert acknowledged == max(0, killed_at - 4)
        assert everything(torn) == everything(whole)
        assert torn.link.commits()[-1].epochs == whole.link.commits()[-1].epochs


# -- something is away -------------------------------------------------------------------------


class Moody:
    """Fails as often as told, then works."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures

    def answer(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


class MoodyStore(FakeReadingStore, Moody):
    def __init__(self, *failures: Exception) -> None:
        FakeReadingStore.__init__(self)
        Moody.__init__(self, list(failures))

    def write(self, rows, rejections=(), *, overlapping=False):
        self.answer()
        return super().write(rows, rejections, overlapping=overlapping)


class MoodyState(SqlSmallState, Moody):
    """`record` and `digests` fail; each in its turn."""

    def __init__(self, *, records: int = 0, digests: int = 0) -> None:
        super().__init__("sqlite://")
        self.records = Moody([StateAway("the disk is full")] * records)
        self.lookups = Moody([StateAway("the disk is full")] * digests)

    def record(self, record):
        self.records.answer()
        super().record(record)

    def digests(self, keys):
        self.lookups.answer()
        return super().digests(keys)


def away(times: int) -> Callable[[], Centre]:
    return lambda: Centre(store=MoodyStore(*[StoreAway("no route to the store")] * times))


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (away(4), "store"),
        (lambda: Centre(state=MoodyState(records=4)), "record"),
    ],
)
def test_while_a_part_is_away_all_is_held_and_it_is_said_once(
    make: Callable[[], Centre], part: str
) -> None:
    with closing(make()) as centre, structlog.testing.capture_logs() as logs:
        seen: list[tuple[int, int, list[str]]] = []
        centre.stopping.on_pause = lambda: seen.append(
            (len(centre.link.acknowledged), len(centre.link.said), list(centre.patience.down))
        )

        centre.take(sent(1), sent(2))

        assert seen == [(0, 0, [part])] * 4
        assert centre.stopping.pauses == [0.25, 0.5, 1.0, 2.0]
        assert [entry["event"] for entry in logs] == ["part.down", "part.back"]
        assert centre.patience.down == {}
        assert len(centre.link.acknowledged) == 2
        assert len(centre.store.rows) == 2


def test_a_small_state_that_is_away_when_a_repeat_is_looked_up_is_waited_for() -> None:
    state = MoodyState(digests=3)
    with closing(Centre(state=state)) as centre:
        first = sent(1)
        centre.take(first)

        centre.take(first)

        assert len(centre.stopping.pauses) == 3
        assert centre.count("repeated_batches") == 1
        assert len(centre.link.acknowledged) == 2


@pytest.mark.parametrize(
    "make",
    [
        away(99),
        lambda: Centre(state=MoodyState(records=99)),
        lambda: Centre(state=MoodyState(digests=99)),
    ],
)
def test_a_collector_told_to_stop_while_it_waits_acknowledges_nothing(
    make: Callable[[], Centre],
) -> None:
    with closing(make()) as centre:
        first = sent(1)
        centre.receiver.keep(GATEWAY, centre.receiver.recorded(GATEWAY, [BatchKey(EPOCH, 1)]))
        centre.stopping.stop_after = 2

        centre.take(first)

        assert (centre.link.acknowledged, centre.link.said) == ([], [])


def test_while_the_link_is_down_the_work_is_done_and_the_answer_comes_later(
    centre: Centre,
) -> None:
    centre.link.is_up = False
    centre.take(sent(1))
    assert (len(centre.store.rows), centre.link.said, centre.count("commits")) == (1, [], 0)

    centre.link.is_up = True
    centre.take(stated(EpochHeld(epoch=EPOCH, oldest=1, next=2), retained=True))

    assert centre.link.commits()[0].epochs[0].through == 1


# -- what the store will never take ------------------------------------------------------------


class PickyStore(FakeReadingStore):
    """Refuses a whole write with `meter` among its rows or rejections, and single rows."""

    def __init__(self, meter: str = "", *, row: str = "") -> None:
        super().__init__()
        self.meter, self.row, self.calls = meter, row, 0
        self.failures: list[Exception] = []

    def write(self, rows, rejections=(), *, overlapping=False):
        self.calls += 1
        if self.failures and self.calls == 3:
            raise self.failures.pop()
        if any(one.meter == self.meter for one in (*rows, *rejections)):
            raise StoreRefused("field type conflict")
        refused = [Refusal(row=row, message="too long") for row in rows if row.meter == self.row]
        fit = [row for row in rows if row.meter != self.row]
        outcome = super().write(fit, rejections, overlapping=overlapping)
        return structs.replace(outcome, refused=tuple(refused))


def test_one_batch_that_the_store_refuses_is_set_aside_and_the_others_are_stored() -> None:
    good, refused, better = sent(1), sent(2, reading(2, meter="e001-light")), sent(3)
    with closing(Centre(store=PickyStore("e001-light"))) as centre:
        centre.take(good, refused, better)

        (kept,) = centre.state.quarantine(9)
        assert (kept.reason, kept.message, kept.key) == (
            "store_refused",
            "field type conflict",
            BatchKey(EPOCH, 2),
        )
        assert kept.payload == refused.payload
        assert {row.meter for row in centre.store.rows.values()} == {"e001-main"}
        assert len(centre.store.rows) == 2
        assert centre.count("stored_values") == 2
        assert centre.receiver.ledger(GATEWAY, EPOCH).stored == Ranges.span(1, 3)
        assert len(centre.link.acknowledged) == 3


def test_where_only_what_was_rejected_is_refused_the_good_readings_are_stored() -> None:
    mixed = sent(1, reading(1), reading(2, meter="nobody"))
    with closing(Centre(store=PickyStore("nobody"))) as centre:
        centre.take(mixed)

        (kept,) = centre.state.quarantine(9)
        assert (kept.reason, kept.payload) == ("store_refused", mixed.payload)
        assert len(centre.store.rows) == 1
        assert centre.count("rejected_values/unknown_meter") == 1
        assert centre.count("quarantined/store_refused") == 1


def test_a_batch_refused_with_and_without_what_was_rejected_is_kept_once() -> None:
    mixed = sent(1, reading(1), reading(2, meter="nobody"))
    with closing(Centre(store=PickyStore("e001-main"))) as centre:
        centre.take(mixed)

        assert [kept.payload for kept in centre.state.quarantine(9)] == [mixed.payload]
        assert centre.count("quarantined/store_refused") == 1


def test_single_rows_that_the_store_refuses_are_kept_as_readings() -> None:
    odd = reading(2, meter="e001-light")
    with closing(Centre(store=PickyStore(row="e001-light"))) as centre:
        centre.take(sent(1, reading(1), odd), sent(2))

        (kept,) = centre.state.quarantine(9)
        assert (kept.reason, kept.message, kept.payload) == (
            "store_refused",
            "too long",
            encode(odd),
        )
        assert len(centre.store.rows) == 2


def test_a_store_that_goes_away_between_single_batches_counts_each_value_once() -> None:
    store = PickyStore("e001-light")
    store.failures = [StoreAway("gone for a while")]
    with closing(Centre(store=store)) as centre:
        centre.take(sent(1), sent(2), sent(3, reading(3, meter="e001-light")))

        assert len(centre.stopping.pauses) == 1
        assert (centre.count("stored_values"), centre.count("duplicate_values")) == (2, 0)


# -- days to settle ----------------------------------------------------------------------------


def marked(centre: Centre) -> list[tuple[str, int]]:
    """The marked days, as days before that of `SEALED_MS`."""
    today_ms = day_start_ms(SEALED_MS)
    days = centre.state.dirty_book.dirty(999)
    return [(day.meter, (today_ms - day.day_ms) // DAY_MS) for day in days]


def test_what_is_stored_marks_its_days(centre: Centre) -> None:
    centre.take(sent(1, reading(-1440), reading(-1439)), sent(2, reading(0)))
    centre.take(sent(3, reading(-1440, meter="e001-light"), reading(5, meter="nobody")))

    assert marked(centre) == [("e001-light", 1), ("e001-main", 1), ("e001-main", 0)]


def test_a_day_that_is_marked_is_not_marked_again_until_it_is_taken(centre: Centre) -> None:
    centre.take(sent(1))
    before = centre.state.dirty_book.dirty(9)
    centre.take(sent(2))
    assert centre.state.dirty_book.dirty(9) == before

    taken = take(centre.state.dirty_book, centre.marks, 9)
    centre.take(sent(3))
    centre.state.dirty_book.clear_dirty(taken)

    assert marked(centre) == [("e001-main", 0)]


def test_only_what_the_store_took_marks_its_day() -> None:
    odd = reading(2, meter="e001-light")
    with closing(Centre(store=PickyStore(row="e001-light"))) as centre:
        centre.take(sent(1, reading(1), odd), sent(2))

        assert marked(centre) == [("e001-main", 0)]


def test_batches_written_one_by_one_mark_their_days_and_the_refused_one_does_not() -> None:
    with closing(Centre(store=PickyStore("e001-light"))) as centre:
        centre.take(
            sent(1),
            sent(2, reading(2, meter="e001-light"), reading(-2880)),
            sent(3, reading(-1440)),
        )

        assert marked(centre) == [("e001-main", 1), ("e001-main", 0)]


def test_what_is_stored_without_what_was_rejected_marks_its_day() -> None:
    with closing(Centre(store=PickyStore("nobody"))) as centre:
        centre.take(sent(1, reading(1), reading(2, meter="nobody")))

        assert marked(centre) == [("e001-main", 0)]


def test_a_mark_that_could_not_be_recorded_is_written_with_the_next_group() -> None:
    with closing(Centre(state=MoodyState(records=1))) as centre:
        centre.stopping.stop_after = 1
        centre.take(sent(1))
        assert marked(centre) == []

        centre.stopping.stop_after = None
        centre.take(sent(2))

        assert marked(centre) == [("e001-main", 0)]


# -- states ------------------------------------------------------------------------------------


def held(oldest: int, upto: int, *, dropped: tuple[Range, ...] = (), epoch: str = EPOCH):
    return EpochHeld(epoch=epoch, oldest=oldest, next=upto, dropped=dropped)


def test_what_a_gateway_dropped_is_lost_and_counted_once(centre: Centre) -> None:
    centre.take(sent(4))
    dropped = stated(held(4, 5, dropped=(Range(1, 2),)))

    with structlog.testing.capture_logs() as logs:
        centre.take(dropped)
        centre.take(dropped)

    ledger = centre.receiver.ledger(GATEWAY, EPOCH)
    assert (ledger.lost, ledger.released) == (Ranges.span(1, 2), Ranges.span(3, 3))
    assert centre.count("lost_batches") == 2
    assert [entry["batches"] for entry in logs if entry["event"] == "gateway.lost"] == [2]
    assert centre.link.commits()[-1].epochs[0].missing == ()
    assert centre.state.ledgers()[GATEWAY, EPOCH] == ledger


def test_what_was_lost_and_comes_after_all_is_stored(centre: Centre) -> None:
    centre.take(stated(held(3, 5, dropped=(Range(1, 2),))))

    centre.take(sent(2))

    ledger = centre.receiver.ledger(GATEWAY, EPOCH)
    assert (ledger.lost, ledger.stored) == (Ranges.span(1, 1), Ranges.span(2, 2))


def test_an_epoch_that_a_live_state_no_longer_names_is_closed_and_its_gaps_are_lost(
    centre: Centre,
) -> None:
    centre.take(stated(held(1, 4)), sent(1))

    centre.take(stated(held(1, 1, epoch=OTHER_EPOCH)))

    ledger = centre.receiver.ledger(GATEWAY, EPOCH)
    assert (ledger.lost, ledger.named) == (Ranges.span(2, 3), False)
    assert centre.count("lost_batches") == 2


def test_a_retained_state_closes_nothing(centre: Centre) -> None:
    centre.take(stated(held(1, 4)), sent(1))

    centre.take(stated(held(1, 1, epoch=OTHER_EPOCH), retained=True))

    ledger = centre.receiver.ledger(GATEWAY, EPOCH)
    assert (ledger.lost, ledger.named) == (Ranges(), True)
    assert centre.count("lost_batches") == 0


def test_a_state_in_the_same_group_as_a_batch_does_not_undo_it(centre: Centre) -> None:
    centre.take(sent(1), stated(held(1, 3)))

    assert centre.receiver.ledger(GATEWAY, EPOCH).missing() == Ranges.span(2, 2)
    assert centre.state.ledgers()[GATEWAY, EPOCH] == centre.receiver.ledger(GATEWAY, EPOCH)


def test_link_and_state_of_a_gateway_are_kept(centre: Centre) -> None:
    centre.take(link_word(b"online"), stated(held(1, 1)))
    centre.take(link_word(b"offline"))

    (record,) = centre.state.gateways()
    assert (record.gateway, record.district, record.link) == (GATEWAY, "120101", "offline")
    assert b'"backlog":3' in record.state


def test_a_restarted_collector_still_knows_the_links(centre: Centre) -> None:
    centre.take(stated(held(1, 1)))
    centre.restart()

    centre.take(link_word(b"online"))

    assert b'"backlog":3' in centre.state.gateways()[0].state


# -- what is counted ---------------------------------------------------------------------------


def test_alerts_of_a_group_are_recorded_with_it(centre: Centre) -> None:
    centre.take(sent(1, reading(1, 600.0)), sent(2, reading(2, 100.0)))

    steps = centre.state.alert_log.last_steps(9)
    assert [one.alert.state for one in steps] == ["resolved", "firing"]
    assert (centre.count("alert_transitions/firing"), centre.alerting.firing) == (1, ())


def test_after_a_restart_an_older_reading_is_late_still(centre: Centre) -> None:
    centre.take(sent(2, reading(2, 100.0)))
    centre.restart()

    centre.take(sent(1, reading(1, 600.0)))

    assert centre.alerting.firing == ()
    (late,) = centre.watching.readings.late()
    assert late.spans == {"e001-main": (reading(1).at_ms, reading(1).at_ms)}


def test_latency_is_the_age_of_what_was_stored(centre: Centre) -> None:
    young = Reading(meter="e001-main", at_ms=SEALED_MS, values={"active_power_kw": 1.0})

    centre.take(sent(1, young))

    assert centre.metrics.latency.quantiles_ms(0.5) == (1000.0,)


@pytest.mark.parametrize("at_ms", [0, -1, LAST_AT_MS])
def test_a_time_that_was_rejected_says_nothing_of_the_latency(centre: Centre, at_ms: int) -> None:
    absurd = Reading(meter="e001-main", at_ms=at_ms, values={"active_power_kw": 1.0})

    centre.take(sent(1, absurd), delivered(batch(sequence=2)))

    assert centre.count("latency_seconds_count") == 0


def test_a_group_of_nothing_but_a_foreign_topic_is_acknowledged(centre: Centre) -> None:
    foreign = structs.replace(sent(1), topic="nenghao/1/120101/GW/batch")

    centre.take(foreign)

    assert centre.link.acknowledged == [foreign]
    assert (centre.link.said, centre.count("foreign_topics")) == ([], 1)


def test_a_generation_that_the_gateways_outlived_is_taken_over_and_said(centre: Centre) -> None:
    """Both databases were restored from before a resend: commits must not look stale for ever."""
    word = stated(EpochHeld(epoch=EPOCH, oldest=1, next=1), generation=5)

    with structlog.testing.capture_logs() as logs:
        centre.take(word)

    assert centre.link.commits()[-1].generation == 5
    assert [entry["event"] for entry in logs] == ["store.outlived"]


def test_another_stores_generation_is_none_of_ours(centre: Centre) -> None:
    centre.take(stated(EpochHeld(epoch=EPOCH, oldest=1, next=1), store="other", generation=5))

    assert centre.link.commits()[-1].generation == 1


# -- what is suspect ---------------------------------------------------------------------------


def said(minute: int, **values: float) -> Reading:
    return structs.replace(reading(minute), values=values)


def test_a_value_that_cannot_follow_the_last_is_stored_and_wakes_nobody(centre: Centre) -> None:
    """1200 kW are rated: from 100 to 5000 is no load."""
    centre.take(sent(1, reading(1, 100.0)))
    centre.take(sent(2, reading(2, 5000.0)))

    assert centre.alerting.firing == ()
    assert centre.store.rows["e001-main", reading(2).at_ms].values == {"active_power_kw": 5000.0}
    assert centre.store.rejections(0, LAST_AT_MS) == []
    assert centre.count("suspect_values/jump") == 1
    assert [one.value for one in centre.suspects.recent] == [5000.0]


def test_after_three_that_agree_it_is_told_all_the_same(centre: Centre) -> None:
    for minute, kilowatts in enumerate([100.0, 5000.0, 5001.0, 5002.0, 5003.0], 1):
        centre.take(sent(minute, reading(minute, kilowatts)))

    assert [alert.value for alert in centre.alerting.firing] == [5003.0]


def test_a_value_in_doubt_hides_only_itself(centre: Centre) -> None:
    centre.take(sent(1, said(1, active_power_kw=100.0, energy_import_kwh=9_000.0)))
    centre.take(sent(2, said(2, active_power_kw=600.0, energy_import_kwh=100.0)))

    assert [alert.value for alert in centre.alerting.firing] == [600.0]
    assert centre.count("suspect_values/fall") == 1


def test_what_contradicts_itself_is_stored_kept_beside_and_wakes_nobody(centre: Centre) -> None:
    phases = {f"active_power_l{phase}_kw": 30.0 for phase in (1, 2, 3)}
    centre.take(sent(1, said(1, active_power_kw=900.0, **phases)))

    beside = centre.store.rejections(0, LAST_AT_MS)
    assert centre.alerting.firing == ()
    assert centre.store.rows["e001-main", reading(1).at_ms].values["active_power_kw"] == 900.0
    assert {(one.reason, one.level) for one in beside} == {("phase_sum", "suspect")}
    assert centre.count("suspect_values/phase_sum") == 4
    assert centre.count("rejected_values/phase_sum") == 0
    assert centre.count("latency_seconds_count") == 1


def test_after_a_restart_the_first_reading_is_compared_with_the_stores_last(
    centre: Centre,
) -> None:
    centre.take(sent(1, reading(1, 100.0)))
    centre.restart()
    centre.take(sent(2, reading(2, 5000.0)))

    assert centre.alerting.firing == ()
    assert centre.count("suspect_values/jump") == 1


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_backlog_in_any_order_leaves_the_same_rows_and_rejections(data: st.DataObject) -> None:
    minutes = range(8)
    readings = [
        said(
            minute,
            active_power_kw=data.draw(st.sampled_from([90.0, 900.0, 5000.0, 1e9])),
            active_power_l1_kw=30.0,
            active_power_l2_kw=30.0,
            active_power_l3_kw=30.0,
            energy_import_kwh=data.draw(st.sampled_from([0.0, 100.0, 9_000.0, -5.0])),
        )
        for minute in minutes
    ]
    batches = [sent(number, one) for number, one in enumerate(readings, 1)]

    kept = []
    for order in (batches, data.draw(st.permutations(batches))):
        size = data.draw(st.integers(1, 8))
        with closing(Centre()) as centre:
            for start in range(0, len(order), size):
                centre.take(*order[start : start + size])
            kept.append((centre.store.rows, centre.store.rejections(0, LAST_AT_MS)))

    assert kept[0] == kept[1]
