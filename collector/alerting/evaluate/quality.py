"""Quality: figures of data quality by day -> observations, in order of time.

A day without a figure makes no observation, and nobody knows whether it would have been in the row.
"""

from collections.abc import Collection, Iterable, Mapping

from collector.alerting.evaluate.past import entry_within
from collector.alerting.hours import Hours
from collector.alerting.names import FIGURES
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Quality, Rule, When
from collector.alerting.subject import Subject
from collector.fleet.index import Fleet, Sector
from collector.settle.cells import DAY_MS

Course = Mapping[int, float]  # values of one figure by the day's start


def subjects_of(rule: Rule, fleet: Fleet, days: Collection[int]) -> dict[str, Sector]:
    """Whom a rule can speak of on some days, by id: who has a meter in its scope."""
    assert isinstance(rule.condition, Quality)
    kind = rule.condition.of
    span = min(days), max(days) + DAY_MS
    entries = (entry_within(fleet, meter, *span) for meter in fleet.meters)
    return {
        str(getattr(entry, kind)): entry.sector
        for entry in entries
        if entry is not None and rule.scope.holds(entry)
    }


def first_day(rules: Iterable[Rule], days: Collection[int]) -> int:
    """From which day on figures are needed: the rows before the days that are asked for."""
    rows = [rule.condition.in_a_row for rule in rules if isinstance(rule.condition, Quality)]
    # A weekend at which nobody looks may lie in between.
    return min(days) - 7 * max(rows, default=1) * DAY_MS


def look(
    rule: Rule,
    subject: Subject,
    sector: Sector,
    course: Course,
    hours: Hours,
    days: Collection[int],
) -> list[Observation]:
    """What a rule sees of one subject.

    Args:
        course: the figure, from `first_day` on.
        days: starts of the days to be told of.
    """
    condition = rule.condition
    assert isinstance(condition, Quality)
    when = When(days=rule.when.days, heating=rule.when.heating, term=rule.when.term)
    found: list[Observation] = []
    count, doubt = 0, True
    for day_ms in range(first_day([rule], days), max(days) + 1, DAY_MS):
        if not hours.open_at(when, day_ms + DAY_MS // 2, sector):
            continue
        value = course.get(day_ms)
        if value is None:
            count, doubt = 0, True
            continue
        beyond = value < condition.limit if condition.falls else value > condition.limit
        count, doubt = (count + 1, doubt) if beyond else (0, False)
        if day_ms in days:
            verdict = _verdict(count, condition.in_a_row, doubt=doubt)
            found.append(_observation(rule, condition, subject, (day_ms, value, verdict)))
    return found


def _verdict(count: int, in_a_row: int, *, doubt: bool) -> Verdict:
    if count >= in_a_row:
        return Verdict.MET
    return Verdict.BETWEEN if count and doubt else Verdict.CLEAR


def _observation(
    rule: Rule, condition: Quality, subject: Subject, seen: tuple[int, float, Verdict]
) -> Observation:
    day_ms, value, verdict = seen
    return Observation(
        rule=rule.id,
        subject=subject,
        at_ms=day_ms + DAY_MS,
        verdict=verdict,
        value=value,
        limit=condition.limit,
        unit=FIGURES[condition.figure].unit,
        every_ms=DAY_MS,
    )
