"""Spool thread: work on the spool, one piece at a time, away from the event loop.

An fsync on worn flash takes a tenth of a second; a poll must not wait for it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateways.spool.port import Spool

_T = TypeVar("_T")


class SpoolThread:
    """The one owner of a spool once the agent runs."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")

    async def run(self, work: Callable[[Spool], _T]) -> _T:
        """Do `work` on the spool and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, self._spool)

    def close(self) -> None:
        self._executor.submit(self._spool.close).result()
        self._executor.shutdown()
