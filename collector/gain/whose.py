"""Whose: hours of a family -> which meter's counting changed, since when, by how much.

The newest four weeks are held against five weeks or more before them, with nothing, two or four
weeks in between, because a drift takes weeks to come. It is said only where a week ago the same
would have been found, and only where it is one meter's and cannot be another's.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

import numpy as np
from msgspec import Struct, structs

from collector.gain.evidence import Evidence, course, evidence_of, followed
from collector.gain.hours import FamilyHours
from collector.gain.onset import onset
from collector.settle.series import Ints

LOOKBACK_DAYS = 98
KNOWN_BEFORE_DAYS = 56  # before a change that is known already
_AFTER_DAYS = 28
_NEWEST_DAYS = 14
_BEFORE_DAYS = 35
_BETWEEN_DAYS = (0, 14, 28)
_AGAIN_DAYS = 7
LEAST_DAYS = _BEFORE_DAYS + _AFTER_DAYS + _AGAIN_DAYS
_FLOOR = 0.005  # no error is believed to be smaller
_SURE = 5.0  # standard errors, of the fluctuation alone
_BOTH = (2.5, 2.5)  # of fluctuation and course, where both say it
_AGREE = 3.0  # standard errors that both may be apart
_AGREE_SHARE = 0.15  # of what is said, that no standard error knows of
_COURSE = 8.0  # of the course alone, where the fluctuation does not contradict
_SEEN = 0.2  # of what the rest does of itself, that comes of the change
_APART = 4.0  # of the one beside any other candidate
_NEEDED, _NEEDED_SHARE = 3.5, 0.4  # from which on the other is needed as well
_LOUDER = (0.4, 3.0)  # how much more of the same a rest may do: that is no change of a meter
_NOISE = 0.5  # of what a meter does, that its last digit may make
_UNTOLD = 0.1  # a standard error from which on nothing is told
_LEAST_LEFT = 0.1  # of what went through, that a register must count


class Standing(StrEnum):
    """What is known of a meter's counting."""

    STEADY = "steady"
    CHANGED = "changed"
    UNTOLD = "untold"  # it hardly varies, or just as another one, or too little is known


class Gain(Struct, frozen=True, kw_only=True):
    """One meter of a family.

    Attributes:
        change: by which share more than before it counts; less than 0: too little. As if it had
            been right before.
        error: the standard error of that; infinite where nothing is known.
        since_ms: the day on which it began, if it changed.
        other: the one meter that may have changed instead of it: both vary alike.
    """

    meter: str
    standing: Standing
    change: float
    error: float
    since_ms: int | None = None
    other: str | None = None


class _Said(Struct, frozen=True):
    """What both kinds of evidence say of a candidate: a share of it, and in standard errors."""

    share: float
    error: float
    fluctuation: float
    course: float

    @property
    def strength(self) -> float:
        same = self.fluctuation * self.course > 0
        return float(np.hypot(self.fluctuation, self.course if same else 0.0))


class _Verdict(Struct, frozen=True):
    """A candidate, and the one that it cannot be told from."""

    who: int
    other: int | None = None


class _Spans(Struct, frozen=True):
    """Days that are held against each other."""

    before: Ints
    after: Ints


_Changes = dict[int, tuple[_Said, _Spans]]  # by candidate


def gains_of(hours: FamilyHours, least: float, known_ms: int | None = None) -> list[Gain]:
    """What is known of each meter at the end of the last day, the main first.

    Args:
        least: share from where on a change is worth a word.
        known_ms: the day on which a change began that is known already; what was before it is what
            is held against.
    """
    evidence = evidence_of(hours)
    spans = _spans(evidence, hours, known_ms)
    count = len(hours.subs) + 1
    if not spans:
        return [_untold(hours, who) for who in range(count)]
    changed = _changed(evidence, spans, least)
    verdict = None
    if changed:
        ago = hours.between(0, len(hours.there) - _AGAIN_DAYS)
        past = evidence_of(ago)
        earlier = _changed(past, _spans(past, ago, known_ms), least)
        lasting = {
            who: one
            for who, one in changed.items()
            if who in earlier and earlier[who][0].share * one[0].share > 0
        }
        verdict = _whose(evidence, lasting, changed)
    gains = []
    for who in (count - 1, *range(count - 1)):  # the main stands for the sum
        if verdict is not None and who == verdict.who:
            gains.append(_departed(hours, evidence, verdict, changed[who][0]))
        else:
            gains.append(_gain(hours, evidence, who, _said(evidence, who, spans[0])))
    return gains


def _departed(hours: FamilyHours, evidence: Evidence, verdict: _Verdict, said: _Said) -> Gain:
    who, other = verdict.who, verdict.other
    first = onset(evidence.product[:, who, who], evidence.moment[:, who])
    return structs.replace(
        _gain(hours, evidence, who, said),
        standing=Standing.CHANGED,
        since_ms=hours.day_ms(first),
        other=None if other is None else _meter(hours, other),
    )


def _gain(hours: FamilyHours, evidence: Evidence, who: int, said: _Said) -> Gain:
    """A main that counts a share more leaves that share of everything in the rest."""
    main = who == len(hours.subs)
    left = max(_LEAST_LEFT, 1 + said.share)
    error = said.error if main else said.error / left**2
    told = error <= _UNTOLD and evidence.noise[who] <= _NOISE
    return Gain(
        meter=_meter(hours, who),
        standing=Standing.STEADY if told else Standing.UNTOLD,
        change=said.share if main else 1 / left - 1,
        error=error,
    )


def _meter(hours: FamilyHours, who: int) -> str:
    return hours.main if who == len(hours.subs) else hours.subs[who]


def _untold(hours: FamilyHours, place: int) -> Gain:
    meter = (hours.main, *hours.subs)[place]
    return Gain(meter=meter, standing=Standing.UNTOLD, change=0.0, error=float("inf"))


def _spans(evidence: Evidence, hours: FamilyHours, known_ms: int | None) -> list[_Spans]:
    told = np.flatnonzero(evidence.told)
    end = len(evidence.rest_day)
    after = told[told >= end - _AFTER_DAYS]
    if len(after) < _NEWEST_DAYS:
        return []
    untils = [end - _AFTER_DAYS - between for between in _BETWEEN_DAYS]
    if known_ms is not None:
        untils.insert(0, min(untils[0], hours.place(known_ms)))
    found = [_Spans(told[told < until], after) for until in untils]
    found = [one for one in found if len(one.before) >= _BEFORE_DAYS]
    return found[:1] if known_ms is not None else found


def _changed(evidence: Evidence, spans: Sequence[_Spans], least: float) -> _Changes:
    """Candidates that seem to have changed, each over the spans that say it loudest."""
    found: _Changes = {}
    for who in range(evidence.moment.shape[1]):
        for one in spans:
            said = _said(evidence, who, one)
            louder = who not in found or said.strength > found[who][0].strength
            if (
                louder
                and evidence.noise[who] <= _NOISE
                and _is_sure(evidence, who, said, one, least)
            ):
                found[who] = said, one
    return found


def _said(evidence: Evidence, who: int, spans: _Spans, beside: Sequence[int] = ()) -> _Said:
    """Of one candidate, others beside it taken into account.

    A rest that does more of the same follows more as well: the smaller of what both readings say.
    """
    everyone = np.array([who, *beside])
    share_before, spread_before = followed(evidence, everyone, spans.before)
    share_after, spread_after = followed(evidence, everyone, spans.after)
    readings = []
    for times in (1.0, _louder(evidence, spans)):
        share = float(share_after[0] - times * share_before[0])
        error = np.sqrt(spread_after[0, 0] + times**2 * spread_before[0, 0] + _FLOOR**2)
        readings.append((share, float(error)))
    share, error = min(readings, key=lambda one: abs(one[0]) / one[1])
    if readings[0][0] * readings[1][0] <= 0:
        share = 0.0
    goes, goes_error = course(evidence, everyone, spans.before, spans.after)
    course_error = float(np.hypot(goes_error[0], _FLOOR))
    fluctuation, by_course = share / error, float(goes[0]) / course_error
    apart = _AGREE * np.hypot(np.hypot(error, course_error), _AGREE_SHARE * share)
    if abs(share - float(goes[0])) > apart:
        fluctuation = by_course = 0.0  # they contradict each other
    return _Said(share, error, fluctuation, by_course)


def _louder(evidence: Evidence, spans: _Spans) -> float:
    """How much more the rest does of itself after than before."""

    def usual(days: Ints) -> float:
        weight = evidence.weight[days]
        return float(np.median(weight[weight > 0]))

    return float(np.clip(np.sqrt(usual(spans.before) / usual(spans.after)), *_LOUDER))


def _is_sure(evidence: Evidence, who: int, said: _Said, spans: _Spans, least: float) -> bool:
    alone = abs(said.fluctuation) >= _SURE
    both = abs(said.fluctuation) >= _BOTH[0] and abs(said.course) >= _BOTH[1]
    both = both and said.fluctuation * said.course > 0
    goes = abs(said.course) >= _COURSE and said.fluctuation * said.course > 0
    if abs(said.share) < least or not (alone or both or goes):
        return False
    if abs(said.share) * _size(evidence, who, spans.after) < _SEEN:
        return False
    newest = spans.after[spans.after >= len(evidence.rest_day) - _NEWEST_DAYS]
    if len(newest) < 2:
        return False
    now = followed(evidence, np.array([who]), newest)[0][0]
    then = followed(evidence, np.array([who]), spans.before)[0][0]
    return bool((now - then) * np.sign(said.share) >= least / 2)


def _size(evidence: Evidence, who: int, days: Ints) -> float:
    """How much a candidate does out of the usual, against what the rest does of itself."""
    hours = int((evidence.weight[days] > 0).sum())
    return float(np.sqrt(max(0.0, evidence.product[days, who, who].sum()) / max(1, hours)))


def _whose(evidence: Evidence, changed: _Changes, everyone: Collection[int]) -> _Verdict | None:
    """The one that stays beside whoever else, or two that cannot be told apart; None: neither.

    Args:
        changed: candidates, of which it may be one.
        everyone: candidates that seem to have changed now.
    """
    others = np.flatnonzero(evidence.noise <= _NOISE).tolist()
    verdicts = []
    for who, (said, spans) in changed.items():
        beside = sorted(
            (_beside(evidence, who, other, spans), other) for other in others if other != who
        )
        doubts = [other for strength, other in beside if strength < _APART]
        if not doubts:
            verdicts.append((1, beside[0][0] if beside else np.inf, _Verdict(who)))
        elif len(doubts) == 1 and doubts[0] in everyone:
            verdicts.append((0, said.strength, _Verdict(who, doubts[0])))
    return max(verdicts, key=lambda one: one[:2])[2] if verdicts else None


def _beside(evidence: Evidence, who: int, other: int, spans: _Spans) -> float:
    """How sure it is of one candidate beside another; 0 if the other one is needed as well."""
    mine = _said(evidence, who, spans, [other]).strength
    share_before, spread_before = followed(evidence, np.array([other, who]), spans.before)
    share_after, spread_after = followed(evidence, np.array([other, who]), spans.after)
    error = np.sqrt(spread_before[0, 0] + spread_after[0, 0] + _FLOOR**2)
    theirs = abs(float(share_after[0] - share_before[0])) / error
    return mine if theirs <= max(_NEEDED, _NEEDED_SHARE * mine) else 0.0
