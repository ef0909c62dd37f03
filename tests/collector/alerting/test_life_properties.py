"""Whatever comes, in whatever pieces, with a restart anywhere: the same steps, all legal."""

from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from collector.alerting.alert import AlertState, Transition
from collector.alerting.lifecycle.table import TABLE
from collector.alerting.observation import Observation, Verdict
from collector.alerting.severity import Severity
from collector.alerting.subject import Subject, SubjectKind
from tests.fakes.alerting import METER, Life, at, look, threshold
from tests.fakes.centre import example_fleet

RULES = (
    threshold("hot", group="heat", for_ms=180_000),
    threshold("hotter", group="heat", severity=Severity.RED, keep_ms=120_000),
    threshold("plain"),
    threshold("slow", for_ms=600_000, keep_ms=300_000),
)
SUBJECTS = (METER, Subject(SubjectKind.METER, "e001-light"))

Event = tuple[str, Any]

seen = st.builds(
    lambda rule, subject, minute, verdict, late, value: (
        "see",
        look(
            minute,
            value,
            verdict,
            rule=rule,
            subject=subject,
            late=late,
            energy_unit="kWh",
        ),
    ),
    rule=st.sampled_from([rule.id for rule in RULES]),
    subject=st.sampled_from(SUBJECTS),
    minute=st.integers(0, 60),
    verdict=st.sampled_from([Verdict.MET, Verdict.MET, Verdict.CLEAR, Verdict.BETWEEN]),
    late=st.sampled_from([False, False, False, True]),
    value=st.sampled_from([100.0, 450.0, 600.0, 900.0]),
)
spoken = st.tuples(st.just("acknowledge"), st.integers(1, 6))
ticked = st.tuples(st.just("tick"), st.integers(0, 400))
events = st.lists(st.one_of(seen, seen, seen, seen, spoken, ticked), max_size=60)
in_time = st.lists(seen, max_size=60).map(
    lambda found: sorted(found, key=lambda event: event[1].at_ms)
)


def life() -> Life:
    return Life(*RULES, fleet=example_fleet())


def go(lived: Life, event: Event, now: float = 70) -> None:
    """One event; what cannot be done to an alert is told, and done by nobody."""
    kind, what = event
    if kind == "see":
        lived.keep(lived.book.observe([what], at(now)))
    elif kind == "tick":
        lived.tick(what)
    else:
        acknowledge(lived, what)


def acknowledge(lived: Life, number: int) -> None:
    known = lived.log.alert(number)
    if known is not None and known.state in {AlertState.FIRING, AlertState.ACKNOWLEDGED}:
        lived.acknowledge(number, until=200, now=70)


@given(events)
@settings(max_examples=300, deadline=None)
def test_every_step_stands_in_the_table_and_follows_the_one_before(history: list[Event]) -> None:
    lived = life()
    for event in history:
        go(lived, event)

    by_alert: dict[int, list[Transition]] = {}
    for one in lived.steps:
        by_alert.setdefault(one.alert.number, []).append(one)
    outcomes = {(state, TABLE[state, event]) for state, event in TABLE}
    for steps in by_alert.values():
        assert steps[0].before is None
        assert all(later.before is earlier.alert.state for earlier, later in pairwise(steps))
        assert all((one.before, (one.alert.state, one.reason)) in outcomes for one in steps)
        assert len({one.alert.replayed for one in steps}) == 1


@given(events)
@settings(max_examples=300, deadline=None)
def test_no_matter_has_two_open_alerts_on_one_track(history: list[Event]) -> None:
    lived = life()
    for event in history:
        go(lived, event)

        tracks = [(a.group, a.subject, a.replayed) for a in lived.log.open_alerts()]
        assert len(tracks) == len(set(tracks))
        assert tuple(lived.log.open_alerts()) == lived.book.open_alerts


@given(found=st.lists(seen, max_size=60), data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_splitting_into_batches_gives_the_same_steps(
    found: list[Event], data: st.DataObject
) -> None:
    observations: list[Observation] = [event[1] for event in found]
    whole, parted = life(), life()

    whole.keep(whole.book.observe(observations, at(70)))
    while observations:
        size = data.draw(st.integers(1, len(observations)))
        parted.keep(parted.book.observe(observations[:size], at(70)))
        observations = observations[size:]

    assert parted.steps == whole.steps
    assert parted.log.open_alerts() == whole.log.open_alerts()


@given(history=events, restarts=st.sets(st.integers(0, 60)))
@settings(max_examples=300, deadline=None)
@example(history=[("tick", 0)], restarts={0})
def test_a_restart_at_any_point_changes_nothing(history: list[Event], restarts: set[int]) -> None:
    """But for when a record is closed, of which nothing more comes: an hour from the start."""
    whole, torn = life(), life()
    for place, event in enumerate(history):
        if event[0] == "tick" and event[1] > 100:
            event = ("tick", 100)  # noqa: PLW2901 - before any record is closed
        go(whole, event)
        if place in restarts:
            torn.restart()
        go(torn, event)

    assert torn.steps == whole.steps
    assert torn.log.open_alerts() == whole.log.open_alerts()


@given(in_time)
@settings(max_examples=300, deadline=None)
def test_readings_in_time_never_leave_a_record(history: list[Event]) -> None:
    lived = life()
    for kind, observation in history:
        in_order = structs.replace(observation, late=False)
        lived.keep(lived.book.observe([in_order], in_order.at_ms))
        assert kind == "see"

    assert not [one for one in lived.steps if one.alert.replayed]
