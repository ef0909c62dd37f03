"""Settling in the background: one at a time, whoever asks; what it leaves undone stays marked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI
from msgspec import structs

from collector.adapters.http import HttpServer
from collector.doors.settling import settling_door
from collector.fleet.index import VirtualMeter
from collector.jobs.job import Progress
from collector.jobs.settling import (
    Order,
    RunState,
    SettleRun,
    Settling,
    first_reading_ms,
    settlement_job,
    told,
)
from collector.known import NameUnknown
from collector.settle.cells import DAY_MS, Width
from collector.settlement.service import Report
from collector.store import StoreAway
from tests.fakes.settling import START_MS, hourly, meter
from tests.fakes.settling import Settling as Town

SOON_S = 20.0


@contextmanager
def settling_of(town: Town) -> Iterator[Settling]:
    made = Settling(town.settlement, town.store, town.fleet, town.clock)
    try:
        yield made
    finally:
        made.stop()


def ended(settling: Settling, run: SettleRun) -> SettleRun:
    settling.finish()
    found = settling.run(run.number)
    assert found is not None
    return found


@pytest.fixture
def town():
    made = Town(meter("m1"), meter("m2"), now_ms=START_MS + 10 * DAY_MS)
    made.put("m1", *hourly(10 * 24))
    made.put("m2", *hourly(5 * 24))
    return made


def test_without_a_time_what_is_marked_is_settled(town):
    with settling_of(town) as settling:
        run = ended(settling, settling.begin(Order()))

    assert run.state is RunState.DONE
    assert run.report is not None
    assert (run.report.meters, run.report.days, run.report.left) == (2, 15, 0)
    assert (run.at.done, run.at.total) == (15, 15)
    assert run.began_ms == run.ended_ms == town.clock.now_ms()


def test_of_named_meters_only_their_marks_are_settled(town):
    with settling_of(town) as settling:
        run = ended(settling, settling.begin(Order(meters=("m2",))))

    assert run.report is not None
    assert (run.report.days, run.report.left) == (5, 10)
    assert {day.meter for day in town.dirty.dirty(99)} == {"m1"}


def test_of_a_virtual_meter_its_parts_are_settled(town):
    virtual = VirtualMeter(id="rest", energy="01000", circuit="", parts=(("m1", 1.0), ("m2", -1.0)))
    town.fleet = structs.replace(town.fleet, virtual_meters={"rest": virtual})
    with settling_of(town) as settling:
        run = ended(settling, settling.begin(Order(meters=("rest", "m1"))))

    assert run.order.meters == ("m1", "m2")
    assert run.report is not None
    assert run.report.days == 15


def test_a_meter_that_nobody_knows_is_refused_before_anything_begins(town):
    with (
        settling_of(town) as settling,
        pytest.raises(NameUnknown, match="没有表 'm3'；最接近的是 m2、m1"),
    ):
        settling.begin(Order(meters=("m1", "m3")))

    assert town.dirty.count_dirty() == 15


def test_named_days_are_settled_whether_they_are_marked_or_not(town):
    town.settlement.settle_dirty()
    with settling_of(town) as settling:
        order = Order(meters=("m1",), start_ms=START_MS, end_ms=START_MS + 2 * DAY_MS)
        run = ended(settling, settling.begin(order))

    assert run.report is not None
    assert (run.report.days, run.report.written) == (2, 0)


@pytest.mark.parametrize("order", [Order(all=True), Order(end_ms=START_MS + 10 * DAY_MS)])
def test_everything_reaches_from_the_first_reading_of_all_to_now(town, order):
    town.settlement.settle_dirty()
    with settling_of(town) as settling:
        run = ended(settling, settling.begin(order))

    assert run.report is not None
    assert run.report.days == 20


def test_where_nothing_was_read_nothing_is_settled():
    with settling_of(Town()) as settling:
        run = ended(settling, settling.begin(Order(all=True)))

    assert (run.state, run.report) == (RunState.DONE, Report())


def test_the_first_reading_is_found_in_whatever_quantity_it_is(town):
    town.put("m2", [START_MS - 5 * DAY_MS], [3.0], "active_power_kw")
    town.put("m2", [START_MS + 9 * DAY_MS], [3.0], "active_power_kw")

    assert first_reading_ms(town.store, town.fleet, None) == START_MS - 5 * DAY_MS
    assert first_reading_ms(town.store, town.fleet, ["m1"]) == START_MS


def test_a_failure_is_told_and_leaves_the_marks(town):
    town.intervals.away = StoreAway("disk full")
    with settling_of(town) as settling:
        run = ended(settling, settling.begin(Order()))

    assert (run.state, run.error, run.report) == (RunState.FAILED, "disk full", None)
    assert town.dirty.count_dirty() == 15


def test_a_mistake_of_ours_is_told_as_well_and_the_next_run_goes_on(town):
    town.store.columns, kept = None, town.store.columns
    with settling_of(town) as settling:
        first = settling.begin(Order())
        while settling.run(first.number).state in (RunState.WAITING, RunState.RUNNING):
            threading.Event().wait(0.001)
        town.store.columns = kept
        second = ended(settling, settling.begin(Order()))
        first = settling.run(first.number)

    assert first.state is RunState.FAILED
    assert first.error.startswith("TypeError")
    assert second.state is RunState.DONE


class Gate:
    """Holds a settlement where it writes, until it is opened."""

    def __init__(self, town: Town) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self.inside = self.most = 0
        write = town.intervals.write_meters

        def held(written):
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.entered.set()
            assert self.opened.wait(SOON_S)
            write(written)
            self.inside -= 1

        town.intervals.write_meters = held


def test_runs_wait_for_each_other_and_for_the_job(town):
    gate = Gate(town)
    job_said = []
    with settling_of(town) as settling:
        work = settlement_job(settling)
        first = settling.begin(Order(meters=("m1",)))
        assert gate.entered.wait(SOON_S)
        second = settling.begin(Order(meters=("m2",)))
        progress = Progress("settlement", town.clock, threading.Event())
        job = threading.Thread(target=lambda: job_said.append(work(0, progress)))
        job.start()
        assert settling.run(first.number).state is RunState.RUNNING
        assert settling.run(second.number).state is RunState.WAITING

        gate.opened.set()
        settling.finish()
        job.join(SOON_S)

        assert settling.run(second.number).state is RunState.DONE
    assert gate.most == 1
    assert len(job_said) == 1
    assert town.dirty.count_dirty() == 0


def test_stopping_ends_a_run_between_two_groups_and_what_waits_never_begins(town):
    town.settlement._parts = structs.replace(town.parts, most_readings=1)  # each meter a group
    gate = Gate(town)
    with settling_of(town) as settling:
        first, second = settling.begin(Order()), settling.begin(Order())
        assert gate.entered.wait(SOON_S)
        stopper = threading.Thread(target=settling.stop)
        stopper.start()
        assert settling._stopping.wait(SOON_S)
        gate.opened.set()
        stopper.join(SOON_S)

        run = settling.run(first.number)
        assert run.state is RunState.STOPPED
        assert run.report.left == 5
        assert settling.run(second.number).state is RunState.WAITING


def test_runs_of_long_ago_are_forgotten(town, monkeypatch):
    monkeypatch.setattr("collector.jobs.settling._REMEMBERED", 2)
    with settling_of(town) as settling:
        numbers = [settling.begin(Order()).number for _ in range(3)]
        settling.finish()

        assert [settling.run(number) is None for number in numbers] == [True, False, False]


def test_the_job_says_what_it_did(town):
    with settling_of(town) as settling:
        work = settlement_job(settling)
        progress = Progress("settlement", town.clock, threading.Event())

        said = work(0, progress)

        assert said.startswith("结算 2 块表、15 个表日：写入 ")
        assert (progress.at.done, progress.at.total) == (15, 15)
        assert work(0, progress) == "没有待结算的数据"


def test_a_report_tells_what_is_left_and_what_nobody_knows():
    report = Report(
        meters=1, days=2, written=30, raised=4, left=5, unknown=("x1", "x2"), seconds=0.25
    )

    assert told(report) == (
        "结算 1 块表、2 个表日：写入 30 行（其中更新 4 行），用时 0.2 s；尚余 5 个表日待结算；"
        "配置中没有的表：x1, x2"
    )


# ---- the door


@contextmanager
def door_of(town: Town) -> Iterator[tuple[httpx.Client, Settling]]:
    with settling_of(town) as settling:
        api = FastAPI()
        api.include_router(settling_door(settling, town.dirty))
        server = HttpServer(api, "127.0.0.1", 0)
        server.start()
        with httpx.Client(base_url=server.url, trust_env=False, timeout=SOON_S) as client:
            yield client, settling
        server.stop()


def test_over_http_a_run_is_begun_and_followed(town):
    with door_of(town) as (client, settling):
        assert client.get("/dirty").json() == {"days": 15, "oldest_ms": START_MS}

        begun = client.post("/settle", json={"meters": ["m1"]})
        settling.finish()
        run = client.get(f"/settle/{begun.json()['number']}").json()

        assert begun.status_code == 202
        assert (run["state"], run["report"]["days"]) == ("done", 10)
        assert client.get("/dirty").json()["days"] == 5


def test_without_a_body_what_is_marked_is_settled(town):
    with door_of(town) as (client, settling):
        client.post("/settle")
        settling.finish()

        assert client.get("/dirty").json() == {"days": 0, "oldest_ms": None}


@pytest.mark.parametrize(
    ("asked", "told_of"),
    [
        ({"meters": ["m9"]}, "'m9'"),
        ({"meters": []}, "at least 1"),
        ({"start_ms": 5, "end_ms": 5}, "not after"),
        ({"start_ms": -1}, "greater than or equal"),
        ({"since": 1}, "Extra inputs"),
        ({"all": True, "start_ms": 1}, "all"),
    ],
)
def test_what_cannot_be_meant_is_refused(town, asked, told_of):
    with door_of(town) as (client, _):
        answer = client.post("/settle", json=asked)

        assert answer.status_code == 422
        assert told_of in answer.text
        assert town.dirty.count_dirty() == 15


def test_a_run_that_there_is_not_is_not_found(town):
    with door_of(town) as (client, _):
        assert client.get("/settle/7").status_code == 404


def test_what_was_settled_is_in_the_store(town):
    with settling_of(town) as settling:
        settling.begin(Order())
        settling.finish()

    assert len(town.rows("m1", Width.DAY).version) == 10
