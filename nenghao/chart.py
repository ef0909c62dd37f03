"""Chart: values against a limit in time -> lines of text, at most 80 columns wide."""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

from collector.fleet.codes import SHANGHAI

WIDTH = 80
_HEIGHT = 6
_LABEL = 9  # columns for a number and the axis
_COLUMNS = WIDTH - _LABEL - 1
_WITH_DIGITS = 1000  # a number below that
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LIMIT, _UNKNOWN = "┄", "·"

Values = Sequence[float | None]


class Column(Struct, frozen=True):
    """What stands in one column: the value furthest up of its time, and the limit then."""

    value: float | None
    limit: float | None


def chart(at_ms: Sequence[int], value: Values, limit: Values, *, falls: bool = False) -> list[str]:
    """Bars from the bottom up, the limit as a dotted line, days below.

    Args:
        at_ms: in order; at least one.
        value, limit: as many; None where nothing is known: a dot on the ground.
        falls: what is below the limit is beyond it, and is what a column shows of several values.
    """
    columns = _columns(value, limit, min if falls else max)
    known = [n for one in columns for n in (one.value, one.limit) if n is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    if high <= low:
        high = low + 1.0
    rows = [_row(columns, place, low, high) for place in range(_HEIGHT - 1, -1, -1)]
    labels = {0: _number(high), _HEIGHT - 1: _number(low)}
    lines = [f"{labels.get(n, ''):>{_LABEL - 1}}┤{row}".rstrip() for n, row in enumerate(rows)]
    first, last = _day(at_ms[0]), _day(at_ms[-1])
    between = max(1, len(columns) - len(first) - len(last))
    return [*lines, f"{'':>{_LABEL}}{first}{'':>{between}}{last}"]


def _columns(
    value: Values, limit: Values, furthest: Callable[[list[float]], float]
) -> list[Column]:
    """As many as there are values, or a few for each; else several values in one."""
    size = len(value)
    count = min(size, _COLUMNS)
    found: list[Column] = []
    for place in range(count):
        part = slice(place * size // count, (place + 1) * size // count)
        values = [one for one in value[part] if one is not None]
        limits = [one for one in limit[part] if one is not None]
        one = Column(furthest(values) if values else None, limits[-1] if limits else None)
        found += [one] * (_COLUMNS // count)
    return found


def _row(columns: Sequence[Column], place: int, low: float, high: float) -> str:
    step = (high - low) / _HEIGHT
    bottom = low + place * step
    return "".join(_cell(one, bottom, step, is_ground=place == 0) for one in columns)


def _cell(one: Column, bottom: float, step: float, *, is_ground: bool) -> str:
    if one.value is None and is_ground:
        return _UNKNOWN
    filled = 0 if one.value is None else round((one.value - bottom) / step * 8)
    if filled >= 1:
        return _EIGHTHS[min(8, filled)]
    has_limit = one.limit is not None and bottom <= one.limit < bottom + step * 1.0001
    return _LIMIT if has_limit else " "


def _number(value: float) -> str:
    text = f"{value:.3g}" if abs(value) < _WITH_DIGITS else f"{value:.0f}"
    return text[: _LABEL - 1]


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI).strftime("%Y-%m-%d")
