"""The local HTTP door: every route through a real server on loopback."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import httpx
import msgspec
import pytest

from collector.adapters.http import HttpServer, PortTaken
from collector.adapters.sql import SqlSmallState, StateAway
from collector.api import make_api
from collector.desk import Office, RunningDesk
from collector.inbox import Inbox
from collector.store import LAST_AT_MS, StoreAway, StoreIdentity, Window
from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.reading import Reading
from metering.wire import EpochHeld
from tests.fakes.alerting import threshold
from tests.fakes.centre import Centre, example_fleet
from tests.fakes.jobs import job_runner
from tests.fakes.link import (
    EPOCH,
    GATEWAY,
    SEALED_MS,
    batch,
    delivered,
    delivery,
    link_word,
    stated,
)

EVER = {"start_ms": 0, "end_ms": LAST_AT_MS + 1}


class Running:
    """A centre behind its desk and its API, with a pipeline's thread for the errands."""

    def __init__(self, state_url: str) -> None:
        self.centre = Centre(state=SqlSmallState(state_url), rules=[threshold()])
        self.inbox = Inbox(every_ms=1, at_most=20, limit=400)
        self.desk = RunningDesk(
            Office(
                fleet=example_fleet(),
                store=self.centre.store,
                state=self.centre.state,
                receiver=self.centre.receiver,
                answers=self.centre.answers,
                alerting=self.centre.alerting,
                suspects=self.centre.suspects,
                patience=self.centre.patience,
                metrics=self.centre.metrics,
                inbox=self.inbox,
                link=self.centre.link,
                jobs=job_runner(),
            )
        )
        state = self.centre.state
        api = make_api(self.desk, self.centre.store, state, state.alert_log, self.centre.metrics)
        self.server = HttpServer(api, "127.0.0.1", 0)
        self.server.start()
        self.thread = Thread(target=self._work)
        self.thread.start()
        self.client = httpx.Client(base_url=self.server.url, trust_env=False, timeout=10)

    def _work(self) -> None:
        while not self.inbox.closed:
            self.inbox.group()
            self.desk.run_errands()

    def get(self, path: str, **query: object) -> httpx.Response:
        return self.client.get(path, params=query)

    def close(self) -> None:
        self.inbox.close()
        self.thread.join()
        self.client.close()
        self.server.stop()
        self.centre.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with closing(Running(f"sqlite:///{tmp_path}/state.sqlite")) as made:
        wait_until_it_answers(made)
        yield made


def wait_until_it_answers(running: Running) -> None:
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        try:
            if running.get("/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.01)
    pytest.fail("the API did not start")


def reading(minute: int, kilowatts: float = 100.0, meter: str = "e001-main") -> Reading:
    at_ms = SEALED_MS - 600_000 + minute * 60_000
    return Reading(meter=meter, at_ms=at_ms, values={"active_power_kw": kilowatts})


# -- health ------------------------------------------------------------------------------------


def test_it_lives_and_is_ready(running: Running) -> None:
    assert running.get("/healthz").json() == {"status": "alive"}
    assert running.get("/readyz").json() == {"status": "ready"}


def test_it_is_not_ready_while_the_link_is_down(running: Running) -> None:
    running.centre.link.is_up = False

    answer = running.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"detail": {"link": "down", "down": {}}}


def test_it_is_not_ready_while_a_part_is_down(running: Running) -> None:
    running.centre.patience.down["store"] = "没有连接"

    answer = running.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"detail": {"link": "up", "down": {"store": "没有连接"}}}


def test_metrics_are_prometheuss(running: Running) -> None:
    running.centre.take(delivered(batch(reading(1))))

    answer = running.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert "nenghao_collector_stored_values_total 1.0\n" in answer.text


def test_the_status_says_what_a_person_asks_first(running: Running) -> None:
    running.centre.take(delivered(batch(reading(1, 600.0))))

    status = running.get("/status").json()

    assert (status["store"], status["generation"]) == ("heping-1", 1)
    assert (status["link"], status["down"], status["inbox"]) == ("up", {}, 0)
    assert status["firing"] == 1
    assert status["counts"]["stored_values"] == 1.0
    assert status["latency_p50_ms"] > 0


# -- gateways, alerts, quarantine --------------------------------------------------------------


def test_a_gateway_is_shown_as_it_spoke_and_as_it_is_known(running: Running) -> None:
    digest = example_fleet().gateways[GATEWAY].digest
    running.centre.take(
        link_word(b"online"),
        stated(EpochHeld(epoch=EPOCH, oldest=3, next=6), fleet=digest),
        delivered(batch(reading(4), sequence=4)),
    )
    running.centre.take(link_word(b"offline", gateway="gw-a001"))

    silent, spoken = running.get("/gateways").json()

    assert (silent["gateway"], silent["link"], silent["state"]) == ("gw-a001", "offline", None)
    assert silent["fleet_matches"] is False
    assert (spoken["gateway"], spoken["link"], spoken["backlog"]) == (GATEWAY, "online", 3)
    assert (spoken["missing"], spoken["lost"], spoken["fleet_matches"]) == (2, 0, True)
    assert spoken["state"]["epochs"] == [{"epoch": EPOCH, "oldest": 3, "next": 6}]


def test_alerts_come_newest_first_and_as_many_as_asked_for(running: Running) -> None:
    running.centre.take(delivered(batch(reading(1, 600.0), reading(2, 100.0))))

    assert [one["state"] for one in running.get("/alerts").json()] == ["resolved", "firing"]
    assert [one["state"] for one in running.get("/alerts", limit=1).json()] == ["resolved"]


def test_the_quarantine_shows_the_bytes(running: Running) -> None:
    topic = f"nenghao/1/120101/{GATEWAY}/batch"
    running.centre.take(delivery(topic, b"\xff\x00", epoch="昨天"))

    (kept,) = running.get("/quarantine").json()

    assert (kept["reason"], kept["payload"]) == ("no_identity", "/wA=")
    assert kept["message"] == "user property epoch is '昨天'"


# -- readings ----------------------------------------------------------------------------------


def test_readings_come_by_meter_quantity_and_time(running: Running) -> None:
    full = reading(1)
    full.values["voltage_l1_v"] = 230.0
    running.centre.take(delivered(batch(full, reading(2), reading(2, meter="e001-light"))))

    both = running.get("/readings", meter=["e001-main", "e001-light"], **EVER).json()
    one = running.get(
        "/readings",
        meter="e001-main",
        quantity="active_power_kw",
        start_ms=full.at_ms,
        end_ms=full.at_ms + 1,
    ).json()

    assert [found["meter"] for found in both] == ["e001-light", "e001-main", "e001-main"]
    assert one == [{"meter": "e001-main", "at": full.at_ms, "values": {"active_power_kw": 100.0}}]


def test_the_latest_reading_of_each_meter_or_of_some(running: Running) -> None:
    running.centre.take(delivered(batch(reading(1), reading(2), reading(1, meter="e001-light"))))

    assert [one["at"] for one in running.get("/latest", meter="e001-main").json()] == [
        reading(2).at_ms
    ]
    assert len(running.get("/latest").json()) == 2
    assert running.get("/latest", meter="没有").json() == []


def test_windows_are_summarised(running: Running) -> None:
    running.centre.take(delivered(batch(reading(0, 1.0), reading(1, 3.0))))

    found = running.get(
        "/windows", meter="e001-main", quantity="active_power_kw", width_ms=900_000, **EVER
    )

    (window,) = msgspec.json.decode(found.content, type=list[Window])
    assert (window.count, window.lowest, window.highest, window.mean) == (2, 1.0, 3.0, 2.0)


def test_rejections_keep_chinese_as_it_is(running: Running) -> None:
    running.centre.take(delivered(batch(reading(1, meter="总进线"))))

    answer = running.get("/rejections", **EVER)

    assert [(one["meter"], one["reason"]) for one in answer.json()] == [("总进线", "unknown_meter")]
    assert "总进线".encode() in answer.content
    assert answer.headers["content-type"] == "application/json"


def test_suspects_come_newest_first_and_as_many_as_asked_for(running: Running) -> None:
    for minute, kilowatts in enumerate([100.0, 5000.0, 100.0, 9000.0]):
        running.centre.take(delivered(batch(reading(minute, kilowatts), sequence=minute + 1)))

    found = running.get("/suspects").json()

    assert [(one["value"], one["last"], one["reason"]) for one in found] == [
        (9000.0, 100.0, "jump"),
        (5000.0, 100.0, "jump"),
    ]
    assert running.get("/suspects", limit=1).json() == found[:1]


def test_everything_is_counted(running: Running) -> None:
    running.centre.take(delivered(batch(reading(1), reading(2))))

    assert running.get("/count").json() == {"readings": 2, "values": 2}


# -- what is asked wrongly ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/readings", EVER),
        ("/readings", {"meter": "m", "start_ms": "yesterday", "end_ms": 1}),
        ("/readings", {"meter": "m", "start_ms": -1, "end_ms": 1}),
        ("/readings", {"meter": "m", "start_ms": 0, "end_ms": 2**63}),
        ("/readings", {"meter": "m", "quantity": "power", **EVER}),
        ("/windows", {"meter": "m", "quantity": "power", "width_ms": 1, **EVER}),
        ("/windows", {"meter": "m", "quantity": "active_power_kw", "width_ms": 0, **EVER}),
        ("/windows", {"meter": "m", "quantity": "active_power_kw", "width_ms": -5, **EVER}),
        ("/rejections", {"start_ms": 0}),
        ("/rejections", {"start_ms": 0, "end_ms": 2**70}),
        ("/alerts", {"limit": 0}),
        ("/alerts", {"limit": -1}),
        ("/alerts", {"limit": 2**70}),
        ("/quarantine", {"limit": 1_000_000}),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_422(
    running: Running, path: str, query: dict[str, object]
) -> None:
    assert running.get(path, **query).status_code == 422


def test_an_unknown_quantity_is_named(running: Running) -> None:
    answer = running.get("/readings", meter="m", quantity=["power", "frequency_hz"], **EVER)

    assert answer.json() == {"detail": "unknown quantities: power"}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/readings", {"meter": "e001-main"}),
        (
            "/windows",
            {"meter": "e001-main", "quantity": "active_power_kw", "width_ms": 1},
        ),
        ("/rejections", {}),
    ],
)
def test_more_than_one_answer_should_hold_is_refused_with_413(
    running: Running, path: str, query: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.api._MOST_ROWS", 2)
    running.centre.take(delivered(batch(*(reading(minute) for minute in range(3)))))
    strangers = [reading(minute, meter="nobody") for minute in range(3)]
    running.centre.take(delivered(batch(*strangers, sequence=2)))

    answer = running.get(path, **query, **EVER)

    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("3 ")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/readings", {"meter": "m", **EVER}),
        ("/windows", {"meter": "m", "quantity": "active_power_kw", "width_ms": 1, **EVER}),
        ("/rejections", EVER),
        ("/latest", {}),
        ("/count", {}),
    ],
)
def test_a_store_that_is_away_is_answered_with_503(
    running: Running, path: str, query: dict[str, object]
) -> None:
    running.centre.store.away = StoreAway("数据库没有回答")

    answer = running.get(path, **query)

    assert (answer.status_code, answer.json()) == (503, {"detail": "数据库没有回答"})


@pytest.mark.parametrize("path", ["/gateways", "/alerts", "/quarantine"])
def test_a_small_state_that_is_away_is_answered_with_503(
    running: Running, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StateAway("the disk is full")

    for name in ("gateways", "quarantine"):
        monkeypatch.setattr(running.centre.state, name, away)
    monkeypatch.setattr(running.centre.state.alert_log, "last_steps", away)

    assert running.get(path).status_code == 503


# -- resend ------------------------------------------------------------------------------------


def test_a_resend_raises_the_generation_and_asks_every_gateway_again(running: Running) -> None:
    running.centre.take(stated(EpochHeld(epoch=EPOCH, oldest=1, next=3)))
    running.centre.take(
        delivered(batch(reading(1), sequence=1)), delivered(batch(reading(2), sequence=2))
    )

    answer = running.client.post("/resend", params={"since_ms": 0})

    assert answer.json() == {"generation": 2, "batches": 2}
    assert running.centre.store.identify() == StoreIdentity(id="heping-1", generation=2)
    assert running.centre.state.generation() == 2
    commit = running.centre.link.commits()[-1]
    assert (commit.generation, commit.epochs[0].through) == (2, 2)
    assert Ranges.from_wire(commit.epochs[0].missing) == Ranges.span(1, 2)


def test_after_a_resend_what_comes_again_is_stored_again(running: Running) -> None:
    first = delivered(batch(reading(1)))
    running.centre.take(first)
    running.client.post("/resend", params={"since_ms": 0}).raise_for_status()

    running.centre.take(first)

    assert running.centre.count("repeated_batches") == 0
    assert running.centre.link.commits()[-1].epochs[0].missing == ()


def test_a_resend_since_later_wants_nothing_again(running: Running) -> None:
    running.centre.take(delivered(batch(reading(1))))

    answer = running.client.post("/resend", params={"since_ms": running.centre.clock.now_ms() + 1})

    assert answer.json() == {"generation": 2, "batches": 0}
    assert running.centre.receiver.ledger(GATEWAY, EPOCH).stored == Ranges.span(1, 1)


@pytest.mark.parametrize("since_ms", [-1, 2**63, "today"])
def test_a_resend_since_no_time_is_answered_with_422(running: Running, since_ms: object) -> None:
    answer = running.client.post("/resend", params={"since_ms": since_ms})

    assert answer.status_code == 422


@pytest.mark.parametrize("away", ["store", "state"])
def test_a_resend_that_fails_is_told_to_whom_asked_and_changes_nothing(
    running: Running, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre = running.centre
    centre.take(delivered(batch(reading(1))))

    def fail(*_: object) -> None:
        raise StateAway("away for now")

    with monkeypatch.context() as patched:
        if away == "store":
            centre.store.away = StoreAway("away for now")
        else:
            patched.setattr(centre.state, "rewind", fail)
        failed = running.client.post("/resend", params={"since_ms": 0})
        centre.store.away = None
    digests = centre.state.digests([(GATEWAY, BatchKey(EPOCH, 1))])

    assert (failed.status_code, failed.json()) == (503, {"detail": "away for now"})
    assert (centre.answers.generation, len(digests)) == (1, 1)
    again = running.client.post("/resend", params={"since_ms": 0})
    assert again.json() == {"generation": 2, "batches": 1}


def test_a_resend_while_the_pipeline_is_busy_is_answered_in_time_and_done_later(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.desk._ERRAND_S", 0.05)
    busy = Event()
    running.desk._errands.append(lambda: busy.wait(10))
    running.inbox.nudge()

    late = running.client.post("/resend", params={"since_ms": 0})
    busy.set()
    running.inbox.close()
    running.thread.join()

    assert late.status_code == 503
    assert "it is done as soon as it can be" in late.json()["detail"]
    assert running.centre.answers.generation == 2


# -- the socket --------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_named_before_anything_starts(running: Running) -> None:
    port = int(running.server.url.rsplit(":", 1)[1])

    with pytest.raises(PortTaken, match=f"cannot listen on 127.0.0.1:{port}: .*; set api.port"):
        HttpServer(make_api(running.desk, None, None, None, None), "127.0.0.1", port)


def test_a_port_is_taken_from_the_moment_the_server_is_made() -> None:
    first = HttpServer(make_api(None, None, None, None, None), "127.0.0.1", 0)
    port = int(first.url.rsplit(":", 1)[1])

    with pytest.raises(PortTaken):
        HttpServer(make_api(None, None, None, None, None), "127.0.0.1", port)
    first.stop()


def test_stopping_twice_or_without_a_start_is_fine() -> None:
    server = HttpServer(make_api(None, None, None, None, None), "127.0.0.1", 0)

    server.stop()
    server.stop()
