"""Fleet watch: a changed cut file, or SIGHUP -> buses exchanged in the running gateway.

A file is taken when it has looked the same twice: it may be copied in pieces. What cannot be used
is refused as a whole, said once and in the state, and the gateway goes on with what it has.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import structlog

from gateways.cut import Cut, CutInvalid, load_cut
from metering.errors import PermanentError

log = structlog.get_logger()

LOOK_S = 2.0
Signature = tuple[int, int, int] | None


class FleetWatch:
    """Watches the file of a gateway's cut.

    Attributes:
        cut: the one that is worked by.
        refused: why the file as it is now is not; empty if it is.
    """

    def __init__(
        self,
        path: Path,
        cut: Cut,
        apply: Callable[[Cut], Awaitable[None]],
        look_s: float = LOOK_S,
        announced: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Take over a cut that was just loaded from `path`.

        Args:
            apply: makes the gateway work by a new cut; raises PermanentError, and changes nothing,
                if it cannot be used.
            look_s: how often to look.
            announced: what whoever supervises the process is told while a file is being taken.
        """
        self.cut = cut
        self.refused = ""
        self._path = path
        self._apply = apply
        self._look_s = look_s
        self._announced = announced
        self._asked = asyncio.Event()
        self._taken = self._seen = _signature(path)

    def ask(self) -> None:
        """Look at once, whether or not the file seems to have changed."""
        self._asked.set()

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._asked.wait()
            if self._is_due():
                with self._announced():
                    await self._take()

    def _is_due(self) -> bool:
        if self._asked.is_set():
            self._asked.clear()
            self._taken = self._seen = _signature(self._path)
            return True
        before, self._seen = self._seen, _signature(self._path)
        if self._seen == self._taken or self._seen != before:
            return False
        self._taken = self._seen
        return True

    async def _take(self) -> None:
        try:
            cut = load_cut(self._path)
            if cut.owner != self.cut.owner:
                raise CutInvalid(
                    f"{self._path}: it is of {'/'.join(cut.owner)}, this gateway is "
                    f"{'/'.join(self.cut.owner)}; restart it to make it another one"
                )
            await self._apply(cut)
        except PermanentError as error:
            self.refused = str(error)
            log.error("fleet.refused", error=self.refused, digest=self.cut.digest)
            return
        self.refused = ""
        log.info("fleet.taken", digest=cut.digest, before=self.cut.digest)
        self.cut = cut


def _signature(path: Path) -> Signature:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
