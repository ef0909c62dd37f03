"""What a register did: each kind of fault as a small story, and the law that holds for all."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.settle.follow import FAR_MS, doubts, follow
from collector.settle.register import Register, Replacement
from collector.settle.rule import Rule, bit, rules_in
from collector.settle.series import PER_UNIT, Course, Ending, Series, whole

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_767_196_800_000  # 2026-01-01 in Shanghai
AT = 500  # where the fault is, of 960 hourly readings
RATED = Register(rated_per_hour=400 * PER_UNIT)


def hourly(count: int = 960, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A building of about 100 kWh an hour, by day more than by night, on a register of 0.01 kWh."""
    hours = np.arange(count)
    noise = 1 + 0.1 * np.random.default_rng(seed).standard_normal(count).clip(-3, 3)
    load = 100 * (1 + 0.6 * np.sin(2 * np.pi * (hours - 8) / 24)) * noise
    total = 12_345.6 + np.concatenate(([0], np.cumsum(load[:-1])))
    return START_MS + hours * HOUR_MS, np.round(total, 2)


def series(at_ms: np.ndarray, value: np.ndarray) -> Series:
    order = np.argsort(at_ms, kind="stable")
    return Series(
        at_ms=at_ms[order].astype(np.int64),
        value=whole(value[order]),
        rules=np.zeros(len(at_ms), np.int64),
    )


def total(course: Course) -> float:
    return round(int(course.energy[course.known].sum()) / PER_UNIT, 6)


def law(course: Course) -> int:
    """What is consumed beyond the register epochs, in millionths."""
    epochs = sum(round((e.closed - e.opened) * e.multiplier) for e in course.epochs)
    return int(course.energy[course.known].sum()) - epochs


def rules_of(course: Course) -> set[Rule]:
    bits = int(np.bitwise_or.reduce(course.rules)) if len(course.rules) else 0
    return set(rules_in(bits))


@pytest.fixture(params=[Register(), RATED], ids=["habit", "rated"])
def register(request: pytest.FixtureRequest) -> Register:
    return request.param


def test_a_clean_series_is_its_differences_and_nothing_is_flagged(register: Register) -> None:
    at_ms, value = hourly()

    course = follow(series(at_ms, value), register)

    assert course.energy.tolist() == np.diff(whole(value)).tolist()
    assert course.known.all()
    assert not course.rules.any()
    assert course.dropped == ()
    assert not doubts(series(at_ms, value), register)


Fault = Callable[[np.ndarray], np.ndarray]


def changed(**places: float) -> Fault:
    def fault(value: np.ndarray) -> np.ndarray:
        for place, wrong in places.items():
            value[int(place[1:])] = wrong
        return value

    return fault


def run_of(count: int, wrong: Callable[[np.ndarray], np.ndarray]) -> Fault:
    def fault(value: np.ndarray) -> np.ndarray:
        value[AT : AT + count] = np.round(wrong(value[AT : AT + count]), 2)
        return value

    return fault


def rolled(value: np.ndarray) -> np.ndarray:
    return np.round((value - value[AT] + 99_950) % 100_000, 2)


@pytest.mark.parametrize(
    ("fault", "rule", "dropped"),
    [
        (changed(p500=99_999.0), Rule.SPIKE, 1),
        (changed(p500=99_999.0, p501=99_999.0, p502=99_999.0), Rule.SPIKE, 3),
        (changed(p500=0.0), Rule.GLITCH, 1),
        (run_of(30, np.zeros_like), Rule.GLITCH, 30),
        (run_of(120, np.zeros_like), Rule.GLITCH, 120),
        (run_of(10, lambda v: v * 1000), Rule.UNIT, 0),
        (run_of(150, lambda v: v / 1000), Rule.UNIT, 0),
        (run_of(960, lambda v: v * 10), Rule.UNIT, 0),
        (run_of(960, lambda v: v / 100), Rule.UNIT, 0),
        (rolled, Rule.ROLLOVER, 0),
        (run_of(960, lambda v: v - v[0] + 100.0), Rule.RESET, 0),
        (run_of(12, lambda v: np.full_like(v, v[0])), Rule.FROZEN, 11),
    ],
    ids=[
        "spike", "spikes", "zero", "a day of zeros", "five days of zeros", "a thousandfold",
        "a thousandth for days", "tenfold for good", "a hundredth for good", "rollover", "reset",
        "frozen, then caught up",
    ],
)  # fmt: skip
def test_each_fault_is_named_and_the_total_stays_the_registers(
    fault: Fault, rule: Rule, dropped: int, register: Register
) -> None:
    at_ms, value = hourly()
    consumed = value[-1] - value[0]

    course = follow(series(at_ms, fault(value.copy())), register)

    assert rules_of(course) - {Rule.SOFT_LIMIT} == {rule}
    assert len(course.dropped) == dropped
    assert total(course) == pytest.approx(consumed, abs=150.0 if rule is Rule.RESET else 6.0)
    if rule not in {Rule.RESET, Rule.UNIT}:
        assert total(course) == pytest.approx(consumed, abs=1e-6)
    assert abs(law(course)) <= 2


def test_a_jump_that_nobody_explains_is_no_consumption(register: Register) -> None:
    at_ms, value = hourly()
    value[AT:] += 70_000

    course = follow(series(at_ms, value), register)

    (unknown,) = np.flatnonzero(~course.known)
    assert course.at_ms[unknown] == at_ms[AT - 1]
    assert total(course) == pytest.approx(value[-1] - value[0] - 70_000, abs=200)
    assert [epoch.ending for epoch in course.epochs] == [Ending.JUMP, None]
    assert law(course) == 0


def test_a_replaced_meter_keeps_the_series_and_the_total_exact(register: Register) -> None:
    at_ms, value = hourly()
    closing, opening = value[AT] + 20.5, 70_000.25
    event_ms = int(at_ms[AT]) + HOUR_MS // 2
    consumed = value[-1] - value[0]
    value[AT + 1 :] = np.round(value[AT + 1 :] - closing + opening, 2)
    event = Replacement(
        at_ms=event_ms,
        closing=int(whole(np.array([closing]))[0]),
        opening=int(whole(np.array([opening]))[0]),
    )
    told = Register(rated_per_hour=register.rated_per_hour, replacements=(event,))

    course = follow(series(at_ms, value), told)

    assert total(course) == pytest.approx(consumed, abs=0.02)
    assert np.count_nonzero(course.at_ms == event_ms) == 2
    assert rules_of(course) == {Rule.REPLACEMENT}
    assert law(course) == 0


def test_a_replacement_is_found_where_the_register_changed_though_the_time_told_is_hours_off(
    register: Register,
) -> None:
    at_ms, value = hourly()
    consumed = value[-1] - value[0]
    closing = value[AT]
    value[AT + 1 :] = np.round(value[AT + 1 :] - closing + 5.0, 2)
    event = Replacement(
        at_ms=int(at_ms[AT]) - 5 * HOUR_MS,
        closing=round(closing * PER_UNIT),
        opening=5 * PER_UNIT,
    )
    told = Register(rated_per_hour=register.rated_per_hour, replacements=(event,))

    course = follow(series(at_ms, value), told)

    assert total(course) == pytest.approx(consumed, abs=0.02)
    assert rules_of(course) == {Rule.REPLACEMENT}


def test_another_ratio_of_the_fleets_goes_on_in_the_new_scale(register: Register) -> None:
    at_ms, value = hourly()
    secondary = value.copy()
    value[AT:] = np.round(secondary[AT:] * 1.5, 2)
    told = Register(
        rated_per_hour=register.rated_per_hour,
        ratios=((0, 80.0), (int(at_ms[AT]) - 7 * HOUR_MS, 120.0)),
    )

    course = follow(series(at_ms, value), told)

    before, after = secondary[AT] - secondary[0], 1.5 * (secondary[-1] - secondary[AT])
    assert total(course) == pytest.approx(before + after, rel=1e-3)
    assert rules_of(course) == {Rule.RATIO}
    assert law(course) == 0


def test_a_ratio_that_changes_while_the_unit_is_wrong_keeps_the_law() -> None:
    at_ms, value = hourly()
    value[400:600] = np.round(value[400:600] / 1000, 5)
    value[AT:] *= 2
    told = Register(ratios=((0, 40.0), (int(at_ms[AT]), 80.0)))

    course = follow(series(at_ms, value), told)

    assert {Rule.UNIT, Rule.RATIO} <= rules_of(course)
    assert abs(law(course)) <= 4


def test_a_stretch_whose_unit_changed_before_says_so() -> None:
    at_ms, value = hourly(100)

    course = follow(series(at_ms, value * 1000), Register(power_of_ten=3))

    assert rules_of(course) == {Rule.UNIT}
    assert total(course) == pytest.approx(value[-1] - value[0], abs=1e-3)


def test_a_new_registers_one_day_in_another_unit_does_not_shrink_all_that_follows() -> None:
    at_ms = START_MS + np.arange(60 * 24) * HOUR_MS
    value = np.round(5.51 + np.arange(len(at_ms)) * 1.0, 2)
    wrong = value.copy()
    wrong[30:54] = np.round(value[30:54] / 1000, 3)

    course = follow(series(at_ms, wrong), Register(rated_per_hour=4 * PER_UNIT))

    assert total(course) > 0.95 * (value[-1] - value[0])


def test_readings_at_the_end_of_what_a_counter_can_say_do_no_harm() -> None:
    at_ms, value = hourly(100)
    value[50:60] = 1e12

    course = follow(series(at_ms, value), Register())

    assert (course.energy >= 0).all()
    assert law(course) == 0


def test_two_swapped_neighbours_cost_one_reading(register: Register) -> None:
    at_ms, value = hourly()
    consumed = value[-1] - value[0]
    value[[AT, AT + 1]] = value[[AT + 1, AT]]

    course = follow(series(at_ms, value), register)

    assert total(course) == pytest.approx(consumed, abs=1e-6)
    assert [one.rule for one in course.dropped] == [Rule.SWAPPED]


def test_a_clock_set_back_an_hour_loses_nothing(register: Register) -> None:
    at_ms = START_MS + np.arange(3 * 1440) * 60_000
    value = np.round(1000 + np.cumsum(np.full(len(at_ms), 1.67)), 2)
    wrong = at_ms.copy()
    wrong[2000:] -= HOUR_MS
    stamps, first = np.unique(wrong, return_index=True)

    course = follow(series(stamps, value[first]), register)

    assert total(course) == pytest.approx(value[-1] - value[0], abs=1e-6)
    assert Rule.CLOCK in rules_of(course)


def test_readings_of_two_clocks_that_run_through_each_other_keep_the_total(
    register: Register,
) -> None:
    at_ms = START_MS + np.arange(3 * 1440) * 60_000
    value = np.round(1000 + np.cumsum(np.full(len(at_ms), 1.67)), 2)
    wrong = at_ms.copy()
    wrong[2000:] -= HOUR_MS - 7_000  # not on the minute: both hours are there

    course = follow(series(wrong, value), register)

    assert total(course) == pytest.approx(value[-1] - value[0], abs=1e-6)


def test_a_clock_that_ran_eight_hours_ahead_for_a_day_loses_nothing() -> None:
    at_ms, value = hourly()
    wrong = at_ms.copy()
    wrong[AT : AT + 24] += 8 * HOUR_MS + 60_000

    course = follow(series(wrong, value), RATED)

    assert total(course) == pytest.approx(value[-1] - value[0], abs=1e-6)
    assert course.known.all()
    assert Rule.CLOCK in {one.rule for one in course.dropped}


@pytest.mark.parametrize("seconds", [-20, 2, 60])
def test_a_clock_that_runs_wrong_every_day_is_named_and_costs_no_energy(seconds: int) -> None:
    at_ms, value = hourly()
    drift = np.clip(np.arange(len(at_ms)) - AT, 0, None) * seconds * 1000 // 24

    course = follow(series(at_ms + drift, value), Register())

    assert total(course) == pytest.approx(value[-1] - value[0], abs=1e-6)
    flagged = np.flatnonzero(course.rules)
    assert rules_of(course) == {Rule.DRIFT}
    assert AT - 30 <= flagged[0] <= AT + 48
    assert flagged[-1] >= len(at_ms) - 30


def test_one_shift_of_the_schedule_is_no_drift() -> None:
    at_ms, value = hourly()
    random = np.random.default_rng(5)
    moved = at_ms + random.integers(0, 900, len(at_ms)) + np.where(np.arange(960) > AT, 40_000, 0)

    course = follow(series(moved, value), Register())

    assert not course.rules.any()


def test_a_night_without_consumption_is_not_frozen() -> None:
    at_ms = START_MS + np.arange(40 * 24) * HOUR_MS
    hour = np.arange(len(at_ms)) % 24
    load = np.where((hour >= 7) & (hour < 18), 20.0 + hour, 0.0)
    value = np.round(500 + np.concatenate(([0], np.cumsum(load[:-1]))), 2)

    course = follow(series(at_ms, value), Register())

    assert not course.rules.any()
    assert course.dropped == ()


def test_a_coarse_register_that_steps_every_few_hours_is_not_frozen() -> None:
    at_ms = START_MS + np.arange(20 * 1440) * 60_000
    value = np.floor(100 + np.arange(len(at_ms)) / 173.0)

    course = follow(series(at_ms, value), Register())

    assert not course.rules.any()


def test_a_fall_at_the_very_end_waits_for_more_readings(register: Register) -> None:
    at_ms, value = hourly(AT + 2)
    value[AT:] = value[AT:] - value[AT] + 50.0

    course = follow(series(at_ms, value), register)

    assert [one.rule for one in course.dropped] == [Rule.GLITCH, Rule.GLITCH]
    assert course.at_ms[-1] == at_ms[AT - 1]


def test_without_two_readings_there_is_no_leg() -> None:
    nothing = series(np.empty(0), np.empty(0))
    one = series(np.array([START_MS]), np.array([5.0]))

    assert len(follow(nothing, Register()).energy) == 0
    assert follow(one, Register()).at_ms.tolist() == [START_MS]


# ---- whatever happens


def _rolls(value: np.ndarray, place: int) -> None:
    value[place:] = (value[place:] - value[place] + 9_999) % 10_000


def _swap(value: np.ndarray, place: int) -> None:
    value[[place, place + 1]] = value[[place + 1, place]]


# What may happen at `place` for `length` readings; `size` is whatever it needs.
WRONG: dict[str, Callable[[np.ndarray, int, slice, float], None]] = {
    "zero": lambda value, _place, there, _size: value.__setitem__(there, 0),
    "spike": lambda value, _place, there, _size: value.__setitem__(there, value[there] * 50),
    "thousand": lambda value, _place, there, _size: value.__setitem__(there, value[there] * 1e3),
    "thousandth": lambda value, _place, there, _size: value.__setitem__(there, value[there] / 1e3),
    "freeze": lambda value, place, there, _size: value.__setitem__(there, value[place]),
    "reset": lambda value, place, _there, _size: value.__setitem__(
        slice(place, None), value[place:] - value[place]
    ),
    "jump": lambda value, place, _there, size: value.__setitem__(
        slice(place, None), value[place:] + size
    ),
    "roll": lambda value, place, _there, _size: _rolls(value, place),
    "swap": lambda value, place, _there, _size: _swap(value, place),
    "noise": lambda value, _place, there, size: value.__setitem__(
        there, np.random.default_rng(abs(int(size))).uniform(0, 1e6, len(value[there]))
    ),
}


def replaced(value: np.ndarray, at_ms: np.ndarray, place: int, opening: int) -> Replacement:
    """Another register from `place` on; the event that a person would write down."""
    closing = float(value[place])
    value[place + 1 :] = np.abs(value[place + 1 :] - closing) + opening
    return Replacement(
        at_ms=int(at_ms[place]) + 1,
        closing=round(closing * PER_UNIT),
        opening=opening * PER_UNIT,
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[Replacement, ...]]:
    count = draw(st.integers(30, 400))
    step_ms = draw(st.sampled_from([60_000, 900_000, HOUR_MS, DAY_MS]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    value = 100 + np.cumsum(np.round(random.gamma(2.0, 3.0, count), draw(st.integers(0, 3))))
    at_ms = START_MS + np.arange(count) * step_ms + random.integers(0, 900, count)
    keep = np.ones(count, np.bool_)
    events = []
    for _ in range(draw(st.integers(0, 5))):
        place = draw(st.integers(1, count - 2))
        there = slice(place, place + draw(st.integers(1, 30)))
        kind = draw(st.sampled_from(("gap", "replaced", *WRONG)))
        if kind == "gap":
            keep[there] = False
        elif kind == "replaced":
            events.append(replaced(value, at_ms, place, draw(st.integers(0, 10**6))))
        else:
            WRONG[kind](value, place, there, draw(st.floats(-5000, 50_000)))
    value = np.abs(np.round(value, 3))
    events.sort(key=lambda event: event.at_ms)
    return at_ms[keep], value[keep], tuple(events)


@settings(max_examples=300, deadline=None)
@given(histories(), st.sampled_from([None, 50 * PER_UNIT, 10**9]))
def test_whatever_happens_the_intervals_sum_to_the_register_epochs(
    history: tuple[np.ndarray, np.ndarray, tuple[Replacement, ...]], rated: int | None
) -> None:
    at_ms, value, events = history
    register = Register(rated_per_hour=rated, replacements=events)

    course = follow(series(at_ms, value), register)

    assert (course.energy >= 0).all()
    assert not course.energy[~course.known].any()
    assert (np.diff(course.at_ms) >= 0).all()
    assert len(course.energy) == len(course.known) == len(course.rules) == len(course.at_ms) - 1
    scaled = sum(epoch.multiplier != 1.0 for epoch in course.epochs)
    changes = bit(Rule.UNIT) & int(np.bitwise_or.reduce(course.rules, initial=0))
    pieces = len(value) if scaled or changes else 0
    assert abs(law(course)) <= pieces  # a millionth at most where the unit changed
    assert len(course.dropped) <= len(value)


def test_a_window_is_judged_as_the_whole_history_is(register: Register) -> None:
    at_ms, value = hourly(24 * 120)
    random = np.random.default_rng(11)
    for place in random.choice(len(value) - 40, 12, replace=False):
        match random.integers(0, 4):
            case 0:
                value[place] = 0
            case 1:
                value[place : place + 3] *= 10
            case 2:
                value[place : place + 9] = value[place]
            case _:
                value[place:] -= value[place]
    everything = series(at_ms, value)
    history = follow(everything, register)

    for day in range(20, 100, 4):
        start_ms = START_MS + day * DAY_MS
        near = (at_ms >= start_ms - FAR_MS) & (at_ms < start_ms + DAY_MS + FAR_MS)
        part = follow(
            Series(
                at_ms=everything.at_ms[near],
                value=everything.value[near],
                rules=everything.rules[near],
            ),
            register,
        )
        assert legs(part, start_ms) == legs(history, start_ms)


def legs(course: Course, start_ms: int) -> list[tuple[int, int, int, bool, int]]:
    there = np.flatnonzero((course.at_ms[1:] > start_ms) & (course.at_ms[:-1] < start_ms + DAY_MS))
    return [
        (
            int(course.at_ms[leg]),
            int(course.at_ms[leg + 1]),
            int(course.energy[leg]),
            bool(course.known[leg]),
            int(course.rules[leg]),
        )
        for leg in there
    ]
