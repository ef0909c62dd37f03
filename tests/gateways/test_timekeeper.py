"""The timekeeper: how sure the time is, and what happens to readings taken before it was."""

import pytest

from gateways.timekeeper import Timekeeper
from metering.batch import ClockState
from tests.fakes.clock import FakeClock

IN_1970 = 30_000
NOW = 1_763_800_000_000
HOUR = 3_600_000


class Kernel:
    """What the kernel and the operator say; may change."""

    def __init__(self, state: ClockState) -> None:
        self.state = state

    def __call__(self) -> ClockState:
        return self.state


class StepClock(FakeClock):
    """A clock that somebody sets."""

    def step_to(self, now_ms: int) -> None:
        self._now_ms = now_ms


@pytest.fixture
def clock() -> StepClock:
    clock = StepClock(now_ms=IN_1970)
    clock._monotonic_ms = 500_000.0
    return clock


@pytest.mark.parametrize("state", [ClockState.SYNCED, ClockState.RTC, ClockState.UNSYNCED])
def test_it_says_what_the_kernel_or_the_operator_vouches_for(clock, state):
    timekeeper = Timekeeper(clock, Kernel(state))

    assert timekeeper.state is state
    assert timekeeper.now_ms() == IN_1970


def test_a_commits_now_serves_where_nothing_better_does(clock):
    timekeeper = Timekeeper(clock, Kernel(ClockState.UNSYNCED))

    timekeeper.learn(NOW)

    assert timekeeper.state is ClockState.COMMIT
    assert timekeeper.now_ms() == NOW
    clock.pass_ms(HOUR)
    assert timekeeper.now_ms() == NOW + HOUR


@pytest.mark.parametrize("state", [ClockState.SYNCED, ClockState.RTC])
def test_a_commits_now_yields_to_what_is_better(clock, state):
    timekeeper = Timekeeper(clock, Kernel(state))

    timekeeper.learn(NOW)

    assert timekeeper.state is state
    assert timekeeper.now_ms() == IN_1970


def test_ntp_that_comes_later_takes_over_and_a_commit_serves_again_when_it_goes(clock):
    kernel = Kernel(ClockState.UNSYNCED)
    timekeeper = Timekeeper(clock, kernel)
    timekeeper.learn(NOW)

    kernel.state = ClockState.SYNCED
    clock.step_to(NOW + 5)
    assert (timekeeper.state, timekeeper.now_ms()) == (ClockState.SYNCED, NOW + 5)

    kernel.state = ClockState.UNSYNCED
    assert (timekeeper.state, timekeeper.now_ms()) == (ClockState.COMMIT, NOW)


def test_the_latest_commit_counts(clock):
    timekeeper = Timekeeper(clock, Kernel(ClockState.UNSYNCED))
    timekeeper.learn(NOW)
    clock.pass_ms(HOUR)

    timekeeper.learn(NOW + HOUR - 40)

    assert timekeeper.now_ms() == NOW + HOUR - 40


def test_a_step_of_the_machines_clock_does_not_move_the_commits_time(clock):
    timekeeper = Timekeeper(clock, Kernel(ClockState.UNSYNCED))
    timekeeper.learn(NOW)

    clock.step_to(NOW + 10 * HOUR)

    assert timekeeper.now_ms() == NOW


def test_an_instant_before_the_clock_was_set_is_stamped_by_the_monotonic_clock(clock):
    kernel = Kernel(ClockState.UNSYNCED)
    timekeeper = Timekeeper(clock, kernel)
    answered = timekeeper.monotonic_ms()
    clock.pass_ms(2 * HOUR)

    clock.step_to(NOW)
    kernel.state = ClockState.SYNCED

    assert timekeeper.restamp(answered) == NOW - 2 * HOUR


def test_an_instant_is_stamped_by_a_commit_just_so(clock):
    timekeeper = Timekeeper(clock, Kernel(ClockState.UNSYNCED))
    answered = timekeeper.monotonic_ms()
    clock.pass_ms(HOUR)

    timekeeper.learn(NOW)

    assert timekeeper.restamp(answered) == NOW - HOUR


@pytest.mark.parametrize(
    ("state", "learnt", "at_ms", "clock_state"),
    [
        (ClockState.SYNCED, True, IN_1970, ClockState.SYNCED),
        (ClockState.UNSYNCED, False, IN_1970, ClockState.UNSYNCED),
        (ClockState.UNSYNCED, True, NOW, ClockState.COMMIT),
    ],
)
def test_a_stamp_says_the_time_and_who_vouches_for_it(clock, state, learnt, at_ms, clock_state):
    timekeeper = Timekeeper(clock, Kernel(state))
    if learnt:
        timekeeper.learn(NOW)

    stamp = timekeeper.stamp()

    assert (stamp.at_ms, stamp.monotonic_ms, stamp.clock) == (at_ms, 500_000, clock_state)


def test_timers_are_the_machines(clock):
    timekeeper = Timekeeper(clock, Kernel(ClockState.UNSYNCED))
    timekeeper.learn(NOW)

    assert timekeeper.monotonic_ms() == clock.monotonic_ms() == 500_000
    assert timekeeper.real_s(1_500) == 1.5
