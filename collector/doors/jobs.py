"""Jobs' door: what is asked of the jobs over HTTP -> how they stand; JSON."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response

from collector.job_log import JobLog
from collector.jobs.runner import JobRunner, JobUnknown
from metering.errors import TransientError

T = TypeVar("T")


def make_jobs_door(runner: JobRunner, log: JobLog) -> APIRouter:
    """`/jobs`, `/jobs/runs`, `POST /jobs/{name}/run`."""
    door = APIRouter()

    @door.get("/jobs")
    def jobs() -> Response:
        return _json(_patient(runner.views))

    @door.get("/jobs/runs")
    def runs(
        job: str | None = None, limit: Annotated[int, Query(ge=1, le=10_000)] = 50
    ) -> Response:
        return _json(_patient(lambda: log.runs(job, limit)))

    @door.post("/jobs/{name}/run", status_code=202)
    def run(name: str) -> Response:
        """It runs as soon as the one before it has ended; `/jobs` shows how far it is."""
        try:
            _patient(lambda: runner.ask(name))
        except JobUnknown as error:
            raise HTTPException(404, str(error)) from error
        return _json({"job": name}, 202)

    return door


def _json(value: object, status: int = 200) -> Response:
    body = msgspec.json.encode(value)
    return Response(body, status_code=status, media_type="application/json")


def _patient(act: Callable[[], T]) -> T:
    try:
        return act()
    except TransientError as error:
        raise HTTPException(503, str(error)) from error
