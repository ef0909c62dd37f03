"""Observation: what an evaluator saw of one rule and subject at one instant."""

from enum import StrEnum

from msgspec import Struct

from collector.alerting.subject import Subject


class Verdict(StrEnum):
    MET = "met"  # the condition holds
    CLEAR = "clear"  # it does not, hysteresis included
    BETWEEN = "between"  # beyond where it resolves, not beyond the limit: as it was before
    UNKNOWN = "unknown"  # nothing good was read, or outside of the rule's hours: changes nothing


class Observation(Struct, frozen=True, kw_only=True):
    """One look at one rule.

    Evaluators may leave out observations that repeat the last verdict, but for rules with a
    duration they give one at least every half of it.

    Attributes:
        at_ms: time of the reading (or the end of the interval) that it rests on, never "now".
        value, limit: in `unit`; of a clear one the value that cleared it.
        energy_so_far: what the excess comes to since it began, in `energy_unit`, if that can be
            said: kWh, m³, GJ. With the unit alone the excess of a kW or m³/h is added up.
        late: older than another of the same kind that was seen before.
        every_ms: how far readings of this kind are usually apart; 0: not known.
    """

    rule: str
    subject: Subject
    at_ms: int
    verdict: Verdict
    value: float = 0.0
    limit: float = 0.0
    unit: str = ""
    energy_so_far: float | None = None
    energy_unit: str = ""
    late: bool = False
    every_ms: int = 0
