"""A gateway's own file: a good one, and each kind of mistake in its exact words."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from documents.finding import DocumentInvalid
from gateways.settings import load_settings

SMALL = """\
fleet: gw-e001.json
broker: {url: "mqtt://127.0.0.1:1883"}
spool: {folder: spool}
"""
FULL = """\
fleet: /etc/nenghao/gw-e001.json
broker:
  url: mqtts://broker.example
  username: gw-e001
  password_file: password
  ca_file: ca.pem
  certificate_file: gw-e001.pem
  key_file: gw-e001.key
  keepalive_s: 60
spool: {folder: /var/lib/nenghao/spool, keep_days: 400, size_limit_mb: 512}
compress: true
trust_rtc: true
clock: {start: "2025-01-01T00:00:00+08:00", anchor: "2026-01-01T00:00:00+08:00", speed: 60}
drain_s: 0
"""
BROKER = "gateway.yaml:2: broker"
SPOOL = "gateway.yaml:3: spool"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str) -> Path:
    file = Path("gateway.yaml")
    file.write_text(text, encoding="utf-8")
    return file


def mistakes(text: str) -> str:
    with pytest.raises(DocumentInvalid) as invalid:
        load_settings(write(text))
    return str(invalid.value)


def test_what_is_left_out_has_a_default() -> None:
    settings = load_settings(write(SMALL))

    assert settings.fleet == Path("gw-e001.json")
    assert (settings.spool.folder, settings.spool.keep_days) == (Path("spool"), 183)
    assert settings.spool.size_limit_mb == 2048
    assert (settings.compress, settings.trust_rtc, settings.clock) == (False, False, None)
    assert (settings.drain_s, settings.broker.keepalive_s) == (5.0, 30)


def test_a_full_file_is_read_as_it_is_meant() -> None:
    settings = load_settings(write(FULL))

    assert settings.broker.password_file == Path("password")
    assert settings.broker.certificate_file == "gw-e001.pem"
    assert (settings.spool.keep_days, settings.spool.size_limit_mb) == (400, 512)
    assert (settings.compress, settings.trust_rtc, settings.drain_s) == (True, True, 0.0)
    assert settings.clock is not None
    assert settings.clock.start.astimezone(UTC) == datetime(2024, 12, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "into", "words"),
    [
        ("fleet: gw-e001.json\n", "", "gateway.yaml:1: fleet: required, but missing"),
        ('{url: "mqtt://127.0.0.1:1883"}', "{}", f"{BROKER}.url: required, but missing"),
        ("{folder: spool}", "{}", f"{SPOOL}.folder: required, but missing"),
        (
            "folder: spool",
            "folder: spool, keep_day: 3",
            f"{SPOOL}.keep_day: unknown key; did you mean 'keep_days'?",
        ),
        (
            "folder: spool",
            "folder: spool, keep_days: -1",
            f"{SPOOL}.keep_days: a number of at least 0 is needed, the number -1 came",
        ),
        (
            "folder: spool",
            'folder: spool, keep_days: "90"',
            f"{SPOOL}.keep_days: a whole number is needed, '90' came; write it without quotes",
        ),
        (
            "folder: spool",
            "folder: spool, size_limit_mb: 0",
            f"{SPOOL}.size_limit_mb: a number of at least 1 is needed, the number 0 came",
        ),
        ("{folder: spool}", "spool", f"{SPOOL}: a mapping (key: value) is needed, 'spool' came"),
        (
            "mqtt://127.0.0.1:1883",
            "127.0.0.1:1883",
            f"{BROKER}.url: broker '127.0.0.1:1883': mqtt://HOST[:PORT] or mqtts://HOST[:PORT]",
        ),
        (
            '1883"}',
            '1883", password: hush}',
            f"{BROKER}.password: unknown key; did you mean 'password_env'?",
        ),
        (
            '1883"}',
            '1883", password_env: A, password_file: b}',
            f"{BROKER}: give password_file or password_env, not both",
        ),
        (
            '1883"}',
            '1883", keepalive_s: 601}',
            f"{BROKER}.keepalive_s: a number of at most 600 is needed, the number 601 came",
        ),
    ],
)
def test_a_mistake_is_answered_in_exactly_these_words(changed: str, into: str, words: str) -> None:
    assert changed in SMALL

    assert mistakes(SMALL.replace(changed, into)) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("compress: 1", "compress: true or false is needed, the number 1 came"),
        ("trust_rtc: maybe", "trust_rtc: true or false is needed, 'maybe' came"),
        ("drain_s: 61", "drain_s: a number of at most 60 is needed, the number 61 came"),
        ("drain_s: -1", "drain_s: a number of at least 0 is needed, the number -1 came"),
        ("drains_s: 1", "drains_s: unknown key; did you mean 'drain_s'?"),
        ('clock: {start: "2026-01-01T00:00:00+08:00"}', "clock.anchor: required, but missing"),
    ],
)
def test_a_mistake_in_what_may_be_left_out_is_answered_the_same_way(line: str, words: str) -> None:
    assert mistakes(SMALL + line + "\n") == f"gateway.yaml:4: {words}"


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file() -> None:
    said = mistakes(SMALL.replace("folder", "folders") + "drain_s: 99\n")

    assert said.splitlines() == [
        "gateway.yaml:3: spool.folder: required, but missing",
        "gateway.yaml:3: spool.folders: unknown key; did you mean 'folder'?",
        "gateway.yaml:4: drain_s: a number of at most 60 is needed, the number 99 came",
    ]


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DocumentInvalid, match=r"^nowhere\.yaml: "):
        load_settings(Path("nowhere.yaml"))
