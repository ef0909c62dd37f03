"""Stretch: marked days -> stretches of days settled in one go, in groups that fit memory."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import Struct, structs

from collector.dirty import DirtyDay
from collector.settle.cells import DAY_MS
from collector.settle.follow import REACH_MS

_BRIDGE_MS = 2 * DAY_MS  # days in between that are settled along with their neighbours
_LONGEST_MS = 62 * DAY_MS


class Stretch(Struct, frozen=True, kw_only=True):
    """Whole days of one meter, `[start_ms, end_ms)`, and the marks that they answer."""

    meter: str
    start_ms: int
    end_ms: int
    days: tuple[DirtyDay, ...] = ()


def stretches(days: Iterable[DirtyDay]) -> list[Stretch]:
    """Marks by (meter, day_ms) -> stretches in the same order.

    Days that lie near each other are one stretch; one of years is cut, so that memory is bounded.
    """
    found: list[Stretch] = []
    for meter, mine in groupby(days, lambda day: day.meter):
        for day in mine:
            last = found[-1] if found and found[-1].meter == meter else None
            end_ms = day.day_ms + DAY_MS
            if (
                last is not None
                and day.day_ms <= last.end_ms + _BRIDGE_MS
                and end_ms - last.start_ms <= _LONGEST_MS
            ):
                found[-1] = structs.replace(last, end_ms=end_ms, days=(*last.days, day))
            else:
                found.append(Stretch(meter=meter, start_ms=day.day_ms, end_ms=end_ms, days=(day,)))
    return found


def reaching_doubts(
    found: Sequence[Stretch], doubts: Mapping[str, Collection[int]]
) -> list[Stretch]:
    """Stretches that take the days in doubt along which their readings may decide about.

    Args:
        doubts: by meter, days (their starts) that were in doubt when they were settled.
    """
    return [_reaching(one, doubts.get(one.meter, ())) for one in found]


def _reaching(one: Stretch, days: Collection[int]) -> Stretch:
    near = [day for day in days if one.start_ms - REACH_MS <= day < one.end_ms + REACH_MS]
    if not near:
        return one
    return structs.replace(
        one,
        start_ms=min(one.start_ms, *near),
        end_ms=max(one.end_ms, *(day + DAY_MS for day in near)),
    )


def groups(
    found: Sequence[Stretch],
    readings_a_day: Callable[[str], float],
    most: int,
    *,
    around_ms: int = 0,
) -> Iterator[list[Stretch]]:
    """Stretches of about the same time together, at most about `most` readings each.

    Older ones first, and no two of a meter in one group: what a long gap looks like is told by the
    days before it as they are stored, and two stretches may both settle the days between them.

    Args:
        readings_a_day: of a meter, counters and all.
        around_ms: what is read beside each stretch, both sides together.
    """
    group: list[Stretch] = []
    meters: set[str] = set()
    held, start_ms, end_ms = 0.0, 0, 0
    for one in _in_order(found):
        size = (one.end_ms - one.start_ms + around_ms) / DAY_MS * readings_a_day(one.meter)
        first_ms, last_ms = min(start_ms, one.start_ms), max(end_ms, one.end_ms)
        near = (
            one.start_ms // _LONGEST_MS == start_ms // _LONGEST_MS
            and last_ms - first_ms <= 2 * _LONGEST_MS
        )
        again = one.meter in meters
        if group and (held + size > most or again or not near):
            yield group
            group, meters, held = [], set(), 0.0
        if not group:
            first_ms, last_ms = one.start_ms, one.end_ms
        group.append(one)
        meters.add(one.meter)
        held, start_ms, end_ms = held + size, first_ms, last_ms
    if group:
        yield group


def _in_order(found: Iterable[Stretch]) -> list[Stretch]:
    """By time, roughly; the first ones of all meters, then the second ones."""
    seen: Counter[tuple[int, str]] = Counter()
    keys: list[tuple[int, int, str, Stretch]] = []
    for one in sorted(found, key=lambda one: one.start_ms):
        when = one.start_ms // _LONGEST_MS
        keys.append((when, seen[when, one.meter], one.meter, one))
        seen[when, one.meter] += 1
    return [one for *_, one in sorted(keys, key=lambda key: key[:3])]
