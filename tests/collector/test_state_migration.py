"""A small state that version 1 wrote is opened, brought up to date, and loses nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

from collector.adapters.sql import SCHEMA_VERSION, SqlSmallState
from collector.small_state import AlertEntry, Record
from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.delivery.receiver import EpochLedger

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
INSERT INTO alert VALUES ('hot', 'e001-main', 'firing', {DAY}, 600.5, 500.0, 1);
INSERT INTO alert_entry VALUES (1, 'hot', 'e001-main', 'firing', {DAY}, 600.5, 500.0, 1);
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
        firing = AlertEntry(
            rule="hot",
            meter="e001-main",
            state="firing",
            at_ms=DAY,
            value=600.5,
            bound=500.0,
            recorded_ms=1,
        )
        assert state.firing() == {("hot", "e001-main"): firing}
        assert state.alert_entries(9) == [firing]


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
