"""Weigh: evidence of a family, two spans of days -> what is said of one candidate, and how surely.

Candidates are numbered as in `Evidence`: the subs, then their sum, which stands for the main.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from collector.gain.evidence import Evidence, course, followed
from collector.settle.series import Ints

NEWEST_DAYS = 14
_FLOOR = 0.005  # no error is believed to be smaller
_SURE = 5.0  # standard errors, of the fluctuation alone
_BOTH = 2.5  # of fluctuation and course, where both say it
_COURSE = 8.0  # of the course, where the fluctuation only does not contradict
_AGREE = 3.0  # standard errors that both may be apart
_AGREE_SHARE = 0.15  # of what a course says, that no standard error knows of
_LOUDER = (0.4, 3.0)  # how much more of the same a rest may do: that is no change of a meter
_SEEN = 0.2  # of what the rest does of itself, that comes of the change
_ALIKE = 0.9  # of what two do, from which on nobody tells them apart
_NEEDED, _NEEDED_SHARE = 3.5, 0.4  # from which on another one is needed as well
NOISE = 0.5  # of what a meter does, that its last digit may make


class Spans(Struct, frozen=True):
    """Days that are held against each other."""

    before: Ints
    after: Ints


class Said(Struct, frozen=True):
    """What is said of a candidate.

    Attributes:
        share: by which the rest follows it more than before; `error`: its standard error.
        fluctuation, course: what either kind says, in standard errors; 0 if they contradict.
    """

    share: float
    error: float
    fluctuation: float
    course: float

    @property
    def strength(self) -> float:
        """In standard errors."""
        same = self.fluctuation * self.course > 0
        return float(np.hypot(self.fluctuation, self.course if same else 0.0))


def weigh(evidence: Evidence, who: int, spans: Spans, beside: Sequence[int] = ()) -> Said:
    """What is said of one candidate, others beside it taken into account.

    A rest that does more of all it did follows more as well, and no meter has changed: of what is
    said with and without that, the weaker one counts.
    """
    everyone = np.array([who, *beside])
    before, before_spread = followed(evidence, everyone, spans.before)
    after, after_spread = followed(evidence, everyone, spans.after)
    readings = []
    for times in (1.0, _louder(evidence, spans)):
        share = float(after[0] - times * before[0])
        error = np.sqrt(after_spread[0, 0] + times**2 * before_spread[0, 0] + _FLOOR**2)
        readings.append((share, float(error)))
    share, error = min(readings, key=lambda one: abs(one[0]) / one[1])
    if readings[0][0] * readings[1][0] <= 0:
        share = 0.0
    goes, goes_errors = course(evidence, everyone, spans.before, spans.after)
    return _together((share, error), (float(goes[0]), float(np.hypot(goes_errors[0], _FLOOR))))


def _together(fluctuation: tuple[float, float], goes: tuple[float, float]) -> Said:
    share, error = fluctuation
    unsure = float(np.hypot(goes[1], _AGREE_SHARE * goes[0]))
    if abs(share - goes[0]) > _AGREE * np.hypot(error, unsure):
        return Said(share, error, 0.0, 0.0)
    said = Said(share, error, share / error, goes[0] / goes[1])
    if abs(said.course) < _COURSE:
        return said
    weights = error**-2, unsure**-2
    both = (share * weights[0] + goes[0] * weights[1]) / sum(weights)
    return Said(both, sum(weights) ** -0.5, said.fluctuation, said.course)


def _louder(evidence: Evidence, spans: Spans) -> float:
    """How much more the rest does of itself after than before."""

    def usual(days: Ints) -> float:
        weight = evidence.weight[days]
        return float(np.median(weight[weight > 0]))

    return float(np.clip(np.sqrt(usual(spans.before) / usual(spans.after)), *_LOUDER))


def is_sure(evidence: Evidence, who: int, said: Said, spans: Spans, least: float) -> bool:
    """Whether it is enough to be a change: sure, large, seen, and still so."""
    same = said.fluctuation * said.course > 0
    fluctuates = abs(said.fluctuation) >= _SURE
    both = same and min(abs(said.fluctuation), abs(said.course)) >= _BOTH
    goes = same and abs(said.course) >= _COURSE
    if abs(said.share) < least or not (fluctuates or both or goes):
        return False
    if abs(said.share) * _size(evidence, who, spans.after) < _SEEN:
        return False
    return goes or _is_still_so(evidence, who, said, spans, least)


def _size(evidence: Evidence, who: int, days: Ints) -> float:
    """How much a candidate does out of the usual, against what the rest does of itself."""
    hours = int((evidence.weight[days] > 0).sum())
    return float(np.sqrt(max(0.0, evidence.product[days, who, who].sum()) / max(1, hours)))


def _is_still_so(evidence: Evidence, who: int, said: Said, spans: Spans, least: float) -> bool:
    newest = spans.after[spans.after >= len(evidence.rest_day) - NEWEST_DAYS]
    now, _ = followed(evidence, np.array([who]), newest)
    then, _ = followed(evidence, np.array([who]), spans.before)
    return bool((now[0] - then[0]) * np.sign(said.share) >= least / 2)


def beside(evidence: Evidence, who: int, other: int, spans: Spans) -> float:
    """How sure it is of one candidate beside another; 0 if they vary alike, or both are needed."""
    if _likeness(evidence, who, other, spans) >= _ALIKE:
        return 0.0
    mine = weigh(evidence, who, spans, [other]).strength
    before, before_spread = followed(evidence, np.array([other, who]), spans.before)
    after, after_spread = followed(evidence, np.array([other, who]), spans.after)
    error = np.sqrt(before_spread[0, 0] + after_spread[0, 0] + _FLOOR**2)
    theirs = abs(float(after[0] - before[0])) / error
    return mine if theirs <= max(_NEEDED, _NEEDED_SHARE * mine) else 0.0


def _likeness(evidence: Evidence, who: int, other: int, spans: Spans) -> float:
    """The share of what one does that the other does as well: a main, and its only large sub."""
    product = evidence.product[spans.after].sum(axis=0)
    both = product[who, who] * product[other, other]
    return float(product[who, other] ** 2 / both) if both > 0 else 0.0
