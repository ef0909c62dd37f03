"""An `Outbox` in memory, held to the same contract as the real one."""

from collections.abc import Collection, Sequence

from msgspec import structs

from collector.alerting.notice import Attempt, Notice, NoticeState, Queued, Unsent
from metering.errors import TransientError


class FakeOutbox:
    """Keeps notices in a dict; `away` makes every call raise."""

    def __init__(self) -> None:
        self.away: TransientError | None = None
        self._queue: dict[int, Queued] = {}
        self._tries: list[Attempt] = []
        self._memory: tuple[bytes, int] = (b"", 0)
        self._number = 0

    def plan(self, notices: Sequence[Notice], memory: bytes, cursor: int) -> list[Notice]:
        self._answer()
        known = {queued.notice.key for queued in self._queue.values()}
        kept = []
        for notice in notices:
            if notice.key in known:
                continue
            known.add(notice.key)
            self._number += 1
            kept.append(structs.replace(notice, number=self._number))
            self._queue[self._number] = Queued(notice=kept[-1], again_ms=notice.due_ms)
        self._memory = (memory, cursor)
        return kept

    def memory(self) -> tuple[bytes, int]:
        self._answer()
        return self._memory

    def due(
        self,
        now_ms: int,
        limit: int,
        *,
        ahead_ms: int | None = None,
        receivers: Collection[str] | None = None,
    ) -> list[Queued]:
        self._answer()
        return [
            queued
            for queued in self._firsts()
            if (receivers is None or queued.notice.receiver in receivers)
            and (
                queued.again_ms <= now_ms
                or queued.notice.made_ms > now_ms
                or (ahead_ms is not None and queued.again_ms > now_ms + ahead_ms)
            )
        ][:limit]

    def next_due_ms(
        self, *, after_ms: int | None = None, receivers: Collection[str] | None = None
    ) -> int | None:
        self._answer()
        times = (
            queued.again_ms
            for queued in self._firsts()
            if receivers is None or queued.notice.receiver in receivers
        )
        return min((at for at in times if after_ms is None or at > after_ms), default=None)

    def tried(self, attempt: Attempt, state: NoticeState, again_ms: int) -> None:
        self._answer()
        queued = self._queue[attempt.notice]
        self._queue[attempt.notice] = structs.replace(
            queued, state=state, tries=queued.tries + 1, again_ms=again_ms
        )
        self._tries.append(attempt)

    def unsent(self, *, failed_since_ms: int, made_before_ms: int) -> list[Unsent]:
        self._answer()
        last = {attempt.notice: attempt for attempt in self._tries}
        found = []
        for number, queued in self._queue.items():
            tried = last.get(number)
            if queued.state is NoticeState.WAITING:
                wanted = tried is not None or queued.notice.made_ms < made_before_ms
            else:
                failed = queued.state is NoticeState.FAILED and tried is not None
                wanted = failed and tried.at_ms >= failed_since_ms
            if wanted:
                one = Unsent(
                    notice=queued.notice,
                    state=queued.state,
                    tries=queued.tries,
                    tried_ms=tried.at_ms if tried else queued.notice.made_ms,
                    answer=tried.answer if tried else "",
                )
                found.append(one)
        return found

    def attempts(
        self, *, alert: int | None = None, receiver: str | None = None, limit: int = 100
    ) -> list[tuple[Notice, Attempt]]:
        self._answer()
        found = [(self._queue[attempt.notice].notice, attempt) for attempt in self._tries[::-1]]
        return [
            (notice, attempt)
            for notice, attempt in found
            if (alert is None or alert in notice.alerts)
            and (receiver is None or notice.receiver == receiver)
        ][:limit]

    def waiting(self) -> int:
        self._answer()
        return sum(queued.state is NoticeState.WAITING for queued in self._queue.values())

    def forget_before(self, made_ms: int) -> int:
        self._answer()
        old = [
            number
            for number, queued in self._queue.items()
            if queued.notice.made_ms < made_ms and queued.state is not NoticeState.WAITING
        ]
        for number in old:
            del self._queue[number]
        self._tries = [attempt for attempt in self._tries if attempt.notice not in old]
        return len(old)

    def _firsts(self) -> list[Queued]:
        chains: dict[str, Queued] = {}
        for queued in self._queue.values():
            if queued.state is NoticeState.WAITING:
                chains.setdefault(queued.notice.chain, queued)
        return list(chains.values())

    def _answer(self) -> None:
        if self.away:
            raise self.away
