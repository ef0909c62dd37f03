"""Settling's door: what is asked over HTTP to be settled -> runs, and how far they are; JSON."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from collector.dirty import DirtyBook
from collector.jobs.settling import Order, Settling
from collector.store import LAST_AT_MS
from metering.errors import PermanentError, TransientError

T = TypeVar("T")

Instant = Annotated[int, Field(ge=0, le=LAST_AT_MS)]  # epoch ms


class SettleAsk(BaseModel):
    """What to settle; nothing at all: what is marked. As `Order`."""

    model_config = ConfigDict(extra="forbid")

    meters: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    start_ms: Instant | None = None
    end_ms: Instant | None = None
    all: bool = False


class DirtyView(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits to be settled: meter-days, and the oldest day's start."""

    days: int
    oldest_ms: int | None


def settling_door(settling: Settling, dirty: DirtyBook) -> APIRouter:
    """`POST /settle`, `/settle/{number}`, `/dirty`."""
    door = APIRouter()

    @door.post("/settle", status_code=202)
    def settle(ask: SettleAsk | None = None) -> Response:
        """It begins when those before it have ended; `/settle/{number}` shows how far it is."""
        asked = ask or SettleAsk()
        _demand_sense(asked)
        order = Order(
            meters=asked.meters, start_ms=asked.start_ms, end_ms=asked.end_ms, all=asked.all
        )
        return _json(_told(lambda: settling.begin(order)), 202)

    @door.get("/settle/{number}")
    def run(number: int) -> Response:
        found = settling.run(number)
        if found is None:
            raise HTTPException(404, f"没有第 {number} 次结算，或已过去太久")
        return _json(found)

    @door.get("/dirty")
    def marked() -> Response:
        return _json(
            _told(lambda: DirtyView(days=dirty.count_dirty(), oldest_ms=dirty.oldest_dirty_ms()))
        )

    return door


def _demand_sense(asked: SettleAsk) -> None:
    start_ms, end_ms = asked.start_ms, asked.end_ms
    if asked.all and (start_ms is not None or end_ms is not None):
        raise HTTPException(422, "all is all of the time: leave start_ms and end_ms out")
    if start_ms is not None and end_ms is not None and end_ms <= start_ms:
        raise HTTPException(422, f"end_ms {end_ms} is not after start_ms {start_ms}")


def _json(value: object, status: int = 200) -> Response:
    body = msgspec.json.encode(value)
    return Response(body, status_code=status, media_type="application/json")


def _told(act: Callable[[], T]) -> T:
    try:
        return act()
    except TransientError as error:
        raise HTTPException(503, str(error)) from error
    except PermanentError as error:
        raise HTTPException(422, str(error)) from error
