"""Table: an alert's state and what happened -> its next state, and why. All there is."""

from enum import StrEnum

from collector.alerting.alert import AlertState, Reason
from metering.errors import PermanentError


class StepIllegal(PermanentError):
    """What was asked for cannot happen to an alert in its state."""


class Event(StrEnum):
    """What can happen to an alert."""

    MET = "met"  # a level holds, not yet for long enough
    HELD = "held"  # a level holds for long enough
    WORSE = "worse"  # a worse level than before does
    MILDER = "milder"  # the worst level is over, a milder one is not
    CLEAR = "clear"  # no level holds any more
    ACKNOWLEDGE = "acknowledge"
    ACK_OVER = "ack_over"
    RESOLVE = "resolve"
    GONE = "gone"
    REPLAY_OVER = "replay_over"


_PENDING, _FIRING = AlertState.PENDING, AlertState.FIRING
_ACKED, _RESOLVED = AlertState.ACKNOWLEDGED, AlertState.RESOLVED

TABLE: dict[tuple[AlertState | None, Event], tuple[AlertState, Reason]] = {
    (None, Event.MET): (_PENDING, Reason.BEGAN),
    (None, Event.HELD): (_FIRING, Reason.HELD),
    (_PENDING, Event.HELD): (_FIRING, Reason.HELD),
    (_PENDING, Event.CLEAR): (_RESOLVED, Reason.DROPPED),
    (_PENDING, Event.GONE): (_RESOLVED, Reason.RULE_GONE),
    (_PENDING, Event.REPLAY_OVER): (_RESOLVED, Reason.REPLAYED),
    (_FIRING, Event.WORSE): (_FIRING, Reason.WORSE),
    (_FIRING, Event.MILDER): (_FIRING, Reason.MILDER),
    (_FIRING, Event.CLEAR): (_RESOLVED, Reason.CLEARED),
    (_FIRING, Event.ACKNOWLEDGE): (_ACKED, Reason.ACKNOWLEDGED),
    (_FIRING, Event.RESOLVE): (_RESOLVED, Reason.BY_HAND),
    (_FIRING, Event.GONE): (_RESOLVED, Reason.RULE_GONE),
    (_FIRING, Event.REPLAY_OVER): (_RESOLVED, Reason.REPLAYED),
    (_ACKED, Event.WORSE): (_FIRING, Reason.WORSE),  # what was taken on was less
    (_ACKED, Event.MILDER): (_ACKED, Reason.MILDER),
    (_ACKED, Event.CLEAR): (_RESOLVED, Reason.CLEARED),
    (_ACKED, Event.ACKNOWLEDGE): (_ACKED, Reason.ACKNOWLEDGED),  # another person, another time
    (_ACKED, Event.ACK_OVER): (_FIRING, Reason.ACK_EXPIRED),
    (_ACKED, Event.RESOLVE): (_RESOLVED, Reason.BY_HAND),
    (_ACKED, Event.GONE): (_RESOLVED, Reason.RULE_GONE),
    (_ACKED, Event.REPLAY_OVER): (_RESOLVED, Reason.REPLAYED),
}

_NAMES = {
    None: "未发生",
    _PENDING: "待定",
    _FIRING: "报警中",
    _ACKED: "已确认",
    _RESOLVED: "已解除",
}
_ACTS = {Event.ACKNOWLEDGE: "确认", Event.RESOLVE: "解除"}


def step(state: AlertState | None, event: Event) -> tuple[AlertState, Reason]:
    """The next state and the reason.

    Raises:
        StepIllegal: it cannot happen in that state.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise StepIllegal(f"报警{_NAMES[state]}，不能{_ACTS.get(event, event)}") from None
