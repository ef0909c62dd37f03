"""Households: a main, some sub-meters and an unmetered rest, made by the hour; the same each time.

Every load has a daily course of its own, days that are livelier than others, and hours that hang
on the hour before.
"""

import numpy as np
from numpy.typing import NDArray

from collector.gain.hours import FamilyHours
from collector.settle.cells import DAY_MS

START_MS = 1_767_196_800_000  # 2026-01-01 in Shanghai, a Thursday
HOURS = 24
MAIN = "main"

Floats = NDArray[np.float64]


def load(mean: float, days: int, seed: int, *, wild: float = 0.15) -> Floats:
    """Energy by the hour: days by 24.

    Args:
        wild: how far an hour is from its usual one, as a share.
    """
    chance = np.random.default_rng(seed)
    peak, swing = chance.uniform(8, 18), chance.uniform(0.2, 0.6)
    course = 1 + swing * np.cos(2 * np.pi * (np.arange(HOURS) - peak) / HOURS)
    noise = np.zeros(days * HOURS)
    for hour, push in enumerate(chance.normal(0, wild, days * HOURS)):
        noise[hour] = 0.7 * noise[hour - 1] + push
    lively = chance.uniform(0.95, 1.05, (days, 1))
    return mean * course * lively * np.exp(noise.reshape(days, HOURS))


class Household:
    """What really goes through each meter; `registered` is what they say."""

    def __init__(
        self,
        *means: float,
        rest: float = 10.0,
        days: int = 98,
        seed: int = 1,
        wild: float = 0.15,
    ) -> None:
        self.days = days
        self.subs = [
            load(mean, days, 100 * seed + place, wild=wild) for place, mean in enumerate(means)
        ]
        self.rest = load(rest, days, 100 * seed + 99)
        self.factors = np.ones((len(means) + 1, days))

    def counts(self, place: int, times: float, since: int, *, within: int = 1) -> None:
        """A meter (0 is the main) comes to count `times` as much, from a day on."""
        came = np.clip((np.arange(self.days) - since + 1) / within, 0, 1)
        self.factors[place] = 1 + (times - 1) * came

    def hours(self, *, step: float = 0.0) -> FamilyHours:
        """As settlement has them.

        Args:
            step: the registers' last digit; 0: they show all.
        """
        through = np.array([sum(self.subs) + self.rest, *self.subs])
        energy = through * self.factors[:, :, None]
        if step:
            energy = _shown(energy, step)
        return FamilyHours(
            main=MAIN,
            subs=tuple(f"s{place}" for place in range(len(self.subs))),
            start_ms=START_MS,
            rest_day=(np.arange(self.days) + 3) % 7 >= 5,
            energy=energy,
            there=np.ones((self.days, HOURS), np.bool_),
            step=np.full(len(energy), step),
        )

    def day_ms(self, place: int) -> int:
        return START_MS + place * DAY_MS


def _shown(energy: Floats, step: float) -> Floats:
    flat = energy.reshape(len(energy), -1)
    standing = np.concatenate((np.zeros((len(flat), 1)), np.cumsum(flat, axis=1)), axis=1)
    shown = np.diff(np.floor(standing / step + 0.5) * step, axis=1)
    return np.asarray(shown.reshape(energy.shape))
