"""Schedule: now -> when the next cycle starts. Wall-aligned, so drift cannot add up.

A 60 s cycle with offset 5 s starts at :05 of every minute, whatever the last one took and however
long the machine slept.
"""

from msgspec import Struct


class Start(Struct, frozen=True, kw_only=True):
    """The next start, and how many aligned starts passed unused before it."""

    at_ms: int
    missed: int


def next_start(now_ms: int, cycle_ms: int, offset_ms: int = 0) -> int:
    """The first aligned instant strictly after `now_ms`."""
    return now_ms - (now_ms - offset_ms) % cycle_ms + cycle_ms


def start_after(last_ms: int, now_ms: int, cycle_ms: int, offset_ms: int = 0) -> Start:
    """The start after the one at `last_ms`.

    A timer may wake a little early, so the last start counts as well as the clock: no start is
    used twice. Starts that an overrun or a suspend swallowed are missed, not replayed. A clock set
    back by more than a cycle starts the alignment anew.

    Args:
        last_ms: the aligned instant of the cycle just done.
        now_ms: the wall clock.
        cycle_ms: how often.
        offset_ms: how long after the full cycle.
    """
    if now_ms < last_ms - cycle_ms:
        return Start(at_ms=next_start(now_ms, cycle_ms, offset_ms), missed=0)
    at_ms = next_start(max(now_ms, last_ms), cycle_ms, offset_ms)
    return Start(at_ms=at_ms, missed=max(0, (at_ms - last_ms) // cycle_ms - 1))
