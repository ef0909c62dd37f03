"""Back-test's door: rules and a span over HTTP -> a run that plays them back; JSON."""

from typing import Any

import msgspec
from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from collector.alerting.played import Order
from collector.fleet.index import Fleet
from collector.playback import Playback

_MOST_BYTES = 4_000_000
_decode = msgspec.json.Decoder(Order, strict=True).decode


def backtest_door(playback: Playback, fleet: Fleet) -> APIRouter:
    """`POST /rules/test`, `/rules/test/{number}`."""
    door = APIRouter()

    @door.post("/rules/test", status_code=202)
    async def test(request: Request) -> Response:
        """It begins when those before it have ended; `/rules/test/{number}` shows how far it is."""
        order = _order(await request.body(), fleet)
        return _json(await run_in_threadpool(playback.begin, order), 202)

    @door.get("/rules/test/{number}")
    def run(number: int) -> Response:
        found = playback.run(number)
        if found is None:
            raise HTTPException(404, f"没有第 {number} 次回测，或已过去太久")
        return _json(found)

    return door


def _order(body: bytes, fleet: Fleet) -> Order:
    if len(body) > _MOST_BYTES:
        raise HTTPException(413, f"{len(body)} bytes of rules are too many")
    try:
        order = _decode(body)
    except msgspec.MsgspecError as error:
        raise HTTPException(422, f"no order to play rules back: {error}") from error
    if order.end_ms <= order.start_ms:
        raise HTTPException(422, f"end_ms {order.end_ms} is not after start_ms {order.start_ms}")
    for name, asked, known in (
        ("表", order.meters, fleet.meters),
        ("单位", order.institutions, fleet.institutions),
    ):
        unknown = sorted((asked or frozenset()) - known.keys())
        if unknown:
            raise HTTPException(422, f"配置中没有{name}：{'、'.join(unknown)}")
    return order


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
