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

import structlog
from msgspec import Struct

from gateways.spool.group import (
    Asked,
    Group,
    Portion,
    Portions,
    Seal,
    Word,
    append_at_once,
    sealed_in_turn,
)
from gateways.spool.guard import UNSEALED_COUNTED, Guard
from gateways.spool.port import Dropped, Spool, Unsealed
from gateways.spool.thread import SpoolThread
from gateways.timekeeper import Timekeeper
from metering.batch import BatchKey, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import EpochBook, Sender
from metering.errors import TransientError
from metering.reading import Reading
from metering.ulid import RANDOM_BYTES, ulid

log = structlog.get_logger()

_ALONE_AFTER = 30  # rounds in which nothing came that the word of commits could ride with
_AGED_EVERY = 60  # rounds of pruning: what is half a year old may become an hour older


class Policy(Struct, frozen=True, kw_only=True):
    """How long batches stay on disk, and how often what is done.

    Attributes:
        keep_ms: for how long a committed batch stays.
        size_limit: bytes; above it the oldest go, committed ones first.
        state_every_s: the state is said this often, and `state_apart_s` apart when it changes.
        group_s: so long readings wait for those of other buses, to go to the disk together; what
            a power cut may take. 0: not at all.
        mark_every_s: what commits said rides with a batch this often.
        again_s: how long a disk or a link that refused is let be.
    """

    keep_ms: int
    size_limit: int
    group_s: float = 0.0
    state_every_s: float = 30.0
    state_apart_s: float = 1.0
    mark_every_s: float = 10.0
    prune_every_s: float = 60.0
    again_s: float = 1.0


class Keeper:
    """Owns the spool; everything runs on the event loop.

    Attributes:
        wake: set when there may be something to send.
        state_due: set when something changed that the gateway's state tells.
        polled: readings kept on disk.
        forgotten: readings that could not be kept.
        measured: the spool's bytes and its damaged files, as last looked at.
        unsealed: readings on disk that wait for the time; more than nothing if that is not known.
    """

    def __init__(
        self, *, spool: SpoolThread, sender: Sender, timekeeper: Timekeeper, policy: Policy
    ) -> None:
        """Take over a spool; the sender knows what is in it."""
        self._guard = Guard(spool, sender, self._take_stock)
        self._sender = sender
        self._time = timekeeper
        self._policy = policy
        self.wake = asyncio.Event()
        self.state_due = asyncio.Event()
        self._mark_now = asyncio.Event()
        self._marked: Word | None = None
        self._word_may_ride = False
        self.measured = (0, 0)
        self._sealing = asyncio.Lock()
        self._group = Group()
        self._hurry = asyncio.Event()
        self.polled = 0
        self.forgotten = 0
        self.unsealed = 0

    @property
    def size_limit(self) -> int:
        """Bytes that the spool may take."""
        return self._policy.size_limit

    async def run(self) -> None:
        """Keep what commits said and let go of what is old, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mark(), name="mark")
            tasks.create_task(self._prune(), name="prune")

    # ---- readings -> the spool

    async def keep(self, seal: Seal, at_ms: int) -> int:
        """Seal what follows the present sequence and keep it on disk before anything is sent.

        What several buses bring while the disk is at work, or within the policy's `group_s`, goes
        to the disk in one step.

        Args:
            seal: given the last key, the batches to keep.
            at_ms: when.

        Returns:
            How many readings are on disk now, from the first on; a disk may refuse the rest.
        """
        asked = Asked(seal, at_ms)
        group = self._group
        group.asked.append(asked)
        if len(group.asked) > 1:
            await group.is_over.wait()
            return asked.kept
        try:
            if self._policy.group_s:
                await _happens(self._hurry, self._policy.group_s)
            async with self._sealing:
                self._group = Group()
                await self._keep(group.asked, None)
        finally:
            group.is_over.set()
        return asked.kept

    def hurry(self) -> None:
        """The end is near: no group waits for another bus any more."""
        self._hurry.set()

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
                waiting = await self._guard.attempt("unsealed", lambda spool: spool.unsealed(most))
            except TransientError:
                return 0
            if not waiting:
                self.unsealed = 0
                return 0
            asked = Asked(partial(seal, waiting), at_ms)
            await self._keep([asked], self._guard.renewals)
            self.unsealed = max(1, self.unsealed - asked.kept)  # the disk says when it was the last
            return asked.kept

    async def _keep(self, asked: list[Asked], since: int | None) -> None:
        """All in one step; what a disk refuses as a whole it may take in part."""
        with suppress(TransientError):
            await self._leave_forked_epoch()
            present = self._sender.present
            last = BatchKey(present.epoch, present.next - 1)
            portions = list(sealed_in_turn(asked, last))
            word = self._word() if self._word_may_ride else None
            try:
                await self._append(portions, since, word)
            except TransientError:
                if len(portions) == 1 and word is None:
                    raise
                for portion in portions:
                    await self._append([portion], since, None)
        self.wake.set()

    async def _append(self, portions: Portions, since: int | None, word: Word | None) -> None:
        append = partial(append_at_once, portions=portions, word=word)
        self._tell_dropped(await self._guard.attempt("append", append, since))
        if word is not None:
            self._note_marked(word)
        for asked, portion in portions:
            self._sender.sealed(portion.sealed.key)
            asked.kept += portion.readings

    async def keep_unsealed(self, boot: str, taken: tuple[tuple[int, Reading], ...]) -> int:
        """Keep readings, each with its monotonic time, until somebody vouches for the clock.

        Returns:
            How many are on disk now: all, or none if the disk refused.
        """
        try:
            await self._guard.attempt(
                "keep_unsealed", lambda spool: spool.keep_unsealed(boot, taken)
            )
        except TransientError:
            return 0
        self.unsealed += len(taken)
        return len(taken)

    def forget(self, readings: int) -> None:
        """Neither disk nor memory could keep so many."""
        if readings:
            self.forgotten += readings
            self.state_due.set()

    # ---- what went with a damaged file, or to make room

    def _take_stock(self, books: dict[str, EpochBook], unsealed: int) -> None:
        """After a renewal: what did not come through is named."""
        self._marked = None
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
        sealed = await self._guard.attempt("load", partial(_load, key=key))
        if sealed is None:
            log.error("spool.batch_vanished", epoch=key.epoch, sequence=key.sequence)
            self._tell_dropped({key.epoch: Ranges.span(key.sequence, key.sequence)})
        return sealed

    async def measure(self) -> tuple[int, int]:
        """The spool's bytes and its damaged files; as known before if it refuses."""
        with suppress(TransientError):
            self.measured = await self._guard.attempt("measure", _measure)
        return self.measured

    async def is_alive(self) -> bool:
        """Whether the spool's thread does its work; waits for it, and for ever if it hangs."""
        return await self._guard.is_alive()

    def mark_soon(self) -> None:
        """What a commit just said must not wait for the next mark."""
        self._mark_now.set()

    async def _leave_forked_epoch(self) -> None:
        """Where another box seals under our epoch too, go on under a new one."""
        if not self._sender.present.forked:
            return
        epoch = ulid(self._time.now_ms(), secrets.token_bytes(RANDOM_BYTES))
        await self._guard.attempt("mint", lambda spool: spool.mint(epoch))
        self._sender.minted(epoch)
        self.state_due.set()

    # ---- the tasks

    async def _mark(self) -> None:
        """Keep what commits said. Late by design: losing it costs a repeat, never a reading.

        It rides with the next batches, for a sync of its own would cost flash as much as they do;
        where none come it goes alone at last.
        """
        waited = 0
        while True:
            await _happens(self._mark_now, self._policy.mark_every_s)
            at_once = self._mark_now.is_set()
            self._mark_now.clear()
            waited = 0 if self._word() is None else waited + 1
            if at_once or waited >= _ALONE_AFTER:
                await self.keep_word()
            self._word_may_ride = True

    async def keep_word(self) -> None:
        """Keep what commits said, now."""
        with suppress(TransientError):  # the next round tries again
            async with self._sealing:
                await self._leave_forked_epoch()
            word = self._word()
            if word is not None:
                await self._guard.attempt("mark", word.keep)
                self._note_marked(word)

    def _word(self) -> Word | None:
        """What commits said, if it is not on disk yet."""
        word = Word.of(self._sender)
        return None if self._marked is not None and word.said == self._marked.said else word

    def _note_marked(self, word: Word) -> None:
        self._marked = word
        self._word_may_ride = False

    async def _prune(self) -> None:
        """Let go of what is old and committed; above the size cap, of the oldest."""
        rounds = 0
        while True:
            await asyncio.sleep(self._policy.prune_every_s)
            is_late = rounds % _AGED_EVERY == 0
            rounds += 1
            size, _corrupt = await self.measure()
            if is_late or size > self._policy.size_limit:
                await self.keep_word()  # what is committed goes first
            before_ms = self._time.now_ms() - self._policy.keep_ms if is_late else 0
            limit = self._policy.size_limit
            with suppress(TransientError):  # the next round tries again
                dropped = await self._guard.attempt(
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
