"""Figures: a meter's day, as counts and shares -> figures of data quality, by meter and above it.

Names end in what they are: `_share` of 1, `_count`, `_s` seconds, `_millionths` of the unit. What
cannot be told has no figure.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from collector.fleet.index import MeterEntry
from collector.intervals import Figure, Subject
from collector.settle.cells import Cells


class MeterDay(Struct, frozen=True, kw_only=True):
    """What is known of one meter's day.

    Attributes:
        expected: cycles that should have brought a reading, time out of service left out.
        answered: cycles that did.
        on_time: cycles whose reading was there within the quarter of an hour; None: not counted.
        shares: measured, estimated, edited, missing of the day's interval; None: not settled.
        rejected: values refused, by reason.
        rules: of the day's quarters, a set.
    """

    entry: MeterEntry
    expected: int
    answered: int
    on_time: int | None = None
    shares: tuple[float, float, float, float] | None = None
    rejected: dict[str, int] = {}
    rules: int = 0

    @property
    def completeness(self) -> float | None:
        return None if not self.expected else min(1.0, self.answered / self.expected)

    @property
    def late_share(self) -> float | None:
        if self.on_time is None or not self.answered:
            return None
        return 1 - min(1.0, self.on_time / self.answered)


_SHARES = ("measured_share", "estimated_share", "edited_share", "missing_share")


def meter_figures(day: MeterDay, day_ms: int) -> list[Figure]:
    """A meter's own figures."""
    named: list[tuple[str, float | None]] = [("completeness_share", day.completeness)]
    if day.on_time is not None and day.expected:
        named.append(("on_time_share", min(1.0, day.on_time / day.expected)))
    if day.shares is not None:
        named += zip(_SHARES, day.shares, strict=True)
    named += [(f"rejected_{reason}_count", count) for reason, count in sorted(day.rejected.items())]
    return _figures(Subject.METER, day.entry.meter, day_ms, named)


def group_figures(days: Sequence[MeterDay], day_ms: int) -> list[Figure]:
    """Figures of buildings, institutions and gateways: completeness weighs each cycle alike."""
    found: list[Figure] = []
    for subject in (Subject.BUILDING, Subject.INSTITUTION, Subject.GATEWAY):
        groups: dict[str, list[MeterDay]] = {}
        for day in days:
            groups.setdefault(getattr(day.entry, subject.value), []).append(day)
        for identity, mine in sorted(groups.items()):
            found += _figures(subject, identity, day_ms, _together(mine))
    return found


def _together(days: Sequence[MeterDay]) -> list[tuple[str, float | None]]:
    expected = sum(day.expected for day in days)
    answered = sum(min(day.answered, day.expected) for day in days)
    named: list[tuple[str, float | None]] = [
        ("completeness_share", answered / expected if expected else None),
    ]
    counted = [day for day in days if day.on_time is not None]
    due = sum(day.expected for day in counted)
    if due:
        on_time = sum(min(day.on_time or 0, day.expected) for day in counted)
        named.append(("on_time_share", on_time / due))
    settled = [day.shares for day in days if day.shares is not None]
    for place, name in enumerate(_SHARES):
        if settled:
            named.append((name, sum(shares[place] for shares in settled) / len(settled)))
    reasons = sorted({reason for day in days for reason in day.rejected})
    named += [
        (f"rejected_{reason}_count", sum(day.rejected.get(reason, 0) for day in days))
        for reason in reasons
    ]
    return named


def deviation(one: int, other: int) -> float | None:
    """How far two sums of the same thing are apart, as a share of the larger; None: both are 0."""
    larger = max(abs(one), abs(other))
    return abs(one - other) / larger if larger else None


def shares_of(cells: Cells) -> tuple[float, float, float, float] | None:
    """The four shares of one interval; None if there is none."""
    if not len(cells.start_ms):
        return None
    columns = (cells.measured, cells.estimated, cells.edited, cells.missing)
    return tuple(float(column[0]) for column in columns)  # type: ignore[return-value]  # four


def _figures(
    subject: Subject, identity: str, day_ms: int, named: Iterable[tuple[str, float | None]]
) -> list[Figure]:
    return [
        Figure(subject=subject, id=identity, day_ms=day_ms, name=name, value=float(value))
        for name, value in named
        if value is not None
    ]
