"""Flags: what both gates and the store say about a series -> words with a span, by time."""

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from benchmarks.truth.gates import Outcome
from benchmarks.truth.label import ESTIMATED, OTHER_VALUE, REPEATED
from benchmarks.truth.measured import Floats
from benchmarks.truth.meter import Ints
from collector.settle.cells import HOUR_MS, QUARTER_MS
from collector.settle.rule import Rule, bit
from collector.settle.series import Course, Mask

# Said of a leg; the rules of left-out readings stand on the reading itself.
_OF_LEGS = (
    Rule.FROZEN, Rule.ZERO_RUN, Rule.SOFT_LIMIT, Rule.DRIFT, Rule.CLOCK, Rule.JUMP, Rule.UNIT,
    Rule.REPLACEMENT,
)  # fmt: skip


class Flag(Struct, frozen=True):
    """One word about a span; `source` is where it was said, for a person."""

    word: str
    start_ms: int
    end_ms: int
    source: str


def flags_of(outcome: Outcome, step_ms: int) -> list[Flag]:
    """Everything that was said, in order of time."""
    found = [
        *(Flag(one.reason, one.at_ms, one.at_ms, "gate 1") for one in outcome.rejections),
        *(Flag(REPEATED, at_ms, at_ms, "store") for at_ms in outcome.repeated),
        *(Flag(OTHER_VALUE, at_ms, at_ms, "store") for at_ms in outcome.others),
        *_of_course(outcome.course),
        *_estimated(outcome, step_ms),
    ]
    return sorted(found, key=lambda flag: (flag.start_ms, flag.end_ms))


def _of_course(course: Course) -> Iterator[Flag]:
    for one in course.dropped:
        yield Flag(one.rule, one.at_ms, one.at_ms, "left out")
    for epoch, after in zip(course.epochs, course.epochs[1:], strict=False):
        if epoch.ending is not None:
            yield Flag(epoch.ending, epoch.to_ms, after.from_ms, "epoch")
    for rule in _OF_LEGS:
        yield from _runs(rule, (course.rules & bit(rule)) != 0, course.at_ms, "leg")
    yield from _runs("unknown", ~course.known, course.at_ms, "leg")


def _estimated(outcome: Outcome, step_ms: int) -> Iterator[Flag]:
    """A meter that is read once an hour has measured hours; its quarters never are."""
    fine = step_ms <= QUARTER_MS
    cells = outcome.settled.quarters if fine else outcome.settled.hours
    edges = np.append(cells.start_ms, cells.start_ms[-1:] + (QUARTER_MS if fine else HOUR_MS))
    shares: Floats = cells.estimated + cells.missing
    yield from _runs(ESTIMATED, shares > 0, edges, "intervals")


def _runs(word: str, which: Mask, edges_ms: Ints, source: str) -> Iterator[Flag]:
    """Neighbours that say the same are one."""
    steps = np.diff(np.concatenate(([0], which.astype(np.int8), [0])))
    begins, ends = np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist()
    for begin, end in zip(begins, ends, strict=True):
        yield Flag(word, int(edges_ms[begin]), int(edges_ms[end]), source)
