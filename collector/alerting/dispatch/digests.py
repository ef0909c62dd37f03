"""Digests: the times of the bureau's digests and the record of alerts -> what a period brought."""

from collections.abc import Iterable, Iterator, Sequence

from collector.alerting.alert import Alert
from collector.alerting.dispatch.calendar import Classify, last_due_ms, next_due_ms
from collector.alerting.dispatch.memory import Memory
from collector.alerting.dispatch.sitting import Sitting
from collector.alerting.notice import NoticeKind
from collector.alerting.notify.content import Content, Digest
from collector.alerting.notify.settings import DigestTime, NotifySettings, Receiver
from collector.settle.cells import DAY_MS

_LATE_MS = DAY_MS  # a digest that is later than this is of yesterday's news: the next one is told


def history_since(
    settings: NotifySettings, memory: Memory, now_ms: int, classify: Classify
) -> int | None:
    """From when on the record of alerts is needed for the digests that are due; None: none is."""
    starts = [
        _start_ms(memory, name, days, due_ms)
        for name, _, days, due_ms in _due(settings, memory, now_ms, classify)
    ]
    return min(starts, default=None)


def tell_digests(sitting: Sitting, history: Sequence[Alert]) -> None:
    """Plan what is due; `history` is what moved since `history_since`, and whatever is open."""
    settings, memory = sitting.settings, sitting.memory
    classify, now_ms = sitting.office.classify, sitting.now_ms
    for name, receiver, days, due_ms in list(_due(settings, memory, now_ms, classify)):
        if now_ms - due_ms < _LATE_MS:
            _tell(sitting, receiver, _digest(sitting, receiver, history, name, days, due_ms))
        memory.digests[name] = due_ms
    for name, _, _, time in _times(settings):
        # The first digest of a receiver is the one after it was entered.
        memory.digests.setdefault(name, last_due_ms(time, now_ms, classify))
        sitting.wake(next_due_ms(time, now_ms, classify))


def _times(settings: NotifySettings) -> Iterator[tuple[str, Receiver, int, DigestTime]]:
    for receiver in settings.receivers.values():
        if receiver.daily is not None:
            yield f"{receiver.name}/1", receiver, 1, receiver.daily
        if receiver.weekly is not None:
            yield f"{receiver.name}/7", receiver, 7, receiver.weekly


def _due(
    settings: NotifySettings, memory: Memory, now_ms: int, classify: Classify
) -> Iterator[tuple[str, Receiver, int, int]]:
    for name, receiver, days, time in _times(settings):
        told_ms = memory.digests.get(name)
        due_ms = last_due_ms(time, now_ms, classify)
        if told_ms is not None and told_ms < due_ms:
            yield name, receiver, days, due_ms


def _start_ms(memory: Memory, name: str, days: int, due_ms: int) -> int:
    """Where the last one ended, so that nothing is told twice or left out."""
    return max(memory.digests[name], due_ms - 31 * DAY_MS) if days == 1 else due_ms - 7 * DAY_MS


def _digest(
    sitting: Sitting,
    receiver: Receiver,
    history: Sequence[Alert],
    name: str,
    days: int,
    due_ms: int,
) -> Digest:
    start_ms = _start_ms(sitting.memory, name, days, due_ms)
    own = [a for a in history if a.fired_ms is not None and receiver.covers.holds(a)]
    live = [a for a in own if not a.replayed]
    standing = [a for a in sitting.live.values() if receiver.covers.holds(a)]
    return Digest(
        days=days,
        start_ms=start_ms,
        end_ms=due_ms,
        new=_worst_first(a for a in live if _within(a.fired_ms, start_ms, due_ms)),
        solved=_worst_first(a for a in live if _within(a.resolved_ms, start_ms, due_ms)),
        standing=tuple(sorted(standing, key=lambda alert: (alert.since_ms, alert.number))),
        replayed=sum(a.replayed and start_ms <= a.moved_ms < due_ms for a in own),
    )


def _within(at_ms: int | None, start_ms: int, end_ms: int) -> bool:
    return at_ms is not None and start_ms <= at_ms < end_ms


def _worst_first(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    return tuple(sorted(alerts, key=lambda a: (-a.severity.rank, a.since_ms, a.number)))


def _tell(sitting: Sitting, receiver: Receiver, digest: Digest) -> None:
    chain = f"digest/{receiver.name}/{digest.days}"
    content = Content(
        kind=NoticeKind.DIGEST,
        receiver=receiver.name,
        title=receiver.title,
        now_ms=sitting.now_ms,
        digest=digest,
    )
    sitting.say(f"{chain}/{digest.end_ms}", chain, content, ())
