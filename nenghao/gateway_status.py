"""`nenghao gateway status`: what the gateway on this box is doing, for the person before it.

Reads the document of `gateways.status` as plain JSON: a command of one version may ask a process
of another, so what is absent is left out, not missed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateways.adapters.status_socket import StatusAway, ask_status
from gateways.settings import SpoolSettings, load_settings
from metering.batch import ClockState
from metering.reading import Fault
from nenghao.say import FOUND, say, say_json, say_table

_BEIJING = timezone(timedelta(hours=8))
_MB = 1_000_000
_DAY_MS = 86_400_000
_NAMED = 5  # as many as fit on a line
_ULID_TIME = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FAULTS = {
    Fault.TIMEOUT: "无应答",
    Fault.DISCONNECTED: "总线断开",
    Fault.EXCEPTION: "拒绝应答（异常码）",
    Fault.SHORT: "应答不完整",
    Fault.FOREIGN: "应答属于别的问询",
    Fault.CORRUPT: "校验错误或干扰",
    Fault.LATE: "应答迟到，存疑",
    Fault.IDENTITY: "设备不符，已单独存放",
    Fault.NOT_FINITE: "数值无效（NaN）",
    Fault.SENTINEL: "仪表报告无数值",
}
_CLOCKS = {
    ClockState.SYNCED: "已同步（NTP）",
    ClockState.RTC: "硬件时钟",
    ClockState.COMMIT: "由采集端对时",
    ClockState.UNSYNCED: "未同步，读数暂存待对时",
}
Json = Annotated[bool, typer.Option("--json", help="one JSON document")]
Document = dict[str, Any]


def status(file: Path, *, json: Json = False) -> None:
    """What the gateway of the settings FILE is doing; exit 1 if anything is wrong."""
    settings = load_settings(file)
    answer = ask_status(file.parent / settings.spool.folder)
    document = _decoded(answer)
    wrong = list(found_wrong(document))
    if json:
        say_json({**document, "wrong": wrong})
    else:
        _show(document, wrong, settings.spool)
    if wrong:
        raise typer.Exit(FOUND)


def _decoded(answer: bytes) -> Document:
    try:
        return msgspec.json.decode(answer, type=Document)
    except msgspec.MsgspecError as error:
        raise StatusAway(f"the gateway's answer cannot be read: {error}") from error


def found_wrong(document: Document) -> Iterator[str]:
    """What somebody has to look at, in words; nothing if all is well."""
    if document.get("link") != "up":
        yield "与消息服务器的链路断开"
    if document.get("clock") == ClockState.UNSYNCED:
        yield "时钟未同步"
    if document.get("refused"):
        yield f"新配置被拒绝：{document['refused']}"
    yield from _counted(document)
    for bus in document.get("buses", ()):
        if is_crowded(bus):
            yield f"总线 {bus.get('url', '')} 周期不够用"
    for key, words in (("fault", "故障"), ("doubt", "存疑")):
        names = [name for name, meter in document.get("meters", {}).items() if meter.get(key)]
        if names:
            more = " 等" if len(names) > _NAMED else ""
            yield f"{len(names)} 台仪表{words}：{'、'.join(names[:_NAMED])}{more}"


def _counted(document: Document) -> Iterator[str]:
    for value, words in (
        (document.get("forgotten"), "条读数因磁盘和内存已满而丢弃"),
        (lost(document), "批因空间不足或文件损坏而丢失"),
        (document.get("spool", {}).get("corrupt"), "个存储文件曾经损坏"),
        (len(document.get("stuck", ())), "批无法送达，已搁置"),
        (document.get("forks"), "次发现另一台网关使用同一编号"),
    ):
        if value:
            yield f"{value} {words}"


def lost(document: Document) -> int:
    """Batches that the spool threw away although no commit covered them."""
    return sum(
        last - first + 1
        for epoch in document.get("epochs", ())
        for first, last in epoch.get("dropped", ())
    )


def is_crowded(bus: Document) -> bool:
    return bool(bus.get("crowded")) or bus.get("needs_s", 0.0) > bus.get("has_s", float("inf"))


def _show(document: Document, wrong: list[str], spool: SpoolSettings) -> None:
    title = f"{document.get('gateway', '')}  {document.get('version', '')}"
    say_table(("项目", "值"), _overall(document, spool), title, texts=(1,))
    if document.get("buses"):
        columns = ("总线", "周期(s)", "需要(s)", "可用(s)", "错过(次)", "状态")
        say_table(columns, map(_bus, document["buses"]), right=(1, 2, 3, 4))
    of_meters = ("仪表", "状态", "自", "身份", "缺口与备注")
    meters = (_meter(*each) for each in document.get("meters", {}).items())
    say_table(of_meters, meters, texts=(1, 3, 4))
    say("一切正常" if not wrong else "\n".join(f"✗ {each}" for each in wrong))


def _overall(document: Document, settings: SpoolSettings) -> Iterator[tuple[str, str]]:
    spool = document.get("spool", {})
    is_up = document.get("link") == "up"
    clock = document.get("clock", "")
    yield "链路", "正常" if is_up else "断开"
    yield (
        "运行时间",
        f"{_lasting(document.get('uptime_s', 0.0))}（进程 {document.get('pid', '?')}）",
    )
    yield "时钟", str(_CLOCKS.get(clock, clock))
    yield "积压(批)", f"{spool.get('backlog', 0)}"
    yield "待对时(条读数)", f"{spool.get('unsealed', 0)}"
    yield "存储(MB)", f"{spool.get('size', 0) / _MB:.1f} / {settings.size_limit_mb * 1.048576:.0f}"
    if (days := _days(document)) is not None:
        yield "存储跨度(天)", f"{min(days, settings.keep_days):.1f}"
    yield "丢弃(条读数)", f"{document.get('forgotten', 0)}"
    yield "丢失(批)", f"{lost(document)}"
    yield "已读 / 已发", f"{document.get('polled', 0)} 条 / {document.get('published', 0)} 批"
    yield "配置摘要", f"{document.get('fleet', '')[:12]}"


def _days(document: Document) -> float | None:
    """Since the oldest epoch that anything is held of: its name begins with when it was made."""
    epochs = [epoch["epoch"] for epoch in document.get("epochs", ()) if epoch.get("epoch")]
    if not epochs or "at" not in document:
        return None
    made_ms = 0
    for letter in min(epochs)[:10]:
        place = _ULID_TIME.find(letter)
        if place < 0:
            return None
        made_ms = made_ms * 32 + place
    return max(0.0, (int(document["at"]) - made_ms) / _DAY_MS)


def _bus(bus: Document) -> tuple[str, ...]:
    needs = bus.get("needs_s")
    return (
        bus.get("url", ""),
        f"{bus.get('cycle_s', 0):g}",
        "" if needs is None else f"{needs:.1f}",
        f"{bus.get('has_s', bus.get('cycle_s', 0)):g}",
        f"{bus.get('missed', 0)}",
        "超时" if is_crowded(bus) else "正常",
    )


def _meter(name: str, meter: Document) -> tuple[str, ...]:
    fault = meter.get("fault")
    since = (
        f"{datetime.fromtimestamp(meter.get('since', 0) / 1000, UTC).astimezone(_BEIJING):%F %T}"
    )
    notes = [
        f"期望 {meter['expected']}" if meter.get("expected") else "",
        meter.get("doubt", ""),
        f"拒读 {'、'.join(meter['holes'])}" if meter.get("holes") else "",
        f"迟到 {meter['suspect']} 次" if meter.get("suspect") else "",
        "降低频率" if meter.get("slow") else "",
    ]
    identity = meter.get("identity") or {}
    shown = (
        " ".join(f"{value}" for value in identity.values()) if isinstance(identity, dict) else ""
    )
    state = "正常" if fault is None else f"故障：{_FAULTS.get(fault, fault)}"
    return name, state, since, shown, "；".join(filter(None, notes))


def _lasting(seconds: float) -> str:
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    if hours >= 24:  # noqa: PLR2004 - hours of a day
        return f"{hours // 24} 天 {hours % 24} 小时"
    return f"{hours} 小时 {minutes % 60} 分" if hours else f"{minutes} 分 {int(seconds) % 60} 秒"
