"""The keeper on fakes: what shares a step of the disk, and what a disk that refuses makes of it."""

import asyncio
from collections.abc import Iterator

import pytest
from msgspec import structs

from gateways.spool.group import Portion
from gateways.spool.port import Dropped, SpoolBusy, SpoolFull
from gateways.spool.seal import Sealer
from metering.batch import BatchKey, ClockState, Sealed
from metering.delivery.ranges import Ranges
from metering.reading import Reading
from tests.fakes.box import PATIENT, Box, TroubledSpool, a_while, eventually
from tests.fakes.link import GATEWAY, committed

SEALER = Sealer(GATEWAY)
REFUSALS = [SpoolFull("no room"), SpoolBusy("locked")]


class CountedSpool(TroubledSpool):
    """Counts the steps of the disk, and may take only so many batches in one.

    Attributes:
        steps: sequences kept in each step, and whether a mark was among them.
    """

    def __init__(self, most: int = 1_000) -> None:
        super().__init__()
        self.steps: list[tuple[list[int], bool]] = []
        self.most = most
        self._step: tuple[list[int], bool] = ([], False)

    def at_once(self, write) -> Dropped:
        self._step = ([], False)
        super().at_once(write)
        self.steps.append(self._step)
        return {}

    def append(self, sealed: Sealed, **named) -> Dropped:
        if len(self._step[0]) >= self.most:
            raise SpoolFull("no room for so many")
        super().append(sealed, **named)
        self._step[0].append(sealed.key.sequence)
        return {}

    def mark(self, *word) -> None:
        super().mark(*word)
        self._step = (self._step[0], True)


async def keep(box: Box, batches: int = 1) -> int:
    """A bus brings so many batches of one reading."""

    def seal(after: BatchKey) -> Iterator[Portion]:
        for number in range(batches):
            key = BatchKey(after.epoch, after.sequence + number)
            reading = Reading(meter="m1", at_ms=key.sequence, values={"active_power_kw": 1.5})
            [(sealed, count)] = SEALER.seal(
                [reading], key, at_ms=box.clock.now_ms(), clock=ClockState.SYNCED
            )
            yield Portion(sealed=sealed, readings=count)

    return await box.keeper.keep(seal, box.clock.now_ms())


async def keep_while_busy(box: Box, buses: int, batches: int = 1) -> list[int]:
    """One bus's batch is on its way to a slow disk while others bring theirs."""
    box.spool.stalled.add("append")
    first = asyncio.create_task(keep(box))
    await eventually(lambda: "append" in box.spool.calls)
    others = [asyncio.create_task(keep(box, batches)) for _ in range(buses)]
    await a_while()
    box.spool.go_on()
    return [await one for one in (first, *others)]


def test_what_several_buses_bring_while_the_disk_is_at_work_goes_to_it_in_one_step() -> None:
    async def scenario() -> None:
        async with Box(spool=CountedSpool()) as box:
            assert await keep_while_busy(box, buses=3) == [1, 1, 1, 1]

            assert box.spool.steps == [([1], False), ([2, 3, 4], False)]
            await eventually(lambda: sorted(box.sent()) == [1, 2, 3, 4])

    asyncio.run(scenario())


def test_of_a_group_that_does_not_fit_the_first_are_kept_and_the_rest_told() -> None:
    async def scenario() -> None:
        async with Box(spool=CountedSpool(most=2)) as box:
            assert await keep_while_busy(box, buses=2, batches=2) == [1, 2, 2]
            assert box.spool.steps == [([n], False) for n in (1, 2, 3, 4, 5)]

            box.spool.wrong["append"] = SpoolFull("no room at all")
            assert await keep_while_busy(box, buses=2) == [0, 0, 0]
            assert box.sender.present.next == 6

    asyncio.run(scenario())


def test_where_the_operator_chose_so_readings_wait_for_those_of_other_buses() -> None:
    async def scenario() -> None:
        policy = structs.replace(PATIENT, group_s=0.1)
        async with Box(spool=CountedSpool(), policy=policy) as box:
            first = asyncio.create_task(keep(box))
            await asyncio.sleep(0.02)
            second = asyncio.create_task(keep(box))
            await asyncio.sleep(0.02)
            assert box.spool.steps == []
            assert box.sent() == []  # never before it is on disk

            assert [await first, await second] == [1, 1]
            assert box.spool.steps == [([1, 2], False)]
            assert [await keep(box)] == [1]
            assert box.spool.steps == [([1, 2], False), ([3], False)]
            await eventually(lambda: box.sent() == [1, 2, 3])

    asyncio.run(scenario())


def test_at_the_end_no_group_waits_any_more() -> None:
    async def scenario() -> None:
        async with Box(spool=CountedSpool(), policy=structs.replace(PATIENT, group_s=60)) as box:
            waiting = asyncio.create_task(keep(box))
            await a_while()
            assert box.spool.steps == []

            box.stopping.set()
            assert await asyncio.wait_for(waiting, 2) == 1
            assert await asyncio.wait_for(keep(box), 2) == 1

    asyncio.run(scenario())


def test_the_word_of_commits_rides_with_the_next_batch() -> None:
    async def scenario() -> None:
        async with Box(
            spool=CountedSpool(), policy=structs.replace(PATIENT, mark_every_s=0.2)
        ) as box:
            await keep(box, 2)
            box.hear(committed(box.epoch, 2))
            await eventually(lambda: box.sender.backlog() == 0)
            await asyncio.sleep(0.25)
            assert box.spool.calls.count("mark") == 0

            await keep(box)
            await keep(box)
            assert box.spool.steps == [([1, 2], False), ([3], True), ([4], False)]
            assert box.spool.books()[-1].committed == Ranges.span(1, 2)

    asyncio.run(scenario())


def test_where_no_batch_comes_the_word_goes_alone_at_last() -> None:
    async def scenario() -> None:
        async with Box(policy=structs.replace(PATIENT, mark_every_s=0.01)) as box:
            await keep(box, 2)
            box.hear(committed(box.epoch, 2))
            await eventually(lambda: box.spool.books()[-1].committed == Ranges.span(1, 2))

    asyncio.run(scenario())


@pytest.mark.parametrize("error", REFUSALS)
def test_a_word_that_the_disk_refuses_costs_no_batch(error: Exception) -> None:
    async def scenario() -> None:
        async with Box(
            spool=CountedSpool(), policy=structs.replace(PATIENT, mark_every_s=0.05)
        ) as box:
            await keep(box)
            box.hear(committed(box.epoch, 1))
            await eventually(lambda: box.sender.backlog() == 0)
            await asyncio.sleep(0.1)
            box.spool.wrong["mark"] = error

            assert await keep(box, 2) == 2
            assert box.spool.steps == [([1], False), ([2], False), ([3], False)]

    asyncio.run(scenario())


def test_what_is_old_is_pruned_rarely_and_what_is_too_much_at_once() -> None:
    async def scenario() -> None:
        policy = structs.replace(PATIENT, keep_ms=0, size_limit=2_000, prune_every_s=0.02)
        async with Box(policy=policy) as box:
            await eventually(lambda: "prune" in box.spool.calls)
            marks = box.spool.calls.count("mark")
            await keep(box, 2)
            box.hear(committed(box.epoch, 2))
            await eventually(lambda: box.sender.backlog() == 0)
            box.clock.pass_ms(1_000)
            rounds = box.spool.calls.count("prune")
            await eventually(lambda: box.spool.calls.count("prune") > rounds + 5)
            assert len(box.sender.present.held) == 2
            assert box.spool.calls.count("mark") == marks

            await keep(box, 20)
            await eventually(lambda: len(box.sender.present.held) < 20)

    asyncio.run(scenario())
