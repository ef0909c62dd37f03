"""The collector's own file: a good one, and each kind of mistake in its exact words."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.jobs.periods import Every
from collector.settings import DuckDbSettings, InfluxSettings, load_settings
from documents.finding import DocumentInvalid

DUCKDB = """\
config: config
folder: data
broker: {url: "mqtt://127.0.0.1:1883"}
store: {kind: duckdb, path: data/readings.duckdb}
"""
INFLUX = """\
config: /etc/nenghao
folder: /var/lib/nenghao
broker:
  url: mqtts://broker.example:8883
  username: collector
  password_env: BROKER_PASSWORD
  ca_file: ca.pem
  keepalive_s: 20
store:
  kind: influxdb
  url: http://127.0.0.1:8086
  org: heping
  bucket: readings
  password_file: token
state_url: sqlite:///state.sqlite
shares: ["120101/gw-e001", "120102/+"]
group: {every_ms: 100, at_most: 50}
api: {host: 127.0.0.1, port: 0}
clock: {start: "2025-01-01T00:00:00+08:00", anchor: "2026-01-01T00:00:00+08:00", speed: 60}
rules:
- {id: hot, quantity: active_power_kw, fires_above: 500, resolves_below: 400}
- {id: cold, quantity: frequency_hz, fires_above: 51, resolves_below: 51, meters: [e001-main]}
keep_batches_days: 30
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str) -> Path:
    file = Path("collector.yaml")
    file.write_text(text, encoding="utf-8")
    return file


def mistakes(text: str) -> str:
    with pytest.raises(DocumentInvalid) as invalid:
        load_settings(write(text))
    return str(invalid.value)


def test_what_is_left_out_has_a_default() -> None:
    settings = load_settings(write(DUCKDB))

    assert settings.store == DuckDbSettings(kind="duckdb", path=Path("data/readings.duckdb"))
    assert (settings.group.every_ms, settings.group.at_most) == (200, 20)
    assert (settings.api.host, settings.api.port) == ("127.0.0.1", 8090)
    assert (settings.rules, settings.shares, settings.clock) == ((), None, None)
    assert (settings.keep_batches_days, settings.keep_quarters_days) == (90, None)
    jobs = settings.jobs
    assert jobs.settlement.schedule() == Every(width_ms=900_000, delay_ms=60_000)
    assert jobs.verification.schedule() == Every(width_ms=86_400_000, delay_ms=20 * 60_000)
    assert jobs.housekeeping.schedule() == Every(width_ms=86_400_000, delay_ms=210 * 60_000)
    assert (jobs.settlement.enabled, jobs.catch_up_days, jobs.keep_runs_days) == (True, 31, 90)


def test_a_full_file_is_read_as_it_is_meant() -> None:
    settings = load_settings(write(INFLUX))

    assert isinstance(settings.store, InfluxSettings)
    assert (settings.store.bucket, settings.store.gzip) == ("readings", False)
    assert settings.broker.keepalive_s == 20
    assert settings.shares == ("120101/gw-e001", "120102/+")
    assert [rule.meters for rule in settings.rules] == [None, ("e001-main",)]
    assert settings.clock is not None
    assert settings.clock.start.astimezone(UTC) == datetime(2024, 12, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "into", "words"),
    [
        ("folder: data\n", "", "collector.yaml:1: folder: required, but missing"),
        (
            "folder: data",
            "folders: data",
            (
                "collector.yaml:1: folder: required, but missing\n"
                "collector.yaml:2: folders: unknown key; did you mean 'folder'?"
            ),
        ),
        (
            "kind: duckdb",
            "kind: oracle",
            (
                "collector.yaml:4: store: 'kind': one of 'duckdb', 'influxdb' is needed,"
                " a mapping came"
            ),
        ),
        (
            "kind: duckdb, path: data/readings.duckdb",
            "kind: influxdb, url: 'influx:8086', org: o, bucket: b",
            (
                "collector.yaml:4: store.url: http://HOST[:PORT] or https://… is needed,"
                " 'influx:8086' came"
            ),
        ),
        (
            "mqtt://127.0.0.1:1883",
            "http://127.0.0.1:1883",
            (
                "collector.yaml:3: broker.url: broker 'http://127.0.0.1:1883':"
                " mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"
            ),
        ),
        (
            "mqtt://127.0.0.1:1883",
            "mqtt://127.0.0.1:188383",
            (
                "collector.yaml:3: broker.url: broker 'mqtt://127.0.0.1:188383':"
                " mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"
            ),
        ),
        (
            '1883"}',
            '1883", password: hush}',
            "collector.yaml:3: broker.password: unknown key; did you mean 'password_env'?",
        ),
        (
            '1883"}',
            '1883", password_env: A, password_file: b}',
            "collector.yaml:3: broker: give password_file or password_env, not both",
        ),
        (
            '1883"}',
            '1883", keepalive_s: 1}',
            (
                "collector.yaml:3: broker.keepalive_s: a number of at least 5 is needed,"
                " the number 1 came"
            ),
        ),
    ],
)
def test_a_mistake_is_answered_in_exactly_these_words(changed: str, into: str, words: str) -> None:
    assert changed in DUCKDB

    assert mistakes(DUCKDB.replace(changed, into)) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "group: {every_ms: 1001}",
            "group.every_ms: a number of at most 1000 is needed, the number 1001 came",
        ),
        (
            "group: {at_most: 0}",
            "group.at_most: a number of at least 1 is needed, the number 0 came",
        ),
        ("group: {at_most: 2.5}", "group.at_most: a whole number is needed, the number 2.5 came"),
        (
            "api: {port: 65536}",
            "api.port: a number of at most 65535 is needed, the number 65536 came",
        ),
        (
            'api: {port: "8090"}',
            "api.port: a whole number is needed, '8090' came; write it without quotes",
        ),
        (
            "keep_batches_days: 0",
            "keep_batches_days: a number of at least 1 is needed, the number 0 came",
        ),
        (
            "keep_quarters_days: 30",
            "keep_quarters_days: a number of at least 62 is needed, the number 30 came",
        ),
        (
            'shares: ["120101"]',
            (
                'shares[0]: a share (a district and "+" or one gateway, like "120101/gw-e001")'
                " is needed, '120101' came"
            ),
        ),
        (
            'shares: ["120101/#"]',
            (
                'shares[0]: a share (a district and "+" or one gateway, like "120101/gw-e001")'
                " is needed, '120101/#' came"
            ),
        ),
        ("shares: []", "shares: entries: at least 1 needed, 0 came"),
        (
            "rules: [{id: hot, quantity: activ_power_kw, fires_above: 5, resolves_below: 4}]",
            "rules[0].quantity: unknown quantity; did you mean 'active_power_kw'?",
        ),
        (
            "rules: [{id: hot, quantity: frequency_hz, fires_above: 50, resolves_below: 51}]",
            "rules[0].resolves_below: at most fires_above (50) is needed, 51 came",
        ),
        (
            "rules: [{id: hot, quantity: frequency_hz, fires_above: .nan, resolves_below: 51}]",
            "rules[0].fires_above: a number is needed, '.nan' came",
        ),
        (
            "rules: [{id: Hot/1, quantity: frequency_hz, fires_above: 51, resolves_below: 51}]",
            (
                "rules[0].id: an id of small letters, digits and '-' (at most 63, not '-' first)"
                " is needed, 'Hot/1' came"
            ),
        ),
        (
            (
                "rules: [{id: hot, quantity: frequency_hz, fires_above: 51, resolves_below: 51},"
                " {id: hot, quantity: demand_kw, fires_above: 9, resolves_below: 9}]"
            ),
            "rules[1].id: 'hot' is a rule already (first in line 5)",
        ),
        (
            'clock: {start: today, anchor: "2026-01-01T00:00:00+08:00"}',
            "clock.start: ",
        ),
    ],
)
def test_a_mistake_in_what_may_be_left_out_is_answered_the_same_way(line: str, words: str) -> None:
    said = mistakes(DUCKDB + line + "\n")

    assert said.startswith(f"collector.yaml:5: {words}")
    assert "\n" not in said


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file() -> None:
    said = mistakes(DUCKDB + "group: {at_most: 0}\napi: {port: -1}\nstate-url: x\n")

    assert said.splitlines() == [
        "collector.yaml:5: group.at_most: a number of at least 1 is needed, the number 0 came",
        "collector.yaml:6: api.port: a number of at least 0 is needed, the number -1 came",
        "collector.yaml:7: state-url: unknown key; did you mean 'state_url'?",
    ]


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DocumentInvalid, match=r"^nowhere\.yaml: "):
        load_settings(Path("nowhere.yaml"))


# -- jobs --------------------------------------------------------------------------------------


def test_jobs_are_timed_and_turned_off() -> None:
    text = DUCKDB + (
        "jobs: {settlement: {every_min: 60, delay_s: 0, enabled: false}, "
        "verification: {at: '23:59'}, housekeeping: {at: 13:30}}\n"
    )

    jobs = load_settings(write(text)).jobs

    assert jobs.settlement.schedule() == Every(width_ms=3_600_000)
    assert not jobs.settlement.enabled
    assert jobs.verification.schedule().delay_ms == (24 * 60 - 1) * 60_000
    assert jobs.housekeeping.schedule().delay_ms == 810 * 60_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("verification: {at: '24:00'}", 'a time like "00:20"'),
        ("verification: {at: '3:30'}", 'a time like "00:20"'),
        ("settlement: {every_min: 7}", "every_min"),
        ("keep_runs_days: 0", "keep_runs_days"),
        ("settlement: {every_mins: 15}", "every_min"),
    ],
)
def test_a_wrong_time_of_a_job_is_named(line: str, message: str) -> None:
    assert message in mistakes(f"{DUCKDB}jobs: {{{line}}}\n")
