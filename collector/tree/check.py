"""Check: a main and the meters right below it -> whether they agree (总分校核).

Judged only where both sides are known and mostly measured or entered: what was laid out by rule is
right in sum, not in each interval. The tolerance is the sum of what each side's meters may be wrong
by, a share of the main: a default of the configuration, since no text at hand fixes it.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from collector.intervals import Intervals
from collector.settle.series import PER_UNIT
from collector.tree.derive import main_counters, within
from collector.tree.family import Family, Span
from collector.tree.signed_sum import signed_sum

_MOSTLY = 0.5  # of an interval's time, of the weakest meter
_COARSE = PER_UNIT  # what a main's register may not have counted yet: one unit


class SumCheck(Struct, frozen=True, kw_only=True):
    """One main over all intervals handed in.

    Attributes:
        below: the meters right below it; `silent`: those of them without any known interval.
        main, parts: consumption where it is judged, in the counter's unit.
        share: (main - parts) / main; None where the main consumed nothing or nothing is judged.
        judged_share: of the main's intervals, those that are judged.
        agrees: None where it cannot be told.
    """

    meter: str
    quantity: str
    below: tuple[str, ...]
    silent: tuple[str, ...]
    main: float
    parts: float
    share: float | None
    judged_share: float
    agrees: bool | None


class _Sums(Struct, kw_only=True):
    """A main under the trees that followed each other; millionths, and numbers of intervals."""

    quantity: str = ""
    below: set[str]
    heard: set[str]
    main: int = 0
    parts: int = 0
    judged: int = 0
    known: int = 0


def check_sums(
    trees: Sequence[tuple[Span, Family]],
    settled: Sequence[Intervals],
    *,
    tolerance: float,
    least_judged: float,
) -> list[SumCheck]:
    """Compare every main with what is below it, by main.

    Args:
        trees: who was in force when (`collector.tree.family.families`).
        settled: intervals of one width of their time.
        tolerance: share of the main by which the sub-meters may exceed it. That they fall short is
            no error: the rest is not metered.
        least_judged: share of the main's intervals that must be comparable.
    """
    mains: dict[str, _Sums] = {}
    for span, family in trees:
        by_meter = main_counters(family, within(settled, span))
        for main, below in family.children.items():
            if main in by_meter:
                sums = mains.setdefault(main, _Sums(below=set(), heard=set()))
                _add(sums, by_meter[main], below, by_meter)
    return [_judged(main, sums, tolerance, least_judged) for main, sums in sorted(mains.items())]


def _add(
    sums: _Sums, main: Intervals, below: Sequence[str], by_meter: Mapping[str, Intervals]
) -> None:
    whole = main.cells
    parts = signed_sum([(by_meter[m].cells if m in by_meter else None, 1.0) for m in below])
    # Both have the starts, what is known and the shares of the weakest; each one side's values.
    mine, theirs = signed_sum([(whole, 1), (parts, 0)]), signed_sum([(whole, 0), (parts, 1)])
    there = mine.known & (mine.measured + mine.edited >= _MOSTLY)
    sums.quantity = main.quantity
    sums.below.update(below)
    sums.heard.update(m for m in below if m in by_meter and by_meter[m].cells.known.any())
    sums.main += int(mine.value[there].sum())
    sums.parts += int(theirs.value[there].sum())
    sums.judged += int(there.sum())
    sums.known += int(whole.known.sum())


def _judged(meter: str, sums: _Sums, tolerance: float, least_judged: float) -> SumCheck:
    judged_share = sums.judged / max(1, sums.known)
    agrees = None
    if judged_share >= least_judged and sums.judged:
        agrees = sums.parts - sums.main <= max(tolerance * sums.main, _COARSE)
    return SumCheck(
        meter=meter,
        quantity=sums.quantity,
        below=tuple(sorted(sums.below)),
        silent=tuple(sorted(sums.below - sums.heard)),
        main=sums.main / PER_UNIT,
        parts=sums.parts / PER_UNIT,
        share=(sums.main - sums.parts) / sums.main if sums.main > 0 else None,
        judged_share=judged_share,
        agrees=agrees,
    )
