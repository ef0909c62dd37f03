"""Api: the local HTTP door for commands and dashboards; JSON in, JSON out.

Reads go straight to the store and the small state; what changes anything is done by the `Desk`,
between two groups of the pipeline.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from fastapi import APIRouter, FastAPI, HTTPException, Query
from fastapi.responses import PlainTextResponse, Response
from msgspec import Struct
from prometheus_client import generate_latest
from pydantic import BaseModel

from collector.alerting.alert import Transition
from collector.alerting.log import AlertLog
from collector.alerting.subject import SubjectKind
from collector.metrics import Metrics
from collector.small_state import SmallState
from collector.store import LAST_AT_MS, ReadingStore
from collector.suspect import Suspect
from metering.errors import TransientError
from metering.quantity import QUANTITIES

_MOST_ROWS = 100_000
_MOST_PAYLOADS = 1_000

Instant = Annotated[int, Query(ge=0, le=LAST_AT_MS + 1)]  # epoch ms
Most = Annotated[int, Query(ge=1, le=_MOST_ROWS)]
T = TypeVar("T")


class Status(BaseModel):
    """What a person asks first; `jobs_failing` are jobs whose last run failed, and why."""

    store: str
    generation: int
    link: str
    down: dict[str, str]
    jobs_failing: dict[str, str]
    inbox: int
    firing: int
    latency_p50_ms: float
    latency_p99_ms: float
    counts: dict[str, float]


class EpochView(BaseModel):
    """What the collector knows of one epoch: everything in 1..through but `missing`."""

    epoch: str
    through: int
    missing: list[tuple[int, int]]
    lost: list[tuple[int, int]]


class GatewayView(BaseModel):
    """A gateway as it last spoke of itself, and what the collector knows of its batches."""

    gateway: str
    district: str
    link: str
    state_ms: int
    backlog: int
    missing: int
    lost: int
    fleet_matches: bool
    epochs: list[EpochView]
    state: dict[str, Any] | None


class ResendAnswer(BaseModel):
    """What a resend started: the new generation, and how many batches are wanted again."""

    generation: int
    batches: int


class Desk(Protocol):
    """What the running collector answers and does."""

    def status(self) -> Status: ...

    def gateways(self) -> list[GatewayView]: ...

    def suspects(self, limit: int) -> list[Suspect]:
        """What live alerts did not see, since the start, the newest first."""
        ...

    def resend(self, since_ms: int) -> ResendAnswer:
        """Ask the gateways again for everything received since then."""
        ...


def make_api(
    desk: Desk,
    store: ReadingStore,
    state: SmallState,
    alerts: AlertLog,
    metrics: Metrics,
    doors: Sequence[APIRouter] = (),
) -> FastAPI:
    """The HTTP application; every handler runs in a thread of its own pool.

    Args:
        doors: routers of other rooms: settling, editing, jobs.
    """
    api = FastAPI(title="nenghao collector", openapi_url="/openapi.json", docs_url=None)
    api.include_router(_health(desk, metrics))
    api.include_router(_operation(desk, state, alerts))
    api.include_router(_readings(store))
    for door in doors:
        api.include_router(door)
    return api


def _health(desk: Desk, metrics: Metrics) -> APIRouter:
    door = APIRouter()

    @door.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @door.get("/readyz")
    def readyz() -> dict[str, str]:
        status = desk.status()
        if status.down or status.link != "up":
            raise HTTPException(503, {"link": status.link, "down": status.down})
        return {"status": "ready"}

    @door.get("/metrics", response_class=PlainTextResponse)
    def prometheus() -> bytes:
        return generate_latest(metrics.registry)

    return door


def _operation(desk: Desk, state: SmallState, alert_log: AlertLog) -> APIRouter:
    door = APIRouter()

    @door.get("/status")
    def status() -> Status:
        return desk.status()

    @door.get("/gateways")
    def gateways() -> list[GatewayView]:
        return _patient(desk.gateways)

    @door.post("/resend")
    def resend(since_ms: Instant) -> ResendAnswer:
        return _patient(lambda: desk.resend(since_ms))

    @door.get("/alerts")
    def alerts(limit: Most = 100) -> Response:
        """The newest steps of alerts first."""
        return _json([step_view(one) for one in _patient(lambda: alert_log.last_steps(limit))])

    @door.get("/suspects")
    def suspects(limit: Most = 100) -> Response:
        return _json(desk.suspects(limit))

    @door.get("/quarantine")
    def quarantine(limit: Annotated[int, Query(ge=1, le=_MOST_PAYLOADS)] = 100) -> Response:
        """Payloads come as base64."""
        return _json(_patient(lambda: state.quarantine(limit)))

    return door


def _readings(store: ReadingStore) -> APIRouter:
    door = APIRouter()

    @door.get("/latest")
    def latest(meter: Annotated[list[str] | None, Query()] = None) -> Response:
        return _json(_patient(lambda: store.latest(meter)))

    @door.get("/readings")
    def readings(
        meter: Annotated[list[str], Query()],
        start_ms: Instant,
        end_ms: Instant,
        quantity: Annotated[list[str] | None, Query()] = None,
    ) -> Response:
        _known(quantity or [])
        found = _patient(lambda: store.readings(meter, quantity, start_ms, end_ms))
        return _json(_bounded(found, "readings"))

    @door.get("/windows")
    def windows(
        meter: str, quantity: str, start_ms: Instant, end_ms: Instant, width_ms: Instant
    ) -> Response:
        _known([quantity])
        if width_ms <= 0:
            raise HTTPException(422, f"width_ms must be above 0, {width_ms} came")
        found = _patient(lambda: store.windows(meter, quantity, start_ms, end_ms, width_ms))
        return _json(_bounded(found, "windows"))

    @door.get("/rejections")
    def rejections(start_ms: Instant, end_ms: Instant) -> Response:
        found = _patient(lambda: store.rejections(start_ms, end_ms))
        return _json(_bounded(found, "rejections"))

    @door.get("/count")
    def count() -> Response:
        return _json(_patient(store.count))

    return door


class StepView(Struct, frozen=True, kw_only=True):
    """One step of an alert, as dashboards read it.

    Attributes:
        meter: of an alert about a meter; empty otherwise.
        at_ms, recorded_ms: time of the reading, and of the clock.
        bound: what `value` was compared with.
    """

    number: int
    alert: int
    rule: str
    title: str
    severity: str
    kind: str
    subject: str
    meter: str
    institution: str
    building: str
    before: str | None
    state: str
    reason: str
    at_ms: int
    since_ms: int
    value: float
    bound: float
    unit: str
    recorded_ms: int
    replayed: bool
    flaps: int
    author: str
    note: str


def step_view(one: Transition) -> StepView:
    alert = one.alert
    is_meter = alert.subject.kind is SubjectKind.METER
    return StepView(
        number=one.number,
        alert=alert.number,
        rule=alert.rule,
        title=alert.title,
        severity=alert.severity,
        kind=alert.subject.kind,
        subject=alert.subject.id,
        meter=alert.subject.id if is_meter else "",
        institution=alert.place.institution,
        building=alert.place.building,
        before=one.before,
        state=alert.state,
        reason=one.reason,
        at_ms=alert.at_ms,
        since_ms=alert.since_ms,
        value=alert.value,
        bound=alert.limit,
        unit=alert.unit,
        recorded_ms=alert.moved_ms,
        replayed=alert.replayed,
        flaps=alert.flaps,
        author=alert.author,
        note=alert.note,
    )


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _bounded(found: list[T], what: str) -> list[T]:
    """Nothing is left off in silence."""
    if len(found) > _MOST_ROWS:
        raise HTTPException(413, f"{len(found)} {what}; at most {_MOST_ROWS} are given at once")
    return found


def _patient(act: Callable[[], T]) -> T:
    try:
        return act()
    except TransientError as error:
        raise HTTPException(503, str(error)) from error


def _known(quantities: list[str]) -> None:
    unknown = [name for name in quantities if name not in QUANTITIES]
    if unknown:
        raise HTTPException(422, f"unknown quantities: {', '.join(unknown)}")
