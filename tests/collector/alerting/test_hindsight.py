"""A backlog as gateways send it, newest first, through the hot path: what the record tells."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from collector.alerting.alert import Alert, Transition
from collector.alerting.rule import Rule
from collector.hindsight import QUIET_MS, Hindsight, Parts
from collector.settlement.service import Unwatched
from collector.store import Level, Rejection
from metering.reading import Reading
from tests.fakes.alerting import MINUTE_MS, START_MS, at, threshold
from tests.fakes.centre import Centre
from tests.fakes.link import batch, delivered

HOUR = 60
DAY = 24 * HOUR
PLAIN = threshold()
HELD = threshold(for_ms=10 * MINUTE_MS)


class World:
    """A centre, the clock in minutes after `START_MS`, and batches of a few minutes each."""

    def __init__(self, rule: Rule, now: float) -> None:
        self.centre = Centre(rules=[rule])
        self.sequence = 0
        self.set(now)

    def set(self, now: float) -> None:
        self.centre.clock._now_ms = at(now)

    def send(self, kilowatts: dict[int, float], meter: str = "e001-main") -> None:
        """One batch, its readings in order of time."""
        self.sequence += 1
        readings = [
            Reading(meter=meter, at_ms=at(minute), values={"active_power_kw": value})
            for minute, value in sorted(kilowatts.items())
        ]
        sealed = batch(*readings, sequence=self.sequence)
        self.centre.take(delivered(structs.replace(sealed, sealed_at_ms=readings[-1].at_ms)))

    def backlog(self, kilowatts: dict[int, float], size: int = 5) -> None:
        """Newest first, in batches of so many minutes."""
        minutes = sorted(kilowatts, reverse=True)
        for start in range(0, len(minutes), size):
            self.send({minute: kilowatts[minute] for minute in minutes[start : start + size]})

    def look_back(self, wait_ms: int = QUIET_MS) -> int:
        self.centre.clock.pass_ms(wait_ms)
        centre, watching = self.centre, self.centre.watching
        parts = Parts(
            readings=watching.readings,
            looker=watching.looker,
            alerting=watching.alerting,
            alert_log=centre.state.alert_log,
            store=centre.store,
            fleet=centre.fleet,
            clock=centre.clock,
        )
        return Hindsight(parts).judge(Unwatched())

    @property
    def steps(self) -> list[Transition]:
        return self.centre.state.alert_log.steps_after(0, 9_999)

    @property
    def alerts(self) -> list[Alert]:
        """By number, as they stand."""
        found = self.centre.state.alert_log.alerts()
        return sorted(found, key=lambda alert: alert.number)

    def close(self) -> None:
        self.centre.close()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with closing(World(getattr(request, "param", PLAIN), now=DAY)) as made:
        yield made


def course(first: int, last: int, *high: tuple[int, int]) -> dict[int, float]:
    """A reading a minute: 600 kW in `high` (half-open), else 100 kW."""
    return {
        minute: 600.0 if any(start <= minute < end for start, end in high) else 100.0
        for minute in range(first, last)
    }


def told(alert: Alert) -> tuple[bool, str, float, float | None]:
    since = (alert.since_ms - START_MS) / MINUTE_MS
    ended = None if alert.resolved_ms is None else (alert.resolved_ms - START_MS) / MINUTE_MS
    return alert.replayed, str(alert.state), since, ended


def test_a_backlog_newest_first_is_recorded_in_order_of_its_own_time(world: World) -> None:
    world.backlog(course(0, 300, (60, 100), (200, 230)))
    assert world.steps == []

    assert world.look_back() == 1

    assert [told(alert) for alert in world.alerts] == [
        (True, "resolved", 60, 100),
        (True, "resolved", 200, 230),
    ]
    assert world.centre.alerting.firing == ()
    assert world.look_back() == 0


@pytest.mark.parametrize("world", [HELD], indirect=True)
def test_a_duration_is_counted_across_batches_that_came_the_other_way_round(world: World) -> None:
    world.backlog(course(0, 300, (60, 75), (200, 209)), size=3)
    world.look_back()

    fired = [alert for alert in world.alerts if alert.fired_ms is not None]
    assert [told(alert) for alert in fired] == [(True, "resolved", 60, 75)]
    assert fired[0].fired_ms == at(70)


def test_while_a_month_of_backlog_comes_live_alerts_fire_at_once(world: World) -> None:
    now = 30 * DAY
    world.set(now)
    world.send({now: 100.0})
    old = course(now - 200, now, (now - 150, now - 100))
    for place, minute in enumerate(sorted(old, reverse=True)):
        world.send({minute: old[minute]})
        if place == 50:
            world.set(now + 1)
            world.send({now + 1: 600.0})
            assert [told(alert)[:2] for alert in world.alerts] == [(False, "firing")]
        if place == 100:
            world.set(now + 2)
            world.send({now + 2: 100.0})

    world.look_back()

    assert [told(alert) for alert in world.alerts] == [
        (False, "resolved", now + 1, now + 2),
        (True, "resolved", now - 150, now - 100),
    ]


def test_what_still_holds_after_an_outage_fires_at_once_and_learns_its_true_beginning(
    world: World,
) -> None:
    """From 60 on it is too high; the gateway is away from 50 to 400."""
    world.set(50)
    world.send(course(40, 50))
    world.set(400)
    world.send({400: 600.0})
    assert told(world.alerts[0]) == (False, "firing", 400, None)
    world.backlog(course(50, 400, (60, 400)))

    world.look_back()

    live = world.alerts[0]
    assert told(live) == (False, "firing", 60, None)
    assert [told(alert)[:3] for alert in world.alerts[1:]] == [(True, "resolved", 60)]
    assert [str(one.reason) for one in world.steps] == ["held", "held", "replayed"]
    world.send({402: 100.0})
    assert told(world.alerts[0]) == (False, "resolved", 60, 402)


@pytest.mark.parametrize("world", [HELD], indirect=True)
def test_what_began_just_before_an_outage_is_recorded_with_its_true_beginning(
    world: World,
) -> None:
    """At six hours, where a slice of the store begins."""
    world.set(360)
    world.send(course(350, 360, (355, 360)))
    world.set(500)
    world.send({500: 100.0})
    world.backlog(course(360, 500, (360, 400)))

    world.look_back()

    fired = [alert for alert in world.alerts if alert.fired_ms is not None]
    assert [told(alert) for alert in fired] == [(True, "resolved", 355, 400)]


def test_what_fired_before_an_outage_and_ended_in_it_is_not_told_again(world: World) -> None:
    world.set(50)
    world.send(course(40, 50, (45, 50)))
    world.set(400)
    world.send({400: 100.0})
    world.backlog(course(50, 400, (50, 70)))

    world.look_back()

    assert [told(alert) for alert in world.alerts] == [(False, "resolved", 45, 400)]


def test_what_was_told_is_not_told_again_when_everything_is_sent_again(world: World) -> None:
    world.set(100)
    for minute in range(100):
        world.set(minute)
        world.send({minute: 600.0 if 20 <= minute < 40 else 100.0})
    before = world.steps
    world.set(DAY)

    world.backlog(course(0, 100, (20, 40)))
    world.look_back()

    assert world.steps == before


def test_a_backlog_that_is_still_coming_is_left_alone(world: World) -> None:
    world.backlog(course(200, 300, (250, 260)))
    world.centre.clock.pass_ms(QUIET_MS - 1)
    world.send({100: 100.0})

    assert world.look_back(wait_ms=1) == 0
    assert world.alerts == []
    assert world.look_back(wait_ms=QUIET_MS - 1) == 1
    assert len(world.alerts) == 1


def test_a_crash_between_judging_and_forgetting_tells_nothing_twice(world: World) -> None:
    world.backlog(course(0, 300, (60, 100)))
    world.look_back()
    before = world.steps
    world.centre.restart()  # what was judged was not written yet: it is judged once more

    assert world.look_back() == 1
    assert world.steps == before


def test_a_value_in_doubt_fires_nothing_in_hindsight_either(world: World) -> None:
    """The jump to 5000 kW of a circuit of 1200 kW, and a value that contradicts itself."""
    high = course(0, 100) | {50: 5000.0, 70: 600.0}
    world.backlog(high)
    world.centre.store.write(
        [],
        [
            Rejection(
                meter="e001-main",
                at_ms=at(70),
                quantity="active_power_kw",
                value=600.0,
                raw="600.0",
                reason="phase_sum",
                level=Level.SUSPECT,
                gateway="gw-e001",
            )
        ],
    )

    world.look_back()

    assert world.alerts == []


def test_a_record_that_reaches_the_end_of_the_backlog_is_closed_by_what_came_after(
    world: World,
) -> None:
    """The gateway's clock is right, its link is slow: the last hour is 20 minutes late."""
    world.set(100)
    world.backlog(course(20, 80, (70, 80)))
    world.send(course(90, 95))

    world.look_back()
    world.look_back()

    assert [told(alert) for alert in world.alerts] == [(True, "firing", 70, None)]
    for minute in range(100, 140):
        world.set(minute)
        world.send({minute: 100.0})
    assert [told(alert)[:3] for alert in world.alerts] == [(True, "resolved", 70)]


@pytest.mark.parametrize("world", [HELD], indirect=True)
def test_a_clock_that_was_an_hour_ahead_for_a_while_loses_no_alert(world: World) -> None:
    """The collector's own: what came then looked late."""
    for minute in range(100, 160):
        world.set(minute + 60 if 110 <= minute < 130 else minute)
        world.send({minute: 600.0 if minute >= 105 else 100.0})
        if minute == 135:
            world.look_back(wait_ms=0)

    (alert,) = [alert for alert in world.alerts if not alert.replayed]
    assert told(alert) == (False, "firing", 105, None)
    assert alert.fired_ms == at(136)  # with the first reading after the look back


@given(
    high=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=4),
    size=st.integers(1, 40),
    gap=st.integers(0, 200),
)
@settings(max_examples=25, deadline=None)
def test_in_whatever_batches_a_backlog_comes_the_record_is_the_same(
    high: list[tuple[int, int]], size: int, gap: int
) -> None:
    spans = [(start, start + length) for start, length in high]
    whole = {m: kw for m, kw in course(0, 260, *spans).items() if not gap <= m < gap + 20}
    with closing(World(HELD, now=DAY)) as one, closing(World(HELD, now=DAY)) as other:
        one.send(whole)
        one.look_back()
        other.backlog(whole, size)
        other.look_back()

        assert [timeless(step) for step in other.steps] == [timeless(step) for step in one.steps]


def timeless(step: Transition) -> Transition:
    return structs.replace(step, alert=structs.replace(step.alert, moved_ms=0))
