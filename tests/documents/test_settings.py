"""A replayed clock in a file of settings, with steps."""

import json

import pytest
from pydantic import ValidationError

from documents.settings import ReplaySettings, clock_of
from metering.clock import ClockStep, Replay

ENTRY = {"start": "2026-06-01T00:00:00+08:00", "anchor": "2026-11-01T12:00:00+08:00"}


def settings(**more):
    return ReplaySettings.model_validate_json(json.dumps(ENTRY | more))


def test_steps_are_read_in_milliseconds():
    steps = [
        {"at": "2026-06-01T12:00:00+08:00", "by_s": -3600},
        {"at": "2026-06-02T12:00:00+08:00", "by_s": 0.25},
    ]

    assert settings(speed=60, steps=steps).replay() == Replay(
        start_ms=1_780_243_200_000,
        anchor_ms=1_793_505_600_000,
        speed=60.0,
        steps=(
            ClockStep(at_ms=1_780_286_400_000, by_ms=-3_600_000),
            ClockStep(at_ms=1_780_372_800_000, by_ms=250),
        ),
    )


def test_two_processes_with_the_same_steps_show_the_same_time():
    steps = [{"at": "2026-06-01T00:00:00+08:00", "by_s": 86_400}]

    first, second, without = (clock_of(settings(steps=s)) for s in (steps, steps, []))

    assert abs(first.now_ms() - second.now_ms()) < 1_000
    assert first.now_ms() - without.now_ms() == pytest.approx(86_400_000, abs=1_000)


@pytest.mark.parametrize(
    "step", [{"by_s": 1}, {"at": "2026-06-01T00:00:00+08:00", "by_s": "1"}, {"at": 1, "bys": 2}]
)
def test_a_step_that_is_none_is_refused(step):
    with pytest.raises(ValidationError, match="steps"):
        settings(steps=[step])
