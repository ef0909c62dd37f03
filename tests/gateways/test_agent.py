"""The agent on fakes: what a bus brought is on disk before it is sent, at the right time."""

import asyncio
from collections.abc import Callable

import pytest
import structlog

from gateways.agent import Limits
from gateways.reading.poll import MeterSilent
from gateways.spool.port import SpoolBusy, SpoolFull
from metering.batch import Batch, ClockState
from metering.delivery.ranges import Ranges
from metering.reading import Fault, Reading
from metering.wire import RatioApplied, decode_batch
from tests.fakes.box import (
    CYCLE_MS,
    FOREVER_S,
    MODEL,
    Box,
    BoxClock,
    SlowBus,
    TroubledSpool,
    a_while,
    eventually,
)
from tests.fakes.bus import FakeBus
from tests.fakes.link import SEALED_MS, committed

LAZY = Limits(flush_s=FOREVER_S, look_s=0.002)
DAY_MS = 86_400_000


def on_disk(box: Box) -> list[Batch]:
    """Every batch of the present epoch that the spool holds, in order."""
    held = next(book.held for book in box.spool.books() if book.epoch == box.epoch)
    keys = [(box.epoch, sequence) for sequence in held.ascending()]
    return [decode_batch(box.spool.load(key).payload) for key in keys]


def taken(batches: list[Batch]) -> list[tuple[str, int]]:
    return [(reading.meter, reading.at_ms) for batch in batches for reading in batch.readings]


def events(logs: list) -> list[str]:
    return [one["event"] for one in logs]


# ---- a cycle


def test_a_cycle_is_one_batch_of_readings_in_the_order_of_asking() -> None:
    async def scenario() -> None:
        async with Box(buses=[FakeBus()], meters=3, limits=LAZY) as box:
            await box.pass_s(2.5)
            await eventually(lambda: len(box.link.batches()) == 2)

            first, second = box.link.batches()
            at = SEALED_MS + CYCLE_MS
            assert taken([first]) == [(f"b0-m{unit}", at) for unit in (1, 2, 3)]
            assert taken([second]) == [(f"b0-m{unit}", at + CYCLE_MS) for unit in (1, 2, 3)]
            assert [(b.sequence, b.clock, b.sealed_at_ms) for b in (first, second)] == [
                (1, "synced", at),
                (2, "synced", at + CYCLE_MS),
            ]
            assert box.keeper.polled == 6

    asyncio.run(scenario())


def test_nothing_is_sent_before_it_is_on_disk() -> None:
    async def scenario() -> None:
        async with Box(buses=[FakeBus()]) as box:
            box.spool.stalled.add("append")
            await box.pass_s(1.2)
            await eventually(lambda: "append" in box.spool.calls)
            await a_while()
            assert box.link.batches() == []

            box.spool.go_on()
            await eventually(lambda: box.sent() == [1])

    asyncio.run(scenario())


def test_readings_of_a_slow_bus_are_sealed_before_its_cycle_ends() -> None:
    async def scenario() -> None:
        bus = SlowBus()
        async with Box(buses=[bus], meters=3) as box:
            await box.pass_s(1)
            bus.allowed.release()
            await eventually(lambda: len(box.link.batches()) == 1)
            assert taken(box.link.batches()) == [("b0-m1", SEALED_MS + CYCLE_MS)]

            bus.allowed.release()
            bus.allowed.release()
            await eventually(lambda: box.keeper.polled == 3)

    asyncio.run(scenario())


def test_a_batch_waits_a_second_for_its_cycle_to_end() -> None:
    assert Limits().flush_s == 1.0

    async def scenario() -> None:
        bus = SlowBus()
        async with Box(buses=[bus], meters=2, limits=LAZY) as box:
            await box.pass_s(1)
            bus.allowed.release()
            await a_while()
            assert "append" not in box.spool.calls

            bus.allowed.release()
            await eventually(lambda: len(box.link.batches()) == 1)
            assert len(taken(box.link.batches())) == 2

    asyncio.run(scenario())


def test_several_buses_share_one_sequence_without_a_hole() -> None:
    async def scenario() -> None:
        async with Box(buses=[FakeBus(), FakeBus(), FakeBus()], meters=2) as box:
            await box.pass_s(3.5)
            await eventually(lambda: box.keeper.polled == 18)

            batches = on_disk(box)
            assert [batch.sequence for batch in batches] == list(range(1, len(batches) + 1))
            assert sorted(set(taken(batches))) == sorted(
                (f"b{bus}-m{unit}", SEALED_MS + cycle * CYCLE_MS)
                for bus in range(3)
                for unit in (1, 2)
                for cycle in (1, 2, 3)
            )
            assert len(taken(batches)) == 18

    asyncio.run(scenario())


def test_a_bus_that_hangs_delays_no_other() -> None:
    async def scenario() -> None:
        async with Box(buses=[SlowBus(), FakeBus()], meters=1) as box:
            await box.pass_s(3.5)
            await eventually(lambda: box.keeper.polled == 3)

    asyncio.run(scenario())


def test_a_slow_disk_delays_no_poll() -> None:
    async def scenario() -> None:
        bus = FakeBus()
        async with Box(buses=[bus], meters=1) as box:
            box.spool.stalled.add("append")
            await box.pass_s(3.5)
            assert len(bus.asked) == 3

            box.spool.go_on()
            await eventually(lambda: box.keeper.polled == 3)

    asyncio.run(scenario())


def test_a_fleet_that_changes_while_the_box_stops_starts_nothing() -> None:
    async def scenario() -> None:
        bus = FakeBus()
        async with Box(buses=[bus], meters=1, drain_s=0.2) as box:
            await box.pass_s(1.5)
            box.stopping.set()
            await a_while()
            await box.agent.change_buses([], 0.1)
        asked = len(bus.asked)
        await a_while()
        assert len(bus.asked) == asked

    asyncio.run(scenario())


def test_a_bus_that_hangs_is_noticed_and_no_other_is() -> None:
    async def scenario() -> None:
        async with Box(buses=[SlowBus(), FakeBus()], meters=1) as box:
            await box.pass_s(2)
            assert box.pulse.hanging() == ()

            for _ in range(4):
                box.clock.pass_ms(100_000)
                await a_while()
            assert box.pulse.hanging() == ("tcp://h0",)

    asyncio.run(scenario())


# ---- aligned


def test_polls_start_at_the_full_cycle_whatever_the_last_one_took() -> None:
    async def scenario() -> None:
        clock, bus = BoxClock(now_ms=SEALED_MS + 300), FakeBus()
        bus.on_read = lambda: clock.pass_ms(170)
        async with Box(buses=[bus], meters=2, clock=clock, limits=LAZY) as box:
            await box.pass_s(2.5)
            await eventually(lambda: len(box.link.batches()) == 3)

            late = [b.readings[0].at_ms - 170 - SEALED_MS for b in box.link.batches()]
            assert [ms // CYCLE_MS for ms in late] == [1, 2, 3]
            assert all(ms % CYCLE_MS < 100 for ms in late)  # the test's clock moves so roughly

    asyncio.run(scenario())


def test_an_overrun_is_said_when_it_begins_and_when_it_ends() -> None:
    async def scenario() -> None:
        clock, bus = BoxClock(), FakeBus()
        takes = [1_200, 1_200, 10, 10]
        bus.on_read = lambda: clock.pass_ms(takes.pop(0) if takes else 10)
        with structlog.testing.capture_logs() as logs:
            async with Box(buses=[bus], meters=1, clock=clock) as box:
                await box.pass_s(5)
                await eventually(lambda: box.keeper.polled >= 4)

        said = [one for one in logs if one["event"] in {"bus.overrun", "bus.in_time"}]
        assert said == [
            {
                "event": "bus.overrun",
                "log_level": "warning",
                "bus": "tcp://h0",
                "missed": 1,
                "took_s": 1.2,
                "needs_s": 1.2,
                "has_s": 1.0,
            },
            {"event": "bus.in_time", "log_level": "info", "bus": "tcp://h0"},
        ]

    asyncio.run(scenario())


def test_a_clock_that_is_set_forward_is_no_overrun() -> None:
    async def scenario() -> None:
        clock, bus = BoxClock(), FakeBus()
        bus.on_read = lambda: clock.set_to(SEALED_MS + 30 * DAY_MS)
        with structlog.testing.capture_logs() as logs:
            async with Box(buses=[bus], meters=1, clock=clock) as box:
                await box.pass_s(1)
                await eventually(lambda: box.keeper.polled == 1)

        assert "bus.overrun" not in events(logs)

    asyncio.run(scenario())


def test_a_clock_that_is_set_back_leaves_no_bus_asleep() -> None:
    async def scenario() -> None:
        clock, bus = BoxClock(), FakeBus()
        async with Box(buses=[bus], meters=1, clock=clock) as box:
            await box.pass_s(1.5)
            clock.set_to(SEALED_MS - DAY_MS + 1)
            await box.pass_s(2.5)
            await eventually(lambda: len(bus.asked) == 3)

            times = [at for _meter, at in taken(on_disk(box))]
            assert times[-1] - (SEALED_MS - DAY_MS) in range(2_000, 2_100)

    asyncio.run(scenario())


@pytest.mark.parametrize(("cycle_ms", "asked"), [(60_000, 1), (10_000, 0)])
def test_with_a_long_cycle_the_first_one_begins_at_once(cycle_ms: int, asked: int) -> None:
    async def scenario() -> None:
        clock, bus = BoxClock(now_ms=SEALED_MS - SEALED_MS % 60_000 + 7_000), FakeBus()
        async with Box(buses=[bus], meters=1, clock=clock, cycle_ms=cycle_ms) as box:
            await a_while()
            assert len(bus.asked) == asked

            await box.pass_s(52.5)  # to just before the full minute
            before = len(bus.asked)
            await box.pass_s(1)
            assert len(bus.asked) == before + 1

    asyncio.run(scenario())


# ---- meters


def test_a_meters_silence_is_said_when_it_begins_and_when_it_ends_and_stands_in_the_state() -> None:
    async def scenario() -> None:
        bus = FakeBus()
        with structlog.testing.capture_logs() as logs:
            async with Box(buses=[bus], meters=2) as box:
                bus.wrong[2] = lambda: MeterSilent("nothing came")
                await box.pass_s(2.5)
                await eventually(lambda: box.link.states()[-1].meters.get("b0-m2"))
                silent = box.link.states()[-1].meters
                assert silent["b0-m2"].fault == Fault.TIMEOUT
                assert silent["b0-m1"].fault is None

                bus.wrong.clear()
                await box.pass_s(10)
                await eventually(lambda: box.link.states()[-1].meters["b0-m2"].fault is None)

        said = [one["event"] for one in logs if one["event"].startswith("meter.")]
        assert said == ["meter.faulty", "meter.well"]

    asyncio.run(scenario())


def test_the_state_says_how_a_meter_is_connected_and_what_its_bus_needs() -> None:
    """Ratio and sign are applied once, at the edge, and whoever looks can see it."""

    async def scenario() -> None:
        clock, bus = BoxClock(), FakeBus()
        bus.on_read = lambda: clock.pass_ms(30)
        ratio = {"ct": 80, "pt": 1, "applied_by": "gateway"}
        entry = {"ratio": ratio, "direction": "export"}
        async with Box(buses=[bus], meters=2, clock=clock, entry=entry) as box:
            await box.pass_s(2.5)
            box.publisher.state_changed()
            await eventually(lambda: box.link.states()[-1].buses[0].needs_s)

            state = box.link.states()[-1]
            assert state.meters["b0-m1"].ratio == RatioApplied(ct=80, pt=1, applied_by="gateway")
            assert state.meters["b0-m1"].direction == "export"
            (health,) = state.buses
            assert (health.url, health.cycle_s, health.has_s) == ("tcp://h0", 1.0, 1.0)
            assert (health.needs_s, health.missed, health.crowded) == (0.06, 0, False)

    asyncio.run(scenario())


def test_what_was_learnt_is_kept_and_a_disk_that_refuses_it_stops_nothing() -> None:
    async def scenario() -> None:
        bus = FakeBus()
        bus.words = {(1, 90): 7001, (2, 90): 7002}
        model = {**MODEL, "identity": {"serial": {"address": 90, "format": "uint16"}}}
        async with Box(buses=[bus], meters=2, model=model) as box:
            box.memory.refuses = True
            await box.pass_s(2.5)
            await eventually(lambda: box.publisher.keeper.polled == 4)
            assert box.memory.kept.identities == {}

            box.memory.refuses = False
            await eventually(lambda: len(box.memory.kept.identities) == 2)
            assert box.memory.kept.identities["b0-m1"] == {"serial": "7001"}
            assert box.link.states()[-1].meters["b0-m1"].identity == {"serial": "7001"}

    asyncio.run(scenario())


def test_while_a_disk_refuses_a_meter_that_changed_is_said_once() -> None:
    """What waits in memory is tried again each second; it is no news each time."""

    async def scenario() -> None:
        bus = FakeBus()
        with structlog.testing.capture_logs() as logs:
            async with Box(buses=[bus], meters=1) as box:
                box.spool.wrong["append"] = SpoolFull("no room")
                await box.pass_s(1.5)
                bus.wrong[1] = lambda: MeterSilent("nothing came")
                await box.pass_s(1.5)
                tried = box.spool.calls.count("append")
                await eventually(lambda: box.spool.calls.count("append") > tried + 3)

        assert events(logs).count("meter.faulty") == 1
        assert "meter.well" not in events(logs)

    asyncio.run(scenario())


# ---- a disk that refuses


@pytest.mark.parametrize("error", [SpoolFull("no room"), SpoolBusy("locked")])
@pytest.mark.parametrize("clock", [ClockState.SYNCED, ClockState.UNSYNCED])
def test_what_a_disk_refuses_waits_in_memory_and_is_kept_later(
    error: Exception, clock: ClockState
) -> None:
    method = "append" if clock is ClockState.SYNCED else "keep_unsealed"

    async def scenario() -> None:
        bus = FakeBus()
        async with Box(buses=[bus], meters=2, vouched=clock) as box:
            box.spool.wrong[method] = error
            await box.pass_s(3.5)
            await eventually(lambda: box.spool.calls.count(method) > 3)
            assert len(bus.asked) == 6
            assert (box.keeper.polled, box.keeper.forgotten) == (0, 0)

            del box.spool.wrong[method]
            await eventually(lambda: box.keeper.polled == 6)
            if clock is ClockState.SYNCED:
                kept = taken(on_disk(box))
            else:
                kept = [(u.reading.meter, u.reading.at_ms) for u in box.spool.unsealed(100)]
            assert kept == [
                (f"b0-m{unit}", SEALED_MS + n * CYCLE_MS) for n in (1, 2, 3) for unit in (1, 2)
            ]
            assert box.keeper.forgotten == 0

    asyncio.run(scenario())


def test_what_memory_cannot_hold_is_forgotten_the_oldest_first_counted_and_said() -> None:
    async def scenario() -> None:
        small = Limits(held=4, flush_s=0.01, look_s=0.002)
        async with Box(buses=[FakeBus()], meters=2, limits=small) as box:
            box.spool.wrong["append"] = SpoolFull("no room")
            await box.pass_s(5.5)
            await eventually(lambda: box.keeper.forgotten == 6)
            await eventually(lambda: box.link.states()[-1].forgotten == 6)

            box.spool.wrong.clear()
            await eventually(lambda: box.keeper.polled == 4)
            assert taken(on_disk(box)) == [
                (f"b0-m{unit}", SEALED_MS + n * CYCLE_MS) for n in (4, 5) for unit in (1, 2)
            ]

    asyncio.run(scenario())


def test_of_readings_that_need_two_batches_the_first_is_kept_once_though_the_second_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateways.spool.seal.SEALED_LIMIT", 300)  # two readings at most

    async def scenario() -> None:
        async with Box(buses=[FakeBus()], meters=4, limits=LAZY) as box:
            box.agent._limits = Limits(flush_s=0.01, look_s=0.002)
            after_one = box.spool.append

            def append(sealed, **named):
                if sealed.key.sequence > 1:
                    raise SpoolFull("no room")
                return after_one(sealed, **named)

            box.spool.append = append
            await box.pass_s(1.1)
            await eventually(lambda: box.keeper.polled)
            await a_while()
            del box.spool.append
            await eventually(lambda: box.keeper.polled == 4)

            kept = taken(on_disk(box))
            assert kept == [(f"b0-m{unit}", SEALED_MS + CYCLE_MS) for unit in (1, 2, 3, 4)]

    asyncio.run(scenario())


def test_a_refusal_is_logged_when_it_begins_and_when_it_ends() -> None:
    async def scenario() -> None:
        with structlog.testing.capture_logs() as logs:
            async with Box(buses=[FakeBus()], meters=1) as box:
                box.spool.wrong["append"] = SpoolFull("no room for batch 1")
                await box.pass_s(1.5)
                await eventually(lambda: box.spool.calls.count("append") > 3)
                box.spool.wrong.clear()
                await eventually(lambda: box.keeper.polled == 1)

        said = [one for one in logs if one["event"].startswith("spool.")]
        assert said == [
            {
                "event": "spool.refuses",
                "log_level": "warning",
                "what": "append",
                "error": "no room for batch 1",
            },
            {"event": "spool.takes_again", "log_level": "info", "what": "append"},
        ]

    asyncio.run(scenario())


# ---- the end


def test_at_the_end_a_poll_under_way_is_cut_and_what_it_brought_is_kept() -> None:
    async def scenario() -> None:
        bus = SlowBus()
        async with Box(buses=[bus], meters=2, limits=LAZY, drain_s=0.05) as box:
            await box.pass_s(1)
            bus.allowed.release()
            await a_while()
            await box.stop()

            assert taken(on_disk(box)) == [("b0-m1", SEALED_MS + CYCLE_MS)]
            assert box.keeper.forgotten == 0

    asyncio.run(scenario())


def test_what_is_being_kept_when_the_end_comes_is_kept_and_known() -> None:
    async def scenario() -> None:
        async with Box(buses=[FakeBus(), FakeBus()], meters=1, drain_s=0.5) as box:
            box.spool.stalled.add("append")
            await box.pass_s(1.5)
            await eventually(lambda: "append" in box.spool.calls)
            box.stopping.set()
            await a_while()
            box.spool.go_on()
            await box.stop()

            assert len(on_disk(box)) == box.sender.backlog() == 2
            assert box.link.states()[-1].epochs[-1].next == 3

    asyncio.run(scenario())


def test_what_no_disk_takes_at_the_end_is_counted_in_the_last_state() -> None:
    async def scenario() -> None:
        async with Box(buses=[FakeBus()], meters=2) as box:
            box.spool.wrong["append"] = SpoolBusy("locked")
            await box.pass_s(1.5)
            await box.stop()

            assert box.link.states()[-1].forgotten == 2

    asyncio.run(scenario())


def test_a_gateway_without_a_bus_lives_and_ends() -> None:
    async def scenario() -> None:
        async with Box(buses=[]) as box:
            await eventually(box.link.states)

    asyncio.run(scenario())


class Absurd(Exception):
    pass


def absurd() -> Exception:
    return Absurd("nobody expected this")


def break_bus(box: Box) -> None:
    box.buses[0].wrong[1] = absurd


def break_spool(box: Box) -> None:
    box.spool.wrong["append"] = absurd()


def break_mark(box: Box) -> None:
    box.spool.wrong["mark"] = absurd()
    box.hear(committed(box.epoch, 0, generation=1))
    box.hear(committed(box.epoch, 0, generation=2))


def break_commit(box: Box) -> None:
    def fail(*_arguments: object) -> None:
        raise absurd()

    box.sender.commit = fail
    box.hear(committed(box.epoch, 0))


@pytest.mark.parametrize("break_it", [break_bus, break_spool, break_mark, break_commit])
def test_what_nobody_expected_ends_the_process(break_it: Callable[[Box], None]) -> None:
    async def scenario() -> None:
        box = Box(buses=[FakeBus()])
        await box.__aenter__()
        break_it(box)
        await box.pass_s(1.2)
        with pytest.raises(BaseExceptionGroup) as ended:
            async with asyncio.timeout(5):
                await box.running
        assert ended.group_contains(Absurd)
        await a_while()

    asyncio.run(scenario())


# ---- the time


def test_while_nobody_vouches_for_the_clock_readings_wait_unsealed_and_nothing_is_sent() -> None:
    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        async with Box(
            buses=[FakeBus()], meters=2, clock=clock, vouched=ClockState.UNSYNCED
        ) as box:
            await box.pass_s(3.5)
            await eventually(lambda: box.keeper.unsealed == 6)

            waiting = box.spool.unsealed(10)
            assert [u.monotonic_ms for u in waiting] == [51_000] * 2 + [52_000] * 2 + [53_000] * 2
            assert {u.boot for u in waiting} == {"boot-1"}
            assert (box.link.batches(), on_disk(box)) == ([], [])
            await box.stop()
            state = box.link.states()[-1]
            assert (state.spool.unsealed, state.clock, state.polled) == (6, "unsynced", 6)

    asyncio.run(scenario())


def ntp(box: Box) -> str:
    box.clock.set_to(SEALED_MS + 4_000)
    box.vouched = ClockState.SYNCED
    return "synced"


def trusted_rtc(box: Box) -> str:
    box.clock.set_to(SEALED_MS + 4_000)
    box.vouched = ClockState.RTC
    return "rtc"


def fresh_commit(box: Box) -> str:
    box.hear(committed(box.epoch, 0, now_ms=SEALED_MS, retained=True))
    box.hear(committed(box.epoch, 0, now_ms=SEALED_MS + 4_000))
    return "commit"


@pytest.mark.parametrize("somebody_vouches", [ntp, trusted_rtc, fresh_commit])
def test_when_somebody_vouches_they_are_stamped_anew_and_sealed_once_each_in_order(
    somebody_vouches: Callable[[Box], str],
) -> None:
    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        async with Box(
            buses=[FakeBus()], meters=2, clock=clock, vouched=ClockState.UNSYNCED
        ) as box:
            await box.pass_s(3)
            await eventually(lambda: box.keeper.unsealed == 6)
            clock.pass_ms(500)

            word = somebody_vouches(box)  # it is SEALED_MS + 4.0 s now, 3.5 s after the start
            await eventually(lambda: box.keeper.unsealed == 0 and box.keeper.polled == 6)
            await eventually(box.link.batches)

            assert taken(on_disk(box)) == [
                (f"b0-m{unit}", SEALED_MS + 500 + n * 1_000) for n in (1, 2, 3) for unit in (1, 2)
            ]
            assert {batch.clock for batch in box.link.batches()} == {word}
            assert box.spool.unsealed(10) == []
            await box.stop()
            assert box.link.states()[-1].spool.unsealed == 0

    asyncio.run(scenario())


def test_a_retained_commit_does_not_tell_the_time() -> None:
    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        async with Box(buses=[FakeBus()], clock=clock, vouched=ClockState.UNSYNCED) as box:
            await box.pass_s(1.5)
            clock.pass_ms(60_000)  # a broker's memory is no younger for having been up long
            box.hear(committed(box.epoch, 0, now_ms=SEALED_MS, retained=True))
            await a_while()

            assert box.time.state is ClockState.UNSYNCED
            assert box.link.batches() == []

    asyncio.run(scenario())


def test_a_commit_that_the_broker_queued_while_we_were_away_does_not_tell_the_time() -> None:
    """Mosquitto hands out a session's queue first, without the retained flag, then the retained."""

    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        async with Box(buses=[FakeBus()], clock=clock, vouched=ClockState.UNSYNCED) as box:
            await eventually(box.link.words)
            box.hear(committed(box.epoch, 0, now_ms=SEALED_MS - 2 * DAY_MS))
            box.hear(committed(box.epoch, 0, now_ms=SEALED_MS - DAY_MS))
            box.hear(committed(box.epoch, 0, now_ms=SEALED_MS - DAY_MS, retained=True))
            await eventually(lambda: len(box.link.acknowledged) == 3)
            assert box.time.state is ClockState.UNSYNCED

            box.hear(committed(box.epoch, 0, now_ms=SEALED_MS))
            await eventually(lambda: box.time.state is ClockState.COMMIT)
            assert box.time.now_ms() == SEALED_MS

    asyncio.run(scenario())


def test_each_connection_has_a_queue_of_its_own_to_be_empty_first() -> None:
    async def scenario() -> None:
        async with Box(clock=BoxClock(now_ms=0), vouched=ClockState.UNSYNCED) as box:
            box.hear(committed(box.epoch, 0, now_ms=SEALED_MS - DAY_MS, retained=True))
            box.disconnect()
            box.connect()
            box.hear(committed(box.epoch, 0, now_ms=SEALED_MS - DAY_MS + 1))
            await eventually(lambda: len(box.link.acknowledged) == 2)

            assert box.time.state is ClockState.UNSYNCED

    asyncio.run(scenario())


def test_where_nothing_is_retained_a_commit_tells_the_time_once_the_queue_is_surely_empty() -> None:
    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        async with Box(clock=clock, vouched=ClockState.UNSYNCED) as box:
            await eventually(box.link.words)
            clock.pass_ms(4_999)
            box.hear(committed(box.epoch, 0, now_ms=SEALED_MS))
            await eventually(lambda: len(box.link.acknowledged) == 1)
            assert box.time.state is ClockState.UNSYNCED

            clock.pass_ms(1)
            box.hear(committed(box.epoch, 0, now_ms=SEALED_MS + 1))
            await eventually(lambda: box.time.state is ClockState.COMMIT)

    asyncio.run(scenario())


def test_a_reading_taken_before_the_clock_was_set_never_leaves_with_that_time() -> None:
    """It waits in memory for its second; NTP sets the clock and vouches for it meanwhile."""

    async def scenario() -> None:
        clock, bus = BoxClock(now_ms=0), SlowBus()
        async with Box(
            buses=[bus], meters=2, clock=clock, vouched=ClockState.UNSYNCED, limits=LAZY
        ) as box:
            await box.pass_s(1)
            bus.allowed.release()
            await a_while()
            clock.pass_ms(200)
            clock.set_to(SEALED_MS)
            box.vouched = ClockState.SYNCED
            bus.allowed.release()
            await eventually(box.link.batches)

            [batch] = box.link.batches()
            assert batch.clock == "synced"
            assert taken([batch]) == [("b0-m1", SEALED_MS - 200), ("b0-m2", SEALED_MS)]

    asyncio.run(scenario())


def test_a_clock_set_between_a_meters_answer_and_its_silence_does_not_make_the_answer_sure() -> (
    None
):
    """A reading is stamped at its last answer; a block that is not answered ends it later."""

    async def scenario() -> None:
        clock, bus = BoxClock(now_ms=0), FakeBus()
        second = {"address": 500, "quantity": "voltage_l2_v"}
        model = MODEL | {"registers": [*MODEL["registers"], second]}
        async with Box(
            buses=[bus], meters=1, model=model, clock=clock, vouched=ClockState.UNSYNCED
        ) as box:

            def be_silent() -> Exception:
                clock.pass_ms(1_000)
                clock.set_to(SEALED_MS)
                box.vouched = ClockState.SYNCED
                return MeterSilent("nothing came")

            bus.refused[1, 500] = be_silent
            await box.pass_s(1)
            await eventually(box.link.batches)

            assert box.link.batches()[0].readings == (
                Reading(
                    meter="b0-m1",
                    at_ms=SEALED_MS - 1_000,
                    values={"voltage_l1_v": 10.0},
                    fault="timeout",
                ),
            )

    asyncio.run(scenario())


def test_a_clock_that_is_set_before_anybody_vouches_for_it_moves_no_reading() -> None:
    async def scenario() -> None:
        clock, bus = BoxClock(now_ms=0), SlowBus()
        async with Box(
            buses=[bus], meters=2, clock=clock, vouched=ClockState.UNSYNCED, limits=LAZY
        ) as box:
            await box.pass_s(1)
            bus.allowed.release()
            await a_while()
            clock.pass_ms(200)
            clock.set_to(SEALED_MS)
            bus.allowed.release()
            await eventually(lambda: box.keeper.unsealed == 2)

            assert [u.monotonic_ms for u in box.spool.unsealed(5)] == [51_000, 51_200]

    asyncio.run(scenario())


def test_since_when_a_meter_is_well_is_said_by_the_right_clock_once_there_is_one() -> None:
    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        async with Box(
            buses=[FakeBus()], meters=1, clock=clock, vouched=ClockState.UNSYNCED
        ) as box:
            await box.pass_s(1)
            await eventually(box.health)
            assert box.health()["b0-m1"].since_ms == 1_000
            clock.set_to(SEALED_MS)
            box.vouched = ClockState.SYNCED

            assert box.health()["b0-m1"].since_ms == SEALED_MS

    asyncio.run(scenario())


def test_readings_that_waited_survive_a_restart_of_the_process() -> None:
    async def scenario() -> None:
        clock, spool = BoxClock(now_ms=0), TroubledSpool()
        box = Box(
            spool=spool, buses=[FakeBus()], meters=1, clock=clock, vouched=ClockState.UNSYNCED
        )
        async with box:
            await box.pass_s(2)
            await eventually(lambda: box.keeper.unsealed == 2)
            await box.kill()
        clock.pass_ms(10_000)
        async with Box(spool=spool, clock=clock, vouched=ClockState.UNSYNCED) as again:
            assert again.keeper.unsealed == 2
            clock.set_to(SEALED_MS)
            again.vouched = ClockState.SYNCED
            await eventually(lambda: again.sent() == [1])

            assert taken(again.link.batches()) == [
                ("b0-m1", SEALED_MS - 11_000),
                ("b0-m1", SEALED_MS - 10_000),
            ]

    asyncio.run(scenario())


def test_what_a_former_boot_left_is_sealed_first_with_its_own_times_and_as_unsure() -> None:
    async def scenario() -> None:
        spool = TroubledSpool()
        before = BoxClock(now_ms=7_000, monotonic_ms=900_000)
        async with Box(
            spool=spool,
            buses=[FakeBus()],
            meters=1,
            clock=before,
            vouched=ClockState.UNSYNCED,
            boot="boot-0",
        ) as box:
            await box.pass_s(2)
            await eventually(lambda: box.keeper.unsealed == 2)
        after = BoxClock(now_ms=0)
        async with Box(
            spool=spool, buses=[FakeBus()], meters=1, clock=after, vouched=ClockState.UNSYNCED
        ) as box:
            await box.pass_s(1)
            await eventually(lambda: box.keeper.unsealed == 3)
            after.set_to(SEALED_MS)
            box.vouched = ClockState.SYNCED
            await eventually(lambda: box.keeper.unsealed == 0)

            unsure, sure = on_disk(box)
            assert (unsure.clock, taken([unsure])) == (
                "unsynced",
                [("b0-m1", 8_000), ("b0-m1", 9_000)],
            )
            assert (sure.clock, taken([sure])) == ("synced", [("b0-m1", SEALED_MS)])

    asyncio.run(scenario())


def test_more_than_can_be_sealed_at_once_is_sealed_in_turns() -> None:
    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        limits = Limits(flush_s=0.01, look_s=0.002, unsealed_at_once=3)
        async with Box(
            buses=[FakeBus()], meters=2, clock=clock, vouched=ClockState.UNSYNCED, limits=limits
        ) as box:
            await box.pass_s(4)
            await eventually(lambda: box.keeper.unsealed == 8)
            ntp(box)
            await eventually(lambda: box.keeper.unsealed == 0)

            assert [len(batch.readings) for batch in on_disk(box)] == [3, 3, 2]

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["unsealed", "append"])
def test_a_disk_that_refuses_while_they_are_sealed_costs_and_doubles_none(method: str) -> None:
    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        limits = Limits(flush_s=0.01, look_s=0.002, unsealed_at_once=2)
        async with Box(
            buses=[FakeBus()], meters=2, clock=clock, vouched=ClockState.UNSYNCED, limits=limits
        ) as box:
            await box.pass_s(2)
            await eventually(lambda: box.keeper.unsealed == 4)
            box.spool.once[method] = SpoolBusy("locked")
            box.vouched = ClockState.SYNCED
            clock.set_to(SEALED_MS)
            await eventually(lambda: box.keeper.unsealed == 0)

            assert taken(on_disk(box)) == [
                (f"b0-m{unit}", SEALED_MS - 1_000 + n * 1_000) for n in (0, 1) for unit in (1, 2)
            ]

    asyncio.run(scenario())


def test_what_waits_for_the_time_is_sealed_at_the_end_if_the_time_has_come() -> None:
    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        async with Box(
            buses=[FakeBus()], meters=1, clock=clock, vouched=ClockState.UNSYNCED, limits=LAZY
        ) as box:
            await box.pass_s(1)
            await eventually(lambda: box.keeper.unsealed == 1)
            ntp(box)
            await box.stop()

            assert box.link.states()[-1].spool.unsealed == 0
            assert len(taken(on_disk(box))) == 1

    asyncio.run(scenario())


def test_the_time_that_was_lost_again_makes_readings_wait_until_it_is_back() -> None:
    async def scenario() -> None:
        async with Box(buses=[FakeBus()], meters=1) as box:
            await box.pass_s(1.5)
            await eventually(lambda: box.sent() == [1])
            box.vouched = ClockState.UNSYNCED
            await box.pass_s(1)
            await eventually(lambda: box.keeper.unsealed == 1)
            assert box.sent() == [1]

            box.vouched = ClockState.SYNCED
            await eventually(lambda: box.sent() == [1, 2])
            assert [at for _meter, at in taken(on_disk(box))] == [
                SEALED_MS + 1_000,
                SEALED_MS + 2_000,
            ]
            assert Ranges.span(1, 2) == box.sender.present.held

    asyncio.run(scenario())
