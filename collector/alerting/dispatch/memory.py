"""Memory: what the dispatcher knows between two plans, kept with them in one transaction.

It grows with open alerts and is let go of with them. Names that end in `_ms` are of the clock.
"""

import msgspec
from msgspec import Struct

from collector.alerting.alert import Alert
from collector.alerting.notify.content import Cause
from collector.alerting.severity import Severity
from collector.alerting.subject import Subject
from metering.errors import PermanentError


class MemoryUnreadable(PermanentError):
    """A later version wrote it, or it is damaged. Begun anew, what is open is told once more."""


class Told(Struct, kw_only=True, omit_defaults=True):
    """What one receiver was told of one alert.

    Attributes:
        chain: in which; what follows goes the same way.
        route: whose pace holds.
        escalated: not of the first to be told.
        again: why it has to be told once more; None: it has not.
        again_ms: since when.
    """

    chain: str
    route: str
    at_ms: int
    severity: Severity
    escalated: bool = False
    again: Cause | None = None
    again_ms: int = 0


class Tracked(Struct, kw_only=True, omit_defaults=True):
    """One alert that fires, or whose end is still to be told.

    Attributes:
        group: the matter: the same one may fire again under another rule of it.
        seen_ms: when it fired.
        clock_ms: since when somebody knows and nobody has acknowledged; None: nobody knows.
        told: by receiver.
        mass: by receiver, the mass digest that it belongs to.
        hushed, covered: when last looked at, a silence, or a higher colour, hid it.
        overdue: limits that were told of, each with the receiver.
        gone: as it was when it resolved.
    """

    group: str
    subject: Subject
    seen_ms: int
    clock_ms: int | None = None
    told: dict[str, Told] = {}
    mass: dict[str, str] = {}
    hushed: bool = False
    covered: bool = False
    overdue: list[str] = []
    gone: Alert | None = None
    gone_ms: int = 0


class Chain(Struct, kw_only=True, omit_defaults=True):
    """A group's notices to one receiver.

    Attributes:
        count: of its notices since `born_ms`.
        free_ms: not before then, unless it gets worse than `rank`.
        held: quiet hours held it.
    """

    born_ms: int
    count: int = 0
    free_ms: int = 0
    rank: int = -1
    held: bool = False


class Mass(Struct, kw_only=True, omit_defaults=True):
    """A mass outage: new alerts of a family join it while it goes on."""

    chain: str
    born_ms: int
    last_ms: int


class Shadow(Struct, kw_only=True):
    """A source of inhibitions that is over, whose targets still wait."""

    alert: Alert
    until_ms: int


class Backlog(Struct, kw_only=True, omit_defaults=True):
    """What a gateway's replay has brought and nobody was told of.

    Attributes:
        alerts: the first of them, as they were last.
        more: so many came after those.
        last_ms: when the last came.
        told_day_ms: the day of the last digest.
    """

    alerts: dict[int, Alert] = {}
    more: int = 0
    last_ms: int = 0
    told_day_ms: int | None = None


class Memory(Struct, kw_only=True, omit_defaults=True):
    """All of it.

    Attributes:
        now_ms: of the last plan.
        digests: by receiver and period, the last that was due.
        undelivered: by receiver, when it was told that it cannot be reached.
    """

    version: int = 1
    now_ms: int = 0
    alerts: dict[int, Tracked] = {}
    chains: dict[str, Chain] = {}
    masses: dict[str, Mass] = {}
    shadows: list[Shadow] = []
    backlogs: dict[str, Backlog] = {}
    digests: dict[str, int] = {}
    undelivered: dict[str, int] = {}


_VERSION = 1


def read_memory(kept: bytes) -> Memory:
    """What was kept; an empty one at first.

    Raises:
        MemoryUnreadable: it was written by a later version, or is none.
    """
    if not kept:
        return Memory()
    try:
        memory = msgspec.json.decode(kept, type=Memory)
    except msgspec.MsgspecError as error:
        raise MemoryUnreadable(f"the dispatcher's memory cannot be read: {error}") from error
    if memory.version > _VERSION:
        raise MemoryUnreadable(
            f"the dispatcher's memory has version {memory.version}, this one knows {_VERSION}"
        )
    return memory


def write_memory(memory: Memory) -> bytes:
    return msgspec.json.encode(memory)


def set_back(memory: Memory, by_ms: int) -> None:
    """The clock was set back: what was so long ago is still so long ago.

    Digests keep theirs: they are of a day, and no day is told of twice.
    """
    for tracked in memory.alerts.values():
        tracked.seen_ms -= by_ms
        tracked.gone_ms -= by_ms
        if tracked.clock_ms is not None:
            tracked.clock_ms -= by_ms
        for told in tracked.told.values():
            told.at_ms -= by_ms
            told.again_ms -= by_ms
    for chain in memory.chains.values():
        chain.free_ms -= by_ms
    for mass in memory.masses.values():
        mass.born_ms -= by_ms
        mass.last_ms -= by_ms
    for shadow in memory.shadows:
        shadow.until_ms -= by_ms
    for backlog in memory.backlogs.values():
        backlog.last_ms -= by_ms
    memory.undelivered = {name: at_ms - by_ms for name, at_ms in memory.undelivered.items()}
