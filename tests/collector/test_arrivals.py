"""What came in time, and what gateways' clocks say."""

from collector.arrivals import Arrivals
from collector.settle.cells import DAY_MS
from collector.store import Row
from collector.validate import tags_of
from metering.batch import Batch
from tests.fakes.settling import START_MS, meter

TAGS = tags_of(meter("m1"))


def row(at_ms: int, **values: float) -> Row:
    return Row(meter="m1", at_ms=at_ms, values=values or {"energy_import_kwh": 1.0}, tags=TAGS)


def batch(sealed_at_ms: int, clock: str = "synced") -> Batch:
    return Batch(
        v=1,
        gateway="gw-1",
        epoch="e",
        sequence=1,
        sealed_at_ms=sealed_at_ms,
        clock=clock,
        readings=(),
    )


def test_a_reading_older_than_a_quarter_of_an_hour_is_late_and_counts_on_its_own_day() -> None:
    arrivals = Arrivals()
    now_ms = START_MS + DAY_MS + 60_000

    arrivals.note([row(now_ms - 899_000), row(now_ms - 901_000), row(now_ms)], [], now_ms)
    tally = arrivals.take()

    assert tally.readings == {("m1", START_MS): 2, ("m1", START_MS + DAY_MS): 1}
    assert tally.on_time == {("m1", START_MS): 1, ("m1", START_MS + DAY_MS): 1}


def test_what_was_taken_is_not_counted_again() -> None:
    arrivals = Arrivals()
    arrivals.note([row(START_MS)], [batch(START_MS)], START_MS)

    arrivals.take()

    assert arrivals.take().readings == {}


def test_the_least_delay_is_what_a_clock_is_off_by() -> None:
    arrivals = Arrivals()
    for delay_ms in (900, 250, -70_000, 4_000):
        arrivals.note([], [batch(START_MS - delay_ms)], START_MS)

    assert arrivals.take().delays_ms == {("gw-1", START_MS): -70_000}


def test_backlog_and_clocks_that_nobody_vouches_for_tell_nothing() -> None:
    arrivals = Arrivals()

    arrivals.note([], [batch(START_MS - 3_600_000), batch(START_MS, "unsynced")], START_MS)

    assert arrivals.take().delays_ms == {}


def test_what_could_not_be_kept_is_taken_again_with_what_came_meanwhile() -> None:
    arrivals = Arrivals()
    arrivals.note([row(START_MS)], [batch(START_MS - 4_000)], START_MS)
    tally = arrivals.take()
    arrivals.note([row(START_MS + 1)], [batch(START_MS - 900)], START_MS + 1)

    arrivals.give_back(tally)

    again = arrivals.take()
    assert again.readings == again.on_time == {("m1", START_MS): 2}
    assert again.delays_ms == {("gw-1", START_MS): 901}


def test_a_clock_that_the_operator_trusts_is_measured_too() -> None:
    arrivals = Arrivals()

    arrivals.note([], [batch(START_MS - 120_000, "rtc")], START_MS)

    assert arrivals.take().delays_ms == {("gw-1", START_MS): 120_000}
