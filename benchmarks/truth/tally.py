"""Tally: the scores of many cases -> one line of figures by kind of fault, beside the aims."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from benchmarks.truth.case import MIXED
from benchmarks.truth.label import ESTIMATED, SOFT, Kind, Trap
from benchmarks.truth.score import Episode, Hit, Month, Scored

HARD_AIM, SOFT_AIM = 0.99, 0.9
MONTH_AIM = 0.001
CLEAN_AIM = 0.0001
MIXED_SOFT = "mixed_soft"


class Line(Struct, frozen=True, kw_only=True):
    """What all cases of one kind came to.

    Attributes:
        what: a kind, a trap, `mixed` with its hard faults, or `mixed_soft` with the others.
        aim: of precision and recall; None for a trap.
        faults, found, right: how many.
        true, false: faults that episodes are about, and episodes that are about none.
        told, untold: months, those that readings tell and those that they do not.
        told_worst, told_mean: relative error of the months that readings tell.
        untold_worst, untold_mean: of the others; most of it is what nobody can know.
        excess_worst: the same beyond that.
        false_readings, false_cells: shares.
    """

    what: str
    aim: float | None
    faults: int
    found: int
    right: int
    true: int
    false: int
    told: int
    untold: int
    told_worst: float
    told_mean: float
    untold_worst: float
    untold_mean: float
    excess_worst: float
    readings: int
    false_readings: float
    false_cells: float

    @property
    def recall(self) -> float | None:
        return self.found / self.faults if self.faults else None

    @property
    def precision(self) -> float | None:
        whole = self.true + self.false
        return self.true / whole if whole else None

    @property
    def rightly_named(self) -> float | None:
        return self.right / self.found if self.found else None

    @property
    def missed(self) -> tuple[str, ...]:
        """Which aims are not met; empty if all are."""
        shares = (("recall", self.recall), ("precision", self.precision))
        if self.aim is not None:
            missed = [name for name, share in shares if share is not None and share < self.aim]
        else:
            clean = {"false_readings": self.false_readings, "false_cells": self.false_cells}
            missed = [name for name, share in clean.items() if share > CLEAN_AIM]
        return (*missed, *(["month"] if self.told_worst > MONTH_AIM else []))


def lines_of(what: str, scored: Sequence[Scored]) -> list[Line]:
    """One line; of a mixture two, since its soft faults have another aim."""
    if what == MIXED:
        return [_line(MIXED, scored), _line(MIXED_SOFT, scored)]
    return [_line(what, scored)]


def _line(what: str, scored: Sequence[Scored]) -> Line:
    hits = [hit for one in scored for hit in one.hits if _belongs(what, hit)]
    soft_part = what == MIXED_SOFT  # its episodes and months are those of the mixture
    episodes = [] if soft_part else [episode for one in scored for episode in one.episodes]
    scored = [] if soft_part else scored
    months = [month for one in scored for month in one.months]
    told = [month.error for month in months if month.told]
    untold = [month for month in months if not month.told]
    return Line(
        what=what,
        aim=None if what in list(Trap) else aim_of(what),
        faults=len(hits),
        found=sum(hit.found for hit in hits),
        right=sum(hit.right for hit in hits),
        true=sum(_touched(what, one) for one in scored),
        false=sum(not episode.true for episode in episodes),
        told=len(told),
        untold=len(untold),
        told_worst=max(told, default=0.0),
        told_mean=_mean(told),
        untold_worst=max((month.error for month in untold), default=0.0),
        untold_mean=_mean([month.error for month in untold]),
        excess_worst=max((month.excess for month in untold), default=0.0),
        readings=sum(one.readings for one in scored),
        false_readings=_share(scored, "flagged", "readings"),
        false_cells=_share(scored, "blurred", "cells"),
    )


def aim_of(what: str) -> float:
    return SOFT_AIM if what in SOFT or what == MIXED_SOFT else HARD_AIM


def _belongs(what: str, hit: Hit) -> bool:
    if what not in (MIXED, MIXED_SOFT):
        return True
    return (hit.fault.kind in SOFT) == (what == MIXED_SOFT)


def overall(lines: Iterable[Line], kinds: Iterable[Kind], name: str) -> dict[str, float | str]:
    """Precision and recall over all faults of these kinds."""
    wanted = [line for line in lines if line.what in set(kinds)]
    faults, found = sum(line.faults for line in wanted), sum(line.found for line in wanted)
    right = sum(line.right for line in wanted)
    true, false = sum(line.true for line in wanted), sum(line.false for line in wanted)
    return {
        "what": name,
        "faults": faults,
        "recall": found / max(1, faults),
        "precision": true / max(1, true + false),
        "right": right / max(1, found),
    }


def _touched(what: str, scored: Scored) -> int:
    """However many episodes one fault gives rise to, it counts once."""
    about = (episode.faults for episode in scored.episodes if _speaks(what, episode))
    return len(frozenset().union(*about))


def _speaks(what: str, episode: Episode) -> bool:
    """Estimated shares speak for gaps only; nothing else is found by them."""
    return what in (Kind.DROP, MIXED) or episode.words != (ESTIMATED,)


def _mean(errors: Sequence[float]) -> float:
    return sum(errors) / len(errors) if errors else 0.0


def _share(scored: Sequence[Scored], part: str, whole: str) -> float:
    total = sum(int(getattr(one, whole)) for one in scored)
    return sum(int(getattr(one, part)) for one in scored) / max(1, total)


def bad_months(scored: Scored) -> list[Month]:
    return [month for month in scored.months if month.told and month.error > MONTH_AIM]
