"""Alert: one rule that was met by one subject, from pending to resolved; and each of its steps."""

from enum import StrEnum

from msgspec import Struct

from collector.alerting.severity import Severity
from collector.alerting.subject import Place, Subject


class AlertState(StrEnum):
    """Inactive is the absence of an alert."""

    PENDING = "pending"  # the condition holds, not yet for long enough
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"  # it still holds; somebody has taken it on
    RESOLVED = "resolved"  # the end: the next time is another alert


class Reason(StrEnum):
    """Why an alert moved."""

    BEGAN = "began"  # inactive -> pending
    HELD = "held"  # pending -> firing, long enough (or at once, without a duration)
    DROPPED = "dropped"  # pending -> resolved, before it fired: nobody is told
    CLEARED = "cleared"  # firing, acknowledged -> resolved
    ACKNOWLEDGED = "acknowledged"
    ACK_EXPIRED = "ack_expired"  # acknowledged -> firing: the time that was promised is over
    BY_HAND = "by_hand"  # a person resolved it
    RULE_GONE = "rule_gone"  # the rule, or the subject, is no longer configured
    WORSE = "worse"  # firing or acknowledged, a worse colour of the same matter: it fires again
    MILDER = "milder"  # firing or acknowledged, a milder colour of the same matter
    REPLAYED = "replayed"  # a record ends with its backlog: no more came, or it goes on live


class Level(Struct, frozen=True, kw_only=True):
    """One rule of the alert's matter while it is met, and what it remembers across a restart.

    Attributes:
        since_ms: time of the reading from which on the condition held.
        seen_ms: time of the newest reading judged.
        held: it held for long enough.
        clear_ms: time of the first of the clear readings at the end; None: the newest is not.
        value, limit: at the newest reading that met it.
        worst: the value furthest beyond the limit.
        energy: what the excess came to, in the alert's `energy_unit`; None where nobody can say.
    """

    rule: str
    since_ms: int
    seen_ms: int
    held: bool = False
    clear_ms: int | None = None
    value: float
    limit: float
    unit: str = ""
    worst: float
    energy: float | None = None
    energy_unit: str = ""


class Alert(Struct, frozen=True, kw_only=True):
    """An alert as it stands.

    Attributes:
        number: the book's, from 1.
        group: rules that are levels of one matter share it ("budget-progress"); else the rule.
        rule_version: by which it was last judged.
        since_ms: time of the reading from which on the condition held.
        at_ms: time of the reading that moved it last.
        fired_ms, resolved_ms: times of readings; None: not yet. It resolves with the first of the
            clear readings at its end.
        moved_ms: the clock, when it moved last.
        value, limit, unit: at `at_ms`.
        worst: the value furthest beyond the limit so far.
        replayed: everything about it was older than `late_ms` when it came: a record, no alarm.
            An alert that still holds when readings are fresh again is none of these any more.
        flaps: how often this rule and subject fired within the flap window before this time.
        author, note, ack_until_ms: of the acknowledgement in force, or of who resolved it; an
            acknowledgement without an end lasts until the alert resolves.
        levels: the rules of the matter that are met, and what each remembers.
    """

    number: int = 0
    rule: str
    rule_version: str
    title: str
    severity: Severity
    subject: Subject
    place: Place
    state: AlertState
    since_ms: int
    at_ms: int
    fired_ms: int | None = None
    resolved_ms: int | None = None
    moved_ms: int
    value: float = 0.0
    limit: float = 0.0
    unit: str = ""
    worst: float = 0.0
    energy_so_far: float | None = None
    energy_unit: str = ""
    replayed: bool = False
    flaps: int = 0
    author: str = ""
    note: str = ""
    ack_until_ms: int | None = None
    group: str = ""
    levels: tuple[Level, ...] = ()

    @property
    def key(self) -> tuple[str, Subject]:
        return self.rule, self.subject


class Transition(Struct, frozen=True, kw_only=True):
    """One step of an alert, kept for good.

    Attributes:
        number: grows in the order in which steps become visible; 0 before it is kept.
        alert: as it was after the step.
        before: None where it began.
    """

    number: int = 0
    alert: Alert
    before: AlertState | None
    reason: Reason
