"""Alerting's door over HTTP: people's words, silences, notices, and the page behind a link."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from collector.adapters.http import HttpServer
from collector.adapters.sql import SqlSmallState
from collector.alerting.alert import AlertState
from collector.alerting.evaluate.readings import Readings
from collector.alerting.lifecycle import AlertBook
from collector.alerting.messages.link import Token, sign
from collector.alerting.notice import Attempt, Notice, NoticeKind, NoticeState, Said
from collector.alerting.place import Places
from collector.alerting.service import Alerting
from collector.doors.alerting import Counter, LinkKey, alerting_door
from collector.store import Row
from collector.validate import tags_of
from tests.fakes.alerting import START_MS, always_open, at, threshold
from tests.fakes.centre import example_fleet
from tests.fakes.clock import FakeClock

KEY = b"a key"
HOUR_MS = 3_600_000
FLEET = example_fleet()


class Teller:
    def __init__(self) -> None:
        self.tried: list[str] = []
        self.receivers = ("duty", "head")

    def try_out(self, receiver: str) -> list[tuple[str, Said]]:
        self.tried.append(receiver)
        return [
            ("mail", Said(sent=False, answer="451 later")),
            ("sms", Said(sent=True, answer="ok")),
        ]


class Place:
    """A door over a real small state and a real life cycle, with one alert that fires."""

    def __init__(self, folder: Path) -> None:
        self.undo = ExitStack()
        self.state = SqlSmallState(f"sqlite:///{folder / 'state.sqlite'}")
        self.undo.callback(self.state.close)
        self.clock = FakeClock(at(10))
        rules = (threshold(),)
        self.alerting = Alerting(
            AlertBook(rules, Places(FLEET), alerts=(), fired=(), last_alert=0),
            self.state.alert_log,
            self.clock,
            patiently=_at_once,
            count=lambda _state: None,
        )
        self.readings = Readings(rules, FLEET, always_open)
        self.teller = Teller()
        self.changed = 0
        self.read(10, 900.0)
        (alert,) = self.state.alert_log.open_alerts()
        assert alert.state is AlertState.FIRING
        self.number = alert.number
        self.http = self.client(self.alerting)

    def client(self, judge: Alerting | None, *, told: bool = True) -> httpx.Client:
        api = FastAPI()
        api.include_router(
            alerting_door(
                Counter(
                    log=self.state.alert_log,
                    outbox=self.state.outbox,
                    silences=self.state.silence_book,
                    clock=self.clock,
                    judge=judge,
                    teller=self.teller if told else None,
                    link=LinkKey(key=KEY, ack_ms=2 * HOUR_MS) if told else None,
                    changed=self._change,
                )
            )
        )
        server = HttpServer(api, "127.0.0.1", 0)
        server.start()
        self.undo.callback(server.stop)
        return self.undo.enter_context(httpx.Client(base_url=server.url, trust_env=False))

    def read(self, minute: float, kilowatts: float) -> None:
        entry = FLEET.meters["e001-main"][-1]
        row = Row(
            meter="e001-main",
            at_ms=at(minute),
            values={"active_power_kw": kilowatts},
            tags=tags_of(entry),
        )
        with self.alerting.turn() as book:
            found = list(self.readings.look([row], book.watching, self.clock.now_ms()))
        self.alerting.observe(found)

    def link(self, alert: int | None = None, until_ms: int | None = None) -> str:
        token = Token(alert or self.number, "duty", until_ms or at(600))
        return f"/acknowledge/{sign(token, KEY)}"

    def states(self) -> list[str]:
        return [one["state"] for one in self.http.get("/alerts/standing").json()]

    def _change(self) -> None:
        self.changed += 1


def _at_once(_what: str, act: Callable[[], object]) -> bool:
    act()
    return True


@pytest.fixture
def place(tmp_path: Path):
    found = Place(tmp_path)
    with found.undo:
        yield found


def test_what_is_open_is_listed_and_one_is_shown_with_its_steps(place: Place) -> None:
    (one,) = place.http.get("/alerts/standing").json()
    shown = place.http.get(f"/alerts/{place.number}").json()

    assert (one["subject"]["id"], one["state"], one["value"]) == ("e001-main", "firing", 900.0)
    assert shown["alert"] == one
    assert [step["reason"] for step in shown["steps"]] == ["held"]
    assert shown["told"] == []
    other = place.http.get("/alerts/standing", params={"institution": "d001"}).json()
    assert other == []


def test_an_acknowledgement_keeps_who_note_and_end(place: Place) -> None:
    asked = {"author": "王工", "note": "换季检修", "hours": 2}

    said = place.http.post(f"/alerts/{place.number}/acknowledge", json=asked).json()

    assert (said["state"], said["author"], said["note"]) == ("acknowledged", "王工", "换季检修")
    assert said["ack_until_ms"] == at(10) + 2 * HOUR_MS


def test_what_has_been_resolved_cannot_be_acknowledged(place: Place) -> None:
    said = place.http.post(
        f"/alerts/{place.number}/resolve", json={"author": "王工", "note": "误报"}
    ).json()

    again = place.http.post(f"/alerts/{place.number}/acknowledge", json={"author": "李工"})

    assert said["state"] == "resolved"
    assert again.status_code == 409
    assert place.states() == []


def test_a_number_that_is_none_and_words_that_lack_something_are_refused(place: Place) -> None:
    assert place.http.get("/alerts/99").status_code == 404
    assert place.http.post("/alerts/99/acknowledge", json={"author": "x"}).status_code == 404
    path = f"/alerts/{place.number}/acknowledge"
    for asked in ({}, {"author": ""}, {"author": "x", "hours": 0}, {"author": "x", "until": 1}):
        assert place.http.post(path, json=asked).status_code == 422


def test_without_a_running_collector_alerts_are_shown_and_not_changed(place: Place) -> None:
    idle = place.client(None, told=False)

    assert len(idle.get("/alerts/standing").json()) == 1
    refused = idle.post(f"/alerts/{place.number}/acknowledge", json={"author": "x"})
    assert refused.status_code == 503
    assert "请先启动" in refused.json()["detail"]
    assert idle.post("/notices/test/duty").status_code == 409


def test_a_silence_is_added_listed_and_expired(place: Place) -> None:
    asked: dict[str, Any] = {
        "matcher": {"institution": "e001"},
        "author": "王工",
        "comment": "检修",
    }

    kept = place.http.post("/silences", json=asked | {"hours": 3}).json()
    listed = place.http.get("/silences", params={"in_force": True}).json()
    ended = place.http.post(f"/silences/{kept['number']}/expire").json()

    assert (kept["start_ms"], kept["end_ms"]) == (at(10), at(10) + 3 * HOUR_MS)
    assert [one["number"] for one in listed] == [kept["number"]]
    assert ended["ended_ms"] == at(10)
    assert place.http.get("/silences", params={"in_force": True}).json() == []
    assert place.changed == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"matcher": {"house": "e001"}}, "没有“house”"),
        ({"end_ms": START_MS}, "晚于"),
        ({"hours": 1, "end_ms": START_MS + 1}, "须且只须"),
        ({}, "须且只须"),
    ],
)
def test_a_silence_that_cannot_be_is_refused(place: Place, change: dict, said: str) -> None:
    asked = {"matcher": {"institution": "e001"}, "author": "王工", "comment": "检修"}

    answer = place.http.post("/silences", json=asked | change)

    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert place.http.post("/silences/7/expire").status_code == 404
    assert place.changed == 0


def test_who_was_told_is_listed_by_alert_and_by_receiver(place: Place) -> None:
    notice = Notice(
        key="k",
        kind=NoticeKind.ALERTS,
        receiver="duty",
        chain="c",
        alerts=(place.number,),
        subject="标题",
        text="",
        html="",
        made_ms=at(10),
        due_ms=at(10),
    )
    (kept,) = place.state.outbox.plan([notice], b"", 0)
    tried = Attempt(notice=kept.number, at_ms=at(11), channel="mail", sent=True, answer="250 OK")
    place.state.outbox.tried(tried, NoticeState.SENT, 0)

    shown = place.http.get(f"/alerts/{place.number}").json()["told"]
    by_receiver = place.http.get("/notices", params={"receiver": "duty"}).json()

    assert shown == by_receiver
    (one,) = shown
    assert (one["receiver"], one["channel"], one["sent"], one["answer"], one["subject"]) == (
        "duty",
        "mail",
        True,
        "250 OK",
        "标题",
    )
    assert place.http.get("/notices", params={"receiver": "head"}).json() == []


def test_a_test_notice_says_what_each_channel_answered(place: Place) -> None:
    said = place.http.post("/notices/test/head").json()

    assert said == [
        {"channel": "mail", "sent": False, "answer": "451 later"},
        {"channel": "sms", "sent": True, "answer": "ok"},
    ]
    assert place.teller.tried == ["head"]
    unknown = place.http.post("/notices/test/nobody")
    assert (unknown.status_code, unknown.json()["detail"]) == (
        404,
        "没有接收人“nobody”，已有：duty、head",
    )


def test_opening_a_link_changes_nothing_and_its_button_acknowledges(place: Place) -> None:
    opened = place.http.get(place.link())
    after_opening = place.states()
    pressed = place.http.post(place.link(), content="note=%E6%94%B6%E5%88%B0")
    again = place.http.post(place.link(), content="")

    assert "<form" in opened.text
    assert after_opening == ["firing"]
    assert "已确认" in pressed.text
    (alert,) = place.state.alert_log.open_alerts()
    assert (alert.state, alert.author, alert.note) == ("acknowledged", "duty", "收到")
    assert alert.ack_until_ms == at(10) + 2 * HOUR_MS
    assert "已确认" in again.text
    assert len(place.state.alert_log.steps(place.number)) == 2


def test_a_link_that_ran_out_or_was_made_elsewhere_acknowledges_nothing(place: Place) -> None:
    late = place.link(until_ms=at(10))
    forged = f"/acknowledge/{sign(Token(place.number, 'duty', at(600)), b'other')}"
    missing = place.link(alert=99)

    for link in (late, forged, missing):
        assert place.http.get(link).status_code == 410
        assert place.http.post(link, content="").status_code == 410
    assert place.states() == ["firing"]


def test_without_a_key_no_link_is_taken(place: Place) -> None:
    unkeyed = place.client(place.alerting, told=False)

    assert unkeyed.post(place.link(), content="").status_code == 410
    assert place.states() == ["firing"]
