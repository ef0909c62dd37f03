"""`nenghao gateway status` before a real socket: what the person before the box reads."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from gateways.adapters.status_socket import StatusAway, StatusSocket
from gateways.status import status_document
from metering.batch import VERSION
from metering.wire import EpochHeld, MeterHealth, Range, SpoolState, State
from nenghao.gateway_status import status

WELL = State(
    v=VERSION,
    gateway="gw-e001",
    version="0.1.0",
    at_ms=1_780_086_400_000,
    fleet="abcdef0123456789",
    clock="synced",
    epochs=(EpochHeld(epoch="01KST5C0000000000000000000", oldest=1, next=9),),
    meters={"e001-main": MeterHealth(since_ms=1_780_000_000_000)},
    spool=SpoolState(size=1_500_000, backlog=3, unsealed=0),
    polled=80,
    published=8,
)
NEWER = {
    "buses": [
        {"url": "tcp://h:502", "cycle_s": 60, "needs_s": 12.34, "has_s": 60.0, "missed": 0},
        {
            "url": "serial:///dev/ttyUSB0",
            "cycle_s": 10,
            "needs_s": 14.0,
            "has_s": 10.0,
            "missed": 7,
        },
    ],
    "refused": "line 3: unknown key",
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr("nenghao.say._out", Console(width=160))  # as wide as the tables
    (tmp_path / "spool").mkdir()
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "fleet: gw.json\nbroker: {url: 'mqtt://127.0.0.1:1'}\nspool: {folder: spool}\n",
        encoding="utf-8",
    )
    return file


@contextmanager
def answering(settings: Path, describe: Callable[[], bytes]) -> Iterator[None]:
    """A gateway's loop, in a thread."""
    loop, begun, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        answers = StatusSocket(settings.parent / "spool", describe)
        await answers.open()
        begun.set()
        await over.wait()
        await answers.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert begun.wait(5)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(5)
        loop.close()


def run(settings: Path, *options: str):
    app = typer.Typer()
    app.command()(status)
    return CliRunner().invoke(app, [str(settings), *options])


def document(state: State, **more) -> Callable[[], bytes]:
    told = json.loads(status_document(state, is_up=True, uptime_s=93_784.2, pid=77)) | more
    return lambda: json.dumps(told).encode()


def said(settings: Path, capsys, *options: str):
    """Exit code and standard output; the command speaks to the real one."""
    result = run(settings, *options)
    return result.exit_code, result.stdout + capsys.readouterr().out


def test_a_gateway_that_is_well_says_so(settings: Path, capsys) -> None:
    with answering(settings, document(WELL)):
        code, out = said(settings, capsys)

    assert code == 0
    for words in (
        *("gw-e001", "0.1.0", "链路", "正常", "1 天 2 小时（进程 77）", "已同步（NTP）"),
        *("积压(批)", "3", "1.5 / 2147", "e001-main", "2026-05-29 04:26:40", "一切正常"),
    ):
        assert words in out, words


def test_everything_that_is_wrong_is_named_and_the_exit_code_says_so(
    settings: Path, capsys
) -> None:
    troubled = State(
        **{field: getattr(WELL, field) for field in WELL.__struct_fields__}
        | {
            "clock": "unsynced",
            "epochs": (
                EpochHeld(
                    epoch="01KST5C0000000000000000000", oldest=9, next=9, dropped=(Range(2, 8),)
                ),
            ),
            "meters": {
                "e001-main": MeterHealth(since_ms=1_780_000_000_000, fault="timeout"),
                "e001-new": MeterHealth(since_ms=1_780_000_000_000, fault="of_a_later_version"),
            },
            "spool": SpoolState(size=1, backlog=0, unsealed=40, corrupt=1),
            "stuck": (("01KST5C0000000000000000000", 3),),
            "forks": 1,
            "forgotten": 5,
        }
    )
    with answering(settings, document(troubled, link="down", **NEWER)):
        code, out = said(settings, capsys)

    assert code == 1
    for words in (
        *("链路断开", "时钟未同步", "新配置被拒绝：line 3: unknown key"),
        *("5 条读数因磁盘和内存已满而丢弃", "7 批因空间不足或文件损坏而丢失"),
        *("1 个存储文件曾经损坏", "1 批无法送达", "1 次发现另一台网关使用同一编号"),
        *("总线 serial:///dev/ttyUSB0 周期不够用", "2 台仪表故障：e001-main、e001-new"),
        *("故障：无应答", "故障：of_a_later_version", "12.3", "14.0", "超时"),
    ):
        assert words in out, words
    assert "总线 tcp://h:502" not in out


def test_what_is_known_of_a_meter_is_shown(settings: Path, capsys) -> None:
    meter = {
        "since": 1_780_000_000_000,
        "fault": "identity",
        "identity": {"serial": "S-1234"},
        "expected": "S-9999",
        "holes": ["holding 30-31"],
        "suspect": 4,
        "slow": True,
    }
    with answering(settings, document(WELL, meters={"e001-main": meter})):
        code, out = said(settings, capsys)

    assert code == 1
    for words in (
        "设备不符",
        "S-1234",
        "期望 S-9999",
        "拒读 holding 30-31",
        "迟到 4 次",
        "降低频率",
    ):
        assert words in out, words


def test_as_json_it_is_the_document_and_what_is_wrong(settings: Path, capsys) -> None:
    with answering(settings, document(WELL, link="down")):
        code, out = said(settings, capsys, "--json")

    told = json.loads(out)
    assert code == 1
    assert (told["link"], told["pid"], told["uptime_s"]) == ("down", 77, 93_784.2)
    assert told["spool"] == {
        "size": 1_500_000,
        "backlog": 3,
        "unsealed": 0,
        "corrupt": 0,
        "limit": 0,
    }
    assert told["wrong"] == ["与消息服务器的链路断开"]


def test_where_no_gateway_runs_it_says_where_it_looked(settings: Path) -> None:
    result = run(settings)

    assert isinstance(result.exception, StatusAway)
    assert str(result.exception) == (
        f"no gateway runs with the spool folder {settings.parent / 'spool'}"
    )


def test_an_answer_that_makes_no_sense_is_told(settings: Path) -> None:
    with answering(settings, lambda: b"[1,"):
        result = run(settings)

    assert isinstance(result.exception, StatusAway)
