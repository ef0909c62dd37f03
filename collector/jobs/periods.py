"""Periods: a schedule, what was done last, the time -> what is due, in order.

A period is named by its end, an edge of Shanghai's clock; its work is due a while after that.
"""

from msgspec import Struct

from collector.settle.cells import SHANGHAI_MS, month_start_ms, next_month_ms


class Every(Struct, frozen=True, kw_only=True):
    """Periods of one width, cut from Shanghai's midnight on.

    Attributes:
        width_ms: a day, or what divides one.
        delay_ms: how long after its end a period is due.
    """

    width_ms: int
    delay_ms: int = 0


class Monthly(Struct, frozen=True, kw_only=True):
    """Months in Shanghai; `delay_ms`: how long after its end a month is due."""

    delay_ms: int = 0


Schedule = Every | Monthly


class Due(Struct, frozen=True, kw_only=True):
    """What is due now.

    Attributes:
        periods: their ends, the oldest first; may be empty.
        left_out: how many older ones are too many to be caught up.
    """

    periods: tuple[int, ...] = ()
    left_out: int = 0


def latest_end(schedule: Schedule, now_ms: int) -> int:
    """The end of the latest period that is due by now, done or not."""
    then_ms = now_ms - schedule.delay_ms
    if isinstance(schedule, Monthly):
        return month_start_ms(then_ms)
    return then_ms - (then_ms + SHANGHAI_MS) % schedule.width_ms


def next_end(schedule: Schedule, after_ms: int) -> int:
    """The first end of a period that is later than `after_ms`."""
    if isinstance(schedule, Monthly):
        return next_month_ms(after_ms)
    return after_ms - (after_ms + SHANGHAI_MS) % schedule.width_ms + schedule.width_ms


def due(schedule: Schedule, done_ms: int | None, now_ms: int, most: int) -> Due:
    """What is due and not done.

    Args:
        done_ms: the latest period that was done; None for none: then only the latest is due, for
            nobody waits for what was before the beginning.
        most: of more missed periods only the newest so many, at least 1.
    """
    last_ms = latest_end(schedule, now_ms)
    if done_ms is None:
        return Due(periods=(last_ms,))
    periods: list[int] = []
    end_ms = next_end(schedule, done_ms)
    while end_ms <= last_ms:
        periods.append(end_ms)
        end_ms = next_end(schedule, end_ms)
    return Due(periods=tuple(periods[-most:]), left_out=max(0, len(periods) - most))


def next_due_ms(schedule: Schedule, done_ms: int | None, now_ms: int) -> int:
    """When the next period is, or was, due."""
    last_ms = latest_end(schedule, now_ms)
    if done_ms is not None and done_ms >= last_ms:
        last_ms = next_end(schedule, last_ms)
    return last_ms + schedule.delay_ms
