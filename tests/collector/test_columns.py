"""Rows become columns, and instants become few ranges."""

import numpy as np
import pytest

from collector.adapters.columns import columns_of, has_repeats, months_of, spans_of
from collector.overlay import Unfit
from collector.store import Row, Tags

HOUR_MS = 3_600_000
TAGS = Tags(**dict.fromkeys(Tags.__struct_fields__, "m"))


def row(at_ms: int = 0, fault: str | None = None, **values: float) -> Row:
    return Row(meter="m", at_ms=at_ms, values=values, fault=fault, tags=TAGS)


def test_rows_of_one_shape_become_a_dense_matrix() -> None:
    columns = columns_of(
        [row(1, frequency_hz=50, volume_m3=1), row(2, frequency_hz=49, volume_m3=2)]
    )

    assert columns.names == ("frequency_hz", "volume_m3")
    assert columns.values.tolist() == [[50.0, 49.0], [1.0, 2.0]]
    assert (columns.sparse, columns.faults) == (False, None)
    assert columns.count_values() == 4
    assert columns.valued().all()


def test_the_order_in_which_a_row_names_its_quantities_does_not_matter() -> None:
    columns = columns_of([row(frequency_hz=50, volume_m3=1), row(volume_m3=2, frequency_hz=49)])

    assert columns.names == ("frequency_hz", "volume_m3")
    assert columns.values.tolist() == [[50.0, 49.0], [1.0, 2.0]]


def test_picked_rows_bring_only_the_quantities_they_have() -> None:
    columns = columns_of([row(1, frequency_hz=50), row(2, volume_m3=1), row(3, fault="timeout")])

    picked = columns.pick(np.array([False, True, True]))

    assert picked.names == ("volume_m3",)
    assert picked.at_ms.tolist() == [2, 3]
    assert picked.faults is not None
    assert picked.faults.tolist() == [None, "timeout"]
    assert picked.valued().tolist() == [True, False]
    assert (columns.count_values(), picked.count_values()) == (2, 1)


@pytest.mark.parametrize(
    "bad", [row(frequency_hz=float("nan")), row(spin=1.0), row(-1, volume_m3=1), row(2**42)]
)
def test_a_row_no_store_takes_is_found(bad: Row) -> None:
    with pytest.raises(Unfit):
        columns_of([row(volume_m3=1), bad])


def test_near_instants_share_a_range_and_far_ones_do_not() -> None:
    live = [1000 * HOUR_MS, 1000 * HOUR_MS + 60_000]
    backlog = [10 * HOUR_MS + 60_000, 10 * HOUR_MS]

    assert spans_of(np.array(live + backlog)) == [
        (10 * HOUR_MS, 10 * HOUR_MS + 60_000),
        (1000 * HOUR_MS, 1000 * HOUR_MS + 60_000),
    ]
    assert spans_of(np.array([5, 5])) == [(5, 5)]


def test_scattered_instants_are_covered_by_eight_ranges_at_most() -> None:
    instants = np.arange(100) ** 2 * HOUR_MS

    spans = spans_of(instants)

    assert len(spans) == 8
    assert all(any(low <= at <= high for low, high in spans) for at in instants.tolist())
    assert spans[-1] == (99**2 * HOUR_MS, 99**2 * HOUR_MS)


def test_a_month_is_cut_at_midnight_utc() -> None:
    instants = np.array([0, 1_780_271_999_999, 1_780_272_000_000, 2**42 - 1])

    assert months_of(instants).tolist() == [197001, 202605, 202606, 210905]


def test_a_key_that_occurs_twice_is_seen() -> None:
    assert has_repeats([1, 2, 1], np.array([7, 7, 7]))
    assert not has_repeats([1, 2, 1], np.array([7, 7, 8]))
