"""Onset: the day on which a share began to change."""

import numpy as np
import pytest

from collector.gain.onset import onset


@pytest.mark.parametrize("start", [20, 45, 70])
@pytest.mark.parametrize("ramp", [1, 14, 28])
def test_the_day_is_that_of_the_step_or_of_the_foot_of_the_slope(start: int, ramp: int) -> None:
    chance = np.random.default_rng(start)
    weight = chance.uniform(0.5, 2, 98)
    share = 0.1 + 0.25 * np.clip((np.arange(98) - start + 1) / ramp, 0, 1)

    assert onset(weight, weight * share) == start


def test_days_without_anything_known_do_not_move_it() -> None:
    weight = np.ones(98)
    weight[30:40] = 0.0
    share = np.where(np.arange(98) >= 50, 0.3, 0.0)

    assert onset(weight, weight * share) == 50


def test_nothing_known_is_some_day() -> None:
    assert 0 <= onset(np.zeros(98), np.zeros(98)) < 98
