"""Figures: a meter's day, as counts and shares -> figures of data quality, by meter and above it.

Names end in what they are: `_share` of 1, `_count`, `_s` seconds, `_millionths` of the unit. What
cannot be told has no figure.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from collector.fleet.index import MeterEntry
from collector.intervals import Figure, Subject
from collector.settle.cells import DAY_MS, QUARTER_MS, Cells
from collector.settle.rule import Rule, bit

_NOTHING = 1e-6  # of a day's time

Shares = tuple[float, float, float, float]


class MeterDay(Struct, frozen=True, kw_only=True):
    """What is known of one meter's day.

    Attributes:
        expected: cycles that should have brought a reading, time out of service left out.
        answered: cycles that did.
        arrived, on_time: readings that were counted as they came, and those of them that were at
            most a quarter of an hour old then; None: nobody counted.
        shares: measured, estimated, edited, missing of the day in service; None: not settled.
        rejected: values refused, by reason.
        rules: of the day's quarters, a set.
        last_ms: of a silent meter, its last reading before the day; None: not known.
    """

    entry: MeterEntry
    expected: int
    answered: int
    arrived: int | None = None
    on_time: int | None = None
    shares: Shares | None = None
    rejected: dict[str, int] = {}
    rules: int = 0
    last_ms: int | None = None

    @property
    def completeness(self) -> float | None:
        return None if not self.expected else min(1.0, self.answered / self.expected)

    @property
    def late_share(self) -> float | None:
        """Of the readings that were counted: a collector that restarts has counted fewer."""
        if not self.arrived or self.on_time is None:
            return None
        return 1 - min(1.0, self.on_time / self.arrived)

    @property
    def on_time_cycles(self) -> float | None:
        """Cycles that were answered in time."""
        late = self.late_share
        return None if late is None else min(self.answered, self.expected) * (1 - late)


_SHARES = ("measured_share", "estimated_share", "edited_share", "missing_share")


def meter_figures(day: MeterDay, day_ms: int) -> list[Figure]:
    """The meter's own figures."""
    named: list[tuple[str, float | None]] = [("completeness_share", day.completeness)]
    if day.on_time_cycles is not None and day.expected:
        named.append(("on_time_share", day.on_time_cycles / day.expected))
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
    counted = [(day.expected, day.on_time_cycles) for day in days]
    due = sum(cycles for cycles, on_time in counted if on_time is not None)
    if due:
        in_time = sum(on_time for _, on_time in counted if on_time is not None)
        named.append(("on_time_share", in_time / due))
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


def shares_of(day: Cells, quarters: Cells | None) -> Shares | None:
    """The four shares of a day; None if there is none, or nothing but time out of service.

    Args:
        day: one interval, or none.
        quarters: the day's: what is missing of those out of service is not missed. The other shares
            stay those of the day: a quarter of a meter that answers once an hour is estimated, its
            day is not.
    """
    if not len(day.start_ms):
        return None
    out = 0.0
    if quarters is not None:
        unused = (quarters.rules & bit(Rule.OUT_OF_SERVICE)) != 0
        out = float(quarters.missing[unused].sum()) * QUARTER_MS / DAY_MS
    missing = float(day.missing[0]) - out
    known = [float(column[0]) for column in (day.measured, day.estimated, day.edited)]
    whole = sum(known) + max(0.0, missing)
    if whole < _NOTHING:
        return None
    measured, estimated, edited = (share / whole for share in known)
    return measured, estimated, edited, max(0.0, missing) / whole


def _figures(
    subject: Subject, identity: str, day_ms: int, named: Iterable[tuple[str, float | None]]
) -> list[Figure]:
    return [
        Figure(subject=subject, id=identity, day_ms=day_ms, name=name, value=float(value))
        for name, value in named
        if value is not None
    ]
