"""A small state that version 1 wrote is opened, brought up to date, and loses nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

from collector.adapters.sql import SCHEMA_VERSION, SqlSmallState
from collector.alerting.lifecycle import AlertBook
from collector.alerting.observation import Observation, Verdict
from collector.alerting.place import Places
from collector.fleet.check import load_fleet
from collector.small_state import Record
from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.delivery.receiver import EpochLedger
from tests.fakes.alerting import METER, fired, firing, threshold
from tests.fakes.centre import CONFIG

GATEWAY = "gw-e001"
EPOCH = "01JD0000000000000000000000"
DAY = 1_763_740_800_000

# As `sqlite3 state.sqlite .dump` wrote it down, of a file of release 0.1.
VERSION_1 = f"""
CREATE TABLE fact (name VARCHAR(64) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name));
CREATE TABLE epoch (
  gateway VARCHAR(63) NOT NULL, epoch VARCHAR(26) NOT NULL, stored TEXT NOT NULL,
  lost TEXT NOT NULL, released TEXT NOT NULL, next BIGINT NOT NULL, named BOOLEAN NOT NULL,
  PRIMARY KEY (gateway, epoch));
CREATE TABLE batch (
  gateway VARCHAR(63) NOT NULL, epoch VARCHAR(26) NOT NULL, sequence BIGINT NOT NULL,
  digest VARCHAR(64) NOT NULL, received_ms BIGINT NOT NULL, readings INTEGER NOT NULL,
  PRIMARY KEY (gateway, epoch, sequence, digest));
CREATE INDEX ix_batch_received_ms ON batch (received_ms);
CREATE TABLE quarantine (
  number INTEGER NOT NULL, gateway VARCHAR(63) NOT NULL, epoch VARCHAR(26), sequence BIGINT,
  digest VARCHAR(64) NOT NULL, reason VARCHAR(32) NOT NULL, message TEXT NOT NULL,
  received_ms BIGINT NOT NULL, content_type VARCHAR(64) NOT NULL, payload BLOB NOT NULL,
  PRIMARY KEY (number), UNIQUE (gateway, digest, reason));
CREATE TABLE gateway (
  gateway VARCHAR(63) NOT NULL, district VARCHAR(6) NOT NULL, state BLOB NOT NULL,
  state_ms BIGINT NOT NULL, link VARCHAR(16) NOT NULL, link_ms BIGINT NOT NULL,
  PRIMARY KEY (gateway));
CREATE TABLE alert (
  rule VARCHAR(64) NOT NULL, meter VARCHAR(63) NOT NULL, state VARCHAR(16) NOT NULL,
  at_ms BIGINT NOT NULL, value FLOAT NOT NULL, bound FLOAT NOT NULL, recorded_ms BIGINT NOT NULL,
  PRIMARY KEY (rule, meter));
CREATE TABLE alert_entry (
  number INTEGER NOT NULL, rule VARCHAR(64) NOT NULL, meter VARCHAR(63) NOT NULL,
  state VARCHAR(16) NOT NULL, at_ms BIGINT NOT NULL, value FLOAT NOT NULL, bound FLOAT NOT NULL,
  recorded_ms BIGINT NOT NULL, PRIMARY KEY (number));
INSERT INTO fact VALUES ('schema', '1'), ('generation', '3');
INSERT INTO epoch VALUES ('{GATEWAY}', '{EPOCH}', '[[1, 7]]', '[[8, 8]]', '[]', 9, 1);
INSERT INTO batch VALUES ('{GATEWAY}', '{EPOCH}', 7, '{"a" * 64}', {DAY}, 60);
INSERT INTO quarantine VALUES (
  1, '{GATEWAY}', NULL, NULL, '{"b" * 64}', 'no_identity', '没有标识', {DAY},
  'application/json', X'7B00');
INSERT INTO gateway VALUES ('{GATEWAY}', '120101', X'7B7D', 1, 'online', 2);
INSERT INTO alert VALUES
  ('hot', 'e001-main', 'firing', {DAY}, 600.5, 500.0, 5),
  ('hot', 'e001-light', 'resolved', {DAY - 6}, 300.0, 400.0, 4);
INSERT INTO alert_entry VALUES
  (1, 'hot', 'e001-main', 'firing', {DAY - 9}, 550.0, 500.0, 1),
  (2, 'hot', 'e001-light', 'firing', {DAY - 8}, 700.0, 500.0, 2),
  (3, 'hot', 'e001-main', 'resolved', {DAY - 7}, 399.0, 400.0, 3),
  (4, 'hot', 'e001-light', 'resolved', {DAY - 6}, 300.0, 400.0, 4),
  (5, 'hot', 'e001-main', 'firing', {DAY}, 600.5, 500.0, 5);
"""


def written_by_version_1(folder: Path) -> Path:
    file = folder / "state.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(f"PRAGMA journal_mode=WAL; {VERSION_1}")
    return file


def tables(file: Path) -> list[tuple[str, str]]:
    """Every table and index, and how it was made."""
    query = "select name, sql from sqlite_master where sql is not null order by name"
    with closing(sqlite3.connect(file)) as connection:
        made = connection.execute(query).fetchall()
    return [(name, "".join(sql.split())) for name, sql in made]


def test_what_version_1_knew_is_still_known(tmp_path: Path) -> None:
    file = written_by_version_1(tmp_path)

    with closing(SqlSmallState(f"sqlite:///{file}")) as state:
        assert state.generation() == 3
        assert state.ledgers() == {
            (GATEWAY, EPOCH): EpochLedger(
                stored=Ranges.span(1, 7), lost=Ranges.span(8, 8), next=9, named=True
            )
        }
        key = (GATEWAY, BatchKey(EPOCH, 7))
        assert state.digests([key]) == {key: {"a" * 64}}
        assert [aside.payload for aside in state.quarantine(9)] == [b"{\x00"]
        assert [one.link for one in state.gateways()] == ["online"]


def test_alerts_of_the_one_kind_of_rule_before_are_carried_over(tmp_path: Path) -> None:
    file = written_by_version_1(tmp_path)

    with closing(SqlSmallState(f"sqlite:///{file}")) as state:
        (open_one,) = state.alert_log.open_alerts()
        steps = state.alert_log.steps_after(0, 99)

        assert (open_one.number, open_one.rule, open_one.subject.id) == (3, "hot", "e001-main")
        assert (open_one.since_ms, open_one.fired_ms, open_one.value) == (DAY, DAY, 600.5)
        assert [(one.number, one.alert.number, one.reason) for one in steps] == [
            (1, 1, "held"),
            (2, 2, "held"),
            (3, 1, "cleared"),
            (4, 2, "cleared"),
            (5, 3, "held"),
        ]
        assert [(one.alert.value, one.alert.limit, one.alert.moved_ms) for one in steps][2:4] == [
            (399.0, 400.0, 3),
            (300.0, 400.0, 4),
        ]
        assert [one.number for one in state.alert_log.keep([fired(firing(4))])] == [6]


def test_what_was_firing_goes_on_and_ends_under_the_new_life_cycle(tmp_path: Path) -> None:
    file = written_by_version_1(tmp_path)
    with closing(SqlSmallState(f"sqlite:///{file}")) as state:
        book = AlertBook(
            [threshold()], Places(load_fleet(CONFIG)), alerts=state.alert_log.open_alerts()
        )
        low = Observation(
            rule="hot", subject=METER, at_ms=DAY + 1, verdict=Verdict.CLEAR, value=1.0, limit=400.0
        )

        assert [one.reason for one in book.observe([low], DAY + 2)] == ["cleared"]


def test_what_version_2_brought_works_at_once_and_after_a_restart(tmp_path: Path) -> None:
    file = written_by_version_1(tmp_path)
    with closing(SqlSmallState(f"sqlite:///{file}")) as state:
        state.record(Record(dirty=[("e001-main", DAY)]))
        state.job_log.begin("settle", 1, 2)

    with closing(SqlSmallState(f"sqlite:///{file}")) as again:
        assert again.dirty_book.count_dirty() == 1
        assert len(again.job_log.runs(None, 9)) == 1
        assert again.entry_book.entries() == again.finding_book.findings(0, DAY) == []


def test_a_file_brought_up_to_date_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    file = written_by_version_1(tmp_path)
    SqlSmallState(f"sqlite:///{file}").close()
    SqlSmallState(f"sqlite:///{tmp_path}/new.sqlite").close()

    assert tables(file) == tables(tmp_path / "new.sqlite")
    with closing(sqlite3.connect(file)) as connection:
        schema = "select value from fact where name = 'schema'"
        assert connection.execute(schema).fetchone() == (str(SCHEMA_VERSION),)


def test_marks_are_recorded_with_their_batches_or_not_at_all(tmp_path: Path) -> None:
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        state.record(Record(dirty=[("e001-main", DAY), ("e001-main", DAY), ("a001-main", DAY)]))

        days = state.dirty_book.dirty(9)

        assert [(day.meter, day.day_ms) for day in days] == [("a001-main", DAY), ("e001-main", DAY)]
        assert {day.number for day in days} == {1}
