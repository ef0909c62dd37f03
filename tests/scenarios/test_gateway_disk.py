"""A gateway on its real spool while the disk has its troubles: it polls on and names its losses."""

import asyncio
from contextlib import closing
from pathlib import Path

from gateways.adapters.sqlite import SqliteSpool
from metering.batch import Batch, BatchKey, ClockState
from metering.delivery.ranges import Ranges
from metering.wire import decode_batch
from tests.fakes.box import CYCLE_MS, Box, BoxClock, eventually
from tests.fakes.bus import FakeBus
from tests.fakes.link import SEALED_MS

PAGE = 512


def on_disk(folder: Path) -> list[Batch]:
    """What a new process would find, the oldest first."""
    with closing(SqliteSpool(folder)) as spool:
        keys = [
            BatchKey(book.epoch, sequence)
            for book in spool.books()
            for sequence in book.held.ascending()
        ]
        batches = [spool.load(key) for key in keys]
    return [decode_batch(batch.payload) for batch in batches if batch is not None]


def times(batches: list[Batch]) -> list[int]:
    return [reading.at_ms for batch in batches for reading in batch.readings]


def cycles(first: int, last: int) -> list[int]:
    return [SEALED_MS + n * CYCLE_MS for n in range(first, last + 1)]


def test_while_the_spool_may_not_be_written_readings_wait_in_memory(tmp_path: Path) -> None:
    """Worn flash goes read-only before it dies."""

    async def scenario() -> None:
        spool, bus = SqliteSpool(tmp_path), FakeBus()
        async with Box(spool=spool, buses=[bus], meters=1) as box:
            await box.pass_s(2)
            await eventually(lambda: box.keeper.polled == 2)
            spool._sql.execute("PRAGMA query_only=ON")
            await box.pass_s(3)
            assert (len(bus.asked), box.keeper.polled) == (5, 2)
            spool._sql.execute("PRAGMA query_only=OFF")
            await eventually(lambda: box.keeper.polled == 5)
            assert box.keeper.forgotten == 0

    asyncio.run(scenario())
    assert times(on_disk(tmp_path)) == cycles(1, 5)


def test_on_a_full_disk_the_oldest_batches_go_and_are_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        spool, bus = SqliteSpool(tmp_path), FakeBus()
        (pages,) = spool._sql.execute("PRAGMA page_count").fetchone()
        spool._sql.execute(f"PRAGMA max_page_count={pages + 8}")
        async with Box(spool=spool, buses=[bus], meters=20) as box:
            await box.pass_s(12)
            await eventually(lambda: box.keeper.polled == 240)
            assert box.keeper.forgotten == 0
            present = box.sender.present
            assert present.dropped == Ranges.span(1, present.dropped.highest) != Ranges()
            assert present.held == Ranges.span(present.dropped.highest + 1, present.next - 1)
            await box.stop()
            state = box.link.states()[-1].epochs[-1]
            assert state.oldest == state.dropped[0].last + 1

    asyncio.run(scenario())
    assert times(on_disk(tmp_path))[-1] == SEALED_MS + 12 * CYCLE_MS


def test_on_a_disk_that_is_full_of_what_cannot_go_readings_wait_in_memory(tmp_path: Path) -> None:
    async def scenario() -> None:
        spool, bus, clock = SqliteSpool(tmp_path), FakeBus(), BoxClock(now_ms=0)
        (pages,) = spool._sql.execute("PRAGMA page_count").fetchone()
        spool._sql.execute(f"PRAGMA max_page_count={pages + 24}")
        async with Box(
            spool=spool, buses=[bus], meters=20, clock=clock, vouched=ClockState.UNSYNCED
        ) as box:
            await box.pass_s(12)
            await eventually(lambda: len(bus.asked) == 240)
            kept = box.keeper.polled
            assert 0 < kept < 240

            spool._sql.execute("PRAGMA max_page_count=100000")
            await eventually(lambda: box.keeper.polled == 240)
            clock.set_to(SEALED_MS + 12_000)
            box.vouched = ClockState.SYNCED
            await eventually(lambda: box.keeper.unsealed == 0)
            assert box.keeper.forgotten == 0

    asyncio.run(scenario())
    assert times(on_disk(tmp_path)) == [at for at in cycles(1, 12) for _meter in range(20)]


def test_a_file_that_is_damaged_under_a_running_gateway_costs_what_was_on_the_page(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        spool, bus = SqliteSpool(tmp_path), FakeBus()
        async with Box(spool=spool, buses=[bus], meters=20, is_up=False) as box:
            await box.pass_s(8)
            await eventually(lambda: box.keeper.polled == 160)
            damage(spool, BatchKey(box.epoch, 3))
            await box.pass_s(2)
            await eventually(lambda: box.keeper.polled == 200)
            box.connect()
            await eventually(lambda: box.link.states() and box.link.states()[-1].spool.corrupt)

            assert box.keeper.forgotten == 0
            present = box.sender.present
            lost = present.dropped
            assert 3 in lost
            assert len(lost) < 8
            assert present.held == Ranges.span(1, present.next - 1) - lost
            box.publisher.state_changed()
            await eventually(lambda: box.link.states()[-1].epochs[-1].next == present.next)
            held = box.link.states()[-1].epochs[-1]
            assert Ranges.from_wire(held.dropped) == lost
            # What is left goes out, and the books on disk agree.
            await eventually(lambda: set(box.sent()) == set(present.held.ascending()))
            (kept,) = (book for book in spool.books() if book.epoch == box.epoch)
            assert (kept.held, kept.dropped, kept.next) == (present.held, lost, present.next)

    def damage(spool: SqliteSpool, third: BatchKey) -> None:
        spool._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        query = "SELECT rootpage FROM sqlite_schema WHERE name='batch_key'"
        (index,) = spool._sql.execute(query).fetchone()
        batch = spool.load(third)
        assert batch is not None
        spool._sql.execute("PRAGMA shrink_memory")  # so that the pages are read anew
        row = (tmp_path / "spool.sqlite").read_bytes().index(batch.digest.encode())
        with (tmp_path / "spool.sqlite").open("r+b") as file:
            for page in (index - 1, row // PAGE):
                file.seek(page * PAGE)
                file.write(b"\xa5" * PAGE)

    asyncio.run(scenario())
    assert times(on_disk(tmp_path))[-20:] == cycles(10, 10) * 20


def test_readings_without_a_time_outlive_a_power_cut_of_the_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = BoxClock(now_ms=0)
        async with Box(
            spool=SqliteSpool(tmp_path),
            buses=[FakeBus()],
            meters=1,
            clock=clock,
            vouched=ClockState.UNSYNCED,
        ) as box:
            await box.pass_s(3)
            await eventually(lambda: box.keeper.unsealed == 3)
            await box.kill()
        clock.pass_ms(7_000)
        async with Box(
            spool=SqliteSpool(tmp_path), clock=clock, vouched=ClockState.UNSYNCED
        ) as box:
            assert box.keeper.unsealed == 3
            clock.set_to(SEALED_MS + 10_000)
            box.vouched = ClockState.SYNCED
            await eventually(lambda: box.sent() == [1])
            assert box.keeper.unsealed == 0

    asyncio.run(scenario())
    [batch] = on_disk(tmp_path)
    assert (batch.clock, times([batch])) == ("synced", cycles(1, 3))
