"""Marked days -> stretches -> groups that fit memory: each day once, whatever is marked."""

from hypothesis import given
from hypothesis import strategies as st

from collector.dirty import DirtyDay
from collector.settle.cells import DAY_MS
from collector.settlement.stretch import Stretch, groups, reaching_doubts, stretches

LONGEST_DAYS = 62


def marked(meter: str, *days: int) -> list[DirtyDay]:
    return [DirtyDay(meter=meter, day_ms=day * DAY_MS, number=day) for day in days]


def spans(found: list[Stretch]) -> list[tuple[str, int, int]]:
    return [(one.meter, one.start_ms // DAY_MS, one.end_ms // DAY_MS) for one in found]


def test_days_that_lie_near_each_other_are_one_stretch() -> None:
    days = [*marked("a", 3, 4, 7, 11), *marked("b", 11)]

    assert spans(stretches(days)) == [("a", 3, 8), ("a", 11, 12), ("b", 11, 12)]


def test_a_stretch_of_years_is_cut() -> None:
    found = stretches(marked("a", *range(200)))

    assert spans(found) == [("a", 0, 62), ("a", 62, 124), ("a", 124, 186), ("a", 186, 200)]


def test_a_stretch_takes_along_the_days_in_doubt_that_its_readings_may_decide_about() -> None:
    found = stretches([*marked("a", 30), *marked("b", 30)])
    doubts = {"a": [day * DAY_MS for day in (21, 22, 35, 39)], "c": [30 * DAY_MS]}

    reaching = reaching_doubts(found, doubts)

    assert spans(reaching) == [("a", 22, 36), ("b", 30, 31)]
    assert [one.days for one in reaching] == [one.days for one in found]


def test_a_group_holds_no_more_readings_than_fit_but_one_stretch_at_least() -> None:
    found = stretches([day for meter in "abcd" for day in marked(meter, 1, 2)])
    large = {"c": 1000.0}

    made = list(groups(found, lambda meter: large.get(meter, 10.0), 100, around_ms=2 * DAY_MS))

    assert [[one.meter for one in group] for group in made] == [["a", "b"], ["c"], ["d"]]


def test_of_one_meters_stretches_the_later_one_is_settled_when_the_earlier_one_is_stored() -> None:
    found = stretches([*marked("a", 1, 20), *marked("b", 2, 21)])

    made = list(groups(found, lambda _: 1.0, 100))

    assert [spans(group) for group in made] == [
        [("a", 1, 2), ("b", 2, 3)],
        [("a", 20, 21), ("b", 21, 22)],
    ]


@given(
    days=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1000)), unique=True),
    most=st.integers(1, 500),
)
def test_every_mark_is_in_one_stretch_of_one_group_and_none_spans_years(
    days: list[tuple[str, int]], most: int
) -> None:
    marks = [DirtyDay(meter=meter, day_ms=day * DAY_MS) for meter, day in sorted(days)]

    made = list(groups(stretches(marks), lambda _: 1.0, most))

    found = [day for group in made for one in group for day in one.days]
    assert sorted(found, key=lambda day: (day.meter, day.day_ms)) == marks
    for group in made:
        assert len({one.meter for one in group}) == len(group)
        reach = max(one.end_ms for one in group) - min(one.start_ms for one in group)
        assert reach <= 2 * LONGEST_DAYS * DAY_MS
        held = sum((one.end_ms - one.start_ms) / DAY_MS for one in group)
        assert len(group) == 1 or held <= most
        for one in group:
            assert all(one.start_ms <= day.day_ms < one.end_ms for day in one.days)
