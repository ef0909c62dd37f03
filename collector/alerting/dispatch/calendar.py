"""Calendar: hours of rest and working days, in Shanghai -> the instants that matter."""

from collections.abc import Callable

from collector.alerting.notify.settings import DigestTime, QuietHours
from collector.settle.cells import DAY_MS, SHANGHAI_MS, day_start_ms
from collector.settle.day_class import DayClass

Classify = Callable[[int], DayClass]

_MINUTE_MS = 60_000
_LONGEST = 366  # days without a workday that anybody waits for one


def quiet_until(quiet: QuietHours | None, now_ms: int) -> int | None:
    """When the quiet hours end that `now_ms` lies in; None where it lies in none."""
    if quiet is None:
        return None
    minute = (now_ms - day_start_ms(now_ms)) // _MINUTE_MS
    from_min, to_min = quiet.from_min, quiet.to_min
    if from_min < to_min:
        within, tomorrow = from_min <= minute < to_min, False
    else:
        within, tomorrow = minute >= from_min or minute < to_min, minute >= from_min
    if not within:
        return None
    return day_start_ms(now_ms) + to_min * _MINUTE_MS + (DAY_MS if tomorrow else 0)


def deadline_ms(since_ms: int, working_days: int, classify: Classify) -> int:
    """When so many working days have passed: 24 hours of each, none of any other day."""
    left_ms = working_days * DAY_MS
    at_ms = since_ms
    for _ in range(working_days + _LONGEST):
        end_ms = day_start_ms(at_ms) + DAY_MS
        if classify(at_ms) is DayClass.WORKDAY:
            if end_ms - at_ms >= left_ms:
                return at_ms + left_ms
            left_ms -= end_ms - at_ms
        at_ms = end_ms
    return at_ms


def last_due_ms(time: DigestTime, now_ms: int, classify: Classify) -> int:
    """The latest instant, not after now, at which a digest was due."""
    day_ms = day_start_ms(now_ms)
    if day_ms + time.at_min * _MINUTE_MS > now_ms:
        day_ms -= DAY_MS
    return _nearest(time, day_ms, -DAY_MS, classify)


def next_due_ms(time: DigestTime, now_ms: int, classify: Classify) -> int:
    """The first instant after now at which a digest is due."""
    day_ms = day_start_ms(now_ms)
    if day_ms + time.at_min * _MINUTE_MS <= now_ms:
        day_ms += DAY_MS
    return _nearest(time, day_ms, DAY_MS, classify)


def _nearest(time: DigestTime, day_ms: int, step_ms: int, classify: Classify) -> int:
    for _ in range(_LONGEST):
        if _is_on(time, day_ms, classify):
            break
        day_ms += step_ms
    return day_ms + time.at_min * _MINUTE_MS


def _is_on(time: DigestTime, day_ms: int, classify: Classify) -> bool:
    if time.weekday is not None:
        days = (day_ms + SHANGHAI_MS) // DAY_MS
        return (days + 3) % 7 == time.weekday  # 1970-01-01 was a Thursday
    return not time.workdays_only or classify(day_ms) is DayClass.WORKDAY
