"""How near a standing is to a power of ten of an earlier one, and in which unit a piece seems."""

import numpy as np
import pytest

from collector.settle.relation import Relation, gauges, relation


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (54_150_670, 54_150_680_000, Relation(3, 1.8e-7)),
        (54_150_680_000, 54_150_680, Relation(-3, 1.8e-7)),
        (25_044_000, 259_394_000, Relation(1, 0.0358)),
        (25_000_000, 26_000_000, None),
        (0, 26_000_000, None),
        (26_000_000, 0, None),
        (400, 400_000, None),
    ],
    ids=["thousandfold", "thousandth", "another meter", "the same", "from zero", "to zero", "tiny"],
)
def test_a_standing_is_told_from_a_power_of_ten_by_how_far_off_it_is(
    left: int, right: int, expected: Relation | None
) -> None:
    found = relation(left, right, resolution=10)

    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.power == expected.power
        assert found.off == pytest.approx(expected.off, rel=0.05)


def test_the_last_digit_counts_as_off() -> None:
    assert relation(1_000, 1_000_000, resolution=10) == Relation(3, 0.01)


def test_pieces_in_another_unit_are_gauged_and_find_back() -> None:
    value = np.array([5_000, 5_010, 501_100, 510_000, 5_205, 5_300]) * 1_000_000

    found = gauges(value, [(0, 1), (2, 3), (4, 5)], resolution=1_000_000)

    assert found.tolist() == [0, 2, 0]


def test_a_glitch_to_zero_is_in_no_other_unit() -> None:
    value = np.array([5_000, 5_010, 0, 5_011, 5_012]) * 1_000_000

    assert gauges(value, [(0, 1), (2, 2), (3, 4)], resolution=1_000_000).tolist() == [0, 0, 0]
