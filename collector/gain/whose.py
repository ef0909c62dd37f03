"""Whose: hours of a family -> which meter's counting changed, since when, by how much.

The newest four weeks are held against five weeks or more before them, with nothing, two or four
weeks in between, because a drift takes weeks to come. It is said only where a week ago the same
would have been found, and only where it is one meter's and cannot be another's.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

import numpy as np
from msgspec import Struct, structs

from collector.gain.evidence import Evidence, evidence_of, fluctuation
from collector.gain.hours import FamilyHours
from collector.gain.onset import onset
from collector.gain.weigh import NEWEST_DAYS, NOISE, Said, Spans, beside, is_sure, weigh

LOOKBACK_DAYS = 98
KNOWN_BEFORE_DAYS = 56  # before a change that is known already
_AFTER_DAYS = 28
_BEFORE_DAYS = 35
_BETWEEN_DAYS = (0, 14, 28)
_AGAIN_DAYS = 7
LEAST_DAYS = _BEFORE_DAYS + _AFTER_DAYS + _AGAIN_DAYS
_APART = 4.0  # standard errors, of the one beside any other candidate
_UNTOLD = 0.1  # a standard error from which on nothing is told
_BETTER = 1.5  # times the error that is known already
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


class _Verdict(Struct, frozen=True):
    """A candidate, and the one that it cannot be told from."""

    who: int
    other: int | None = None


_Changes = dict[int, tuple[Said, Spans]]  # by candidate


def gains_of(hours: FamilyHours, least: float, known_ms: int | None = None) -> list[Gain]:
    """What is known of each meter at the end of the last day, the main first.

    Args:
        least: share from where on a change is worth a word.
        known_ms: the day on which a change began that is known already; what was before it is what
            is held against.
    """
    count = len(hours.subs) + 1
    if len(hours.there) < _BEFORE_DAYS + _AFTER_DAYS:
        return [_untold(hours, who) for who in range(count)]
    evidence = evidence_of(hours)
    spans = _spans(evidence, hours, known_ms)
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
            gains.append(_gain(hours, evidence, who, weigh(evidence, who, spans[0])))
    return gains


def _departed(hours: FamilyHours, evidence: Evidence, verdict: _Verdict, said: Said) -> Gain:
    """By how much is told best by the days before it began."""
    who, other = verdict.who, verdict.other
    first = onset(evidence.product[:, who, who], evidence.moment[:, who])
    told = np.flatnonzero(evidence.told)
    after = told[told >= len(hours.there) - _AFTER_DAYS]
    share, error = fluctuation(evidence, np.array([who]), told[told < first], after)
    if error[0] <= said.error * _BETTER:
        said = structs.replace(said, share=float(share[0]), error=float(error[0]))
    return structs.replace(
        _gain(hours, evidence, who, said),
        standing=Standing.CHANGED,
        since_ms=hours.day_ms(first),
        other=None if other is None else _meter(hours, other),
    )


def _gain(hours: FamilyHours, evidence: Evidence, who: int, said: Said) -> Gain:
    """A main that counts a share more leaves that share of everything in the rest."""
    main = who == len(hours.subs)
    left = max(_LEAST_LEFT, 1 + said.share)
    error = said.error if main else said.error / left**2
    told = error <= _UNTOLD and evidence.noise[who] <= NOISE
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


def _spans(evidence: Evidence, hours: FamilyHours, known_ms: int | None) -> list[Spans]:
    told = np.flatnonzero(evidence.told)
    end = len(evidence.rest_day)
    after = told[told >= end - _AFTER_DAYS]
    if len(after) < NEWEST_DAYS:
        return []
    untils = [end - _AFTER_DAYS - between for between in _BETWEEN_DAYS]
    if known_ms is not None:
        untils.insert(0, min(untils[0], hours.place(known_ms)))
    found = [Spans(told[told < until], after) for until in untils]
    found = [one for one in found if len(one.before) >= _BEFORE_DAYS]
    return found[:1] if known_ms is not None else found


def _changed(evidence: Evidence, spans: Sequence[Spans], least: float) -> _Changes:
    """Candidates that seem to have changed, each over the spans that say it loudest."""
    found: _Changes = {}
    for who in range(evidence.moment.shape[1]):
        for one in spans:
            said = weigh(evidence, who, one)
            louder = who not in found or said.strength > found[who][0].strength
            if louder and evidence.noise[who] <= NOISE and is_sure(evidence, who, said, one, least):
                found[who] = said, one
    return found


def _whose(evidence: Evidence, changed: _Changes, everyone: Collection[int]) -> _Verdict | None:
    """The one that stays beside whoever else, or two that cannot be told apart; None: neither.

    Args:
        changed: candidates, of which it may be one.
        everyone: candidates that seem to have changed now.
    """
    others = np.flatnonzero(evidence.noise <= NOISE).tolist()
    verdicts = []
    for who, (said, spans) in changed.items():
        strengths = sorted(
            (beside(evidence, who, other, spans), other) for other in others if other != who
        )
        doubts = [other for strength, other in strengths if strength < _APART]
        if not doubts:
            verdicts.append((1, strengths[0][0] if strengths else np.inf, _Verdict(who)))
        elif len(doubts) == 1 and doubts[0] in everyone:
            verdicts.append((0, said.strength, _Verdict(who, doubts[0])))
    return max(verdicts, key=lambda one: one[:2])[2] if verdicts else None
