"""Period: what a person writes as a time -> instants and spans, epoch ms; and back.

Days and months are Shanghai's. A span is half-open: `2026-10-01` to `2026-11-01` is October.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from msgspec import Struct

from collector.fleet.codes import SHANGHAI
from collector.settle.cells import DAY_MS, next_month_ms
from collector.store import LAST_AT_MS
from metering.errors import PermanentError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class TimeInvalid(PermanentError):
    """A text that is no time, or no span of time."""


class OffsetMissing(TimeInvalid):
    """A time of day without saying where."""


class Span(Struct, frozen=True, kw_only=True):
    """`[start_ms, end_ms)`."""

    start_ms: int
    end_ms: int


@lru_cache(maxsize=8192)
def instant_ms(text: str, *, assume_shanghai: bool) -> int:
    """An instant in ISO 8601; `2026-10` and `2026-10-01` are the start of that month or day.

    Args:
        text: with an offset (`2026-10-01T08:00:00+08:00`), to the millisecond.
        assume_shanghai: a time of day without an offset is Beijing time; otherwise it is refused.

    Raises:
        TimeInvalid: it is none, or (`OffsetMissing`) does not say its offset.
    """
    try:
        instant = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
        if instant.tzinfo is None:
            if not assume_shanghai:
                raise OffsetMissing(
                    f"时间 '{text}' 没有时区：请写成 {text}+08:00 (no offset; --assume-shanghai)"
                )
            instant = instant.replace(tzinfo=SHANGHAI)
        at_ms = (instant - _EPOCH) // _MS
    except (ValueError, OverflowError):
        raise TimeInvalid(
            f"时间 '{text}' 无法识别：请用 ISO 8601，如 2026-10-01T08:00:00+08:00"
        ) from None
    if not 0 <= at_ms <= LAST_AT_MS:
        raise TimeInvalid(f"时间 '{text}' 不在 1970 至 2109 年之间")
    return at_ms


def _edge_ms(text: str, *, assume_shanghai: bool) -> int:
    """Days and months are Shanghai's and need no offset."""
    whole = _MONTH.fullmatch(text) or _DAY.fullmatch(text)
    return instant_ms(text, assume_shanghai=assume_shanghai or whole is not None)


def span_of(start: str, end: str | None, *, assume_shanghai: bool) -> Span:
    """A span: from one instant to another, or a whole day or month if there is no end.

    Raises:
        TimeInvalid: not times, the end is not after the start, or there is none.
    """
    start_ms = _edge_ms(start, assume_shanghai=assume_shanghai)
    end_ms = _edge_ms(end, assume_shanghai=assume_shanghai) if end else _end_of(start, start_ms)
    if end_ms <= start_ms:
        raise TimeInvalid(f"结束 '{end}' 不晚于开始 '{start}'：结束时刻不计入，请核对两者")
    return Span(start_ms=start_ms, end_ms=end_ms)


def _end_of(text: str, start_ms: int) -> int:
    if _MONTH.fullmatch(text):
        return next_month_ms(start_ms)
    if _DAY.fullmatch(text):
        return start_ms + DAY_MS
    raise TimeInvalid(f"从 '{text}' 到什么时候？请给出结束时刻，或只写日期、月份 (如 2026-10)")


def iso(at_ms: int) -> str:
    """An instant as files say it: ISO 8601, +08:00, milliseconds only if there are any."""
    try:
        local = datetime.fromtimestamp(at_ms // 1000, tz=SHANGHAI)
    except (ValueError, OverflowError, OSError):  # no calendar has it
        return f"{at_ms} ms"
    milliseconds = f".{at_ms % 1000:03d}" if at_ms % 1000 else ""
    return f"{local:%Y-%m-%dT%H:%M:%S}{milliseconds}+08:00"


def shown(at_ms: int) -> str:
    """An instant as people read it, Beijing time; seconds only if there are any."""
    text = iso(at_ms).removesuffix("+08:00").replace("T", " ")
    return text.removesuffix(":00")


def shown_span(start_ms: int, end_ms: int | None) -> str:
    return f"{shown(start_ms)} 至 {shown(end_ms) if end_ms is not None else '另行通知'}"
