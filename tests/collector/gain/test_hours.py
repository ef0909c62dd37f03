"""Hours of a family side by side: only such as every meter truly counted."""

import numpy as np
import pytest

from collector.gain.hours import family_hours, last_digit
from collector.intervals import Intervals
from collector.settle.cells import DAY_MS, HOUR_MS, Cells, Width
from collector.settle.rule import Rule, bit
from tests.fakes.households import START_MS

SPAN = (START_MS, START_MS + 2 * DAY_MS)


def settled(meter: str, **changes: dict[int, float]) -> Intervals:
    """48 hours of 3 kWh, all measured; `changes` by column and place."""
    count = 48
    columns = {
        "value": np.full(count, 3_000_000, np.int64),
        "known": np.ones(count, np.bool_),
        "measured": np.ones(count),
        "edited": np.zeros(count),
        "rules": np.zeros(count, np.int64),
    }
    for name, at in changes.items():
        for place, value in at.items():
            columns[name][place] = value
    return Intervals(
        meter=meter,
        quantity="energy_import_kwh",
        width=Width.HOUR,
        version=np.ones(count, np.int64),
        cells=Cells(
            start_ms=START_MS + np.arange(count) * HOUR_MS,
            estimated=1 - columns["measured"] - columns["edited"],
            missing=np.zeros(count),
            **columns,
        ),
    )


def there(**of_sub: dict[int, float]) -> list[int]:
    """Places of the hours that cannot be compared."""
    hours = family_hours(
        "m",
        ["s"],
        {"m": settled("m"), "s": settled("s", **of_sub)},
        SPAN,
        lambda day_ms: day_ms > START_MS,
        {"m": 0.1},
    )
    return np.flatnonzero(~hours.there.ravel()).tolist()


def test_hours_stand_side_by_side_the_main_first() -> None:
    sub = settled("s", value={25: 1_500_000})

    hours = family_hours(
        "m",
        ["s"],
        {"m": settled("m"), "s": sub},
        SPAN,
        lambda day_ms: day_ms > START_MS,
        {"m": 0.1},
    )

    assert (hours.main, hours.subs) == ("m", ("s",))
    assert hours.energy.shape == (2, 2, 24)
    assert hours.energy[:, 1, 1].tolist() == [3.0, 1.5]
    assert hours.rest_day.tolist() == [False, True]
    assert hours.step.tolist() == [0.1, 0.0]
    assert hours.there.all()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("known", 0.0),
        ("measured", 0.4),
        ("rules", bit(Rule.FROZEN)),
        ("rules", bit(Rule.JUMP)),
        ("rules", bit(Rule.UNIT)),
        ("rules", bit(Rule.LIKE_DAY)),
    ],
)
def test_an_hour_that_one_meter_did_not_truly_count_is_compared_with_none(
    column: str, value: float
) -> None:
    assert there(**{column: {7: value}}) == [7]


def test_an_hour_that_a_person_entered_is_compared() -> None:
    assert there(measured={7: 0.0}, edited={7: 1.0}) == []


def test_a_meter_without_any_hours_leaves_none_to_compare() -> None:
    hours = family_hours("m", ["s"], {"m": settled("m")}, SPAN, lambda _: False, {})

    assert not hours.there.any()
    assert not hours.energy.any()


def test_some_days_of_it_begin_with_their_first() -> None:
    hours = family_hours(
        "m",
        ["s"],
        {"m": settled("m"), "s": settled("s")},
        SPAN,
        lambda day_ms: day_ms > START_MS,
        {},
    )

    second = hours.between(1, 2)

    assert second.start_ms == START_MS + DAY_MS
    assert second.rest_day.tolist() == [True]
    assert second.energy.shape == (2, 1, 24)
    assert second.place(START_MS + DAY_MS) == 0


@pytest.mark.parametrize(
    ("values", "known", "step"),
    [
        ([10.0, 10.5, 12.0], (), 0.5),
        ([7.25, 7.25], (), 0.0),
        ([], (), 0.0),
        ([10.0, 10.5, 12.0], (2.0,), 2.0),
    ],
)
def test_the_last_digit_is_the_coarser_of_what_is_shown_and_what_is_known(
    values: list[float], known: tuple[float, ...], step: float
) -> None:
    assert last_digit(np.array(values), known) == step
