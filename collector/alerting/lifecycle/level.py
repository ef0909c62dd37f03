"""Level: one rule of one subject, an observation -> whether it still holds, and for how long. Pure.

Durations are in time of readings. What nobody knows (a gap) counts for neither side: a duration
that it interrupts begins anew.
"""

from msgspec import structs

from collector.alerting.alert import Level
from collector.alerting.lifecycle.damping import follows_clock, gap_ms_of
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Rule, Silent

_HOUR_MS = 3_600_000
# What an excess comes to in an hour, by its unit and the unit of the sum.
_PER_HOUR = {("kW", "kWh"): 1.0, ("kW", "GJ"): 0.0036, ("m³/h", "m³"): 1.0}


def is_met(level: Level | None, observation: Observation) -> bool:
    """The verdict, with hysteresis: in between it is what it was."""
    if observation.verdict is Verdict.BETWEEN:
        return level is not None and level.clear_ms is None
    return observation.verdict is Verdict.MET


def follow(
    level: Level | None,
    observation: Observation,
    rule: Rule,
    keep_ms: int,
    *,
    may_hold: bool = True,
) -> Level | None:
    """The level after an observation that is not older than it; None: it does not hold.

    Args:
        level: as it was, None if it did not hold.
        observation: not UNKNOWN.
        rule: the observation's.
        keep_ms: how long a level that held must be clear before it is over.
        may_hold: False: it is too late for this observation to make an alert of it.
    """
    if level is None:
        return _begun(observation, rule, may_hold=may_hold) if is_met(None, observation) else None
    if observation.at_ms < level.seen_ms and follows_clock(rule):
        level = _rebased(level, observation.at_ms)
    apart_ms = observation.at_ms - level.seen_ms
    gap = apart_ms > gap_ms_of(rule, observation.every_ms)
    if is_met(level, observation):
        return _met(level, observation, rule, gap=gap, may_hold=may_hold)
    if not level.held:
        return None
    clear_ms = observation.at_ms if level.clear_ms is None or gap else level.clear_ms
    if observation.at_ms - clear_ms >= keep_ms:
        return None
    return structs.replace(level, seen_ms=observation.at_ms, clear_ms=clear_ms)


def _begun(observation: Observation, rule: Rule, *, may_hold: bool) -> Level:
    can_add = (observation.unit, observation.energy_unit) in _PER_HOUR
    return Level(
        rule=rule.id,
        since_ms=observation.at_ms,
        seen_ms=observation.at_ms,
        held=may_hold and _for_ms(rule) == 0,
        value=observation.value,
        limit=observation.limit,
        unit=observation.unit,
        worst=observation.value,
        energy=0.0 if can_add and observation.energy_so_far is None else observation.energy_so_far,
        energy_unit=observation.energy_unit,
    )


def _met(level: Level, observation: Observation, rule: Rule, *, gap: bool, may_hold: bool) -> Level:
    since_ms = observation.at_ms if gap and not level.held else level.since_ms
    held = level.held or (may_hold and observation.at_ms - since_ms >= _for_ms(rule))
    return structs.replace(
        level,
        since_ms=since_ms,
        seen_ms=observation.at_ms,
        held=held,
        clear_ms=None,
        value=observation.value,
        limit=observation.limit,
        worst=_worst(level, observation),
        energy=_energy(level, observation, gap=gap),
    )


def _for_ms(rule: Rule) -> int:
    """A silence has its duration in its own condition: no reading comes that could count it."""
    return 0 if isinstance(rule.condition, Silent) else rule.for_ms


def _worst(level: Level, observation: Observation) -> float:
    if observation.verdict is not Verdict.MET:
        return level.worst
    beyond, was_beyond = observation.value - observation.limit, level.worst - level.limit
    return observation.value if abs(beyond) > abs(was_beyond) else level.worst


def _energy(level: Level, observation: Observation, *, gap: bool) -> float | None:
    if observation.energy_so_far is not None:
        return observation.energy_so_far
    per_hour = _PER_HOUR.get((observation.unit, observation.energy_unit))
    if per_hour is None or level.energy is None or gap or level.clear_ms is not None:
        return level.energy
    before, now = level.value - level.limit, observation.value - observation.limit
    mean = max(0.0, (before + now) / 2)
    return level.energy + mean * per_hour * (observation.at_ms - level.seen_ms) / _HOUR_MS


def _rebased(level: Level, at_ms: int) -> Level:
    """The clock was set back: what had lasted so long has lasted as long by the new time."""
    back_ms = level.seen_ms - at_ms
    clear_ms = None if level.clear_ms is None else level.clear_ms - back_ms
    since_ms = level.since_ms - back_ms
    return structs.replace(level, since_ms=since_ms, seen_ms=at_ms, clear_ms=clear_ms)
