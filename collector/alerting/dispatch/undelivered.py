"""Undelivered: notices that no channel takes -> word to somebody else."""

from collections.abc import Collection, Sequence

from collector.alerting.dispatch.sitting import Sitting
from collector.alerting.notice import NoticeKind, NoticeState, Unsent
from collector.alerting.notify.content import Content, Trouble


def tell_undelivered(sitting: Sitting, unsent: Sequence[Unsent]) -> None:
    """One word about everybody who cannot be reached, and again after a while.

    A server that is away keeps many from being reached, one after the other: whoever joins them
    waits for the next word, which is not before as long a time has passed as the first one waited.
    """
    told = sitting.memory.undelivered
    troubles = _troubles(sitting, unsent)
    for receiver in [name for name in told if name not in troubles]:
        del told[receiver]
    settings, now_ms = sitting.settings.undelivered, sitting.now_ms
    free_ms = max((at_ms + settings.after_ms for at_ms in told.values()), default=now_ms)
    due = []
    for receiver, trouble in sorted(troubles.items()):
        if receiver in told:
            at_ms = told[receiver] + settings.again_ms
        else:
            at_ms = max(now_ms if trouble.failed else trouble.since_ms + settings.after_ms, free_ms)
        if at_ms > now_ms:
            sitting.wake(at_ms)
        else:
            due.append(receiver)
    long = [one for name, one in sorted(troubles.items()) if name in due or name in told]
    if due and _tell(sitting, long, troubles):
        told.update((trouble.receiver, now_ms) for trouble in long)


def _troubles(sitting: Sitting, unsent: Sequence[Unsent]) -> dict[str, Trouble]:
    by_receiver: dict[str, list[Unsent]] = {}
    for one in unsent:
        by_receiver.setdefault(one.notice.receiver, []).append(one)
    known = sitting.settings.receivers
    return {
        receiver: Trouble(
            receiver=receiver,
            title=known[receiver].title if receiver in known else receiver,
            waiting=sum(one.state is NoticeState.WAITING for one in its),
            failed=sum(one.state is NoticeState.FAILED for one in its),
            since_ms=min(one.notice.made_ms for one in its),
            answer=max(its, key=lambda one: (one.tries > 0, one.tried_ms)).answer,
        )
        for receiver, its in by_receiver.items()
    }


def _tell(sitting: Sitting, troubles: Sequence[Trouble], away: Collection[str]) -> bool:
    """The first who can be reached; False where nobody can: it is looked at with the next plan."""
    for name in sitting.office.routing.everybody(sitting.settings.undelivered.to):
        if name in away:
            continue
        chain = f"undelivered/{name}"
        content = Content(
            kind=NoticeKind.UNDELIVERED,
            receiver=name,
            title=sitting.title(name),
            now_ms=sitting.now_ms,
            troubles=tuple(troubles),
        )
        sitting.say(f"{chain}/{sitting.now_ms}", chain, content, ())
        return True
    return False
