"""Guard: work on the spool -> what it gives, whatever the spool answers first.

A spool that refuses for now costs nothing but time: whoever asked asks again. One that is damaged
is renewed, and the work done on the new one. Runs on the agent's event loop.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from gateways.spool.port import Spool, SpoolBusy, SpoolCorrupt
from gateways.spool.thread import SpoolThread
from metering.delivery.sender import EpochBook, Sender
from metering.errors import TransientError

log = structlog.get_logger()

UNSEALED_COUNTED = 20_000  # more are not counted at a start: that takes them all into memory
_RENEWAL_S = 1_800.0  # of a file at its size cap, on a slow card

_T = TypeVar("_T")
TakeStock = Callable[[dict[str, EpochBook], int], None]


class Guard:
    """Stands before the spool's thread.

    Attributes:
        renewals: how many so far; numbers of unsealed readings mean nothing after another.
    """

    def __init__(self, spool: SpoolThread, sender: Sender, take_stock: TakeStock) -> None:
        """Take over a spool.

        Args:
            take_stock: is told after a renewal which books and how many unsealed readings are left.
        """
        self._spool = spool
        self._sender = sender
        self._take_stock = take_stock
        self._renewing = asyncio.Lock()
        self._renewing_since_s = 0.0
        self._damaged = False
        self._refused: set[str] = set()
        self.renewals = 0

    async def attempt(self, what: str, work: Callable[[Spool], _T], since: int | None = None) -> _T:
        """Do `work`; a damaged spool is renewed, once, and the work done again.

        Args:
            what: names the work in the log; a refusal is said when it begins and when it ends.
            work: on the spool's own thread.
            since: the renewal that numbers in `work` are of.

        Raises:
            TransientError: not now.
        """
        try:
            done = await self._done(work, since)
        except TransientError as error:
            if what not in self._refused:
                self._refused.add(what)
                log.warning("spool.refuses", what=what, error=str(error))
            raise
        if what in self._refused:
            self._refused.remove(what)
            log.info("spool.takes_again", what=what)
        return done

    async def is_alive(self) -> bool:
        """Whether the spool's thread takes work; waits until it does.

        To salvage a large file takes its time on a small box, and is no hang.
        """
        loop = asyncio.get_running_loop()
        if self._renewing.locked() and loop.time() - self._renewing_since_s < _RENEWAL_S:
            return True
        await self._spool.run(_nothing)
        return True

    async def _done(self, work: Callable[[Spool], _T], since: int | None) -> _T:
        renewal = self.renewals if since is None else since
        if renewal == self.renewals and not self._damaged:
            try:
                return await self._spool.run(work)
            except SpoolCorrupt as error:
                # Nobody may touch the spool from here on but whoever renews it.
                self._damaged = self._damaged or renewal == self.renewals
                log.error("spool.damaged", error=str(error))
        await self._renew(renewal)
        if since is not None:
            raise SpoolBusy("the spool was renewed, and numbers its readings anew")
        return await self._spool.run(work)

    async def _renew(self, renewal: int) -> None:
        """Set the damaged spool aside; what could be salvaged goes on under its own numbers."""
        async with self._renewing:
            if renewal != self.renewals:
                return  # somebody else was faster
            self._renewing_since_s = asyncio.get_running_loop().time()
            epoch = self._sender.present.epoch

            def renew(spool: Spool) -> tuple[dict[str, EpochBook], int]:
                spool.renew()
                kept = {book.epoch: book for book in spool.books()}
                if epoch not in kept:
                    spool.mint(epoch)
                return kept, len(spool.unsealed(UNSEALED_COUNTED))

            books, unsealed = await self._spool.run(renew)
            self.renewals += 1
            self._damaged = False
            self._take_stock(books, unsealed)


def _nothing(_spool: Spool) -> None:
    """Done, it shows that more would be."""
