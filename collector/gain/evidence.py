"""Evidence: hours of a family -> whether the unmetered rest follows one of its meters, and by day.

The rest is main less subs. A register that counts a share less of what goes through it leaves that
share in the rest, so the rest begins to move as that meter moves. Whether it does is asked twice,
of two things that have nothing to do with each other:

* **Fluctuation.** By how much do the rest's changes from hour to hour follow the meter's, both
  without what is usual at that hour in these two weeks, and without what a day has more or less of
  it? What the rest does of itself each day at the same hour, or more of it from one day on, says
  nothing here.
* **Course.** How did the usual day change between two spans of time, beyond a rest that is simply
  more or less of what it was?
"""

import numpy as np
from msgspec import Struct

from collector.gain.hours import FamilyHours
from collector.settle.series import Floats, Ints, Mask

BLOCK_DAYS = 14  # in which the usual hour is the same
_HUGE = 1.5  # times the usual deviation: beyond that an hour counts less
_ROUNDS = 2
_OWN_HOUR = 0.8  # of an hour's variance: its own, the rest that of all hours
_MEDIAN = 0.455  # of a squared normal deviation
_RIDGE = 1e-3
_NOISE = 0.5  # of what the rest does, that last digits may make
_WIDTHS = (1, 2, 3)  # hours that are taken together where registers are coarse
_DIGIT_VARIANCE = 6 / 12  # of the difference of two differences of a rounded register
_LEAST_LEVERAGE = 0.05
_LEAST_DAYS = 2
_TINY = 1e-9
_NOTHING = 1e-300  # instead of a sum of squares that is zero

Estimate = tuple[Floats, Floats]  # by meter that was asked for: share, and standard error


class Evidence(Struct, frozen=True, kw_only=True):
    """What all questions are answered from. Candidates are k subs, and their sum for the main.

    Attributes:
        product: (n, k + 1, k + 1), weighted products of candidates by day.
        moment: (n, k + 1), weighted products of candidates and rest by day.
        change: (k + 2, n, h), hour-to-hour changes of the candidates and the rest.
        weight: (n, h).
        rest_day: n.
        noise: k + 1; of a candidate's fluctuation, the share that its last digit makes.
    """

    product: Floats
    moment: Floats
    change: Floats
    weight: Floats
    rest_day: Mask
    noise: Floats

    @property
    def told(self) -> Mask:
        """Days of which anything is known."""
        return np.asarray(self.weight.sum(axis=1) > 0)


def evidence_of(hours: FamilyHours) -> Evidence:
    """Look at all of a family's days at once; there may be days without any hour."""
    width = _width(hours)
    energy, there = _together(hours.energy, hours.there, width)
    subs = energy[1:]
    whole = subs.sum(axis=0)
    change, seen = _changes(np.concatenate((subs, whole[None], (energy[0] - whole)[None])), there)
    blocks = _blocks(len(there))
    unusual, seen = _unusual(change, seen, hours.rest_day, blocks)
    weight = _weights(unusual, seen, hours.rest_day, blocks // 2)
    follow, rest = unusual[:-1], unusual[-1]
    weighted = weight * follow
    product = np.einsum("idh,jdh->dij", weighted, follow)
    moment = np.einsum("idh,dh->di", weighted, rest)
    digits = hours.step[1:] ** 2 * _DIGIT_VARIANCE
    digits = np.append(digits, digits.sum())
    # A last digit moves a sub one way and the rest the other: that is taken out again.
    by_day = weight.sum(axis=1)
    own = product[:, np.arange(len(digits)), np.arange(len(digits))].sum(axis=0)
    noise = by_day.sum() * digits / np.maximum(own, _TINY)
    return Evidence(
        product=product - by_day[:, None, None] * _digits_together(digits),
        moment=moment + by_day[:, None] * digits,
        change=change,
        weight=weight,
        rest_day=hours.rest_day,
        noise=noise,
    )


# ---- fluctuation


def followed(evidence: Evidence, who: Ints, days: Ints) -> tuple[Floats, Floats]:
    """By which share the rest follows some candidates at once, and the covariance of it.

    The error comes from leaving out each day in turn: hours of a day hang together, days hardly.
    Where the candidates cannot be told apart it is infinite.
    """
    product = evidence.product[np.ix_(days, who, who)]
    moment = evidence.moment[np.ix_(days, who)]
    whole, count = product.sum(axis=0), len(days)
    unknown = np.zeros(len(who)), np.full((len(who), len(who)), np.inf)
    if count < _LEAST_DAYS or not (np.diag(whole) > 0).all():
        return unknown
    whole = whole + _TINY * np.diag(np.diag(whole))
    try:
        share = np.linalg.solve(whole, moment.sum(axis=0))
        without = np.linalg.solve(whole - product, (moment.sum(axis=0) - moment)[..., None])
    except np.linalg.LinAlgError:
        return unknown
    off = without[..., 0] - share
    return share, (count - 1) / count * off.T @ off


def fluctuation(evidence: Evidence, who: Ints, before: Ints, after: Ints) -> Estimate:
    """How much more the rest follows some candidates after than before."""
    share_before, spread_before = followed(evidence, who, before)
    share_after, spread_after = followed(evidence, who, after)
    return share_after - share_before, np.sqrt(np.diag(spread_before + spread_after))


# ---- course


def course(evidence: Evidence, who: Ints, before: Ints, after: Ints) -> Estimate:
    """Which share of some candidates' usual day came into the rest's usual day."""
    parts = []
    for rests in (False, True):
        old = before[evidence.rest_day[before] == rests]
        new = after[evidence.rest_day[after] == rests]
        if min(len(old), len(new)) >= _LEAST_DAYS:
            usual = np.median(evidence.change[-1][old], axis=0)
            more = np.median(evidence.change[-1][new], axis=0) - usual
            follow = np.median(evidence.change[np.ix_(who, new)], axis=1)
            weight = np.sqrt(np.median(evidence.weight[new], axis=0) * len(new))
            parts.append(np.concatenate((follow, usual[None], more[None])) * weight)
    if not parts:
        return np.zeros(len(who)), np.full(len(who), np.inf)
    points = np.concatenate(parts, axis=1)
    return _explained(points[:-1].T, points[-1], len(who))


def _explained(columns: Floats, value: Floats, wanted: int) -> Estimate:
    """Least squares with the errors of each point its own (HC3)."""
    scale = np.sqrt((columns**2).sum(axis=0))
    if not (scale > 0).all():
        return np.zeros(wanted), np.full(wanted, np.inf)
    basis, triangle = np.linalg.qr(columns / scale)
    if np.abs(np.diag(triangle)).min() < _RIDGE:
        return np.zeros(wanted), np.full(wanted, np.inf)
    share = np.linalg.solve(triangle, basis.T @ value)
    left = value - columns / scale @ share
    leverage = np.maximum(1 - (basis**2).sum(axis=1), _LEAST_LEVERAGE)
    influence = np.linalg.solve(triangle, basis.T) * (left / leverage)
    error = np.sqrt((influence**2).sum(axis=1))
    return (share / scale)[:wanted], (error / scale)[:wanted]


# ---- hours, made comparable


def _together(energy: Floats, there: Mask, width: int) -> tuple[Floats, Mask]:
    meters, days, hours = energy.shape
    apart = (days, hours // width, width)
    whole = np.asarray(there.reshape(apart).all(axis=2))
    return energy.reshape(meters, *apart).sum(axis=3), whole


def _width(hours: FamilyHours) -> int:
    """The fewest hours in which the rest changes by far more than last digits make it."""
    digits = float((hours.step**2).sum()) * _DIGIT_VARIANCE
    if digits == 0:
        return _WIDTHS[0]
    rest = (hours.energy[0] - hours.energy[1:].sum(axis=0))[None]
    for width in _WIDTHS:
        change, seen = _changes(*_together(rest, hours.there, width))
        unusual, seen = _unusual(change, seen, hours.rest_day, _blocks(len(seen)))
        if digits < _NOISE * float((unusual**2).sum()) / max(1, int(seen.sum())):
            return width
    return _WIDTHS[-1]


def _changes(energy: Floats, there: Mask) -> tuple[Floats, Mask]:
    """From each hour's neighbour before it, over midnight as well."""
    flat = energy.reshape(len(energy), -1)
    known = there.ravel()
    change, seen = np.zeros_like(flat), np.zeros_like(known)
    seen[1:] = known[1:] & known[:-1]
    change[:, 1:] = np.diff(flat, axis=1)
    change[:, ~seen] = 0.0
    return change.reshape(energy.shape), seen.reshape(there.shape)


def _blocks(days: int) -> Ints:
    """The two weeks that each day lies in, counted back from the last one."""
    back = np.arange(days)[::-1] // BLOCK_DAYS
    return np.minimum(back, max(0, days // BLOCK_DAYS - 1))


def _unusual(change: Floats, seen: Mask, rest_day: Mask, blocks: Ints) -> tuple[Floats, Mask]:
    """Less what is usual at that hour, as much of it as the day has: holidays have little.

    What a day does more or less of the usual, all meters of a house do together. An hour that has
    no like is not seen.
    """
    found, told = np.zeros_like(change), np.zeros_like(seen)
    for block in np.unique(blocks):
        for rests in (False, True):
            days = np.flatnonzero((blocks == block) & (rest_day == rests))
            count = seen[days].sum(axis=0)
            told[days] = seen[days] & (count > 1)
            here = change[:, days] * told[days]
            usual = here.sum(axis=1, keepdims=True) / np.maximum(count, 1) * told[days]
            much = (here * usual).sum(axis=2) / np.maximum((usual**2).sum(axis=2), _NOTHING)
            found[:, days] = here - much[..., None] * usual
    return found, told


def _weights(unusual: Floats, seen: Mask, rest_day: Mask, spans: Ints) -> Floats:
    """One over the variance of what no sub explains, less for hours that are far off."""
    weight = np.zeros(seen.shape)
    for span in np.unique(spans):
        days = spans == span
        weight[days] = _robust(unusual[:, days], seen[days], rest_day[days])
    return weight


def _robust(unusual: Floats, seen: Mask, rest_day: Mask) -> Floats:
    subs, rest = unusual[:-2], unusual[-1]
    left = rest
    weight = seen.astype(np.float64)
    for _ in range(_ROUNDS):
        weight = _weight(left, seen, rest_day)
        product = np.einsum("idh,jdh->ij", weight * subs, subs)
        product += np.diag(_RIDGE * np.diag(product) + _TINY * (np.trace(product) + _TINY))
        share = np.linalg.solve(product, np.einsum("idh,dh->i", weight * subs, rest))
        left = rest - np.einsum("i,idh->dh", share, subs)
    return _weight(left, seen, rest_day)


def _weight(left: Floats, seen: Mask, rest_day: Mask) -> Floats:
    variance = np.zeros_like(left)
    for rests in (False, True):
        days = rest_day == rests
        if seen[days].any():
            usual = _median(np.abs(left[days]), seen[days]) ** 2 / _MEDIAN
            variance[days] = _OWN_HOUR * usual + (1 - _OWN_HOUR) * usual.mean()
    variance = np.maximum(variance, _TINY * max(_TINY, float((left**2).mean())))
    far = np.abs(left) / np.sqrt(variance)
    return np.asarray(seen / variance * np.minimum(1, _HUGE / np.maximum(far, _TINY)))


def _median(values: Floats, seen: Mask) -> Floats:
    """By hour, of those that are seen; 0 of none."""
    count = seen.sum(axis=0)
    ordered = np.sort(np.where(seen, values, np.inf), axis=0)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    return np.where(count > 0, middle, 0.0)


def _digits_together(digits: Floats) -> Floats:
    """What last digits add to the products: a sub's to its own, and to those with the sum."""
    found = np.diag(digits)
    found[:-1, -1] = found[-1, :-1] = digits[:-1]
    return found
