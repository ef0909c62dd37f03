"""Played: what a back-test is asked for, and what came of it; values.

What rules looked at is kept as lines, for charts.
"""

from collections.abc import Iterator

from msgspec import Struct

from collector.alerting.evaluate.derived import Derive
from collector.alerting.evaluate.plan import Check
from collector.alerting.rule import Rule
from collector.alerting.subject import Subject
from collector.store import Row

_POINTS = 512  # of a line

Key = tuple[str, Subject, str]  # rule, subject, unit


class Order(Struct, frozen=True, kw_only=True):
    """What to play back.

    Attributes:
        start_ms, end_ms: half-open. Days and months count whose end lies within, or at its end.
        meters, institutions: of these alone; None for both: of all.
    """

    rules: tuple[Rule, ...]
    start_ms: int
    end_ms: int
    meters: frozenset[str] | None = None
    institutions: frozenset[str] | None = None


class Fired(Struct, frozen=True, kw_only=True):
    """An alert that would have been.

    Attributes:
        rule: the worst level that it came to, as `severity` is its colour.
        resolved_ms: None: it still held at the end.
    """

    rule: str
    title: str
    severity: str
    subject: Subject
    institution: str
    since_ms: int
    fired_ms: int
    resolved_ms: int | None
    worst: float
    limit: float
    unit: str
    energy: float | None
    energy_unit: str


class Line(Struct, frozen=True, kw_only=True):
    """What a rule looked at, for a chart: values against the limit, in order of time.

    Attributes:
        value, limit: None where nothing was known.
        falls: beyond the limit is below it.
    """

    rule: str
    subject: Subject
    unit: str
    at_ms: tuple[int, ...]
    value: tuple[float | None, ...]
    limit: tuple[float | None, ...]
    falls: bool = False


class Played(Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        fired: by time.
        lines: of what fired, and where few were asked for of the others as well.
        subjects: how many each rule looked at.
        not_played: rules that cannot be: silence and signs leave nothing in the store.
        stopped: it was told to stop; this is a part.
    """

    fired: tuple[Fired, ...]
    lines: tuple[Line, ...]
    subjects: dict[str, int]
    not_played: tuple[str, ...]
    stopped: bool = False


class Drawn:
    """Values of readings by bucket: of each the one that is furthest beyond, or nearest to it."""

    def __init__(self, start_ms: int, end_ms: int) -> None:
        self._start_ms = start_ms
        self._width_ms = max(1, (end_ms - start_ms) // _POINTS)
        self._points: dict[Key, dict[int, tuple[float, float, float]]] = {}

    def take(self, check: Check, derive: Derive | None, subject: Subject, row: Row) -> None:
        value = row.values.get(check.quantity)
        if value is None and derive is not None:
            value = derive(row.values)
        if value is None or check.within_ms:
            return
        beyond, limit = max((value - check.high, check.high), (check.low - value, check.low))
        points = self._points.setdefault((check.rule.id, subject, check.unit), {})
        place = (row.at_ms - self._start_ms) // self._width_ms
        if place not in points or points[place][0] < beyond:
            points[place] = (beyond, value, limit)

    def lines(self) -> Iterator[Line]:
        for (rule, subject, unit), points in self._points.items():
            known = sorted(points.items())
            yield Line(
                rule=rule,
                subject=subject,
                unit=unit,
                at_ms=tuple(self._start_ms + place * self._width_ms for place, _ in known),
                value=tuple(value for _, (_, value, _) in known),
                limit=tuple(limit for _, (_, _, limit) in known),
                falls=all(value < limit for _, (beyond, value, limit) in known if beyond > 0)
                and any(beyond > 0 for _, (beyond, _, _) in known),
            )
