"""Quality's door: figures, findings, 总分校核 and totals over HTTP; JSON."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from msgspec import Struct

from collector.findings import FindingBook
from collector.fleet.index import Fleet
from collector.intervals import IntervalStore, Subject
from collector.quality.find import by_importance
from collector.settle.cells import DAY_MS, Width, day_start_ms
from collector.settle.series import PER_UNIT
from collector.store import LAST_AT_MS
from collector.tree.family import family_at
from collector.tree.totals import Total, by_month, totals
from collector.verification import Verification
from metering.errors import TransientError

T = TypeVar("T")

Instant = Annotated[int, Query(ge=0, le=LAST_AT_MS)]  # epoch ms


class TotalRow(Struct, frozen=True, kw_only=True):
    """One interval of one subject's total; `value` in `unit`, None where it is not known."""

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
    verification: Verification, findings: FindingBook, intervals: IntervalStore, fleet: Fleet
) -> APIRouter:
    """`/quality/figures`, `/quality/findings`, `POST /quality/verify`, `/tree/check`, `/totals`."""
    door = APIRouter()

    @door.get("/quality/figures")
    def figures(
        subject: Subject,
        start_ms: Instant,
        end_ms: Instant,
        id: Annotated[list[str] | None, Query()] = None,  # noqa: A002 - the word of the contract
    ) -> Response:
        return _json(_patient(lambda: intervals.figures(subject, start_ms, end_ms, id)))

    @door.get("/quality/findings")
    def found(start_ms: Instant, end_ms: Instant, institution: str | None = None) -> Response:
        """The most important first, by day and institution."""
        kept = _patient(lambda: findings.findings(start_ms, end_ms, institution))
        return _json(sorted(kept, key=lambda one: (one.day_ms, by_importance(one))))

    @door.post("/quality/verify")
    def verify(day_ms: Instant) -> Response:
        """Verify a day now: one that is settled."""
        return _json(_patient(lambda: verification.verify_day(day_start_ms(day_ms))))

    @door.get("/tree/check")
    def check(start_ms: Instant, end_ms: Instant) -> Response:
        return _json(_patient(lambda: verification.check_sums(start_ms, end_ms)))

    @door.get("/totals")
    def total(start_ms: Instant, end_ms: Instant, width: Width = Width.DAY) -> Response:
        def sums() -> list[TotalRow]:
            family = family_at(fleet, max(start_ms, end_ms - DAY_MS // 2))
            grain = Width.DAY if width is Width.MONTH else width
            settled = intervals.intervals(sorted(family.entries), grain, start_ms, end_ms)
            found = totals(fleet, family, settled)
            if width is Width.MONTH:
                found = [by_month(one, end_ms) for one in found]
            return [row for one in found for row in _rows(one)]

        return _json(_patient(sums))

    return door


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
            meters=len(total.meters),
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
