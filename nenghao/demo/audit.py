"""Audit: what the meters served + what the store has -> what is missing, doubled or wrong.

The simulator's own log is the truth. Every stored value must be one that its meter served just
before; every poll that was answered in full must be stored once. Polls that died with a killed
gateway, between the meter's answer and the spool, are counted apart by the caller (`slack`).
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec import Struct

from collector.store import ReadingStore
from metering.reading import Reading

# Between a block's answer and the reading's stamp: the other blocks of the meter, and its timeouts.
LONGEST_POLL_MS = 10_000
MARKERS_SHARE = 100  # of that time, within which a marker's own question follows it


class Served(Struct, frozen=True, kw_only=True):
    """One answered request of a simulated meter."""

    at_ms: int = msgspec.field(name="at")
    meter: str
    values: dict[str, float]


class Audit(Struct, frozen=True, kw_only=True):
    """The comparison.

    Attributes:
        served: answers that a reading should hold, counted by their rarest quantity per meter.
        stored: readings with values in the store.
        missing: served but not stored.
        doubled: stored more often than served.
        wrong: stored values that no meter served at that time.
        examples: a few of the wrong ones, in words.
    """

    served: int
    stored: int
    missing: int
    doubled: int
    wrong: int
    examples: tuple[str, ...] = ()


def read_served(log: Path) -> list[Served]:
    """The served log; a last line that a kill cut short is left out."""
    decoder = msgspec.json.Decoder(Served)
    served = []
    for line in log.read_bytes().split(b"\n"):
        try:
            served.append(decoder.decode(line))
        except msgspec.DecodeError:
            continue
    return served


def audit(
    served: Iterable[Served],
    store: ReadingStore,
    *,
    from_ms: int,
    to_ms: int,
    longest_poll_ms: int = LONGEST_POLL_MS,
) -> Audit:
    """Compare what was served in `[from_ms, to_ms)` with what is stored.

    Args:
        longest_poll_ms: in wall time; a replayed clock's speed makes it longer.
    """
    by_meter: dict[str, list[Served]] = defaultdict(list)
    for answer in served:
        if from_ms <= answer.at_ms < to_ms:
            by_meter[answer.meter].append(answer)
    results = [
        _audit_meter(
            answers,
            store.readings([meter], None, from_ms, to_ms + longest_poll_ms),
            longest_poll_ms,
        )
        for meter, answers in sorted(by_meter.items())
    ]
    return Audit(
        served=sum(r.served for r in results),
        stored=sum(r.stored for r in results),
        missing=sum(r.missing for r in results),
        doubled=sum(r.doubled for r in results),
        wrong=sum(r.wrong for r in results),
        examples=tuple(example for r in results for example in r.examples)[:10],
    )


def _audit_meter(answers: list[Served], readings: list[Reading], longest_poll_ms: int) -> Audit:
    answers = sorted(answers, key=lambda answer: answer.at_ms)
    series = _series(answers)
    markers = _markers(answers, longest_poll_ms // MARKERS_SHARE)
    last_ms = max(answer.at_ms for answer in answers)
    with_values = [r for r in readings if r.values and r.at_ms <= last_ms + longest_poll_ms]
    missing, doubled = _counts(series, with_values, markers)
    wrong = [
        f"{reading.meter} {name} at {reading.at_ms}: {value} was never served"
        for reading in with_values
        for name, value in reading.values.items()
        if not _was_served(series.get(name, {}), value, reading.at_ms, longest_poll_ms)
    ]
    return Audit(
        served=max((sum(len(v) for v in values.values()) for values in series.values()), default=0),
        stored=len(with_values),
        missing=missing,
        doubled=doubled,
        wrong=len(wrong),
        examples=tuple(wrong[:3]),
    )


Times = Mapping[float, list[int]]


def _markers(answers: list[Served], within_ms: int) -> Counter[str]:
    """By quantity, how many answers may have been a gateway's markers after a silence.

    Such an answer is a piece of the one that follows at once, and nobody keeps it.
    """
    return Counter(
        name
        for before, after in pairwise(answers)
        if before.values.keys() < after.values.keys() and after.at_ms - before.at_ms <= within_ms
        for name in before.values
    )


def _series(answers: list[Served]) -> dict[str, dict[float, list[int]]]:
    """By quantity and value: when it was served, in order."""
    series: dict[str, dict[float, list[int]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        for name, value in answer.values.items():
            series[name][value].append(answer.at_ms)
    return series


def _counts(
    series: Mapping[str, Times], readings: list[Reading], markers: Mapping[str, int]
) -> tuple[int, int]:
    """The worst quantity decides: a reading that lacks one block is a reading that lost it."""
    stored = Counter(name for reading in readings for name in reading.values)
    missing = doubled = 0
    for name, times in series.items():
        served = sum(len(at) for at in times.values())
        missing = max(missing, served - markers.get(name, 0) - stored[name])
        doubled = max(doubled, stored[name] - served)
    instants = Counter(reading.at_ms for reading in readings)
    return missing, max(doubled, sum(count - 1 for count in instants.values()))


def _was_served(times: Times, value: float, at_ms: int, longest_poll_ms: int) -> bool:
    served = times.get(value, [])
    before = bisect_right(served, at_ms)
    return before > 0 and served[before - 1] >= at_ms - longest_poll_ms
