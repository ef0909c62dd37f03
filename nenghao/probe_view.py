"""Probe view: what was asked on the command line -> a task; what was found -> table and values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateways.bus_url import parse_bus_url
from gateways.commission.fit import Fit, ambiguity, touchstone
from gateways.commission.probe import Findings, Found, Task
from gateways.commission.sweep import PING
from gateways.commission.variants import variants
from gateways.reading.plan import Block
from metering.errors import PermanentError
from nenghao.say import say, say_table

_HIGHEST_UNIT = 255
_REASONS = 4  # for and against the best fit that a person is shown; of the others one each
_FITS = 3
_NEAR = 0.6  # of the best score; what is worse is for scripts only
_NAMED_PINGS = 3


class AskedWrongly(PermanentError):
    """The command line cannot be understood."""


def task_of(
    url: str,
    texts: Mapping[str, str],
    contents: Mapping[str, Mapping[str, Any]],
    *,
    named: bool,
    waits: tuple[float, int | None],
) -> Task:
    """The task that the command line asks for.

    Args:
        url: the bus.
        texts: `units`, `baudrates`, `parities` as they were typed.
        contents: the models to try.
        named: they were chosen by hand.
        waits: how long to watch, in s; the sweep's timeout, in ms.

    Raises:
        AskedWrongly: a text is none.
        BusUrlInvalid: the URL is none.
        ContentInvalid: a model is wrong.
    """
    parse_bus_url(url)
    candidates = tuple(variants(model_id, content) for model_id, content in contents.items())
    # What a model surely has is asked too: some meters are silent about what they do not have.
    own = [_ping(each[0].model) for each in candidates[:_NAMED_PINGS]] if named else []
    return Task(
        url=url,
        units=units_of(texts["units"]),
        baudrates=tuple(_number(each, "--baudrates") for each in texts["baudrates"].split(",")),
        parities=tuple(_parity(each) for each in texts["parities"].split(",")),
        candidates=candidates,
        named=named,
        pings=(PING, *dict.fromkeys(own)),
        watch_s=max(0.0, waits[0]),
        timeout_ms=waits[1],
    )


def _ping(model: Any) -> Block:
    register = touchstone(model)
    first = min(field.address for field in register.fields)
    return Block(register.table, first, max(field.end for field in register.fields) - first)


def units_of(text: str) -> tuple[int, ...]:
    """`1-3,7` -> 1, 2, 3, 7; each once, in the order given.

    Raises:
        AskedWrongly: it is no list of units.
    """
    units: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low, high = _number(first, "--units"), _number(last if dash else first, "--units")
        if not 0 <= low <= high <= _HIGHEST_UNIT:
            raise AskedWrongly(f"--units {part}: 0 to {_HIGHEST_UNIT} are possible, as in 1-247")
        units.update(dict.fromkeys(range(low, high + 1)))
    return tuple(units)


def _number(text: str, option: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit() and int(text)):
        raise AskedWrongly(f"{option}: whole numbers above 0 are needed, {text!r} came")
    return int(text)


def _parity(text: str) -> str:
    if text.strip() not in ("N", "E", "O"):
        raise AskedWrongly(f"--parities: N, E or O, {text!r} came")
    return text.strip()


def findings_values(url: str, findings: Findings) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "url": url,
        "settled": findings.is_settled,
        "any_unit": findings.any_unit,
        "found": [
            {
                "unit": found.heard.unit,
                "url": found.heard.url,
                "how": found.heard.how,
                "ambiguity": ambiguity(found.fits),
                "fits": [_fit_values(fit) for fit in found.fits],
            }
            for found in findings.found
        ],
        "noise": [{"unit": each.unit, "url": each.url} for each in findings.noise],
    }


def _fit_values(fit: Fit) -> dict[str, Any]:
    return {
        "model": fit.variant.model.id,
        "name": fit.variant.model.name,
        "score": round(fit.score, 3),
        "plausible": fit.plausibility.is_plausible,
        "as_filed": fit.is_as_filed,
        "variant": fit.variant.english,
        "options": fit.variant.options,
        "answered": round(fit.share, 3),
        "contrast": fit.contrast,
        "reasons": [{"good": r.good, "text": r.text} for r in fit.plausibility.reasons],
        "identity": {name.value: said for name, said in fit.said.items()},
        "values": fit.values,
        "warnings": list(fit.variant.model.warnings),
    }


def say_findings(findings: Findings) -> None:
    """The same for a person."""
    if findings.any_unit:
        say("! 此设备对任何单元号都应答：只看一个，单元号写 1 即可（除非说明书另有规定）")
    for noise in findings.noise:
        say(f"! 单元 {noise.unit}: 收到字节但不成帧 ({noise.url})：波特率或校验位不符，或地址重复")
    if not findings.found:
        say("没有从站应答：先查 A/B 线是否接反、表是否通电，再查波特率、校验位和地址范围")
        say("仍没有：有的设备反应慢，加 --timeout-ms 700 再找一遍")
        return
    columns = ("单元", "应答", "型号 model", "评分", "与型号文件的差别", "依据")
    say_table(columns, (row for found in findings.found for row in _rows(found)), texts=(4, 5))
    for found in findings.found:
        _say_advice(found)


def _rows(found: Found) -> Iterable[tuple[str, ...]]:
    if not found.fits:
        yield str(found.heard.unit), _how(found.heard.how), "无合适型号", "", "", ""
    for number, fit in enumerate(_shown(found.fits)):
        yield (
            "" if number else str(found.heard.unit),
            "" if number else _how(found.heard.how),
            fit.variant.model.id,
            f"{fit.score:.2f}",
            fit.variant.chinese or "无",
            "\n".join(_reasons(fit, _REASONS if number == 0 else 1)),
        )


def _shown(fits: Sequence[Fit]) -> Sequence[Fit]:
    """The best, and others only if they come near it."""
    return [fit for fit in fits[:_FITS] if fit is fits[0] or fit.score >= fits[0].score * _NEAR]


def _how(how: str) -> str:
    return how.replace("answer", "正常").replace("exception", "异常码").replace("short", "不完整")


def _reasons(fit: Fit, most: int) -> Iterable[str]:
    if fit.share < 1:
        yield f"✗ 只答了 {fit.share:.0%} 的量"
    for reason in fit.plausibility.doubts[:most]:
        yield f"✗ {reason.text}"
    supports = [reason for reason in fit.plausibility.reasons if reason.good]
    # The weightiest first; of equals, in the order in which they were found.
    for reason in sorted(supports, key=lambda each: -each.weight)[:most]:
        yield f"✓ {reason.text}"


def _say_advice(found: Found) -> None:
    unit = found.heard.unit
    if not found.fits:
        say(f"单元 {unit}: 没有型号读得通；型号库里没有它，或要写一个新型号文件")
        return
    best = found.fits[0]
    if best.contrast:
        say(f"! 单元 {unit}: 按 {best.variant.model.id} 型号文件读，{best.contrast}")
    if not best.plausibility.is_plausible:
        say(f"✗ 单元 {unit}: 最合适的 {best.variant.model.id} 也有疑点，请先核对型号和接线")
        return
    if not best.is_as_filed:
        say(f"✗ 单元 {unit}: {best.variant.chinese} 不是选项：核对型号，或另写一个型号文件")
        return
    if not best.is_sure:
        say(f"✗ 单元 {unit}: 证据太少，只像是 {best.variant.model.id}：请看铭牌核对型号")
    say(f"单元 {unit}: 总线 url: {found.heard.url}")
    options = ", ".join(f"{name}: {choice}" for name, choice in best.variant.options.items())
    entry = f"model: {best.variant.model.id}, unit: {unit}"
    say(f"  写入配置 {{{entry}{f', options: {{{options}}}' if options else ''}}}")
    if question := ambiguity(found.fits):
        say(f"  ! {question}")
    for warning in best.variant.model.warnings:
        say(f"  ! {warning}")
