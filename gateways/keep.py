"""Keep: readings, batches and commits -> the spool, whatever it answers.

The shell around the spool that the agent and the publisher share. It runs on the agent's event
loop; the spool has its own thread. A spool that refuses for now costs nothing but time: whoever
asked asks again. One that is damaged is renewed, and what went with it is named as dropped.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog
from msgspec import Struct

from gateways.spool import Dropped, Spool, SpoolBusy, SpoolCorrupt, Unsealed
from gateways.spool_thread import SpoolThread
from gateways.timekeeper import Timekeeper
from metering.batch import BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import EpochBook, Sender
from metering.errors import TransientError
from metering.reading import Reading
from metering.ulid import RANDOM_BYTES, ulid

log = structlog.get_logger()

UNSEALED_COUNTED = 20_000  # more are not counted at a start: that takes them all into memory

_T = TypeVar("_T")


class Policy(Struct, frozen=True, kw_only=True):
    """How long batches stay on disk, and how often what is done.

    Attributes:
        keep_ms: for how long a committed batch stays.
        size_limit: bytes; above it the oldest go, committed ones first.
        state_every_s: the state is said this often, and `state_apart_s` apart when it changes.
        mark_every_s: what commits said is kept this often.
        again_s: how long a disk or a link that refused is let be.
    """

    keep_ms: int
    size_limit: int
    state_every_s: float = 30.0
    state_apart_s: float = 1.0
    mark_every_s: float = 10.0
    prune_every_s: float = 60.0
    again_s: float = 1.0


class Portion(Struct, frozen=True, kw_only=True):
    """A sealed batch, how many readings it took, and which of them waited unsealed."""

    sealed: Sealed
    readings: int
    unsealed: tuple[int, ...] = ()


class Keeper:
    """Owns the spool; everything runs on the event loop.

    Attributes:
        wake: set when there may be something to send.
        state_due: set when something changed that the gateway's state tells.
        polled: readings kept on disk.
        forgotten: readings that could not be kept.
        unsealed: readings on disk that wait for the time; more than nothing if that is not known.
    """

    def __init__(
        self, *, spool: SpoolThread, sender: Sender, timekeeper: Timekeeper, policy: Policy
    ) -> None:
        """Take over a spool; the sender knows what is in it."""
        self._spool = spool
        self._sender = sender
        self._time = timekeeper
        self._policy = policy
        self.wake = asyncio.Event()
        self.state_due = asyncio.Event()
        self._mark_now = asyncio.Event()
        self._marked: object = None
        self._measured = (0, 0)
        self._sealing = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._renewals = 0
        self._damaged = False
        self._refused: set[str] = set()
        self.polled = 0
        self.forgotten = 0
        self.unsealed = 0

    async def run(self) -> None:
        """Keep what commits said and let go of what is old, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mark(), name="mark")
            tasks.create_task(self._prune(), name="prune")

    # ---- readings -> the spool

    async def keep(self, seal: Callable[[BatchKey], Iterable[Portion]], at_ms: int) -> int:
        """Seal what follows the present sequence and keep it on disk before anything is sent.

        Args:
            seal: given the last key, the batches to keep.
            at_ms: when.

        Returns:
            How many readings are on disk now, from the first on; a disk may refuse the rest.
        """
        async with self._sealing:
            return await self._keep(seal, at_ms, None)

    async def keep_waiting(
        self,
        most: int,
        seal: Callable[[list[Unsealed], BatchKey], Iterable[Portion]],
        at_ms: int,
    ) -> int:
        """The same for the oldest readings, `most` at once, that wait unsealed on disk.

        Returns:
            How many were sealed; 0 if none waits or the disk refused.
        """
        async with self._sealing:
            try:
                waiting = await self._attempt("unsealed", lambda spool: spool.unsealed(most))
            except TransientError:
                return 0
            if not waiting:
                self.unsealed = 0
                return 0
            kept = await self._keep(partial(seal, waiting), at_ms, self._renewals)
            self.unsealed = max(1, self.unsealed - kept)  # the disk says when it was the last
            return kept

    async def _keep(
        self, seal: Callable[[BatchKey], Iterable[Portion]], at_ms: int, since: int | None
    ) -> int:
        kept = 0
        with suppress(TransientError):
            await self._leave_forked_epoch()
            present = self._sender.present
            for portion in seal(BatchKey(present.epoch, present.next - 1)):
                self._tell_dropped(await self._append(portion, at_ms, since))
                self._sender.sealed(portion.sealed.key)
                kept += portion.readings
        self.wake.set()
        return kept

    async def _append(self, portion: Portion, at_ms: int, since: int | None) -> Dropped:
        return await self._attempt(
            "append",
            lambda spool: spool.append(
                portion.sealed, sealed_at_ms=at_ms, unsealed=portion.unsealed
            ),
            since,
        )

    async def keep_unsealed(self, boot: str, taken: tuple[tuple[int, Reading], ...]) -> int:
        """Keep readings, each with its monotonic time, until somebody vouches for the clock.

        Returns:
            How many are on disk now: all, or none if the disk refused.
        """
        try:
            await self._attempt("keep_unsealed", lambda spool: spool.keep_unsealed(boot, taken))
        except TransientError:
            return 0
        self.unsealed += len(taken)
        return len(taken)

    def forget(self, readings: int) -> None:
        """Neither disk nor memory could keep so many."""
        if readings:
            self.forgotten += readings
            self.state_due.set()

    # ---- the spool, whatever it answers

    async def _attempt(
        self, what: str, work: Callable[[Spool], _T], since: int | None = None
    ) -> _T:
        """Do `work`; a damaged spool is renewed, once, and the work done again.

        Args:
            what: names the work in the log; a refusal is said when it begins and when it ends.
            work: on the spool's own thread.
            since: the renewal that numbers in `work` are of; they mean nothing after another.

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

    async def _done(self, work: Callable[[Spool], _T], since: int | None) -> _T:
        renewal = self._renewals if since is None else since
        if renewal == self._renewals and not self._damaged:
            try:
                return await self._spool.run(work)
            except SpoolCorrupt as error:
                # Nobody may touch the spool from here on but whoever renews it.
                self._damaged = self._damaged or renewal == self._renewals
                log.error("spool.damaged", error=str(error))
        await self._renew(renewal)
        if since is not None:
            raise SpoolBusy("the spool was renewed, and numbers its readings anew")
        return await self._spool.run(work)

    async def _renew(self, renewal: int) -> None:
        """Set the damaged spool aside; what could be salvaged goes on under its own numbers."""
        async with self._renewing:
            if renewal != self._renewals:
                return  # somebody else was faster
            epoch = self._sender.present.epoch

            def renew(spool: Spool) -> tuple[dict[str, EpochBook], int]:
                spool.renew()
                kept = {book.epoch: book for book in spool.books()}
                if epoch not in kept:
                    spool.mint(epoch)
                return kept, len(spool.unsealed(UNSEALED_COUNTED))

            books, unsealed = await self._spool.run(renew)
            self._renewals += 1
            self._damaged = False
            self._marked = None
            self._take_stock(books, unsealed)

    def _take_stock(self, books: dict[str, EpochBook], unsealed: int) -> None:
        for book in self._sender.books:
            kept = books[book.epoch].held if book.epoch in books else Ranges()
            self._tell_dropped({book.epoch: book.held - kept})
        if unsealed < UNSEALED_COUNTED:
            self.forget(max(0, self.unsealed - unsealed))
        self.unsealed = unsealed
        self.state_due.set()

    def _tell_dropped(self, dropped: Dropped) -> None:
        """The spool threw these away; what no commit covers is lost."""
        books = {book.epoch: book for book in self._sender.books}
        for epoch, sequences in dropped.items():
            book = books.get(epoch)
            lost = (sequences & book.held) - book.committed if book else Ranges()
            self._sender.dropped(epoch, sequences)
            if lost:
                log.warning("spool.dropped", epoch=epoch, batches=len(lost))
                self.state_due.set()

    # ---- what is asked of it

    async def load(self, key: BatchKey) -> Sealed | None:
        """A batch's bytes; None, and the batch counts as dropped, if the spool lost it.

        Raises:
            TransientError: not now.
        """
        sealed = await self._attempt("load", partial(_load, key=key))
        if sealed is None:
            log.error("spool.batch_vanished", epoch=key.epoch, sequence=key.sequence)
            self._tell_dropped({key.epoch: Ranges.span(key.sequence, key.sequence)})
        return sealed

    async def measure(self) -> tuple[int, int]:
        """The spool's bytes and its damaged files; as known before if it refuses."""
        with suppress(TransientError):
            self._measured = await self._attempt("measure", _measure)
        return self._measured

    def mark_soon(self) -> None:
        """What a commit just said must not wait for the next mark."""
        self._mark_now.set()

    async def _leave_forked_epoch(self) -> None:
        """Where another box seals under our epoch too, go on under a new one."""
        if not self._sender.present.forked:
            return
        epoch = ulid(self._time.now_ms(), secrets.token_bytes(RANDOM_BYTES))
        await self._attempt("mint", lambda spool: spool.mint(epoch))
        self._sender.minted(epoch)
        self.state_due.set()

    # ---- the tasks

    async def _mark(self) -> None:
        """Keep what commits said. Late by design: losing it costs a repeat, never a reading."""
        while True:
            await _happens(self._mark_now, self._policy.mark_every_s)
            self._mark_now.clear()
            await self.keep_word()

    async def keep_word(self) -> None:
        """Keep what commits said, now."""
        with suppress(TransientError):  # the next round tries again
            async with self._sealing:
                await self._leave_forked_epoch()
            await self._keep_commits()

    async def _keep_commits(self) -> None:
        books = self._sender.snapshot()
        store, generation = self._sender.store, self._sender.generation
        word = (generation, [(book.epoch, book.committed, book.forked) for book in books])
        if word != self._marked:
            await self._attempt("mark", lambda spool: spool.mark(store, generation, books))
            self._marked = word

    async def _prune(self) -> None:
        """Let go of what is old and committed; above the size cap, of the oldest."""
        while True:
            await asyncio.sleep(self._policy.prune_every_s)
            await self.keep_word()
            before_ms = self._time.now_ms() - self._policy.keep_ms
            limit = self._policy.size_limit
            with suppress(TransientError):  # the next round tries again
                dropped = await self._attempt(
                    "prune", partial(_prune, committed_before_ms=before_ms, size_limit=limit)
                )
                self._tell_dropped(dropped)


def _load(spool: Spool, key: BatchKey) -> Sealed | None:
    return spool.load(key)


def _prune(spool: Spool, committed_before_ms: int, size_limit: int) -> Dropped:
    return spool.prune(committed_before_ms=committed_before_ms, size_limit=size_limit)


def _measure(spool: Spool) -> tuple[int, int]:
    return spool.size(), spool.corrupt_files()


async def _happens(event: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
