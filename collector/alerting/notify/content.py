"""Content: what a notice is to say, before it has words; and the port to who finds them."""

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from collector.alerting.alert import Alert
from collector.alerting.notice import NoticeKind


class Cause(StrEnum):
    """Why an alert stands in a notice."""

    NEW = "new"
    WORSE = "worse"  # a higher colour than this receiver was told
    SILENCE_ENDED = "silence_ended"  # and it still fires
    ACK_EXPIRED = "ack_expired"  # and it still fires
    UNCOVERED = "uncovered"  # the higher colour of the same matter is over, this one is not
    REPEAT = "repeat"  # still firing, nobody has answered
    ESCALATION = "escalation"  # nobody acknowledged in time
    OVERDUE = "overdue"  # unsolved for too many working days
    RESOLVED = "resolved"


class Line(Struct, frozen=True, kw_only=True):
    """One alert of a notice."""

    alert: Alert
    cause: Cause


class Trouble(Struct, frozen=True, kw_only=True):
    """A receiver who cannot be reached.

    Attributes:
        waiting, failed: so many notices are still tried, and were given up.
        since_ms: the clock, when the oldest of them was made.
        answer: what the last channel said.
    """

    receiver: str
    title: str
    waiting: int
    failed: int
    since_ms: int
    answer: str


class Digest(Struct, frozen=True, kw_only=True):
    """What a period brought, as far as the receiver is concerned.

    Attributes:
        days: 1 or 7.
        new: fired in it; solved: resolved in it; standing: open at its end, the longest first.
        replayed: so many came to light from backlogs.
    """

    days: int
    start_ms: int
    end_ms: int
    new: tuple[Alert, ...]
    solved: tuple[Alert, ...]
    standing: tuple[Alert, ...]
    replayed: int


class Content(Struct, frozen=True, kw_only=True):
    """What one notice says.

    Attributes:
        receiver, title: of whom it is for.
        labels: what the alerts of its group share: (attribute, value).
        lines: what is to be said, the worst first, what is over last.
        standing: of the same group, told before and still so.
        family: of a mass digest: the group of rules, or the name of those that count as one.
        gateway: of a replay digest; empty for what is read by none.
        unlisted: so many more than `lines` there are.
    """

    kind: NoticeKind
    receiver: str
    title: str
    now_ms: int
    labels: tuple[tuple[str, str], ...] = ()
    lines: tuple[Line, ...] = ()
    standing: tuple[Alert, ...] = ()
    family: str = ""
    gateway: str = ""
    unlisted: int = 0
    digest: Digest | None = None
    troubles: tuple[Trouble, ...] = ()


class Rendered(Struct, frozen=True, kw_only=True):
    """The words."""

    subject: str
    text: str
    html: str


class Renderer(Protocol):
    """Pure: the same content is rendered the same."""

    def render(self, content: Content) -> Rendered: ...
