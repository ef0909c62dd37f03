"""Notice: what is to be said to whom; silences; and the ports to where both are kept."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class NoticeKind(StrEnum):
    ALERTS = "alerts"  # a group's new, worse and resolved alerts
    REPEAT = "repeat"  # still firing, nobody has answered
    ESCALATION = "escalation"  # nobody acknowledged in time: the next one up
    MASS = "mass"  # a mass outage, as one digest
    REPLAY = "replay"  # what a backlog brought to light, as one digest
    DIGEST = "digest"  # of a day, or a week
    UNDELIVERED = "undelivered"  # another channel does not answer
    TEST = "test"


class Notice(Struct, frozen=True, kw_only=True):
    """One message to one receiver, in the outbox until a channel took it.

    Attributes:
        number: the outbox's; 0 before it is kept.
        key: the same notice planned again after a crash has the same key, and is kept once.
        receiver: a name of `config/notify.yaml`.
        chain: notices of one chain are delivered in order (an alert group and a receiver).
        alerts: numbers of those it speaks of, the worst first.
        rendered: subject, text and html are made when it is planned: what is said is what was so.
        made_ms, due_ms: by the clock; not before due.
    """

    number: int = 0
    key: str
    kind: NoticeKind
    receiver: str
    chain: str
    alerts: tuple[int, ...]
    subject: str
    text: str
    html: str
    made_ms: int
    due_ms: int


class NoticeState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"  # given up: every channel was tried for as long as the settings say


class Attempt(Struct, frozen=True, kw_only=True):
    """One try to send one notice: the notification log.

    Attributes:
        channel: which one of the receiver's, by name: the first, or a fallback.
        answer: what the channel said, or the error; without secrets.
    """

    notice: int
    at_ms: int
    channel: str
    sent: bool
    answer: str


class Queued(Struct, frozen=True, kw_only=True):
    """A notice as it lies in the outbox."""

    notice: Notice
    state: NoticeState = NoticeState.WAITING
    tries: int = 0
    again_ms: int = 0


class Unsent(Struct, frozen=True, kw_only=True):
    """A notice that was tried in vain, or waits too long to be tried.

    Attributes:
        tried_ms, answer: the last try, and what the channel said; `made_ms` and empty before any.
    """

    notice: Notice
    state: NoticeState
    tries: int
    tried_ms: int
    answer: str

    @property
    def is_waiting(self) -> bool:
        return self.state is NoticeState.WAITING


class Outbox(Protocol):
    """Durable when a method returns; may raise `TransientError`."""

    def plan(self, notices: Sequence[Notice], memory: bytes, cursor: int) -> list[Notice]:
        """Keep notices, the dispatcher's memory and how far it has read, in one transaction.

        A notice whose key is there already is left out. Returns those kept, with numbers.
        """
        ...

    def memory(self) -> tuple[bytes, int]:
        """What the last `plan` kept; empty and 0 at first."""
        ...

    def due(
        self,
        now_ms: int,
        limit: int,
        *,
        ahead_ms: int | None = None,
        receivers: Collection[str] | None = None,
    ) -> list[Queued]:
        """Waiting notices whose time has come, in order; of each chain only its first.

        Only those of some receivers, if they are named.

        What was made later than now was made before the clock was set back, and is due; so is
        what waits for an instant more than `ahead_ms` from now, longer than anybody would wait.
        """
        ...

    def next_due_ms(
        self, *, after_ms: int | None = None, receivers: Collection[str] | None = None
    ) -> int | None:
        """When the next of these is due; later than `after_ms`, if that is named."""
        ...

    def tried(self, attempt: Attempt, state: NoticeState, again_ms: int) -> None:
        """Log a try and what became of the notice by it."""
        ...

    def unsent(self, *, failed_since_ms: int, made_before_ms: int) -> list[Unsent]:
        """What is not sent as it should be, by number.

        Waiting notices that were tried, or that were made before an instant and should have been;
        and those given up since an instant.
        """
        ...

    def attempts(
        self, *, alert: int | None = None, receiver: str | None = None, limit: int = 100
    ) -> list[tuple[Notice, Attempt]]:
        """Who was told what, when, by which way: the newest first."""
        ...

    def waiting(self) -> int: ...

    def forget_before(self, made_ms: int) -> int:
        """Let go of what was made before then and waits no more; returns how many."""
        ...


class Silence(Struct, frozen=True, kw_only=True):
    """Alerts that match say nothing for a while; they are recorded all the same.

    Attributes:
        number: the book's; 0 before it is kept.
        matcher: every one of these must match: names of a `Place`'s attributes, "rule",
            "severity", "subject"; values may end in '*'.
        ended_ms: expired by hand; None: not.
    """

    number: int = 0
    matcher: dict[str, str]
    start_ms: int
    end_ms: int
    author: str
    comment: str
    made_ms: int
    ended_ms: int | None = None


class SilenceBook(Protocol):
    """Durable when a method returns; may raise `TransientError`."""

    def add_silence(self, silence: Silence) -> Silence: ...

    def silences(self, *, at_ms: int | None = None, limit: int = 100) -> list[Silence]:
        """Those in force at an instant, or all: the newest first."""
        ...

    def expire_silence(self, number: int, at_ms: int) -> Silence | None: ...


class Said(Struct, frozen=True, kw_only=True):
    """What a channel answered."""

    sent: bool
    answer: str


class Channel(Protocol):
    """One way to a person. Blocks for at most its timeout; never raises for a failed delivery.

    Threads may share it. Channels of one name go the same way (one mail server, one gateway): what
    fails for several receivers in a row is left alone for a while.
    """

    name: str

    def send(self, subject: str, text: str, html: str, *, key: str) -> Said:
        """Send one message; `key` lets a receiving end tell a repeat (Message-ID, a header)."""
        ...
