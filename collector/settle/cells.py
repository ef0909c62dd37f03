"""Cells: the grid that time is cut into, and what one series of intervals says, column by column.

Grid cell = `at_ms // 900000`, half-open, labelled by its start. Days and months are those of
Asia/Shanghai, cut at 16:00 UTC; there is no daylight saving.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from collector.settle.series import Floats, Ints, Mask

QUARTER_MS = 900_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
SHANGHAI_MS = 8 * HOUR_MS  # ahead of UTC


class Width(StrEnum):
    """How long an interval is."""

    QUARTER = "15m"
    HOUR = "1h"
    DAY = "1d"
    MONTH = "1mo"


class Cells(Struct, frozen=True, kw_only=True):
    """n intervals of one width and one counter, in order of time, each at most once.

    Attributes:
        start_ms: epoch ms.
        value: consumption in millionths of the unit; 0 where not `known`.
        known: False where nothing at all is known: such an interval has no value. It is never 0.
        measured, estimated, edited, missing: shares of the interval's time, together 1.
            *Estimated*: laid out by a rule between two readings across the interval's edge.
            *Edited*: between readings that a person entered, or corrected by one.
            *Missing*: nothing is known; a value is then that of the rest of the interval.
        rules: sets of rules (`collector.settle.rule`).
    """

    start_ms: Ints
    value: Ints
    known: Mask
    measured: Floats
    estimated: Floats
    edited: Floats
    missing: Floats
    rules: Ints


def day_start_ms(at_ms: int) -> int:
    """The start of the day in Shanghai that `at_ms` lies in."""
    return at_ms - (at_ms + SHANGHAI_MS) % DAY_MS


def month_start_ms(at_ms: int) -> int:
    """The start of the month in Shanghai that `at_ms` lies in."""
    local = datetime.fromtimestamp(at_ms / 1000, tz=UTC) + timedelta(milliseconds=SHANGHAI_MS)
    first = datetime(local.year, local.month, 1, tzinfo=UTC)
    return int(first.timestamp()) * 1000 - SHANGHAI_MS


def next_month_ms(at_ms: int) -> int:
    """The start of the month after the one that `at_ms` lies in."""
    return month_start_ms(month_start_ms(at_ms) + 32 * DAY_MS)
