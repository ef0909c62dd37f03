"""Quality's door: figures, findings, 总分校核 and totals over HTTP; JSON."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from msgspec import Struct

from collector.findings import Finding, FindingBook
from collector.fleet.index import Fleet
from collector.intervals import Figure, IntervalStore, Subject
from collector.known import Names
from collector.quality.find import by_importance
from collector.settle.cells import DAY_MS, Width, day_start_ms, month_start_ms, next_month_ms
from collector.settle.series import PER_UNIT
from collector.store import LAST_AT_MS
from collector.tree.family import families
from collector.tree.totals import Total, monthly, totals
from collector.verification import Verification
from metering.clock import Clock
from metering.errors import PermanentError, TransientError

T = TypeVar("T")

Instant = Annotated[int, Query(ge=0, le=LAST_AT_MS)]  # epoch ms


class TotalRow(Struct, frozen=True, kw_only=True):
    """One interval of one subject's total; `value` in `unit`, None where it is not known.

    Attributes:
        meters: how many were added, or taken off.
        absent: those of them of which an interval is not known.
    """

    subject: str
    id: str
    code: str
    generation: bool
    start_ms: int
    value: float | None
    unit: str
    measured: float
    estimated: float
    edited: float
    missing: float
    meters: int
    absent: tuple[str, ...]


def quality_door(
    verification: Verification,
    findings: FindingBook,
    intervals: IntervalStore,
    fleet: Fleet,
    clock: Clock,
    names: Names,
) -> APIRouter:
    """`/quality/…`, `POST /quality/verify`, `/tree/check`, `/totals`."""
    door = APIRouter()
    _kept(door, findings, intervals, names)

    @door.get("/quality/day")
    def day() -> Response:
        """The newest day that is over, by the collector's clock."""
        return _json({"day_ms": day_start_ms(clock.now_ms()) - DAY_MS})

    @door.post("/quality/verify")
    def verify(day_ms: Instant) -> Response:
        """Verify a day now: one that is settled."""
        return _json(_patient(lambda: verification.verify_day(day_start_ms(day_ms))))

    @door.get("/tree/check")
    def check(start_ms: Instant, end_ms: Instant, width: Width = Width.HOUR) -> Response:
        """Mains against what is right below them, over intervals where both are known."""
        _demand_span(start_ms, end_ms)
        return _json(_patient(lambda: verification.check_sums(start_ms, end_ms, width)))

    @door.get("/totals")
    def total(start_ms: Instant, end_ms: Instant, width: Width = Width.DAY) -> Response:
        """Intervals that start in the span."""
        _demand_span(start_ms, end_ms)
        span = (start_ms, end_ms)
        found = _patient(lambda: _totals(fleet, intervals, span, width, clock.now_ms()))
        return _json([row for one in found for row in _rows(one)])

    return door


def _kept(door: APIRouter, findings: FindingBook, intervals: IntervalStore, names: Names) -> None:
    @door.get("/quality/figures")
    def figures(
        subject: Subject,
        start_ms: Instant,
        end_ms: Instant,
        id: Annotated[list[str] | None, Query()] = None,  # noqa: A002 - the word of the contract
    ) -> Response:
        def told() -> list[Figure]:
            names.demand_subjects(subject, id or ())
            return intervals.figures(subject, start_ms, end_ms, id)

        return _json(_patient(told))

    @door.get("/quality/findings")
    def found(start_ms: Instant, end_ms: Instant, institution: str | None = None) -> Response:
        """The most important first, by day and institution."""

        def kept() -> list[Finding]:
            names.demand_subjects(Subject.INSTITUTION, [institution] if institution else ())
            return findings.findings(start_ms, end_ms, institution)

        return _json(sorted(_patient(kept), key=lambda one: (one.day_ms, by_importance(one))))


def _totals(
    fleet: Fleet, intervals: IntervalStore, span: tuple[int, int], width: Width, now_ms: int
) -> list[Total]:
    """Months from their days: a tree may change in the middle of one."""
    if width is not Width.MONTH:
        return _sums(fleet, intervals, span, width)
    first_ms = month_start_ms(span[0])
    if first_ms < span[0]:
        first_ms = next_month_ms(span[0])
    end_ms = next_month_ms(span[1] - 1)
    if first_ms >= span[1]:
        return []
    days = _sums(fleet, intervals, (first_ms, end_ms), Width.DAY)
    return [monthly(one, until_ms=min(end_ms, now_ms)) for one in days]


def _sums(
    fleet: Fleet, intervals: IntervalStore, span: tuple[int, int], width: Width
) -> list[Total]:
    settled = intervals.intervals(sorted(fleet.meters), width, *span)
    return totals(fleet, families(fleet, *span), settled)


def _demand_span(start_ms: int, end_ms: int) -> None:
    if end_ms <= start_ms:
        raise HTTPException(422, f"end_ms {end_ms} is not after start_ms {start_ms}")


def _rows(total: Total) -> list[TotalRow]:
    cells = total.cells
    return [
        TotalRow(
            subject=str(total.subject),
            id=total.id,
            code=total.code,
            generation=total.generation,
            start_ms=int(cells.start_ms[place]),
            value=int(cells.value[place]) / PER_UNIT if cells.known[place] else None,
            unit=total.unit,
            measured=float(cells.measured[place]),
            estimated=float(cells.estimated[place]),
            edited=float(cells.edited[place]),
            missing=float(cells.missing[place]),
            meters=len(total.meters) + len(total.less),
            absent=total.absent,
        )
        for place in range(len(cells.start_ms))
    ]


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _patient(act: Callable[[], T]) -> T:
    try:
        return act()
    except TransientError as error:
        raise HTTPException(503, str(error)) from error
    except PermanentError as error:
        raise HTTPException(422, str(error)) from error
