"""Wording: values, times and durations -> as people in Tianjin write them."""

from datetime import datetime
from math import floor, log10

from collector.fleet.codes import SHANGHAI

_DIGITS = 4  # significant ones
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_ENERGIES = {
    "01": "用电",
    "02": "用水",
    "03": "燃气",
    "04": "供热",
    "05": "供冷",
    "08": "液化石油气",
    "09": "人工煤气",
    "13": "可再生能源",
}
_UNITS = {"degC": "℃", "m3": "m³", "m3/h": "m³/h", "kWh/m2": "kWh/m²"}


def value_in(value: float, unit: str) -> str:
    """A value with its unit; shares of 1 as per cent: `84 %`, `1250 kW`, `0.35 m³/h`."""
    if unit == "1":
        return f"{plain(value * 100)} %"
    return f"{plain(value)} {_UNITS.get(unit, unit)}".strip()


def budget_in(subject: str) -> str:
    """A budget by its id: `e001/01/2026-06` -> `2026-06 用电预算`."""
    _, energy, period = subject.split("/")
    named = _ENERGIES.get(energy[:2], "用能")
    return f"{period} {named}预算" + (f"（{energy}）" if energy[2:] else "")


def plain(value: float) -> str:
    """Four significant digits without an exponent; zero has no sign."""
    if value == 0:
        return "0"
    places = max(0, min(6, _DIGITS - 1 - floor(log10(abs(value)))))
    text = f"{value:.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def at(ms: int, now_ms: int) -> str:
    """A moment in Shanghai; without the day where it is today, without the year where this."""
    then, now = (datetime.fromtimestamp(one / 1000, tz=SHANGHAI) for one in (ms, now_ms))
    if then.date() == now.date():
        return f"{then:%H:%M}"
    if then.year == now.year:
        return f"{then.month}月{then.day}日 {then:%H:%M}"
    return f"{then.year}年{then.month}月{then.day}日 {then:%H:%M}"


def day(ms: int) -> str:
    then = datetime.fromtimestamp(ms / 1000, tz=SHANGHAI)
    return f"{then.year}年{then.month}月{then.day}日"


def lasted(ms: int) -> str:
    """A duration in its two largest units: `3 天 4 小时`, `2 小时 10 分`, `45 秒`."""
    if ms < _MINUTE_MS:
        return f"{max(0, ms) // 1000} 秒"
    found: list[tuple[int, str]] = []
    rest = ms
    for size, name in ((_DAY_MS, "天"), (_HOUR_MS, "小时"), (_MINUTE_MS, "分")):
        count, rest = divmod(rest, size)
        if count or found:
            found.append((count, name))
    return " ".join(f"{count} {name}" for count, name in found[:2] if count)
