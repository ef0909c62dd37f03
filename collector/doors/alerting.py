"""Alerting's door: HTTP -> alerts as they stand, people's words about them, silences, notices.

`/acknowledge/{token}` is the one page for people: the link in a message leads there. It shows what
would be acknowledged and acknowledges only when its button is pressed: mail programs open links by
themselves.
"""

from collections.abc import Callable, Collection
from html import escape
from typing import Annotated, Protocol, TypeVar
from urllib.parse import parse_qs

import msgspec
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from collector.alerting.alert import Alert, AlertState, Transition
from collector.alerting.log import AlertLog
from collector.alerting.messages.link import LinkInvalid, Token, read
from collector.alerting.notice import Attempt, Notice, Outbox, Said, Silence, SilenceBook
from collector.alerting.notify.match import ATTRIBUTES
from metering.clock import Clock
from metering.errors import PermanentError, TransientError

T = TypeVar("T")

_OPEN = (AlertState.PENDING, AlertState.FIRING, AlertState.ACKNOWLEDGED)
_LONGEST_H = 24 * 90
_MOST_BODY = 10_000

Most = Annotated[int, Query(ge=1, le=10_000)]
Author = Annotated[str, Field(min_length=1, max_length=100)]
Note = Annotated[str, Field(max_length=1000)]


class Judge(Protocol):
    """Whoever changes alerts: the one life cycle."""

    def acknowledge(
        self, number: int, author: str, note: str, until_ms: int | None
    ) -> list[Transition]: ...

    def resolve(self, number: int, author: str, note: str) -> list[Transition]: ...


class Teller(Protocol):
    """Whoever tells people; a receiver's channels, and the words of a test."""

    @property
    def receivers(self) -> Collection[str]: ...

    def try_out(self, receiver: str) -> list[tuple[str, Said]]: ...


class LinkKey(Struct, frozen=True, kw_only=True):
    """By what links are signed, and how long an acknowledgement by one lasts."""

    key: bytes
    ack_ms: int


class Counter(Struct, frozen=True, kw_only=True):
    """What the door speaks for; `judge` None: alerts cannot be changed here.

    Attributes:
        changed: a silence began or ended.
    """

    log: AlertLog
    outbox: Outbox
    silences: SilenceBook
    clock: Clock
    judge: Judge | None
    teller: Teller | None
    link: LinkKey | None
    changed: Callable[[], None]


class AcknowledgeAsk(BaseModel):
    """Without `hours` it lasts until the alert resolves."""

    model_config = ConfigDict(extra="forbid")

    author: Author
    note: Note = ""
    hours: Annotated[float, Field(gt=0, le=_LONGEST_H)] | None = None


class ResolveAsk(BaseModel):
    model_config = ConfigDict(extra="forbid")

    author: Author
    note: Annotated[str, Field(min_length=1, max_length=1000)]


class SilenceAsk(BaseModel):
    """From `start_ms` or from now on, to `end_ms` or for `hours`."""

    model_config = ConfigDict(extra="forbid")

    matcher: Annotated[dict[str, str], Field(min_length=1)]
    start_ms: int | None = None
    end_ms: int | None = None
    hours: Annotated[float, Field(gt=0, le=_LONGEST_H)] | None = None
    author: Author
    comment: Annotated[str, Field(min_length=1, max_length=1000)]


class AttemptView(Struct, frozen=True, kw_only=True):
    """One try to tell one receiver."""

    notice: int
    kind: str
    receiver: str
    subject: str
    alerts: tuple[int, ...]
    made_ms: int
    at_ms: int
    channel: str
    sent: bool
    answer: str


def alerting_door(counter: Counter) -> APIRouter:
    """`/alerts/standing`, `/alerts/{n}`, `/silences`, `/notices`, `/acknowledge/{token}`."""
    door = APIRouter()
    _add_alerts(door, counter)
    _add_silences(door, counter)
    _add_notices(door, counter)
    _add_links(door, counter)
    return door


def _add_alerts(door: APIRouter, counter: Counter) -> None:
    @door.get("/alerts/standing")
    def standing(
        state: Annotated[list[AlertState] | None, Query()] = None,
        institution: str | None = None,
        since_ms: int | None = None,
        limit: Most = 1000,
    ) -> Response:
        """The newest first; without a state whatever is open."""
        states = state or list(_OPEN)
        found = _patient(lambda: counter.log.alerts(states=states, since_ms=since_ms, limit=limit))
        return _json([one for one in found if institution in (None, one.place.institution)])

    @door.get("/alerts/{number}")
    def show(number: int) -> Response:
        """An alert, its steps, and who was told."""
        alert = _known(counter, number)
        steps = _patient(lambda: counter.log.steps(number))
        told = _patient(lambda: counter.outbox.attempts(alert=number, limit=1000))
        return _json({"alert": alert, "steps": steps, "told": [attempt_view(*one) for one in told]})

    @door.post("/alerts/{number}/acknowledge")
    def acknowledge(number: int, ask: AcknowledgeAsk) -> Response:
        return _json(_acknowledge(counter, number, ask.author, ask.note, ask.hours))

    @door.post("/alerts/{number}/resolve")
    def resolve(number: int, ask: ResolveAsk) -> Response:
        _known(counter, number)
        judge = _judge(counter)
        _allowed(lambda: judge.resolve(number, ask.author, ask.note))
        return _json(_known(counter, number))


def _acknowledge(
    counter: Counter, number: int, author: str, note: str, hours: float | None
) -> Alert:
    _known(counter, number)
    judge = _judge(counter)
    until_ms = None if hours is None else counter.clock.now_ms() + round(hours * 3_600_000)
    _allowed(lambda: judge.acknowledge(number, author, note, until_ms))
    return _known(counter, number)


def _add_silences(door: APIRouter, counter: Counter) -> None:
    @door.get("/silences")
    def silences(*, in_force: bool = False, limit: Most = 100) -> Response:
        at_ms = counter.clock.now_ms() if in_force else None
        return _json(_patient(lambda: counter.silences.silences(at_ms=at_ms, limit=limit)))

    @door.post("/silences", status_code=201)
    def add(ask: SilenceAsk) -> Response:
        unknown = sorted(ask.matcher.keys() - set(ATTRIBUTES))
        if unknown:
            raise HTTPException(
                422, f"静默条件中没有“{unknown[0]}”，可用：{'、'.join(sorted(ATTRIBUTES))}"
            )
        now_ms = counter.clock.now_ms()
        start_ms = now_ms if ask.start_ms is None else ask.start_ms
        if (ask.end_ms is None) == (ask.hours is None):
            raise HTTPException(422, "结束时间 end_ms 和时长 hours 须且只须给一个")
        end_ms = start_ms + round((ask.hours or 0) * 3_600_000)
        end_ms = end_ms if ask.end_ms is None else ask.end_ms
        if end_ms <= max(start_ms, now_ms):
            raise HTTPException(422, "静默的结束时间须晚于开始时间和现在")
        silence = Silence(
            matcher=ask.matcher,
            start_ms=start_ms,
            end_ms=end_ms,
            author=ask.author,
            comment=ask.comment,
            made_ms=now_ms,
        )
        kept = _patient(lambda: counter.silences.add_silence(silence))
        counter.changed()
        return _json(kept, 201)

    @door.post("/silences/{number}/expire")
    def expire(number: int) -> Response:
        now_ms = counter.clock.now_ms()
        ended = _patient(lambda: counter.silences.expire_silence(number, now_ms))
        if ended is None:
            raise HTTPException(404, f"没有编号为 {number} 的静默")
        counter.changed()
        return _json(ended)


def _add_notices(door: APIRouter, counter: Counter) -> None:
    @door.get("/notices")
    def notices(
        alert: int | None = None, receiver: str | None = None, limit: Most = 100
    ) -> Response:
        """Who was told what, when, by which way: the newest first."""
        found = _patient(
            lambda: counter.outbox.attempts(alert=alert, receiver=receiver, limit=limit)
        )
        return _json([attempt_view(*one) for one in found])

    @door.post("/notices/test/{receiver}")
    def test(receiver: str) -> Response:
        """Send a test by each of the receiver's channels, now; what each of them answers."""
        teller = counter.teller
        if teller is None:
            raise HTTPException(409, "没有通知配置（config/notify.yaml），不发送任何通知")
        if receiver not in teller.receivers:
            known = "、".join(sorted(teller.receivers))
            raise HTTPException(404, f"没有接收人“{receiver}”，已有：{known}")
        return _json(
            [
                {"channel": channel, "sent": said.sent, "answer": said.answer}
                for channel, said in teller.try_out(receiver)
            ]
        )


def _add_links(door: APIRouter, counter: Counter) -> None:
    @door.get("/acknowledge/{text}")
    def ask(text: str) -> HTMLResponse:
        try:
            alert = _alert_of(counter, _token(counter, text))
        except LinkInvalid as error:
            return _page(str(error), status=410)
        if alert.state is not AlertState.FIRING:
            return _page(f"{_line(alert)}：{_STATES[alert.state]}，无需再确认。")
        return _page(_line(alert), form=True)

    @door.post("/acknowledge/{text}")
    async def acknowledge(text: str, request: Request) -> HTMLResponse:
        body = await request.body()
        if len(body) > _MOST_BODY:
            raise HTTPException(413, "备注过长")
        note = parse_qs(body.decode("utf-8", "replace")).get("note", [""])[0][:1000]
        return await run_in_threadpool(_by_link, counter, text, note)


def _by_link(counter: Counter, text: str, note: str) -> HTMLResponse:
    try:
        token = _token(counter, text)
        alert = _alert_of(counter, token)
        if alert.state is AlertState.FIRING and counter.link is not None:
            hours = counter.link.ack_ms / 3_600_000
            alert = _acknowledge(counter, token.alert, token.receiver, note, hours)
    except LinkInvalid as error:
        return _page(str(error), status=410)
    return _page(f"{_line(alert)}：{_STATES[alert.state]}。")


_STATES = {
    AlertState.PENDING: "尚未触发",
    AlertState.FIRING: "未确认",
    AlertState.ACKNOWLEDGED: "已确认",
    AlertState.RESOLVED: "已解除",
}


def _token(counter: Counter, text: str) -> Token:
    if counter.link is None:
        raise LinkInvalid("这里不接受链接确认：没有配置签名密钥")
    return read(text, counter.link.key, counter.clock.now_ms())


def _alert_of(counter: Counter, token: Token) -> Alert:
    alert = _patient(lambda: counter.log.alert(token.alert))
    if alert is None:
        raise LinkInvalid(f"没有编号为 {token.alert} 的告警")
    return alert


def _line(alert: Alert) -> str:
    return f"告警 {alert.number}【{alert.severity.colour}】{alert.title}（{alert.subject.id}）"


def _page(text: str, *, form: bool = False, status: int = 200) -> HTMLResponse:
    button = (
        '<form method="post"><p><input name="note" maxlength="1000" placeholder="备注（可不填）"'
        ' style="width:100%"></p><p><button>确认收到，由我处理</button></p></form>'
    )
    return HTMLResponse(
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<title>告警确认</title></head>"
        '<body style="font-family:sans-serif;max-width:32em;margin:2em auto;padding:0 1em">'
        f"<p>{escape(text)}</p>{button if form else ''}</body></html>",
        status_code=status,
        headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"},
    )


def attempt_view(notice: Notice, attempt: Attempt) -> AttemptView:
    return AttemptView(
        notice=notice.number,
        kind=notice.kind,
        receiver=notice.receiver,
        subject=notice.subject,
        alerts=notice.alerts,
        made_ms=notice.made_ms,
        at_ms=attempt.at_ms,
        channel=attempt.channel,
        sent=attempt.sent,
        answer=attempt.answer,
    )


def _known(counter: Counter, number: int) -> Alert:
    alert = _patient(lambda: counter.log.alert(number))
    if alert is None:
        raise HTTPException(404, f"没有编号为 {number} 的告警")
    return alert


def _judge(counter: Counter) -> Judge:
    if counter.judge is None:
        raise HTTPException(503, "没有采集服务在运行，告警状态只由它更改：请先启动")
    return counter.judge


def _allowed(act: Callable[[], object]) -> None:
    try:
        _patient(act)
    except PermanentError as error:
        raise HTTPException(409, str(error)) from error


def _json(value: object, status: int = 200) -> Response:
    body = msgspec.json.encode(value)
    return Response(body, status_code=status, media_type="application/json")


def _patient(act: Callable[[], T]) -> T:
    try:
        return act()
    except TransientError as error:
        raise HTTPException(503, str(error)) from error
