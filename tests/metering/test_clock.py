"""Clocks: wall time may be replayed and shared; monotonic time never is."""

import time

import pytest

from metering.clock import ClockStep, Replay, ReplayClock, SystemClock

JUNE_MS = 1_780_272_000_000


def anchored(*, ago_s: float, speed: float) -> Replay:
    return Replay(start_ms=JUNE_MS, anchor_ms=int((time.time() - ago_s) * 1000), speed=speed)


def test_two_processes_with_one_replay_see_one_time():
    replay = anchored(ago_s=10, speed=100.0)

    first, second = ReplayClock(replay), ReplayClock(replay)

    assert abs(first.now_ms() - second.now_ms()) < 1_000  # 10 ms of real time
    assert first.now_ms() == pytest.approx(JUNE_MS + 1_000_000, abs=5_000)


def test_replayed_time_runs_at_its_speed():
    clock = ReplayClock(anchored(ago_s=0, speed=3_600.0))
    begun, wall = time.monotonic_ns(), clock.now_ms()

    while time.monotonic_ns() - begun < 20_000_000:
        pass

    passed_ms = (time.monotonic_ns() - begun) / 1e6
    assert clock.now_ms() - wall == pytest.approx(passed_ms * 3_600, rel=0.2)


def test_a_step_of_the_machines_clock_does_not_tear_replayed_time(monkeypatch):
    clock = ReplayClock(anchored(ago_s=0, speed=1.0))
    before = clock.now_ms()

    stepped = time.time_ns() + 3_600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: stepped)

    assert clock.now_ms() - before < 1_000


def test_replayed_time_never_runs_backwards():
    clock = ReplayClock(anchored(ago_s=86_400, speed=1_000_000.0))

    seen = [clock.now_ms() for _ in range(1_000)]

    assert seen == sorted(seen)


def test_timers_of_a_replay_take_real_seconds():
    clock = ReplayClock(anchored(ago_s=0, speed=60.0))

    assert clock.real_s(60_000) == 1.0
    assert abs(clock.monotonic_ms() - SystemClock().monotonic_ms()) < 1_000


def test_the_systems_clock_runs_at_speed_one():
    clock = SystemClock()

    assert clock.real_s(1_500) == 1.5
    assert abs(clock.now_ms() - time.time() * 1000) < 1_000
    assert abs(clock.monotonic_ms() - time.monotonic() * 1000) < 1_000


HOUR_MS = 3_600_000


def stepped(*steps: tuple[int, int], ago_s: float) -> ReplayClock:
    return ReplayClock(
        Replay(
            start_ms=JUNE_MS,
            anchor_ms=int((time.time() - ago_s) * 1000),
            steps=tuple(ClockStep(at_ms=JUNE_MS + at_ms, by_ms=by_ms) for at_ms, by_ms in steps),
        )
    )


@pytest.mark.parametrize(
    ("ago_s", "shown_ms"),
    [
        (590, 590_000),  # before the step
        (610, 610_000 - HOUR_MS),
        (4_210, 4_210_000 - HOUR_MS),  # it shows the step's instant again, and does not step again
        (7_210, 7_210_000 - HOUR_MS + 86_400_000),  # the second one adds to the first
    ],
)
def test_a_clock_that_is_set_shows_another_time_from_then_on(ago_s, shown_ms):
    clock = stepped((600_000, -HOUR_MS), (7_200_000, 86_400_000), ago_s=ago_s)

    assert clock.now_ms() - JUNE_MS == pytest.approx(shown_ms, abs=2_000)


def test_monotonic_time_runs_through_a_step():
    clock = stepped((100, -HOUR_MS), ago_s=0)
    wall_ms, monotonic_ms = clock.now_ms(), clock.monotonic_ms()

    time.sleep(0.15)

    assert clock.now_ms() - wall_ms < -HOUR_MS + 60_000
    assert 150 <= clock.monotonic_ms() - monotonic_ms < 60_000
    assert clock.real_s(1_500) == 1.5
