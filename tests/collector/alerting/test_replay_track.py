"""What comes too late is judged beside: recorded, told to nobody; and what still holds goes on."""

from collector.alerting.alert import AlertState
from collector.alerting.observation import Verdict
from collector.alerting.rule import Consumed
from tests.fakes.alerting import START_MS, Life, at, threshold

DAY = 1440
TEN_MIN = 600_000


def test_what_came_late_is_recorded_and_marked() -> None:
    life = Life(threshold())

    assert life.see(0, 600.0, now=DAY) == ["held"]

    assert (life.open.replayed, life.open.state, life.open.fired_ms) == (True, "firing", START_MS)
    assert life.book.firing == ()


def test_a_quarter_of_an_hour_is_not_late_yet() -> None:
    life = Life(threshold())

    life.see(0, 600.0, now=15)

    assert life.open.replayed is False


def test_what_is_older_than_what_was_seen_is_late_however_young() -> None:
    life = Life(threshold())

    life.see(5, 600.0, now=6, late=True)

    assert life.open.replayed is True


def test_a_day_of_backlog_opens_and_closes_in_the_record_in_its_own_time() -> None:
    life = Life(threshold(for_ms=TEN_MIN))
    for minute in range(0, 120, 5):
        life.see(minute, 600.0 if 20 <= minute < 60 else 100.0, now=DAY)

    assert life.reasons == ["began", "held", "cleared"]
    ended = life.steps[-1].alert
    assert (ended.replayed, ended.since_ms, ended.fired_ms) == (True, at(20), at(30))
    assert ended.resolved_ms == at(60)


def test_in_the_record_what_comes_back_within_half_an_hour_is_one() -> None:
    life = Life(threshold())
    for minute in range(120):
        life.see(minute, 600.0 if minute % 20 == 0 else 100.0, now=DAY)

    assert life.reasons == ["held"]


def test_live_alerts_fire_in_time_while_a_backlog_comes() -> None:
    life = Life(threshold())
    live = 30 * DAY
    life.see(live, 100.0)
    for minute in range(200):
        life.see(minute, 600.0, now=live + minute / 200)

    assert life.see(live + 1, 600.0) == ["held"]
    assert [alert.replayed for alert in life.log.open_alerts()] == [True, False]


def test_what_still_holds_when_readings_are_fresh_again_fires_with_its_true_beginning() -> None:
    life = Life(threshold(for_ms=TEN_MIN))
    for minute in range(0, 100, 5):
        life.see(minute, 600.0, now=115)
    assert [alert.replayed for alert in life.log.open_alerts()] == [True]

    assert life.see(100, 600.0, now=115) == ["replayed", "held"]

    assert (life.open.replayed, life.open.state) == (False, AlertState.FIRING)
    assert (life.open.since_ms, life.open.fired_ms) == (START_MS, at(100))


def test_a_record_that_is_pending_when_readings_are_fresh_again_goes_on_pending() -> None:
    life = Life(threshold(for_ms=TEN_MIN))
    life.see(0, 600.0, now=20)
    life.see(4, 600.0, now=20)

    assert life.see(5, 600.0, now=20) == ["replayed", "began"]
    assert (life.open.replayed, life.open.since_ms) == (False, START_MS)
    assert life.see(10, 600.0, now=20) == ["held"]


def test_a_record_that_is_over_when_readings_are_fresh_again_ends_with_them() -> None:
    life = Life(threshold())
    life.see(0, 600.0, now=16)

    for minute in range(1, 40):
        life.see(minute, 100.0, now=16 + minute)

    assert life.reasons == ["held", "cleared"]
    assert [one.alert.replayed for one in life.steps] == [True, True]
    assert life.steps[-1].alert.resolved_ms == at(1)


def test_a_backlog_that_reaches_a_live_alert_tells_when_it_truly_began() -> None:
    life = Life(threshold())
    assert life.see(100, 600.0) == ["held"]

    for minute in range(60, 100):
        life.see(minute, 600.0, now=101)

    assert life.reasons == ["held", "held", "replayed"]
    assert (life.open.since_ms, life.open.replayed) == (at(60), False)


def test_a_pending_alert_whose_beginning_comes_late_fires_with_the_next_reading() -> None:
    life = Life(threshold(for_ms=TEN_MIN * 6))
    life.see(100, 600.0)
    for minute in range(30, 100):
        life.see(minute, 600.0, now=100.5)

    assert life.see(101, 600.0) == ["held"]
    assert life.open.since_ms == at(30)


def test_the_time_of_a_live_alert_is_not_told_again() -> None:
    life = Life(threshold())
    life.see(100, 600.0)
    life.see(110, 600.0)

    assert life.see(105, 600.0, now=111, late=True) == []
    assert life.see(106, 100.0, now=111, late=True) == []
    assert life.reasons == ["held"]


def test_a_backlog_that_ends_in_the_middle_is_closed_after_an_hour() -> None:
    life = Life(threshold())
    life.see(0, 600.0, now=DAY)

    assert life.tick(DAY + 60) == []
    assert life.tick(DAY + 60.1) == ["replayed"]
    assert life.steps[-1].alert.resolved_ms == START_MS


def test_a_late_clear_reading_ends_a_live_alert() -> None:
    """After an outage of the gateway: it ended when it ended, not when that was heard."""
    life = Life(threshold())
    life.see(0, 600.0)

    assert life.see(5, 100.0, now=DAY) == ["cleared"]
    assert (life.steps[-1].alert.replayed, life.steps[-1].alert.resolved_ms) == (False, at(5))


def test_late_readings_make_no_alert_of_what_is_pending() -> None:
    life = Life(threshold(for_ms=TEN_MIN))
    life.see(0, 600.0)

    for minute in range(1, 30):
        assert life.see(minute, 600.0, now=DAY) == []

    assert life.open.state is AlertState.PENDING


def test_yesterdays_figure_is_news_until_noon() -> None:
    life = Life(threshold("day", condition=Consumed(measure="day", limit=500.0)))

    life.see(0, 600.0, Verdict.MET, rule="day", now=36 * 60)
    assert life.open.replayed is False

    life = Life(threshold("day", condition=Consumed(measure="day", limit=500.0)))
    life.see(0, 600.0, Verdict.MET, rule="day", now=36 * 60 + 1)
    assert life.open.replayed is True
