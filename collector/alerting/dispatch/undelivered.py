"""Undelivered: notices that no channel takes -> word to somebody else."""

from collections.abc import Mapping, Sequence

from collector.alerting.dispatch.sitting import Sitting
from collector.alerting.notice import NoticeKind, NoticeState, Unsent
from collector.alerting.notify.content import Content, Trouble


def tell_undelivered(sitting: Sitting, unsent: Sequence[Unsent]) -> None:
    """One word for each receiver that cannot be reached, again after a while."""
    memory, now_ms = sitting.memory, sitting.now_ms
    troubles = _troubles(sitting, unsent)
    for receiver in [name for name in memory.undelivered if name not in troubles]:
        del memory.undelivered[receiver]
    settings = sitting.settings.undelivered
    for receiver, trouble in sorted(troubles.items()):
        told_ms = memory.undelivered.get(receiver)
        at_ms = trouble.since_ms + settings.after_ms
        if told_ms is not None:
            at_ms = told_ms + settings.again_ms
        elif trouble.failed:
            at_ms = now_ms
        if at_ms > now_ms:
            sitting.wake(at_ms)
        elif _tell(sitting, trouble, troubles):
            memory.undelivered[receiver] = now_ms


def _troubles(sitting: Sitting, unsent: Sequence[Unsent]) -> dict[str, Trouble]:
    by_receiver: dict[str, list[Unsent]] = {}
    for one in unsent:
        by_receiver.setdefault(one.notice.receiver, []).append(one)
    return {
        receiver: Trouble(
            receiver=receiver,
            title=sitting.settings.receivers[receiver].title
            if receiver in sitting.settings.receivers
            else receiver,
            waiting=sum(one.state is NoticeState.WAITING for one in its),
            failed=sum(one.state is NoticeState.FAILED for one in its),
            since_ms=min(one.notice.made_ms for one in its),
            answer=max(its, key=lambda one: one.tried_ms).answer,
        )
        for receiver, its in by_receiver.items()
    }


def _tell(sitting: Sitting, trouble: Trouble, troubles: Mapping[str, Trouble]) -> bool:
    """False where nobody can be reached: it is looked at again with the next plan."""
    reached = [
        name
        for name in sitting.office.routing.everybody(sitting.settings.undelivered.to)
        if name not in troubles
    ]
    for name in reached:
        chain = f"undelivered/{name}/{trouble.receiver}"
        content = Content(
            kind=NoticeKind.UNDELIVERED,
            receiver=name,
            title=sitting.title(name),
            now_ms=sitting.now_ms,
            troubles=(trouble,),
        )
        sitting.say(f"{chain}/{trouble.since_ms}/{sitting.now_ms}", chain, content, ())
    return bool(reached)
