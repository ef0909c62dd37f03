"""The publisher on fakes: what is sent, what is believed, what is said, what a spool may answer."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
import structlog
from msgspec import structs

from gateways.spool.group import Portion
from gateways.spool.keep import Policy
from gateways.spool.port import SpoolBusy, SpoolCorrupt, SpoolFull
from gateways.spool.seal import Sealer
from metering.batch import BatchKey, ClockState
from metering.delivery.ranges import Ranges
from metering.delivery.sender import BACKLOG_WINDOW, LIVE_WINDOW, EpochBook
from metering.reading import Reading
from metering.wire import EpochHeld, Range
from tests.fakes.box import (
    PATIENT,
    STORE,
    Box,
    BoxClock,
    TroubledSpool,
    a_while,
    eventually,
)
from tests.fakes.link import GATEWAY, SEALED_MS, committed, delivery

REFUSALS = [SpoolFull("no room"), SpoolBusy("locked")]
SEALER = Sealer(GATEWAY)


def reading(number: int) -> Reading:
    return Reading(meter="m1", at_ms=SEALED_MS + number, values={"active_power_kw": 1.5})


async def keep(box: Box, batches: int = 1) -> int:
    """Seal so many batches of one reading; returns how many are on disk."""

    def seal(after: BatchKey) -> Iterator[Portion]:
        for number in range(batches):
            key = BatchKey(after.epoch, after.sequence + number)
            [(sealed, count)] = SEALER.seal(
                [reading(key.sequence)], key, at_ms=box.clock.now_ms(), clock=ClockState.SYNCED
            )
            yield Portion(sealed=sealed, readings=count)

    return await box.keeper.keep(seal, box.clock.now_ms())


def held_before(batches: int) -> tuple[TroubledSpool, str]:
    """A spool whose former epoch holds so many batches, and the epoch's name."""
    spool, epoch = TroubledSpool(), "01JD0000000000000000000000"
    spool.mint(epoch)
    for number in range(batches):
        at_ms = SEALED_MS - 86_400_000 + number
        [(sealed, _count)] = SEALER.seal(
            [reading(number)], BatchKey(epoch, number), at_ms=at_ms, clock=ClockState.SYNCED
        )
        spool.append(sealed, sealed_at_ms=at_ms)
    spool.calls.clear()
    return spool, epoch


def sent(box: Box) -> list[tuple[str, int]]:
    """(epoch, sequence) of every batch sent, by the properties that speak for it."""
    return [
        (properties["epoch"], int(properties["sequence"]))
        for properties in (dict(one.properties) for one in box.link.said)
        if properties
    ]


def marked(box: Box) -> Ranges:
    """What of the present epoch is kept as committed."""
    return next(book.committed for book in box.spool.books() if book.epoch == box.epoch)


def events(logs: list) -> list[str]:
    return [one["event"] for one in logs]


# ---- sending


def test_a_batch_is_sent_as_it_was_sealed_with_its_identity_in_the_properties() -> None:
    async def scenario() -> None:
        async with Box() as box:
            assert await keep(box) == 1
            await eventually(lambda: box.sent() == [1])

            [message] = [one for one in box.link.said if one.properties]
            stored = box.spool.load(BatchKey(box.epoch, 1))
            assert message.payload == stored.payload
            assert message.properties == (
                ("epoch", box.epoch),
                ("sequence", "1"),
                ("digest", stored.digest),
            )
            assert (message.topic, message.content_type, message.retain) == (
                "nenghao/1/120101/gw-e001/batch",
                "application/json",
                False,
            )
            assert box.publisher.published == 1

    asyncio.run(scenario())


def test_what_is_new_goes_before_the_backlog_and_the_backlog_newest_first() -> None:
    async def scenario() -> None:
        spool, before = held_before(10)
        async with Box(spool=spool, is_up=False) as box:
            await keep(box, 3)
            box.connect()
            await eventually(lambda: len(sent(box)) >= 3 + BACKLOG_WINDOW)
            await a_while()

            assert sent(box) == [
                *((box.epoch, n) for n in (1, 2, 3)),
                *((before, n) for n in (10, 9, 8, 7)),
            ]

    asyncio.run(scenario())


def test_only_a_commit_frees_a_place_never_the_brokers_acknowledgement() -> None:
    async def scenario() -> None:
        async with Box() as box:
            await keep(box, LIVE_WINDOW)
            await eventually(lambda: len(box.sent()) == LIVE_WINDOW)
            await keep(box)
            for packet in range(1, len(box.link.said) + 1):
                box.publisher.acknowledged(packet)
            await a_while()
            assert LIVE_WINDOW + 1 not in box.sent()

            box.hear(committed(box.epoch, 4))
            await eventually(lambda: LIVE_WINDOW + 1 in box.sent())

    asyncio.run(scenario())


def test_an_acknowledgement_of_an_unknown_packet_is_let_be() -> None:
    async def scenario() -> None:
        async with Box() as box:
            box.publisher.acknowledged(65_535)
            await keep(box)
            await eventually(lambda: box.sent() == [1])

    asyncio.run(scenario())


def test_while_the_link_is_down_nothing_is_lost_and_all_goes_out_once_it_is_up() -> None:
    async def scenario() -> None:
        async with Box() as box:
            await keep(box, 2)
            await eventually(lambda: box.sent() == [1, 2])
            box.clock.pass_ms(6_000)  # long enough that neither is suspected to have broken it
            box.disconnect()
            await keep(box, 2)
            await a_while()
            assert box.sent() == [1, 2]

            box.connect()
            await eventually(lambda: sorted(box.sent()) == [1, 1, 2, 2, 3, 4])
            assert box.sender.backlog() == 4

    asyncio.run(scenario())


def test_a_link_that_falls_before_anybody_says_so_costs_nothing_but_a_second_try() -> None:
    async def scenario() -> None:
        async with Box() as box:
            await eventually(box.link.words)
            box.link.is_up = False
            await keep(box)
            await a_while()
            box.link.is_up = True
            await eventually(lambda: box.sent() == [1])
            assert box.publisher.published == 1

    asyncio.run(scenario())


def test_what_no_commit_covers_is_sent_again_after_half_a_minute() -> None:
    async def scenario() -> None:
        policy = structs.replace(PATIENT, state_every_s=0.01)
        async with Box(policy=policy) as box:
            await keep(box, 2)
            await eventually(lambda: box.sent() == [1, 2])
            box.hear(committed(box.epoch, 1))
            box.clock.pass_ms(29_999)
            await a_while()
            assert box.sent() == [1, 2]

            box.clock.pass_ms(1)
            await eventually(lambda: box.sent() == [1, 2, 2])

    asyncio.run(scenario())


def test_what_a_commit_misses_is_sent_again() -> None:
    async def scenario() -> None:
        policy = structs.replace(PATIENT, state_every_s=0.01)
        async with Box(policy=policy) as box:
            await keep(box, 3)
            await eventually(lambda: box.sent() == [1, 2, 3])
            box.clock.pass_ms(6_000)
            box.hear(committed(box.epoch, 3, (2, 2)))
            await eventually(lambda: box.sent() == [1, 2, 3, 2])

    asyncio.run(scenario())


def test_a_batch_that_vanished_from_disk_is_reported_as_dropped() -> None:
    async def scenario() -> None:
        async with Box(is_up=False) as box:
            await keep(box, 3)
            del box.spool._batches[BatchKey(box.epoch, 2)]
            with structlog.testing.capture_logs() as logs:
                box.connect()
                await eventually(lambda: box.sent() == [1, 3])
                await eventually(lambda: box.link.states()[-1].epochs[-1].dropped)

            assert box.link.states()[-1].epochs == (
                EpochHeld(epoch=box.epoch, oldest=1, next=4, dropped=(Range(2, 2),)),
            )
            assert events(logs).count("spool.batch_vanished") == 1

    asyncio.run(scenario())


# ---- commits


def test_a_commit_is_acknowledged_and_kept_late() -> None:
    assert Policy(keep_ms=0, size_limit=0).mark_every_s == 10.0

    async def scenario() -> None:
        async with Box() as box:
            await keep(box, 3)
            await eventually(lambda: len(box.sent()) == 3)
            word = committed(box.epoch, 2)
            box.hear(word)
            await eventually(lambda: box.sender.backlog() == 1)
            await a_while()
            assert box.link.acknowledged == [word]
            assert "mark" not in box.spool.calls

            await box.stop()
            assert marked(box) == Ranges.span(1, 2)
            assert box.spool.generation(STORE) == 1

    asyncio.run(scenario())


def test_what_commits_said_is_kept_every_so_often_and_only_if_it_is_new() -> None:
    async def scenario() -> None:
        policy = structs.replace(PATIENT, mark_every_s=0.005)
        async with Box(policy=policy) as box:
            await keep(box, 3)
            box.hear(committed(box.epoch, 2))
            await eventually(lambda: marked(box) == Ranges.span(1, 2))
            times = box.spool.calls.count("mark")
            await a_while()
            box.hear(committed(box.epoch, 2))
            await a_while()
            assert box.spool.calls.count("mark") == times

            box.hear(committed(box.epoch, 3))
            await eventually(lambda: marked(box) == Ranges.span(1, 3))

    asyncio.run(scenario())


def test_a_new_generation_is_kept_at_once_and_all_that_is_held_goes_out_again() -> None:
    async def scenario() -> None:
        async with Box() as box:
            await keep(box, 3)
            await eventually(lambda: box.sent() == [1, 2, 3])
            box.hear(committed(box.epoch, 3, generation=1))
            await eventually(lambda: box.sender.backlog() == 0)

            box.hear(committed(box.epoch, 0, generation=2))
            await eventually(lambda: box.sent() == [1, 2, 3, 1, 2, 3])
            await eventually(lambda: box.spool.generation(STORE) == 2)
            assert marked(box) == Ranges()

    asyncio.run(scenario())


def test_another_stores_commit_is_ignored_and_said_once() -> None:
    async def scenario() -> None:
        with structlog.testing.capture_logs() as logs:
            async with Box(vouched=ClockState.UNSYNCED) as box:
                await keep(box, 2)
                box.clock.pass_ms(60_000)
                for _ in range(3):
                    box.hear(committed(box.epoch, 2, store="other"))
                    box.hear(committed(box.epoch, 1))
                await eventually(lambda: len(box.link.acknowledged) == 6)
                assert box.sender.backlog() == 1

        said = [one for one in logs if one["event"] == "commit.foreign"]
        assert said == [
            {
                "event": "commit.foreign",
                "log_level": "warning",
                "store": "other",
                "ours": STORE,
            }
        ]

    asyncio.run(scenario())


def test_another_stores_commit_does_not_tell_the_time() -> None:
    async def scenario() -> None:
        async with Box(vouched=ClockState.UNSYNCED) as box:
            await eventually(box.link.words)
            box.clock.pass_ms(60_000)
            box.hear(committed(box.epoch, 0, store="other", now_ms=SEALED_MS + 1))
            await eventually(lambda: len(box.link.acknowledged) == 1)
            assert box.time.state is ClockState.UNSYNCED

    asyncio.run(scenario())


def test_a_commit_that_cannot_be_read_is_acknowledged_and_ignored() -> None:
    async def scenario() -> None:
        with structlog.testing.capture_logs() as logs:
            async with Box() as box:
                await keep(box)
                topic = "nenghao/1/120101/gw-e001/commit"
                for payload in (b"", b"{", b'{"v":9}', b"\xff" * 10):
                    box.hear(delivery(topic, payload))
                await eventually(lambda: len(box.link.acknowledged) == 4)
                assert box.sender.backlog() == 1

        said = [one["reason"] for one in logs if one["event"] == "commit.unreadable"]
        assert said == ["undecodable", "undecodable", "wrong_version", "undecodable"]

    asyncio.run(scenario())


def test_a_commit_that_passes_over_what_was_sent_long_before_asks_for_the_state() -> None:
    async def scenario() -> None:
        async with Box() as box:
            await keep(box, 2)
            await eventually(lambda: box.sent() == [1, 2])
            await eventually(lambda: len(box.link.states()) == 1)
            box.clock.pass_ms(6_000)
            box.hear(committed(box.epoch, 1))
            await eventually(lambda: len(box.link.states()) == 2)

    asyncio.run(scenario())


# ---- forks


def test_a_fork_is_left_for_a_new_epoch_which_the_state_names_and_the_spool_keeps() -> None:
    async def scenario() -> None:
        with structlog.testing.capture_logs() as logs:
            async with Box() as box:
                await keep(box, 2)
                await eventually(lambda: box.sent() == [1, 2])
                forked = box.epoch
                box.hear(committed(forked, 7))
                await eventually(lambda: box.epoch != forked)
                await eventually(lambda: box.link.states()[-1].forks == 1)
                await keep(box)
                await eventually(lambda: box.sent() == [1])

                state = box.link.states()[-1]
                assert [held.epoch for held in state.epochs] == [forked, box.epoch]
                books = {book.epoch: book for book in box.spool.books()}
                assert (books[forked].forked, books[box.epoch].forked) == (True, False)

        assert events(logs).count("spool.forked") == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("error", REFUSALS)
def test_while_a_disk_refuses_the_new_epoch_nothing_is_sealed_under_the_forked_one(
    error: Exception,
) -> None:
    async def scenario() -> None:
        async with Box(policy=structs.replace(PATIENT, mark_every_s=0.01)) as box:
            await keep(box)
            forked = box.epoch
            box.spool.wrong["mint"] = error
            box.hear(committed(forked, 7))
            await eventually(lambda: "mint" in box.spool.calls[2:])
            assert await keep(box) == 0

            del box.spool.wrong["mint"]
            await eventually(lambda: box.epoch != forked)
            assert await keep(box) == 1
            assert box.sender.present == EpochBook(epoch=box.epoch, next=2, held=Ranges.span(1, 1))

    asyncio.run(scenario())


# ---- the state


def test_the_state_is_said_at_each_connect_after_the_word_online() -> None:
    async def scenario() -> None:
        async with Box(is_up=False) as box:
            await a_while()
            assert box.link.said == []
            for times in (1, 2):
                box.connect()
                await eventually(lambda expected=times: len(box.link.states()) == expected)
                box.disconnect()

            assert box.link.words() == [b"online", b"online"]
            assert all(one.retain for one in box.link.said)

    asyncio.run(scenario())


def test_the_state_is_said_every_half_minute_and_changes_a_second_apart() -> None:
    usual = Policy(keep_ms=0, size_limit=0)
    assert (usual.state_every_s, usual.state_apart_s) == (30.0, 1.0)

    async def scenario() -> None:
        policy = structs.replace(PATIENT, state_every_s=0.01)
        async with Box(policy=policy) as box:
            await eventually(lambda: len(box.link.states()) >= 4)
        policy = structs.replace(PATIENT, state_apart_s=0.2)
        async with Box(policy=policy) as box:
            await eventually(box.link.states)
            for _ in range(20):
                box.publisher.state_changed()
                await asyncio.sleep(0.002)
            assert len(box.link.states()) == 1
            await eventually(lambda: len(box.link.states()) == 2)
            await a_while()
            assert len(box.link.states()) == 2

    asyncio.run(scenario())


def test_the_state_names_what_is_held_what_was_dropped_and_what_is_stuck() -> None:
    async def scenario() -> None:
        spool, before = held_before(3)
        async with Box(spool=spool, policy=structs.replace(PATIENT, state_every_s=0.01)) as box:
            await keep(box, 2)
            stuck = BatchKey(box.epoch, 2)
            box.sender._stuck[stuck] = 1 << 60
            box.sender.dropped(before, Ranges.span(1, 2))
            box.hear(committed(box.epoch, 1))
            await eventually(lambda: box.link.states() and box.link.states()[-1].stuck)
            await eventually(lambda: box.link.states()[-1].spool.backlog == 2)

            state = box.link.states()[-1]
            assert state.epochs == (
                EpochHeld(epoch=before, oldest=3, next=4, dropped=(Range(1, 2),)),
                EpochHeld(epoch=box.epoch, oldest=1, next=3),
            )
            assert state.stuck == ((box.epoch, 2),)
            assert (state.fleet, state.version, state.clock) == ("digest", "0.1.0", "synced")
            assert state.spool.size == box.spool.size()

    asyncio.run(scenario())


@pytest.mark.parametrize("error", REFUSALS)
def test_a_spool_that_cannot_be_measured_is_said_as_it_was(error: Exception) -> None:
    async def scenario() -> None:
        async with Box() as box:
            await keep(box)
            await eventually(box.link.states)
            box.publisher.state_changed()
            await eventually(lambda: len(box.link.states()) == 2)
            size = box.spool.size()
            box.spool.wrong["size"] = error
            await keep(box)
            box.publisher.state_changed()
            await eventually(lambda: len(box.link.states()) == 3)

            state = box.link.states()[-1]
            assert (state.spool.size, state.spool.backlog) == (size, 2)

    asyncio.run(scenario())


# ---- the end


def test_at_the_end_it_waits_for_the_last_commit_and_says_its_last_state() -> None:
    async def scenario() -> None:
        async with Box(drain_s=5.0) as box:
            await keep(box, 2)
            await eventually(lambda: box.sent() == [1, 2])
            box.stopping.set()
            await a_while()
            assert not box.running.done()
            box.hear(committed(box.epoch, 2))
            await asyncio.wait_for(asyncio.shield(box.running), 2)

            assert box.link.states()[-1].spool.backlog == 0
            assert marked(box) == Ranges.span(1, 2)

    asyncio.run(scenario())


def test_at_the_end_it_gives_up_in_time_and_what_is_left_stays() -> None:
    async def scenario() -> None:
        with structlog.testing.capture_logs() as logs:
            async with Box(drain_s=0.05) as box:
                await keep(box, 2)

        assert {"event": "agent.drained", "log_level": "info", "left": 2} in logs
        assert len(box.spool.books()[-1].held) == 2
        assert box.link.states()[-1].spool.backlog == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("method", ["mark", "size"])
def test_a_disk_that_refuses_does_not_keep_it_from_ending(method: str, error: Exception) -> None:
    async def scenario() -> None:
        async with Box() as box:
            await keep(box)
            box.hear(committed(box.epoch, 1))
            await eventually(lambda: box.sender.backlog() == 0)
            box.spool.wrong[method] = error
            await box.stop()

            assert box.link.states()[-1].spool.backlog == 0

    asyncio.run(scenario())


# ---- pruning


def test_what_is_old_and_committed_is_pruned_in_silence() -> None:
    async def scenario() -> None:
        policy = structs.replace(PATIENT, keep_ms=1_000, prune_every_s=0.01)
        with structlog.testing.capture_logs() as logs:
            async with Box(policy=policy) as box:
                await keep(box, 3)
                box.hear(committed(box.epoch, 2))
                await eventually(lambda: marked(box))
                assert len(box.sender.present.held) == 3

                box.clock.pass_ms(2_000)
                await eventually(lambda: box.sender.present.held == Ranges.span(3, 3))
                await box.stop()
                [held] = box.link.states()[-1].epochs
                assert held == EpochHeld(epoch=box.epoch, oldest=3, next=4)

        assert "spool.dropped" not in events(logs)

    asyncio.run(scenario())


def test_what_is_pruned_uncommitted_is_told_and_said() -> None:
    async def scenario() -> None:
        policy = structs.replace(PATIENT, size_limit=700, prune_every_s=0.01)
        with structlog.testing.capture_logs() as logs:
            async with Box(policy=policy) as box:
                await keep(box, 5)
                await eventually(lambda: box.sender.present.dropped)
                await eventually(lambda: box.link.states()[-1].epochs[-1].dropped)

                [held] = box.link.states()[-1].epochs
                assert held.dropped[0].first == 1
                assert held.oldest == held.dropped[0].last + 1
                assert box.spool.books()[-1].held == box.sender.present.held

        assert "spool.dropped" in events(logs)

    asyncio.run(scenario())


def test_what_an_append_dropped_to_make_room_is_told() -> None:
    async def scenario() -> None:
        async with Box() as box:
            await keep(box, 3)
            dropped = {box.epoch: Ranges.span(1, 2)}
            kept = box.spool.append
            box.spool.append = lambda *a, **k: kept(*a, **k) or dropped
            await keep(box)
            await eventually(lambda: box.link.states()[-1].epochs[-1].dropped)

            [held] = box.link.states()[-1].epochs
            assert held == EpochHeld(epoch=box.epoch, oldest=3, next=5, dropped=(Range(1, 2),))

    asyncio.run(scenario())


# ---- a spool that refuses, call by call


@pytest.mark.parametrize("error", REFUSALS)
def test_a_batch_that_cannot_be_loaded_now_is_sent_later(error: Exception) -> None:
    async def scenario() -> None:
        async with Box() as box:
            box.spool.wrong["load"] = error
            await keep(box, 2)
            await eventually(lambda: box.spool.calls.count("load") > 2)
            assert box.sent() == []

            box.spool.wrong.clear()
            await eventually(lambda: box.sent() == [1, 2])
            assert not box.sender.present.dropped

    asyncio.run(scenario())


@pytest.mark.parametrize("error", REFUSALS)
def test_a_mark_that_is_refused_is_tried_again(error: Exception) -> None:
    async def scenario() -> None:
        async with Box(policy=structs.replace(PATIENT, mark_every_s=0.01)) as box:
            box.spool.wrong["mark"] = error
            await keep(box, 2)
            box.hear(committed(box.epoch, 2))
            await eventually(lambda: box.spool.calls.count("mark") > 2)

            box.spool.wrong.clear()
            await eventually(lambda: marked(box) == Ranges.span(1, 2))

    asyncio.run(scenario())


@pytest.mark.parametrize("error", REFUSALS)
def test_a_prune_that_is_refused_is_tried_again(error: Exception) -> None:
    async def scenario() -> None:
        policy = structs.replace(PATIENT, size_limit=0, prune_every_s=0.01)
        async with Box(policy=policy) as box:
            box.spool.wrong["prune"] = error
            await keep(box, 2)
            await eventually(lambda: box.spool.calls.count("prune") > 2)
            assert box.sender.present.held

            box.spool.wrong.clear()
            await eventually(lambda: not box.sender.present.held)

    asyncio.run(scenario())


# ---- a spool that is damaged


def mark(box: Box) -> None:
    box.hear(committed(box.epoch, 0, generation=1))
    box.hear(committed(box.epoch, 0, generation=2))


def measure(box: Box) -> None:
    box.publisher.state_changed()


def nothing(_box: Box) -> None:
    """It happens by itself."""


@pytest.mark.parametrize(
    ("method", "ask"),
    [("load", nothing), ("mark", mark), ("prune", nothing), ("size", measure), ("append", nothing)],
)
def test_damage_is_renewed_once_whatever_found_it_and_what_was_lost_is_named(
    method: str, ask: Callable[[Box], None]
) -> None:
    async def scenario() -> None:
        policy = structs.replace(PATIENT, prune_every_s=0.02)
        async with Box(policy=policy, is_up=False) as box:
            await keep(box, 5)
            box.spool.ruined = {box.epoch: Ranges.span(2, 3)}
            box.spool.once[method] = SpoolCorrupt("a page is not what it was")
            box.connect()
            ask(box)
            await keep(box)
            await eventually(lambda: box.link.states() and box.link.states()[-1].epochs[0].dropped)
            await eventually(lambda: set(box.sent()) >= {1, 4, 5, 6})
            assert await keep(box) == 1

            state = box.link.states()[-1]
            assert state.epochs[0].dropped == (Range(2, 3),)
            assert state.spool.corrupt == 1
            assert box.spool.calls.count("renew") == 1
            assert box.sender.present.held == box.spool.books()[-1].held

    asyncio.run(scenario())


def test_of_many_that_find_the_same_damage_one_renews() -> None:
    async def scenario() -> None:
        async with Box(is_up=False) as box:
            await keep(box, 3)
            renew = box.spool.renew

            def renewed() -> None:
                box.spool.wrong.clear()
                renew()

            box.spool.renew = renewed
            for method in ("load", "append", "size", "mark"):
                box.spool.wrong[method] = SpoolCorrupt("a page is not what it was")
            box.connect()
            mark(box)
            assert await keep(box) == 1
            await eventually(lambda: set(box.sent()) == {1, 2, 3, 4})
            await eventually(lambda: box.spool.generation(STORE) == 2)

            assert box.spool.corrupt_files() == 1

    asyncio.run(scenario())


def test_an_epoch_that_went_with_the_damage_is_opened_again_and_goes_on_counting() -> None:
    async def scenario() -> None:
        spool, before = held_before(2)
        async with Box(spool=spool) as box:
            await keep(box, 2)
            await eventually(lambda: len(box.sent()) == 2)
            renew = box.spool.renew

            def renewed() -> None:
                renew()
                box.spool._batches.clear()
                box.spool._epochs.clear()

            box.spool.renew = renewed
            box.spool.once["append"] = SpoolCorrupt("nothing reads")
            assert await keep(box) == 1
            await eventually(lambda: box.link.states()[-1].epochs[-1].dropped)

            assert box.link.states()[-1].epochs == (
                EpochHeld(epoch=before, oldest=3, next=3, dropped=(Range(1, 2),)),
                EpochHeld(epoch=box.epoch, oldest=3, next=4, dropped=(Range(1, 2),)),
            )

    asyncio.run(scenario())


def test_what_was_committed_is_kept_again_after_a_renewal() -> None:
    async def scenario() -> None:
        async with Box(policy=structs.replace(PATIENT, mark_every_s=0.01)) as box:
            await keep(box, 2)
            box.hear(committed(box.epoch, 2))
            await eventually(lambda: marked(box) == Ranges.span(1, 2))
            box.spool._epochs[box.epoch].committed = Ranges()  # the damage took it
            box.spool.once["append"] = SpoolCorrupt("a page is not what it was")
            await keep(box)
            await eventually(lambda: marked(box) == Ranges.span(1, 2))

    asyncio.run(scenario())


@pytest.mark.parametrize("error", REFUSALS)
def test_a_renewal_that_is_refused_is_tried_again_and_nobody_else_touches_the_spool(
    error: Exception,
) -> None:
    async def scenario() -> None:
        async with Box() as box:
            await keep(box, 2)
            await eventually(lambda: len(box.sent()) == 2)
            box.spool.wrong["renew"] = error
            box.spool.once["append"] = SpoolCorrupt("a page is not what it was")
            assert await keep(box) == 0
            box.publisher.state_changed()
            assert await keep(box) == 0
            await eventually(lambda: box.spool.calls.count("renew") > 2)
            after = box.spool.calls[box.spool.calls.index("renew") :]
            assert set(after) == {"renew"}

            box.spool.wrong.clear()
            assert await keep(box) == 1
            assert box.spool.corrupt_files() == 1
            await eventually(lambda: box.sent() == [1, 2, 3])

    asyncio.run(scenario())


def test_what_is_damaged_again_right_after_a_renewal_ends_the_process() -> None:
    async def scenario() -> None:
        box = Box()
        await box.__aenter__()
        box.spool.wrong["load"] = SpoolCorrupt("the disk is worn out")
        await keep(box)
        with pytest.raises(BaseExceptionGroup) as ended:
            async with asyncio.timeout(5):
                await box.running
        assert ended.group_contains(SpoolCorrupt)
        assert box.spool.calls.count("renew") == 1
        await box.kill()

    asyncio.run(scenario())


def test_unsealed_readings_that_went_with_the_damage_are_counted_as_forgotten() -> None:
    async def scenario() -> None:
        async with Box(vouched=ClockState.UNSYNCED) as box:
            taken = tuple((50_000 + n, reading(n)) for n in range(5))
            assert await box.keeper.keep_unsealed("boot-1", taken) == 5
            box.spool.ruined_unsealed = 2
            box.spool.once["keep_unsealed"] = SpoolCorrupt("a page is not what it was")
            more = ((50_005, reading(5)),)
            assert await box.keeper.keep_unsealed("boot-1", more) == 1

            assert box.keeper.unsealed == len(box.spool.unsealed(10)) == 4
            assert box.keeper.forgotten == 2

    asyncio.run(scenario())


def test_readings_that_a_renewal_numbered_anew_are_sealed_once_each() -> None:
    """The numbers that were read before mean other readings now."""

    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        async with Box(clock=clock, vouched=ClockState.UNSYNCED) as box:
            taken = tuple((50_000 - n, reading(n)) for n in range(6))
            await box.keeper.keep_unsealed("boot-1", taken)
            box.spool._unsealed = box.spool._unsealed[2:]  # as if two were sealed before
            box.keeper.unsealed = 4
            box.spool.once["append"] = SpoolCorrupt("a page is not what it was")
            clock.set_to(SEALED_MS)
            box.vouched = ClockState.SYNCED
            await eventually(lambda: box.keeper.unsealed == 0)
            await eventually(box.link.batches)

            times = [r.at_ms for batch in box.link.batches() for r in batch.readings]
            assert times == [SEALED_MS - n for n in (2, 3, 4, 5)]
            assert box.spool.calls.count("renew") == 1
            assert box.keeper.forgotten == 0

    asyncio.run(scenario())
