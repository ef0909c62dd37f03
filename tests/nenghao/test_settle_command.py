"""`nenghao settle`, on a real store, without a collector and beside one."""

import threading
from pathlib import Path

import pytest

from collector.app import Collector
from collector.editing.period import instant_ms
from collector.settings import load_settings
from nenghao.centre import centre
from tests.nenghao.process import run as run_process
from tests.nenghao.process import typed

CONFIG = Path(__file__).parents[2] / "config"
COUNTER = "energy_import_kwh"
HOUR_MS = 3_600_000


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "collector.yaml"
    path.write_text(
        f"config: {CONFIG}\nfolder: data\nbroker: {{url: 'mqtt://127.0.0.1:9'}}\n"
        "store: {kind: duckdb, path: data/readings.duckdb}\napi: {host: 127.0.0.1, port: 0}\n",
        encoding="utf-8",
    )
    return path


def read_hourly(file, meter="e001-main", hours=72, start="2026-10-01T00:00"):
    """A meter said ten more each hour."""
    start_ms = instant_ms(start, assume_shanghai=True)
    readings = [
        {"meter": meter, "at": start_ms + h * HOUR_MS, "values": {COUNTER: 1000.0 + 10 * h}}
        for h in range(hours + 1)
    ]
    with centre(file, None) as collector:
        assert collector.ask("POST", "/import/readings", json=readings)["taken"] == hours + 1


def test_what_is_marked_is_settled_and_the_next_time_there_is_nothing(file):
    read_hourly(file)

    done = typed("settle", "--settings", file, "--json")
    again = typed("settle", "--settings", file, "--json")

    assert (done.code, again.code) == (0, 0)
    report = done.document["report"]
    assert (report["meters"], report["days"], report["left"]) == (1, 4, 0)
    assert report["written"] > 72 * 5
    assert again.document["report"]["days"] == 0


def test_what_was_settled_can_be_exported_and_adds_up(file):
    read_hourly(file)
    typed("settle", "--settings", file)

    told = typed(
        "export", "intervals", "--settings", file, "--meter", "e001-main", "--from", "2026-10-01",
        "--to", "2026-10-04", "--width", "1d", "--json",
    )  # fmt: skip

    assert told.code == 0
    assert [row["value"] for row in told.document["rows"]] == ["240", "240", "240"]


def test_a_person_reads_what_was_done(file):
    read_hourly(file)

    done = typed("settle", "--settings", file)

    assert done.code == 0
    assert "结算 1 块表、4 个表日" in done.out
    assert "写入" in done.out


def test_days_that_somebody_names_are_settled_again_and_nothing_changes(file):
    read_hourly(file)
    typed("settle", "--settings", file)

    month = typed(
        "settle", "--settings", file, "--meter", "e001-main", "--from", "2026-10", "--json"
    )
    since = typed(
        "settle", "--settings", file, "--meter", "e001-main", "--from", "2026-10-02",
        "--to", "2026-10-03T01:00", "--json",
    )  # fmt: skip
    everything = typed("settle", "--settings", file, "--all", "--json")

    assert (month.code, month.document["report"]["days"]) == (0, 31)
    assert month.document["report"]["written"] == 0
    assert since.document["report"]["days"] == 2
    assert everything.document["report"]["written"] == 0
    assert everything.document["report"]["meters"] > 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "gestern"), "gestern"),
        (("--from", "2026-10-02", "--to", "2026-10-01"), "不晚于"),
        (("--all", "--from", "2026-10-01"), "--all"),
    ],
)
def test_what_cannot_be_meant_is_usage_and_opens_nothing(file, options, told):
    done = typed("settle", "--settings", file, *options)

    assert done.code == 2
    assert told in done.err
    assert not (file.parent / "data").exists()


def test_a_meter_that_nobody_knows_is_told(file):
    done = run_process("settle", "--settings", file, "--meter", "e001-mian")

    assert done.code == 1
    assert "e001-mian" in done.err


CORRECTION = (
    "correct", "interval", "e001-main", "--from", "2026-10-02", "--value", "300",
    "--author", "王芳", "--reason", "抄表核对",
)  # fmt: skip


def changes_of(done):
    return [
        (one["width"], one["start"][:10], one["before"], one["after"])
        for one in done.document["settled"]["changes"]
    ]


def test_an_entry_is_settled_at_once_without_a_collector_and_so_is_its_undo(file):
    read_hourly(file)

    made = typed(*CORRECTION, "--settings", file, "--json")
    undone = typed(
        "entry", "undo", "1", "--author", "李强", "--reason", "看错了", "--settings", file, "--json"
    )

    assert (made.code, undone.code) == (0, 0)
    assert changes_of(made) == [
        ("1d", "2026-10-02", "240", "300"),
        ("1mo", "2026-10-01", "720", "780"),
    ]
    assert changes_of(undone) == [
        ("1d", "2026-10-02", "300", "240"),
        ("1mo", "2026-10-01", "780", "720"),
    ]


def test_beside_a_running_collector_an_entry_is_settled_by_that_one(file):
    read_hourly(file)
    stopping = threading.Event()
    collector = Collector(load_settings(file), file.parent, stopping)
    collector.start()
    try:
        later = run_process(*CORRECTION, "--settings", file, "--no-settle")
        typed("entry", "undo", "1", "--author", "李强", "--reason", "看错了", "--settings", file)
        done = run_process(*CORRECTION, "--settings", file, "--json")
    finally:
        stopping.set()
        collector.stop()

    assert "用量由结算任务更新，下次 " in later.out
    assert changes_of(done)[0] == ("1d", "2026-10-02", "240", "300")


def test_beside_a_running_collector_its_own_process_settles(file):
    read_hourly(file)
    stopping = threading.Event()
    collector = Collector(load_settings(file), file.parent, stopping)
    collector.start()
    try:
        done = run_process("settle", "--settings", file, "--json")
    finally:
        stopping.set()
        collector.stop()

    assert done.code == 0
    assert done.document["report"]["left"] == 0


def test_the_running_collectors_job_settles_by_itself(file):
    read_hourly(file)
    stopping = threading.Event()
    collector = Collector(load_settings(file), file.parent, stopping)
    collector.start()
    try:
        done = run_process("job", "run", "settlement", "--api", collector.api_url, "--json")
        left = collector.state.dirty_book.count_dirty()
    finally:
        stopping.set()
        collector.stop()

    assert done.code == 0
    assert left == 0
    assert done.document["last"]["outcome"] == "done"
