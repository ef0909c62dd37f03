"""The spool's thread: one piece of work at a time, never on the event loop."""

import asyncio
import threading

import pytest

from gateways.spool.port import SpoolFull
from gateways.spool.thread import SpoolThread
from tests.fakes.spool import FakeSpool


class ClosingSpool(FakeSpool):
    closed_by = ""

    def close(self) -> None:
        self.closed_by = threading.current_thread().name


@pytest.fixture
def spool() -> ClosingSpool:
    return ClosingSpool()


def test_work_is_done_one_piece_after_the_other_while_the_loop_goes_on(spool):
    done: list[str] = []
    gate = threading.Event()

    def slow(_spool: FakeSpool) -> str:
        gate.wait(5)
        done.append("slow")
        return threading.current_thread().name

    def quick(_spool: FakeSpool) -> str:
        done.append("quick")
        return threading.current_thread().name

    async def both() -> list[str]:
        thread = SpoolThread(spool)
        names = [asyncio.create_task(thread.run(work)) for work in (slow, quick)]
        await asyncio.sleep(0)
        done.append("loop")
        gate.set()
        found = [await name for name in names]
        thread.close()
        return found

    names = asyncio.run(both())

    assert done == ["loop", "slow", "quick"]
    assert names[0] == names[1] == spool.closed_by
    assert names[0].startswith("spool")


def test_the_work_gets_the_spool_and_its_errors_come_back(spool):
    def fails(given: FakeSpool) -> None:
        assert given is spool
        raise SpoolFull("no room")

    async def work() -> None:
        thread = SpoolThread(spool)
        try:
            await thread.run(fails)
        finally:
            thread.close()

    with pytest.raises(SpoolFull, match="no room"):
        asyncio.run(work())
    assert spool.closed_by
