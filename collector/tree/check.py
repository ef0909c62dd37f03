"""Check: a main and the meters right below it -> whether they agree (总分校核).

Judged only where both sides are known. The tolerance is the sum of what each side's meters may be
wrong by, a share of the main: a default of the configuration, since no text at hand fixes it.
"""

from collections.abc import Sequence

from msgspec import Struct

from collector.intervals import Intervals
from collector.settle.series import PER_UNIT
from collector.tree.derive import main_counters
from collector.tree.family import Family
from collector.tree.signed_sum import signed_sum


class SumCheck(Struct, frozen=True, kw_only=True):
    """One main over all intervals handed in.

    Attributes:
        below: the meters right below it; `silent`: those of them without any known interval.
        main, parts: consumption where all are known, in the counter's unit.
        share: (main - parts) / main; None where the main consumed nothing or nothing is known.
        judged_share: of the main's intervals, those where all are known.
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


def check_sums(
    family: Family, settled: Sequence[Intervals], *, tolerance: float, least_judged: float
) -> list[SumCheck]:
    """Compare every main with what is below it, by main.

    Args:
        settled: intervals of one width of one span.
        tolerance: share of the main by which the sub-meters may exceed it. That they fall short is
            no error: the rest is not metered.
        least_judged: share of the main's intervals that must be comparable.
    """
    by_meter = main_counters(family, settled)
    return [
        _check(main, below, by_meter, tolerance, least_judged)
        for main, below in sorted(family.children.items())
        if main in by_meter
    ]


def _check(
    main: str,
    below: tuple[str, ...],
    by_meter: dict[str, Intervals],
    tolerance: float,
    least_judged: float,
) -> SumCheck:
    whole = by_meter[main].cells
    silent = tuple(m for m in below if m not in by_meter or not by_meter[m].cells.known.any())
    parts = signed_sum([(by_meter[m].cells if m in by_meter else None, 1.0) for m in below])
    both = signed_sum([(whole, 1.0), (parts, 0.0)])
    there = both.known
    main_value = float(both.value[there].sum()) / PER_UNIT
    part_value = float(signed_sum([(whole, 0.0), (parts, 1.0)]).value[there].sum()) / PER_UNIT
    judged = float(there.sum() / max(1, whole.known.sum()))
    share = (main_value - part_value) / main_value if main_value > 0 else None
    told = share is not None and judged >= least_judged
    return SumCheck(
        meter=main,
        quantity=by_meter[main].quantity,
        below=below,
        silent=silent,
        main=main_value,
        parts=part_value,
        share=share,
        judged_share=judged,
        agrees=share >= -tolerance if told and share is not None else None,
    )
