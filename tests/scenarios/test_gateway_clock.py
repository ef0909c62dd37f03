"""A box without a battery wakes up in 1970: what it read before it learned the time."""

import asyncio
from pathlib import Path

from gateways.adapters.sqlite import SqliteSpool
from metering.batch import ClockState
from tests.fakes.box import CYCLE_MS, Box, BoxClock, eventually
from tests.fakes.bus import FakeBus
from tests.fakes.link import SEALED_MS


def test_a_box_that_wakes_up_in_1970_never_sends_a_reading_from_1970(tmp_path: Path) -> None:
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
            assert box.link.batches() == []

            clock.set_to(SEALED_MS + 3 * CYCLE_MS)
            box.vouched = ClockState.SYNCED
            await box.pass_s(2)
            await eventually(lambda: sum(len(b.readings) for b in box.link.batches()) == 5)

            assert sorted(r.at_ms for b in box.link.batches() for r in b.readings) == [
                SEALED_MS + n * CYCLE_MS for n in (1, 2, 3, 4, 5)
            ]

    asyncio.run(scenario())
