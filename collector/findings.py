"""Findings: what the daily verification (日校核) tells an institution; the port to its place."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class FindingKind(StrEnum):
    """What was found."""

    SILENT = "silent"  # no reading at all
    INCOMPLETE = "incomplete"  # completeness below the norm
    LATE = "late"
    ESTIMATED = "estimated"  # too large a share is estimated
    REJECTED = "rejected"
    FROZEN = "frozen"
    ZERO_RUN = "zero_run"
    RESET = "reset"
    ROLLOVER = "rollover"
    JUMP = "jump"
    UNIT = "unit"
    GAIN = "gain"  # it counts otherwise than before, or than its power says
    GLITCH = "glitch"
    SOFT_LIMIT = "soft_limit"
    CLOCK = "clock"  # a gateway's clock is off
    CLOCK_SET = "clock_set"  # readings' times run through each other
    DRIFT = "drift"
    SUM = "sum"  # main against its sub-meters
    MONTH_SUM = "month_sum"  # days against the month
    LAW = "law"  # our own intervals do not add up: a mistake of this software


class Finding(Struct, frozen=True, kw_only=True):
    """One line of an institution's list for one day.

    Attributes:
        day_ms: the day verified, its start in Shanghai.
        since_ms: since when it has been so.
        value: the number behind it; the text has it with its unit.
        text: Chinese: which meter, what, since when. `advice`: what to do first.
    """

    institution: str
    day_ms: int
    kind: FindingKind
    meter: str
    since_ms: int
    value: float | None = None
    text: str
    advice: str


class FindingBook(Protocol):
    """Where findings stay; may raise `TransientError`."""

    def replace_findings(self, day_ms: int, findings: Sequence[Finding]) -> None:
        """Keep a day's list in place of the one that was there."""
        ...

    def findings(self, start_ms: int, end_ms: int, institution: str | None = None) -> list[Finding]:
        """By (day, institution, kind, meter)."""
        ...
