"""What fails for a while is tried again; it is said once, and the end of it too."""

import pytest
import structlog

from collector.patience import Outcome, Patience
from collector.store import StoreAway, StoreRefused
from tests.fakes.centre import NoPause
from tests.fakes.clock import FakeClock


class Act:
    """Fails with each of these, then gives `value`."""

    def __init__(self, *failures: Exception, value: object = "done") -> None:
        self.failures = list(failures)
        self.value = value

    def __call__(self) -> object:
        if self.failures:
            raise self.failures.pop(0)
        return self.value


@pytest.fixture
def stopping() -> NoPause:
    return NoPause()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def patience(stopping: NoPause, clock: FakeClock) -> Patience:
    return Patience(stopping, clock, jitter=lambda: 0.5)


def test_what_works_is_done_without_a_pause_or_a_word(
    patience: Patience, stopping: NoPause
) -> None:
    with structlog.testing.capture_logs() as logs:
        assert patience.until_done("store", Act(value=3)) == Outcome(done=True, value=3)

    assert (stopping.pauses, logs) == ([], [])


def test_pauses_double_up_to_half_a_minute(patience: Patience, stopping: NoPause) -> None:
    patience.until_done("store", Act(*[StoreAway("gone")] * 10))

    assert stopping.pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 0.125), (0.999, 0.37475)])
def test_pauses_are_spread_by_half(stopping: NoPause, jitter: float, pause: float) -> None:
    patience = Patience(stopping, FakeClock(), jitter=lambda: jitter)

    patience.until_done("store", Act(StoreAway("gone")))

    assert stopping.pauses == [pytest.approx(pause)]


@pytest.mark.parametrize(
    ("asked_s", "pause"), [(7.0, 7.0), (3600.0, 60.0), (0.0, 0.25), (-5.0, 0.25)]
)
def test_a_store_that_asks_for_time_gets_it_within_reason(
    patience: Patience, stopping: NoPause, asked_s: float, pause: float
) -> None:
    patience.until_done("store", Act(StoreAway("busy", retry_after_s=asked_s)))

    assert stopping.pauses == [pause]


def test_it_is_said_once_that_a_part_is_down_and_once_that_it_is_back(
    patience: Patience, stopping: NoPause, clock: FakeClock
) -> None:
    down: list[dict[str, str]] = []

    def pause() -> None:
        down.append(dict(patience.down))
        clock.pass_ms(1_500)

    stopping.on_pause = pause

    with structlog.testing.capture_logs() as logs:
        patience.until_done("store", Act(StoreAway("first"), StoreAway("second")))

    assert down == [{"store": "first"}, {"store": "second"}]
    assert patience.down == {}
    assert logs == [
        {"event": "part.down", "log_level": "error", "part": "store", "error": "first"},
        {"event": "part.back", "log_level": "warning", "part": "store", "after_s": 3.0},
    ]


def test_when_the_collector_stops_it_is_not_done(patience: Patience, stopping: NoPause) -> None:
    stopping.stop_after = 2

    assert patience.until_done("store", Act(*[StoreAway("gone")] * 9)) == Outcome(done=False)
    assert len(stopping.pauses) == 2


def test_a_refusal_is_the_callers_and_shows_that_the_part_is_back(patience: Patience) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(StoreRefused):
        patience.until_done("store", Act(StoreAway("gone"), StoreRefused("never")))

    assert patience.down == {}
    assert [entry["event"] for entry in logs] == ["part.down", "part.back"]


def test_how_long_a_part_has_been_failing_is_told_until_it_is_back(
    patience: Patience, stopping: NoPause, clock: FakeClock
) -> None:
    told: list[tuple[float, float]] = []

    def pause() -> None:
        told.append((patience.away_s("store", "record"), patience.away_s("job log")))
        clock.pass_ms(60_000)

    stopping.on_pause = pause

    patience.until_done("store", Act(StoreAway("first"), StoreAway("second")))

    assert told == [(0.001, 0.0), (60.001, 0.0)]
    assert patience.away_s("store", "record") == 0.0
