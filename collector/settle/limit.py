"""Limit: a course -> what lies above the rated power, marked: it counts, and is shown."""

import numpy as np
from msgspec import structs

from collector.settle.bounds import DAY_MS
from collector.settle.register import Register
from collector.settle.rule import Rule, bit
from collector.settle.series import Course, Ints, Mask
from collector.settle.steps import Steps, resolution_of

_RISES = 4  # a day, to tell the last digit from


def flag_limit(course: Course, steps: Steps, register: Register) -> Course:
    """Above the rated power, below twice of it: it counts, and is shown."""
    if register.rated_per_hour is None or not len(course.energy):
        return course
    span_ms = np.diff(course.at_ms)
    rated = register.rated_per_hour / 3_600_000 * span_ms + 2 * steps.resolution
    above = course.energy > rated
    if above.any():
        above &= course.energy > rated + 2 * _digit(course, above)
    if not above.any():
        return course
    flag = np.where(above, bit(Rule.SOFT_LIMIT), 0)
    return structs.replace(course, rules=course.rules | flag)


def _digit(course: Course, where: Mask) -> Ints:
    """The register's last digit on the days of some legs: a float's grows with its standing."""
    days = course.at_ms[:-1] // DAY_MS
    digit = np.zeros(len(days), np.int64)
    for day in np.unique(days[where]).tolist():
        there = slice(int(np.searchsorted(days, day)), int(np.searchsorted(days, day + 1)))
        rises = course.energy[there]
        if np.count_nonzero(rises) >= _RISES and rises.min() < rises.max():
            digit[there] = resolution_of(rises)
    return digit
