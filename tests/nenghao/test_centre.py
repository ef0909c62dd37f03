"""`centre`: whoever holds the folder answers; if nobody does, the command answers itself."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from collector.adapters.folder_lock import AlreadyRunning, FolderLock
from collector.alone import served_alone
from collector.app import Collector
from collector.settings import load_settings
from nenghao.centre import CentreAway, CentreForeign, CentreRefused, centre
from tests.nenghao.process import typed

CONFIG = Path(__file__).parents[2] / "config"
SETTINGS = """
config: {config}
folder: data
broker: {{url: "mqtt://127.0.0.1:9"}}
store: {{kind: duckdb, path: data/readings.duckdb}}
api: {{host: 127.0.0.1, port: 0}}
"""
READING = {"meter": "e001-main", "at": 1_763_740_800_000, "values": {"energy_import_kwh": 5.0}}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "collector.yaml"
    path.write_text(SETTINGS.format(config=CONFIG), encoding="utf-8")
    return path


@contextmanager
def collecting(file: Path) -> Iterator[Collector]:
    """A collector that runs, though its broker is away."""
    stopping = threading.Event()
    collector = Collector(load_settings(file), file.parent, stopping)
    collector.start()
    try:
        yield collector
    finally:
        stopping.set()
        collector.stop()


def test_without_a_collector_the_command_answers_itself_and_lets_go(file):
    with centre(file, None) as first:
        assert not first.runs
        assert first.ask("GET", "/status")["link"] == "none"
        assert first.ask("POST", "/import/readings", json=[READING])["taken"] == 1

    with centre(file, None) as second:
        assert second.ask("GET", "/count") == {"readings": 1, "values": 1}
    FolderLock(file.parent / "data").close()


def test_a_running_collector_is_asked_wherever_it_answers(file):
    with collecting(file) as collector, centre(file, None) as found:
        assert found.runs
        assert found.ask("POST", "/import/readings", json=[READING])["taken"] == 1
        assert len(collector.store.latest()) == 1


def test_a_second_command_asks_the_first_one(file):
    with centre(file, None) as first, centre(file, None) as second:
        first.ask("POST", "/import/readings", json=[READING])

        assert second.ask("GET", "/count")["readings"] == 1


def test_who_holds_the_folder_and_does_not_answer_yet_is_waited_for_by_the_user(file):
    with (
        closing(FolderLock(file.parent / "data")),
        pytest.raises(CentreAway, match="it is starting"),
        centre(file, None),
    ):
        pass


def test_what_a_dead_process_left_in_the_lock_does_not_count(file):
    lock = FolderLock(file.parent / "data")
    lock.tell("http://127.0.0.1:9")
    lock.close()

    with centre(file, None) as found:
        assert not found.runs


def test_whoever_is_refused_the_folder_takes_nothing_from_the_lock(file):
    folder = file.parent / "data"
    with closing(FolderLock(folder)) as lock:
        lock.tell("http://127.0.0.1:8090")

        for _ in range(2):
            with pytest.raises(AlreadyRunning) as refused:
                FolderLock(folder)
            assert refused.value.url == "http://127.0.0.1:8090"


def test_another_districts_collector_in_the_folder_is_refused(file, tmp_path):
    other = tmp_path / "other" / "fleet"
    other.mkdir(parents=True)
    fleet = (CONFIG / "fleet" / "heping.yaml").read_text(encoding="utf-8")
    assert "heping-1" in fleet
    (other / "heping.yaml").write_text(fleet.replace("heping-1", "hexi-1"), encoding="utf-8")
    (other.parent / "meters").symlink_to(CONFIG / "meters")
    foreign = tmp_path / "foreign.yaml"
    foreign.write_text(SETTINGS.format(config=other.parent), encoding="utf-8")

    with (
        served_alone(load_settings(file), file.parent),
        pytest.raises(CentreForeign, match=r"'heping-1'.*'hexi-1'"),
        centre(foreign, None),
    ):
        pass


def test_the_first_settings_file_in_its_usual_places_is_meant(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with centre(None, None) as found:
        assert not found.runs
    assert (file.parent / "data" / "readings.duckdb").exists()


def test_a_named_api_is_asked_and_nothing_else(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with centre(file, "http://127.0.0.1:9") as found, pytest.raises(CentreAway, match=":9/status"):
        found.ask("GET", "/status")
    assert not (tmp_path / "data").exists()


def test_a_refusal_is_told_in_the_centres_own_words(file):
    with centre(file, None) as found, pytest.raises(CentreRefused) as refused:
        found.ask("GET", "/entries/7")
    assert str(refused.value) == "没有第 7 号更正：用 nenghao entry list 查看"


def test_a_refusal_without_words_says_what_was_asked_and_what_came(file):
    with (
        centre(file, None) as found,
        pytest.raises(CentreRefused, match=r"GET http.*/nothing: 404"),
    ):
        found.ask("GET", "/nothing")


def test_without_a_pipeline_a_resend_is_refused(file):
    with centre(file, None) as found, pytest.raises(CentreAway, match="no collector runs here"):
        found.ask("POST", "/resend?since_ms=1")


def test_a_command_works_alone_and_says_so(file):
    done = typed("entry", "list", "--settings", file, "--json")

    assert (done.code, done.document) == (0, {"entries": []})


def test_settings_that_cannot_be_used_are_one_message(tmp_path):
    missing = tmp_path / "none.yaml"

    done = typed("entry", "list", "--settings", missing)

    assert done.code == 1
