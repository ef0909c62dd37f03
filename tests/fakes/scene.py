"""Scene: a script of alerts, people and clocks -> what the dispatcher said to whom, and when.

Each plan is made twice, by a dispatcher that has just started and by one that goes on: as after a
crash between planning and keeping, both must come to the same.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import structs

from collector.alerting.alert import Alert, AlertState, Reason, Transition
from collector.alerting.dispatch.dispatcher import Dispatcher, Outlook
from collector.alerting.notice import Attempt, Notice, NoticeState, Silence
from collector.alerting.notify.check import Known, problems
from collector.alerting.notify.compile import compile_notify
from collector.alerting.notify.document import NotifyDocument
from collector.alerting.notify.settings import NotifySettings
from collector.alerting.severity import Severity
from collector.alerting.subject import Place, Subject, SubjectKind
from collector.fleet.codes import SHANGHAI
from collector.fleet.index import Sector
from collector.settle.day_class import DayClass
from documents.load import load
from tests.fakes.outbox import FakeOutbox
from tests.fakes.renderer import PlainRenderer
from tests.fakes.silences import FakeSilenceBook

FILE = Path(__file__).parents[1] / "scenarios" / "notify.yaml"
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def ms(text: str) -> int:
    """`ms("1h30m")` -> 5400000."""
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([smhd])", text))


def at(text: str) -> int:
    """Epoch ms of a time in Shanghai like "2026-03-02 09:00"."""
    return int(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp() * 1000)


def clock_of(at_ms: int) -> str:
    local = datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI)
    return f"{local:%m-%d %H:%M:%S}" if local.second else f"{local:%m-%d %H:%M}"


def weekdays(at_ms: int) -> DayClass:
    local = datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI)
    return DayClass.REST_DAY if local.weekday() >= 5 else DayClass.WORKDAY


@lru_cache
def scenario_settings() -> NotifySettings:
    def check(document: NotifyDocument):
        return problems(document, Known())

    return compile_notify(load(FILE, NotifyDocument, check))


class Scene:
    """Begins on a Monday at nine, unless the script says otherwise."""

    def __init__(
        self,
        start: str = "2026-03-02 09:00",
        *,
        settings: NotifySettings | None = None,
        classify: Callable[[int], DayClass] = weekdays,
        paging: tuple[str, ...] = (),
    ) -> None:
        self.now_ms = at(start)
        self.settings = settings or scenario_settings()
        self.outbox = FakeOutbox()
        self.silence_book = FakeSilenceBook()
        self.away: set[str] = set()  # receivers whom no channel reaches
        self.delivered: list[str] = []
        self.notices: list[Notice] = []
        self._classify, self._paging = classify, paging
        self._alerts: dict[int, Alert] = {}
        self._steps: list[Transition] = []
        self._wake_ms: int | None = None
        self._dispatcher = self._new_dispatcher()
        self._said: list[str] = []
        self.plan()
        self.said()

    # ---- alerts

    def fires(
        self,
        group: str = "leak",
        subject: str = "m1",
        severity: str = "red",
        *,
        plan: bool = True,
        kind: SubjectKind = SubjectKind.METER,
        **more,
    ) -> Alert:
        number = len(self._alerts) + 1
        place = {
            "district": "120101",
            "street": "小白楼街道",
            "sector": Sector.HOSPITAL,
            "institution": "e001",
            "building": "e001-b1",
            "gateway": "gw1",
            "meter": subject if kind is SubjectKind.METER else None,
        }
        if kind is SubjectKind.SYSTEM:
            place = {}
        place |= {key: more.pop(key) for key in list(more) if key in Place.__struct_fields__}
        alert = Alert(
            number=number,
            rule=more.pop("rule", group),
            rule_version="1",
            title=group,
            severity=Severity(severity),
            subject=Subject(kind, subject),
            place=Place(**place),
            state=more.pop("state", AlertState.FIRING),
            since_ms=more.pop("since_ms", self.now_ms),
            at_ms=self.now_ms,
            fired_ms=more.pop("fired_ms", self.now_ms),
            moved_ms=self.now_ms,
            group=group,
            **more,
        )
        return self._step(alert, None, Reason.HELD, plan=plan)

    def resolves(self, alert: Alert, *, plan: bool = True) -> Alert:
        return self._moves(
            alert, AlertState.RESOLVED, Reason.CLEARED, plan=plan, resolved_ms=self.now_ms
        )

    def acknowledges(self, alert: Alert, until: str = "1d") -> Alert:
        until_ms = self.now_ms + ms(until)
        return self._moves(
            alert,
            AlertState.ACKNOWLEDGED,
            Reason.ACKNOWLEDGED,
            author="王工",
            ack_until_ms=until_ms,
        )

    def ack_expires(self, alert: Alert) -> Alert:
        return self._moves(
            alert, AlertState.FIRING, Reason.ACK_EXPIRED, author="", ack_until_ms=None
        )

    def gets(self, alert: Alert, severity: str) -> Alert:
        known = self._alerts[alert.number]
        return self._moves(alert, known.state, Reason.WORSE, severity=Severity(severity))

    def fires_again(self, alert: Alert, severity: str) -> Alert:
        return self._moves(
            alert, AlertState.FIRING, Reason.WORSE, severity=Severity(severity), author=""
        )

    def _moves(self, alert, state, reason, *, plan=True, **fields) -> Alert:
        known = self._alerts[alert.number]
        moved = structs.replace(
            known, state=state, moved_ms=self.now_ms, at_ms=self.now_ms, **fields
        )
        return self._step(moved, known.state, reason, plan=plan)

    def _step(self, alert, before, reason, *, plan: bool) -> Alert:
        self._alerts[alert.number] = alert
        number = len(self._steps) + 1
        self._steps.append(Transition(number=number, alert=alert, before=before, reason=reason))
        if plan:
            self.plan()
        return alert

    # ---- people

    def silences(self, length: str, *, later: str = "0s", **matcher: str) -> Silence:
        start_ms = self.now_ms + ms(later)
        kept = self.silence_book.add_silence(
            Silence(
                matcher=matcher,
                start_ms=start_ms,
                end_ms=start_ms + ms(length),
                author="王工",
                comment="检修",
                made_ms=self.now_ms,
            )
        )
        self.plan()
        return kept

    def expires(self, silence: Silence) -> None:
        self.silence_book.expire_silence(silence.number, self.now_ms)
        self.plan()

    # ---- time

    def passes(self, time: str) -> None:
        """Let time pass, planning whenever the dispatcher asked for it."""
        end_ms = self.now_ms + ms(time)
        self.plan()
        while self._wake_ms is not None and self._wake_ms <= end_ms:
            self.now_ms = max(self._wake_ms, self.now_ms)
            self.plan()
        self.now_ms = end_ms
        self.plan()

    def until(self, time: str) -> None:
        self.passes(f"{(at(time) - self.now_ms) // 1000}s")

    def clock_steps(self, by: timedelta) -> None:
        """Somebody sets the clock; nothing else happens."""
        self.now_ms += int(by.total_seconds() * 1000)
        self.plan()

    # ---- what comes of it

    def plan(self) -> None:
        memory, cursor = self.outbox.memory()
        second = self._planned(self._new_dispatcher(), memory, cursor)
        first = self._planned(self._dispatcher, memory, cursor)
        assert first == second
        for notice in first.notices:
            assert notice.due_ms == self.now_ms
            self._said.append(f"{clock_of(self.now_ms)} {notice.receiver} {notice.subject}")
        kept = self.outbox.plan(first.notices, first.memory, len(self._steps))
        assert len(kept) == len(first.notices), "a key was given twice"
        assert first.wake_ms is None or first.wake_ms > self.now_ms
        self.notices += kept
        self._wake_ms = first.wake_ms
        if self._deliver():
            self.plan()  # a sender says when something fails

    def _new_dispatcher(self) -> Dispatcher:
        return Dispatcher(self.settings, PlainRenderer(), self._classify, self._paging)

    def _planned(self, dispatcher: Dispatcher, memory: bytes, cursor: int):
        since_ms = dispatcher.history_since(memory, self.now_ms)
        return dispatcher.plan(
            Outlook(
                steps=self._steps[cursor:],
                open_alerts=[
                    alert
                    for alert in self._alerts.values()
                    if alert.state is not AlertState.RESOLVED
                ],
                silences=self.silence_book.silences(at_ms=self.now_ms),
                unsent=self.outbox.unsent(
                    failed_since_ms=self.now_ms - ms("1d"), made_before_ms=self.now_ms - ms("1m")
                ),
                history=()
                if since_ms is None
                else [one for one in self._alerts.values() if one.moved_ms >= since_ms],
            ),
            memory,
            self.now_ms,
        )

    def _deliver(self) -> bool:
        """A sender that is never late, when it is looked at; whether something failed."""
        failed = False
        while due := self.outbox.due(self.now_ms, 99):
            for queued in due:
                failed |= not self._try(queued.notice)
        return failed

    def _try(self, notice) -> bool:
        reached = notice.receiver not in self.away
        attempt = Attempt(
            notice=notice.number,
            at_ms=self.now_ms,
            channel="mail",
            sent=reached,
            answer="" if reached else "550",
        )
        if reached:
            self.delivered.append(f"{clock_of(self.now_ms)} {notice.receiver} {notice.subject}")
        state = NoticeState.SENT if reached else NoticeState.WAITING
        self.outbox.tried(attempt, state, self.now_ms + ms("10m"))
        return reached

    def gives_up(self, number: int) -> None:
        attempt = Attempt(
            notice=number, at_ms=self.now_ms, channel="mail", sent=False, answer="550"
        )
        self.outbox.tried(attempt, NoticeState.FAILED, self.now_ms)
        self.plan()

    def said(self) -> list[str]:
        """What was said since the last time this was asked."""
        said, self._said = self._said, []
        return said

    def remembers(self) -> dict:
        return msgspec.json.decode(self.outbox.memory()[0])
