"""What others' users suffer from in their totals: a test a promise, by the pattern's number."""

import numpy as np
import pytest

from collector.settle.cells import DAY_MS, Width
from collector.settle.rule import Rule, bit
from collector.settle.series import PER_UNIT
from tests.fakes.settling import START_MS, Settling, hourly

DAYS = 40


def settled(at_ms: np.ndarray, values: np.ndarray) -> Settling:
    town = Settling(now_ms=START_MS + DAYS * DAY_MS)
    town.put("m1", at_ms, values)
    town.settlement.settle_dirty()
    return town


def total(town: Settling, width: Width) -> float:
    cells = town.rows("m1", width).cells
    return int(cells.value[cells.known].sum()) / PER_UNIT


@pytest.mark.parametrize("fault", ["reset", "rollover"])
def test_09_a_reset_or_a_rollover_shows_no_negative_or_huge_consumption_and_keeps_the_total(
    fault: str,
) -> None:
    at_ms, values = hourly(DAYS * 24)
    consumed = float(values[-1] - values[0])
    usual = float(np.diff(values).max())
    shifted = values - values[500] if fault == "reset" else values - values[500] + 99_990
    values = np.where(
        np.arange(len(values)) >= 500, shifted, values if fault == "reset" else shifted
    )
    if fault == "rollover":
        values = np.round(values % 100_000, 2)

    town = settled(at_ms, values)

    hours = town.rows("m1", Width.HOUR).cells
    assert (hours.value >= 0).all()
    assert hours.value.max() / PER_UNIT <= usual
    # What ran between the last reading and the reset nobody can know: an hour at most.
    assert total(town, Width.MONTH) == pytest.approx(
        consumed, abs=usual if fault == "reset" else 0.02
    )


def test_10_a_momentary_zero_is_flagged_and_the_totals_are_left_intact() -> None:
    at_ms, values = hourly(DAYS * 24)
    consumed = float(values[-1] - values[0])
    values[500] = 0.0

    town = settled(at_ms, values)

    hours = town.rows("m1", Width.HOUR).cells
    flagged = hours.start_ms[hours.rules & bit(Rule.GLITCH) != 0]
    assert flagged.tolist() == [at_ms[499], at_ms[500]]
    assert total(town, Width.DAY) == pytest.approx(consumed, abs=1e-6)


def test_11_after_an_outage_every_interval_stands_at_its_own_time() -> None:
    at_ms, values = hourly(DAYS * 24)
    live = np.r_[0:200, 600:960]
    town = settled(at_ms[live], values[live])

    backlog = np.arange(200, 600)[::-1]
    town.put("m1", at_ms[backlog], values[backlog])
    town.settlement.settle_dirty()

    hours = town.rows("m1", Width.HOUR).cells
    expected = np.rint(np.diff(values) * PER_UNIT).astype(np.int64)
    assert hours.value[: len(expected)].tolist() == expected.tolist()
    assert (hours.measured[: len(expected)] == 1).all()


def test_12_late_data_compute_hours_days_and_months_anew() -> None:
    at_ms, values = hourly(DAYS * 24)
    late = np.arange(30 * 24 + 6, 31 * 24 + 6)  # over the end of January
    early = np.setdiff1d(np.arange(len(at_ms)), late)
    town = settled(at_ms[early], values[early])
    before = town.rows("m1", Width.MONTH)

    town.put("m1", at_ms[late], values[late])
    town.settlement.settle_dirty()

    whole = settled(at_ms, values)
    for width in Width:
        assert town.table("m1", width) == whole.table("m1", width)
    after = town.rows("m1", Width.MONTH)
    assert after.cells.value.tolist() != before.cells.value.tolist()
    assert after.version.tolist() == [2, 2]
