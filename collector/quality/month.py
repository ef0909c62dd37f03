"""Month: what a register says at two instants -> what it gained, for the days to be held against.

Told from readings and remembered breaks alone: last - first + closed epochs, never from intervals.
"""

from collector.epoch_book import EpochBook
from collector.settle.rule import Rule, mask
from collector.settle.series import whole
from collector.store import ReadingStore

Key = tuple[str, str]  # meter, quantity
Edge = tuple[int, int]  # instant, reading in millionths

# Rules of an edge's day under which its readings cannot be taken as they stand.
UNSURE = mask(
    Rule.LIKE_DAY,
    Rule.GLITCH,
    Rule.SPIKE,
    Rule.SWAPPED,
    Rule.CLOCK,
    Rule.FROZEN,
    Rule.MANUAL,
    Rule.CORRECTED,
    Rule.VOIDED,
)


def gained(
    store: ReadingStore, epochs: EpochBook, key: Key, start_ms: int, end_ms: int
) -> int | None:
    """What the register counted in a span, in millionths; None where that cannot be told.

    At each end the reading there, or between two neighbours on the line between them: a meter that
    answers once a day tells it as well as one that answers each minute.
    """
    first = _edge(store, epochs, key, start_ms)
    last = _edge(store, epochs, key, end_ms)
    if first is None or last is None or first[0] >= last[0]:
        return None
    opened, total = first[1], 0
    for one in epochs.breaks(*key, first[0] + 1, last[0] + 1):
        if one.multiplier != 1.0:
            return None
        total += one.closed - opened
        opened = one.opened
    return total + last[1] - opened


def _edge(store: ReadingStore, epochs: EpochBook, key: Key, at_ms: int) -> Edge | None:
    after = store.nearest(*key, at_ms, later=True, most=1)
    before = store.nearest(*key, at_ms, later=False, most=1)
    right = None if after is None else (int(after.at_ms[0]), int(whole(after.values)[0]))
    left = None if before is None else (int(before.at_ms[0]), int(whole(before.values)[0]))
    if right is None or left is None or right[0] == at_ms:
        return right or left
    if epochs.breaks(*key, left[0] + 1, right[0] + 1):
        return None
    share = (at_ms - left[0]) / (right[0] - left[0])
    return at_ms, left[1] + round((right[1] - left[1]) * share)
