"""Damping: how often something fired -> how long it must be clear before it resolves.

All numbers are engineering defaults. What comes and goes is one alert that stays, and says how
often it came (`flaps`), instead of twenty that nobody reads.
"""

from collector.alerting.rule import (
    Above,
    Below,
    Budget,
    Consumed,
    Outside,
    Quality,
    Rate,
    Rule,
    Silent,
    System,
)

FLAP_WINDOW_MS = 86_400_000
GAP_MS = 900_000  # readings further apart say nothing of the time between them
LATE_MS = 900_000
_LATE_SETTLED_MS = 129_600_000  # yesterday's figure is news until noon
_DAMPED_FROM = 2
_DAMPED_KEEP_MS = 600_000
_LONGEST_KEEP_MS = 21_600_000
_REPLAY_KEEP_MS = 1_800_000

OF_READINGS = (Above, Below, Outside, Rate)
_SETTLED = (Consumed, Quality, Budget)
_BY_CLOCK = (Silent, System)


def keep_of(rule: Rule, flaps: int, *, replayed: bool) -> int:
    """How long it must be clear; from the third time within a day on longer and longer.

    A record is not damped by how often it fired, which a restart in the middle of a backlog would
    have to know: what came and went within half an hour is one.
    """
    if replayed:
        of_readings = isinstance(rule.condition, OF_READINGS)
        return max(rule.keep_ms, _REPLAY_KEEP_MS) if of_readings else rule.keep_ms
    if flaps < _DAMPED_FROM:
        return rule.keep_ms
    doublings = min(flaps - _DAMPED_FROM, 8)
    damped_ms = max(rule.keep_ms, _DAMPED_KEEP_MS) << doublings
    return max(rule.keep_ms, min(damped_ms, _LONGEST_KEEP_MS))


def late_ms_of(rule: Rule) -> int | None:
    """How much older than the clock an observation may be and still wake somebody."""
    if isinstance(rule.condition, _BY_CLOCK):
        return None
    return _LATE_SETTLED_MS if isinstance(rule.condition, _SETTLED) else LATE_MS


def follows_clock(rule: Rule) -> bool:
    """Whether it is about now, by the collector's clock, rather than about readings."""
    return isinstance(rule.condition, _BY_CLOCK)


def gap_ms_of(rule: Rule, every_ms: int) -> int:
    """How far observations may be apart for what they say to hold in between."""
    if not isinstance(rule.condition, OF_READINGS):
        return 1 << 62  # figures of days and months say what they say; signs are looked at always
    return max(GAP_MS, rule.for_ms, 3 * every_ms)
