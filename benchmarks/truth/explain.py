"""Explain: a miss, a false alarm or a wrong month -> the readings around, what was made of them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.truth.canvas import Canvas
from benchmarks.truth.flags import Flag
from benchmarks.truth.gates import Outcome
from benchmarks.truth.meter import MINUTE_MS
from benchmarks.truth.score import Episode, Hit, Month, Scored
from benchmarks.truth.tally import bad_months
from collector.settle.cells import DAY_MS, SHANGHAI_MS
from collector.settle.rule import names_of
from collector.settle.series import PER_UNIT

_BESIDE = 4  # readings to each side of an edge
_MOST = 28  # lines of readings, words


def problems(canvas: Canvas, outcome: Outcome, scored: Scored, head: str) -> Iterator[str]:
    """One text for each thing that went wrong."""
    for hit in scored.hits:
        if not hit.found or not hit.right:
            yield "\n".join(_hit(canvas, outcome, scored, hit, head))
    for episode in scored.episodes:
        if not episode.true:
            yield "\n".join(_false(canvas, outcome, episode, head))
    for month in bad_months(scored):
        yield "\n".join(_month(canvas, outcome, scored, month, head))


def _hit(canvas: Canvas, outcome: Outcome, scored: Scored, hit: Hit, head: str) -> Iterator[str]:
    fault = hit.fault
    what = "NAMED WRONGLY" if hit.found else "MISSED"
    yield f"{what}: {fault.kind} {fault.form} ({fault.about})   {head}"
    yield f"  {_time(fault.start_ms)} to {_time(fault.end_ms)}; right: {', '.join(fault.right)}"
    wide_ms = 4 * canvas.truth.step_ms
    yield from _said(scored.flags, fault.start_ms - wide_ms, fault.end_ms + wide_ms)
    yield from _readings(canvas, outcome, (fault.start_ms, fault.end_ms))


def _false(canvas: Canvas, outcome: Outcome, episode: Episode, head: str) -> Iterator[str]:
    yield f"FALSE: {', '.join(episode.words)}   {head}"
    yield f"  {_time(episode.start_ms)} to {_time(episode.end_ms)}"
    nearest = sorted(canvas.faults, key=lambda fault: _apart(fault.start_ms, fault.end_ms, episode))
    for fault in nearest[:2]:
        apart_h = _apart(fault.start_ms, fault.end_ms, episode) / 3_600_000
        yield f"  near: {fault.kind} {fault.form} ({fault.about}), {apart_h:.1f} h away"
    yield from _readings(canvas, outcome, (episode.start_ms, episode.end_ms))


def _apart(start_ms: int, end_ms: int, episode: Episode) -> int:
    return max(0, start_ms - episode.end_ms, episode.start_ms - end_ms)


def _month(
    canvas: Canvas, outcome: Outcome, scored: Scored, month: Month, head: str
) -> Iterator[str]:
    yield f"MONTH {month.error:.3%} off: {month.settled:.3f} for {month.truth:.3f}   {head}"
    end_ms = month.start_ms + 31 * DAY_MS
    for fault in sorted(canvas.faults, key=lambda fault: fault.start_ms)[:_MOST]:
        if fault.start_ms < end_ms and fault.end_ms > month.start_ms:
            yield f"  {_time(fault.start_ms)} {fault.kind} {fault.form} ({fault.about})"
    yield from _said(scored.flags, month.start_ms, end_ms)
    yield from _worst_days(canvas, outcome, month)


def _worst_days(canvas: Canvas, outcome: Outcome, month: Month) -> Iterator[str]:
    days = outcome.settled.days
    offs = []
    for start, value in zip(days.start_ms.tolist(), days.value.tolist(), strict=True):
        begin = max(start, int(canvas.at_ms[0]))
        if month.start_ms <= start < month.start_ms + 31 * DAY_MS:
            truth = canvas.truth.between(begin, min(start + DAY_MS, canvas.truth.end_ms))
            offs.append((abs(value / PER_UNIT - truth), start, value / PER_UNIT, truth))
    for _, start, value, truth in sorted(offs, reverse=True)[:3]:
        yield f"  day {_time(start)[:10]}: {value:.3f} for {truth:.3f}"


def _said(flags: Sequence[Flag], begin_ms: int, end_ms: int) -> Iterator[str]:
    near = [flag for flag in flags if flag.start_ms <= end_ms and flag.end_ms >= begin_ms]
    for flag in near[: _MOST // 2]:
        yield f"  said: {flag.word} {_time(flag.start_ms)} to {_time(flag.end_ms)} ({flag.source})"
    if len(near) > _MOST // 2:
        yield f"  … and {len(near) - _MOST // 2} more"


def _readings(canvas: Canvas, outcome: Outcome, span: tuple[int, int]) -> Iterator[str]:
    """Around both edges: stamp, value as it came, what should stand there, what was made of it."""
    series, course = outcome.series, outcome.course
    dropped = {(one.at_ms, one.value): one.rule for one in course.dropped}
    refused = {one.at_ms: f"{one.reason} {one.raw}" for one in outcome.rejections}
    stamps = np.union1d(series.at_ms, np.array(list(refused), np.int64))
    places: set[int] = set()
    for edge_ms in span:
        place = int(np.searchsorted(stamps, edge_ms))
        places.update(range(max(0, place - _BESIDE), min(len(stamps), place + _BESIDE)))
    by_stamp = dict(zip(series.at_ms.tolist(), series.value.tolist(), strict=True))
    kept = dict(zip(course.at_ms[:-1].tolist(), range(len(course.energy)), strict=False))
    last = None
    for place in sorted(places):
        if last is not None and place > last + 1:
            yield "    …"
        last = place
        at_ms = int(stamps[place])
        yield (
            "    "
            + _line(canvas, at_ms, by_stamp.get(at_ms), refused.get(at_ms, ""), dropped)
            + (_leg(outcome, kept[at_ms]) if at_ms in kept else "")
        )


def _line(
    canvas: Canvas,
    at_ms: int,
    value: int | None,
    refused: str,
    dropped: dict[tuple[int, int], str],
) -> str:
    fate = refused or ("" if value is None else dropped.get((at_ms, value), ""))
    shown = "" if value is None else f"{value / PER_UNIT:.3f}"
    consumed = float(canvas.truth.until(at_ms))
    return f"{_time(at_ms)} {shown:>18} (consumed {consumed:.3f}) {fate}"


def _leg(outcome: Outcome, leg: int) -> str:
    course = outcome.course
    span = (int(course.at_ms[leg + 1]) - int(course.at_ms[leg])) / MINUTE_MS
    energy = f"{course.energy[leg] / PER_UNIT:.3f}" if course.known[leg] else "?"
    return f" -> {energy} in {span:.1f} min {names_of(int(course.rules[leg]))}"


def _time(at_ms: int) -> str:
    local = datetime.fromtimestamp(at_ms / 1000, tz=UTC) + timedelta(milliseconds=SHANGHAI_MS)
    return f"{local:%Y-%m-%d %H:%M:%S}"
