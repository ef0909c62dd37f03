"""Week: the hours around a standstill -> how the counter otherwise moves and stands in such hours.

Hour by hour from the standstill's first instant on, a week to both sides; working days are compared
with working days, weekends with weekends. Other long standstills in hours in which the counter
otherwise moves are **odd** as well: what broke once may break again within days. They say nothing
of how it moves, and are left aside.
"""

import numpy as np
from msgspec import Struct

from collector.settle.bounds import AROUND_MS, DAY_MS, HOUR_MS
from collector.settle.cells import SHANGHAI_MS
from collector.settle.series import Course, Floats, Ints, Mask

SEEN_MS = 15 * DAY_MS  # what a day in doubt is settled with, to both sides
_DAY_HOURS = 24
_BUSY = 0.9  # nine in ten hours are slower
_HARDLY = 0.02  # of a busy hour: as good as standing still
_LEG_MS = 2 * HOUR_MS  # what lies within a longer one is not told, unless most are so long
_TOLD = 0.9  # of an hour, that lies under legs which tell of it
_MOVES = 0.5  # of the like hours: more, and the counter moves in such an hour
_LONG = 6  # hours of a standstill that may be a fault of its own
_DAYS = 2  # to compare an hour with, at least
_MOST_REACH = 0.4  # three in five like hours gain more than what is expected
_ROUNDS = 3  # what is odd is told without what was found odd before
_THURSDAY, _SATURDAY = 3, 5  # 1970 began on a Thursday; Monday is 0


class Totals(Struct, frozen=True, kw_only=True):
    """A course, summed up to each of its n instants.

    Attributes:
        energy: in millionths of the unit.
        told_ms: time under legs that tell how the counter moves.
        hourly_ms: of these, under legs that are short enough to tell it of an hour.
    """

    at_ms: Floats
    energy: Floats
    told_ms: Floats
    hourly_ms: Floats


class Week(Struct, frozen=True, kw_only=True):
    """What the hours around a standstill say.

    Attributes:
        moving: hours before and after it in which the counter moved.
        usual: what it gains in the median of them, per ms; 0 if there is none.
        expected: what it would have gained meanwhile; 0: not known.
        resumed: what it gains in an hour like the first one after it, per ms; 0: not known.
        moves: the share of its like hours in which the counter moved.
        told: the share of its hours that have like ones.
        idle: the share of other hours in which it stands still as it usually does then.
        stops: standstills of some hours at most in which it usually moves.
        longest_ms: of standstills to the last digit that are not odd.
        odd: standstills that are as odd as this one.
        odd_share: of all other hours.
    """

    moving: tuple[int, int]
    usual: float
    expected: float
    resumed: float
    moves: float
    told: float
    idle: float
    stops: int
    longest_ms: int
    odd: int
    odd_share: float


def totals_of(course: Course, counts: Mask) -> Totals:
    """Sum a course up.

    Args:
        counts: of each leg, whether it tells how the counter moves.
    """
    spans = np.where(counts, np.diff(course.at_ms), 0)
    return Totals(
        at_ms=course.at_ms.astype(np.float64),
        energy=_summed(course.energy),
        told_ms=_summed(spans),
        hourly_ms=_summed(np.where(spans <= _LEG_MS, spans, 0)),
    )


def _summed(values: Ints) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))


class _Rests(Struct, frozen=True, kw_only=True):
    """The other standstills.

    Attributes:
        lengths: in hours.
        usual: in hours in which it mostly stands still.
        odd: in hours in which it mostly moves, and long, or not seen to its end.
        used: hours that tell how it moves.
    """

    lengths: Ints
    usual: Mask
    odd: Mask
    used: Mask


def reach_ms(span_ms: int) -> int:
    """How far to both sides of a standstill it looks: a week, less where it lasted over a week.

    Each of its days, settled alone, then sees all that is looked at.
    """
    return min(AROUND_MS, SEEN_MS - span_ms)


class _Hours(Struct, frozen=True, kw_only=True):
    """Rows of 24 hours from the standstill's first instant on; it begins in the row `origin`.

    Attributes:
        gain: in millionths.
        inside: of the standstill.
        there: told of, and outside of it.
        weekend: by its middle.
    """

    gain: Floats
    inside: Mask
    there: Mask
    weekend: Mask
    origin: int


def week_of(totals: Totals, start_ms: int, end_ms: int) -> Week:
    """Look around a standstill from `start_ms` to `end_ms`, of thirteen days at most."""
    hours = _hours_of(totals, start_ms, end_ms)
    outside = hours.gain[hours.there]
    rising = outside[outside > 0]
    hardly = _HARDLY * float(np.quantile(outside, _BUSY)) if len(outside) else 0.0
    moving = hours.there & (hours.gain > hardly)
    rests = _rests_of(hours, moving)
    moves = _share(moving, rests.used, hours.weekend)
    compared, expected = _like(hours, rests.used)
    told = hours.inside & (compared >= _DAYS)
    first = hours.origin * _DAY_HOURS
    last = int(np.flatnonzero(hours.inside)[-1])
    return Week(
        moving=(int(moving.ravel()[:first].sum()), int(moving.ravel()[first:].sum())),
        usual=float(np.median(rising)) / HOUR_MS if len(rising) else 0.0,
        expected=_mean(expected[told]) / HOUR_MS * (end_ms - start_ms),
        resumed=float(expected.ravel()[last + 1]) / HOUR_MS,
        moves=_mean(moves[told]),
        told=float(told.sum() / hours.inside.sum()),
        idle=float(rests.lengths[rests.usual].sum() / max(1, rests.used.sum())),
        stops=int((~rests.usual & ~rests.odd).sum()),
        longest_ms=_longest(rests.used & (hours.gain <= 0)) * HOUR_MS,
        odd=int(rests.odd.sum()),
        odd_share=float(rests.lengths[rests.odd].sum() / max(1, hours.there.sum())),
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _hours_of(totals: Totals, start_ms: int, end_ms: int) -> _Hours:
    span_ms = end_ms - start_ms
    reach = reach_ms(span_ms)
    origin = -(-reach // DAY_MS)
    rows = origin - (-(span_ms + reach) // DAY_MS)
    edges = start_ms + (np.arange(rows * _DAY_HOURS + 1) - origin * _DAY_HOURS) * HOUR_MS
    shape = rows, _DAY_HOURS
    since_ms, until_ms = start_ms - reach, end_ms + reach
    told_ms = _told_ms(totals, since_ms, until_ms)
    told = np.diff(np.interp(edges, totals.at_ms, told_ms)).reshape(shape) >= _TOLD * HOUR_MS
    begin, end = edges[:-1].reshape(shape), edges[1:].reshape(shape)
    inside = (begin < end_ms) & (end > start_ms)
    return _Hours(
        gain=np.diff(np.interp(edges, totals.at_ms, totals.energy)).reshape(shape),
        inside=inside,
        there=told & ~inside & (begin >= since_ms) & (end <= until_ms),
        weekend=_is_weekend(begin + HOUR_MS // 2),
        origin=origin,
    )


def _told_ms(totals: Totals, since_ms: int, until_ms: int) -> Floats:
    """A meter that answers every few hours tells of hours as well as it can."""
    readings = np.searchsorted(totals.at_ms, [since_ms, until_ms])
    seldom = until_ms - since_ms > _LEG_MS * int(readings[1] - readings[0])
    return totals.told_ms if seldom else totals.hourly_ms


def _is_weekend(at_ms: Ints) -> Mask:
    return np.asarray(((at_ms + SHANGHAI_MS) // DAY_MS + _THURSDAY) % 7 >= _SATURDAY)


def _rests_of(hours: _Hours, moving: Mask) -> _Rests:
    still = hours.there & ~moving
    firsts, lasts, unseen = _stretches(still, hours.there)
    lengths = lasts - firsts + 1
    usual = odd = np.zeros(len(firsts), np.bool_)
    used = hours.there
    for _ in range(_ROUNDS):
        moves = _share(moving, used, hours.weekend)
        usual = _mean_over(moves, firsts, lasts) < _MOVES
        odd = ~usual & ((lengths >= _LONG) | unseen)
        used = hours.there & ~_filled(firsts[odd], lasts[odd], still.shape)
    return _Rests(lengths=lengths, usual=usual, odd=odd, used=used)


def _stretches(still: Mask, there: Mask) -> tuple[Ints, Ints, Mask]:
    """First and last hour of each stretch of still ones; whether an end of it was not seen."""
    padded = np.concatenate(([False], there.ravel(), [False]))
    edges = np.diff(np.concatenate(([0], still.ravel().astype(np.int8), [0])))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return firsts, lasts, ~(padded[firsts] & padded[lasts + 2])


def _longest(still: Mask) -> int:
    """In hours; an end that lies within an hour may be all of it."""
    firsts, lasts, _ = _stretches(still, still)
    return int((lasts - firsts).max(initial=-1)) + 2 if len(firsts) else 1


def _filled(firsts: Ints, lasts: Ints, shape: tuple[int, ...]) -> Mask:
    edges = np.zeros(shape[0] * shape[1] + 1, np.int64)
    edges[firsts] += 1
    edges[lasts + 1] -= 1
    return np.asarray((np.cumsum(edges)[:-1] > 0).reshape(shape))


def _share(what: Mask, used: Mask, weekend: Mask) -> Floats:
    """For each hour the share of like ones of which `what` holds; 0 where there is none."""
    found = np.zeros(what.shape)
    for kind in (weekend, ~weekend):
        some = used & kind
        share = (what & some).sum(axis=0) / np.maximum(1, some.sum(axis=0))
        found = np.where(kind, share, found)
    return found


def _mean_over(values: Floats, firsts: Ints, lasts: Ints) -> Floats:
    total = np.concatenate(([0.0], np.cumsum(values.ravel())))
    return np.asarray((total[lasts + 1] - total[firsts]) / (lasts - firsts + 1))


def _like(hours: _Hours, used: Mask) -> tuple[Ints, Floats]:
    """For each hour how many like ones there are, and what three in five of them gained."""
    count = np.zeros(used.shape, np.int64)
    reach = np.zeros(used.shape)
    for kind in (hours.weekend, ~hours.weekend):
        some = used & kind
        number = some.sum(axis=0)
        in_order = np.sort(np.where(some, hours.gain, np.inf), axis=0)
        place = np.floor(_MOST_REACH * np.maximum(number - 1, 0)).astype(np.int64)
        reached = np.take_along_axis(in_order, place[None, :], axis=0)
        count = np.where(kind, number, count)
        reach = np.where(kind, reached, reach)
    return count, np.where(count > 0, reach, 0.0)
