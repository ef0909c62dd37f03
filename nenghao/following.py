"""Following: meters that somebody changed -> settled now, and what that changed in consumption.

Whoever corrects a figure wants to see the figure. The settlement is the centre's own, a running
collector's or this command's; here it is asked for, waited for, and compared with what stood there.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from collector.editing.period import shown
from collector.settle.cells import Width
from collector.store import LAST_AT_MS
from nenghao.centre import Centre
from nenghao.progress import Bar

UNDER_WAY = ("waiting", "running")
_FIRST_LOOK_S = 0.02
_LONGEST_LOOK_S = 0.5
_METERS_AT_ONCE = 20


class Place(Struct, frozen=True, order=True):
    """One interval of one counter."""

    meter: str
    quantity: str
    width: Width
    start_ms: int


class Known(Struct, frozen=True):
    """What is settled of a place: millionths of `unit`, None where it is not known."""

    value: int | None
    unit: str


Usage = dict[Place, Known]


class Change(Struct, frozen=True, kw_only=True):
    """An interval whose consumption is another than before; in millionths, None: not known."""

    place: Place
    unit: str
    before: int | None
    after: int | None


class Effect(Struct, frozen=True, kw_only=True):
    """A settlement that has ended, and what it changed, in order of meter, counter and time."""

    run: dict[str, Any]
    changes: tuple[Change, ...]


class Follower:
    """Remembers what is settled of some meters, before somebody changes anything about them."""

    def __init__(self, collector: Centre, meters: Sequence[str], widths: Sequence[Width]) -> None:
        self._collector = collector
        self._meters = sorted(set(meters))
        self._widths = widths
        self._before = self._usage()

    def settle(self, bar: Bar) -> Effect:
        """Settle what is marked of the meters by now, and say what that changed."""
        run = settle_now(self._collector, {"meters": self._meters}, bar)
        return Effect(run=run, changes=tuple(_changes(self._before, self._usage())))

    def _usage(self) -> Usage:
        return dict(
            pair
            for first in range(0, len(self._meters), _METERS_AT_ONCE)
            for width in self._widths
            for pair in self._ask(self._meters[first : first + _METERS_AT_ONCE], width)
        )

    def _ask(self, meters: Sequence[str], width: Width) -> Iterator[tuple[Place, Known]]:
        asked = {"meter": meters, "start_ms": 0, "end_ms": LAST_AT_MS, "width": width.value}
        for one in self._collector.ask("GET", "/intervals", params=asked):
            for start_ms, value in zip(one["start_ms"], one["value"], strict=True):
                place = Place(one["meter"], one["quantity"], width, start_ms)
                yield place, Known(value, one["unit"])


def follower_of(collector: Centre, meters: Sequence[str], bar: Bar) -> Follower:
    """A follower of days and months: what came by itself until now is settled first.

    Otherwise today's consumption would look as if it came with the entry.
    """
    settle_now(collector, {"meters": sorted(set(meters))}, bar)
    return Follower(collector, meters, (Width.DAY, Width.MONTH))


def when_settled(collector: Centre) -> str:
    """When the consumption follows by itself, for a person."""
    jobs = collector.ask("GET", "/jobs") if collector.runs else []
    due = [shown(one["next_ms"]) for one in jobs if one["name"] == "settlement"]
    if due:
        return f"用量由结算任务更新，下次 {due[0]}；要立即更新请运行 nenghao settle"
    return "没有结算任务在运行：用量在运行 nenghao settle 后更新"


def _changes(before: Usage, after: Usage) -> Iterator[Change]:
    for place, known in sorted(after.items()):
        stood = before.get(place)
        value = None if stood is None else stood.value
        if value != known.value:
            yield Change(place=place, unit=known.unit, before=value, after=known.value)


def settle_now(collector: Centre, order: dict[str, Any], bar: Bar) -> dict[str, Any]:
    """The run of an order, as `POST /settle` takes it, when it has ended."""
    run: dict[str, Any] = collector.ask("POST", "/settle", json=order)
    pause_s = _FIRST_LOOK_S
    total = None
    while run["state"] in UNDER_WAY:
        at = run["at"]
        if total != at["total"]:
            total = at["total"]
            bar.begin("结算 (表日)" if run["state"] == "running" else "等待结算", total)
        bar.reach(at["done"])
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_LOOK_S)
        run = collector.ask("GET", f"/settle/{run['number']}")
    return run
