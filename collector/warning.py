"""Warning: days that were settled or verified since the last run -> observations, judged (预警).

Whoever settles or verifies marks the days; here they are taken, looked at by the rules on settled
figures, and only then is the mark cleared. So nothing is left out across a crash, days that were
missed are judged in order, and a day that a late correction changed is judged again.
"""

from collections.abc import Iterable, Sequence

import structlog
from msgspec import Struct

from collector.alerting.alert import Alert
from collector.alerting.log import AlertLog
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Consumed, Quality, Rule
from collector.alerting.service import Alerting
from collector.alerting.settled import AT_ONCE, Looked, SettledRules
from collector.alerting.subject import Subject
from collector.dirty import DirtyBook, DirtyDay
from collector.settle.cells import DAY_MS, day_start_ms, month_start_ms, next_month_ms
from collector.settlement.service import Progress
from collector.verification import EVERYBODY
from metering.clock import Clock

log = structlog.get_logger()

_MARKS_AT_ONCE = 200_000
_BASELINE_DAYS = 56  # so far back a changed day may lie and still move yesterday's baseline


class Parts(Struct, frozen=True, kw_only=True):
    """What it works with; `app` wires it.

    Attributes:
        settled: marks of days whose figures are new.
        grace_ms: how long after its end a day, or a month, is looked at: what was read before
            midnight shall have come and been settled.
        look_back_days: what is older is not judged any more.
    """

    rules: SettledRules
    matters: dict[str, str]  # by rule: what it is a level of
    settled: DirtyBook
    alerting: Alerting
    alert_log: AlertLog
    clock: Clock
    grace_ms: int = 1_800_000
    look_back_days: int = 92


class Done(Struct, frozen=True, kw_only=True):
    """What a run looked at, and how many steps of alerts came of it."""

    meters: int = 0
    days: int = 0
    steps: int = 0
    stopped: bool = False


class EarlyWarning:
    """One thread at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def judge(self, progress: Progress) -> Done:
        """Look at everything that is new; a mark stays where it was not looked at.

        Raises:
            TransientError: the stores do not answer; what was judged is judged again, to no effect.
        """
        parts, now_ms = self._parts, self._parts.clock.now_ms()
        parts.settled.forget_before(day_start_ms(now_ms) - parts.look_back_days * DAY_MS)
        marks = parts.settled.dirty(_MARKS_AT_ONCE)
        over = [one for one in marks if one.day_ms + DAY_MS + parts.grace_ms <= now_ms]
        verified = [one for one in over if one.meter == EVERYBODY]
        by_meter: dict[str, list[DirtyDay]] = {}
        for one in over:
            if one.meter != EVERYBODY:
                by_meter.setdefault(one.meter, []).append(one)
        begun = [m for m in marks if m.day_ms + DAY_MS > now_ms] if parts.rules.quarterly else []
        steps = self._quality(verified, now_ms) + self._budgets(by_meter, now_ms)
        looked = {
            meter: self._looked([day.day_ms for day in days], now_ms)
            for meter, days in by_meter.items()
        }
        for one in begun:
            before = looked.get(one.meter, Looked())
            looked[one.meter] = Looked(
                days=before.days, months=before.months, quarters=before.quarters | {one.day_ms}
            )
        concerned = sorted(parts.rules.meters(now_ms).keys() & looked.keys())
        for first in range(0, len(concerned), AT_ONCE):
            progress.step(first, len(concerned), "预警")
            if progress.stopping:
                return Done(meters=first, days=len(over), steps=steps, stopped=True)
            some = concerned[first : first + AT_ONCE]
            steps += self._judge(parts.rules.consumption({m: looked[m] for m in some}))
            parts.settled.clear_dirty([day for m in some for day in by_meter.get(m, ())])
        parts.settled.clear_dirty(over)
        return Done(meters=len(concerned), days=len(over), steps=steps)

    # ---- what there is to look at

    def _looked(self, changed: Sequence[int], now_ms: int) -> Looked:
        """The changed days of a meter, those that hang on them, and the latest one.

        Whether a row of days is long enough hangs on the days before; whether yesterday is unusual
        on the weeks before. Months follow their days, and are compared with the month before.
        """
        parts = self._parts
        latest_ms = day_start_ms(now_ms - parts.grace_ms) - DAY_MS
        row = max((_row(rule) for rule in parts.rules.daily), default=1)
        days = {
            at
            for day in changed
            for at in range(day, day + 7 * (row - 1) * DAY_MS + 1, DAY_MS)
            if at <= latest_ms
        }
        if latest_ms - max(changed) <= _BASELINE_DAYS * DAY_MS:
            days.add(latest_ms)
        months = {
            start
            for day in changed
            for start in (month_start_ms(day), next_month_ms(day))
            if next_month_ms(start) + parts.grace_ms <= now_ms
        }
        return Looked(days=frozenset(days), months=frozenset(months), quarters=frozenset(changed))

    # ---- judging

    def _quality(self, verified: Sequence[DirtyDay], now_ms: int) -> int:
        parts = self._parts
        if not verified or not parts.rules.quality:
            return 0
        row = max(map(_row, parts.rules.quality))
        days = {
            at
            for one in verified
            for at in range(one.day_ms, one.day_ms + 7 * (row - 1) * DAY_MS + 1, DAY_MS)
            if at + DAY_MS <= now_ms
        }
        return self._judge(parts.rules.quality_of(days))

    def _budgets(self, by_meter: dict[str, list[DirtyDay]], now_ms: int) -> int:
        parts = self._parts
        latest_ms = day_start_ms(now_ms - parts.grace_ms) - DAY_MS
        steps = 0
        for budget in parts.rules.budgets if by_meter else ():
            changed = {
                day.day_ms
                for meter in parts.rules.budget_meters(budget) & by_meter.keys()
                for day in by_meter[meter]
            }
            if changed:
                steps += self._judge(parts.rules.budget_of(budget, {*changed, latest_ms}))
        return steps

    def _judge(self, seen: list[Observation]) -> int:
        told = self._told(seen)
        fresh = [one for one in seen if not self._is_told(one, told.get(one.subject, ()))]
        return len(self._parts.alerting.observe(fresh))

    def _told(self, seen: Iterable[Observation]) -> dict[Subject, list[Alert]]:
        """What is over, of the subjects of which something is met."""
        since: dict[Subject, int] = {}
        for one in seen:
            if one.verdict is Verdict.MET:
                since[one.subject] = min(one.at_ms, since.get(one.subject, one.at_ms))
        return {
            subject: [
                alert
                for alert in self._parts.alert_log.fired_of(subject, at_ms)
                if alert.resolved_ms is not None
            ]
            for subject, at_ms in since.items()
        }

    def _is_told(self, seen: Observation, told: Iterable[Alert]) -> bool:
        """That time of the matter is in the record already: a day that is looked at again.

        What a person has resolved stays resolved for the days that were known then.
        """
        matter = self._parts.matters[seen.rule]
        return seen.verdict is Verdict.MET and any(
            (alert.group or alert.rule) == matter
            and alert.since_ms <= seen.at_ms
            and alert.resolved_ms is not None
            and (
                seen.at_ms < alert.resolved_ms or (alert.author and seen.at_ms == alert.resolved_ms)
            )
            for alert in told
        )


def _row(rule: Rule) -> int:
    condition = rule.condition
    return condition.in_a_row if isinstance(condition, Consumed | Quality) else 1


def told(done: Done) -> str:
    """A run as one line for people."""
    if not done.days and not done.meters:
        return "没有新结算的数据"
    return f"查看 {done.meters} 块表、{done.days} 个表日：预警状态变化 {done.steps} 次"
