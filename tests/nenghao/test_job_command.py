"""`nenghao job` against a running collector's door: what it says, and its exit code."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from msgspec import structs

from collector.adapters.apscheduler import ApschedulerTrigger
from collector.adapters.http import HttpServer
from collector.adapters.sql import SqlSmallState
from collector.doors.jobs import make_jobs_door
from collector.job_log import Outcome
from collector.jobs.job import Job, Progress
from collector.jobs.periods import Every
from collector.jobs.runner import JobRunner
from metering.errors import TransientError
from tests.fakes.clock import FakeClock
from tests.fakes.jobs import FakeTrigger, job_parts
from tests.nenghao.process import run, typed

CONFIG = Path(__file__).parents[2] / "config"
MIDNIGHT = 1_763_740_800_000  # 2025-11-22 in Shanghai
DAILY = Every(width_ms=86_400_000, delay_ms=20 * 60_000)


class Centre:
    """Two jobs, one of which fails while `broken`."""

    def __init__(self, folder: Path, *, real: bool) -> None:
        self.broken = True
        self.clock = FakeClock(MIDNIGHT + 12 * 3_600_000)
        self.state = SqlSmallState(f"sqlite:///{folder}/state.sqlite")
        self.trigger = ApschedulerTrigger(0.02) if real else FakeTrigger()
        parts = job_parts(self.state.job_log, self.clock)
        jobs = [
            Job(name="settlement", title="结算", schedule=DAILY, work=self._settle),
            Job(name="verification", title="日校核", schedule=DAILY, work=self._verify),
        ]
        self.runner = JobRunner(jobs, structs.replace(parts, trigger=self.trigger))
        self.runner.start()
        api = FastAPI()
        api.include_router(make_jobs_door(self.runner, self.state.job_log))
        self.server = HttpServer(api, "127.0.0.1", 0)
        self.server.start()

    def _settle(self, _period_ms: int, progress: Progress) -> str:
        progress.step(3, 3, "表计")
        return "结算 3 块表"

    def _verify(self, _period_ms: int, _progress: Progress) -> str:
        if self.broken:
            raise TransientError("数据库不应答")
        return "校核 2 家"

    def close(self) -> None:
        self.runner.stop()
        self.server.stop()
        self.state.close()


@contextmanager
def centre(folder: Path, *, real: bool = False) -> Iterator[Centre]:
    with closing(Centre(folder, real=real)) as made:
        yield made


def test_the_door_shows_jobs_and_runs_and_takes_orders(tmp_path: Path) -> None:
    with (
        centre(tmp_path) as at,
        httpx.Client(base_url=at.server.url, trust_env=False) as client,
    ):
        new = client.get("/jobs").json()
        assert [(one["name"], one["title"], one["last"]) for one in new] == [
            ("settlement", "结算", None),
            ("verification", "日校核", None),
        ]

        at.trigger.fire()

        settled, verified = client.get("/jobs").json()
        assert settled["last"]["outcome"] == "done"
        assert settled["last"]["said"] == "结算 3 块表"
        assert (settled["took_s"], settled["running"], settled["failing"]) == (0.0, None, "")
        assert settled["next_ms"] == MIDNIGHT + 86_400_000 + 20 * 60_000
        assert (verified["last"]["outcome"], verified["failing"]) == ("failed", "数据库不应答")
        runs = client.get("/jobs/runs", params={"job": "settlement", "limit": 9}).json()
        assert [(one["job"], one["period_ms"]) for one in runs] == [("settlement", MIDNIGHT)]
        assert len(client.get("/jobs/runs").json()) == 2
        assert client.get("/jobs/runs", params={"limit": 0}).status_code == 422

        answer = client.post("/jobs/settlement/run")
        assert (answer.status_code, answer.json()) == (202, {"job": "settlement"})
        at.trigger.fire()
        assert len(client.get("/jobs/runs", params={"job": "settlement"}).json()) == 2
        assert client.post("/jobs/nothing/run").status_code == 404


def test_the_list_says_last_next_took_and_fails_if_a_job_did(tmp_path: Path) -> None:
    with centre(tmp_path) as at:
        before = run("job", "list", "--api", at.server.url)
        at.trigger.fire()
        failed = typed("job", "list", "--api", at.server.url, "--json")
        at.broken = False
        at.clock.pass_ms(60_000)
        at.trigger.fire()
        well = run("job", "list", "--api", at.server.url)

    assert (before.code, "从未" in before.out) == (0, True)
    assert failed.code == 1
    assert [one["last"]["outcome"] for one in failed.document] == ["done", "failed"]
    assert well.code == 0
    for word in ("settlement", "日校核", "完成", "11-23 00:20"):
        assert word in well.out


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    with centre(tmp_path) as at:
        at.trigger.fire()
        every = typed("job", "runs", "--api", at.server.url, "--json")
        table = run("job", "runs", "settlement", "--limit", "1", "--api", at.server.url)

    assert every.code == 1
    assert [one["job"] for one in every.document] == ["verification", "settlement"]
    assert table.code == 0
    assert "11-22 12:00:00" in table.out
    assert "verification" not in table.out


@pytest.mark.parametrize(("name", "code", "said"), [
    ("settlement", 0, "结算 (settlement) 完成：结算 3 块表"),
    ("verification", 1, "日校核 (verification) 失败：数据库不应答"),
])  # fmt: skip
def test_a_job_is_run_now_and_its_end_is_told(
    tmp_path: Path, name: str, code: int, said: str
) -> None:
    with centre(tmp_path, real=True) as at:
        told = run("job", "run", name, "--api", at.server.url)

    assert (told.code, told.out.strip()) == (code, said)


def test_a_job_may_be_ordered_without_waiting(tmp_path: Path) -> None:
    with centre(tmp_path) as at:
        told = run("job", "run", "settlement", "--no-wait", "--api", at.server.url)

        assert (told.code, told.out.strip()) == (0, "结算 (settlement) 已排队")
        assert at.trigger.asked == 1


def test_a_job_that_there_is_not_is_named(tmp_path: Path) -> None:
    with centre(tmp_path) as at:
        told = run("job", "run", "setle", "--api", at.server.url)

    assert told.code == 1
    assert told.err == "没有任务 'setle'；最接近的是 settlement\n"


# ---- no collector runs


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "collector.yaml"
    path.write_text(
        f"config: {CONFIG}\nfolder: data\nbroker: {{url: 'mqtt://127.0.0.1:9'}}\n"
        "store: {kind: duckdb, path: data/readings.duckdb}\napi: {host: 127.0.0.1, port: 0}\n",
        encoding="utf-8",
    )
    return path


def logged(file: Path, *outcomes: Outcome) -> None:
    """Runs of yesterday's verification, as a collector that is gone left them."""
    (file.parent / "data").mkdir()
    with closing(SqlSmallState(f"sqlite:///{file.parent}/data/state.sqlite")) as state:
        for outcome in outcomes:
            run = state.job_log.begin("verification", MIDNIGHT, MIDNIGHT + 1_200_000)
            if outcome is not Outcome.RUNNING:
                state.job_log.finish(run, outcome, MIDNIGHT + 1_203_000, "发现 0 项")


def test_without_a_collector_the_log_is_read_and_that_nobody_runs_is_said(file: Path) -> None:
    logged(file, Outcome.DONE)

    done = typed("job", "list", "--settings", file)
    listed = typed("job", "list", "--settings", file, "--json")
    runs = typed("job", "runs", "verification", "--settings", file, "--json")

    assert (done.code, listed.code, runs.code) == (0, 0, 0)
    assert "没有采集服务在运行：到期的任务在它启动后补做" in done.out
    assert [one["name"] for one in listed.document] == [
        "settlement",
        "verification",
        "housekeeping",
    ]
    (verification,) = (one for one in listed.document if one["name"] == "verification")
    assert (verification["last"]["said"], verification["took_s"]) == ("发现 0 项", 3.0)
    assert verification["next_ms"] > MIDNIGHT
    assert [one["outcome"] for one in runs.document] == ["done"]


def test_a_run_whose_collector_is_gone_did_not_go_on(file: Path) -> None:
    logged(file, Outcome.RUNNING)

    listed = typed("job", "list", "--settings", file, "--json")

    assert listed.code == 1
    assert [one["last"] and one["last"]["outcome"] for one in listed.document] == [
        None,
        "died",
        None,
    ]


def test_without_a_collector_no_job_is_ordered_and_what_to_do_is_said(file: Path) -> None:
    done = typed("job", "run", "settlement", "--settings", file)

    assert done.code == 1
    assert "没有采集服务在运行，任务只由它执行：请先启动；结算可用 nenghao settle" in done.err
